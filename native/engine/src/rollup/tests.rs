//! The functions against their definitions, window by window.

use proptest::prelude::*;

use super::windows::Windows;
use super::{Evaluator, Function, Rollup};
use crate::cancel::Cancel;
use crate::error::ErrorCode;
use crate::run::{Needs, RunSlice};
use crate::sample::STALE_BITS;
use crate::sync::Arc;

fn rows_of(function: Function, windows: Windows, series: &[(Vec<i64>, Vec<f64>)]) -> Vec<Vec<f64>> {
    let parameters = vec![0.3; function.parameters() * windows.steps];
    let rollup = Rollup::new(function, windows, parameters, Cancel::default())
        .expect("as many parameters as wanted");
    let mut evaluator = Evaluator::new(Arc::new(rollup));
    let evaluate = |(times, values): &(Vec<i64>, Vec<f64>)| {
        let mut cells = vec![f64::MIN; windows.steps];
        let mut present = vec![7; windows.steps];
        let samples = RunSlice::floats(times, values);
        let count = evaluator.evaluate(&samples, &mut cells, &mut present).expect("no cancel");
        assert_eq!(count, present.iter().filter(|flag| **flag == 1).count());
        assert!(present.iter().all(|flag| *flag < 2));
        let absent = f64::from_bits(STALE_BITS);
        cells.iter().zip(&present).map(|(v, p)| if *p == 1 { *v } else { absent }).collect()
    };
    series.iter().map(evaluate).collect()
}

/// `rate` as Prometheus writes it down, of the samples of one window.
fn plain_rate(windows: &Windows, k: usize, samples: &[(i64, f64)]) -> Option<f64> {
    let ([(t0, first), .., (t1, last)], n) = (samples, samples.len()) else { return None };
    let mut result = last - first;
    for pair in samples.windows(2) {
        if pair[1].1 < pair[0].1 {
            result += pair[0].1;
        }
    }
    let mut to_start = (t0 - windows.start(k)) as f64 / 1000.0;
    let mut to_end = (windows.end(k) - t1) as f64 / 1000.0;
    let sampled = (t1 - t0) as f64 / 1000.0;
    let interval = sampled / (n - 1) as f64;
    if to_start >= interval * 1.1 {
        to_start = interval / 2.0;
    }
    if result > 0.0 && *first >= 0.0 {
        to_start = to_start.min(sampled * (first / result));
    }
    if to_end >= interval * 1.1 {
        to_end = interval / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled / (windows.range_ms as f64 / 1000.0);
    Some(result * factor)
}

fn inside(windows: &Windows, k: usize, times: &[i64], values: &[f64]) -> Vec<(i64, f64)> {
    let (start, end) = (windows.start(k), windows.end(k));
    let all = times.iter().copied().zip(values.iter().copied());
    all.filter(|(t, v)| start < *t && *t <= end && v.to_bits() != STALE_BITS).collect()
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-3i32..30).prop_map(f64::from),
        3 => -5.0..40.0,
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 1e-300, 5e-324, -0.0, 1e17,
            f64::from_bits(STALE_BITS),
        ]),
    ]
}

fn any_series() -> impl Strategy<Value = (Vec<i64>, Vec<f64>)> {
    prop::collection::vec((1i64..30_000, any_value()), 0..60).prop_map(|samples| {
        let mut time = 0;
        samples
            .into_iter()
            .map(|(gap, v)| {
                time += gap;
                (time, v)
            })
            .unzip()
    })
}

fn any_windows() -> impl Strategy<Value = Windows> {
    (0i64..400_000, 1i64..90_000, 1i64..300_000, 1usize..12).prop_map(
        |(first_end, stride_ms, range_ms, steps)| Windows { first_end, stride_ms, range_ms, steps },
    )
}

proptest! {
    #[test]
    fn functions_are_what_they_are_of_each_window(
        series in prop::collection::vec(any_series(), 1..4), windows in any_windows(),
    ) {
        type Of = fn(&Windows, usize, &[(i64, f64)]) -> Option<f64>;
        let defined: [(Function, Of); 7] = [
            (Function::Rate, plain_rate),
            (Function::Count, |_, _, all| (!all.is_empty()).then_some(all.len() as f64)),
            (Function::Last, |_, _, all| Some(all.last()?.1)),
            (Function::Max, |_, _, all| {
                let largest = |a: f64, b: f64| if b > a || a.is_nan() { b } else { a };
                all.iter().map(|(_, v)| *v).reduce(largest)
            }),
            (Function::TimeOfMin, |_, _, all| {
                let smallest = |a: (i64, f64), b: (i64, f64)| {
                    if b.1 <= a.1 || a.1.is_nan() { b } else { a }
                };
                Some(all.iter().copied().reduce(smallest)?.0 as f64 / 1000.0)
            }),
            (Function::Changes, |_, _, all| {
                let differs = |p: &&[(i64, f64)]| {
                    p[0].1 != p[1].1 && !(p[0].1.is_nan() && p[1].1.is_nan())
                };
                (!all.is_empty()).then(|| all.windows(2).filter(differs).count() as f64)
            }),
            (Function::Irate, |_, _, all| {
                let [.., (t0, a), (t1, b)] = all else { return None };
                Some((if b < a { *b } else { b - a }) / ((t1 - t0) as f64 / 1000.0))
            }),
        ];
        for (function, define) in defined {
            let rows = rows_of(function, windows, &series);
            for (row, (times, values)) in rows.iter().zip(&series) {
                for (k, got) in row.iter().enumerate() {
                    let want = define(&windows, k, &inside(&windows, k, times, values));
                    let want = want.unwrap_or(f64::from_bits(STALE_BITS));
                    let same = want.to_bits() == got.to_bits()
                        || (want.is_nan() && got.is_nan() && want.to_bits() != STALE_BITS
                            && got.to_bits() != STALE_BITS)
                        || (want == 0.0 && *got == 0.0);
                    prop_assert!(same, "{:?} at {}: got {}, want {}", function, k, got, want);
                }
            }
        }
    }

    #[test]
    fn whole_numbers_are_summed_like_others(
        whole in prop::collection::vec(-1000i64..1000, 2..50), windows in any_windows(),
    ) {
        let times: Vec<i64> = (1..=whole.len() as i64).map(|i| i * 10_000).collect();
        let values: Vec<f64> = whole.iter().map(|v| *v as f64).collect();
        for function in [Function::Sum, Function::Avg] {
            let rows = rows_of(function, windows, &[(times.clone(), values.clone())]);
            for (k, got) in rows[0].iter().enumerate() {
                let all = inside(&windows, k, &times, &values);
                if !all.is_empty() {
                    let sum: f64 = all.iter().map(|(_, v)| *v).sum();
                    let count = if function == Function::Avg { all.len() as f64 } else { 1.0 };
                    prop_assert_eq!(*got, sum / count);
                }
            }
        }
    }
}

#[test]
fn a_lookback_ends_at_a_stale_marker() {
    let windows = Windows { first_end: 10, stride_ms: 10, range_ms: 16, steps: 4 };
    let series = (vec![5, 18, 32], vec![1.0, f64::from_bits(STALE_BITS), 3.0]);
    let found = |function| rows_of(function, windows, std::slice::from_ref(&series)).remove(0);
    let values: Vec<bool> = found(Function::Value).iter().map(|v| !v.is_nan()).collect();
    assert_eq!(values, [true, false, false, true]);
    assert_eq!(found(Function::Timestamp)[3], 0.032);
    assert_eq!(found(Function::Last)[1], 1.0, "a range has no stale markers");
}

#[test]
fn what_needs_no_values_gives_the_same_without_them() {
    let windows = Windows { first_end: 10, stride_ms: 7, range_ms: 16, steps: 9 };
    let stale = f64::from_bits(STALE_BITS);
    let times: Vec<i64> = vec![5, 18, 21, 32, 33, 50, 61];
    let whole = (times.clone(), vec![1.0, stale, f64::NAN, 3.0, stale, -7.5, f64::INFINITY]);
    let bare = (times, vec![0.0, stale, 0.0, 0.0, stale, 0.0, 0.0]);
    let mut without = Vec::new();
    for function in super::function::all() {
        let rollup =
            Rollup::new(function, windows, vec![0.3; function.parameters() * 9], Cancel::default());
        if rollup.expect("as many parameters as wanted").needs() == Needs::Staleness {
            let bits = |series: &(Vec<i64>, Vec<f64>)| {
                let rows = rows_of(function, windows, std::slice::from_ref(series));
                rows[0].iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            };
            assert_eq!(bits(&whole), bits(&bare), "{function:?}");
            without.push(function);
        }
    }
    assert!(without.contains(&Function::Timestamp) && without.contains(&Function::Count));
}

#[test]
fn a_line_is_continued() {
    let windows = Windows { first_end: 40_000, stride_ms: 0, range_ms: 60_000, steps: 1 };
    let series = ((1..=4).map(|i| i * 10_000).collect(), vec![1.0, 3.0, 5.0, 7.0]);
    assert_eq!(rows_of(Function::Deriv, windows, std::slice::from_ref(&series)), [[0.2]]);
    // 0.3 s ahead of the time 0.0003 s.
    let ahead = rows_of(Function::PredictLinear, windows, &[series])[0][0];
    assert!((ahead - (-1.0 + 0.2 * 0.3)).abs() < 1e-4, "{ahead}");
}

#[test]
fn a_canceled_query_gives_no_row() {
    let cancel = Cancel::default();
    let windows = Windows { first_end: 5, stride_ms: 1, range_ms: 9, steps: 2 };
    let rollup = Rollup::new(Function::Sum, windows, Vec::new(), cancel.clone()).expect("sum");
    let mut evaluator = Evaluator::new(Arc::new(rollup));
    let samples = RunSlice::floats(&[1], &[1.5]);
    let mut evaluate = || evaluator.evaluate(&samples, &mut [0.0; 2], &mut [0; 2]);
    assert_eq!(evaluate().expect("not yet"), 2);
    cancel.cancel();
    assert_eq!(evaluate().map_err(|error| error.code()), Err(ErrorCode::Canceled));
}

#[test]
fn every_name_has_its_function() {
    for name in ["value", "rate", "quantile_over_time", "ts_of_min_over_time"] {
        assert!(Function::named(name).is_some(), "{name}");
    }
    assert_eq!(Function::named("histogram_quantile"), None);
}

#[test]
fn rollups_that_follow_each_other_fill_a_row_one_after_the_other() {
    let short = Windows { first_end: 60_000, stride_ms: 30_000, range_ms: 45_000, steps: 7 };
    let long = Windows { range_ms: 200_000, steps: 5, ..short };
    let times: Vec<i64> = (0..20).map(|i| i * 15_000).collect();
    let mut values: Vec<f64> = (0..20).map(|i| f64::from(i * i % 13)).collect();
    values[8] = f64::from_bits(STALE_BITS);
    let series = [(times, values)];
    let parts = [(Function::Count, short), (Function::Rate, long), (Function::Value, short)];
    let rollup = |(function, windows): (Function, Windows)| {
        Rollup::new(function, windows, Vec::new(), Cancel::default()).expect("no parameters")
    };
    let all = parts.iter().rev().fold(None, |next: Option<Rollup>, part| {
        Some(match next {
            Some(next) => rollup(*part).followed_by(Arc::new(next)),
            None => rollup(*part),
        })
    });
    let all = all.expect("three parts");
    assert_eq!((all.steps(), all.needs()), (19, Needs::Values));
    let (mut cells, mut present) = (vec![0.0; 19], vec![7; 19]);
    let samples = RunSlice::floats(&series[0].0, &series[0].1);
    let mut evaluator = Evaluator::new(Arc::new(all));
    let count = evaluator.evaluate(&samples, &mut cells, &mut present).expect("no cancel");
    assert_eq!(count, present.iter().filter(|flag| **flag == 1).count());
    let absent = f64::from_bits(STALE_BITS);
    let got: Vec<u64> = cells
        .iter()
        .zip(&present)
        .map(|(v, p)| if *p == 1 { v.to_bits() } else { absent.to_bits() })
        .collect();
    let want = parts.iter().flat_map(|(function, windows)| rows_of(*function, *windows, &series));
    let want: Vec<u64> = want.flatten().map(f64::to_bits).collect();
    assert_eq!(got, want);
}
