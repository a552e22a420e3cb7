//! Deletes as their caller sees them: gone at once and for good, in head and blocks, and a write
//! after a delete is visible; also when the disk fails at any call.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::deletes::{DeleteRequest, Mode};
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::options::{Options, SyncPolicy};
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::count::Counted;
use metricstor_engine::read::session::LabelRequest;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use metricstor_engine::sync::channel;
use proptest::prelude::*;
use support::{
    all, checkpoint, clean, compact, delete, flush, like, stat, wait_until, write, write_and_go_on,
};

const NOW_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: i64 = 60_000;

fn options() -> Options {
    let mut options = Options::new(Path::new("/data"));
    options.block_range_ms = 10 * MINUTE_MS;
    options.wal_segment_bytes = 2048;
    options
}

fn open_with(disk: &FaultyDisk, options: Options) -> Result<Engine> {
    Engine::open_with(options, Arc::new(disk.clone()), Arc::new(ManualClock::new(NOW_MS)))
}

fn open(disk: &FaultyDisk) -> Result<Engine> {
    open_with(disk, options())
}

fn at(minute: i64) -> i64 {
    NOW_MS - 3 * 3_600_000 + minute * MINUTE_MS
}

fn minutes(from: i64, to: i64) -> TimeRange {
    TimeRange::new(at(from), at(to))
}

/// What a store holds: value bits by series name and time.
type Held = BTreeMap<(String, i64), u64>;

fn held(engine: &Engine) -> Held {
    let series = all(engine).into_iter();
    series
        .flat_map(|(name, samples)| samples.into_iter().map(move |(t, v)| ((name.clone(), t), v)))
        .collect()
}

fn write_host(engine: &Engine, host: &str, samples: &[(i64, f64)]) -> Result<()> {
    let labels = [("__name__", "m"), ("host", host)];
    let outcome = write(engine, &[(&labels, samples)])?;
    assert_eq!(outcome.samples, samples.len() as u64);
    Ok(())
}

fn written(held: &mut Held, host: &str, samples: &[(i64, f64)]) {
    for (t, v) in samples {
        held.insert((format!("__name__=m,host={host}"), *t), v.to_bits());
    }
}

fn deleted(held: &mut Held, hosts: &[&str], range: TimeRange) {
    let of = |name: &str| hosts.iter().any(|host| name.ends_with(&format!("host={host}")));
    held.retain(|(name, t), _| !(of(name) && range.contains(*t)));
}

fn delete_hosts(engine: &Engine, hosts: &[&str], range: TimeRange) -> Result<()> {
    delete(engine, vec![like("host", &hosts.join("|"))], range, Mode::Delete).map(drop)
}

fn series(from: i64, n: i64, v: f64) -> Vec<(i64, f64)> {
    (from..from + n).map(|m| (at(m), v + m as f64)).collect()
}

#[test]
fn a_delete_is_seen_at_once_stays_and_a_later_write_is_visible() {
    let disk = FaultyDisk::new();
    let mut want = Held::new();
    let engine = open(&disk).unwrap();
    for (host, samples) in [("a", series(0, 30, 0.0)), ("b", series(5, 20, 100.0))] {
        write_host(&engine, host, &samples).unwrap();
        written(&mut want, host, &samples);
    }
    flush(&engine).unwrap();
    let newer = series(30, 10, 200.0);
    write_host(&engine, "a", &newer).unwrap();
    written(&mut want, "a", &newer);

    delete_hosts(&engine, &["a"], minutes(12, 33)).unwrap();
    deleted(&mut want, &["a"], minutes(12, 33));
    assert_eq!(held(&engine), want, "in blocks and head");

    write_host(&engine, "a", &[(at(20), 7.0), (at(31), 8.0)]).unwrap();
    written(&mut want, "a", &[(at(20), 7.0), (at(31), 8.0)]);
    assert_eq!(held(&engine), want, "written again");
    engine.close().unwrap();
    let engine = open(&disk).unwrap();
    assert_eq!(held(&engine), want, "after a restart");
    flush(&engine).unwrap();
    assert_eq!(held(&engine), want, "after a flush");
    clean(&engine).unwrap();
    assert_eq!(held(&engine), want, "after cleaning");
    engine.close().unwrap();
    assert_eq!(held(&open(&disk).unwrap()), want, "after cleaning and a restart");
}

#[test]
fn a_dry_run_counts_and_deletes_nothing() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    write_host(&engine, "a", &series(0, 30, 0.0)).unwrap();
    write_host(&engine, "b", &series(0, 30, 0.0)).unwrap();
    flush(&engine).unwrap();
    write_host(&engine, "a", &series(25, 10, 1.0)).unwrap();
    let before = held(&engine);
    let both = vec![like("host", "a|b")];
    let counted = delete(&engine, both.clone(), minutes(20, 34), Mode::DryRun).unwrap();
    assert_eq!(counted, Counted { series: 2, samples: 15 + 10 });
    assert_eq!(held(&engine), before);
    delete(&engine, both.clone(), minutes(20, 34), Mode::Delete).unwrap();
    assert_eq!(before.len() - held(&engine).len(), 25);
    let again = delete(&engine, both, minutes(20, 34), Mode::DryRun).unwrap();
    assert_eq!(again, Counted::default());
}

#[test]
fn the_scope_confines_a_delete() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    let mut want = Held::new();
    for host in ["a", "b"] {
        write_host(&engine, host, &series(0, 5, 0.0)).unwrap();
        written(&mut want, host, &series(0, 5, 0.0));
    }
    flush(&engine).unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let request = DeleteRequest {
        scope: Scope { matchers: vec![like("host", "a")], ..Scope::default() },
        selectors: vec![vec![like("__name__", "m")]],
        range: TimeRange::ALL,
    };
    engine.delete(request, Mode::Delete, Box::new(move |result| send.send(result).unwrap()));
    receive.recv().unwrap().unwrap();
    deleted(&mut want, &["a"], TimeRange::ALL);
    assert_eq!(held(&engine), want);
}

#[test]
fn a_series_without_samples_left_is_not_found_by_its_labels() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    for host in ["a", "b"] {
        write_host(&engine, host, &series(0, 5, 0.0)).unwrap();
    }
    flush(&engine).unwrap();
    for host in ["a", "c"] {
        write_host(&engine, host, &series(30, 5, 0.0)).unwrap();
    }
    delete_hosts(&engine, &["a", "c"], TimeRange::ALL).unwrap();
    let request = |selectors| LabelRequest { selectors, range: TimeRange::ALL, limit: 0 };
    let named = request(vec![vec![like("__name__", "m")]]);
    let mut session = engine.session(Scope::default(), Cancel::default());
    assert_eq!(session.label_values("host", &named).unwrap().values, ["b"]);
    assert_eq!(session.series(&named).unwrap().offsets.len(), 2);
    write_host(&engine, "a", &[(at(40), 1.0)]).unwrap();
    assert_eq!(session.label_values("host", &named).unwrap().values, ["a", "b"]);
}

#[test]
fn cleaning_gives_the_space_back_and_forgets_the_tombstones() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    let noise = |from: i64| -> Vec<(i64, f64)> {
        (0..600).map(|i| (at(from) + i * 1000, (i as f64).sin())).collect()
    };
    for host in ["a", "b", "c"] {
        write_host(&engine, host, &noise(0)).unwrap();
        write_host(&engine, host, &noise(20)).unwrap();
    }
    flush(&engine).unwrap();
    delete_hosts(&engine, &["a", "b"], minutes(0, 15)).unwrap();
    delete_hosts(&engine, &["a", "b", "c"], minutes(20, 40)).unwrap();
    let (want, before) = (held(&engine), stat(&engine, "blockBytes"));
    assert_eq!(stat(&engine, "tombstones"), 2.0);
    clean(&engine).unwrap();
    assert_eq!(held(&engine), want);
    assert_eq!(stat(&engine, "tombstones"), 0.0);
    assert!(stat(&engine, "blockBytes") < before / 3.0, "{before} bytes before");
    engine.close().unwrap();
    assert_eq!(held(&open(&disk).unwrap()), want);
}

#[test]
fn compaction_leaves_out_what_is_deleted() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    let mut want = Held::new();
    for (host, v) in [("a", 0.0), ("b", 100.0), ("a", 200.0)] {
        write_host(&engine, host, &series(0, 30, v)).unwrap();
        written(&mut want, host, &series(0, 30, v));
        flush(&engine).unwrap();
        delete_hosts(&engine, &["a"], minutes(3, 14)).unwrap();
        deleted(&mut want, &["a"], minutes(3, 14));
    }
    write_host(&engine, "a", &[(at(5), 7.0)]).unwrap();
    written(&mut want, "a", &[(at(5), 7.0)]);
    flush(&engine).unwrap();
    assert_eq!(stat(&engine, "tombstones"), 3.0);
    compact(&engine).unwrap();
    assert_eq!(held(&engine), want);
    assert!(stat(&engine, "compactions") > 0.0);
    clean(&engine).unwrap();
    assert_eq!((held(&engine), stat(&engine, "tombstones")), (want.clone(), 0.0));
    engine.close().unwrap();
    assert_eq!(held(&open(&disk).unwrap()), want);
}

/// Slices of one checkpoint are captured at different positions: a delete may lie between them.
#[test]
fn checkpoints_taken_beside_deletes_and_writes_give_the_same_head_back() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    let hosts: Vec<String> = (0..64).map(|n| format!("h{n}")).collect();
    for host in &hosts {
        write_host(&engine, host, &series(0, 150, 0.0)).unwrap();
    }
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                checkpoint(&engine).unwrap();
            }
        });
        for round in 0..40i64 {
            let gone = [&*hosts[round as usize], &*hosts[63 - round as usize % 32]];
            delete_hosts(&engine, &gone, minutes(round, round + 60)).unwrap();
            for host in hosts.iter().step_by(3) {
                write_host(&engine, host, &series(round + 20, 3, 1000.0 * round as f64)).unwrap();
            }
            if round % 8 == 0 {
                assert_eq!(held(&open(&disk.kill()).unwrap()), held(&engine), "round {round}");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(stat(&engine, "checkpoints") > 2.0, "{}", stat(&engine, "checkpoints"));
    assert_eq!(held(&open(&disk.kill()).unwrap()), held(&engine));
}

#[test]
fn an_acknowledged_delete_survives_a_power_loss_that_takes_the_unsynced_log() {
    for seed in 0..12 {
        let disk = FaultyDisk::new();
        let unsynced = || Options { sync: SyncPolicy::IntervalMs(1 << 40), ..options() };
        let engine = open_with(&disk, unsynced()).unwrap();
        write_host(&engine, "a", &series(0, 5, 0.0)).unwrap();
        flush(&engine).unwrap();
        write_host(&engine, "a", &series(5, 40, 0.0)).unwrap();
        delete_hosts(&engine, &["a"], TimeRange::ALL).unwrap();
        let crashed = disk.crash(seed);
        let engine = open_with(&crashed, unsynced()).unwrap();
        assert_eq!(held(&engine), Held::new(), "seed {seed}");
        // What is written now must not come to lie below the tombstone in the log.
        write_host(&engine, "a", &[(at(3), 1.0)]).unwrap();
        flush(&engine).unwrap();
        assert_eq!(held(&engine).len(), 1, "seed {seed}");
        engine.close().unwrap();
        assert_eq!(held(&open(&crashed).unwrap()).len(), 1, "seed {seed}");
    }
}

/// The last step that was not acknowledged may have happened or not: one of these two.
#[derive(Default)]
struct Model {
    before: Held,
    after: Held,
}

impl Model {
    fn run(&mut self, change: impl Fn(&mut Held), step: impl FnOnce() -> Result<()>) -> Result<()> {
        change(&mut self.after);
        step()?;
        self.before.clone_from(&self.after);
        Ok(())
    }

    fn write(&mut self, engine: &Engine, host: &str, samples: &[(i64, f64)]) -> Result<()> {
        self.run(|held| written(held, host, samples), || write_host(engine, host, samples))
    }

    fn delete(&mut self, engine: &Engine, hosts: &[&str], range: TimeRange) -> Result<()> {
        self.run(|held| deleted(held, hosts, range), || delete_hosts(engine, hosts, range))
    }

    fn check(&self, engine: &Engine, context: &str) -> Held {
        let found = held(engine);
        assert!(found == self.before || found == self.after, "{context}: {found:?}");
        found
    }
}

/// Writes, flushes and deletes until the disk fails.
fn script(disk: &FaultyDisk, model: &mut Model) -> Result<()> {
    let engine = open(disk)?;
    model.write(&engine, "a", &series(0, 15, 0.0))?;
    model.write(&engine, "b", &series(4, 8, 100.0))?;
    flush(&engine)?;
    model.write(&engine, "a", &series(15, 5, 200.0))?;
    model.delete(&engine, &["a"], minutes(5, 16))?;
    model.write(&engine, "a", &[(at(7), 300.0)])?;
    flush(&engine)?;
    model.delete(&engine, &["a", "b"], minutes(6, 8))?;
    clean(&engine)?;
    model.write(&engine, "b", &[(at(7), 400.0), (at(8), 401.0)])?;
    model.delete(&engine, &["b"], minutes(8, 9))?;
    engine.close()?;
    let engine = open(disk)?;
    model.write(&engine, "a", &[(at(8), 500.0)])?;
    flush(&engine)?;
    model.delete(&engine, &["b"], minutes(4, 6))?;
    compact(&engine)?;
    model.delete(&engine, &["a"], TimeRange::ALL)?;
    clean(&engine)?;
    engine.close()
}

fn stop_at_every_call(fault: Fault) {
    let whole = FaultyDisk::new();
    script(&whole, &mut Model::default()).unwrap();
    // Threads of the engine race a little, so a run may take a few calls more than the first.
    let calls = whole.calls() + 20;
    for n in 0..calls {
        let disk = FaultyDisk::new();
        disk.fail_in(n, fault);
        let mut model = Model::default();
        let _ = script(&disk, &mut model);
        let context = format!("{fault:?} at call {n} of {calls}");
        let crashed = disk.crash(n * 7919 + 1);
        let engine = open(&crashed).unwrap_or_else(|e| panic!("{context}: {e}"));
        let first = model.check(&engine, &context);
        engine.close().unwrap();
        let engine = open(&crashed).unwrap_or_else(|e| panic!("{context}, again: {e}"));
        assert_eq!(held(&engine), first, "{context}: after a restart");
        flush(&engine).unwrap();
        clean(&engine).unwrap();
        assert_eq!(held(&engine), first, "{context}: after a flush and cleaning");
    }
}

#[test]
fn power_loss_at_any_call_leaves_deletes_whole_and_acknowledged_ones_done() {
    stop_at_every_call(Fault::PowerLoss);
}

#[test]
fn a_failing_call_and_a_later_power_loss_leave_deletes_whole_and_acknowledged_ones_done() {
    stop_at_every_call(Fault::Io);
}

#[test]
fn what_a_failed_delete_left_to_be_seen_is_what_every_later_start_finds() {
    let (mut gone, mut there) = (0, 0);
    for n in 0..16 {
        let disk = FaultyDisk::new();
        let engine = open(&disk).unwrap();
        write_host(&engine, "a", &series(0, 9, 0.0)).unwrap();
        flush(&engine).unwrap();
        write_host(&engine, "a", &series(9, 9, 0.0)).unwrap();
        disk.fail_in(n, Fault::Io);
        let answer = delete_hosts(&engine, &["a"], TimeRange::ALL);
        let seen = held(&engine);
        gone += usize::from(answer.is_err() && seen.is_empty());
        there += usize::from(answer.is_err() && !seen.is_empty());
        let again = || write_host(&engine, "b", &series(20, 3, 0.0)).is_ok();
        wait_until("the log is written again", again);
        let seen = held(&engine);
        wait_until("the flush is done", || flush(&engine).is_ok());
        assert_eq!(held(&engine), seen, "call {n}");
        let crashed = disk.crash(n);
        assert_eq!(held(&open(&crashed).unwrap()), seen, "call {n}, after a power loss");
    }
    assert!(gone > 0 && there > 0, "{gone} failed after the log, {there} before");
}

#[test]
fn a_delete_on_a_full_disk_fails_and_works_again_with_space() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    write_host(&engine, "a", &series(0, 5, 0.0)).unwrap();
    flush(&engine).unwrap();
    disk.set_capacity(Some(0));
    let refused = delete_hosts(&engine, &["a"], TimeRange::ALL).unwrap_err();
    assert_eq!(refused.code().as_str(), "disk_full");
    assert_eq!(held(&engine).len(), 5, "what is refused at the log did not happen");
    disk.set_capacity(None);
    delete_hosts(&engine, &["a"], TimeRange::ALL).unwrap();
    assert_eq!(held(&engine), Held::new());
}

#[test]
fn a_flush_without_room_writes_nothing_and_follows_by_itself_when_there_is_room() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    for minute in 0..40 {
        let samples: Vec<(i64, f64)> =
            (0..400).map(|i| (at(minute) + i * 100, f64::from(i as u32).sqrt())).collect();
        write_host(&engine, "a", &samples).unwrap();
    }
    let before = held(&engine);
    const LARGE: u64 = 1 << 40;
    disk.set_capacity(Some(LARGE));
    let used = LARGE - disk.free_bytes(Path::new("/data")).unwrap();
    // Room for a segment of the log, not for a block.
    disk.set_capacity(Some(used + 4096));
    let refused = flush(&engine).unwrap_err();
    assert_eq!(refused.code().as_str(), "disk_full");
    let blocks = disk.list(Path::new("/data/blocks")).unwrap();
    assert!(blocks.is_empty(), "{blocks:?}");
    assert_eq!(held(&engine), before);
    assert!(stat(&engine, "diskFreeBytes") <= 4096.0);
    disk.set_capacity(None);
    wait_until("the flush is done", || stat(&engine, "flushes") > 0.0);
    assert_eq!(held(&engine), before);
}

/// The order of things is made: the log waits in an answer while the delete's record comes into its
/// queue, then the checkpoint's looks at the head.
#[test]
fn a_delete_whose_file_fails_beside_a_checkpoint_is_whole_at_the_next_start() {
    let disk = FaultyDisk::new();
    let engine = open(&disk).unwrap();
    write_host(&engine, "a", &series(0, 5, 0.0)).unwrap();
    flush(&engine).unwrap();
    write_host(&engine, "a", &series(100, 5, 0.0)).unwrap();
    let (go_on, hold) = channel::bounded::<()>(0);
    let (hold_begins, begun) = channel::bounded(1);
    let wait = Box::new(move |_| {
        hold_begins.send(()).unwrap();
        // An error: the other end is gone.
        hold.recv().unwrap_err();
    });
    let labels = [("__name__", "m"), ("host", "b")];
    write_and_go_on(&engine, &[(&labels, &[(at(100), 1.0)])], wait);
    begun.recv().unwrap();
    disk.fail_at("tombstones.tmp");
    let (send, deleted) = channel::bounded(1);
    let queued = stat(&engine, "queueBytes");
    let request = DeleteRequest {
        scope: Scope::default(),
        selectors: vec![vec![like("host", "a")]],
        range: TimeRange::ALL,
    };
    let answer = Box::new(move |result: Result<Counted>| send.send(result.is_ok()).unwrap());
    engine.delete(request, Mode::Delete, answer);
    wait_until("the delete is in the queue", || stat(&engine, "queueBytes") > queued);
    let (send, taken) = channel::bounded(1);
    engine.checkpoint(Box::new(move |result| send.send(result.is_ok()).unwrap()));
    let temp = Path::new("/data/head/checkpoint.tmp");
    wait_until("the checkpoint has begun", || disk.exists(temp));
    drop(go_on);
    let outcomes = [deleted.recv().unwrap(), taken.recv().unwrap()];
    assert_ne!(outcomes[0], outcomes[1], "one of both was the first to replace the file");
    let before = held(&engine);
    assert_eq!(before.len(), 1, "the delete is to be seen: {before:?}");
    assert_eq!(held(&open(&disk.kill()).unwrap()), before, "as it is after another start");
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, i64, i64),
    Delete(Vec<usize>, i64, i64),
    Flush,
    Clean,
    Compact,
    Checkpoint,
    Restart,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4usize, 0..60i64, 1..12i64).prop_map(|(host, from, n)| Step::Write(host, from, n)),
        4 => (prop::collection::vec(0..4usize, 1..3), -5..60i64, 0..30i64)
            .prop_map(|(hosts, from, n)| Step::Delete(hosts, from, from + n)),
        2 => Just(Step::Flush),
        1 => Just(Step::Clean),
        2 => Just(Step::Compact),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn any_order_of_writes_deletes_flushes_and_restarts_is_that_of_a_map(
        steps in prop::collection::vec(step(), 1..24)) {
        const HOSTS: [&str; 4] = ["a", "b", "c", "d"];
        let mut disk = FaultyDisk::new();
        let mut engine = open(&disk).unwrap();
        let mut want = Held::new();
        for (i, step) in steps.iter().enumerate() {
            match step {
                Step::Write(host, from, n) => {
                    let samples = series(*from, *n, 1000.0 * i as f64);
                    write_host(&engine, HOSTS[*host], &samples).unwrap();
                    written(&mut want, HOSTS[*host], &samples);
                }
                Step::Delete(hosts, from, to) => {
                    let hosts: Vec<&str> = hosts.iter().map(|host| HOSTS[*host]).collect();
                    delete_hosts(&engine, &hosts, minutes(*from, *to)).unwrap();
                    deleted(&mut want, &hosts, minutes(*from, *to));
                }
                Step::Flush => flush(&engine).unwrap(),
                Step::Clean => clean(&engine).unwrap(),
                Step::Compact => compact(&engine).unwrap(),
                Step::Checkpoint => checkpoint(&engine).unwrap(),
                Step::Restart => {
                    engine.close().unwrap();
                    engine = open(&disk).unwrap();
                }
                Step::Kill => {
                    disk = disk.kill();
                    engine = open(&disk).unwrap();
                }
            }
            prop_assert_eq!(held(&engine), want.clone(), "after step {}", i);
        }
    }
}
