//! Start timestamps as a caller of the engine sees them: each sample keeps its own, through the
//! log, a checkpoint, blocks of both kinds and a delete, beside samples that say none.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::histogram::{Counts, Histogram, Layout, Tally};
use metricstor_engine::labels::encode_pair;
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::selection::{Filled, Target};
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::{NO_START, Sample, TimeRange, Times};
use metricstor_engine::source::Scope;
use metricstor_engine::wire::WireBatch;
use metricstor_engine::wire::histogram::WireHistogram;
use support::fixture::{copy, is_to_be_written, keep};
use support::{checkpoint, compact, flush, stat};

const NOW_MS: i64 = 1_790_000_000_000;
const STEP_MS: i64 = 15_000;
const SAMPLES: i64 = 700;

/// Series, time: the start, and whether the sample is a histogram.
type Stored = BTreeMap<(String, i64), (i64, bool)>;

fn open(dir: &Path) -> Engine {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let options = Options { compact_cpu_share: 0.0, ..Options::new(dir.to_path_buf()) };
    Engine::open_with(options, Arc::new(OsDisk), clock).unwrap()
}

/// The value of a float, the sum of a histogram.
fn value(t: i64) -> f64 {
    (t % 97) as f64
}

fn write(engine: &Engine, name: &str, samples: &[(Times, bool)]) {
    let mut batch = WireBatch::default();
    let layout = Arc::new(Layout { zero_threshold: 0.5, ..Layout::default() });
    for (Times { t, start }, is_histogram) in samples {
        if *is_histogram {
            let counts = match name {
                "fractions" => Counts::Float(Tally { count: 2.5, zero: 2.5, ..Tally::default() }),
                _ => Counts::Integer(Tally { count: 3, zero: 3, ..Tally::default() }),
            };
            let (layout, sum) = (layout.clone(), value(*t));
            let value = Histogram { layout, sum, counts, ..Histogram::stale() };
            batch.histograms.push(WireHistogram { t: *t, start_t: *start, value });
        } else {
            batch.push_sample(Sample { t: *t, v: value(*t) }, *start);
        }
    }
    let mut labels = Vec::new();
    encode_pair(&mut labels, "__name__", name);
    batch.end_series(labels.into()).unwrap();
    let (send, receive) = channel();
    engine.write_batch(&batch, TenantId(0), Box::new(move |result| send.send(result).unwrap()));
    let outcome = receive.recv().unwrap().unwrap();
    assert!(outcome.rejections.is_empty(), "{:?}", outcome.rejections);
}

fn all(engine: &Engine) -> Stored {
    let mut session = engine.session(Scope::default(), Cancel::default());
    let mut selection = session.select(Vec::new(), TimeRange::ALL).unwrap();
    let (mut ts, mut vs, mut offsets) = (vec![0.0; 8192], vec![0.0; 8192], vec![0u32; 2]);
    let mut stored = Stored::new();
    for series in 0..selection.len() {
        let mut target = Target { timestamps: &mut ts, values: &mut vs, offsets: &mut offsets };
        assert_eq!(selection.read(series, &mut target).unwrap(), Filled::Series(1));
        let name = session.dictionary.text(selection.labels(series)[1]).to_owned();
        for (i, t) in ts[..offsets[1] as usize].iter().enumerate() {
            let start = selection.starts().get(i).copied().unwrap_or(NO_START);
            let is_histogram = selection.histograms().iter().any(|(at, _)| *at as usize == i);
            assert_eq!(vs[i], value(*t as i64), "{name} at {t}");
            stored.insert((name.clone(), *t as i64), (start, is_histogram));
        }
    }
    stored
}

/// Series of one kind: the start of each sample, and whether it is a histogram.
type Kind = (&'static str, fn(i64) -> (i64, bool));

const KINDS: [Kind; 7] = [
    ("counter", |i| (NOW_MS - 1_000_000_000 + i / 300 * 777, false)),
    ("interval", |i| (NOW_MS - (SAMPLES + 1 - i) * STEP_MS, false)),
    ("plain", |_| (NO_START, false)),
    ("begun", |i| (if i < 200 { NO_START } else { 5 }, false)),
    ("histogram", |i| (if i % 400 < 100 { NO_START } else { i / 250 }, true)),
    ("fractions", |i| (i / 70, true)),
    ("mixed", |i| (i / 100 % 2 * 9, i / 150 % 2 == 1)),
];

/// Writes a part of each series in order, then some of it once more, late and with other starts;
/// without an engine it only says what is there then.
fn fill(engine: Option<&Engine>, want: &mut Stored, part: Range<i64>) {
    let from = NOW_MS - SAMPLES * STEP_MS;
    for (name, of) in KINDS {
        let sample = |i: i64| {
            let (start, is_histogram) = of(i);
            (Times { t: from + i * STEP_MS, start }, is_histogram)
        };
        let samples: Vec<_> = part.clone().map(sample).collect();
        let late: Vec<_> = part
            .clone()
            .filter(|i| i % 50 == 0)
            .map(|i| (Times { t: from + i * STEP_MS + 7, start: i % 3 }, i % 20 == 0))
            .collect();
        for (times, is_histogram) in samples.iter().chain(&late) {
            want.insert((name.to_owned(), times.t), (times.start, *is_histogram));
        }
        if let Some(engine) = engine {
            samples.chunks(90).for_each(|samples| write(engine, name, samples));
            write(engine, name, &late);
        }
    }
}

fn fill_all(engine: &Engine) -> Stored {
    let mut want = Stored::new();
    fill(Some(engine), &mut want, 0..SAMPLES);
    want
}

/// A directory with a cold block, one of Gorilla chunks, a checkpoint and the log behind it.
fn fill_directory(engine: Option<&Engine>) -> Stored {
    let mut want = Stored::new();
    let mut step = |part, then: fn(&Engine) -> Result<()>| {
        fill(engine, &mut want, part);
        engine.map_or(Ok(()), then).unwrap();
    };
    step(0..200, flush);
    step(100..300, |engine| flush(engine).and_then(|()| compact(engine)));
    step(300..400, flush);
    step(400..650, checkpoint);
    step(650..SAMPLES, |_| Ok(()));
    want
}

/// The directory that [`fill_directory`] left, of version 2. When a format changes, another is
/// written with `METRICSTOR_WRITE_FIXTURE=1`, and this one stays.
fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/directory-v2-starts")
}

#[test]
fn a_directory_of_samples_with_starts_is_read_whole() {
    if is_to_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path());
        let want = fill_directory(Some(&engine));
        assert_eq!(all(&engine), want, "written");
        keep(dir.path(), &fixture());
    }
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let engine = open(dir.path());
    let want = fill_directory(None);
    assert_eq!(all(&engine), want, "opened");
    let merged = stat(&engine, "blocks") - stat(&engine, "blocksLevel1");
    assert!(merged > 0.0 && stat(&engine, "blocksLevel1") > 0.0, "blocks of both kinds");
    engine.close().unwrap();
    let engine = open(dir.path());
    flush(&engine).unwrap();
    compact(&engine).unwrap();
    assert_eq!(all(&engine), want, "merged");
}

#[test]
fn each_sample_keeps_its_start_wherever_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let want = fill_all(&engine);
    assert_eq!(all(&engine), want, "from memory");
    // Dropped without a checkpoint: from the log.
    drop(engine);
    let engine = open(dir.path());
    assert_eq!(all(&engine), want, "from the log");
    engine.close().unwrap();
    let engine = open(dir.path());
    assert_eq!(all(&engine), want, "from a checkpoint");
    flush(&engine).unwrap();
    assert_eq!(all(&engine), want, "from a block");
    compact(&engine).unwrap();
    assert_eq!(all(&engine), want, "from a cold block");
    engine.close().unwrap();
    let engine = open(dir.path());
    assert_eq!(all(&engine), want, "from a cold block, opened");
}

#[test]
fn a_later_write_replaces_the_start_too() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let mut want = fill_all(&engine);
    flush(&engine).unwrap();
    let from = NOW_MS - SAMPLES * STEP_MS;
    for (i, start) in [(3, 0), (4, 11), (500, 12)] {
        let t = from + i * STEP_MS;
        write(&engine, "counter", &[(Times { t, start }, false)]);
        want.insert(("counter".to_owned(), t), (start, false));
    }
    assert_eq!(all(&engine), want);
    flush(&engine).unwrap();
    compact(&engine).unwrap();
    assert_eq!(all(&engine), want);
}
