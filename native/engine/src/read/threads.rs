//! How many threads may help queries at one time, whatever the number of queries.
//!
//! A query has its own thread. A large one takes as many helpers as are free, and gives them back
//! with the call that it needed them for, so that many queries at once do not make many threads.

use crate::sync::{Arc, AtomicUsize, Ordering};

/// Shared by all queries of an engine; the default has none.
#[derive(Debug, Clone, Default)]
pub struct Helpers(Arc<AtomicUsize>);

/// Helpers that somebody has; they are free again when this goes.
#[derive(Debug)]
pub struct Taken {
    count: usize,
    from: Helpers,
}

impl Helpers {
    /// So many threads.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(count)))
    }

    /// At most `wanted` helpers; perhaps none.
    pub fn take(&self, wanted: usize) -> Taken {
        let mut free = self.0.load(Ordering::Relaxed);
        loop {
            let count = free.min(wanted);
            match self.0.compare_exchange_weak(
                free,
                free - count,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Taken { count, from: self.clone() },
                Err(now) => free = now,
            }
        }
    }
}

impl Taken {
    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.from.0.fetch_add(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_lent_once() {
        let helpers = Helpers::new(3);
        let first = helpers.take(2);
        let second = helpers.take(2);
        assert_eq!((first.count(), second.count(), helpers.take(9).count()), (2, 1, 0));
        drop(first);
        assert_eq!(helpers.take(9).count(), 2);
    }
}
