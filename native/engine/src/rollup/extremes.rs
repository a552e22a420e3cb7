//! The largest and the smallest of a window, and when they were: `max_over_time`, `min_over_time`,
//! `ts_of_max_over_time`, `ts_of_min_over_time`.
//!
//! A queue holds the samples that may still become the extreme, the current one in front, so that a
//! sample costs the same however many windows it lies in. NaN counts only where a window has
//! nothing else.

use super::Row;
use super::windows::Span;
use crate::sample::TimestampMs;

/// Falling values and their places, which rise.
#[derive(Debug, Default)]
pub(super) struct Queue {
    held: Vec<(f64, u32)>,
    head: usize,
}

impl Queue {
    fn clear(&mut self) {
        self.held.clear();
        self.head = 0;
    }

    #[inline]
    fn push(&mut self, value: f64, place: u32) {
        if value.is_nan() {
            return;
        }
        while self.held.len() > self.head && self.held.last().is_some_and(|(v, _)| *v < value) {
            self.held.pop();
        }
        self.held.push((value, place));
    }

    /// The largest value at or behind place `from`, or NaN.
    #[inline]
    fn front(&mut self, from: u32) -> f64 {
        while self.held.get(self.head).is_some_and(|(_, place)| *place < from) {
            self.head += 1;
        }
        self.held.get(self.head).map_or(f64::NAN, |(value, _)| *value)
    }
}

/// `max_over_time`, and with `sign` -1 `min_over_time`. `queue` is memory.
pub(super) fn extreme(
    sign: f64,
    values: &[f64],
    spans: &[Span],
    queue: &mut Queue,
    row: &mut Row<'_>,
) -> usize {
    queue.clear();
    let mut next = 0;
    row.fill(spans, 1, |span, _| {
        // Samples between two windows are in neither.
        next = next.max(span.first);
        for place in next..span.last {
            queue.push(sign * values[place as usize], place);
        }
        next = next.max(span.last);
        sign * queue.front(span.first)
    })
}

/// The time of the largest value, with `sign` -1 of the smallest; of equal ones the last.
pub(super) fn time_of_extreme(
    sign: f64,
    (times, values): (&[TimestampMs], &[f64]),
    spans: &[Span],
    row: &mut Row<'_>,
) -> usize {
    row.fill(spans, 1, |span, _| {
        let (mut best, mut at) = (f64::NAN, 0);
        for (i, value) in span.of(values).iter().enumerate() {
            let value = sign * value;
            if value >= best || best.is_nan() {
                (best, at) = (value, i);
            }
        }
        span.of(times)[at] as f64 / 1000.0
    })
}
