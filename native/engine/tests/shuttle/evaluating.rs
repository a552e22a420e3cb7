//! The threads of one query: rows come in the order of their series whoever makes them, and an
//! error, a cancellation or a histogram ends it for all.

use std::sync::Arc;

use metricstor_engine::cancel::Cancel;
use metricstor_engine::dictionary::Dictionary;
use metricstor_engine::error::{Error, ErrorCode, Result};
use metricstor_engine::histogram::Histogram;
use metricstor_engine::read::evaluate::{Evaluated, Evaluation};
use metricstor_engine::read::selection::Selection;
use metricstor_engine::read::threads::Helpers;
use metricstor_engine::rollup::windows::Windows;
use metricstor_engine::rollup::{Function, Rollup};
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::{Columns, SourceSelection};
use metricstor_engine::sync::{random, thread};

use crate::explore::explore;

const SERIES: usize = 40;
/// The first chunk has so many samples a series that the others are worth three helpers; few of
/// theirs are then in a chunk.
const FIRST: i64 = 20_000;

/// Series `i` has the value `i`.
#[derive(Clone, Copy, Default)]
struct Made {
    damaged: Option<u32>,
    histogram: Option<u32>,
}

impl SourceSelection for Made {
    fn len(&self) -> usize {
        SERIES
    }

    fn labels(&mut self, i: usize, words: &mut Dictionary, out: &mut Vec<u32>) -> Result<()> {
        out.extend([words.intern("n"), words.intern(&format!("{i:06}"))]);
        Ok(())
    }

    fn read(&mut self, which: &[u32], _: TimeRange, out: &mut Columns) -> Result<()> {
        for i in which {
            if self.damaged == Some(*i) {
                return Err(Error::new(ErrorCode::Corruption, "made so"));
            }
            let samples = if *i < 8 { FIRST } else { 2 };
            (0..samples).for_each(|t| out.push(t * 1000, f64::from(*i)));
            if self.histogram == Some(*i) {
                out.histograms.resize(out.timestamps.len(), None);
                out.push(i64::MAX / 4, 1.0);
                out.histograms.push(Some(Arc::new(Histogram::stale())));
            }
            out.end_series();
        }
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn SourceSelection>> {
        Some(Box::new(*self))
    }
}

/// Evaluates; returns also the rows' series as they came.
fn evaluate(made: Made, helpers: &Helpers, cancel: &Cancel) -> (Result<Evaluated>, Vec<usize>) {
    let mut words = Dictionary::default();
    let parts: Vec<Box<dyn SourceSelection>> = vec![Box::new(made)];
    let mut rows = Vec::new();
    let selection = match Selection::new(parts, TimeRange::ALL, &mut words, cancel.clone()) {
        Ok(selection) => selection,
        Err(error) => return (Err(error), rows),
    };
    let windows = Windows { first_end: 1000, stride_ms: 1000, range_ms: 10_000, steps: 2 };
    let rollup = Rollup::new(Function::Last, windows, Vec::new(), cancel.clone()).unwrap();
    let rollup = Arc::new(rollup);
    let evaluation = Evaluation { rollup: &rollup, series: (0, SERIES), samples: usize::MAX };
    let mut selection = selection.with_helpers(helpers.clone());
    let done = selection.evaluate(&evaluation, &mut |chunk| {
        assert_eq!(chunk.first, rows.len(), "rows come in order");
        for row in chunk.values.chunks(chunk.steps).take(chunk.counts.len()) {
            assert_eq!(row[0], rows.len() as f64, "a row is that of its series");
            rows.push(rows.len());
        }
    });
    (done, rows)
}

#[test]
fn rows_come_in_order_to_all_queries_that_share_helpers() {
    explore(40, || {
        let helpers = Helpers::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let (done, rows) = evaluate(Made::default(), &helpers, &Cancel::default());
                    assert_eq!((done.unwrap().series, rows.len()), (SERIES, SERIES));
                });
            }
        });
        assert_eq!(helpers.take(9).count(), 3, "all helpers are given back");
    });
}

#[test]
fn an_error_of_any_thread_ends_it_for_all() {
    explore(80, || {
        let helpers = Helpers::new(3);
        let damaged = (random() % SERIES as u64) as u32;
        let made = Made { damaged: Some(damaged), ..Made::default() };
        let (done, rows) = evaluate(made, &helpers, &Cancel::default());
        assert_eq!(done.unwrap_err().code(), ErrorCode::Corruption);
        assert!(rows.len() <= damaged as usize, "{} rows before {damaged}", rows.len());
        assert_eq!(helpers.take(9).count(), 3, "all helpers are given back");
    });
}

#[test]
fn a_histogram_ends_it_at_its_series() {
    explore(80, || {
        let helpers = Helpers::new(3);
        let histogram = (random() % SERIES as u64) as u32;
        let made = Made { histogram: Some(histogram), ..Made::default() };
        let (done, rows) = evaluate(made, &helpers, &Cancel::default());
        let done = done.unwrap();
        assert_eq!((done.series, done.histogram), (histogram as usize, true));
        assert_eq!(rows.len(), histogram as usize);
    });
}

#[test]
fn a_cancellation_at_any_moment_ends_it() {
    explore(80, || {
        let (helpers, cancel) = (Helpers::new(3), Cancel::default());
        thread::scope(|scope| {
            scope.spawn(|| cancel.cancel());
            let (done, rows) = evaluate(Made::default(), &helpers, &cancel);
            match done {
                Ok(done) => assert_eq!((done.series, rows.len()), (SERIES, SERIES)),
                Err(error) => assert_eq!(error.code(), ErrorCode::Canceled),
            }
        });
        assert_eq!(helpers.take(9).count(), 3, "all helpers are given back");
    });
}
