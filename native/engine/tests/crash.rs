//! Power loss at every call of the disk: what was acknowledged is read back, by bits, and nothing
//! else than what was written.
//!
//! The script writes, rewrites, backfills, takes checkpoints, flushes and compacts; it is stopped
//! at its nth call for every n.
//! The disk then keeps an arbitrary subset of the unsynced sectors and directory entries, and the
//! next engine must open, and must still have everything after another restart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::options::Options;
use support::{all, checkpoint, compact, flush, stat, write};

const NOW_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: i64 = 60_000;

fn open(disk: &FaultyDisk) -> Result<Engine> {
    let mut options = Options::new(Path::new("/data"));
    options.block_range_ms = 10 * MINUTE_MS;
    options.wal_segment_bytes = 2048;
    // Blocks are merged when the script says so.
    options.compact_cpu_share = 0.0;
    let clock = Arc::new(ManualClock::new(NOW_MS));
    Engine::open_with(options, Arc::new(disk.clone()), clock)
}

/// What the writers know: for each series and time the acknowledged value, and every value that
/// was ever sent after it.
#[derive(Default)]
struct Model {
    acknowledged: BTreeMap<(String, i64), u64>,
    possible: BTreeMap<(String, i64), Vec<u64>>,
}

impl Model {
    fn write(&mut self, engine: &Engine, host: &str, samples: &[(i64, f64)]) -> Result<()> {
        let labels = [("__name__", "m"), ("host", host)];
        let name = format!("__name__=m,host={host}");
        for (t, v) in samples {
            self.possible.entry((name.clone(), *t)).or_default().push(v.to_bits());
        }
        let outcome = write(engine, &[(&labels, samples)])?;
        assert_eq!(outcome.samples, samples.len() as u64);
        for (t, v) in samples {
            self.acknowledged.insert((name.clone(), *t), v.to_bits());
        }
        Ok(())
    }

    /// Compares; returns how many samples there are.
    fn check(&self, engine: &Engine, context: &str) -> usize {
        let found: BTreeMap<(String, i64), u64> = all(engine)
            .into_iter()
            .flat_map(|(name, samples)| {
                samples.into_iter().map(move |(t, v)| ((name.clone(), t), v))
            })
            .collect();
        for (key, acknowledged) in &self.acknowledged {
            let sent = &self.possible[key];
            let from = sent.iter().rposition(|v| v == acknowledged).unwrap();
            let got = found.get(key);
            assert!(
                got.is_some_and(|got| sent[from..].contains(got)),
                "{context}: {key:?} was acknowledged as {acknowledged:x}, found {got:x?}"
            );
        }
        for (key, got) in &found {
            let known = self.possible.get(key).is_some_and(|sent| sent.contains(got));
            assert!(known, "{context}: {key:?} is {got:x}, which nobody wrote");
        }
        found.len()
    }
}

/// Writes until the disk fails.
fn script(disk: &FaultyDisk, model: &mut Model) -> Result<()> {
    let engine = open(disk)?;
    let at = |minute: i64| NOW_MS - 3 * 3_600_000 + minute * MINUTE_MS;
    let series = |from: i64, n: i64, v: f64| -> Vec<(i64, f64)> {
        (from..from + n).map(|m| (at(m), v + m as f64)).collect()
    };
    model.write(&engine, "a", &series(0, 8, 0.0))?;
    model.write(&engine, "b", &series(4, 8, 100.0))?;
    flush(&engine)?;
    model.write(&engine, "a", &series(2, 3, 200.0))?;
    model.write(&engine, "c", &series(-300, 5, 300.0))?;
    model.write(&engine, "a", &series(8, 20, 400.0))?;
    flush(&engine)?;
    // A failed merge leaves all as it was, and may be tried again.
    compact(&engine).or_else(|_| compact(&engine))?;
    model.write(&engine, "b", &series(12, 4, 500.0))?;
    checkpoint(&engine)?;
    model.write(&engine, "a", &[(at(3), 600.0)])?;
    // Full chunks, which leave the heap at the checkpoint that closing takes.
    model.write(&engine, "e", &series(0, 130, 650.0))?;
    engine.close()?;
    let engine = open(disk)?;
    model.write(&engine, "d", &series(0, 3, 700.0))?;
    checkpoint(&engine)?;
    model.write(&engine, "e", &series(128, 4, 750.0))?;
    // Much later: windows that were recent are wide now.
    model.write(&engine, "e", &[(NOW_MS, 750.0)])?;
    flush(&engine)?;
    model.write(&engine, "d", &series(1, 1, 800.0))?;
    compact(&engine).or_else(|_| compact(&engine))?;
    model.write(&engine, "a", &series(6, 2, 900.0))?;
    engine.close()
}

fn stop_at_every_call(fault: Fault, seeds: u64) {
    let whole = FaultyDisk::new();
    script(&whole, &mut Model::default()).unwrap();
    // Threads of the engine race a little, so a run may take a few calls more than the first.
    let calls = whole.calls() + 20;
    let twice = stat(&open(&whole).unwrap(), "blocksLevel3");
    assert!(twice > 0.0, "the script merges blocks, and what they became again");
    for n in 0..calls {
        let disk = FaultyDisk::new();
        disk.fail_in(n, fault);
        let mut model = Model::default();
        let _ = script(&disk, &mut model);
        for seed in 0..seeds {
            let context = format!("{fault:?} at call {n} of {calls}, seed {seed}");
            let crashed = disk.crash(seed * 7919 + n);
            let engine = open(&crashed).unwrap_or_else(|e| panic!("{context}: {e}"));
            let first = model.check(&engine, &context);
            assert_eq!(stat(&engine, "blocksQuarantined"), 0.0, "{context}");
            engine.close().unwrap();
            let engine = open(&crashed).unwrap_or_else(|e| panic!("{context}, again: {e}"));
            assert_eq!(model.check(&engine, &context), first, "{context}: after a restart");
            flush(&engine).unwrap();
            assert_eq!(model.check(&engine, &context), first, "{context}: after a flush");
            compact(&engine).unwrap();
            assert_eq!(model.check(&engine, &context), first, "{context}: after a compaction");
        }
    }
}

#[test]
fn power_loss_at_any_call_loses_nothing_acknowledged() {
    stop_at_every_call(Fault::PowerLoss, 3);
}

#[test]
fn a_failing_call_and_a_later_power_loss_lose_nothing_acknowledged() {
    stop_at_every_call(Fault::Io, 2);
}

#[test]
fn a_full_disk_refuses_writes_keeps_reads_and_recovers_with_space() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    let mut model = Model::default();
    model.write(&engine, "a", &[(NOW_MS, 1.0)]).unwrap();
    disk.set_capacity(Some(0));
    let refused = model.write(&engine, "a", &[(NOW_MS + 1, 2.0)]);
    assert_eq!(refused.unwrap_err().code().as_str(), "disk_full");
    model.check(&engine, "full");
    disk.set_capacity(None);
    model.write(&engine, "a", &[(NOW_MS + 2, 3.0)]).unwrap();
    model.check(&engine, "with space again");
    engine.close().unwrap();
    model.check(&open(&disk).unwrap(), "after a restart");
}
