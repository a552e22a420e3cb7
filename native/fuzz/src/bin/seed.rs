//! Writes the inputs that fuzzing begins with: what the engine's own encoders write.
//!
//!     cargo run --bin seed           (in native/fuzz; files that are there are written again)

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::chunk::{dense, gorilla, histogram};
use metricstor_engine::histogram::{
    CUSTOM_SCHEMA, CounterReset, Counts, Histogram, Layout, Span, Tally,
};
use metricstor_engine::labels::Labels;
use metricstor_engine::refs::{SeriesRef, TenantId};
use metricstor_engine::sample::STALE_BITS;
use metricstor_engine::wal::record::BatchEncoder;

fn main() {
    gorilla_chunks();
    dense_columns();
    histogram_chunks();
    let names = [("__name__", "up"), ("instance", "10.0.0.1:9100"), ("job", "node")];
    let sorted = Labels::from_pairs(names).unwrap();
    write("labels", "sorted", sorted.as_bytes());
    let unsorted: Vec<u8> =
        names.iter().rev().flat_map(|pair| label_field(pair.0, pair.1)).collect();
    write("labels", "unsorted", &unsorted);
    let body = [series_field(sorted.as_bytes()), series_field(&unsorted)].concat();
    write("write_batch", "two-series", &body);
    write("wal_record", "batch", &record(&sorted));
    let fixtures = Path::new("../engine/tests/fixtures");
    let fixture = fixtures.join("blocks-v1/01HF7YAT00041061050R3GG28A");
    write("index_open", "blocks-v1", &std::fs::read(fixture.join("index")).unwrap());
    for (name, block) in [("recent", "A"), ("cold", "B")] {
        let dir = fixtures.join(format!("blocks-v2/01HF7YAT00041061050R3GG28{block}"));
        let index = std::fs::read(dir.join("index")).unwrap();
        write("index_open", &format!("blocks-v2-{name}"), &index);
    }
    let meta = std::fs::read_to_string(fixture.join("meta.json")).unwrap();
    let open = meta.split(",\n  \"checksum\"").next().unwrap();
    write("block_meta", "blocks-v1", open.as_bytes());
    let tombstones = Path::new("../engine/tests/fixtures/tombstones-v1/tombstones");
    write("tombstones", "v1", &std::fs::read(tombstones).unwrap());
    for (name, pattern) in [
        ("literals", "node|prometheus|(a|b)c"),
        ("classes", r"[[:alpha:]\d_]+\.(foo|bar)?"),
        ("flags", r"(?i:A.*)\z"),
        ("repeats", "(x{2,5}|y+?)*"),
        ("quoted", r"\Qa.b\E\x{1F600}\pL"),
    ] {
        write("go_regex", name, pattern.as_bytes());
    }
    // A log's header holds a random salt: this one is written once and then kept.
    write("wal_replay", "empty-segments", b"MSTRWAL\nNEXTMSTRWAL\n");
}

fn gorilla_chunks() {
    let columns: [(&str, &[(i64, u64)]); 3] = [
        ("one", &[(-5, STALE_BITS)]),
        ("steady", &[(0, 0), (15_000, 0), (30_000, 0x3ff0_0000_0000_0000), (45_001, 1)]),
        ("extremes", &[(i64::MIN, u64::MAX), (0, 1 << 63), (i64::MAX, 0x7ff0_0000_0000_0000)]),
    ];
    for (name, samples) in columns {
        let mut appender = gorilla::Appender::new();
        for (t, bits) in samples {
            appender.append(*t, f64::from_bits(*bits));
        }
        write("gorilla", name, &appender.finish());
    }
}

fn histogram_chunks() {
    let layout = |length| Layout {
        schema: 3,
        zero_threshold: 0.001,
        positive: vec![Span { offset: -2, length }],
        negative: vec![Span { offset: 1, length: 1 }],
        ..Layout::default()
    };
    let custom = Layout {
        schema: CUSTOM_SCHEMA,
        positive: vec![Span { offset: 0, length: 2 }],
        bounds: vec![0.005, 0.1 + 0.2],
        ..Layout::default()
    };
    let integer = |n: u64, length: u32| {
        let positive: Vec<u64> = (0..u64::from(length)).map(|bucket| n * (bucket + 1)).collect();
        let counts = Counts::Integer(Tally { count: 9 * n, zero: n, positive, negative: vec![n] });
        let (layout, reset) = (Arc::new(layout(length)), CounterReset::Unknown);
        Histogram { layout, reset, sum: n as f64 / 3.0, counts }
    };
    let float = |v: f64| {
        let tally = Tally { count: v, zero: 0.0, positive: vec![v, -v], negative: vec![] };
        let (layout, reset) = (Arc::new(custom.clone()), CounterReset::Gauge);
        Histogram { layout, reset, sum: v, counts: Counts::Float(tally) }
    };
    let chunks: [(&str, Vec<Histogram>); 2] = [
        ("integer", vec![integer(1, 2), integer(2, 2), integer(3, 4), Histogram::stale()]),
        ("float", vec![float(0.5), float(0.5), float(f64::NAN)]),
    ];
    for (name, histograms) in chunks {
        let mut appender = histogram::Appender::new(histogram::encoding_of(&histograms[0]));
        for (n, h) in histograms.iter().enumerate() {
            assert!(appender.append(n as i64 * 15_000, h));
        }
        write("histogram_chunk", name, &appender.snapshot());
    }
}

/// A column of each codec, behind its number of values.
fn dense_columns() {
    let noise = |n: i32| f64::from(n * 7919 % 1009 * (n * 31 % 17));
    let shapes: [(&str, fn(f64, i32) -> f64); 5] = [
        ("constant", |_, _| 1.5),
        ("runs", |_, n| f64::from(n / 40)),
        ("packed", |_, n| f64::from(n * 7919 % 13) * 4096.0),
        ("entropy", |noise, _| noise / 100.0),
        ("doubles", |_, n| f64::from(n).sqrt()),
    ];
    for (name, shape) in shapes {
        let mut values: Vec<f64> = (0..300).map(|n| shape(noise(n), n)).collect();
        values[7] = f64::from_bits(STALE_BITS);
        let mut column = 300u16.to_le_bytes().to_vec();
        dense::encode_values(&values, &mut dense::Scratch::default(), &mut column);
        write("dense_column", name, &column);
    }
}

fn record(labels: &Labels) -> Vec<u8> {
    let mut encoder = BatchEncoder::with_capacity(64);
    encoder.series(SeriesRef(17), TenantId(0), labels.as_bytes());
    for (t, v) in [(0, 1.0), (15_000, 2.0), (14_000, f64::NAN)] {
        encoder.sample(SeriesRef(17), t, v);
    }
    encoder.finish()
}

/// A field of wire type 2 with a length below 128.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn label_field(name: &str, value: &str) -> Vec<u8> {
    field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat())
}

fn series_field(labels: &[u8]) -> Vec<u8> {
    let sample = [&[0x09][..], &1.5f64.to_le_bytes(), &[0x10, 0x88, 0x27]].concat();
    field(1, &[labels.to_vec(), field(2, &sample)].concat())
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = PathBuf::from("corpus").join(target);
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join(format!("seed-{name}")), bytes).unwrap();
}
