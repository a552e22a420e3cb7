//! The state of the log's end, and what the thread "log" does with it: groups in, frames and
//! answers out. Owned by that one thread; only [`Ledger`] is shared.
//!
//! A group is everything that waited. It is written in runs, each into one segment: write all
//! frames, sync as the policy says, answer all entries in log order.
//!
//! Invariants:
//! - `tail.synced_to <= tail.valid_to`, and everything answered with success ends at or below
//!   `tail.valid_to`. Always: both are equal between runs. Interval: what lies between is in
//!   `kept`. Off: nobody keeps it.
//! - A segment that failed is dropped at once and never written or synced again; the next one links
//!   to the last position that counts and begins with `kept`, all in one publication.
//! - A new segment starts at `next_start`, past every byte that was ever tried to be written: no
//!   position is used twice, whatever became of the bytes.

use std::path::PathBuf;
use std::time::Duration;

use super::queue::{Item, Mark, Queue, closed};
use super::segment::{NewSegment, Segment, SegmentFile, Tail};
use super::{Entry, UNSYNCED_BYTES, WalOptions, WalStats};
use crate::codec::frame;
use crate::disk::Disk;
use crate::error::{Error, ErrorCode, Result};
use crate::options::SyncPolicy;
use crate::refs::Position;
use crate::sync::{Arc, AtomicU64, Instant, Mutex, Ordering, thread};

/// Frames are gathered to this many bytes before a write call, which bounds the copy of a large
/// group and still makes the cost of the call vanish.
const WRITE_BYTES: usize = 1 << 20;

/// Pause between attempts to open a segment for a mark while no entry comes.
const MARK_RETRY: Duration = Duration::from_secs(1);

/// What the log thread shares with those who ask: counters and the list of segment files.
#[derive(Default)]
pub(super) struct Ledger {
    frames: AtomicU64,
    bytes: AtomicU64,
    fsyncs: AtomicU64,
    fsync_ns: AtomicU64,
    failures: AtomicU64,
    /// Ascending; the last is the newest. Also held while segments are removed.
    pub(super) segments: Mutex<Vec<SegmentFile>>,
}

impl Ledger {
    /// The counters.
    pub(super) fn stats(&self, queue_bytes: u64) -> WalStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WalStats {
            frames: get(&self.frames),
            bytes: get(&self.bytes),
            fsyncs: get(&self.fsyncs),
            fsync_seconds: Duration::from_nanos(get(&self.fsync_ns)).as_secs_f64(),
            failures: get(&self.failures),
            queue_bytes,
        }
    }

    fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }
}

/// Payloads that were answered with success and are not yet known to be durable.
#[derive(Default)]
struct Kept {
    payloads: Vec<Vec<u8>>,
    bytes: u64,
}

impl Kept {
    fn push(&mut self, payload: Vec<u8>) {
        self.bytes += payload.capacity() as u64;
        self.payloads.push(payload);
    }

    fn clear(&mut self) {
        self.payloads.clear();
        self.bytes = 0;
    }
}

/// The end of the log.
pub(super) struct Log {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    policy: SyncPolicy,
    segment_bytes: u64,
    ledger: Arc<Ledger>,
    /// `None` after a failure, until a new one could be opened.
    segment: Option<Segment>,
    next_start: u64,
    tail: Tail,
    kept: Kept,
    /// When the oldest of `kept` was answered.
    kept_since: Option<Instant>,
    /// Marks that wait for a segment to begin at.
    marks: Vec<Mark>,
    buffer: Vec<u8>,
}

impl Log {
    /// A log without a segment yet, which goes on at `next_start`.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        options: WalOptions,
        ledger: Arc<Ledger>,
        tail: Tail,
        next_start: u64,
    ) -> Self {
        Self {
            disk,
            dir: options.dir,
            policy: options.sync,
            segment_bytes: options.segment_bytes,
            ledger,
            segment: None,
            next_start,
            tail,
            kept: Kept::default(),
            kept_since: None,
            marks: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// The thread: until the queue is closed and empty. Then syncs, and reports what remained
    /// undone.
    pub(super) fn serve(mut self, queue: &Queue) -> Result<()> {
        let _abort = AbortOnPanic;
        while let Some(group) = queue.take(self.next_wake()) {
            let bytes = payload_bytes(&group);
            self.run(group);
            self.sync_if_due(Instant::now());
            queue.release(bytes);
        }
        self.close()
    }

    /// Logs a group and answers each of its items, except marks that find no segment to begin at:
    /// they wait for the next group.
    pub(super) fn run(&mut self, group: Vec<Item>) {
        // Set by the first failure: what was queued behind it fails too, up to the next mark, where
        // a new segment is due anyway. One attempt a group, and one a mark.
        let mut failed = if self.marks.is_empty() { None } else { self.settle_marks().err() };
        let mut entries = Vec::new();
        for item in group {
            match item {
                Item::Entry(entry) => entries.push(entry),
                Item::Mark(mark) => {
                    self.append(std::mem::take(&mut entries), &mut failed);
                    self.marks.push(mark);
                    failed = self.settle_marks().err();
                }
                Item::Visit(visit) => {
                    self.append(std::mem::take(&mut entries), &mut failed);
                    visit(Position(self.tail.valid_to));
                }
                Item::Barrier(barrier) => {
                    self.append(std::mem::take(&mut entries), &mut failed);
                    (barrier.done)(self.make_durable(barrier.since));
                }
            }
        }
        self.append(entries, &mut failed);
    }

    /// Logs entries in as many runs as they need.
    fn append(&mut self, entries: Vec<Entry>, failed: &mut Option<Error>) {
        let mut rest = entries.into_iter().peekable();
        while rest.peek().is_some() {
            if failed.is_none() {
                *failed = self.ready_for(rest.peek()).err();
            }
            if let Some(error) = failed {
                for entry in rest {
                    (entry.done)(Err(error.clone()));
                }
                return;
            }
            let mut run = Vec::new();
            let mut room = self.room();
            while let Some(entry) = rest.next_if(|e| run.is_empty() || frame_bytes(e) <= room) {
                room = room.saturating_sub(frame_bytes(&entry));
                run.push(entry);
            }
            *failed = self.run_of_entries(run).err();
        }
    }

    /// Bytes of frames that the next run may have: what the segment has left, and no more than what
    /// may wait for a sync.
    fn room(&self) -> u64 {
        let used = self.segment.as_ref().map_or(0, Segment::bytes);
        self.segment_bytes.saturating_sub(used).min(UNSYNCED_BYTES)
    }

    /// Sees to it that there is a segment, with room for `next` unless it is empty.
    fn ready_for(&mut self, next: Option<&Entry>) -> Result<()> {
        let wanted = next.map_or(0, frame_bytes);
        match &self.segment {
            None => self.open_segment(),
            Some(s) if s.is_empty() || s.bytes() + wanted <= self.segment_bytes => Ok(()),
            Some(_) => {
                self.leave_segment()?;
                self.open_segment()
            }
        }
    }

    /// Writes a run into the current segment, syncs it if the policy says so, and answers.
    fn run_of_entries(&mut self, run: Vec<Entry>) -> Result<()> {
        let ends = match self.write_run(&run) {
            Ok(ends) => ends,
            Err(error) => {
                self.abandon();
                for entry in run {
                    (entry.done)(Err(error.clone()));
                }
                return Err(error);
            }
        };
        Ledger::add(&self.ledger.frames, ends.len() as u64);
        for (entry, end) in run.into_iter().zip(ends) {
            if matches!(self.policy, SyncPolicy::IntervalMs(_)) {
                self.kept_since.get_or_insert_with(Instant::now);
                self.kept.push(entry.payload);
            }
            (entry.done)(Ok(Position(end)));
        }
        if self.kept.bytes > UNSYNCED_BYTES {
            return self.sync().inspect_err(|_| self.abandon());
        }
        Ok(())
    }

    /// Returns the position of each frame's end.
    fn write_run(&mut self, run: &[Entry]) -> Result<Vec<u64>> {
        let Some(segment) = &mut self.segment else {
            return Err(Error::internal("a run of entries found no segment"));
        };
        let before = segment.bytes();
        let mut ends = Vec::with_capacity(run.len());
        self.buffer.clear();
        for entry in run {
            frame::write(&mut self.buffer, segment.salt, self.tail.synced_to, &entry.payload);
            ends.push(segment.end() + self.buffer.len() as u64);
            if self.buffer.len() >= WRITE_BYTES {
                segment.write(&self.buffer)?;
                self.buffer.clear();
            }
        }
        if !self.buffer.is_empty() {
            segment.write(&self.buffer)?;
        }
        self.buffer.clear();
        self.buffer.shrink_to(WRITE_BYTES);
        let written = segment.bytes() - before;
        let valid_to = segment.end();
        Ledger::add(&self.ledger.bytes, written);
        if let Some(file) = self.ledger.segments.lock().last_mut() {
            file.bytes += written;
        }
        if self.policy == SyncPolicy::Always {
            self.sync_segment()?;
            self.tail.synced_to = valid_to;
        }
        self.tail.valid_to = valid_to;
        Ok(ends)
    }

    /// Makes everything durable that was answered, where the policy ever does.
    fn sync(&mut self) -> Result<()> {
        if self.policy == SyncPolicy::Off || self.tail.all_synced() || self.segment.is_none() {
            return Ok(());
        }
        self.sync_segment()?;
        self.tail.synced_to = self.tail.valid_to;
        self.kept.clear();
        self.kept_since = None;
        Ok(())
    }

    /// See [`super::Wal::make_durable`].
    fn make_durable(&mut self, since: Position) -> Result<()> {
        let start = self.segment.as_ref().map(|segment| segment.start);
        match (self.policy, start) {
            // What is kept is logged anew in the next segment, whose publication syncs it.
            (SyncPolicy::Always | SyncPolicy::IntervalMs(_), None) => self.open_segment(),
            (SyncPolicy::Off, Some(start)) if start <= since.0 => {
                self.sync_segment().inspect_err(|_| self.abandon())
            }
            (SyncPolicy::Off, _) => {
                let text = "the log went on to another segment before the last one was synced";
                Err(Error::new(ErrorCode::Overloaded, text))
            }
            _ => self.sync().inspect_err(|_| self.abandon()),
        }
    }

    fn sync_segment(&mut self) -> Result<()> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let begun = Instant::now();
        let synced = segment.sync();
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ledger::add(&self.ledger.fsyncs, 1);
        Ledger::add(&self.ledger.fsync_ns, ns);
        synced
    }

    /// Gives up the current segment after a failure.
    fn abandon(&mut self) {
        Ledger::add(&self.ledger.failures, 1);
        if let Some(segment) = self.segment.take() {
            self.next_start = self.next_start.max(segment.attempted_end());
        }
        if self.policy != SyncPolicy::Off {
            // What lies between was either not answered, or is in `kept`.
            self.tail.valid_to = self.tail.synced_to;
        }
    }

    /// Finishes the current segment, so that a new one can be opened.
    fn leave_segment(&mut self) -> Result<()> {
        self.sync().inspect_err(|_| self.abandon())?;
        if let Some(segment) = self.segment.take() {
            self.next_start = self.next_start.max(segment.attempted_end());
        }
        Ok(())
    }

    /// Opens a new segment; there must be none. What was answered and is not durable is logged anew
    /// before anything else.
    pub(super) fn open_segment(&mut self) -> Result<()> {
        let new =
            NewSegment { start: self.next_start, tail: self.tail, again: &self.kept.payloads };
        let bytes = new.bytes();
        self.next_start += bytes;
        let begun = Instant::now();
        let segment = new
            .publish(&*self.disk, &self.dir)
            .inspect_err(|_| Ledger::add(&self.ledger.failures, 1))?;
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Ledger::add(&self.ledger.fsyncs, 1);
        Ledger::add(&self.ledger.fsync_ns, ns);
        let (start, end) = (segment.start, segment.end());
        let all_synced = self.tail.all_synced();
        self.tail.segment = Some(start);
        self.tail.valid_to = end;
        if all_synced {
            self.tail.synced_to = end;
        }
        self.kept.clear();
        self.kept_since = None;
        self.ledger.segments.lock().push(SegmentFile { start, bytes });
        self.segment = Some(segment);
        Ok(())
    }

    /// Begins a segment for the marks that wait, and tells them; on an error they go on waiting.
    fn settle_marks(&mut self) -> Result<()> {
        // After a failed sync the frames before the mark are logged anew by the next step.
        let _ = self.sync().inspect_err(|_| self.abandon());
        if self.segment.is_none() {
            self.open_segment()?;
        }
        if self.segment.as_ref().is_some_and(|segment| !segment.is_empty()) {
            self.leave_segment()?;
            self.open_segment()?;
        }
        let start = Position(self.next_mark_position());
        for mark in self.marks.drain(..) {
            (mark.at)(Ok((mark.generation, start)));
        }
        Ok(())
    }

    fn next_mark_position(&self) -> u64 {
        self.segment.as_ref().map_or(self.next_start, |segment| segment.start)
    }

    /// When the thread should look around even if nothing comes: for a sync, or for a segment that
    /// marks wait for, which nobody else would ask for while no write comes.
    fn next_wake(&self) -> Option<Instant> {
        let again = (!self.marks.is_empty()).then(|| Instant::now() + MARK_RETRY);
        [self.next_sync(), again].into_iter().flatten().min()
    }

    /// When the thread should sync even if nothing comes.
    fn next_sync(&self) -> Option<Instant> {
        match self.policy {
            SyncPolicy::IntervalMs(ms) => Some(self.kept_since? + Duration::from_millis(ms)),
            SyncPolicy::Always | SyncPolicy::Off => None,
        }
    }

    /// Syncs if the oldest unsynced answer is older than the policy allows. When the segment has
    /// failed, this is one attempt to open another.
    pub(super) fn sync_if_due(&mut self, now: Instant) {
        if self.next_sync().is_none_or(|due| now < due) {
            return;
        }
        let done = match self.segment {
            Some(_) => self.sync().inspect_err(|_| self.abandon()),
            None => self.open_segment(),
        };
        if done.is_err() {
            // Counted; nobody waits for an answer. The next attempt is an interval away.
            self.kept_since = Some(now);
        }
    }

    /// Syncs, whatever the policy, and answers the marks that still wait.
    pub(super) fn close(mut self) -> Result<()> {
        let result = self.finish();
        for mark in self.marks.drain(..) {
            (mark.at)(Err(result.clone().err().unwrap_or_else(closed)));
        }
        result
    }

    fn finish(&mut self) -> Result<()> {
        if !self.marks.is_empty() {
            self.settle_marks()?;
        }
        if self.segment.is_some() && self.sync().is_err() {
            self.abandon();
        }
        match &self.segment {
            // What is kept is logged anew and thereby synced; without it nothing is undone.
            None if self.kept.payloads.is_empty() => return Ok(()),
            None => self.open_segment()?,
            Some(_) if self.policy == SyncPolicy::Off => self.sync_segment()?,
            Some(_) => {}
        }
        self.say_goodbye();
        Ok(())
    }

    /// Ends the log with an empty frame whose stamp proves all before it, so that the next start
    /// need not log the last group anew. Not synced, and no failure if it does not succeed: it is a
    /// courtesy to the next start.
    fn say_goodbye(&mut self) {
        let Some(segment) = &mut self.segment else { return };
        if segment.bytes() == segment.published || !self.tail.all_synced() {
            return;
        }
        self.buffer.clear();
        frame::write(&mut self.buffer, segment.salt, self.tail.synced_to, &[]);
        let _ = segment.write(&self.buffer);
    }
}

fn frame_bytes(entry: &Entry) -> u64 {
    (frame::HEADER_BYTES + entry.payload.len()) as u64
}

/// What the queue counted for the group.
fn payload_bytes(group: &[Item]) -> u64 {
    group
        .iter()
        .map(|item| match item {
            Item::Entry(entry) => entry.payload.capacity() as u64,
            Item::Mark(_) | Item::Visit(_) | Item::Barrier(_) => 0,
        })
        .sum()
}

/// Ends the process if the log thread panics, which only a callback or a bug here can make it do:
/// writers would wait for ever for an answer, and the log itself recovers from any stop.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            std::process::abort();
        }
    }
}
