//! What of the past may have changed since when: for whoever keeps answers and wants to know which
//! of them still hold.
//!
//! Two bounds say it. Writes and deletes change samples from some time on (`written_from`),
//! retention takes those up to some time (`expired_to`); what lies between is as it was. A change
//! is noted *after* readers can see it and before its author is told that it is done. So whoever
//! asks for the version first and reads then may have seen a change that is not noted yet, and will
//! be told of it later; the other way round he would keep what is outdated for ever.
//!
//! Times are rounded to seconds, away from what still holds, and beyond [`MARKS_MAX`] different
//! ones old versions share a bound: too much is said to have changed, never too little.
//!
//! Lock: one, held alone and for a few steps, by the log thread and by background threads.

use std::collections::VecDeque;

use crate::sample::TimestampMs;
use crate::sync::Mutex;

/// Bounds that are kept apart: an hour of ordinary writes, 16 bytes each.
const MARKS_MAX: usize = 4096;
/// Changes closer together than this are one.
const GRAIN_MS: i64 = 1000;

/// What may have changed since a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The version now, to be asked with the next time.
    pub version: u64,
    /// Samples of this time and later may be others; `i64::MAX` when none are.
    pub written_from: TimestampMs,
    /// Samples of this time and earlier may be gone; `i64::MIN` when none are.
    pub expired_to: TimestampMs,
}

/// See the page above.
#[derive(Debug, Default)]
pub struct Changes {
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    version: u64,
    written: Lowest,
    /// Of times with the sign turned: what expires grows upwards.
    expired: Lowest,
}

impl Changes {
    /// Notes that samples at `t` and later were written, replaced or deleted.
    pub fn wrote(&self, t: TimestampMs) {
        let mut log = self.log.lock();
        log.version += 1;
        let version = log.version;
        log.written.add(version, t);
    }

    /// Notes that samples at `t` and earlier left the store.
    pub fn expired(&self, t: TimestampMs) {
        let mut log = self.log.lock();
        log.version += 1;
        let version = log.version;
        log.expired.add(version, t.saturating_neg());
    }

    /// Notes that anything may be gone: a block turned out to be damaged.
    pub fn lost(&self) {
        self.wrote(TimestampMs::MIN);
    }

    /// What changed since `version`. Version 0 is before everything.
    pub fn since(&self, version: u64) -> Changed {
        let log = self.log.lock();
        Changed {
            version: log.version,
            written_from: log.written.since(version).unwrap_or(TimestampMs::MAX),
            expired_to: log.expired.since(version).map_or(TimestampMs::MIN, i64::saturating_neg),
        }
    }
}

/// The lowest time noted since a version.
#[derive(Debug, Default)]
struct Lowest {
    /// (version, time), both ascending: a lower time hides the higher ones noted before it.
    marks: VecDeque<(u64, TimestampMs)>,
}

impl Lowest {
    fn add(&mut self, version: u64, t: TimestampMs) {
        let t = t.div_euclid(GRAIN_MS).saturating_mul(GRAIN_MS);
        while self.marks.back().is_some_and(|(_, known)| *known >= t) {
            self.marks.pop_back();
        }
        self.marks.push_back((version, t));
        if self.marks.len() > MARKS_MAX {
            self.coarsen();
        }
    }

    /// Joins neighbours in the older half: the later version with the lower time.
    fn coarsen(&mut self) {
        let newer = self.marks.split_off(self.marks.len() / 4 * 2);
        let older = std::mem::take(&mut self.marks);
        let pairs = older.iter().step_by(2).zip(older.iter().skip(1).step_by(2));
        self.marks.extend(pairs.map(|((_, t), (version, _))| (*version, *t)));
        self.marks.extend(newer);
    }

    fn since(&self, version: u64) -> Option<TimestampMs> {
        let at = self.marks.partition_point(|(noted, _)| *noted <= version);
        self.marks.get(at).map(|(_, t)| *t)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lowest_write_since_a_version_counts() {
        let changes = Changes::default();
        assert_eq!(changes.since(0).written_from, i64::MAX, "nothing was written");
        changes.wrote(10_000);
        let first = changes.since(0);
        assert_eq!((first.version, first.written_from), (1, 10_000));
        assert_eq!(changes.since(first.version).written_from, i64::MAX);
        changes.wrote(20_000);
        changes.wrote(15_999);
        assert_eq!(changes.since(first.version).written_from, 15_000, "rounded down");
        assert_eq!(changes.since(0).written_from, 10_000);
        changes.lost();
        assert!(changes.since(first.version).written_from < i64::MIN + 1000);
    }

    #[test]
    fn what_expires_bounds_the_other_end() {
        let changes = Changes::default();
        changes.wrote(50_000);
        let before = changes.since(0);
        assert_eq!(before.expired_to, i64::MIN, "nothing has expired");
        changes.expired(7_001);
        let after = changes.since(before.version);
        assert_eq!((after.written_from, after.expired_to), (i64::MAX, 8_000), "rounded up");
        assert_eq!(changes.since(after.version).expired_to, i64::MIN);
    }

    proptest! {
        /// Against all writes remembered: never too little is said to have changed, and nothing
        /// more than rounding says as long as few times differ.
        #[test]
        fn bounds_are_never_too_high(times in prop::collection::vec(0i64..40_000_000, 1..6000)) {
            let changes = Changes::default();
            times.iter().for_each(|t| changes.wrote(*t));
            let exact = times.len() < MARKS_MAX;
            let mut lowest = i64::MAX;
            for (version, t) in times.iter().enumerate().rev() {
                lowest = lowest.min(*t);
                let said = changes.since(version as u64).written_from;
                prop_assert!(said <= lowest);
                prop_assert!(!exact || said == lowest / GRAIN_MS * GRAIN_MS);
            }
        }

        /// Ascending times are what fills the list.
        #[test]
        fn memory_is_bounded(step in 1000i64..5000) {
            let changes = Changes::default();
            for k in 0..3 * MARKS_MAX as i64 {
                changes.wrote(k * step);
            }
            prop_assert!(changes.log.lock().written.marks.len() <= MARKS_MAX);
            for version in 0..3 * MARKS_MAX as u64 {
                let said = changes.since(version).written_from;
                prop_assert!(said <= version as i64 * step);
            }
            let newest = 3 * MARKS_MAX as u64 - 100;
            let said = changes.since(newest).written_from;
            prop_assert_eq!(said, newest as i64 * step / GRAIN_MS * GRAIN_MS);
        }
    }
}
