//! The flag that a query's native loops look at.

use crate::error::{Error, ErrorCode, Result};
use crate::sync::{Arc, AtomicBool, Ordering};

/// Set once, from any thread; never cleared.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks whoever looks at the flag to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
