//! Straight lines through the samples of a window: `deriv`, `predict_linear`.
//!
//! Follows `linearRegression` in Prometheus' `promql/functions.go` (3.14).

use super::Row;
use super::kahan::KahanSum;
use super::windows::Span;
use crate::sample::TimestampMs;

/// A line; times count in seconds from where it was asked to.
struct Line {
    slope: f64,
    intercept: f64,
}

/// Least squares; times count from `origin`, in milliseconds. At least one sample.
fn fit(times: &[TimestampMs], values: &[f64], origin: f64) -> Line {
    let first = values.first().copied().unwrap_or(f64::NAN);
    if !values.iter().skip(1).any(|value| *value != first) {
        let line = if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
        return Line { slope: line.0, intercept: line.1 };
    }
    let [mut x, mut y, mut xy, mut xx] = [KahanSum::default(); 4];
    for (t, value) in times.iter().zip(values) {
        let time = (*t as f64 - origin) / 1e3;
        x.add(time);
        y.add(*value);
        xy.add(time * value);
        xx.add(time * time);
    }
    let count = values.len() as f64;
    let (sum_x, sum_y) = (x.value(), y.value());
    let covariance = xy.value() - sum_x * sum_y / count;
    let variance = xx.value() - sum_x * sum_x / count;
    let slope = covariance / variance;
    Line { slope, intercept: sum_y / count - slope * sum_x / count }
}

/// `deriv`: times count from the window's first sample.
pub(super) fn derivative(
    (times, values): (&[TimestampMs], &[f64]),
    spans: &[Span],
    row: &mut Row<'_>,
) -> usize {
    row.fill(spans, 2, |span, _| {
        fit(span.of(times), span.of(values), times[span.first as usize] as f64).slope
    })
}

/// `predict_linear`: the value `ahead[k]` seconds after the evaluation time `at[k]`, which is not
/// the window's end where `offset` or `@` has moved that.
pub(super) fn prediction(
    (times, values): (&[TimestampMs], &[f64]),
    spans: &[Span],
    (ahead, at): (&[f64], &[f64]),
    row: &mut Row<'_>,
) -> usize {
    row.fill(spans, 2, |span, k| {
        let line = fit(span.of(times), span.of(values), at[k]);
        line.slope * ahead[k] + line.intercept
    })
}
