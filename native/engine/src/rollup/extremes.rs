//! The largest and the smallest of a window, and when they were: `max_over_time`, `min_over_time`,
//! `ts_of_max_over_time`, `ts_of_min_over_time`.
//!
//! The extremes of equal blocks of samples are found once a series, so that a window looks at few
//! samples besides the blocks that lie in it, and at those without a branch. NaN counts only where a
//! window has nothing else.

use super::Row;
use super::windows::Span;
use crate::sample::TimestampMs;

/// Samples of a block.
const BLOCK: usize = 32;
/// Extremes that are found side by side, since one waits for the one before.
const LANES: usize = 8;

/// `max_over_time` where `better` is [`f64::max`], `min_over_time` with [`f64::min`]. `blocks` is
/// memory.
#[inline(always)]
pub(super) fn extreme(
    better: impl Fn(f64, f64) -> f64 + Copy,
    values: &[f64],
    spans: &[Span],
    blocks: &mut Vec<f64>,
    row: &mut Row<'_>,
) -> usize {
    // Only worth it where windows overlap: otherwise each looks at its own samples.
    let seen: usize = spans.iter().map(|span| span.len()).sum();
    blocks.clear();
    if seen > 2 * values.len() {
        blocks.extend(values.chunks_exact(BLOCK).map(|block| of_all(better, block)));
    }
    row.fill(spans, 1, |span, _| {
        let (first, last) = (span.first as usize, span.last as usize);
        let (from, to) = (first.div_ceil(BLOCK), last / BLOCK);
        let found = if from < to && to <= blocks.len() {
            let ends = (&values[first..from * BLOCK], &values[to * BLOCK..last]);
            let ends = better(of_all(better, ends.0), of_all(better, ends.1));
            better(ends, of_all(better, &blocks[from..to]))
        } else {
            of_all(better, span.of(values))
        };
        // Zeros differ in sign, and Prometheus keeps the first of equal values.
        let zero = || span.of(values).iter().copied().find(|value| *value == 0.0);
        if found == 0.0 { zero().unwrap_or(found) } else { found }
    })
}

/// NaN where there is nothing else.
#[inline(always)]
fn of_all(better: impl Fn(f64, f64) -> f64, values: &[f64]) -> f64 {
    let (stretches, rest) = values.as_chunks::<LANES>();
    let mut lanes = [f64::NAN; LANES];
    for stretch in stretches {
        for (lane, value) in lanes.iter_mut().zip(stretch) {
            *lane = better(*lane, *value);
        }
    }
    lanes.iter().chain(rest).fold(f64::NAN, |best, value| better(best, *value))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cancel::Cancel;
    use proptest::prelude::*;

    /// What Prometheus keeps of two values: the first one unless the second is better.
    fn kept(better: fn(&f64, &f64) -> bool) -> impl Fn(f64, f64) -> f64 {
        move |best, value| if better(&value, &best) || best.is_nan() { value } else { best }
    }

    fn any_value() -> impl Strategy<Value = f64> {
        let special = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0];
        prop_oneof![8 => -3.0..40.0, 3 => prop::sample::select(special)]
    }

    proptest! {
        #[test]
        fn extremes_are_those_of_each_window(
            values in prop::collection::vec(any_value(), 1..300),
            (length, stride) in (1usize..250, 1usize..40),
        ) {
            let spans: Vec<Span> = (0..values.len())
                .step_by(stride)
                .map(|last| Span { first: last.saturating_sub(length) as u32, last: last as u32 })
                .collect();
            let (mut cells, mut present) = (vec![0.0; spans.len()], vec![0; spans.len()]);
            let (mut blocks, cancel) = (Vec::new(), Cancel::default());
            for max in [true, false] {
                let mut row =
                    Row { values: &mut cells, present: &mut present, cancel: &cancel };
                if max {
                    extreme(f64::max, &values, &spans, &mut blocks, &mut row);
                } else {
                    extreme(f64::min, &values, &spans, &mut blocks, &mut row);
                }
                let keep = kept(if max { f64::gt } else { f64::lt });
                for (k, span) in spans.iter().enumerate() {
                    let want = span.of(&values).iter().copied().reduce(&keep);
                    prop_assert_eq!(u8::from(want.is_some()), present[k]);
                    let same = want.is_none_or(|want| {
                        want.to_bits() == cells[k].to_bits() || want.is_nan() && cells[k].is_nan()
                    });
                    prop_assert!(same, "window {}: got {}, want {:?}", k, cells[k], want);
                }
            }
        }
    }
}
