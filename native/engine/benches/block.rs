//! A block of 10,000 series with 480 samples each: its size, and what writing and reading cost.
//!
//! `cargo bench -p metricstor-engine --bench block`

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use metricstor_engine::block::meta::{Compaction, FlushPart, LogRange, MetaSeed};
use metricstor_engine::block::{Block, BlockWriter};
use metricstor_engine::dictionary::Dictionary;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::labels::Labels;
use metricstor_engine::refs::{Position, TenantId};
use metricstor_engine::sample::{TimeRange, Window};
use metricstor_engine::source::{Columns, Scope, SelectRequest, SeriesSource};
use ulid::Ulid;

/// 100 targets of 100 metrics.
const TARGETS: usize = 100;
const METRICS: usize = 100;
const SERIES: usize = TARGETS * METRICS;
/// Two hours at 15 s.
const SAMPLES: usize = 480;
const START: i64 = 1_699_999_200_000;
const STEP: i64 = 15_000;

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        self.0 >> 33
    }
}

type Series = (Labels, Vec<i64>, Vec<f64>);

/// Series of ten labels. Of ten metrics, four are constant, four count integers, two are gauges.
fn fleet() -> Vec<Series> {
    let mut series = Vec::with_capacity(SERIES);
    for target in 0..TARGETS {
        let mut noise = Noise(target as u64 + 1);
        let scrape = START + (noise.next() % 15_000) as i64;
        let times: Vec<i64> = (0..SAMPLES as i64).map(|i| scrape + i * STEP).collect();
        for metric in 0..METRICS {
            let mut value = (noise.next() % 1_000_000) as f64;
            let values = (0..SAMPLES).map(|_| {
                match metric % 10 {
                    0..4 => {}
                    4..8 => value += (noise.next() % 200) as f64,
                    _ => value = (noise.next() % 10_000) as f64 / 100.0,
                }
                value
            });
            series.push((labels(target, metric), times.clone(), values.collect()));
        }
    }
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}

fn labels(target: usize, metric: usize) -> Labels {
    let text = [
        ("__name__", format!("service_requests_handled_{metric:03}_total")),
        ("cluster", "production-eu-west-1".to_owned()),
        ("code", ["200", "404", "500"][metric % 3].to_owned()),
        ("handler", format!("/api/v1/resource/{}", metric % 17)),
        ("instance", format!("10.0.{}.{}:9100", target / 256, target % 256)),
        ("job", format!("service-{}", target % 8)),
        ("method", ["GET", "POST"][metric % 2].to_owned()),
        ("namespace", format!("team-{}", target % 5)),
        ("pod", format!("service-{}-7d9f8b6c5-{target:05x}", target % 8)),
        ("version", "v1.27.3".to_owned()),
    ];
    Labels::from_pairs(text.iter().map(|(n, v)| (*n, &**v))).unwrap()
}

fn write(dir: &Path, ulid: Ulid, fleet: &[Series]) -> Ulid {
    let mut writer = BlockWriter::create(Arc::new(OsDisk), dir, ulid).unwrap();
    for (labels, timestamps, values) in fleet {
        writer.add_series(labels, timestamps, values).unwrap();
    }
    let seed = MetaSeed {
        tenant: TenantId(0),
        window: Window { start: START, end: START + 2 * 7_200_000 },
        log: LogRange { source: "bench".to_owned(), from: Position(0), to: Position(1) },
        flush: FlushPart { part: 0, parts: 1 },
        compaction: Compaction { level: 1, sources: Vec::new() },
    };
    writer.finish(seed).unwrap().publish().unwrap()
}

#[allow(clippy::print_stderr, reason = "a bench's answer is what it prints")]
fn print_size(block: &Block) {
    let meta = block.meta();
    let bytes = |name| meta.file(name).unwrap().bytes as f64;
    eprintln!(
        "{:.3} bytes a sample ({:.3} without the index), {:.1} bytes of index a series, {} chunks",
        block.bytes() as f64 / meta.counts.samples as f64,
        bytes("chunks") / meta.counts.samples as f64,
        bytes("index") / meta.counts.series as f64,
        meta.counts.chunks,
    );
}

fn request(matchers: Vec<Matcher>, range: TimeRange) -> SelectRequest {
    SelectRequest { scope: Scope::default(), matchers, range }
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let fleet = fleet();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let path = dir.path().join(write(dir.path(), Ulid(1), &fleet).to_string());
    let block = Block::open(Arc::clone(&disk), &path).unwrap();
    print_size(&block);

    let mut group = c.benchmark_group("block");
    group.sample_size(20);
    group.throughput(Throughput::Elements((SERIES * SAMPLES) as u64));
    let mut number = 1;
    group.bench_function("write, a sample", |b| {
        b.iter(|| {
            number += 1;
            let ulid = write(dir.path(), Ulid(number), &fleet);
            std::fs::remove_dir_all(dir.path().join(ulid.to_string())).unwrap();
        });
    });
    let everything = request(Vec::new(), TimeRange::ALL);
    let all: Vec<u32> = (0..SERIES as u32).collect();
    let mut columns = Columns::default();
    let mut selection = Arc::clone(&block).select(&everything).unwrap();
    group.bench_function("read, a sample", |b| {
        b.iter(|| {
            columns.clear();
            selection.read(&all, TimeRange::ALL, &mut columns).unwrap();
        });
    });
    let last = TimeRange::new(block.meta().maxt - 300_000, block.meta().maxt);
    group.throughput(Throughput::Elements(SERIES as u64));
    group.bench_function("read the last five minutes, a series", |b| {
        b.iter(|| {
            columns.clear();
            selection.read(&all, last, &mut columns).unwrap();
        });
    });
    group.bench_function("labels, a series", |b| {
        let mut ids = Vec::new();
        b.iter(|| {
            ids.clear();
            let mut selection = Arc::clone(&block).select(&everything).unwrap();
            let mut dictionary = Dictionary::default();
            for series in 0..SERIES {
                selection.labels(series, &mut dictionary, &mut ids).unwrap();
            }
        });
    });
    group.bench_function("select those in a part of the time, a series", |b| {
        let request = request(Vec::new(), last);
        b.iter(|| black_box(Arc::clone(&block).select(&request).unwrap().len()));
    });
    group.finish();

    let mut group = c.benchmark_group("block, once");
    group.sample_size(20);
    group.bench_function("open", |b| {
        b.iter(|| Block::open(Arc::clone(&disk), &path).unwrap());
    });
    let name = |metric| format!("service_requests_handled_{metric:03}_total");
    for (what, op, label, value) in [
        ("select one metric", MatchOp::Equal, "__name__", name(42)),
        ("select one pod", MatchOp::Equal, "pod", "service-2-7d9f8b6c5-0000a".to_owned()),
        ("select by regex", MatchOp::Regex, "pod", "service-[0-3]-.*".to_owned()),
        (
            "select by prefix",
            MatchOp::Regex,
            "__name__",
            "service_requests_handled_00.*".to_owned(),
        ),
    ] {
        let request = request(vec![Matcher::new(label, op, &value).unwrap()], TimeRange::ALL);
        group.bench_function(what, |b| {
            b.iter(|| black_box(Arc::clone(&block).select(&request).unwrap().len()));
        });
    }
    group.bench_function("select and read one metric of 100 targets", |b| {
        let matchers = vec![Matcher::new("__name__", MatchOp::Equal, &name(44)).unwrap()];
        let request = request(matchers, TimeRange::ALL);
        b.iter(|| {
            columns.clear();
            let mut selection = Arc::clone(&block).select(&request).unwrap();
            selection.read(&all[..selection.len()], TimeRange::ALL, &mut columns).unwrap();
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
