//! The `*_over_time` family, but for quantiles and extremes.
//!
//! Values are those of Prometheus' `promql/functions.go` (3.14) to the last bit where that is
//! defined by an order of additions. Sums of whole numbers are exact in any order, so those (most
//! counters and gauges) come from sums up to each sample; others are added up window by window with
//! compensation.

use super::Row;
use super::kahan::{self, KahanSum};
use super::windows::Span;

/// `sum_over_time` and `avg_over_time`. `prefix` is memory.
pub(super) fn total(
    average: bool,
    values: &[f64],
    spans: &[Span],
    prefix: &mut Vec<f64>,
    row: &mut Row<'_>,
) -> usize {
    if sum_up(values, prefix) {
        return row.fill(spans, 1, |span, _| {
            let sum = prefix[span.last as usize] - prefix[span.first as usize];
            if average { sum / span.len() as f64 } else { sum }
        });
    }
    let reduce = if average { kahan::mean } else { kahan::total };
    row.fill(spans, 1, |span, _| reduce(span.of(values)))
}

/// The integers that a double holds exactly.
const EXACT_MAX: f64 = ((1u64 << 53) - 1) as f64;

/// Fills in the sums before each sample; false when a value is not whole or a sum might be rounded.
fn sum_up(values: &[f64], prefix: &mut Vec<f64>) -> bool {
    prefix.clear();
    prefix.push(0.0);
    let (mut sum, mut size) = (0.0, 0.0);
    for stretch in values.chunks(64) {
        // The cast saturates, so infinities, NaN and what is too large come back as something else.
        if !stretch.iter().all(|value| (*value as i64) as f64 == *value) {
            return false;
        }
        for value in stretch {
            sum += value;
            size += value.abs();
            prefix.push(sum);
        }
    }
    size <= EXACT_MAX
}

/// `stddev_over_time` and `stdvar_over_time`: Welford's method with compensation.
pub(super) fn variance(root: bool, values: &[f64], spans: &[Span], row: &mut Row<'_>) -> usize {
    row.fill(spans, 1, |span, _| {
        let (mut mean, mut squares) = (KahanSum::default(), KahanSum::default());
        for (i, value) in span.of(values).iter().enumerate() {
            let delta = value - mean.value();
            mean.add(delta / (i as f64 + 1.0));
            squares.add(delta * (value - mean.value()));
        }
        let variance = squares.value() / span.len() as f64;
        if root { variance.sqrt() } else { variance }
    })
}

/// `double_exponential_smoothing`, whose factors the caller has checked.
pub(super) fn smoothing(
    values: &[f64],
    spans: &[Span],
    (smoothing, trend): (&[f64], &[f64]),
    row: &mut Row<'_>,
) -> usize {
    row.fill(spans, 2, |span, k| {
        let (sf, tf) = (smoothing[k], trend[k]);
        let [first, second, ..] = span.of(values) else { return f64::NAN };
        let (mut older, mut level, mut slope) = (0.0, *first, second - first);
        for (i, value) in span.of(values)[1..].iter().enumerate() {
            if i > 0 {
                slope = tf * (level - older) + (1.0 - tf) * slope;
            }
            let next = sf * value + (1.0 - sf) * (level + slope);
            (older, level) = (level, next);
        }
        level
    })
}
