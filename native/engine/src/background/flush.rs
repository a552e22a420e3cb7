//! The life of a head generation: it ends, becomes blocks, and leaves the head.
//!
//! One generation at a time goes through these states:
//!
//! ```text
//! Idle      ──mark────▶ Rotating   the log will pass a mark; on a full disk that takes a while
//! Rotating  ──passed──▶ Frozen     its log range is known; nobody writes to it
//! Frozen    ──flush───▶ Draining   its blocks are published; older views may still read the head
//! Draining  ──forget──▶ Releasing  its memory is free; its ended series are out of the index
//! Releasing ──release─▶ Idle       their slots may be used again
//! ```
//!
//! A failed flush is tried again; until it succeeds the generation stays readable in the head and
//! its log stays on disk.

use std::time::Duration;

use roaring::RoaringBitmap;

use super::{Answer, closing};
use crate::allocator;
use crate::compact::flush::Flush;
use crate::disk::require_room;
use crate::error::{Error, ErrorCode, Result};
use crate::read::view::{OlderViews, View};
use crate::refs::{Generation, Position};
use crate::sample::{TimestampMs, Window};
use crate::store::Store;
use crate::sync::channel::{Receiver, RecvTimeoutError};
use crate::sync::{Arc, Instant, Ordering, channel};

/// How long the thread waits at a time for the log to pass a mark.
const MARK_WAIT: Duration = Duration::from_millis(20);
/// Pause after a failed flush; twice as long after each further one, up to [`RETRY_MAX`].
const RETRY: Duration = Duration::from_secs(2);
/// The longest pause: soon after somebody made room, a flush finds it.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// A generation whose log range is closed.
#[derive(Debug, Clone, Copy)]
struct Frozen {
    generation: Generation,
    from: Position,
    to: Position,
    /// Bytes of its chunks in memory, about.
    bytes: u64,
}

/// A generation whose end the log has not passed yet.
struct Rotating {
    ended: Generation,
    /// Where the generation ended, and the bytes of its chunks.
    passed: Receiver<Result<(Position, u64)>>,
    /// Failures of the log before the mark.
    failures: u64,
}

enum State {
    Idle,
    Rotating(Rotating),
    Frozen(Frozen),
    Draining { generation: Generation, older: OlderViews },
    Releasing { dead: RoaringBitmap, older: OlderViews },
}

/// Where the oldest generation that is not in blocks is on its way, and who waits for it.
pub struct FlushCycle {
    store: Arc<Store>,
    state: State,
    /// Where the log of the active generation begins.
    active_from: Position,
    /// When the active generation began.
    active_since_ms: TimestampMs,
    waiting: Vec<Answer>,
    retry_at: Option<Instant>,
    /// The pause after the next failure.
    pause: Duration,
}

impl FlushCycle {
    /// `flushed` is the log position up to which everything is in blocks.
    pub fn new(store: Arc<Store>, flushed: Position) -> Self {
        let active_since_ms = store.clock.now_ms();
        Self {
            store,
            state: State::Idle,
            active_from: flushed,
            active_since_ms,
            waiting: Vec::new(),
            retry_at: None,
            pause: RETRY,
        }
    }

    /// Where the active generation begins in the log, if blocks have everything before it.
    pub fn active(&self) -> Option<Position> {
        let alone = !matches!(self.state, State::Rotating(_) | State::Frozen(_));
        alone.then_some(self.active_from)
    }

    /// Has what is in the head now flushed; `answer` hears when it is in blocks.
    pub fn ask(&mut self, answer: Answer) {
        self.waiting.push(answer);
    }

    /// Tells those who still wait that nothing will come.
    pub fn close(self) {
        self.waiting.into_iter().for_each(|answer| answer(Err(closing())));
    }

    /// Moves the generation on as far as it goes without waiting.
    pub fn step(&mut self) {
        loop {
            let state = std::mem::replace(&mut self.state, State::Idle);
            let (next, moved) = match state {
                State::Idle => self.rotate_when_due(),
                State::Rotating(rotating) => self.passed(rotating),
                State::Frozen(frozen) => self.flush(frozen),
                State::Draining { generation, older } if !older.have_readers() => {
                    let dead = self.store.head.forget(generation);
                    (State::Releasing { dead, older: self.renew_view() }, true)
                }
                State::Releasing { dead, older } if !older.have_readers() => {
                    self.store.head.release(&dead);
                    allocator::give_back();
                    (State::Idle, true)
                }
                waiting => (waiting, false),
            };
            self.state = next;
            if !moved {
                return;
            }
        }
    }

    fn rotate_when_due(&mut self) -> (State, bool) {
        let asked = !self.waiting.is_empty();
        let empty = self.store.head.counters().samples.load(Ordering::Relaxed) == 0
            && !self.is_full_of_other_records();
        if empty && asked {
            // Writes that were answered before the question are applied, so nothing is missing but
            // what came beside samples.
            let saved = self.store.layout.saved.save(&*self.store.disk, &self.store.head);
            self.waiting.drain(..).for_each(|answer| answer(saved.clone()));
            return (State::Idle, false);
        }
        let unasked = !self.store.options.read_only && self.is_due();
        if empty || !(asked || unasked) {
            return (State::Idle, false);
        }
        match self.rotate() {
            Ok(rotating) => (rotating, true),
            Err(error) => {
                self.waiting.drain(..).for_each(|answer| answer(Err(error.clone())));
                (State::Idle, false)
            }
        }
    }

    /// Whether the log is too large for what comes beside samples, which needs no block.
    fn is_full_of_other_records(&self) -> bool {
        self.store.wal.bytes() >= self.store.options.wal_max_bytes
            && self.store.layout.saved.is_behind(&self.store.head)
    }

    /// Bytes of the head's files, where retention has a size: it drops blocks and not these.
    fn files_that_count(&self) -> u64 {
        match self.store.options.retention.size_bytes {
            0 => 0,
            _ => self.store.counters.head_file_bytes.load(Ordering::Relaxed),
        }
    }

    /// Whether the active generation is to end: its newest sample left the window of its time, or
    /// it is too large.
    fn is_due(&self) -> bool {
        let (options, counters) = (&self.store.options, self.store.head.counters());
        if counters.bytes.load(Ordering::Relaxed) >= options.head_max_bytes
            || self.store.wal.bytes() + self.files_that_count() >= options.wal_max_bytes
        {
            return true;
        }
        let oldest_window = counters.first_newest.load(Ordering::Relaxed);
        let newest = counters.newest.load(Ordering::Relaxed);
        let end = Window::aligned(oldest_window, options.block_range_ms).end;
        if newest < end.saturating_add(options.flush_slack_ms) {
            return false;
        }
        counters.samples.load(Ordering::Relaxed) >= options.flush_min_samples
            || self.store.clock.now_ms() - self.active_since_ms >= options.flush_min_age_ms
    }

    /// Asks the log for a mark that ends the active generation.
    fn rotate(&mut self) -> Result<State> {
        let (send, passed) = channel::bounded(1);
        let store = self.store.clone();
        let ended = self.store.wal.generation();
        let failures = self.store.wal.stats().failures;
        self.store.wal.rotate(Box::new(move |mark| {
            let _ = send.send(mark.map(|(next, position)| {
                let bytes = store.head.counters().bytes.load(Ordering::Relaxed);
                store.head.rotate(next);
                store.replace_view(|view| View { to: next, ..view.clone() });
                (position, bytes)
            }));
        }))?;
        Ok(State::Rotating(Rotating { ended, passed, failures }))
    }

    /// Looks, for a moment, whether the log has passed the mark. While the disk fails it cannot,
    /// and whoever waits for a flush is told so; the mark stays, and the flush follows it.
    fn passed(&mut self, rotating: Rotating) -> (State, bool) {
        match rotating.passed.recv_timeout(MARK_WAIT) {
            Ok(Ok((to, bytes))) => {
                let from = self.active_from;
                let frozen = Frozen { generation: rotating.ended, from, to, bytes };
                self.active_from = to;
                self.active_since_ms = self.store.clock.now_ms();
                (State::Frozen(frozen), true)
            }
            // The log is closed, and the engine with it.
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => (State::Idle, false),
            Err(RecvTimeoutError::Timeout) => {
                if self.store.wal.stats().failures > rotating.failures {
                    let text = "the log cannot be written, so nothing can be flushed yet";
                    let error = Error::new(ErrorCode::Io, text);
                    self.waiting.drain(..).for_each(|answer| answer(Err(error.clone())));
                }
                (State::Rotating(rotating), false)
            }
        }
    }

    fn flush(&mut self, frozen: Frozen) -> (State, bool) {
        if self.retry_at.is_some_and(|at| at > Instant::now()) && self.waiting.is_empty() {
            return (State::Frozen(frozen), false);
        }
        self.retry_at = None;
        match self.try_flush(frozen) {
            Ok(state) => {
                self.pause = RETRY;
                self.store.counters.flushes.fetch_add(1, Ordering::Relaxed);
                self.waiting.drain(..).for_each(|answer| answer(Ok(())));
                (state, true)
            }
            Err(error) => {
                self.store.counters.flush_failures.fetch_add(1, Ordering::Relaxed);
                self.store.note_failure(&error);
                self.retry_at = Some(Instant::now() + self.pause);
                self.pause = (self.pause * 2).min(RETRY_MAX);
                self.waiting.drain(..).for_each(|answer| answer(Err(error.clone())));
                (State::Frozen(frozen), false)
            }
        }
    }

    fn try_flush(&mut self, frozen: Frozen) -> Result<State> {
        let store = &self.store;
        // From the blocks on, a start skips this generation's log, and the deletes that are in it.
        store.save_tombstones()?;
        // Blocks are denser than chunks in memory, but not by this much: with less room the flush
        // would fail in any case, and take the log's last room meanwhile.
        require_room(&*store.disk, &store.layout.blocks, frozen.bytes / 2)?;
        // The blocks say from where the log is read again: what they do not hold goes first.
        store.layout.saved.save(&*store.disk, &store.head)?;
        let flush = Flush {
            disk: store.disk.clone(),
            blocks_dir: store.layout.blocks.clone(),
            head: store.head.clone(),
            generation: frozen.generation,
            from: frozen.from,
            to: frozen.to,
            block_range_ms: store.options.block_range_ms,
            newest: store.head.counters().newest_ever.load(Ordering::Relaxed),
            retention_ms: store.options.retention_ms,
            now_ms: store.clock.now_ms(),
        };
        let flushed = flush.run()?;
        store.counters.replaced_in_flush.fetch_add(flushed.replaced, Ordering::Relaxed);
        let bytes = flushed.blocks.iter().map(|block| block.bytes()).sum();
        store.counters.flush_bytes.fetch_add(bytes, Ordering::Relaxed);
        let older = store.replace_view(|view| {
            let blocks = view.blocks.iter().cloned().chain(flushed.blocks.clone()).collect();
            View { from: frozen.generation.next(), ..view.with_blocks(blocks) }
        });
        // What has expired for some series was still to be seen in the head.
        if let Some(horizon) = &store.view.load().horizon {
            store.head.changes().expired(horizon.latest_cutoff().saturating_sub(1));
        }
        // The blocks are published: a log that cannot be cut now is cut after the next flush.
        if let Err(error) = store.wal.cut(frozen.to) {
            store.note_failure(&error);
        }
        store.drop_spent_tombstones();
        Ok(State::Draining { generation: frozen.generation, older })
    }

    /// Replaces the view by an equal one: whoever asks from now on is not among the older ones.
    fn renew_view(&self) -> OlderViews {
        self.store.replace_view(View::clone)
    }
}
