//! The head's index at a million series: 100 metrics of 10,000 hosts, 9 labels of about 200 bytes.
//!
//! `cargo bench -p metricstor-engine --bench index`. Before the timings it prints the bytes that
//! the allocator gave out for each series.

#![allow(missing_docs, reason = "criterion's macros make public items without documentation")]

#[path = "../tests/support/allocated.rs"]
mod allocated;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use allocated::allocated;
use criterion::{Criterion, criterion_group, criterion_main};
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::index::memory::MemoryIndex;
use metricstor_engine::index::select::select;
use metricstor_engine::labels::Labels;
use metricstor_engine::refs::SeriesRef;

const HOSTS: u32 = 10_000;
const METRICS: u32 = 100;
const SERIES: u32 = HOSTS * METRICS;

/// Host by host, as agents push them.
fn fleet() -> Vec<Labels> {
    let mut sets = Vec::with_capacity(SERIES as usize);
    for host in 0..HOSTS {
        let instance = format!("host-{host:05}.eu-{}.example.com:9100", host % 7);
        let pod = format!("node-exporter-{:08x}", host.wrapping_mul(0x9E37_79B9));
        let zone = format!("eu-central-{}", host % 15);
        let team = format!("team-of-{}", host % 50);
        for metric in 0..METRICS {
            let name = format!("node_subsystem_{metric:03}_operations_total");
            let mode = format!("mode-{}", metric % 8);
            let pairs = [
                ("__name__", name.as_str()),
                ("cluster", if host % 3 == 0 { "production-a" } else { "production-b" }),
                ("env", "production"),
                ("instance", &instance),
                ("job", "integrations/node_exporter"),
                ("mode", &mode),
                ("pod", &pod),
                ("team", &team),
                ("zone", &zone),
            ];
            sets.extend(Labels::from_pairs(pairs));
        }
    }
    sets
}

fn fill(sets: &[Labels]) -> MemoryIndex {
    let mut index = MemoryIndex::new();
    for (i, labels) in sets.iter().enumerate() {
        index.insert(SeriesRef(i as u32), labels);
    }
    index
}

#[allow(clippy::print_stderr, reason = "memory is a result of this benchmark")]
fn report_memory(sets: &[Labels]) -> MemoryIndex {
    let before = allocated();
    let index = fill(sets);
    let allocated = allocated() - before;
    let text: usize = sets.iter().flat_map(Labels::iter).map(|(n, v)| n.len() + v.len()).sum();
    eprintln!(
        "{SERIES} series of {} B: {:.1} B a series allocated, {:.1} by its own count, {} symbols",
        text / SERIES as usize,
        allocated as f64 / f64::from(SERIES),
        index.bytes() as f64 / f64::from(SERIES),
        index.symbols().len()
    );
    index
}

fn selections(c: &mut Criterion, index: &MemoryIndex) {
    let matcher = |name, op, value| Matcher::new(name, op, value).ok();
    let name = matcher("__name__", MatchOp::Equal, "node_subsystem_042_operations_total");
    let hosts: Vec<String> = (0..1000)
        .map(|host| format!(r"host-{host:05}\.eu-{}\.example\.com:9100", host % 7))
        .collect();
    let cases = [
        ("name, 10 k series", vec![name.clone()]),
        (
            "name and host",
            vec![
                name.clone(),
                matcher("instance", MatchOp::Equal, "host-00005.eu-5.example.com:9100"),
            ],
        ),
        (
            "name, but not one team",
            vec![name.clone(), matcher("team", MatchOp::NotEqual, "team-of-7")],
        ),
        ("prefix over 10 k values", vec![matcher("instance", MatchOp::Regex, "host-000.*")]),
        (
            "suffix over 10 k values",
            vec![matcher("instance", MatchOp::Regex, r".*\.eu-3\.example\.com:9100")],
        ),
        ("infix over 10 k values", vec![matcher("instance", MatchOp::Regex, ".*0077.*")]),
        (
            "digits over 10 k values",
            vec![matcher("instance", MatchOp::Regex, r"host-\d+[05]\..+:\d+")],
        ),
        ("unknown text over 10 k values", vec![matcher("instance", MatchOp::Regex, ".*nothing.*")]),
        (
            "large automaton over 10 k values",
            vec![matcher("instance", MatchOp::Regex, r".*0[^x]{40}\pL.*")],
        ),
        ("1,000 hosts by name", vec![matcher("instance", MatchOp::Regex, &hosts.join("|"))]),
        (
            "name and a pattern of hosts",
            vec![
                matcher("pod", MatchOp::Equal, "node-exporter-00000000"),
                matcher("instance", MatchOp::Regex, ".*0077.*"),
            ],
        ),
    ];
    let mut group = c.benchmark_group("select");
    for (title, matchers) in &cases {
        let matchers: Vec<&Matcher> = matchers.iter().flatten().collect();
        group.bench_function(*title, |b| b.iter(|| select(index, black_box(&matchers))));
    }
    group.finish();

    let mut group = c.benchmark_group("compile");
    for value in ["a|b|c", "host-000.*", ".*0077.*", r"host-\d+[05]\..+:\d+", r".*0[^x]{40}\pL.*"] {
        group.bench_function(value, |b| {
            b.iter(|| Matcher::new("l", MatchOp::Regex, black_box(value)));
        });
    }
    group.finish();

    c.bench_function("values of a label within one metric", |b| {
        let Ok(within) = select(index, &name.iter().collect::<Vec<_>>()) else { return };
        b.iter(|| {
            let mut out = BTreeSet::new();
            index.label_values("team", Some(&within), &mut out);
            out
        });
    });
}

/// Time to remove `step` of a million series at once, each `period`-th.
fn removal(sets: &[Labels], iterations: u64, period: usize) -> Duration {
    let gone = (0..SERIES).step_by(period).collect();
    (0..iterations)
        .map(|_| {
            let mut index = fill(sets);
            let start = Instant::now();
            index.remove_all(black_box(&gone));
            start.elapsed()
        })
        .sum()
}

fn benches(c: &mut Criterion) {
    let sets = fleet();
    let index = report_memory(&sets);
    selections(c, &index);
    drop(index);
    let mut group = c.benchmark_group("change");
    group.sample_size(10).sampling_mode(criterion::SamplingMode::Flat);
    group.bench_function("insert 1 M series", |b| b.iter_with_large_drop(|| fill(&sets)));
    for (title, period) in [("remove 10 k of 1 M series", 100), ("remove 500 k of 1 M series", 2)] {
        group.bench_function(title, |b| {
            b.iter_custom(|iterations| removal(&sets, iterations, period));
        });
    }
    group.finish();
}

criterion_group!(index, benches);
criterion_main!(index);
