//! Cuts the samples of a series into columns, at times that other series of the same targets are
//! cut at too: only so do they share timelines.
//!
//! The window of the block is divided into a power of two of equal parts. How many is reckoned from
//! the interval between samples, roughly enough that a little jitter, a missed scrape or a short
//! life changes nothing.

use crate::chunk::dense::SAMPLES_MAX;
use crate::sample::{TimestampMs, Window};

/// The most samples of a regular column. Longer columns are hardly smaller (four times this many
/// take 0.4 % less), and dearer for a read that wants an hour of them.
const SLICE_SAMPLES: u64 = 512;
/// How many intervals are looked at to find the usual one.
const INTERVALS: usize = 15;

/// The times of a series, slice by slice.
#[derive(Debug)]
pub(super) struct Slices<'a> {
    rest: &'a [TimestampMs],
    /// Times that were cut off together and are still too many for one column.
    piece: &'a [TimestampMs],
    start: TimestampMs,
    width_ms: u64,
}

impl<'a> Slices<'a> {
    /// The slices of `timestamps`, which ascend, in a block over `window`.
    pub(super) fn new(window: Window, timestamps: &'a [TimestampMs]) -> Self {
        let length = (window.end.wrapping_sub(window.start) as u64).max(1);
        let wanted = length / usual_interval(timestamps).max(1) / SLICE_SAMPLES;
        // Bursts between long gaps would be cut into scraps.
        let most = 2 * (timestamps.len() as u64 / (SLICE_SAMPLES / 2) + 1);
        let parts = (wanted + 1).min(most).next_power_of_two();
        let width_ms = length.div_ceil(parts).max(1);
        Self { rest: timestamps, piece: &[], start: window.start, width_ms }
    }
}

impl<'a> Iterator for Slices<'a> {
    type Item = &'a [TimestampMs];

    fn next(&mut self) -> Option<Self::Item> {
        if self.piece.is_empty() {
            let slice_of = |t: TimestampMs| t.wrapping_sub(self.start) as u64 / self.width_ms;
            let slice = slice_of(*self.rest.first()?);
            let end = self.rest.partition_point(|t| slice_of(*t) == slice);
            (self.piece, self.rest) = self.rest.split_at(end);
        }
        let pieces = self.piece.len().div_ceil(SAMPLES_MAX);
        let (now, later) = self.piece.split_at(self.piece.len() / pieces);
        self.piece = later;
        Some(now)
    }
}

/// The median of some of the intervals; all of time for a single sample.
fn usual_interval(timestamps: &[TimestampMs]) -> u64 {
    let intervals = timestamps.len().saturating_sub(1);
    let looked_at = intervals.min(INTERVALS);
    let mut some: Vec<u64> = (0..looked_at)
        .map(|i| {
            let at = intervals * i / looked_at;
            timestamps[at + 1].wrapping_sub(timestamps[at]) as u64
        })
        .collect();
    some.sort_unstable();
    some.get(looked_at / 2).copied().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Window = Window { start: 0, end: 86_400_000 };

    fn lens(window: Window, timestamps: &[i64]) -> Vec<usize> {
        let slices: Vec<&[i64]> = Slices::new(window, timestamps).collect();
        assert_eq!(slices.concat(), timestamps);
        slices.iter().map(|slice| slice.len()).collect()
    }

    fn every(interval: i64, window: Window) -> Vec<i64> {
        (window.start..window.end).step_by(interval as usize).collect()
    }

    #[test]
    fn regular_series_are_cut_into_equal_columns_below_the_most() {
        assert_eq!(lens(DAY, &every(15_000, DAY)), [360; 16]);
        assert_eq!(lens(DAY, &every(60_000, DAY)), [360; 4]);
        let two_hours = Window { start: -7_200_000, end: 0 };
        assert_eq!(lens(two_hours, &every(15_000, two_hours)), [480]);
        assert_eq!(lens(two_hours, &every(1000, two_hours)), [450; 16]);
    }

    #[test]
    fn jitter_gaps_and_a_short_life_change_no_cut() {
        let all = every(15_000, DAY);
        let cuts = |times: &[i64]| {
            let ends = |slice: &[i64]| slice[slice.len() - 1] / 5_400_000;
            Slices::new(DAY, times).map(ends).collect::<Vec<_>>()
        };
        let late: Vec<i64> = all.iter().map(|t| t + t / 1000 % 7).collect();
        assert_eq!(cuts(&late), (0..16).collect::<Vec<_>>());
        let gaps: Vec<i64> = all.iter().copied().filter(|t| t / 60_000 % 10 != 0).collect();
        assert_eq!(cuts(&gaps), (0..16).collect::<Vec<_>>());
        assert_eq!(cuts(&all[2880..]), (8..16).collect::<Vec<_>>());
    }

    #[test]
    fn any_times_come_back_whole() {
        let all = Window { start: i64::MIN, end: i64::MAX };
        lens(all, &[i64::MIN, -1, 0, 1, i64::MAX - 1]);
        assert_eq!(lens(all, &[5]), [1]);
        let dense: Vec<i64> = (0..10_000).collect();
        assert!(lens(DAY, &dense).iter().all(|len| *len <= SAMPLES_MAX));
        let bursts: Vec<i64> = (0..1000).map(|i| i / 10 * 800_000 + i % 10).collect();
        assert!(lens(DAY, &bursts).len() <= 8);
    }
}
