//! What a query does besides decoding: labels and their order for the series that it selects, and
//! windows that are counted, with and without values.
//!
//! `cargo bench -p metricstor-engine --bench select`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops")]
#![allow(missing_docs, reason = "a bench has no reader of its parts")]

#[path = "support/blocks.rs"]
#[allow(dead_code, reason = "this bench writes one of the kinds")]
mod blocks;
#[path = "support/fleet.rs"]
mod fleet;

use std::sync::Arc;
use std::time::Instant;

use blocks::Kind;
use metricstor_engine::block::Block;
use metricstor_engine::cancel::Cancel;
use metricstor_engine::dictionary::Dictionary;
use metricstor_engine::label_order::{LabelIds, sort_order};
use metricstor_engine::read::evaluate::Evaluation;
use metricstor_engine::read::selection::Selection;
use metricstor_engine::rollup::windows::Windows;
use metricstor_engine::rollup::{AggregateOp, Aggregation, Function, Rollup};
use metricstor_engine::sample::{TimeRange, Window};
use metricstor_engine::source::{Scope, SelectRequest, SeriesSource, SourceSelection};
use ulid::Ulid;

/// Nanoseconds of the CPU that this thread has taken, where Linux tells; elsewhere by the clock.
fn spent_ns(start: Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = told.as_deref().and_then(|line| line.split(' ').next()?.parse().ok());
    first.unwrap_or_else(|| start.elapsed().as_nanos() as f64)
}

fn fastest(runs: usize, mut run: impl FnMut()) -> f64 {
    let start = Instant::now();
    let times = (0..runs).map(|_| {
        let before = spent_ns(start);
        run();
        spent_ns(start) - before
    });
    times.fold(f64::INFINITY, f64::min)
}

/// A compacted block of a generated fleet, and the time of its last sample.
fn block(dir: &std::path::Path, series: usize, samples: usize) -> (Arc<Block>, i64) {
    let mut fleet = fleet::fleet(series, samples);
    fleet.sort_by(|a, b| a.0.cmp(&b.0));
    let first = fleet.iter().filter_map(|one| one.1.first()).min().copied().unwrap();
    let last = fleet.iter().filter_map(|one| one.1.last()).max().copied().unwrap();
    let window = (0..)
        .map(|power| Window::aligned(first, 7_200_000 << power))
        .find(|window| last < window.end);
    (blocks::write(dir, Ulid(1), Kind::Cold, window.unwrap(), &fleet), last)
}

fn select(block: &Arc<Block>) -> Box<dyn SourceSelection> {
    let request =
        SelectRequest { scope: Scope::default(), matchers: Vec::new(), range: TimeRange::ALL };
    Arc::clone(block).select(&request).unwrap()
}

fn labels_and_order(series: usize) {
    let dir = tempfile::tempdir().unwrap();
    let (block, _) = block(dir.path(), series, 4);
    let postings = fastest(9, || drop(select(&block)));
    let labels = fastest(9, || {
        let (mut part, mut dictionary, mut ids) = (select(&block), Dictionary::default(), vec![]);
        for i in 0..part.len() {
            part.labels(i, &mut dictionary, &mut ids).unwrap();
        }
    });
    let mut dictionary = Dictionary::default();
    let whole = fastest(9, || {
        dictionary = Dictionary::default();
        let cancel = Cancel::default();
        drop(Selection::new(vec![select(&block)], TimeRange::ALL, &mut dictionary, cancel));
    });
    let found =
        Selection::new(vec![select(&block)], TimeRange::ALL, &mut dictionary, Cancel::default());
    let found = found.unwrap();
    let labelled = LabelIds { ids: found.label_ids(), offsets: found.label_offsets() };
    let order = fastest(9, || drop(sort_order(&dictionary, labelled)));
    let each = |ns: f64| ns / found.len() as f64;
    println!(
        "{} series, ns each: postings {:.0}, labels {:.0}, order {:.0}, whole selection {:.0}",
        found.len(),
        each(postings),
        each(labels - postings),
        each(order),
        each(whole)
    );
}

fn counting(series: usize, samples: usize) {
    let dir = tempfile::tempdir().unwrap();
    let (block, last) = block(dir.path(), series, samples);
    for (step_ms, what) in [(60_000, "1 m"), (300_000, "5 m")] {
        let steps = samples * 15_000 / step_ms;
        let span = step_ms as i64 * (steps as i64 - 1);
        let windows =
            Windows { first_end: last - span, stride_ms: step_ms as i64, range_ms: 300_000, steps };
        for function in [Function::Value, Function::Timestamp, Function::Sum, Function::Count] {
            let rollup = Rollup::new(function, windows, Vec::new(), Cancel::default());
            let rollup = Arc::new(rollup.unwrap());
            let mut dictionary = Dictionary::default();
            let parts = vec![select(&block)];
            let cancel = Cancel::default();
            let selection = Selection::new(parts, TimeRange::ALL, &mut dictionary, cancel);
            let mut selection = selection.unwrap();
            let n = selection.len();
            let mut read = 0;
            let ns = fastest(5, || {
                let groups = vec![0; n];
                let sum = Aggregation::new(AggregateOp::Count, steps, groups, 1);
                let mut sum = sum.unwrap();
                let evaluation =
                    Evaluation { rollup: &rollup, series: (0, n), samples: usize::MAX };
                let done = selection.evaluate(&evaluation, &mut |rows| {
                    for i in 0..rows.counts.len() {
                        let cells = i * steps..(i + 1) * steps;
                        sum.add(rows.first + i, &rows.values[cells.clone()], &rows.present[cells]);
                    }
                });
                read = done.unwrap().samples;
            });
            println!(
                "count of {function:?}, a step each {what}: {:.2} ns a sample, {:.2} ns a cell",
                ns / read as f64,
                ns / (n * steps) as f64
            );
        }
    }
}

fn main() {
    counting(1_000, 5760);
    labels_and_order(10_000);
    labels_and_order(100_000);
}
