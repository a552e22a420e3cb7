//! What appending some samples did, floats or histograms: gathered under the locks of the shards,
//! counted once behind them.

use super::Head;
use super::series::{Appended, Series};
use crate::refs::SeriesRef;
use crate::sample::TimestampMs;
use crate::sync::Ordering;

/// See the page above.
pub(super) struct Tally {
    newest: TimestampMs,
    /// The oldest sample that is not a duplicate.
    oldest_change: TimestampMs,
    late: u64,
    replaced: u64,
    duplicates: u64,
    bytes: u64,
    /// Series that a delete had left without a sample.
    revived: Vec<SeriesRef>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            newest: TimestampMs::MIN,
            oldest_change: TimestampMs::MAX,
            late: 0,
            replaced: 0,
            duplicates: 0,
            bytes: 0,
            revived: Vec::new(),
        }
    }

    /// Notes that `entry`, which is `series`, gets a sample.
    #[inline]
    pub(super) fn touch(&mut self, series: SeriesRef, entry: &mut Series) {
        if entry.emptied {
            entry.emptied = false;
            self.revived.push(series);
        }
    }

    /// Notes what became of the sample at `t`, and by how many bytes the memory grew.
    #[inline]
    pub(super) fn add(&mut self, t: TimestampMs, (what, grown): (Appended, usize)) {
        self.bytes += grown as u64;
        self.newest = self.newest.max(t);
        if what != Appended::Duplicate {
            self.oldest_change = self.oldest_change.min(t);
        }
        match what {
            Appended::InOrder => {}
            Appended::Late => self.late += 1,
            Appended::Replaced => self.replaced += 1,
            Appended::Duplicate => self.duplicates += 1,
        }
    }
}

impl Head {
    /// Counts `samples` samples that were appended, of which `tally` has seen each; returns how
    /// many replaced another value.
    pub(super) fn count(&self, tally: &Tally, samples: usize) -> u64 {
        self.revive(&tally.revived);
        let (c, samples) = (&self.counters, samples as u64);
        if c.newest.fetch_max(tally.newest, Ordering::Relaxed) == TimestampMs::MIN {
            c.first_newest.store(tally.newest, Ordering::Relaxed);
        }
        c.newest_ever.fetch_max(tally.newest, Ordering::Relaxed);
        c.samples.fetch_add(samples, Ordering::Relaxed);
        c.applied.fetch_add(samples, Ordering::Relaxed);
        c.bytes.fetch_add(tally.bytes, Ordering::Relaxed);
        c.late.fetch_add(tally.late, Ordering::Relaxed);
        c.replaced.fetch_add(tally.replaced, Ordering::Relaxed);
        c.duplicates.fetch_add(tally.duplicates, Ordering::Relaxed);
        if tally.oldest_change != TimestampMs::MAX {
            self.changes.wrote(tally.oldest_change);
        }
        tally.replaced
    }
}
