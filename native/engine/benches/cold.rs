//! Blocks as a flush and as a compaction writes them: bytes, part by part, and reads of both shapes
//! in nanoseconds per sample that was asked for. The series are a generated fleet and, where
//! `METRICSTOR_PAGES` names a file of `bench/record.ts`, recorded pages.
//!
//! `METRICSTOR_PAGES=pages.jsonl cargo bench -p metricstor-engine --bench cold`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops")]
#![allow(missing_docs, reason = "a bench has no reader of its parts")]

#[path = "support/blocks.rs"]
mod blocks;
#[path = "support/fleet.rs"]
mod fleet;
#[path = "support/pages.rs"]
mod pages;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use blocks::{Kind, Series};
use metricstor_engine::block::Block;
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::labels::Labels;
use metricstor_engine::sample::{TimeRange, Window};
use metricstor_engine::source::{Columns, Scope, SelectRequest, SeriesSource};
use ulid::Ulid;

/// Samples that are read at once, about.
const GROUP_SAMPLES: usize = 256 << 10;

/// A set of series, and the labels by whose values one metric and one target are chosen.
struct Set {
    name: String,
    series: Vec<Series>,
    window: Window,
}

/// The smallest power of two of milliseconds, aligned, that holds all samples.
fn window_of(series: &[Series]) -> Window {
    let mint = series.iter().filter_map(|one| one.1.first()).min().copied().unwrap();
    let maxt = series.iter().filter_map(|one| one.1.last()).max().copied().unwrap();
    let two_hours = 7_200_000;
    let width = (0..).map(|power| two_hours << power).find(|width| {
        let window = Window::aligned(mint, *width);
        maxt < window.end
    });
    Window::aligned(mint, width.unwrap())
}

fn set(name: &str, mut series: Vec<Series>) -> Set {
    series.sort_by(|a, b| a.0.cmp(&b.0));
    Set { name: name.to_owned(), window: window_of(&series), series }
}

/// Recorded pages of one target each, as they are.
fn every_second(recorded: &[pages::Series]) -> Set {
    let series =
        recorded.iter().map(|one| (one.labels.clone(), one.times.clone(), one.values.clone()));
    set("recorded every second", series.collect())
}

/// Fifteen instances of each target that are scraped every 15 seconds, a second apart.
fn every_15_seconds(recorded: &[pages::Series]) -> Set {
    let mut series = Vec::new();
    for one in recorded {
        for instance in 0..15 {
            let text = format!("{}-{instance}.example:9100", one.target);
            let pairs =
                one.labels.iter().map(|(n, v)| if n == "instance" { (n, &*text) } else { (n, v) });
            let labels = Labels::from_pairs(pairs).unwrap();
            let of = |t: &i64| t.div_euclid(1000) % 15 == instance;
            let kept: Vec<usize> = (0..one.times.len()).filter(|i| of(&one.times[*i])).collect();
            if !kept.is_empty() {
                let times = kept.iter().map(|i| one.times[*i]).collect();
                series.push((labels, times, kept.iter().map(|i| one.values[*i]).collect()));
            }
        }
    }
    set("recorded every 15 seconds, 15 instances", series)
}

fn fastest(runs: usize, mut run: impl FnMut()) -> f64 {
    let times = (0..runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Nanoseconds a sample of selecting by `label` and reading, over all values of that label that
/// `series` of the set have, at most so many.
fn read_by(block: &Arc<Block>, set: &Set, label: &str, most: usize) -> f64 {
    let mut by_value: BTreeMap<&str, usize> = BTreeMap::new();
    for (labels, times, _) in &set.series {
        *by_value.entry(labels.get(label).unwrap_or_default()).or_default() += times.len();
    }
    let step = by_value.len().div_ceil(most);
    let (mut ns, mut samples) = (0.0, 0);
    let mut columns = Columns::default();
    for (value, count) in by_value.into_iter().step_by(step) {
        let request = SelectRequest {
            scope: Scope::default(),
            matchers: vec![Matcher::new(label, MatchOp::Equal, value).unwrap()],
            range: TimeRange::ALL,
        };
        samples += count;
        ns += fastest(3, || {
            let mut selection = Arc::clone(block).select(&request).unwrap();
            let which: Vec<u32> = (0..selection.len() as u32).collect();
            let mut read = 0;
            // As a query does: groups whose columns stay in the cache.
            for group in which.chunks((GROUP_SAMPLES * which.len() / count).max(1)) {
                columns.clear();
                selection.read(group, TimeRange::ALL, &mut columns).unwrap();
                read += columns.values.len();
            }
            assert_eq!(read, count);
        });
    }
    ns / samples as f64
}

fn measure(dir: &std::path::Path, set: &Set) {
    println!("\n{}: {} series", set.name, set.series.len());
    for (kind, name, ulid) in [(Kind::Recent, "Gorilla", 1), (Kind::Cold, "dense", 2)] {
        let start = Instant::now();
        let block = blocks::write(dir, Ulid(ulid), kind, set.window, &set.series);
        let write_ns = start.elapsed().as_nanos() as f64;
        block.verify().unwrap();
        let counts = block.meta().counts;
        let samples = counts.samples as f64;
        println!(
            "  {name}: {:.3} B a sample ({} samples, {} pieces), write {:.0} ns a sample",
            block.bytes() as f64 / samples,
            counts.samples,
            counts.chunks,
            write_ns / samples
        );
        for (file, part, bytes) in block.parts() {
            if bytes > 0 {
                println!(
                    "    {file:6} {part:22} {:.4} B a sample, {:.2} B a series",
                    bytes as f64 / samples,
                    bytes as f64 / counts.series as f64
                );
            }
        }
        println!(
            "    read one metric of all targets {:.1} ns, all series of one target {:.1} ns a sample",
            read_by(&block, set, "__name__", 50),
            read_by(&block, set, "instance", 10)
        );
        let all = SelectRequest {
            scope: Scope::default(),
            matchers: Vec::new(),
            range: TimeRange::new(block.meta().maxt - 300_000, block.meta().maxt),
        };
        let select = fastest(5, || assert!(!Arc::clone(&block).select(&all).unwrap().is_empty()));
        println!("    select by time {:.0} ns a series", select / counts.series as f64);
    }
}

fn main() {
    let dir = tempfile::tempdir().unwrap();
    measure(dir.path(), &set("fleet, 2 h every 15 s", fleet::fleet(10_000, 480)));
    let dir = tempfile::tempdir().unwrap();
    measure(dir.path(), &set("fleet, 24 h every 15 s", fleet::fleet(1_000, 5760)));
    let Some(path) = std::env::var_os("METRICSTOR_PAGES") else { return };
    let recorded = pages::read(path.as_ref());
    let dir = tempfile::tempdir().unwrap();
    measure(dir.path(), &every_second(&recorded));
    let dir = tempfile::tempdir().unwrap();
    measure(dir.path(), &every_15_seconds(&recorded));
}
