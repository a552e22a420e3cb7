//! What is fuzzed: one function per decoder, which takes any bytes and must return.
//!
//! A decoder may refuse what it is given; it must not panic, hang, or take memory out of proportion
//! to its input. Where it accepts, the target looks whether what came out can be written and read
//! again. Checksums are taken for right: a fuzzer cannot guess one.
//!
//! The same functions run under libFuzzer (`fuzz_targets/`) and, over the committed corpus, in an
//! ordinary test of the engine (`engine/tests/fuzz_corpus.rs`).
//!
//! ```text
//! here        chunks, labels, the log, the index, tombstones, descriptions, patterns
//! stored.rs   checkpoints, the chunks of a block, small files
//! foreign.rs  Prometheus' blocks and log, JSON lines
//! ```

#[path = "foreign.rs"]
mod foreign;
#[path = "stored.rs"]
mod stored;

pub use foreign::{json_lines, prometheus_block, prometheus_chunk, prometheus_log};
pub use stored::{block_chunks, checkpoint, saved_files, small_files};

use std::path::Path;
use std::sync::Arc;

use metricstor_engine::block::meta::Meta;
use metricstor_engine::block::tombstones::{TOMBSTONES_FILE, TombstoneList};
use metricstor_engine::chunk::{Encoding, dense, gorilla, histogram};
use metricstor_engine::codec::checksum::accepting_any;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::error::Result;
use metricstor_engine::histogram::Histogram;
use metricstor_engine::index::file::IndexFile;
use metricstor_engine::index::go_regex;
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::index::select::select;
use metricstor_engine::labels::Labels;
use metricstor_engine::options::WriteLimits;
use metricstor_engine::refs::{Position, SeriesRef, TenantId};
use metricstor_engine::run::Run;
use metricstor_engine::sample::{TimeRange, Times, TimestampMs};
use metricstor_engine::tombstone::Tombstone;
use metricstor_engine::wal;
use metricstor_engine::wal::record::exemplars::ExemplarRecord;
use metricstor_engine::wal::record::metadata::MetadataRecord;
use metricstor_engine::wal::record::{self, RecordVisitor};
use metricstor_engine::wire::WireBatch;
use metricstor_engine::wire::compression::{BodyEncoding, decompress};
use metricstor_engine::wire::labels::{canonicalize, canonicalize_exemplar};
use metricstor_engine::wire::remote_write::parse_v1;
use metricstor_engine::wire::remote_write_2::{ParseOptions, parse_v2};

/// A target and its name, which is also its corpus' directory.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("gorilla", gorilla),
    ("dense_column", dense_column),
    ("histogram_chunk", histogram_chunk),
    ("labels", labels),
    ("write_batch", write_batch),
    ("wal_record", wal_record),
    ("tombstones", tombstones),
    ("wal_replay", wal_replay),
    ("index_open", index_open),
    ("block_meta", block_meta),
    ("go_regex", regex),
    ("checkpoint", checkpoint),
    ("block_chunks", block_chunks),
    ("saved_files", saved_files),
    ("small_files", small_files),
    ("json_lines", json_lines),
    ("prometheus_chunk", prometheus_chunk),
    ("prometheus_block", prometheus_block),
    ("prometheus_log", prometheus_log),
];

/// The largest body that a compressed input may make.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A chunk from any bytes, and the bytes as samples into a chunk and back.
pub fn gorilla(data: &[u8]) {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    let _ = gorilla::header(data);
    gorilla_starts(data);
    if gorilla::decode(data, TimeRange::ALL, &mut timestamps, &mut values).is_ok() {
        assert_eq!(timestamps.len(), values.len());
        if timestamps.is_sorted_by(|a, b| a < b) {
            assert_same_after_encoding(&timestamps, &values);
        }
    }
    let (mut timestamps, mut values) = (Vec::<TimestampMs>::new(), Vec::new());
    let mut words = data.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    while let (Some(t), Some(v)) = (words.next(), words.next()) {
        if timestamps.last().is_none_or(|last| *last < t as i64) {
            timestamps.push(t as i64);
            values.push(f64::from_bits(v));
        }
    }
    assert_same_after_encoding(&timestamps, &values);
}

/// A chunk with start timestamps from any bytes, and what it held into a chunk and back.
fn gorilla_starts(data: &[u8]) {
    let mut run = Run::default();
    if gorilla::decode_starts(data, TimeRange::ALL, &mut run.sink()).is_err() {
        return;
    }
    let held = run.as_slice();
    let mut appender = gorilla::Appender::with_starts();
    for (i, v) in held.values.iter().enumerate().take(usize::from(u16::MAX)) {
        appender.append(held.times_of(i), *v);
    }
    let mut again = Run::default();
    gorilla::decode_starts(&appender.finish(), TimeRange::ALL, &mut again.sink()).unwrap();
    let again = again.as_slice();
    for i in 0..again.values.len() {
        assert_eq!(again.times_of(i), held.times_of(i));
        assert_eq!(again.values[i].to_bits(), held.values[i].to_bits());
    }
}

fn assert_same_after_encoding(timestamps: &[TimestampMs], values: &[f64]) {
    if timestamps.is_empty() {
        return;
    }
    let mut appender = gorilla::Appender::new();
    for (t, v) in timestamps.iter().zip(values) {
        appender.append(*t, *v);
    }
    let (mut got_timestamps, mut got_values) = (Vec::new(), Vec::new());
    let bytes = appender.finish();
    gorilla::decode(&bytes, TimeRange::ALL, &mut got_timestamps, &mut got_values).unwrap();
    assert_eq!(got_timestamps, timestamps);
    assert!(got_values.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
}

/// A chunk of native histograms, of either kind.
pub fn histogram_chunk(data: &[u8]) {
    let plain = [Encoding::IntHistogram, Encoding::FloatHistogram];
    for encoding in plain.into_iter().chain(plain.map(Encoding::with_starts)) {
        let Ok(samples) = decoded_histograms(encoding, data) else { continue };
        let mut appender = histogram::Appender::new(encoding);
        if samples.iter().all(|(at, h)| appender.append(*at, h)) && !samples.is_empty() {
            assert_eq!(decoded_histograms(encoding, &appender.snapshot()).unwrap(), samples);
        }
    }
}

fn decoded_histograms(encoding: Encoding, bytes: &[u8]) -> Result<Vec<(Times, Arc<Histogram>)>> {
    let mut run = Run::default();
    histogram::decode(encoding, bytes, TimeRange::ALL, &mut run.sink())?;
    let run = run.as_slice();
    assert_eq!(run.timestamps.len(), run.histograms.iter().flatten().count());
    let samples = run.histograms.iter().flatten().enumerate();
    Ok(samples.map(|(i, h)| (run.times_of(i), Arc::clone(h))).collect())
}

/// A column from any bytes, the first two of which say how many values it is asked for; and the
/// bytes as values into a column and back.
pub fn dense_column(data: &[u8]) {
    let mut scratch = dense::Scratch::default();
    if let Some((count, column)) = data.split_first_chunk() {
        let count = usize::from(u16::from_le_bytes(*count)) % (dense::SAMPLES_MAX + 1);
        let _ = dense::decode_values(column, &mut scratch, &mut vec![0.0; count]);
        if let Ok((Some(starts), _)) = dense::split_starts(column) {
            let _ = dense::decode_starts(starts, &mut scratch, &mut vec![0; count]);
        }
        let mut times = vec![0; count];
        if dense::decode_times(column, &mut scratch, &mut times).is_ok() {
            assert!(times.is_sorted_by(|a, b| a < b));
        }
    }
    let words = data.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap()));
    let values: Vec<f64> = words.map(f64::from_bits).take(dense::SAMPLES_MAX).collect();
    if values.is_empty() {
        return;
    }
    let (mut column, mut got) = (Vec::new(), vec![0.0; values.len()]);
    dense::encode_values(&values, &mut scratch, &mut column);
    dense::decode_values(&column, &mut scratch, &mut got).unwrap();
    assert!(got.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
}

/// The labels of a series, canonical or as a sender wrote them.
pub fn labels(data: &[u8]) {
    if let Ok(labels) = Labels::from_canonical(data) {
        let again = Labels::from_pairs(labels.iter()).unwrap();
        assert_eq!(again.as_bytes(), data, "two canonical encodings of one label set");
    }
    if let Ok(labels) = canonicalize(data, &WriteLimits::default()) {
        let again = canonicalize(labels.as_bytes(), &WriteLimits::default()).unwrap();
        assert_eq!(again.as_bytes(), labels.as_bytes());
    }
}

/// A remote_write body, plain and compressed.
pub fn write_batch(data: &[u8]) {
    for encoding in [BodyEncoding::Identity, BodyEncoding::Snappy, BodyEncoding::Zstd] {
        let Ok(body) = decompress(encoding, data, BODY_BYTES_MAX) else { continue };
        assert!(body.len() <= BODY_BYTES_MAX);
        let mut arena = Vec::new();
        let options = ParseOptions {
            max_arena_bytes: BODY_BYTES_MAX,
            type_and_unit_labels: data.len() % 2 == 1,
        };
        let batches = [parse_v1(&body), parse_v2(&body, &mut arena, options)];
        batches.iter().flatten().for_each(check_batch);
        drop(batches);
        assert!(arena.len() <= 2 * BODY_BYTES_MAX);
    }
}

fn check_batch(batch: &WireBatch<'_>) {
    for (i, series) in batch.series.iter().enumerate() {
        let spans = batch.spans(i);
        let _ = (&batch.samples[spans.samples], &batch.exemplars[spans.exemplars]);
        for histogram in &batch.histograms[spans.histograms] {
            let _ = histogram.value.validate();
        }
        let _ = canonicalize(&series.labels, &WriteLimits::default());
    }
    for exemplar in &batch.exemplars {
        let _ = canonicalize_exemplar(&exemplar.labels, 128);
    }
}

/// Takes everything.
struct Anything;

impl RecordVisitor for Anything {
    fn series(&mut self, _: SeriesRef, _: TenantId, canonical: &[u8]) -> Result<()> {
        let _ = Labels::from_canonical(canonical);
        Ok(())
    }

    fn sample(&mut self, _: SeriesRef, _: Times, _: f64) -> Result<()> {
        Ok(())
    }

    fn tombstone(&mut self, encoded: &[u8]) -> Result<()> {
        let _ = Tombstone::decode(encoded);
        Ok(())
    }

    fn histogram(&mut self, _: SeriesRef, _: Times, _: Histogram) -> Result<()> {
        Ok(())
    }

    fn exemplar(&mut self, exemplar: ExemplarRecord<'_>) -> Result<()> {
        let _ = Labels::from_canonical(exemplar.series);
        Ok(())
    }

    fn metadata(&mut self, _: MetadataRecord<'_>) -> Result<()> {
        Ok(())
    }
}

/// The payload of a log frame.
pub fn wal_record(data: &[u8]) {
    let _ = record::decode(data, &mut Anything);
}

/// A log of one segment, or of two where the input holds the mark between them.
pub fn wal_replay(data: &[u8]) {
    let disk = FaultyDisk::new();
    let dir = Path::new("/wal");
    disk.create_dir(dir).unwrap();
    let middle = data.windows(4).position(|mark| mark == b"NEXT").unwrap_or(data.len());
    let (first, second) = data.split_at(middle);
    put(&disk, &dir.join(format!("{:020}.wal", 0)), first);
    if let Some(second) = second.strip_prefix(b"NEXT") {
        put(&disk, &dir.join(format!("{:020}.wal", first.len().max(1))), second);
    }
    accepting_any(|| {
        let _ = wal::first_position(&disk, dir);
        let _ = wal::replay(&disk, dir, Position(0), &mut |_, payload| {
            record::decode(payload, &mut Anything)
        });
    });
}

/// The file of tombstones, read and written again.
pub fn tombstones(data: &[u8]) {
    let (disk, dir) = (FaultyDisk::new(), Path::new("/"));
    put(&disk, &dir.join(TOMBSTONES_FILE), data);
    accepting_any(|| {
        let Ok(list) = TombstoneList::read(&disk, dir) else { return };
        list.publish(&disk, dir).unwrap();
        let again = TombstoneList::read(&disk, dir).unwrap();
        assert_eq!((again.len(), again.newest()), (list.len(), list.newest()));
    });
}

/// A block's index: opened, every series and value read, selected from, verified.
pub fn index_open(data: &[u8]) {
    let disk = FaultyDisk::new();
    let path = Path::new("/index");
    put(&disk, path, data);
    accepting_any(|| {
        let Ok(index) = IndexFile::open(&disk, path) else { return };
        let mut schema = Vec::new();
        for number in 0..index.series_count().min(4096) {
            let Ok(entry) = index.series(number) else { continue };
            if index.schema(entry.schema, &mut schema).is_ok() {
                let _ = entry.pairs(&schema).count();
            }
            let _ = entry.pieces().take(4096).count();
        }
        let mut text = String::new();
        for pair in 0..index.pair_count().min(4096) {
            let _ = index.value_of(pair, &mut text);
        }
        for (op, value) in
            [(MatchOp::Equal, "up"), (MatchOp::Regex, "u.*"), (MatchOp::NotEqual, "")]
        {
            let matcher = Matcher::new("__name__", op, value).unwrap();
            let _ = select(&index, &[&matcher]);
        }
        let whole = index.bytes();
        let summary = metricstor_engine::disk::sections::FileSummary { bytes: whole, crc32c: 0 };
        let _ = index.verify(summary);
    });
}

/// `meta.json`.
pub fn block_meta(data: &[u8]) {
    let text = sealed(data);
    if let Ok(meta) = Meta::decode(Path::new("meta.json"), text.as_bytes()) {
        let again = meta.encode().unwrap();
        assert_eq!(Meta::decode(Path::new("meta.json"), again.as_bytes()).unwrap(), meta);
    }
    let _ = Meta::decode(Path::new("meta.json"), data);
}

/// The checksum closes a text: the right one behind whatever the input begins with.
fn sealed(data: &[u8]) -> String {
    let open = String::from_utf8_lossy(data);
    let digits = format!("{:08x}", crc_of(&open));
    format!("{open},\n  \"checksum\": \"crc32c:{digits}\"\n}}\n")
}

/// Bit by bit, after RFC 3720, §12.1: the crate that the engine uses is no dependency here.
fn crc_of(text: &str) -> u32 {
    !text.bytes().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

/// A pattern in Go's syntax, compiled and run.
pub fn regex(data: &[u8]) {
    let Ok(pattern) = std::str::from_utf8(data) else { return };
    if pattern.len() > 256 {
        return;
    }
    if let Ok(regex) = go_regex::compile(pattern) {
        let _ = regex.is_match("metric_name_total");
    }
    if let Ok(matcher) = Matcher::new("job", MatchOp::Regex, pattern) {
        let inverse = matcher.inverse();
        for value in ["", "a", "prometheus", pattern] {
            assert_ne!(matcher.matches(value), inverse.matches(value));
        }
        for literal in matcher.literals().unwrap_or_default() {
            assert!(matcher.matches(literal), "{pattern:?} does not match its {literal:?}");
        }
    }
}

/// The parts of an input, which the word NEXT divides.
fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut rest = data;
    std::array::from_fn(|_| {
        let end = rest.windows(4).position(|mark| mark == b"NEXT").unwrap_or(rest.len());
        let part = &rest[..end];
        rest = rest.get(end + 4..).unwrap_or_default();
        part
    })
}

fn put(disk: &FaultyDisk, path: &Path, bytes: &[u8]) {
    let mut file = Arc::new(disk.clone()).create(path).unwrap();
    file.write(bytes).unwrap();
    file.sync().unwrap();
}
