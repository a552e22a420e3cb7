//! What worker threads share by number: open engines and cancel tokens. The only state of the
//! process, because a handle is all that can be sent to a worker.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use metricstor_engine::engine::Engine;
use metricstor_engine::error::{Error, ErrorCode, Result};
use metricstor_engine::read::cancel::Cancel;
use parking_lot::Mutex;

/// Things by number. 0 is never given out.
struct Numbered<T> {
    next: u32,
    entries: HashMap<u32, T>,
}

impl<T: Clone> Numbered<T> {
    fn add(&mut self, entry: T) -> u32 {
        loop {
            self.next = self.next.wrapping_add(1);
            if self.next != 0 && !self.entries.contains_key(&self.next) {
                self.entries.insert(self.next, entry);
                return self.next;
            }
        }
    }
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { next: 0, entries: HashMap::new() }
    }
}

static ENGINES: LazyLock<Mutex<Numbered<Arc<Engine>>>> = LazyLock::new(Mutex::default);
static CANCELS: LazyLock<Mutex<Numbered<Cancel>>> = LazyLock::new(Mutex::default);

/// Registers an open engine.
pub fn add_engine(engine: Arc<Engine>) -> u32 {
    ENGINES.lock().add(engine)
}

/// The engine of a handle.
///
/// # Errors
/// `closed` for a handle that is not open.
pub fn engine(handle: u32) -> Result<Arc<Engine>> {
    let found = ENGINES.lock().entries.get(&handle).cloned();
    found.ok_or_else(|| Error::new(ErrorCode::Closed, format!("engine {handle} is not open")))
}

/// Forgets an engine.
pub fn remove_engine(handle: u32) {
    ENGINES.lock().entries.remove(&handle);
}

/// A new cancel token.
pub fn add_cancel() -> u32 {
    CANCELS.lock().add(Cancel::default())
}

/// The flag of a token; token 0, and one that is closed, have a flag that nobody sets.
pub fn cancel(token: u32) -> Cancel {
    CANCELS.lock().entries.get(&token).cloned().unwrap_or_default()
}

/// Forgets a token; who holds its flag keeps it.
pub fn remove_cancel(token: u32) {
    CANCELS.lock().entries.remove(&token);
}
