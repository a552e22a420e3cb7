//! The same for tests that try many orders of events: one thread runs at a time, and at each call
//! of these a seeded scheduler of `shuttle` chooses who goes on.
//!
//! Time is a number that stands still until a wait with an end is over. When that is, chance
//! decides, as it may on a slow machine: a wait ends late, never early, and any other thread may
//! come far or not at all meanwhile. Each machine thread, and so each test, has its own time.

pub mod channel;

use std::cell::Cell;
use std::ops::{Add, Deref, DerefMut, Sub};
use std::sync::PoisonError;
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
pub use shuttle::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize};

use crate::sync::Arc;

/// A wait with an end is over at one look in so many.
const LOOKS: u32 = 8;

/// A number of the run's seed.
pub fn random() -> u64 {
    thread_rng().r#gen()
}

/// A moment of the run's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

thread_local! {
    static NOW: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

impl Instant {
    /// This moment.
    pub fn now() -> Self {
        Self(NOW.get())
    }

    /// The time since.
    pub fn elapsed(&self) -> Duration {
        Self::now() - *self
    }

    /// Whether this moment has come. If not, others get a chance, and perhaps time goes on to it.
    fn look(self) -> bool {
        if self > Self::now() && thread_rng().gen_ratio(1, LOOKS) {
            NOW.set(self.0);
        }
        let come = self <= Self::now();
        if !come {
            shuttle::thread::yield_now();
        }
        come
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later)
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A lock without poison: a panic ends the run in any case.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

/// A held [`Mutex`].
pub struct MutexGuard<'a, T> {
    /// `None` only while a [`Condvar`] has it.
    held: Option<shuttle::sync::MutexGuard<'a, T>>,
    of: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    /// Waits until it is free, and takes it.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { held: Some(self.take()), of: self }
    }

    /// What it guards.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> shuttle::sync::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[allow(clippy::expect_used, reason = "the guard cannot be used while a wait borrows it")]
    fn deref(&self) -> &T {
        self.held.as_deref().expect("not waiting")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[allow(clippy::expect_used, reason = "the guard cannot be used while a wait borrows it")]
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_deref_mut().expect("not waiting")
    }
}

/// Waits with an end give the lock up between looks, so that [`Condvar::wait_until`] may also end
/// without reason, which its contract allows.
#[derive(Debug, Default)]
pub struct Condvar(shuttle::sync::Condvar);

/// How a wait with an end ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether by its end.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Self {
        Self(shuttle::sync::Condvar::new())
    }

    /// Gives the lock up, waits to be notified, and takes it again.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        if let Some(held) = guard.held.take() {
            guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// The same, until `end` at the latest.
    pub fn wait_until<T>(&self, guard: &mut MutexGuard<'_, T>, end: Instant) -> WaitTimeoutResult {
        guard.held = None;
        let over = end.look();
        guard.held = Some(guard.of.take());
        WaitTimeoutResult(over)
    }

    /// Wakes one who waits.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A lock that many readers may hold, without poison.
#[derive(Debug, Default)]
pub struct RwLock<T>(shuttle::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// A free lock.
    pub const fn new(value: T) -> Self {
        Self(shuttle::sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads or writes.
    pub fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pointer that is replaced as a whole.
#[derive(Debug)]
pub struct ArcSwap<T>(Mutex<Arc<T>>);

impl<T> ArcSwap<T> {
    /// Points to `value`.
    pub fn from_pointee(value: T) -> Self {
        Self(Mutex::new(Arc::new(value)))
    }

    /// What it points to.
    pub fn load(&self) -> Arc<T> {
        self.load_full()
    }

    /// What it points to.
    pub fn load_full(&self) -> Arc<T> {
        self.0.lock().clone()
    }

    /// Has it point to `value`.
    pub fn store(&self, value: Arc<T>) {
        let old = std::mem::replace(&mut *self.0.lock(), value);
        // Its destructor may take locks of its own.
        drop(old);
    }
}

/// Threads of the scheduler.
pub mod thread {
    use std::io;
    use std::num::NonZeroUsize;

    pub use shuttle::thread::{JoinHandle, Scope, ScopedJoinHandle, ThreadId, current, spawn};

    use crate::sync::{Arc, AtomicBool, Ordering};

    /// Runs `work`, and waits for the threads that it starts.
    ///
    /// The end of a scope's last thread wakes the one that made the scope, whatever that one waits
    /// for, and in version 0.9 of `shuttle` a `join` then returns too early. So one more thread
    /// stays until `work` is done.
    pub fn scope<'env, T>(work: impl for<'s> FnOnce(&'s Scope<'s, 'env>) -> T) -> T {
        let done = Arc::new(AtomicBool::new(false));
        shuttle::thread::scope(|scope| {
            let is_done = done.clone();
            let last = scope.spawn(move || {
                while !is_done.load(Ordering::SeqCst) {
                    shuttle::thread::park();
                }
            });
            let value = work(scope);
            done.store(true, Ordering::SeqCst);
            last.thread().unpark();
            value
        })
    }

    /// So many that something is done side by side, on every machine.
    ///
    /// # Errors
    /// None.
    pub fn available_parallelism() -> io::Result<NonZeroUsize> {
        Ok(NonZeroUsize::MIN.saturating_add(1))
    }

    /// Never: on the one machine thread that runs them all, another's panic would look like the
    /// caller's, and the first one ends the run in any case.
    pub fn panicking() -> bool {
        false
    }

    /// A thread in the making.
    #[derive(Debug, Default)]
    pub struct Builder(shuttle::thread::Builder);

    impl Builder {
        /// A thread without a name.
        pub fn new() -> Self {
            Self::default()
        }

        /// Names it.
        #[must_use]
        pub fn name(self, name: String) -> Self {
            Self(self.0.name(name))
        }

        /// Starts it.
        ///
        /// # Errors
        /// None.
        pub fn spawn<T: Send + 'static>(
            self,
            run: impl FnOnce() -> T + Send + 'static,
        ) -> io::Result<JoinHandle<T>> {
            self.0.spawn(run)
        }

        /// Starts it for a scope; the name is lost.
        ///
        /// # Errors
        /// None.
        pub fn spawn_scoped<'scope, T: Send + 'scope>(
            self,
            scope: &'scope Scope<'scope, '_>,
            run: impl FnOnce() -> T + Send + 'scope,
        ) -> io::Result<ScopedJoinHandle<'scope, T>> {
            Ok(scope.spawn(run))
        }
    }
}
