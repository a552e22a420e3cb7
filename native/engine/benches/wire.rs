//! Request bodies to samples, and results to JSON text.
//!
//! `cargo bench -p metricstor-engine --bench wire`

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark stops at the first surprise")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use metricstor_engine::codec::varint;
use metricstor_engine::dictionary::Dictionary;
use metricstor_engine::label_order::{LabelIds, sort_order};
use metricstor_engine::labels::{Labels, encode_pair};
use metricstor_engine::options::WriteLimits;
use metricstor_engine::read::json::{self, Points};
use metricstor_engine::read::packed::Histograms;
use metricstor_engine::wire::compression::{BodyEncoding, decompress};
use metricstor_engine::wire::labels::{canonicalize, label_pairs};
use metricstor_engine::wire::remote_write::parse_v1;
use metricstor_engine::wire::remote_write_2::{ParseOptions, parse_v2};
use std::collections::HashMap;
use std::hint::black_box;

/// Series of a request, one sample each: what a Prometheus agent sends by default.
const SERIES: usize = 2_000;

fn labels(i: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in [
        ("__name__", "http_request_duration_seconds_bucket"),
        ("cluster", "production-eu-west-1"),
        ("container", "frontend"),
        ("instance", &*format!("10.1.{}.{}:9100", i / 250, i % 250)),
        ("job", "kubernetes-service-endpoints"),
        ("le", "0.25"),
        ("method", "GET"),
        ("namespace", "web"),
        ("pod", &*format!("frontend-7d9f8b6c5-{i:05}")),
        ("status", "200"),
    ] {
        encode_pair(&mut out, name, value);
    }
    out
}

/// A request of [`SERIES`] series with 10 labels and one sample each.
fn request() -> Vec<u8> {
    let mut body = Vec::new();
    for i in 0..SERIES {
        let mut series = labels(i);
        let mut sample = vec![0x09];
        sample.extend_from_slice(&(i as f64 * 1.7).to_bits().to_le_bytes());
        sample.push(0x10);
        varint::write(&mut sample, 1_700_000_000_000 + i as u64);
        series.extend_from_slice(&[0x12, sample.len() as u8]);
        series.extend_from_slice(&sample);
        body.push(0x0a);
        varint::write(&mut body, series.len() as u64);
        body.extend_from_slice(&series);
    }
    body
}

/// The same in remote_write 2.0, each series with metadata.
fn request_2() -> Vec<u8> {
    let (mut numbers, mut symbols) = (HashMap::from([(Vec::new(), 0u64)]), vec![0x22, 0]);
    let mut number = |text: &[u8]| {
        let next = numbers.len() as u64;
        *numbers.entry(text.to_vec()).or_insert_with(|| {
            symbols.push(0x22);
            varint::write(&mut symbols, text.len() as u64);
            symbols.extend_from_slice(text);
            next
        })
    };
    let mut body = Vec::new();
    for i in 0..SERIES {
        let mut refs = Vec::new();
        for pair in label_pairs(&labels(i)) {
            let (name, value) = pair.unwrap();
            varint::write(&mut refs, number(name));
            varint::write(&mut refs, number(value));
        }
        let mut series = vec![0x0a, refs.len() as u8];
        series.extend_from_slice(&refs);
        let mut sample = vec![0x09];
        sample.extend_from_slice(&(i as f64 * 1.7).to_bits().to_le_bytes());
        sample.push(0x10);
        varint::write(&mut sample, 1_700_000_000_000 + i as u64);
        series.extend_from_slice(&[0x12, sample.len() as u8]);
        series.extend_from_slice(&sample);
        let mut metadata = vec![0x08, 3, 0x18];
        varint::write(&mut metadata, number(b"How long a request takes."));
        series.extend_from_slice(&[0x2a, metadata.len() as u8]);
        series.extend_from_slice(&metadata);
        body.push(0x2a);
        varint::write(&mut body, series.len() as u64);
        body.extend_from_slice(&series);
    }
    [symbols, body].concat()
}

fn requests(c: &mut Criterion) {
    let mut group = c.benchmark_group("request");
    group.throughput(Throughput::Elements(SERIES as u64));
    let body = request();
    let snappy = snap::raw::Encoder::new().compress_vec(&body).unwrap();
    let zstd = zstd::encode_all(&body[..], 1).unwrap();
    for (encoding, packed) in [(BodyEncoding::Snappy, &snappy), (BodyEncoding::Zstd, &zstd)] {
        let id = format!("{encoding:?} {} to {} B", packed.len(), body.len());
        group.bench_function(BenchmarkId::new("decompress", id), |b| {
            b.iter(|| decompress(encoding, black_box(packed), 10 << 20).unwrap().len());
        });
    }
    group.bench_function("parse_v1", |b| {
        b.iter(|| parse_v1(black_box(&body)).unwrap().samples.len());
    });
    let body_2 = request_2();
    let mut arena = Vec::new();
    let options = ParseOptions { max_arena_bytes: 64 << 20, type_and_unit_labels: false };
    group.bench_function(BenchmarkId::new("parse_v2", format!("{} B", body_2.len())), |b| {
        b.iter(|| parse_v2(black_box(&body_2), &mut arena, options).unwrap().samples.len());
    });
    group.finish();

    let limits = WriteLimits::default();
    let encoded = labels(7);
    c.bench_function("canonicalize 10 labels", |b| {
        b.iter(|| canonicalize(black_box(&encoded), &limits).unwrap());
    });
}

/// Points a series of a graph: an hour at 15 s.
const POINTS: usize = 240;

/// The value of a point by its number.
type Shape = fn(f64) -> f64;

fn results(c: &mut Criterion) {
    let mut dictionary = Dictionary::default();
    let (mut ids, mut offsets) = (Vec::new(), vec![0]);
    // Backwards, so that sorting has work to do.
    for i in (0..SERIES).rev() {
        for (name, value) in Labels::from_canonical(&labels(i)).unwrap().iter() {
            ids.extend([dictionary.intern(name), dictionary.intern(value)]);
        }
        offsets.push(ids.len() as u32);
    }
    let all = LabelIds { ids: &ids, offsets: &offsets };

    let none = Histograms::default();
    let mut group = c.benchmark_group("json");
    group.throughput(Throughput::Elements(POINTS as u64));
    let one = LabelIds { ids: &ids, offsets: &offsets[..2] };
    let times: Vec<f64> = (0..POINTS).map(|i| 1_700_000_000_000.0 + i as f64 * 15_000.0).collect();
    let shapes: [(&str, Shape); 4] = [
        ("integers", |i| 1_000_000.0 + i * 37.0),
        ("decimals", |i| (i * 7.0) / 100.0),
        ("rates", |i| (i + 1.0) / 7.0),
        ("tiny", |i| (i + 1.0) * 1e-9 / 7.0),
    ];
    let mut out = Vec::new();
    for (shape, value) in shapes {
        let values: Vec<f64> = (0..POINTS).map(|i| value(i as f64)).collect();
        group.bench_function(BenchmarkId::new("matrix points", shape), |b| {
            b.iter(|| {
                out.clear();
                let points = Points { timestamps: &times, values: &values, histograms: &none };
                json::matrix(&mut out, &dictionary, one, &[0, POINTS as u32], points);
                out.len()
            });
        });
    }
    group.throughput(Throughput::Elements(SERIES as u64));
    let values: Vec<f64> = (0..SERIES).map(|i| i as f64).collect();
    let times = vec![1_700_000_000_000.0; SERIES];
    group.bench_function("vector series of 10 labels", |b| {
        b.iter(|| {
            out.clear();
            json::vector(&mut out, &dictionary, all, &times, &values, &none);
            out.len()
        });
    });
    group.bench_function("sort_order of 10 labels", |b| b.iter(|| sort_order(&dictionary, all)));
    group.finish();
}

criterion_group!(benches, requests, results);
criterion_main!(benches);
