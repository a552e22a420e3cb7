//! Native histograms as a caller of the engine sees them: what was answered is read back bit for
//! bit, through restart, flush and power loss, beside floats of the same series.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::codec::varint;
use metricstor_engine::commit::{WireFormat, WriteRequest};
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::head::append::WriteOutcome;
use metricstor_engine::histogram::{
    CUSTOM_SCHEMA, CounterReset, Counts, Histogram, Layout, Span, Tally,
};
use metricstor_engine::labels::encode_pair;
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::selection::{Filled, Target};
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::{STALE_BITS, TimeRange};
use metricstor_engine::source::Scope;
use metricstor_engine::wire::compression::BodyEncoding;
use support::flush;

const NOW_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: i64 = 60_000;

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Float(u64),
    Histogram(Histogram),
}

type Sample = (i64, Value);

fn field(out: &mut Vec<u8>, number: u64, content: &[u8]) {
    varint::write(out, number << 3 | 2);
    varint::write(out, content.len() as u64);
    out.extend_from_slice(content);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    varint::write(out, field << 3);
    varint::write(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint::write(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn packed_doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn packed_deltas(counts: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    Tally::deltas(counts).for_each(|delta| varint::write_signed(&mut out, delta));
    out
}

/// A `Histogram` message of remote_write 1.0.
fn message(t: i64, h: &Histogram) -> Vec<u8> {
    let mut out = Vec::new();
    match &h.counts {
        Counts::Integer(tally) => {
            number(&mut out, 1, tally.count);
            number(&mut out, 6, tally.zero);
            field(&mut out, 9, &packed_deltas(&tally.negative));
            field(&mut out, 12, &packed_deltas(&tally.positive));
        }
        Counts::Float(tally) => {
            double(&mut out, 2, tally.count);
            double(&mut out, 7, tally.zero);
            field(&mut out, 10, &packed_doubles(&tally.negative));
            field(&mut out, 13, &packed_doubles(&tally.positive));
        }
    }
    double(&mut out, 3, h.sum);
    number(&mut out, 4, varint::zigzag(i64::from(h.layout.schema)));
    double(&mut out, 5, h.layout.zero_threshold);
    for (side, spans) in [(8, &h.layout.negative), (11, &h.layout.positive)] {
        for span in spans {
            let mut content = Vec::new();
            number(&mut content, 1, varint::zigzag(i64::from(span.offset)));
            number(&mut content, 2, u64::from(span.length));
            field(&mut out, side, &content);
        }
    }
    number(&mut out, 14, h.reset as u64);
    number(&mut out, 15, t as u64);
    field(&mut out, 16, &packed_doubles(&h.layout.bounds));
    out
}

fn write(engine: &Engine, host: &str, samples: &[Sample]) -> Result<WriteOutcome> {
    let mut series = Vec::new();
    encode_pair(&mut series, "__name__", "h");
    encode_pair(&mut series, "host", host);
    for (t, value) in samples {
        match value {
            Value::Float(bits) => {
                let mut sample = Vec::new();
                double(&mut sample, 1, f64::from_bits(*bits));
                number(&mut sample, 2, *t as u64);
                field(&mut series, 2, &sample);
            }
            Value::Histogram(h) => field(&mut series, 4, &message(*t, h)),
        }
    }
    let mut body = Vec::new();
    field(&mut body, 1, &series);
    let (send, receive) = channel();
    let request = WriteRequest {
        body: Box::new(body),
        encoding: BodyEncoding::Identity,
        format: WireFormat::RemoteWrite1,
        tenant: TenantId(0),
    };
    engine.write(request, Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap()
}

/// The samples of every series, by label order.
fn all(engine: &Engine) -> Vec<Vec<Sample>> {
    let mut session = engine.session(Scope::default(), Cancel::default());
    let mut selection = session.select(Vec::new(), TimeRange::ALL).unwrap();
    let (mut ts, mut vs, mut offsets) = (vec![0.0; 4096], vec![0.0; 4096], vec![0u32; 2]);
    let mut out = Vec::new();
    for series in 0..selection.len() {
        let mut target = Target { timestamps: &mut ts, values: &mut vs, offsets: &mut offsets };
        assert_eq!(selection.read(series, &mut target).unwrap(), Filled::Series(1));
        let count = offsets[1] as usize;
        let mut samples: Vec<Sample> =
            (0..count).map(|i| (ts[i] as i64, Value::Float(vs[i].to_bits()))).collect();
        for (row, h) in selection.histograms() {
            let sample = &mut samples[*row as usize];
            assert_eq!(sample.1, Value::Float(h.sum.to_bits()), "the value column has the sum");
            sample.1 = Value::Histogram((**h).clone());
        }
        out.push(samples);
    }
    out
}

fn histogram(layout: Layout, reset: CounterReset, sum: f64, counts: Counts) -> Value {
    Value::Histogram(Histogram { layout: Arc::new(layout), reset, sum, counts })
}

/// An integer histogram whose `buckets` buckets grow with `n`.
fn integer(n: u64, buckets: u32) -> Value {
    let layout = Layout {
        schema: 3,
        zero_threshold: 2.938_735_877_055_719e-39,
        positive: vec![Span { offset: -4, length: buckets }, Span { offset: 2, length: 1 }],
        negative: vec![Span { offset: 0, length: 1 }],
        ..Layout::default()
    };
    let positive: Vec<u64> = (0..=u64::from(buckets)).map(|bucket| n * (bucket % 3 + 1)).collect();
    let tally =
        Tally { count: positive.iter().sum::<u64>() + 2 * n, zero: n, positive, negative: vec![n] };
    histogram(layout, CounterReset::Unknown, n as f64 * 0.1, Counts::Integer(tally))
}

fn custom(n: f64) -> Value {
    let layout = Layout {
        schema: CUSTOM_SCHEMA,
        positive: vec![Span { offset: 1, length: 2 }],
        bounds: vec![0.005, 0.1, 2.5],
        ..Layout::default()
    };
    let tally =
        Tally { count: 3.0 * n, zero: 0.0, positive: vec![n, 2.0 * n], negative: Vec::new() };
    histogram(layout, CounterReset::Gauge, -n, Counts::Float(tally))
}

fn float(v: f64) -> Value {
    Value::Float(v.to_bits())
}

fn stale() -> Value {
    Value::Histogram(Histogram::stale())
}

fn every_kind() -> Vec<Sample> {
    let values = [
        float(1.5),
        integer(1, 3),
        integer(2, 4),
        stale(),
        integer(1, 4),
        custom(0.5),
        custom(f64::from_bits(0x7ff8_0000_0000_1234)),
        float(f64::from_bits(STALE_BITS)),
        integer(u64::MAX >> 8, 2),
    ];
    (0..).map(|n| NOW_MS - 60_000 + n * 1000).zip(values).collect()
}

struct Fixture {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new(NOW_MS)) }
    }

    fn open(&self) -> Engine {
        let options = Options::new(self.dir.path());
        Engine::open_with(options, Arc::new(OsDisk), self.clock.clone()).unwrap()
    }
}

#[test]
fn every_bit_comes_back_before_and_after_flush_and_restart() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let samples = every_kind();
    let floats = samples.iter().filter(|s| matches!(s.1, Value::Float(_))).count() as u64;
    let outcome = write(&engine, "a", &samples).unwrap();
    assert_eq!(outcome.rejections.len(), 0, "{outcome:?}");
    assert_eq!((outcome.samples, outcome.histograms), (floats, samples.len() as u64 - floats));
    // The same, the other way round: all but the newest are late.
    for sample in samples.iter().rev() {
        write(&engine, "b", std::slice::from_ref(sample)).unwrap();
    }
    let want = vec![samples.clone(), samples];
    assert_eq!(all(&engine), want);
    engine.close().unwrap();
    let engine = fixture.open();
    assert_eq!(all(&engine), want, "after a restart that replays the log");
    flush(&engine).unwrap();
    assert_eq!(all(&engine), want, "from a block");
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), want, "from a block after a restart");
}

#[test]
fn the_last_write_wins_across_kinds_and_sources() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let t = NOW_MS - 60_000;
    let first =
        [(t, float(1.0)), (t + 1, integer(1, 3)), (t + 2, integer(1, 3)), (t + 3, float(4.0))];
    write(&engine, "a", &first).unwrap();
    write(&engine, "a", &[(t, integer(5, 3)), (t + 1, float(2.0))]).unwrap();
    let mut want =
        vec![(t, integer(5, 3)), (t + 1, float(2.0)), first[2].clone(), first[3].clone()];
    assert_eq!(all(&engine), std::slice::from_ref(&want));
    flush(&engine).unwrap();
    write(&engine, "a", &[(t + 2, float(3.0)), (t + 3, custom(1.0))]).unwrap();
    want[2].1 = float(3.0);
    want[3].1 = custom(1.0);
    assert_eq!(all(&engine), std::slice::from_ref(&want), "head over block");
    flush(&engine).unwrap();
    assert_eq!(all(&engine), std::slice::from_ref(&want), "block over block");
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), [want], "after a restart");
}

#[test]
fn long_series_are_cut_into_chunks() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let samples: Vec<Sample> = (0..1500)
        .map(|n| {
            let value = if n % 400 == 399 {
                float(n as f64)
            } else {
                integer(n as u64, 20 + n as u32 / 100)
            };
            (NOW_MS - 1500 * 1000 + n * 1000, value)
        })
        .collect();
    write(&engine, "a", &samples).unwrap();
    assert_eq!(all(&engine), std::slice::from_ref(&samples));
    flush(&engine).unwrap();
    assert_eq!(all(&engine), [samples]);
}

#[test]
fn a_histogram_that_makes_no_sense_is_refused_and_the_others_are_stored() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let Value::Histogram(mut wrong) = integer(3, 2) else { panic!("not a histogram") };
    if let Counts::Integer(tally) = &mut wrong.counts {
        tally.count += 1;
    }
    let good = (NOW_MS, integer(3, 2));
    let outcome =
        write(&engine, "a", &[(NOW_MS - 1, Value::Histogram(wrong)), good.clone()]).unwrap();
    assert_eq!((outcome.histograms, outcome.rejections.len()), (1, 1));
    let rejection = &outcome.rejections[0];
    assert_eq!((rejection.code.as_str(), rejection.count), ("bad_data", 1));
    assert!(rejection.examples[0].contains("its count is"), "{}", rejection.examples[0]);
    assert_eq!(all(&engine), [vec![good]]);
}

fn open_on(disk: &FaultyDisk) -> Result<Engine> {
    let mut options = Options::new(Path::new("/data"));
    options.block_range_ms = 10 * MINUTE_MS;
    options.wal_segment_bytes = 4096;
    Engine::open_with(options, Arc::new(disk.clone()), Arc::new(ManualClock::new(NOW_MS)))
}

/// Writes until the disk fails, one sample at a time; returns how many were acknowledged.
fn script(disk: &FaultyDisk, samples: &[Sample]) -> usize {
    let mut acknowledged = 0;
    let mut run = || -> Result<()> {
        let engine = open_on(disk)?;
        for (n, sample) in samples.iter().enumerate() {
            write(&engine, "a", std::slice::from_ref(sample))?;
            acknowledged = n + 1;
            if n == samples.len() / 2 {
                flush(&engine)?;
            }
        }
        engine.close()
    };
    let _ = run();
    acknowledged
}

#[test]
fn power_loss_at_any_call_loses_no_acknowledged_histogram() {
    let samples = every_kind();
    let whole = FaultyDisk::new();
    assert_eq!(script(&whole, &samples), samples.len());
    for n in 0..whole.calls() {
        let disk = FaultyDisk::new();
        disk.fail_in(n, Fault::PowerLoss);
        let acknowledged = script(&disk, &samples);
        let crashed = disk.crash(n);
        let engine = open_on(&crashed).unwrap_or_else(|e| panic!("call {n}: {e}"));
        let found = all(&engine).into_iter().next().unwrap_or_default();
        assert!(found.len() >= acknowledged, "call {n}: {} of {acknowledged}", found.len());
        assert_eq!(found, samples[..found.len()], "call {n}");
    }
}
