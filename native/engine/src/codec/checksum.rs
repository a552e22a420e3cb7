//! The one comparison of checksums.
//!
//! A fuzzer cannot guess a checksum, so it would never get behind one. With the feature `testing`,
//! [`accepting_any`] lets a piece of work take whatever it finds for right, on its thread.

/// Whether what was computed is what was stored.
#[inline]
pub fn matches(got: u32, want: u32) -> bool {
    got == want || any_is_accepted()
}

#[cfg(not(feature = "testing"))]
#[inline]
const fn any_is_accepted() -> bool {
    false
}

#[cfg(feature = "testing")]
pub use testing::accepting_any;
#[cfg(feature = "testing")]
use testing::any_is_accepted;

#[cfg(feature = "testing")]
mod testing {
    use std::cell::Cell;

    thread_local! {
        static ACCEPT_ANY: Cell<bool> = const { Cell::new(false) };
    }

    pub(super) fn any_is_accepted() -> bool {
        ACCEPT_ANY.get()
    }

    /// Runs `work` with every checksum taken for right.
    pub fn accepting_any<T>(work: impl FnOnce() -> T) -> T {
        struct Restore(bool);
        impl Drop for Restore {
            fn drop(&mut self) {
                ACCEPT_ANY.set(self.0);
            }
        }
        let _restore = Restore(ACCEPT_ANY.replace(true));
        work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_checksum_matches_inside_the_exception_only() {
        assert!(matches(7, 7));
        assert!(!matches(7, 8));
        assert!(accepting_any(|| matches(7, 8)));
        assert!(!matches(7, 8));
    }
}
