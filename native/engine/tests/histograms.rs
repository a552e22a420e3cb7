//! Native histograms as a caller of the engine sees them: what was answered is read back bit for
//! bit, through restart, flush and power loss, beside floats of the same series.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::head::append::WriteOutcome;
use metricstor_engine::histogram::Counts;
use metricstor_engine::options::Options;
use metricstor_engine::sample::{STALE_BITS, TimeRange};
use support::fixture::{Fixture, NOW_MS};
use support::flush;
use support::values::{self, Sample, Value, custom, float, integer, stale};

const MINUTE_MS: i64 = 60_000;

fn write(engine: &Engine, host: &str, samples: &[Sample]) -> Result<WriteOutcome> {
    values::write(engine, &[("__name__", "h"), ("host", host)], samples)
}

/// The samples of every series, by label order.
fn all(engine: &Engine) -> Vec<Vec<Sample>> {
    let found = values::read(engine, Vec::new(), TimeRange::ALL);
    found.into_iter().map(|(_, samples)| samples).collect()
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
