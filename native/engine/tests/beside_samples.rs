//! What comes beside samples: exemplars and metadata of both versions of remote_write are read
//! back, through flush, restart and a power loss, and a request says what it stored.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::commit::WireFormat::{RemoteWrite1, RemoteWrite2};
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use support::beside::{exemplar, exemplars_of, families, metadata_of, named, traces};
use support::protobuf::{bytes, double, labels, number, sample};
use support::{all, bits, flush, write_body};

const NOW_MS: i64 = 1_790_000_000_000;

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    options.write.max_exemplars = 8;
    options
}

fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Engine> {
    open_at(disk, dir, &clock())
}

fn open_at(disk: Arc<dyn Disk>, dir: &Path, clock: &Arc<ManualClock>) -> Result<Engine> {
    Engine::open_with(options(dir), disk, clock.clone())
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(NOW_MS))
}

fn open(dir: &tempfile::TempDir) -> Engine {
    open_on(Arc::new(OsDisk), dir.path()).unwrap()
}

#[test]
fn exemplars_and_metadata_survive_flush_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir);
    let first = [
        exemplars_of("m", &[exemplar("x", 1, 0.5), exemplar("y", 2, 0.7)]),
        metadata_of("m", 3, "How long."),
        metadata_of("up", 2, "Is it?"),
    ];
    let outcome = write_body(&engine, RemoteWrite1, first.concat()).unwrap();
    assert_eq!((outcome.samples, outcome.exemplars, outcome.rejections.len()), (0, 2, 0));
    let check = |engine: &Engine, last: &[(&str, i64)], context: &str| {
        assert_eq!(traces(engine), [named("m", last)], "{context}");
        let want = [("m", "histogram", "How long."), ("up", "gauge", "Is it?")];
        let want = want.map(|(family, kind, help)| (family.to_owned(), kind, help.to_owned()));
        assert_eq!(families(engine), want, "{context}");
    };
    check(&engine, &[("x", 1), ("y", 2)], "written");
    engine.close().unwrap();
    let engine = open(&dir);
    check(&engine, &[("x", 1), ("y", 2)], "after a restart that replays the log");
    let sample = sample(NOW_MS, 1.0);
    write_body(&engine, RemoteWrite1, exemplars_of("m", std::slice::from_ref(&sample))).unwrap();
    flush(&engine).unwrap();
    check(&engine, &[("x", 1), ("y", 2)], "after a flush");
    let more = exemplars_of("m", &[exemplar("z", 3, 0.1), sample]);
    write_body(&engine, RemoteWrite1, more).unwrap();
    engine.close().unwrap();
    let engine = open(&dir);
    check(&engine, &[("x", 1), ("y", 2), ("z", 3)], "from the files and the log");
    flush(&engine).unwrap();
    engine.close().unwrap();
    check(&open(&dir), &[("x", 1), ("y", 2), ("z", 3)], "from the files alone");
}

#[test]
fn a_log_of_exemplars_alone_is_cut_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.wal_max_bytes = 1;
    let engine = Engine::open_with(options, Arc::new(OsDisk), clock()).unwrap();
    let labels = "x".repeat(100);
    for t in 0..100 {
        let body = exemplars_of("m", &[exemplar(&labels, t, 0.5)]);
        write_body(&engine, RemoteWrite1, body).unwrap();
    }
    flush(&engine).unwrap();
    let stats = engine.stats();
    let log = stats.iter().find(|(name, _)| *name == "walBytes").unwrap().1;
    assert!(log < 1000.0, "{log}");
    engine.close().unwrap();
    let times: Vec<i64> = traces(&open(&dir))[0].1.iter().map(|(_, t)| *t).collect();
    assert_eq!(times, [92, 93, 94, 95, 96, 97, 98, 99]);
}

#[test]
fn the_newest_metadata_of_a_family_stands_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let engine = open_at(Arc::new(OsDisk), dir.path(), &clock).unwrap();
    let sample = sample(NOW_MS, 1.0);
    let body = [metadata_of("m", 1, "old"), exemplars_of("m", &[sample])].concat();
    write_body(&engine, RemoteWrite1, body).unwrap();
    flush(&engine).unwrap();
    write_body(&engine, RemoteWrite1, metadata_of("m", 2, "newer")).unwrap();
    write_body(&engine, RemoteWrite1, metadata_of("m", 3, "too soon after it")).unwrap();
    clock.advance(10_000);
    write_body(&engine, RemoteWrite1, metadata_of("m", 2, "newest")).unwrap();
    engine.close().unwrap();
    let engine = open(&dir);
    assert_eq!(families(&engine), [("m".to_owned(), "gauge", "newest".to_owned())]);
}

#[test]
fn a_late_exemplar_is_dropped_by_version_1_and_refused_by_version_2() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir);
    let newest = exemplars_of("m", &[exemplar("x", 5, 0.5)]);
    write_body(&engine, RemoteWrite1, newest.clone()).unwrap();
    let again = write_body(&engine, RemoteWrite1, newest).unwrap();
    assert_eq!((again.exemplars, again.dropped_exemplars), (1, 0), "what is known is no loss");
    let late = exemplars_of("m", &[exemplar("y", 4, 0.5)]);
    let dropped = write_body(&engine, RemoteWrite1, late).unwrap();
    assert_eq!((dropped.exemplars, dropped.dropped_exemplars), (0, 1));
    assert!(dropped.rejections.is_empty());

    let symbols = ["", "__name__", "m", "trace_id", "y"];
    let table: Vec<u8> = symbols.iter().flat_map(|s| bytes(4, s.as_bytes())).collect();
    let of_2 = |t: u64| bytes(4, &[bytes(1, &[3, 4]), double(2, 0.5), number(3, t)].concat());
    let sample = sample(NOW_MS, 7.0);
    let series = bytes(5, &[bytes(1, &[1, 2]), sample, of_2(4), of_2(6)].concat());
    let outcome = write_body(&engine, RemoteWrite2, [table, series].concat()).unwrap();
    assert_eq!((outcome.samples, outcome.exemplars, outcome.dropped_exemplars), (1, 1, 0));
    assert_eq!((outcome.rejections[0].code, outcome.rejections[0].count), (ErrorCode::TooOld, 1));
    let text = &outcome.rejections[0].examples[0];
    assert_eq!(text, "{__name__=\"m\"}: exemplar at 4 comes after a newer one, at 5");
    assert_eq!(traces(&engine), [named("m", &[("x", 5), ("y", 6)])]);
    assert_eq!(all(&engine), [("__name__=m".to_owned(), bits(&[(NOW_MS, 7.0)]))]);
}

#[test]
fn exemplars_of_the_future_or_with_long_labels_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir);
    let long = "x".repeat(121);
    let body = exemplars_of(
        "m",
        &[exemplar("x", NOW_MS + 601_000, 0.5), exemplar(&long, 4, 0.5), exemplar("y", 5, 0.5)],
    );
    let outcome = write_body(&engine, RemoteWrite1, body).unwrap();
    assert_eq!((outcome.exemplars, outcome.dropped_exemplars), (1, 2));
    assert_eq!(traces(&engine), [named("m", &[("y", 5)])]);
}

#[test]
fn both_versions_find_the_same_series() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir);
    let sample = |t: i64| sample(t, 1.0);
    let pairs = [("__name__", "m"), ("job", "x")];
    let first = bytes(1, &[labels(&pairs), sample(NOW_MS - 1)].concat());
    write_body(&engine, RemoteWrite1, first).unwrap();
    let symbols = ["", "x", "job", "m", "__name__"];
    let table: Vec<u8> = symbols.iter().flat_map(|s| bytes(4, s.as_bytes())).collect();
    let about = bytes(5, &number(1, 2));
    for refs in [[4, 3, 2, 1], [2, 1, 4, 3]] {
        let t = NOW_MS - i64::from(refs[0]) * 10;
        let series = bytes(5, &[bytes(1, &refs), sample(t), about.clone()].concat());
        let outcome = write_body(&engine, RemoteWrite2, [table.clone(), series].concat()).unwrap();
        assert_eq!((outcome.samples, outcome.rejections.len()), (1, 0));
    }
    let want = bits(&[(NOW_MS - 40, 1.0), (NOW_MS - 20, 1.0), (NOW_MS - 1, 1.0)]);
    assert_eq!(all(&engine), [("__name__=m,job=x".to_owned(), want)]);
    assert_eq!(families(&engine), [("m".to_owned(), "gauge", String::new())]);
    let session = engine.session(Scope::default(), Cancel::default());
    let counted = session.cardinality(10).unwrap();
    assert_eq!((counted.series, counted.label_pairs), (1, 2));
    assert_eq!(counted.range, TimeRange::new(NOW_MS - 40, NOW_MS - 1));
    assert_eq!((&*counted.series_by_metric[0].name, counted.series_by_metric[0].value), ("m", 1));
}

/// Writes an exemplar and a change of metadata at each time from 1 to 6, with flushes between,
/// until the disk fails; returns the last acknowledged time.
fn script(disk: &FaultyDisk) -> i64 {
    let mut acknowledged = 0;
    let clock = clock();
    let disk = Arc::new(disk.clone());
    let Ok(engine) = open_at(disk, Path::new("/data"), &clock) else { return 0 };
    for t in 1..7 {
        clock.advance(10_000);
        let sample = sample(NOW_MS + t, 1.0);
        let exemplar = exemplars_of("m", &[exemplar("x", t, 0.5), sample]);
        let body = [exemplar, metadata_of("m", 2, &t.to_string())].concat();
        if write_body(&engine, RemoteWrite1, body).is_err() {
            break;
        }
        acknowledged = t;
        if t % 2 == 0 && flush(&engine).is_err() {
            break;
        }
    }
    let _ = engine.close();
    acknowledged
}

#[test]
fn a_power_loss_at_any_call_loses_nothing_acknowledged() {
    let whole = FaultyDisk::new();
    assert_eq!(script(&whole), 6);
    let calls = whole.calls() + 10;
    for n in 0..calls {
        let disk = FaultyDisk::new();
        disk.fail_in(n, Fault::PowerLoss);
        let acknowledged = script(&disk);
        let context = format!("power loss at call {n} of {calls}");
        let crashed = disk.crash(n);
        for _ in 0..2 {
            let engine = open_on(Arc::new(crashed.clone()), Path::new("/data")).unwrap();
            let found = traces(&engine).pop().map_or(Vec::new(), |(_, exemplars)| exemplars);
            let times: Vec<i64> = found.iter().map(|(_, t)| *t).collect();
            assert!(times.len() as i64 >= acknowledged, "{context}: {times:?}");
            assert!(times.iter().copied().eq(1..=times.len() as i64), "{context}: {times:?}");
            let help = families(&engine).pop().map_or(0, |(_, _, help)| help.parse().unwrap());
            assert!(help >= acknowledged, "{context}: {help}");
            engine.close().unwrap();
        }
    }
}

#[test]
fn a_damaged_file_of_exemplars_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(&dir);
    let sample = sample(NOW_MS, 1.0);
    let body = exemplars_of("m", &[exemplar("x", 1, 0.5), sample]);
    write_body(&engine, RemoteWrite1, body).unwrap();
    flush(&engine).unwrap();
    engine.close().unwrap();
    let path = dir.path().join("exemplars");
    let whole = std::fs::read(&path).unwrap();
    for damage in [0, 9, 20, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[damage] ^= 1;
        std::fs::write(&path, damaged).unwrap();
        let error = open_on(Arc::new(OsDisk), dir.path()).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Corruption, "{damage}");
        assert!(error.to_string().contains("exemplars"), "{error}");
    }
    std::fs::write(&path, &whole[..7]).unwrap();
    assert!(open_on(Arc::new(OsDisk), dir.path()).is_err());
    std::fs::write(&path, whole).unwrap();
    assert_eq!(traces(&open(&dir)), [named("m", &[("x", 1)])]);
}
