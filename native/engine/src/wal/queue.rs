//! What waits for the log thread: entries of the current generation, marks between generations, and
//! visitors that want to see the log at a moment.
//!
//! One lock guards the queue and the generation number together. That is what makes a rotation
//! exact: an entry is accepted only under the generation it was prepared for, and the mark takes
//! its place in the queue in the moment in which the number changes.

use super::{Entry, MarkDone, Refused, Visit};
use crate::codec::frame;
use crate::error::{Error, ErrorCode, Result};
use crate::refs::{Generation, Position};
use crate::sync::{Condvar, Instant, Mutex};

/// The place in the log where a generation begins.
pub(super) struct Mark {
    /// The generation that begins.
    pub(super) generation: Generation,
    /// Whom to tell.
    pub(super) at: MarkDone,
}

/// A wish that all that was answered be durable.
pub(super) struct Barrier {
    /// What lies below is durable, or not wanted.
    pub(super) since: Position,
    /// Whom to tell.
    pub(super) done: Box<dyn FnOnce(Result<()>) + Send>,
}

/// Something in the queue.
pub(super) enum Item {
    Entry(Entry),
    Mark(Mark),
    Visit(Visit),
    Barrier(Barrier),
}

/// The queue; one thread takes, any thread adds.
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    limit: u64,
}

struct State {
    items: Vec<Item>,
    /// Payload bytes that were accepted and not yet answered.
    bytes: u64,
    generation: Generation,
    closed: bool,
}

/// The error of everything that comes after the close.
pub(super) fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the log is closed")
}

impl Queue {
    /// An empty queue for `limit` bytes of payload.
    pub(super) fn new(limit: u64, generation: Generation) -> Self {
        let state = State { items: Vec::new(), bytes: 0, generation, closed: false };
        Self { state: Mutex::new(state), wake: Condvar::new(), limit }
    }

    /// See [`super::Wal::submit`].
    pub(super) fn submit(
        &self,
        generation: Generation,
        entry: Entry,
    ) -> std::result::Result<(), Refused> {
        let bytes = entry.payload.capacity() as u64;
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Closed(entry));
        }
        if state.generation != generation {
            return Err(Refused::Stale(entry));
        }
        // An entry larger than the whole queue must still be able to pass an empty one.
        let crowded = state.bytes > 0 && state.bytes + bytes > self.limit;
        if crowded || entry.payload.len() > frame::MAX_PAYLOAD_BYTES {
            return Err(Refused::Full(entry));
        }
        state.bytes += bytes;
        state.items.push(Item::Entry(entry));
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// See [`super::Wal::rotate`].
    pub(super) fn mark(&self, at: MarkDone) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        state.generation = state.generation.next();
        let generation = state.generation;
        state.items.push(Item::Mark(Mark { generation, at }));
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// See [`super::Wal::visit`].
    pub(super) fn visit(&self, visit: Visit) -> Result<()> {
        self.push(Item::Visit(visit))
    }

    /// See [`super::Wal::make_durable`].
    pub(super) fn barrier(&self, barrier: Barrier) -> Result<()> {
        self.push(Item::Barrier(barrier))
    }

    fn push(&self, item: Item) -> Result<()> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(closed());
        }
        state.items.push(item);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    /// The generation that entries are accepted for.
    pub(super) fn generation(&self) -> Generation {
        self.state.lock().generation
    }

    /// Payload bytes accepted and not yet answered.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// Refuses everything from now on.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_one();
    }

    /// Waits until there is something or `until` has come, and takes all there is; `None` once the
    /// queue is closed and empty.
    pub(super) fn take(&self, until: Option<Instant>) -> Option<Vec<Item>> {
        let mut state = self.state.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            match until {
                None => self.wake.wait(&mut state),
                Some(at) if self.wake.wait_until(&mut state, at).timed_out() => break,
                Some(_) => {}
            }
        }
        Some(std::mem::take(&mut state.items))
    }

    /// Gives back the room of entries that were answered.
    pub(super) fn release(&self, bytes: u64) {
        self.state.lock().bytes -= bytes;
    }
}
