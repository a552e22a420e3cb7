//! The engine: opens a data directory, takes writes, gives sessions for reads, closes.

use std::path::Path;

use crate::allocator;
use crate::background::compact::{CompactThread, Task};
use crate::background::damage::{DamageThread, Inbox};
use crate::background::{Answer as TaskAnswer, Command, Found, Handle};
use crate::backup::{self, CopyReport};
use crate::block::{Block, quarantine};
use crate::cancel::Cancel;
use crate::changes::Changed;
use crate::clock::{Clock, SystemClock};
use crate::commit::{Answer, Commit, WriteRequest};
use crate::deletes::{DeleteAnswer, DeleteRequest, Deletes, Mode};
use crate::disk::os::OsDisk;
use crate::disk::overlay::OverlayDisk;
use crate::disk::{DirLock, Disk};
use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::options::Options;
use crate::read::session::Session;
use crate::read::threads::Helpers;
use crate::read::view::View;
use crate::recover::{Layout, create_durably, restore};
use crate::refs::TenantId;
use crate::retention::RetentionPolicy;
use crate::sample::TimestampMs;
use crate::source::Scope;
use crate::stats::{Counters, Stats, counter_stats};
use crate::store::Store;
use crate::sync::channel::{Receiver, Sender};
use crate::sync::{Arc, ArcSwap, AtomicU64, Mutex, Ordering, RwLock, channel, random, thread};
use crate::wal::{Recovered, Wal, WalOptions};
use crate::wire::WireBatch;

/// Bodies that may wait for a write thread, in bytes of request body: past it a write is refused
/// with `overloaded` before it costs anything.
const WAITING_BODY_BYTES: u64 = 64 << 20;
/// With a limit of size the log is flushed at this part of it.
const LOG_PARTS: u64 = 4;
/// Most write threads; more only add contention on the shard maps.
const WRITE_THREADS_MAX: usize = 8;

/// Numbers of blocks by `compaction.level`; the last stands for all above, too.
const LEVEL_STATS: [&str; 5] =
    ["blocksLevel1", "blocksLevel2", "blocksLevel3", "blocksLevel4", "blocksLevel5"];
/// Room for labels that a write thread keeps for the next request: those of 4,000 series.
const KEPT_ARENA_BYTES: usize = 1 << 20;

/// A write on its way to a write thread.
struct Job {
    request: WriteRequest,
    answer: Answer,
    bytes: u64,
}

struct Writers {
    jobs: Sender<Job>,
    threads: Vec<thread::JoinHandle<()>>,
}

/// An open data directory. All methods may be called from any thread.
pub struct Engine {
    store: Arc<Store>,
    writers: RwLock<Option<Writers>>,
    deletes: Mutex<Option<Deletes>>,
    background: Mutex<Option<Handle>>,
    compaction: Mutex<Option<CompactThread>>,
    damage: Mutex<Option<DamageThread>>,
    lock: Mutex<Option<Box<dyn DirLock>>>,
    waiting_bytes: Arc<AtomicU64>,
    /// The threads that queries share.
    helpers: Helpers,
    /// Held while a snapshot is made: the directory is not let go before.
    snapshots: Arc<Mutex<()>>,
    /// What the start cut off the log.
    torn_end: Option<String>,
}

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotOf {
    /// Everything: the head becomes blocks first.
    Everything,
    /// What is in blocks.
    Blocks,
}

/// Called once with the name of a snapshot.
pub type SnapshotAnswer = Box<dyn FnOnce(Result<String>) + Send>;

impl Engine {
    /// Opens the directory of `options` on the machine's disk and clock.
    ///
    /// # Errors
    /// `read_only` when another process has the directory or it cannot be written, `corruption`
    /// with file and offset, `io`.
    pub fn open(options: Options) -> Result<Self> {
        Self::open_with(options, Arc::new(OsDisk), Arc::new(SystemClock))
    }

    /// Opens on another disk and clock.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_with(
        mut options: Options,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let limit = options.retention.size_bytes;
        if limit > 0 {
            // Retention drops blocks, not log: a log as large as the limit would leave none.
            options.wal_max_bytes = options.wal_max_bytes.min((limit / LOG_PARTS).max(1));
        }
        let disk: Arc<dyn Disk> = if options.read_only {
            options.compact_cpu_share = 0.0;
            Arc::new(OverlayDisk::new(disk, &options.dir))
        } else {
            disk
        };
        create_durably(&*disk, &options.dir)?;
        let lock = disk.lock(&options.dir)?;
        let layout = Layout::new(&options.dir);
        layout.prepare(&*disk)?;
        let retention = Arc::new(RetentionPolicy::new(options.retention_ms, &options.retention)?);
        let head = Arc::new(Head::new(random_seed(), options.write, retention.clone()));
        backup::sweep_snapshots(&*disk, &layout)?;
        let restored = restore(&disk, &layout, &head)?;
        allocator::give_back();
        let generation = head.generation();
        let wal_options = WalOptions {
            dir: layout.wal.clone(),
            sync: options.sync,
            segment_bytes: options.wal_segment_bytes,
            queue_bytes: options.write_queue_bytes,
        };
        let wal = Arc::new(Wal::open(disk.clone(), wal_options, &restored.log, generation)?);
        let reports = Inbox::new();
        let mut view = View::new(generation, generation)
            .with_watch(reports.watch())
            .with_blocks(restored.blocks)
            .with_tombstones(restored.tombstones);
        if !retention.rules().is_empty() {
            view = view.with_horizon(head.horizon(clock.now_ms()));
        }
        let damaged = &restored.quarantined;
        let found_damaged = (!damaged.is_empty()).then(|| damaged.join("; "));
        let store = Arc::new(Store {
            disk,
            clock,
            layout,
            head,
            wal,
            view: ArcSwap::from_pointee(view),
            saved_tombstones: Mutex::new(restored.saved_tombstones),
            retention,
            replaced: Mutex::default(),
            removal: Mutex::new(()),
            counters: Counters::default(),
            last_failure: Mutex::new(found_damaged),
            quarantined: Mutex::new(restored.quarantined),
            options,
        });
        let quarantined = quarantine::count(&*store.disk, &store.layout.quarantine)?;
        store.counters.blocks_quarantined.store(quarantined, Ordering::Relaxed);
        store.counters.torn_bytes.store(restored.log.torn_bytes, Ordering::Relaxed);
        let torn_end = torn_end(&restored.log);
        if let Err(error) = store.save_tombstones()
            && error.code() != ErrorCode::DiskFull
        {
            return Err(error);
        }
        let found = Found {
            flushed: restored.flushed,
            next_file: restored.next_file,
            stale_checkpoint: restored.stale_checkpoint,
            replayed: restored.log.frames > 0,
        };
        let background = Handle::start(store.clone(), found)?;
        let compaction = CompactThread::start(store.clone())?;
        let damage = reports.serve(store.clone())?;
        let deletes = Deletes::start(store.clone())?;
        let waiting_bytes = Arc::new(AtomicU64::new(0));
        let helpers = Helpers::new(store.options.query_helpers);
        let writers = start_writers(&store, &waiting_bytes)?;
        Ok(Self {
            store,
            writers: RwLock::new(Some(writers)),
            deletes: Mutex::new(Some(deletes)),
            background: Mutex::new(Some(background)),
            compaction: Mutex::new(Some(compaction)),
            damage: Mutex::new(Some(damage)),
            lock: Mutex::new(Some(lock)),
            waiting_bytes,
            helpers,
            snapshots: Arc::default(),
            torn_end,
        })
    }

    /// Takes a write. `answer` is called once, on an engine thread or at once on this one; `Ok`
    /// means that every accepted sample is as durable as the sync policy says and readable.
    pub fn write(&self, request: WriteRequest, answer: Answer) {
        let bytes = (*request.body).as_ref().len() as u64;
        let writers = self.writers.read();
        let Some(writers) = writers.as_ref() else { return answer(Err(closed())) };
        if self.store.options.read_only {
            return answer(Err(only_read()));
        }
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting > 0 && waiting + bytes > WAITING_BODY_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let text = "too many request bodies are waiting to be decoded";
            return answer(Err(Error::new(ErrorCode::Overloaded, text)));
        }
        if let Err(back) = writers.jobs.send(Job { request, answer, bytes }) {
            (back.0.answer)(Err(closed()));
        }
    }

    /// A session for one query, over the store as it is now.
    pub fn session(&self, scope: Scope, cancel: Cancel) -> Session {
        Session::new(self.store.head.clone(), self.store.view.load_full(), scope, cancel)
            .with_helpers(self.helpers.clone())
    }

    /// Makes blocks of what the head holds; `answer` is called when they are published.
    pub fn flush(&self, answer: TaskAnswer) {
        match self.background.lock().as_ref() {
            Some(background) => background.ask(Command::Flush(answer)),
            None => answer(Err(closed())),
        }
    }

    /// Deletes what the request names, or counts it; `answer` is called once, on an engine thread
    /// or at once on this one. `Ok` of a delete means that it is durable and to be seen by every
    /// query that begins now; space on disk comes back when blocks are written anew.
    pub fn delete(&self, request: DeleteRequest, mode: Mode, answer: DeleteAnswer) {
        if self.store.options.read_only && mode == Mode::Delete {
            return answer(Err(only_read()));
        }
        match self.deletes.lock().as_ref() {
            Some(deletes) => deletes.ask(request, mode, answer),
            None => answer(Err(closed())),
        }
    }

    /// Writes the blocks anew in which something is deleted; `answer` is called when that is done.
    pub fn clean_tombstones(&self, answer: TaskAnswer) {
        match self.compaction.lock().as_ref() {
            Some(compaction) => compaction.ask(Task::Clean, answer),
            None => answer(Err(closed())),
        }
    }

    /// Writes the head down, so that the next start has less log to read; `answer` is called when
    /// that is done. Nothing happens while a flush is going on, or when there is nothing new.
    pub fn checkpoint(&self, answer: Box<dyn FnOnce(Result<()>) + Send>) {
        match self.background.lock().as_ref() {
            Some(background) => background.ask(Command::Checkpoint(answer)),
            None => answer(Err(closed())),
        }
    }

    /// Merges the blocks that may be merged, all of them and as fast as it goes; `answer` is called
    /// when that is done. A block that turns out to be damaged is set aside, the others are merged,
    /// and the answer says so.
    pub fn compact(&self, answer: TaskAnswer) {
        match self.compaction.lock().as_ref() {
            Some(compaction) => compaction.ask(Task::Compact, answer),
            None => answer(Err(closed())),
        }
    }

    /// Takes a decoded write, on this thread; otherwise as [`Engine::write`].
    pub fn write_batch(&self, batch: &WireBatch<'_>, tenant: TenantId, answer: Answer) {
        if self.store.options.read_only {
            return answer(Err(only_read()));
        }
        commit_of(&self.store).write_batch(batch, tenant, answer);
    }

    /// Says that samples as new as `t` are about to be written: older ones are judged, and put into
    /// blocks, by that. What lies ahead of the clock counts as now.
    pub fn expect_time(&self, t: TimestampMs) {
        self.store.head.saw_time(t.min(self.store.clock.now_ms()));
    }

    /// Memory of the head, about.
    pub fn head_bytes(&self) -> u64 {
        self.store.head.bytes()
    }

    /// Links what is in the store into `snapshots/<name>` of the data directory, durably, and
    /// answers the name; on a thread of its own.
    pub fn snapshot(&self, of: SnapshotOf, answer: SnapshotAnswer) {
        let flushed = match of {
            SnapshotOf::Blocks => None,
            SnapshotOf::Everything => {
                let (send, flushed) = channel::bounded(1);
                self.flush(Box::new(move |result| {
                    let _ = send.send(result);
                }));
                Some(flushed)
            }
        };
        let (store, snapshots) = (self.store.clone(), self.snapshots.clone());
        thread::spawn(move || {
            let _open = snapshots.lock();
            let flushed = flushed.map_or(Ok(()), |f| f.recv().unwrap_or_else(|_| Err(closed())));
            answer(flushed.and_then(|()| {
                let name = backup::snapshot_name(store.clock.now_ms(), random());
                backup::snapshot(&store, &name)?;
                Ok(name)
            }));
        });
    }

    /// Brings the backup in `target` up to the store, of which everything is made blocks first;
    /// `replace` as for [`backup::replace`]. For an engine that only reads: of another one blocks
    /// go while they are copied.
    ///
    /// # Errors
    /// As [`backup::backup`]; `bad_data` when the engine is not one that only reads, or `target`
    /// lies in its directory.
    pub fn backup(&self, target: &Path, replace: bool) -> Result<CopyReport> {
        let (store, dir) = (&self.store, &self.store.layout.root);
        if !store.options.read_only || target.starts_with(dir) {
            let text = "a backup of an open store is made by one that only reads, elsewhere";
            return Err(Error::bad_data(text).at(target, None));
        }
        let (send, flushed) = channel::bounded(1);
        self.flush(Box::new(move |result| {
            let _ = send.send(result);
        }));
        flushed.recv().unwrap_or_else(|_| Err(closed()))?;
        let copy = if replace { backup::replace } else { backup::backup };
        copy(&*store.disk, dir, target, store.clock.now_ms())
    }

    /// This moment's numbers.
    pub fn stats(&self) -> Stats {
        let store = &self.store;
        let mut out = Stats::new();
        store.head.counters().report(&mut out);
        out.push(("headBytes", store.head.bytes() as f64));
        let (exemplars, exemplars_added) = store.head.exemplars().counts();
        out.push(("exemplars", exemplars as f64));
        out.push(("exemplarsAppended", exemplars_added as f64));
        out.push(("metadataFamilies", store.head.metadata().len() as f64));
        counter_stats(&store.counters, &mut out);
        let view = store.view.load();
        out.push(("blocks", view.blocks.len() as f64));
        let level_of = |block: &Arc<Block>| (block.meta().compaction.level as usize).clamp(1, 5);
        for (level, name) in LEVEL_STATS.iter().enumerate() {
            let blocks = view.blocks.iter().filter(|block| level_of(block) == level + 1).count();
            out.push((name, blocks as f64));
        }
        out.push(("blockBytes", view.blocks.iter().map(|b| b.bytes()).sum::<u64>() as f64));
        out.push(("tombstones", view.tombstones.len() as f64));
        if let Ok(free) = store.disk.free_bytes(&store.layout.root) {
            out.push(("diskFreeBytes", free as f64));
        }
        let wal = store.wal.stats();
        out.push(("walBytes", store.wal.bytes() as f64));
        out.push(("walFrames", wal.frames as f64));
        out.push(("walFailures", wal.failures as f64));
        out.push(("fsyncs", wal.fsyncs as f64));
        out.push(("fsyncSeconds", wal.fsync_seconds));
        out.push(("queueBytes", wal.queue_bytes as f64));
        out.push(("waitingBodyBytes", self.waiting_bytes.load(Ordering::Relaxed) as f64));
        out
    }

    /// What may have changed since `version`, which an earlier call returned; 0 at first. To be
    /// asked before a session is opened: what it reads is then of this version or later.
    pub fn changed_since(&self, version: u64) -> Changed {
        self.store.head.changes().since(version)
    }

    /// The last failure of background work, if there was one.
    pub fn last_failure(&self) -> Option<String> {
        self.store.last_failure.lock().clone()
    }

    /// A sentence for each block that was found damaged and set aside since the last call, or since
    /// before the engine was open: where it is now, what is missing, and why.
    pub fn newly_quarantined(&self) -> Vec<String> {
        std::mem::take(&mut *self.store.quarantined.lock())
    }

    /// A sentence about what the start cut off the end of the log, if it did.
    pub fn torn_end(&self) -> Option<&str> {
        self.torn_end.as_deref()
    }

    /// Finishes what was accepted, writes the head down, syncs the log and lets the directory go.
    /// Later calls give `closed`. Closing twice is fine.
    ///
    /// # Errors
    /// Those of the last sync.
    pub fn close(&self) -> Result<()> {
        let compaction = self.compaction.lock().take();
        if let Some(compaction) = &compaction {
            compaction.stop();
        }
        if let Some(writers) = self.writers.write().take() {
            drop(writers.jobs);
            for thread in writers.threads {
                let _ = thread.join();
            }
        }
        if let Some(deletes) = self.deletes.lock().take() {
            deletes.stop();
        }
        drop(self.snapshots.lock());
        if let Some(background) = self.background.lock().take() {
            background.stop();
        }
        if let Some(compaction) = compaction {
            compaction.join();
        }
        drop(self.damage.lock().take());
        let closed = self.store.wal.close();
        self.lock.lock().take();
        closed
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

fn torn_end(log: &Recovered) -> Option<String> {
    let (file, offset) = log.torn_at.as_ref()?;
    let (bytes, file) = (log.torn_bytes, file.display());
    Some(format!(
        "{bytes} bytes from offset {offset} of {file} on, whose write had not finished when the \
         process stopped"
    ))
}

fn only_read() -> Error {
    Error::new(ErrorCode::ReadOnly, "the engine only reads its directory")
}

fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the engine is closed")
}

fn random_seed() -> [u8; 32] {
    let mut seed = [0u8; 32];
    for piece in seed.chunks_mut(8) {
        piece.copy_from_slice(&random().to_le_bytes());
    }
    seed
}

fn commit_of(store: &Store) -> Commit {
    Commit {
        head: store.head.clone(),
        wal: store.wal.clone(),
        clock: store.clock.clone(),
        max_request_bytes: store.options.write.max_request_bytes,
        type_and_unit_labels: store.options.write.type_and_unit_labels,
    }
}

fn start_writers(store: &Arc<Store>, waiting_bytes: &Arc<AtomicU64>) -> Result<Writers> {
    let cores = thread::available_parallelism().map_or(2, usize::from);
    let (jobs, received) = channel::unbounded::<Job>();
    let mut threads = Vec::new();
    for n in 0..cores.min(WRITE_THREADS_MAX) {
        let (received, store) = (received.clone(), store.clone());
        let waiting_bytes = waiting_bytes.clone();
        let thread = thread::Builder::new()
            .name(format!("write-{n}"))
            .spawn(move || serve_writes(&received, &store, &waiting_bytes))
            .map_err(|e| Error::new(ErrorCode::Io, format!("cannot start a thread: {e}")))?;
        threads.push(thread);
    }
    Ok(Writers { jobs, threads })
}

fn serve_writes(jobs: &Receiver<Job>, store: &Store, waiting_bytes: &AtomicU64) {
    let commit = commit_of(store);
    let mut arena = Vec::new();
    for Job { request, answer, bytes } in jobs {
        commit.write(&request, &mut arena, answer);
        arena.clear();
        arena.shrink_to(KEPT_ARENA_BYTES);
        waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
