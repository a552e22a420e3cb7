//! Chunk codecs, per sample: appending, and decoding into columns.
//!
//! `cargo bench -p metricstor-engine --bench chunk`

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark stops at the first surprise")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use metricstor_engine::chunk::gorilla::{self, Appender};
use metricstor_engine::sample::TimeRange;
use std::hint::black_box;

/// Samples a chunk: two hours at 15 s.
const SAMPLES: usize = 480;

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        self.0 >> 33
    }
}

/// Samples every 15 s, some a few milliseconds late, with values as exporters send them.
fn shapes() -> [(&'static str, Vec<(i64, f64)>); 4] {
    let mut noise = Noise(1);
    let mut counter = 1_000_000.0;
    let mut times = Noise(2);
    let mut series = |value: &mut dyn FnMut() -> f64| {
        (0..SAMPLES as i64)
            .map(|i| {
                let late = if times.next().is_multiple_of(4) { times.next() % 3 } else { 0 };
                (1_700_000_000_000 + i * 15_000 + late as i64, value())
            })
            .collect::<Vec<_>>()
    };
    [
        ("constant", series(&mut || 1.0)),
        (
            "integer",
            series(&mut || {
                counter += (noise.next() % 500) as f64;
                counter
            }),
        ),
        ("gauge", series(&mut || (noise.next() % 10_000) as f64 / 100.0)),
        ("random", series(&mut || (noise.next() as f64 / 7.0).sqrt())),
    ]
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("gorilla");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    for (shape, samples) in shapes() {
        let encode = || {
            let mut chunk = Appender::new();
            for (t, v) in &samples {
                chunk.append(*t, *v);
            }
            chunk
        };
        group.bench_function(BenchmarkId::new("append", shape), |b| {
            b.iter(|| black_box(encode()).count());
        });
        let bytes = encode().finish();
        let (mut ts, mut vs) = (Vec::new(), Vec::new());
        let id = format!("{shape} ({:.2} B a sample)", bytes.len() as f64 / SAMPLES as f64);
        group.bench_function(BenchmarkId::new("decode", id), |b| {
            b.iter(|| {
                ts.clear();
                vs.clear();
                gorilla::decode(black_box(&bytes), TimeRange::ALL, &mut ts, &mut vs).unwrap();
                (ts.len(), vs.len())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
