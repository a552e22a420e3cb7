//! From the samples of one series to a row.

use super::function::{Function, Rollup};
use super::windows::{Span, Timelines};
use super::{extremes, over_time, quantile, rate, regression};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::run::RunSlice;
use crate::sample::{TimestampMs, is_stale};
use crate::sync::Arc;

/// Where the values of one series go: a cell a step.
pub(super) struct Row<'a> {
    /// Values; those of absent cells mean nothing.
    pub(super) values: &'a mut [f64],
    /// 1 where there is a value, else 0; as long.
    pub(super) present: &'a mut [u8],
    pub(super) cancel: &'a Cancel,
}

/// Windows between two looks at the cancel flag: a window may have a million samples.
pub(super) const CHECK_WINDOWS: usize = 16;

impl Row<'_> {
    /// Fills the cells whose windows have `least` samples or more, empties the others, and returns
    /// how many were filled. `reduce` gets the window and its number.
    #[inline(always)]
    pub(super) fn fill(
        &mut self,
        spans: &[Span],
        least: usize,
        mut reduce: impl FnMut(Span, usize) -> f64,
    ) -> usize {
        let mut count = 0;
        let cells = self.values.iter_mut().zip(self.present.iter_mut()).zip(spans);
        for (k, ((value, present), span)) in cells.enumerate() {
            if k % CHECK_WINDOWS == 0 && self.cancel.is_canceled() {
                return 0;
            }
            if span.len() < least {
                *present = 0;
                continue;
            }
            *value = reduce(*span, k);
            *present = 1;
            count += 1;
        }
        count
    }
}

/// Memory that is used again from series to series.
#[derive(Debug, Default)]
struct Scratch {
    numbers: Vec<f64>,
    places: Vec<u32>,
}

/// Evaluates a [`Rollup`] for series after series. Belongs to one thread.
#[derive(Debug)]
pub struct Evaluator {
    rollup: Arc<Rollup>,
    timelines: Timelines,
    scratch: Scratch,
    /// The samples of a series without its stale markers.
    times: Vec<TimestampMs>,
    values: Vec<f64>,
    /// That of the rollup that follows.
    next: Option<Box<Evaluator>>,
}

impl Evaluator {
    /// An evaluator without memory as yet.
    pub fn new(rollup: Arc<Rollup>) -> Self {
        let next = rollup.next.clone().map(|next| Box::new(Self::new(next)));
        Self {
            rollup,
            next,
            timelines: Timelines::default(),
            scratch: Scratch::default(),
            times: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Fills a row, which has a cell a step, from samples that are floats, and returns how many
    /// cells have a value: `present` is 1 for these, else 0.
    ///
    /// # Errors
    /// `canceled`.
    pub fn evaluate(
        &mut self,
        samples: &RunSlice<'_>,
        cells: &mut [f64],
        present: &mut [u8],
    ) -> Result<usize> {
        let rollup = Arc::clone(&self.rollup);
        let steps = rollup.windows.steps;
        let (cells, cells_behind) = cells.split_at_mut(steps);
        let (present, present_behind) = present.split_at_mut(steps);
        let mut row = Row { values: cells, present, cancel: &rollup.cancel };
        let count = self.fill(samples, &mut row);
        rollup.cancel.check()?;
        match &mut self.next {
            Some(next) => Ok(count + next.evaluate(samples, cells_behind, present_behind)?),
            None => Ok(count),
        }
    }

    fn fill(&mut self, samples: &RunSlice<'_>, row: &mut Row<'_>) -> usize {
        let Self { rollup, timelines, scratch, times, values, .. } = self;
        let drops = rollup.function.drops_stale() && samples.values.iter().any(|v| is_stale(*v));
        if !drops {
            let samples = (samples.timestamps, samples.values);
            return evaluate(rollup, samples, timelines, scratch, row);
        }
        times.clear();
        values.clear();
        for (t, v) in samples.timestamps.iter().zip(samples.values) {
            if !is_stale(*v) {
                times.push(*t);
                values.push(*v);
            }
        }
        evaluate(rollup, (times, values), timelines, scratch, row)
    }
}

fn evaluate(
    rollup: &Rollup,
    (times, values): (&[TimestampMs], &[f64]),
    timelines: &mut Timelines,
    scratch: &mut Scratch,
    row: &mut Row<'_>,
) -> usize {
    let Rollup { function, windows, .. } = rollup;
    let (timeline, is_new) = timelines.get(times, windows);
    if !timeline.any {
        row.present.fill(0);
        return 0;
    }
    if let Some(kind) = function.rate_kind() {
        if is_new {
            rate::find_edges(kind, windows, times, &timeline.spans, &mut timeline.edges);
        }
        let series = (values, &timeline.spans[..], &timeline.edges[..]);
        return rate::extrapolated(kind, windows, series, &mut scratch.places, row);
    }
    let spans = &timeline.spans[..];
    let samples = (times, values);
    let newest = |span: Span| span.last as usize - 1;
    let seconds = |at: usize| times[at] as f64 / 1000.0;
    let Scratch { numbers, places } = scratch;
    match function {
        Function::Value => lookback(values, spans, row, |at| values[at]),
        Function::Timestamp => lookback(values, spans, row, seconds),
        // Above.
        Function::Rate | Function::Increase | Function::Delta => 0,
        Function::Irate => rate::instant(true, samples, spans, row),
        Function::Idelta => rate::instant(false, samples, spans, row),
        Function::Changes => rate::count_marks(rate::is_change, values, spans, places, row),
        Function::Resets => rate::count_marks(rate::is_reset, values, spans, places, row),
        Function::Deriv => regression::derivative(samples, spans, row),
        Function::PredictLinear => {
            let line = (rollup.parameter(0), rollup.parameter(1));
            regression::prediction(samples, spans, line, row)
        }
        Function::Avg => over_time::total(true, values, spans, numbers, row),
        Function::Sum => over_time::total(false, values, spans, numbers, row),
        Function::Min => extremes::extreme(f64::min, values, spans, numbers, row),
        Function::Max => extremes::extreme(f64::max, values, spans, numbers, row),
        Function::Count => row.fill(spans, 1, |span, _| span.len() as f64),
        Function::Present => row.fill(spans, 1, |_, _| 1.0),
        Function::Last => row.fill(spans, 1, |span, _| values[newest(span)]),
        Function::First => row.fill(spans, 1, |span, _| values[span.first as usize]),
        Function::TimeOfLast => row.fill(spans, 1, |span, _| seconds(newest(span))),
        Function::TimeOfFirst => row.fill(spans, 1, |span, _| seconds(span.first as usize)),
        Function::TimeOfMax => extremes::time_of_extreme(1.0, samples, spans, row),
        Function::TimeOfMin => extremes::time_of_extreme(-1.0, samples, spans, row),
        Function::Stddev => over_time::variance(true, values, spans, row),
        Function::Stdvar => over_time::variance(false, values, spans, row),
        Function::Quantile => {
            quantile::of_windows(rollup.parameter(0), values, spans, numbers, row)
        }
        Function::Mad => quantile::median_deviation(values, spans, numbers, row),
        Function::Smoothing => {
            let factors = (rollup.parameter(0), rollup.parameter(1));
            over_time::smoothing(values, spans, factors, row)
        }
    }
}

/// The newest sample of each window, unless it is a stale marker.
fn lookback(
    values: &[f64],
    spans: &[Span],
    row: &mut Row<'_>,
    cell: impl Fn(usize) -> f64,
) -> usize {
    let mut count = 0;
    let cells = row.values.iter_mut().zip(row.present.iter_mut()).zip(spans);
    for ((value, present), span) in cells {
        let at = span.last.wrapping_sub(1) as usize;
        let found = !span.is_empty() && !is_stale(values[at]);
        if found {
            *value = cell(at);
        }
        *present = u8::from(found);
        count += usize::from(found);
    }
    count
}
