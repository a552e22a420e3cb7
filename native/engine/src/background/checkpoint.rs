//! When the head is written down, and what becomes of the log before that.
//!
//! A checkpoint is of the active generation, and is taken only while no other waits to be flushed:
//! a start finds either a checkpoint and the log after it, or blocks and the log after them. Once
//! the generation is in blocks, its checkpoint and chunk files go.
//!
//! Each slice of series is captured on the log thread, between two writes. What fails is noted and
//! tried again; until then the log keeps what the checkpoint would have had, and memory the full
//! chunks.

use std::time::Duration;

use super::{Answer, Found};
use crate::allocator;
use crate::disk::publish;
use crate::error::{Error, Result};
use crate::head::checkpoint::{self, Captured, CheckpointWriter, Info};
use crate::head::delete::Cleaner;
use crate::head::{chunk_file, offload};
use crate::refs::{Position, SHARD_COUNT};
use crate::sample::TimestampMs;
use crate::store::Store;
use crate::sync::{Arc, Instant, Ordering, channel};

/// A checkpoint is due when the log has this many samples for each series since the last one: by
/// then reading them again takes longer than writing all series down does.
const SAMPLES_A_SERIES: u64 = 20;
/// Fewer samples than this are no reason for a checkpoint: a start reads them in a fifth of a
/// second.
const SAMPLES_MIN: u64 = 2_000_000;
/// Bytes of full chunks that leave the heap at once after which its holes go back to the system.
const GIVE_BACK_BYTES: u64 = 8 << 20;
/// Pause after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// What is in the head's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Nothing but what belongs to the generation that begins there.
    From(Position),
    /// Something of a generation that is in blocks.
    Older,
}

/// When the next checkpoint is due.
pub struct Checkpoints {
    store: Arc<Store>,
    /// Number of the next chunk file.
    next_file: u64,
    holds: Holds,
    /// When the last one was taken.
    taken_ms: TimestampMs,
    /// Bytes that the log had written then.
    logged: u64,
    /// Samples that the head had been given then, by writes and from the log.
    applied: u64,
    /// Whether the head had something from the start that no checkpoint has.
    replayed: bool,
    retry_at: Option<Instant>,
}

impl Checkpoints {
    /// Goes on from what the start found.
    pub fn new(store: Arc<Store>, found: &Found) -> Self {
        let (taken_ms, logged) = (store.clock.now_ms(), store.wal.stats().bytes);
        let checkpoints = Self {
            store,
            next_file: found.next_file,
            holds: if found.stale_checkpoint { Holds::Older } else { Holds::From(found.flushed) },
            taken_ms,
            logged,
            // What was replayed is in no checkpoint.
            applied: 0,
            replayed: found.replayed,
            retry_at: None,
        };
        checkpoints.note_size();
        checkpoints
    }

    /// Notes what the head has on disk. A directory that cannot be listed leaves what was noted.
    fn note_size(&self) {
        if let Ok(files) = self.store.disk.list(&self.store.layout.head) {
            let bytes = files.iter().map(|file| file.len).sum();
            self.store.counters.head_file_bytes.store(bytes, Ordering::Relaxed);
        }
    }

    /// Takes a checkpoint if one is due. `active` is where the active generation begins, `None`
    /// while another waits to be flushed.
    pub fn step(&mut self, active: Option<Position>) {
        let Some(from) = active else { return };
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.retry_at = None;
        let done = self.clear(from);
        let done = done.and_then(|()| if self.is_due() { self.take(from) } else { Ok(()) });
        if done.is_err() {
            self.retry_at = Some(Instant::now() + RETRY);
        }
    }

    /// Takes a checkpoint now, if there is anything new.
    pub fn take_now(&mut self, active: Option<Position>, answer: Answer) {
        let Some(from) = active else { return answer(Ok(())) };
        let done = self.clear(from);
        answer(done.and_then(|()| if self.has_news() { self.take(from) } else { Ok(()) }));
    }

    fn has_news(&self) -> bool {
        let is_empty = self.store.head.counters().samples.load(Ordering::Relaxed) == 0;
        !is_empty && (self.replayed || self.store.wal.stats().bytes > self.logged)
    }

    fn is_due(&self) -> bool {
        let options = &self.store.options;
        let logged = self.store.wal.stats().bytes - self.logged;
        let age_ms = self.store.clock.now_ms() - self.taken_ms;
        let counters = self.store.head.counters();
        let samples = counters.applied.load(Ordering::Relaxed) - self.applied;
        let series = counters.series.load(Ordering::Relaxed) as u64;
        let due = logged >= options.checkpoint_log_bytes
            || samples >= SAMPLES_MIN.max(series * SAMPLES_A_SERIES)
            || age_ms >= options.checkpoint_interval_ms;
        due && self.has_news()
    }

    fn take(&mut self, from: Position) -> Result<()> {
        let (taken_ms, logged) = (self.store.clock.now_ms(), self.store.wal.stats().bytes);
        let applied = self.store.head.counters().applied.load(Ordering::Relaxed);
        let taken = self.try_take(from);
        self.note_size();
        match taken {
            Ok(()) => {
                self.store.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
                (self.taken_ms, self.logged, self.replayed) = (taken_ms, logged, false);
                self.applied = applied;
                Ok(())
            }
            Err(error) => {
                self.store.counters.checkpoint_failures.fetch_add(1, Ordering::Relaxed);
                self.store.note_failure(&error);
                // Nobody else prepares anything there; what cannot go now goes at the next start.
                let _ = publish::sweep(&*self.store.disk, &self.store.layout.head);
                Err(error)
            }
        }
    }

    fn try_take(&mut self, from: Position) -> Result<()> {
        let store = &self.store;
        let (disk, dir, head) = (&*store.disk, &store.layout.head, &*store.head);
        let left = offload::offload(head, disk, dir, &mut self.next_file)?;
        store.counters.chunk_bytes_offloaded.fetch_add(left, Ordering::Relaxed);
        // Whatever comes meanwhile is carried out as it is captured, for which writes wait.
        if let Err(error) = Cleaner::default().finish(head) {
            store.note_failure(&error);
        }
        let mut writer = CheckpointWriter::create(head, disk, dir)?;
        // Before the slices: a replay counts what is written meanwhile.
        let samples = head.counters().samples.load(Ordering::Relaxed);
        // Neighbouring refs of all shards lie together: the index is built in about their order.
        let mut first_slot = 0;
        let mut more = true;
        while more {
            more = false;
            for shard in 0..SHARD_COUNT {
                let (captured, position) = self.capture(shard, first_slot)?;
                writer.add(captured.as_ref(), position)?;
                more |= captured.is_some();
            }
            first_slot += checkpoint::SLICE_SLOTS;
        }
        let Some((lowest, _)) = writer.positions() else { return Ok(()) };
        store.wal.make_durable(lowest)?;
        // What the checkpoint does not hold must not go with the log either.
        store.layout.saved.save(disk, head)?;
        store.save_tombstones()?;
        // After the slices: the newest sample may be in one, and then no replay meets it.
        let counters = head.counters();
        let info = writer.publish(Info {
            from,
            replay_from: Position(0),
            covered_to: Position(0),
            newest: counters.newest.load(Ordering::Relaxed),
            first_newest: counters.first_newest.load(Ordering::Relaxed),
            samples,
        })?;
        if left >= GIVE_BACK_BYTES {
            allocator::give_back();
        }
        store.wal.cut(info.replay_from)
    }

    /// Has the log thread capture a slice.
    fn capture(&self, shard: usize, first_slot: usize) -> Result<(Option<Captured>, Position)> {
        let (send, receive) = channel::bounded(1);
        let head = self.store.head.clone();
        self.store.wal.visit(Box::new(move |position| {
            let _ = send.send((head.capture(shard, first_slot), position));
        }))?;
        receive.recv().map_err(|_| Error::internal("the log forgot a visitor"))
    }

    /// Removes what belongs to a generation that is in blocks. First the log says that it is not
    /// needed, and with it the checkpoint: so nothing can be missing between the two.
    fn clear(&mut self, from: Position) -> Result<()> {
        if self.holds == Holds::From(from) {
            return Ok(());
        }
        self.holds = Holds::Older;
        let store = &self.store;
        let (disk, dir) = (&*store.disk, &store.layout.head);
        let clear = || -> Result<()> {
            store.wal.cut(from)?;
            checkpoint::remove(disk, dir)?;
            for number in chunk_file::list(disk, dir)? {
                chunk_file::remove(disk, dir, number)?;
            }
            Ok(())
        };
        let cleared = clear().inspect_err(|error| store.note_failure(error));
        self.note_size();
        cleared?;
        self.holds = Holds::From(from);
        Ok(())
    }
}
