//! Windows of time, and which samples lie in them.
//!
//! Bounds are found once a *timeline*: series that were scraped together have equal times, and
//! comparing times is far cheaper than finding windows again. A few timelines are kept, because
//! neighbours in the order of labels are mostly of different targets.

use super::rate::Edge;
use crate::sample::TimestampMs;

/// Window `k` holds the samples with `end - range_ms < t <= end`, where
/// `end = first_end + k * stride_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// The end of the first window.
    pub first_end: TimestampMs,
    /// Between the ends of two windows; 0 where all are one.
    pub stride_ms: i64,
    /// The length of each.
    pub range_ms: i64,
    /// How many.
    pub steps: usize,
}

impl Windows {
    /// The end of window `k`, which is in it.
    #[inline]
    pub fn end(&self, k: usize) -> TimestampMs {
        self.first_end.saturating_add(self.stride_ms.saturating_mul(k as i64))
    }

    /// What lies just before window `k`.
    #[inline]
    pub fn start(&self, k: usize) -> TimestampMs {
        self.end(k).saturating_sub(self.range_ms)
    }
}

/// The samples `[first, last)` of a series: those of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub first: u32,
    /// The first one behind.
    pub last: u32,
}

impl Span {
    /// Number of samples.
    #[inline]
    pub fn len(self) -> usize {
        (self.last - self.first) as usize
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.first == self.last
    }

    /// The part of a column.
    #[inline]
    pub fn of<T>(self, column: &[T]) -> &[T] {
        &column[self.first as usize..self.last as usize]
    }
}

/// What the windows of a series are, as far as its times decide.
#[derive(Debug, Default)]
pub struct Timeline {
    times: Vec<TimestampMs>,
    /// One a window; both ends ascend.
    pub(super) spans: Vec<Span>,
    /// Of functions that extrapolate: one a window.
    pub(super) edges: Vec<Edge>,
    /// Whether any window has a sample.
    pub(super) any: bool,
}

impl Timeline {
    fn set(&mut self, times: &[TimestampMs], windows: &Windows) {
        self.times.clear();
        self.times.extend_from_slice(times);
        self.spans.clear();
        self.edges.clear();
        self.any = false;
        let (mut first, mut last) = (0, 0);
        for k in 0..windows.steps {
            last = first_after(times, last, windows.end(k));
            first = first_after(times, first, windows.start(k)).min(last);
            self.any |= first < last;
            self.spans.push(Span { first: first as u32, last: last as u32 });
        }
    }
}

/// The first place at or behind `from` whose time is past `bound`. Costs the logarithm of the
/// distance.
fn first_after(times: &[TimestampMs], from: usize, bound: TimestampMs) -> usize {
    let rest = &times[from..];
    let mut reach = 1;
    while reach <= rest.len() && rest[reach - 1] <= bound {
        reach *= 2;
    }
    let near = reach / 2;
    let far = (reach - 1).min(rest.len());
    from + near + rest[near..far].partition_point(|t| *t <= bound)
}

/// Memory of the timelines that are kept, about.
const KEPT_BYTES: usize = 1 << 20;
/// The most timelines that are kept: the targets of a large fleet.
const KEPT_MAX: usize = 256;

/// The timelines that were used last.
#[derive(Debug, Default)]
pub(super) struct Timelines {
    /// Each in the slot that its first time gives it. Made when the first one is asked for.
    slots: Vec<Timeline>,
}

impl Timelines {
    /// The timeline of a series with these times; whether it was made just now.
    pub(super) fn get(
        &mut self,
        times: &[TimestampMs],
        windows: &Windows,
    ) -> (&mut Timeline, bool) {
        if self.slots.is_empty() {
            let bytes = 8 * times.len() + (8 + size_of::<Edge>()) * windows.steps;
            let count = (KEPT_BYTES / bytes.max(1)).clamp(1, KEPT_MAX);
            self.slots.resize_with(count, Timeline::default);
        }
        let first = times.first().copied().unwrap_or(0) as u64;
        let slot = (first.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % self.slots.len();
        let timeline = &mut self.slots[slot];
        let known = timeline.spans.len() == windows.steps && timeline.times == times;
        if !known {
            timeline.set(times, windows);
        }
        (timeline, !known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans_of(times: &[i64], windows: &Windows) -> Vec<Span> {
        let mut timelines = Timelines::default();
        timelines.get(times, windows).0.spans.clone()
    }

    #[test]
    fn windows_are_open_to_the_left() {
        let windows = Windows { first_end: 10, stride_ms: 5, range_ms: 10, steps: 3 };
        let times = [0, 1, 5, 10, 11, 20];
        let spans: Vec<(u32, u32)> =
            spans_of(&times, &windows).iter().map(|s| (s.first, s.last)).collect();
        assert_eq!(spans, [(1, 4), (3, 5), (4, 6)]);
    }

    #[test]
    fn a_kept_timeline_is_not_taken_for_another() {
        let windows = Windows { first_end: 10, stride_ms: 0, range_ms: 10, steps: 1 };
        let mut timelines = Timelines::default();
        assert!(timelines.get(&[1, 5], &windows).1);
        assert!(!timelines.get(&[1, 5], &windows).1);
        let (timeline, new) = timelines.get(&[1, 50], &windows);
        assert!(new && timeline.spans == [Span { first: 0, last: 1 }]);
        assert!(!timelines.get(&[], &windows).0.any);
    }

    proptest! {
        #[test]
        fn every_sample_is_where_its_time_says(
            gaps in proptest::collection::vec(1i64..40, 0..60),
            first_end in -50i64..400, stride_ms in 0i64..90, range_ms in 1i64..200,
            steps in 1usize..12,
        ) {
            let times: Vec<i64> = gaps.iter().scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
            let windows = Windows { first_end, stride_ms, range_ms, steps };
            for (k, span) in spans_of(&times, &windows).iter().enumerate() {
                let (start, end) = (windows.start(k), windows.end(k));
                let inside: Vec<i64> =
                    times.iter().copied().filter(|t| start < *t && *t <= end).collect();
                prop_assert_eq!(span.of(&times), &inside[..]);
            }
        }
    }
}
