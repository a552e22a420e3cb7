//! Windows evaluated where the samples are, into rows that JavaScript owns, or added up at once.

use std::time::{Duration, Instant};

use metricstor_engine::error::{Error, Result as EngineResult};
use metricstor_engine::read::evaluate::{Evaluated, Evaluation, Rows};
use metricstor_engine::read::selection::Selection;
use metricstor_engine::rollup::windows::Windows;
use metricstor_engine::rollup::{AggregateOp, Aggregation, Evaluator, Function, Rollup};
use metricstor_engine::run::RunSlice;
use metricstor_engine::sync::Arc;
use napi::bindgen_prelude::{Float64ArraySlice, Uint8ArraySlice, Uint32ArraySlice};
use napi_derive::napi;

use crate::columns::{bytes_of, check_apart};
use crate::error::Result;
use crate::guard::guarded;
use crate::registry;
use crate::session::{JsSelection, time};

/// The longest that a rollup may take: a day.
const TIMEOUT_MAX_MS: f64 = 86_400_000.0;

/// The windows of a rollup.
#[napi(object)]
pub struct JsWindows {
    /// The end of the first one, in milliseconds.
    pub first_end_ms: f64,
    /// From end to end.
    pub stride_ms: f64,
    /// The length of each.
    pub range_ms: f64,
    /// How many.
    pub steps: u32,
}

/// A function and its windows.
#[napi(js_name = "Rollup")]
pub struct JsRollup {
    rollup: Arc<Rollup>,
    evaluator: Evaluator,
    times: Vec<i64>,
    last: Evaluated,
}

fn row_lengths(what: &str, got: [usize; 2], want: usize) -> EngineResult<()> {
    if got.iter().all(|len| *len == want) {
        return Ok(());
    }
    Err(Error::internal(format!("{what}: columns of {got:?} cells, want {want}")))
}

#[napi]
impl JsRollup {
    /// `parameters` are the function's other arguments one after the other, a value a step. Calls
    /// end as canceled once the token is, or so much time has passed.
    #[napi(constructor)]
    pub fn new(
        name: String,
        windows: JsWindows,
        parameters: &[f64],
        token: u32,
        timeout_ms: f64,
    ) -> Result<Self> {
        guarded(|| {
            let known = Function::named(&name);
            let known = known.ok_or_else(|| Error::internal(format!("no function {name}")))?;
            let timeout = Duration::from_millis(timeout_ms.clamp(0.0, TIMEOUT_MAX_MS) as u64);
            let cancel = registry::cancel(token).until(Instant::now() + timeout);
            let windows = Windows {
                first_end: time(windows.first_end_ms),
                stride_ms: time(windows.stride_ms),
                range_ms: time(windows.range_ms),
                steps: windows.steps as usize,
            };
            let rollup = Arc::new(Rollup::new(known, windows, parameters.to_vec(), cancel)?);
            let evaluator = Evaluator::new(rollup.clone());
            Ok(Self { rollup, evaluator, times: Vec::new(), last: Evaluated::default() })
        })
    }

    /// Evaluates the samples of one series, all floats; returns how many cells have a value.
    #[napi]
    pub fn columns(
        &mut self,
        timestamps: &[f64],
        values: &[f64],
        mut cells: Float64ArraySlice<'_>,
        mut present: Uint8ArraySlice<'_>,
    ) -> Result<u32> {
        let spans = [bytes_of(values), bytes_of(&cells), bytes_of(&present)];
        guarded(|| check_apart(spans))?;
        // SAFETY: the call is synchronous, so JavaScript cannot reach the memory meanwhile, and the
        // two overlap with nothing that is read.
        let (cells, present) = unsafe { (cells.as_mut(), present.as_mut()) };
        let Self { rollup, evaluator, times, .. } = self;
        guarded(|| {
            row_lengths("row", [cells.len(), present.len()], rollup.steps())?;
            row_lengths("series", [values.len(); 2], timestamps.len())?;
            times.clear();
            times.extend(timestamps.iter().map(|t| time(*t)));
            let samples = RunSlice::floats(times, values);
            Ok(evaluator.evaluate(&samples, cells, present)? as u32)
        })
    }

    /// Evaluates series of a selection from `first` on: at most one for each of `counts`, which
    /// says how many cells of it have a value, and none further once `samples` were decoded. Row
    /// `i` owns as many cells as there are steps. Returns how many series; fewer also before one
    /// with a histogram.
    #[napi]
    pub fn select(
        &mut self,
        selection: &mut JsSelection,
        first: u32,
        samples: u32,
        mut cells: Float64ArraySlice<'_>,
        mut present: Uint8ArraySlice<'_>,
        mut counts: Uint32ArraySlice<'_>,
    ) -> Result<u32> {
        let spans = [bytes_of(&cells), bytes_of(&present), bytes_of(&counts)];
        guarded(|| check_apart(spans))?;
        // SAFETY: the call is synchronous, so JavaScript cannot reach the memory meanwhile, and the
        // three do not overlap.
        let (cells, present, counts) =
            unsafe { (cells.as_mut(), present.as_mut(), counts.as_mut()) };
        let (rollup, last) = (&self.rollup, &mut self.last);
        guarded(|| {
            let (first, wanted) = (first as usize, counts.len());
            row_lengths("rows", [cells.len(), present.len()], wanted * rollup.steps())?;
            let series = (first, first + wanted);
            let evaluation = Evaluation { rollup, series, samples: samples as usize };
            *last = selection.open()?.evaluate(&evaluation, &mut |rows| {
                let start = rows.first - first;
                let span = start * rows.steps..start * rows.steps + rows.values.len();
                cells[span.clone()].copy_from_slice(rows.values);
                present[span].copy_from_slice(rows.present);
                counts[start..start + rows.counts.len()].copy_from_slice(rows.counts);
            })?;
            Ok(last.series as u32)
        })
    }

    /// Samples that the last call on a selection decoded.
    #[napi(getter)]
    pub fn samples(&self) -> f64 {
        self.last.samples as f64
    }

    /// Samples of the series that had most.
    #[napi(getter)]
    pub fn longest(&self) -> f64 {
        self.last.longest as f64
    }

    /// Whether the call ended before a series with a histogram.
    #[napi(getter)]
    pub fn histogram(&self) -> bool {
        self.last.histogram
    }
}

/// One aggregation, and what of.
struct Part {
    rollup: Arc<Rollup>,
    inner: Aggregation,
}

/// Groups of series whose rows are added up as they are made. It may have several parts, each with
/// its own function, windows and groups: series are decoded once for all of them.
#[napi(js_name = "Aggregation")]
pub struct JsAggregation {
    parts: Vec<Part>,
    last: Evaluated,
}

#[napi]
impl JsAggregation {
    /// An aggregation without parts.
    #[napi(constructor)]
    #[allow(clippy::new_without_default, reason = "made by JavaScript alone")]
    pub fn new() -> Self {
        Self { parts: Vec::new(), last: Evaluated::default() }
    }

    /// Adds a part: the rows of `rollup` of series `i` go into group `groups[i]` of `count`.
    #[napi]
    pub fn add(&mut self, op: String, rollup: &JsRollup, groups: &[u32], count: u32) -> Result<()> {
        let parts = &mut self.parts;
        guarded(|| {
            let known = AggregateOp::named(&op);
            let known = known.ok_or_else(|| Error::internal(format!("no aggregation {op}")))?;
            let rollup = rollup.rollup.clone();
            let groups = groups.to_vec();
            let inner = Aggregation::new(known, rollup.steps(), groups, count as usize)?;
            parts.push(Part { rollup, inner });
            Ok(())
        })
    }

    /// Evaluates series of a selection from `first` on, as [`JsRollup::select`], and adds their
    /// rows. `counts` has an element for every series of the selection and each part, part after
    /// part: how many values the series has there.
    #[napi]
    pub fn select(
        &mut self,
        selection: &mut JsSelection,
        first: u32,
        samples: u32,
        mut counts: Uint32ArraySlice<'_>,
    ) -> Result<u32> {
        // SAFETY: the call is synchronous, so JavaScript cannot reach the memory meanwhile.
        let counts = unsafe { counts.as_mut() };
        let Self { parts, last } = self;
        guarded(|| {
            let selection: &mut Selection = selection.open()?;
            let all = selection.len();
            row_lengths("groups", [counts.len(); 2], all * parts.len())?;
            for part in &*parts {
                row_lengths("groups", [part.inner.series(); 2], all)?;
            }
            let rollup = all_of(parts)?;
            let series = (first as usize, all);
            let evaluation = Evaluation { rollup: &rollup, series, samples: samples as usize };
            *last = selection.evaluate(&evaluation, &mut |rows| add_up(parts, rows, counts))?;
            Ok(last.series as u32)
        })
    }

    /// Samples that the last call decoded.
    #[napi(getter)]
    pub fn samples(&self) -> f64 {
        self.last.samples as f64
    }

    /// Samples of the series that had most.
    #[napi(getter)]
    pub fn longest(&self) -> f64 {
        self.last.longest as f64
    }

    /// Whether the call ended before a series with a histogram.
    #[napi(getter)]
    pub fn histogram(&self) -> bool {
        self.last.histogram
    }

    /// Copies out the results of all cells of a part, and 1 where there is one.
    #[napi]
    pub fn finish(
        &mut self,
        part: u32,
        mut values: Float64ArraySlice<'_>,
        mut present: Uint8ArraySlice<'_>,
    ) -> Result<()> {
        let spans = [bytes_of(&values), bytes_of(&present), 0..0];
        guarded(|| check_apart(spans))?;
        // SAFETY: the call is synchronous, so JavaScript cannot reach the memory meanwhile, and the
        // two do not overlap.
        let (values, present) = unsafe { (values.as_mut(), present.as_mut()) };
        let found = self.parts.get(part as usize);
        guarded(|| {
            let part = found.ok_or_else(|| Error::internal(format!("no part {part}")))?;
            part.inner.finish(values, present)
        })
    }
}

/// The rollups of all parts as one, whose rows have the cells of part after part.
fn all_of(parts: &[Part]) -> EngineResult<Arc<Rollup>> {
    let together = parts.iter().rev().fold(None, |behind: Option<Arc<Rollup>>, part| {
        Some(match behind {
            Some(behind) => Arc::new(Rollup::clone(&part.rollup).followed_by(behind)),
            None => part.rollup.clone(),
        })
    });
    together.ok_or_else(|| Error::internal("an aggregation without parts"))
}

fn add_up(parts: &mut [Part], rows: &Rows<'_>, counts: &mut [u32]) {
    let series = counts.len() / parts.len().max(1);
    for (i, total) in rows.counts.iter().enumerate() {
        if *total == 0 {
            continue;
        }
        let mut at = i * rows.steps;
        for (number, Part { rollup, inner }) in parts.iter_mut().enumerate() {
            let span = at..at + rollup.steps();
            at = span.end;
            let (values, present) = (&rows.values[span.clone()], &rows.present[span]);
            let count: u32 = present.iter().map(|flag| u32::from(*flag)).sum();
            counts[number * series + rows.first + i] = count;
            if count > 0 {
                inner.add(rows.first + i, values, present);
            }
        }
    }
}
