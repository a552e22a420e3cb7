//! The machine's own: what the engine uses wherever it is not a scheduler's test.

use std::hash::{BuildHasher, RandomState};

pub use arc_swap::ArcSwap;
pub use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};
pub use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize};
pub use std::time::Instant;

/// Channels.
pub mod channel {
    pub use crossbeam_channel::{
        Receiver, RecvError, RecvTimeoutError, SendError, Sender, TrySendError, bounded, unbounded,
    };
}

/// Threads.
pub mod thread {
    pub use std::thread::{
        Builder, JoinHandle, Scope, ThreadId, available_parallelism, current, panicking, scope,
        spawn,
    };
}

/// A number that nobody outside this process can guess: the keys of the standard hash maps come
/// from the system.
pub fn random() -> u64 {
    RandomState::new().hash_one(0)
}
