//! What a sample takes and costs as a Gorilla chunk and as a dense column, on recorded pages
//! (`bench/record.ts`) where `METRICSTOR_PAGES` names a file of them.
//!
//! `METRICSTOR_PAGES=pages.jsonl cargo bench -p metricstor-engine --bench columns`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and stops")]
#![allow(missing_docs, reason = "a bench has no reader of its parts")]

#[path = "support/pages.rs"]
mod pages;

use std::collections::BTreeMap;
use std::time::Instant;

use metricstor_engine::chunk::dense::{self, Scratch};
use metricstor_engine::chunk::gorilla;
use metricstor_engine::sample::TimeRange;

/// Names of the forms and codecs of a column's first byte.
fn kind(first: u8) -> String {
    let form = match first & 31 {
        30 => "bits",
        31 => "doubles",
        _ => "decimal",
    };
    let codec = ["constant", "runs", "packed", "pco"][usize::from(first >> 5 & 3)];
    let beside = if first & 128 == 0 { "" } else { " + exceptions" };
    format!("{form} {codec}{beside}")
}

#[derive(Default)]
struct Tally {
    columns: usize,
    samples: usize,
    bytes: usize,
    decode_ns: f64,
}

/// Nanoseconds of the fastest of some runs.
fn fastest(mut run: impl FnMut()) -> f64 {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_nanos() as f64
    });
    times.fold(f64::INFINITY, f64::min)
}

fn measure(what: &str, series: &[pages::Series], cap: usize) {
    let (mut gorilla_bytes, mut samples) = (0, 0);
    let (mut gorilla_encode, mut gorilla_decode, mut encode) = (0.0, 0.0, 0.0);
    let mut by_kind: BTreeMap<String, Tally> = BTreeMap::new();
    let mut scratch = Scratch::default();
    let (mut ts, mut vs) = (Vec::new(), Vec::new());
    for one in series {
        let pieces = one.times.len().div_ceil(cap);
        for piece in 0..pieces {
            let span = one.times.len() * piece / pieces..one.times.len() * (piece + 1) / pieces;
            let (times, values) = (&one.times[span.clone()], &one.values[span]);
            samples += values.len();
            let mut chunk = Box::default();
            gorilla_encode += fastest(|| {
                let mut appender = gorilla::Appender::new();
                times.iter().zip(values).for_each(|(t, v)| appender.append(*t, *v));
                chunk = appender.finish();
            });
            gorilla_bytes += chunk.len();
            gorilla_decode += fastest(|| {
                ts.clear();
                vs.clear();
                gorilla::decode(&chunk, TimeRange::ALL, &mut ts, &mut vs).unwrap();
            });
            let mut bytes = Vec::new();
            encode += fastest(|| {
                bytes.clear();
                dense::encode_values(values, &mut scratch, &mut bytes);
            });
            vs.resize(values.len(), 0.0);
            let decode = fastest(|| dense::decode_values(&bytes, &mut scratch, &mut vs).unwrap());
            assert!(vs.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits()));
            let tally = by_kind.entry(kind(bytes[0])).or_default();
            tally.columns += 1;
            tally.samples += values.len();
            tally.bytes += bytes.len();
            tally.decode_ns += decode;
        }
    }
    let per = |x: f64| x / samples as f64;
    let bytes: usize = by_kind.values().map(|tally| tally.bytes).sum();
    let decode: f64 = by_kind.values().map(|tally| tally.decode_ns).sum();
    println!("\n{what}: {} series, {samples} samples, up to {cap} a column", series.len());
    println!(
        "  Gorilla with times  {:.3} B, encode {:.1}, decode {:.1} ns a sample",
        per(gorilla_bytes as f64),
        per(gorilla_encode),
        per(gorilla_decode)
    );
    println!(
        "  dense values        {:.3} B, encode {:.1}, decode {:.1} ns a sample",
        per(bytes as f64),
        per(encode),
        per(decode)
    );
    for (kind, tally) in by_kind {
        println!(
            "    {kind:28} {:5.1} % of samples, {:5.1} % of bytes, {:.3} B, decode {:.1} ns a sample",
            tally.samples as f64 * 100.0 / samples as f64,
            tally.bytes as f64 * 100.0 / bytes as f64,
            tally.bytes as f64 / tally.samples as f64,
            tally.decode_ns / tally.samples as f64,
        );
    }
}

/// Every `step`th sample.
fn thinned(all: &[pages::Series], step: usize) -> Vec<pages::Series> {
    all.iter()
        .map(|one| pages::Series {
            target: one.target.clone(),
            labels: one.labels.clone(),
            times: one.times.iter().copied().step_by(step).collect(),
            values: one.values.iter().copied().step_by(step).collect(),
        })
        .collect()
}

fn main() {
    let Some(path) = std::env::var_os("METRICSTOR_PAGES") else {
        println!("METRICSTOR_PAGES names no file of recorded pages: nothing to measure");
        return;
    };
    let recorded = pages::read(path.as_ref());
    let sparse = thinned(&recorded, 15);
    for cap in [240, 480, 1024, 2048] {
        measure("every second", &recorded, cap);
    }
    for cap in [240, 1024] {
        measure("every 15 seconds", &sparse, cap);
    }
    for target in ["node", "prometheus", "victoria", "metricstor"] {
        let of: Vec<_> = recorded.iter().filter(|one| one.target == target).cloned().collect();
        measure(target, &of, 1024);
    }
}
