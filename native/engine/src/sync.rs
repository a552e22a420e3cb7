//! Threads, locks, atomics, channels, time and randomness of the engine, from one place, so that a
//! scheduler of tests can decide about them.
//!
//! Nothing else in the engine takes them from the standard library or another crate (`test/tidy`
//! sees to it). With the feature `shuttle`, for `tests/shuttle` alone, the threads are run one at a
//! time, and which one goes on at each of these calls is chosen by a seed (`controlled.rs`).
//!
//! What is counted (`Arc`) or set once to a value that is at hand (`OnceLock`) is the standard
//! library's in either case: no order of calls makes a difference that the other calls do not show.

#[cfg(feature = "shuttle")]
mod controlled;
#[cfg(not(feature = "shuttle"))]
mod system;

pub use std::sync::atomic::Ordering;
pub use std::sync::{Arc, OnceLock, Weak};

#[cfg(feature = "shuttle")]
pub use controlled::{
    ArcSwap, AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Condvar, Instant, Mutex,
    MutexGuard, RwLock, channel, random, thread,
};
#[cfg(not(feature = "shuttle"))]
pub use system::{
    ArcSwap, AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Condvar, Instant, Mutex,
    MutexGuard, RwLock, channel, random, thread,
};
