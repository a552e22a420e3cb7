//! Compaction as a caller sees it: the answers stay the same, the blocks become few, and a damaged
//! one does not take the others with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::block::{CHUNKS_FILE, INDEX_FILE, META_FILE};
use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::ErrorCode;
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use support::fixture::{Fixture, NOW_MS};
use support::random::Random;
use support::{all, bits, compact, flush, stat, write};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

type Model = BTreeMap<String, BTreeMap<i64, u64>>;

fn name(series: u64) -> String {
    format!("__name__=m,series={series}")
}

fn put(engine: &Engine, model: &mut Model, series: u64, samples: &[(i64, f64)]) {
    let number = series.to_string();
    let labels = [("__name__", "m"), ("series", &*number)];
    assert_eq!(write(engine, &[(&labels, samples)]).unwrap().samples, samples.len() as u64);
    model.entry(name(series)).or_default().extend(bits(samples));
}

fn check(engine: &Engine, model: &Model, context: &str) {
    let found: Model = all(engine)
        .into_iter()
        .map(|(name, samples)| (name, samples.into_iter().collect()))
        .collect();
    assert_eq!(&found, model, "{context}");
}

#[test]
fn a_year_of_backfill_in_random_order_becomes_tens_of_blocks() {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new());
    let mut options = Options::new(Path::new("/data"));
    options.retention_ms = 400 * DAY_MS;
    options.compact_cpu_share = 0.0;
    let engine = Engine::open_with(options.clone(), disk.clone(), clock.clone()).unwrap();
    let (mut model, mut random) = (Model::new(), Random(7));
    put(&engine, &mut model, 0, &[(NOW_MS, 1.0)]);
    let mut times: Vec<i64> = (0..365 * 24).map(|hour| NOW_MS - hour * HOUR_MS).collect();
    for at in (1..times.len()).rev() {
        times.swap(at, random.below(at as u64 + 1) as usize);
    }
    for (batch, times) in times.chunks(600).enumerate() {
        let mut times = times.to_vec();
        times.sort_unstable();
        for series in 0..3 {
            let value = |t: &i64| (*t, (t / HOUR_MS + series as i64) as f64);
            put(&engine, &mut model, series, &times.iter().map(value).collect::<Vec<_>>());
        }
        flush(&engine).unwrap();
        if batch % 5 == 3 {
            compact(&engine).unwrap();
        }
    }
    let before = stat(&engine, "blocks");
    compact(&engine).unwrap();
    let blocks = stat(&engine, "blocks");
    assert!(blocks < before && blocks <= 60.0, "{blocks} blocks after {before}");
    assert_eq!(stat(&engine, "blocksLevel1"), 0.0, "none is as it was flushed");
    check(&engine, &model, "merged");
    engine.close().unwrap();
    let engine = Engine::open_with(options, disk, clock).unwrap();
    assert_eq!(stat(&engine, "blocks"), blocks);
    check(&engine, &model, "after a restart");
    compact(&engine).unwrap();
    assert_eq!(stat(&engine, "blocks"), blocks, "nothing is left to merge");
}

/// Blocks are merged when a test says so.
fn open(fixture: &Fixture) -> Engine {
    fixture.open_with(Options { compact_cpu_share: 0.0, ..Options::new(fixture.path()) })
}

/// The block directories, oldest name first.
fn blocks(fixture: &Fixture) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(fixture.path().join("blocks")).unwrap();
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    dirs
}

/// The block that was flushed alone with one sample at `t`.
fn block_of(fixture: &Fixture, t: i64) -> PathBuf {
    let says = format!("\"mint\": {t}");
    let holds = |dir: &PathBuf| {
        std::fs::read_to_string(dir.join(META_FILE)).is_ok_and(|text| text.contains(&says))
    };
    blocks(fixture).into_iter().find(holds).unwrap()
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn readers_go_on_with_blocks_that_were_merged_away() {
    let fixture = Fixture::new();
    let engine = open(&fixture);
    let mut model = Model::new();
    for n in 0..5 {
        put(&engine, &mut model, n, &[(NOW_MS - 1000 * n as i64, n as f64)]);
        flush(&engine).unwrap();
    }
    let mut session = engine.session(Scope::default(), Cancel::default());
    let mut selection = session.select(Vec::new(), TimeRange::ALL).unwrap();
    let old = blocks(&fixture);
    compact(&engine).unwrap();
    assert_eq!(blocks(&fixture).len(), 1);
    assert!(old.iter().all(|dir| !dir.exists()));
    let (mut ts, mut vs, mut offsets) = (vec![0.0; 10], vec![0.0; 10], vec![0; 6]);
    let mut target = metricstor_engine::read::selection::Target {
        timestamps: &mut ts,
        values: &mut vs,
        offsets: &mut offsets,
    };
    let filled = selection.read(0, &mut target).unwrap();
    assert_eq!(filled, metricstor_engine::read::selection::Filled::Series(5));
    assert_eq!(vs[..5], [0.0, 1.0, 2.0, 3.0, 4.0]);
    check(&engine, &model, "for who asks now");
}

#[test]
fn a_reader_from_before_a_rotation_still_finds_the_head_after_the_flush() {
    let fixture = Fixture::new();
    let engine = open(&fixture);
    let mut model = Model::new();
    put(&engine, &mut model, 0, &[(NOW_MS, 1.0)]);
    let mut session = engine.session(Scope::default(), Cancel::default());
    flush(&engine).unwrap();
    // Time for the head to forget what a reader holds, if it did not wait for it.
    let until = std::time::Instant::now() + std::time::Duration::from_millis(300);
    while stat(&engine, "headSeries") > 0.0 && std::time::Instant::now() < until {
        std::thread::yield_now();
    }
    assert_eq!(session.select(Vec::new(), TimeRange::ALL).unwrap().len(), 1);
    drop(session);
    check(&engine, &model, "for who asks now");
}

#[test]
fn a_block_that_is_damaged_inside_is_set_aside_when_it_is_merged() {
    let fixture = Fixture::new();
    let engine = open(&fixture);
    let mut model = Model::new();
    for n in 0..3 {
        put(&engine, &mut model, n, &[(NOW_MS - 1000 * n as i64, n as f64)]);
        flush(&engine).unwrap();
    }
    engine.close().unwrap();
    let damaged = block_of(&fixture, NOW_MS - 1000);
    // In the only record: past magic and version, before the footer.
    flip(&damaged.join(CHUNKS_FILE), |_| 14);
    let engine = open(&fixture);
    let error = compact(&engine).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corruption);
    assert!(error.place().unwrap().file.starts_with(&damaged), "{error}");
    model.remove(&name(1));
    check(&engine, &model, "the others");
    assert_eq!(stat(&engine, "blocksQuarantined"), 1.0);
    assert_eq!(stat(&engine, "blocks"), 1.0, "the others are one");
    assert!(engine.last_failure().unwrap().contains("not what was written"));
    let place = fixture.path().join("quarantine").join(damaged.file_name().unwrap());
    assert!(place.join(INDEX_FILE).exists() && !damaged.exists());
    engine.close().unwrap();
    let engine = open(&fixture);
    assert_eq!(stat(&engine, "blocksQuarantined"), 1.0, "also after a restart");
    check(&engine, &model, "after a restart");
}

/// What is done to a block's directory, and its name.
type Damage = (&'static str, fn(&Path));

#[test]
fn a_block_that_does_not_open_is_set_aside_and_the_rest_serves() {
    let damages: [Damage; 7] = [
        ("a bit of the description", |dir| flip(&dir.join(META_FILE), |len| len / 2)),
        ("a bit of the index's footer", |dir| flip(&dir.join(INDEX_FILE), |len| len - 10)),
        ("a bit of the chunks' footer", |dir| flip(&dir.join(CHUNKS_FILE), |len| len - 10)),
        ("a short index", |dir| std::fs::write(dir.join(INDEX_FILE), b"MSTR").unwrap()),
        ("no chunks", |dir| std::fs::remove_file(dir.join(CHUNKS_FILE)).unwrap()),
        ("no description", |dir| std::fs::remove_file(dir.join(META_FILE)).unwrap()),
        ("an empty directory", |dir| {
            std::fs::remove_dir_all(dir).unwrap();
            std::fs::create_dir(dir).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let fixture = Fixture::new();
        let engine = open(&fixture);
        let mut model = Model::new();
        for n in 0..2 {
            put(&engine, &mut model, n, &[(NOW_MS - 1000 * n as i64, n as f64)]);
            flush(&engine).unwrap();
        }
        engine.close().unwrap();
        damage(&block_of(&fixture, NOW_MS - 1000));
        model.remove(&name(1));
        let engine = open(&fixture);
        check(&engine, &model, what);
        assert_eq!(stat(&engine, "blocksQuarantined"), 1.0, "{what}");
        let failure = engine.last_failure().unwrap();
        assert!(failure.contains("quarantine"), "{what}: {failure}");
        put(&engine, &mut model, 1, &[(NOW_MS, 5.0)]);
        flush(&engine).unwrap();
        compact(&engine).unwrap();
        check(&engine, &model, what);
    }
}

#[test]
fn a_damaged_block_whose_log_is_still_there_is_read_from_the_log() {
    let fixture = Fixture::new();
    let engine = open(&fixture);
    let mut model = Model::new();
    // Two windows, so two blocks of one flush.
    put(&engine, &mut model, 0, &[(NOW_MS - 5 * HOUR_MS, 1.0), (NOW_MS, 2.0)]);
    put(&engine, &mut model, 1, &[(NOW_MS - 5 * HOUR_MS, 3.0)]);
    engine.close().unwrap();
    let (wal, saved) = (fixture.path().join("wal"), tempfile::tempdir().unwrap());
    let copy = |from: &Path, to: &Path| {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    copy(&wal, saved.path());
    let engine = open(&fixture);
    flush(&engine).unwrap();
    engine.close().unwrap();
    // As if the log could not be cut after the flush.
    std::fs::remove_dir_all(&wal).unwrap();
    std::fs::create_dir(&wal).unwrap();
    copy(saved.path(), &wal);
    let damaged = block_of(&fixture, NOW_MS - 5 * HOUR_MS);
    std::fs::remove_file(damaged.join(CHUNKS_FILE)).unwrap();
    let engine = open(&fixture);
    check(&engine, &model, "from the log");
    assert_eq!(stat(&engine, "blocks"), 0.0, "the other block's samples were read again, too");
    assert_eq!(stat(&engine, "blocksQuarantined"), 1.0);
    assert!(engine.last_failure().unwrap().contains("read from the log again"));
    put(&engine, &mut model, 0, &[(NOW_MS - 4 * HOUR_MS, 4.0)]);
    engine.close().unwrap();
    let engine = open(&fixture);
    check(&engine, &model, "from the log again");
    flush(&engine).unwrap();
    check(&engine, &model, "from blocks");
}

#[test]
fn an_engine_that_closes_says_so_to_who_waits_for_a_merge() {
    let fixture = Fixture::new();
    let engine = open(&fixture);
    engine.close().unwrap();
    assert_eq!(compact(&engine).unwrap_err().code(), ErrorCode::Closed);
}
