//! Functions that compare the ends of a window, or neighbours in it: `rate`, `increase`, `delta`,
//! `irate`, `idelta`, `changes`, `resets`.
//!
//! Each follows its namesake in Prometheus' `promql/functions.go` (3.14), with the same order of
//! floating-point operations. `rate` needs the first and last sample of a window and the resets
//! between: resets are found once a series, and how far a window is extrapolated is reckoned once a
//! timeline, so that a window costs the same whatever its length.

use super::Row;
use super::evaluator::CHECK_WINDOWS;
use super::windows::{Span, Windows};
use crate::sample::TimestampMs;

/// A window's gaps to its bounds are bridged up to this multiple of the mean interval.
const EXTRAPOLATION_FACTOR: f64 = 1.1;

/// What the times of a window of two samples or more say about extrapolating it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Edge {
    /// Seconds between the first and the last sample.
    sampled: f64,
    /// Seconds by which the window is extended to both sides.
    to_start: f64,
    to_end: f64,
    /// What the difference is multiplied with, unless a counter would start below zero.
    factor: f64,
    /// A counter that began at this share of its growth or above did not.
    above_zero: f64,
}

/// Which of the functions that extrapolate.
#[derive(Debug, Clone, Copy)]
pub(super) struct RateKind {
    /// Whether a fall is a reset to zero.
    pub(super) counter: bool,
    /// Whether it is per second.
    pub(super) per_second: bool,
}

/// Fills the edges of all windows.
pub(super) fn find_edges(
    kind: RateKind,
    windows: &Windows,
    times: &[TimestampMs],
    spans: &[Span],
    edges: &mut Vec<Edge>,
) {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    edges.clear();
    edges.extend(spans.iter().enumerate().map(|(k, span)| {
        let [first, .., last] = span.of(times) else { return Edge::default() };
        let mut edge = Edge {
            sampled: seconds(last - first),
            to_start: seconds(first - windows.start(k)),
            to_end: seconds(windows.end(k) - last),
            ..Edge::default()
        };
        let interval = edge.sampled / (span.len() - 1) as f64;
        let threshold = interval * EXTRAPOLATION_FACTOR;
        if edge.to_start >= threshold {
            edge.to_start = interval / 2.0;
        }
        if edge.to_end >= threshold {
            edge.to_end = interval / 2.0;
        }
        edge.factor = factor(kind, windows, &edge, edge.to_start);
        // A little more than exact, so that rounding never decides.
        edge.above_zero = edge.to_start / edge.sampled * (1.0 + 1e-9);
        edge
    }));
}

#[inline(always)]
fn factor(kind: RateKind, windows: &Windows, edge: &Edge, to_start: f64) -> f64 {
    let factor = (edge.sampled + to_start + edge.to_end) / edge.sampled;
    if kind.per_second { factor / (windows.range_ms as f64 / 1000.0) } else { factor }
}

/// Differences below this are not judged by [`Edge::above_zero`], which could underflow.
const JUDGED_MIN: f64 = 1e-290;

/// `rate`, `increase`, `delta`. `resets` is memory for the places of resets.
pub(super) fn extrapolated(
    kind: RateKind,
    windows: &Windows,
    (values, spans, edges): (&[f64], &[Span], &[Edge]),
    resets: &mut Vec<u32>,
    row: &mut Row<'_>,
) -> usize {
    resets.clear();
    if kind.counter {
        find_resets(values, resets);
    }
    let (mut count, mut reset) = (0, 0);
    let cells = row.values.iter_mut().zip(row.present.iter_mut());
    for ((cell, present), (span, edge)) in cells.zip(spans.iter().zip(edges)) {
        let [first, .., last] = span.of(values) else {
            *present = 0;
            continue;
        };
        let mut result = last - first;
        if !resets.is_empty() {
            if count % CHECK_WINDOWS == 0 && row.cancel.is_canceled() {
                return 0;
            }
            while reset < resets.len() && resets[reset] <= span.first {
                reset += 1;
            }
            for at in resets[reset..].iter().take_while(|at| **at < span.last) {
                result += values[*at as usize - 1];
            }
        }
        let mut by = edge.factor;
        if kind.counter && result > 0.0 && *first >= 0.0 {
            // A counter cannot have been below zero: extrapolate to its zero at most.
            let clear = *first >= edge.above_zero * result && result >= JUDGED_MIN;
            if !clear {
                let to_zero = edge.sampled * (first / result);
                if to_zero < edge.to_start {
                    by = factor(kind, windows, edge, to_zero);
                }
            }
        }
        *cell = result * by;
        *present = 1;
        count += 1;
    }
    count
}

/// The places of samples that are smaller than the one before.
fn find_resets(values: &[f64], resets: &mut Vec<u32>) {
    const STRIDE: usize = 16;
    let mut at = 1;
    while at < values.len() {
        let end = (at + STRIDE).min(values.len());
        let (before, now) = (&values[at - 1..end - 1], &values[at..end]);
        // Without a branch inside: nearly every stretch has none.
        let any = before.iter().zip(now).fold(false, |any, (a, b)| any | (b < a));
        if any {
            let fell = before.iter().zip(now).enumerate().filter(|(_, (a, b))| b < a);
            resets.extend(fell.map(|(i, _)| (at + i) as u32));
        }
        at = end;
    }
}

/// `irate` (a counter, per second) and `idelta`: the last two samples of each window.
pub(super) fn instant(
    counter: bool,
    (times, values): (&[TimestampMs], &[f64]),
    spans: &[Span],
    row: &mut Row<'_>,
) -> usize {
    row.fill(spans, 2, |span, _| {
        let at = span.last as usize - 1;
        let (value, previous) = (values[at], values[at - 1]);
        let difference = if counter && value < previous { value } else { value - previous };
        let seconds = (times[at] - times[at - 1]) as f64 / 1000.0;
        if counter { difference / seconds } else { difference }
    })
}

/// `changes` and `resets`: how many samples of a window differ, as `marks` says, from the one
/// before. `before` is memory.
pub(super) fn count_marks(
    marks: impl Fn(f64, f64) -> bool,
    values: &[f64],
    spans: &[Span],
    before: &mut Vec<u32>,
    row: &mut Row<'_>,
) -> usize {
    // So many marks are at or before each sample.
    before.clear();
    before.push(0);
    let mut seen = 0;
    before.extend(values.windows(2).map(|pair| {
        seen += u32::from(marks(pair[0], pair[1]));
        seen
    }));
    row.fill(spans, 1, |span, _| {
        f64::from(before[span.last as usize - 1] - before[span.first as usize])
    })
}

/// From NaN to NaN is no change.
pub(super) fn is_change(previous: f64, value: f64) -> bool {
    value != previous && !(value.is_nan() && previous.is_nan())
}

/// A counter that fell.
pub(super) fn is_reset(previous: f64, value: f64) -> bool {
    value < previous
}
