//! Quantiles of a window: `quantile_over_time`, `mad_over_time`.
//!
//! Follows `quantile` in Prometheus' `promql/quantile.go` (3.14): NaN is the smallest value.

use std::cmp::Ordering;

use super::Row;
use super::windows::Span;

fn nan_first(a: &f64, b: &f64) -> Ordering {
    a.partial_cmp(b).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()))
}

/// The `q`-quantile of some values, whose order it changes; infinite where `q` lies outside
/// `[0, 1]`.
pub(super) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let lower = rank.floor();
    let weight = rank - lower;
    let (_, at, above) = values.select_nth_unstable_by(lower as usize, nan_first);
    let low = *at;
    let high = above.iter().copied().min_by(nan_first).unwrap_or(low);
    low * (1.0 - weight) + high * weight
}

/// `quantile_over_time`; `q` has a value for each window, `scratch` is memory.
pub(super) fn of_windows(
    q: &[f64],
    values: &[f64],
    spans: &[Span],
    scratch: &mut Vec<f64>,
    row: &mut Row<'_>,
) -> usize {
    row.fill(spans, 1, |span, k| {
        scratch.clear();
        scratch.extend_from_slice(span.of(values));
        quantile(q[k], scratch)
    })
}

/// `mad_over_time`: the median distance from the median; NaN where any value is.
pub(super) fn median_deviation(
    values: &[f64],
    spans: &[Span],
    scratch: &mut Vec<f64>,
    row: &mut Row<'_>,
) -> usize {
    row.fill(spans, 1, |span, _| {
        let values = span.of(values);
        if values.iter().any(|value| value.is_nan()) {
            return f64::NAN;
        }
        scratch.clear();
        scratch.extend_from_slice(values);
        let median = quantile(0.5, scratch);
        scratch.iter_mut().for_each(|value| *value = (*value - median).abs());
        quantile(0.5, scratch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(0.25, &mut [4.0, 1.0, 3.0, 2.0]), 1.75);
        assert_eq!(quantile(1.0, &mut [4.0, 1.0]), 4.0);
        assert_eq!(quantile(0.5, &mut [7.0]), 7.0);
        assert_eq!(quantile(1.1, &mut [7.0]), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut [7.0]).is_nan());
    }

    #[test]
    fn nan_is_the_smallest_value() {
        assert!(quantile(0.0, &mut [1.0, f64::NAN, 2.0]).is_nan());
        assert_eq!(quantile(1.0, &mut [1.0, f64::NAN, 2.0]), 2.0);
    }
}
