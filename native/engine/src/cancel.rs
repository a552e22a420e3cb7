//! What a query's native loops look at to know whether to go on.

use crate::error::{Error, ErrorCode, Result};
use crate::sync::{Arc, AtomicBool, Instant, Ordering};

/// Set once, from any thread; never cleared. May have a deadline besides.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// Asks whoever looks at the flag to stop.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_canceled(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
            || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// The same flag, which counts as set from `deadline` on.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self { flag: self.flag.clone(), deadline: Some(deadline) }
    }

    /// For loops.
    ///
    /// # Errors
    /// `canceled` once the flag is set.
    pub fn check(&self) -> Result<()> {
        if self.is_canceled() {
            return Err(Error::new(ErrorCode::Canceled, "the query was canceled"));
        }
        Ok(())
    }
}
