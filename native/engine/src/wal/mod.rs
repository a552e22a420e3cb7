//! The log: every write is here before it is anywhere else.
//!
//! # The promise
//!
//! An entry whose callback got `Ok` is visited by every later [`replay`], once, in log order:
//! - [`SyncPolicy::Always`]: whatever happens to the process or the machine's power, as long as the
//!   disk keeps what it said it had synced.
//! - [`SyncPolicy::IntervalMs`], [`SyncPolicy::Off`]: whatever happens to the process. A power loss
//!   may take the end of the log, never a part of its middle.
//!
//! An entry whose callback got `Err` may or may not be there. Bytes that were durable and are
//! damaged stop the replay with `corruption`; nothing is skipped.
//!
//! # How
//!
//! Writers add entries to a bounded queue and are called back. One thread, "log", takes everything
//! that waits as a group, writes a frame for each entry and shares one fsync among them
//! (`log_thread.rs`). After a failed write or fsync the segment is never touched again; the next
//! one links to the last position that counts (`segment.rs`), and repeats what was answered but not
//! yet durable. `native/FORMAT.md` draws the bytes.
//!
//! Lock order: `cutting`, then the ledger's list; the queue's lock is never held together with
//! another, and none of them while a callback runs.

mod cut;
mod log_thread;
mod queue;
pub mod record;
mod replay;
mod segment;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use replay::{Checked, Recovered, check, first_position, replay};
pub use segment::SegmentFile;

use crate::disk::{Disk, publish};
use crate::error::{Error, ErrorCode, Result};
use crate::options::SyncPolicy;
use crate::refs::{Generation, Position};
use crate::sync::thread::{JoinHandle, ThreadId};
use crate::sync::{Arc, Mutex, channel, thread};
use log_thread::{Ledger, Log};
use queue::Queue;

/// Answered payloads that may wait for a sync in memory; past it the log syncs whatever the
/// interval says. Half a second of a fast disk.
const UNSYNCED_BYTES: u64 = 64 << 20;

/// How a log is opened.
#[derive(Debug, Clone)]
pub struct WalOptions {
    /// The log directory.
    pub dir: PathBuf,
    /// When an entry is answered.
    pub sync: SyncPolicy,
    /// Size in bytes past which a segment gets no further frame, unless it has none.
    pub segment_bytes: u64,
    /// Payload bytes that may wait or be on their way to the disk.
    pub queue_bytes: u64,
}

/// Called on the log thread, in log order, with the position of the end of the entry's frame. Must
/// not block for long, as everybody waits for that thread, and must not panic: that ends the
/// process.
pub type Done = Box<dyn FnOnce(Result<Position>) + Send>;

/// Called on the log thread, in log order, with the new generation and where it begins.
pub type MarkDone = Box<dyn FnOnce(Result<(Generation, Position)>) + Send>;

/// Called on the log thread, between the answers of two entries, with the position of the end of
/// the last entry that was answered with success. The bounds of [`Done`] hold.
pub type Visit = Box<dyn FnOnce(Position) + Send>;

/// What a writer wants logged.
pub struct Entry {
    /// Becomes the payload of one frame; all of it is replayed or nothing. An empty one is answered
    /// but never replayed.
    pub payload: Vec<u8>,
    /// Whom to tell.
    pub done: Done,
}

/// Why an entry was not accepted. The entry comes back; its callback was not called.
pub enum Refused {
    /// The generation moved on: prepare it again.
    Stale(Entry),
    /// The queue is full.
    Full(Entry),
    /// The log is closed.
    Closed(Entry),
}

impl std::fmt::Debug for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, entry) = match self {
            Self::Stale(entry) => ("Stale", entry),
            Self::Full(entry) => ("Full", entry),
            Self::Closed(entry) => ("Closed", entry),
        };
        write!(f, "{name}({} bytes)", entry.payload.len())
    }
}

/// What the log did since it was opened.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub struct WalStats {
    /// Frames that were appended and answered with success.
    pub frames: u64,
    /// Bytes of frames that were written.
    pub bytes: u64,
    /// Syncs of segments, publications of new ones included.
    pub fsyncs: u64,
    /// Time spent in them.
    pub fsync_seconds: f64,
    /// Failed writes, syncs and attempts to open a segment.
    pub failures: u64,
    /// Payload bytes accepted and not yet answered.
    pub queue_bytes: u64,
}

/// An open log. Dropping it closes it.
pub struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    queue: Arc<Queue>,
    ledger: Arc<Ledger>,
    cutting: Mutex<()>,
    thread_id: ThreadId,
    thread: Mutex<Option<JoinHandle<Result<()>>>>,
}

impl Wal {
    /// Opens the log for appending after a [`replay`] of its directory, in a new segment. Entries
    /// are accepted for `generation`. Removes what publications left unfinished.
    ///
    /// On a full disk it opens all the same, and entries fail with `disk_full` until there is room.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: WalOptions,
        recovered: &Recovered,
        generation: Generation,
    ) -> Result<Self> {
        let dir = options.dir.clone();
        if !disk.exists(&dir) {
            disk.create_dir(&dir)?;
            if let Some(parent) = dir.parent() {
                disk.sync_dir(parent)?;
            }
        }
        publish::sweep(&*disk, &dir)?;
        let ledger = Arc::new(Ledger::default());
        ledger.segments.lock().clone_from(&recovered.segments);
        let (tail, start) = (recovered.tail, recovered.end.0);
        let queue = Arc::new(Queue::new(options.queue_bytes, generation));
        let mut log = Log::new(Arc::clone(&disk), options, Arc::clone(&ledger), tail, start);
        match log.open_segment() {
            Err(error) if error.code() != ErrorCode::DiskFull => return Err(error),
            _ => {}
        }
        let served = Arc::clone(&queue);
        let thread = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || log.serve(&served))
            .map_err(|e| Error::new(ErrorCode::Io, format!("cannot start the log thread: {e}")))?;
        Ok(Self {
            disk,
            dir,
            queue,
            ledger,
            cutting: Mutex::new(()),
            thread_id: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Adds an entry that was prepared for `generation` to the queue. Its callback is called
    /// exactly once, unless the entry comes back. After a failure of the disk entries fail with its
    /// code, each group after one attempt to open a new segment.
    ///
    /// # Errors
    /// The entry, when it was not accepted. One larger than a frame may be
    /// ([`crate::codec::frame::MAX_PAYLOAD_BYTES`]) is always `Full`.
    pub fn submit(&self, generation: Generation, entry: Entry) -> std::result::Result<(), Refused> {
        self.queue.submit(generation, entry)
    }

    /// Begins the next generation. Every entry that was accepted before is logged before the mark,
    /// every later one must be for the new generation and is logged after it. Everything before the
    /// mark is synced first, except under the policy `off`; the mark is the start of a segment.
    ///
    /// While no segment can be opened, the mark waits, and entries of the new generation fail; each
    /// group is an attempt. `at` gets an error only when the log closes before one succeeds.
    ///
    /// # Errors
    /// `closed`; the generation is unchanged then, and `at` is not called.
    pub fn rotate(&self, at: MarkDone) -> Result<()> {
        self.queue.mark(at)
    }

    /// Has `visit` called when every entry that was accepted before has been answered, and none
    /// that is accepted later.
    ///
    /// An entry may be logged anew past the position, after a failure of the disk: replaying it on
    /// top of what it did must change nothing.
    ///
    /// # Errors
    /// `closed`; `visit` is not called then.
    pub fn visit(&self, visit: Visit) -> Result<()> {
        self.queue.visit(visit)
    }

    /// Makes everything durable that was answered until now and lies past `since`, whatever the
    /// policy, and waits for it.
    ///
    /// # Errors
    /// Those of the disk; `closed`. Under [`SyncPolicy::Off`] also `overloaded` when the log has
    /// left the segment of `since`: nobody syncs that one any more.
    pub fn make_durable(&self, since: Position) -> Result<()> {
        let (send, receive) = channel::bounded(1);
        let done = Box::new(move |result| drop(send.send(result)));
        self.queue.barrier(queue::Barrier { since, done })?;
        receive.recv().unwrap_or_else(|_| Err(queue::closed()))
    }

    /// The generation that entries are accepted for.
    pub fn generation(&self) -> Generation {
        self.queue.generation()
    }

    /// Removes the segments that end at or below `below`, but never the newest. Once it has removed
    /// any, nothing below is ever replayed again, whatever `from` a replay is given.
    ///
    /// # Errors
    /// Those of the disk; it can be repeated.
    pub fn cut(&self, below: Position) -> Result<()> {
        let _one_at_a_time = self.cutting.lock();
        cut::remove_below(&*self.disk, &self.dir, &self.ledger.segments, below.0)
    }

    /// Bytes of the segments on disk.
    pub fn bytes(&self) -> u64 {
        self.ledger.segments.lock().iter().map(|file| file.bytes).sum()
    }

    /// What it did so far.
    pub fn stats(&self) -> WalStats {
        self.ledger.stats(self.queue.bytes())
    }

    /// Refuses new entries, logs and answers those that wait, syncs, whatever the policy, and ends
    /// the thread. A second call does nothing.
    ///
    /// # Errors
    /// Those of the disk: something that was answered, under a policy that answers before the sync,
    /// may not be durable. `internal` when called from a callback, which the log cannot wait for.
    pub fn close(&self) -> Result<()> {
        self.queue.close();
        if thread::current().id() == self.thread_id {
            return Err(Error::internal("the log was closed from one of its own callbacks"));
        }
        // Held while joining, so that a second caller returns when the log is closed, too.
        let mut thread = self.thread.lock();
        match thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(Error::internal("the log thread panicked")),
        }
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        // Who wants to know the result calls `close`.
        let _ = self.close();
    }
}
