//! Checkpoints as an operator sees them: a short log, a start that finds everything, and a start
//! that says what is wrong.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::deletes::Mode;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::options::Options;
use metricstor_engine::sample::TimeRange;
use support::{all, checkpoint, delete, flush, like, stat, write};

const NOW_MS: i64 = 1_790_000_000_000;

struct Machine {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
}

impl Machine {
    fn new() -> Self {
        Self { disk: FaultyDisk::new(), clock: Arc::new(ManualClock::new(NOW_MS)) }
    }

    fn open(&self) -> Result<Engine> {
        let mut options = Options::new(Path::new("/data"));
        options.wal_segment_bytes = 4096;
        Engine::open_with(options, Arc::new(self.disk.clone()), self.clock.clone())
    }

    /// The process dies without a word; the machine goes on.
    fn kill(&self) -> Self {
        Self { disk: self.disk.kill(), clock: self.clock.clone() }
    }

    fn head_files(&self) -> Vec<String> {
        self.disk.list(Path::new("/data/head")).unwrap().into_iter().map(|e| e.name).collect()
    }
}

/// Writes `times` of some series, one request a time.
fn scrape(engine: &Engine, series: std::ops::Range<u32>, times: std::ops::Range<i64>) {
    for n in times {
        for i in series.clone() {
            let name = format!("host-{i}");
            let value = f64::from(i) + n as f64 / 4.0;
            write(
                engine,
                &[(&[("__name__", "m"), ("host", &name)], &[(NOW_MS + n * 1000, value)])],
            )
            .unwrap();
        }
    }
}

#[test]
fn a_killed_process_comes_back_from_checkpoint_and_log() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    scrape(&engine, 0..40, 0..130);
    checkpoint(&engine).unwrap();
    scrape(&engine, 20..60, 130..140);
    let before = all(&engine);
    assert_eq!(before.len(), 60);

    let killed = machine.kill();
    let again = killed.open().unwrap();
    assert_eq!(all(&again), before);
    scrape(&again, 0..70, 140..150);
    let later = all(&again);
    let twice = killed.kill();
    assert_eq!(all(&twice.open().unwrap()), later, "killed again before the next checkpoint");
    checkpoint(&again).unwrap();
    assert_eq!(all(&killed.kill().open().unwrap()), later, "and after it");
}

#[test]
fn a_checkpoint_cuts_the_log_and_full_chunks_leave_the_heap() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    scrape(&engine, 0..10, 0..250);
    let before = stat(&engine, "walBytes");
    checkpoint(&engine).unwrap();
    assert!(stat(&engine, "walBytes") < before / 4.0, "{before}");
    assert!(stat(&engine, "chunkBytesOffloaded") > 0.0);
    assert_eq!(machine.head_files(), ["00000000000000000001.chunks", "checkpoint"]);
    let content = all(&engine);
    assert_eq!(content.iter().map(|(_, samples)| samples.len()).sum::<usize>(), 2500);
    flush(&engine).unwrap();
    assert_eq!(all(&engine), content);
}

#[test]
fn what_is_in_blocks_leaves_no_checkpoint() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    scrape(&engine, 0..10, 0..130);
    checkpoint(&engine).unwrap();
    flush(&engine).unwrap();
    engine.close().unwrap();
    let engine = machine.open().unwrap();
    assert_eq!(machine.head_files(), Vec::<String>::new());
    assert_eq!(all(&engine).iter().map(|(_, samples)| samples.len()).sum::<usize>(), 1300);
}

#[test]
fn a_clean_stop_leaves_nothing_to_replay() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    scrape(&engine, 0..10, 0..20);
    let content = all(&engine);
    engine.close().unwrap();
    drop(engine);
    // All of the log goes: the checkpoint does not need it.
    let wal = Path::new("/data/wal");
    for entry in machine.disk.list(wal).unwrap() {
        machine.disk.remove_file(&wal.join(entry.name)).unwrap();
    }
    assert_eq!(all(&machine.open().unwrap()), content);
}

#[test]
fn checkpoints_are_taken_as_time_goes_by() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    scrape(&engine, 0..3, 0..2);
    assert_eq!(stat(&engine, "checkpoints"), 0.0);
    machine.clock.set(NOW_MS + 300_000);
    // The thread looks ten times a second; flushing an engine with nothing to do waits for a look.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while stat(&engine, "checkpoints") == 0.0 {
        assert!(std::time::Instant::now() < deadline, "no checkpoint");
        std::thread::yield_now();
    }
}

#[test]
fn a_damaged_checkpoint_stops_the_start_and_is_named() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    scrape(&engine, 0..3, 0..2);
    engine.close().unwrap();
    let path = PathBuf::from("/data/head/checkpoint");
    machine.disk.corrupt(&path, 20, 1).unwrap();
    let error = machine.open().err().unwrap();
    assert_eq!(error.code(), ErrorCode::Corruption);
    assert_eq!(error.place().unwrap().file, path);
}

#[test]
fn a_full_disk_fails_the_checkpoint_and_no_write_before_or_after() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    scrape(&engine, 0..10, 0..130);
    machine.disk.set_capacity(Some(0));
    assert_eq!(checkpoint(&engine).unwrap_err().code(), ErrorCode::DiskFull);
    assert!(engine.last_failure().is_some());
    assert_eq!(machine.head_files(), Vec::<String>::new());
    machine.disk.set_capacity(None);
    scrape(&engine, 0..10, 130..140);
    let content = all(&engine);
    checkpoint(&engine).unwrap();
    assert_eq!(all(&machine.kill().open().unwrap()), content);
}

#[test]
fn a_delete_before_and_after_a_checkpoint_takes_what_was_written_before_it() {
    let machine = Machine::new();
    let engine = machine.open().unwrap();
    let take = |host: &str| {
        delete(&engine, vec![like("host", host)], TimeRange::ALL, Mode::Delete).unwrap();
    };
    scrape(&engine, 0..6, 0..130);
    take("host-[12]");
    scrape(&engine, 1..2, 50..60);
    checkpoint(&engine).unwrap();
    let held = all(&engine);
    assert_eq!(all(&machine.kill().open().unwrap()), held, "deleted before the checkpoint");
    take("host-[34]");
    scrape(&engine, 2..4, 60..70);
    let content = all(&engine);
    assert_eq!(content.len(), 5);
    let killed = machine.kill();
    assert_eq!(all(&killed.open().unwrap()), content, "deleted after it");
    assert_eq!(all(&killed.open().unwrap()), content, "and again");
}

#[test]
fn a_flush_that_loses_power_behind_a_checkpoint_of_everything_loses_nothing() {
    let write_hours = |engine: &Engine| {
        for hour in 0..4 {
            let at = NOW_MS - hour * 5 * 3_600_000;
            write(engine, &[(&[("__name__", "m")], &[(at, hour as f64)])]).unwrap();
        }
        // Several segments, so that the checkpoint cuts the log.
        scrape(engine, 0..10, 0..15);
        checkpoint(engine).unwrap();
    };
    for n in 0.. {
        let machine = Machine::new();
        let engine = machine.open().unwrap();
        write_hours(&engine);
        let content = all(&engine);
        machine.disk.fail_in(n, Fault::PowerLoss);
        let flushed = flush(&engine);
        for seed in 0..4 {
            let disk = machine.disk.crash(seed);
            let crashed = Machine { disk, clock: machine.clock.clone() };
            assert_eq!(all(&crashed.open().unwrap()), content, "call {n}, seed {seed}");
        }
        if flushed.is_ok() {
            break;
        }
    }
}
