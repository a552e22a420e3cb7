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
    stored_files(fixtures);
    foreign_files(&fixtures.join("prometheus-3.14"));
    // A log's header holds a random salt: this one is written once and then kept.
    write("wal_replay", "empty-segments", b"MSTRWAL\nNEXTMSTRWAL\n");
}

/// What the head and blocks keep on disk.
fn stored_files(fixtures: &Path) {
    let read = |file: &str| std::fs::read(fixtures.join(file)).unwrap();
    let directory = |file: &str| read(&format!("directory-v2/{file}"));
    let head = |file: &str| read(&format!("head-v1/{file}"));
    let chunks = "00000000000000000001.chunks";
    write("checkpoint", "v1", &together(&[head("checkpoint"), head(chunks)]));
    let killed = [directory("head/checkpoint"), directory(&format!("head/{chunks}"))];
    write("checkpoint", "killed", &together(&killed));
    let blocks = [("recent", "BGHXFXNEH78Y4MD4"), ("cold", "197BHHT2JVQD7B1K")];
    for (which, (name, block)) in blocks.into_iter().enumerate() {
        let chunks = directory(&format!("blocks/01M3250V00{block}/chunks"));
        write("block_chunks", name, &[&[which as u8], &chunks[..]].concat());
    }
    write("saved_files", "v1", &together(&[directory("exemplars"), directory("metadata")]));
    let manifest = br#"{"version":1,"format":"{}","createdMs":1,"blocks":[{"ulid":"a","files":[
        {"name":"index","bytes":3,"crc32c":"00000000"}]}],"tombstones":"4d53"}"#;
    let open = manifest.strip_suffix(b"}").unwrap().to_vec();
    let small = [directory("metricstor.json"), directory("wal/cut"), open];
    write("small_files", "all", &together(&small));
}

/// What other programs write.
fn foreign_files(fixtures: &Path) {
    let lines = br#"
{"metric":{"__name__":"up","job":"a"},"values":[1,null,"NaN"],"timestamps":[1,2,3]}
{"metric":{"__name__":"x\u00e9"},"values":["Infinity",-0.5e3],"timestamps":[-1,1790000000000]}
"#;
    write("json_lines", "two", lines);
    for (name, block) in
        [("plain", "01M7YKTH4RJW95N4XVABSQFQ4G"), ("start-times", "01M7YKTJGQB6GXEE1S2FMACHMB")]
    {
        let dir = fixtures.join(name);
        let read = |file: &str| std::fs::read(dir.join(file)).unwrap();
        let of_block = |file: &str| read(&format!("{block}/{file}"));
        let chunks = of_block("chunks/000001");
        each_chunk(&chunks, |number, chunk| {
            write("prometheus_chunk", &format!("{name}-{number}"), chunk);
        });
        let parts = [of_block("index"), chunks, of_block("tombstones")];
        write("prometheus_block", name, &together(&parts));
        // A segment is filled up with zeros.
        let log = read("wal/00000000");
        let end = log.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        write("prometheus_log", name, &log[..end]);
    }
}

/// The chunks of a segment of Prometheus: each a varint of its length, encoding, data and checksum,
/// after a header of 8 bytes. Those here are shorter than 16 KiB.
fn each_chunk(segment: &[u8], mut visit: impl FnMut(usize, &[u8])) {
    let (mut rest, mut number) = (&segment[8..], 0);
    while let [first, second, ..] = *rest {
        let (len, head) = if first < 128 {
            (usize::from(first), 1)
        } else {
            (usize::from(first & 127) | usize::from(second) << 7, 2)
        };
        let Some(chunk) = rest.get(head..head + 1 + len) else { break };
        visit(number, chunk);
        number += 1;
        rest = rest.get(head + 1 + len + 4..).unwrap_or_default();
    }
}

/// Parts of one input.
fn together(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.join(&b"NEXT"[..])
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
