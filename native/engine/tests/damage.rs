//! Damage that a reader meets: it is told, the block leaves the store, and the next reader is
//! answered from the rest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::{Path, PathBuf};

use metricstor_engine::block::{CHUNKS_FILE, INDEX_FILE, META_FILE};
use metricstor_engine::deletes::Mode;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::evaluate::Evaluation;
use metricstor_engine::read::selection::{Selection, Target};
use metricstor_engine::read::session::{LabelRequest, Session};
use metricstor_engine::rollup::windows::Windows;
use metricstor_engine::rollup::{Function, Rollup};
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use metricstor_engine::sync::Arc;
use support::fixture::{Fixture, NOW_MS};
use support::{all, bits, compact, delete, flush, like, stat, wait_until, write};

const MINUTE_MS: i64 = 60_000;
/// Samples of each series, and series of each block: enough that several threads evaluate them.
const SAMPLES: i64 = 500;
const SERIES: usize = 1100;

/// Blocks are merged when a test says so.
fn open(fixture: &Fixture) -> Engine {
    fixture.open_with(Options {
        compact_cpu_share: 0.0,
        query_helpers: 2,
        ..Options::new(fixture.path())
    })
}

/// A store of two blocks, closed: series `old` and, in the later block, series `young`. Returns
/// their directories.
fn two_blocks(fixture: &Fixture, series: usize) -> [PathBuf; 2] {
    let engine = open(fixture);
    for name in ["old", "young"] {
        write_series(&engine, name, series);
        flush(&engine).unwrap();
    }
    engine.close().unwrap();
    let entries = std::fs::read_dir(fixture.path().join("blocks")).unwrap();
    let mut dirs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    dirs.sort_by_key(|dir| {
        let text = std::fs::read_to_string(dir.join(META_FILE)).unwrap();
        let (_, from) = text.split_once("\"from\"").unwrap();
        from.split(|c: char| !c.is_ascii_digit()).find_map(|n| n.parse::<u64>().ok()).unwrap()
    });
    dirs.try_into().unwrap()
}

fn write_series(engine: &Engine, name: &str, series: usize) {
    let samples: Vec<(i64, f64)> = samples_of(series);
    for i in 0..series {
        let number = format!("{i:05}");
        let labels = [("__name__", name), ("i", &*number)];
        write(engine, &[(&labels, &samples)]).unwrap();
    }
}

fn samples_of(series: usize) -> Vec<(i64, f64)> {
    let samples = if series == 1 { 3 } else { SAMPLES };
    (0..samples).map(|k| (NOW_MS - k * 1000, k as f64)).rev().collect()
}

/// Changes one byte.
fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// In the first record of `chunks`: past magic and version.
fn damage_chunks(dir: &Path) -> PathBuf {
    flip(&dir.join(CHUNKS_FILE), 14);
    dir.join(CHUNKS_FILE)
}

/// In the first series of `index`: past magic, version and the checksum of the group.
fn damage_entries(dir: &Path) -> PathBuf {
    flip(&dir.join(INDEX_FILE), 18);
    dir.join(INDEX_FILE)
}

/// A change of a byte in a block, which returns the file.
type Damage = (&'static str, fn(&Path) -> PathBuf);
/// One way to read all that a store has.
type Way = (&'static str, fn(&mut Session) -> Result<()>);

fn session(engine: &Engine) -> Session {
    engine.session(Scope::default(), Cancel::default())
}

fn select(session: &mut Session) -> Result<Selection> {
    session.select(Vec::new(), TimeRange::ALL)
}

fn samples(selection: &mut Selection) -> Result<()> {
    let (mut ts, mut vs) = (vec![0.0; 100_000], vec![0.0; 100_000]);
    let (mut offsets, mut done) = (vec![0u32; 8], 0);
    while done < selection.len() {
        let mut target = Target { timestamps: &mut ts, values: &mut vs, offsets: &mut offsets };
        selection.read(done, &mut target)?;
        done += 7.min(selection.len() - done);
    }
    Ok(())
}

fn windows(session: &mut Session) -> Result<()> {
    let mut selection = select(session)?;
    let windows = Windows {
        first_end: NOW_MS - MINUTE_MS * 5,
        stride_ms: MINUTE_MS,
        range_ms: MINUTE_MS * 60,
        steps: 6,
    };
    let rollup = Rollup::new(Function::Last, windows, Vec::new(), Cancel::default()).unwrap();
    let series = (0, selection.len());
    let rollup = Arc::new(rollup);
    let evaluation = Evaluation { rollup: &rollup, series, samples: usize::MAX };
    selection.evaluate(&evaluation, &mut |_| {}).map(drop)
}

fn everything() -> LabelRequest {
    let selectors = vec![vec![like("__name__", "old|young")]];
    LabelRequest { selectors, range: TimeRange::new(NOW_MS - MINUTE_MS, NOW_MS), limit: 0 }
}

/// The ways that look at series, and those that also look at samples.
const LOOKS: [Way; 3] = [
    ("series", |session| session.series(&everything()).map(drop)),
    ("label names", |session| session.label_names(&everything()).map(drop)),
    ("a selection", |session| select(session).map(drop)),
];
const READS: [Way; 3] = [
    ("samples", |session| samples(&mut select(session)?)),
    ("windows", windows),
    ("an export", |session| samples(&mut session.select_any(&[Vec::new()], TimeRange::ALL)?)),
];

/// Damages one of two blocks and reads it in one way: see the page above.
fn meets(damage: Damage, way: Way, victim: usize, series: usize) {
    let context = format!("{} damaged in block {victim}, met by {}", damage.0, way.0);
    let fixture = Fixture::new();
    let dirs = two_blocks(&fixture, series);
    let file = damage.1(&dirs[victim]);
    let engine = open(&fixture);
    let version = engine.changed_since(0).version;
    let Err(error) = way.1(&mut session(&engine)) else { panic!("{context}: no error") };
    assert_eq!(error.code(), ErrorCode::Corruption, "{context}");
    let place = error.place().unwrap();
    assert_eq!(place.file, file, "{context}");
    assert!(place.offset.is_some(), "{context}: {error}");
    wait_until(&context, || stat(&engine, "blocksQuarantined") == 1.0);
    way.1(&mut session(&engine)).unwrap_or_else(|error| panic!("{context}: {error}"));
    let kept = ["young", "old"][victim];
    let check = |engine: &Engine, when: &str| {
        let found = all(engine);
        assert_eq!(found.len(), series, "{context}, {when}");
        let wanted = bits(&samples_of(series));
        for (name, samples) in found {
            assert!(name.contains(kept) && samples == wanted, "{context}, {when}: {name}");
        }
        assert_eq!(stat(engine, "blocks"), 1.0, "{context}, {when}");
        assert_eq!(stat(engine, "blocksQuarantined"), 1.0, "{context}, {when}");
    };
    check(&engine, "at once");
    assert!(engine.changed_since(version).written_from == i64::MIN, "{context}: answers are stale");
    let moved = fixture.path().join("quarantine").join(dirs[victim].file_name().unwrap());
    assert!(moved.join(META_FILE).exists() && !dirs[victim].exists(), "{context}");
    let sentences = engine.newly_quarantined();
    assert_eq!(sentences.len(), 1, "{context}: {sentences:?}");
    assert_eq!(engine.last_failure().as_ref(), sentences.first(), "{context}");
    let (mint, missing) = (samples_of(series)[0].0, samples_of(series).len() * series);
    let parts = [
        format!("moved to {}", moved.display()),
        format!("{missing} samples from {mint} to {NOW_MS} ms are missing"),
        error.to_string(),
    ];
    for part in parts {
        assert!(sentences[0].contains(&part), "{context}: {part} in {}", sentences[0]);
    }
    assert!(engine.newly_quarantined().is_empty(), "{context}: said once");
    let labels = [("__name__", kept), ("i", "00000")];
    // The log goes on behind what it had when the block was there.
    write(&engine, &[(&labels, &[(NOW_MS, 0.0)])]).unwrap();
    engine.close().unwrap();
    let engine = open(&fixture);
    check(&engine, "after a restart");
    compact(&engine).unwrap();
    check(&engine, "after a compaction");
}

#[test]
fn a_damaged_block_is_set_aside_by_whatever_reads_it_first() {
    for victim in [0, 1] {
        for way in LOOKS.into_iter().chain(READS) {
            meets(("entries", damage_entries), way, victim, 1);
        }
        for way in READS {
            meets(("chunks", damage_chunks), way, victim, 1);
        }
    }
}

#[test]
fn damage_that_helping_threads_meet_is_set_aside() {
    meets(("chunks", damage_chunks), READS[1], 1, SERIES);
}

#[test]
fn many_readers_and_a_merge_set_a_block_aside_once() {
    let fixture = Fixture::new();
    let dirs = two_blocks(&fixture, 1);
    damage_chunks(&dirs[0]);
    let engine = open(&fixture);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let outcome = samples(&mut select(&mut session(&engine)).unwrap());
                    assert!(outcome.err().is_none_or(|e| e.code() == ErrorCode::Corruption));
                }
            });
        }
        // Either meets the damage, or finds that the block is gone.
        let merged = compact(&engine);
        assert!(merged.err().is_none_or(|error| error.code() == ErrorCode::Corruption));
    });
    wait_until("set aside", || stat(&engine, "blocksQuarantined") > 0.0);
    assert_eq!(all(&engine).len(), 1);
    // Whatever was reported is done when the engine is closed.
    engine.close().unwrap();
    assert_eq!(engine.newly_quarantined().len(), 1);
    assert_eq!(stat(&open(&fixture), "blocksQuarantined"), 1.0);
}

#[test]
fn a_reader_of_an_older_view_may_find_a_block_damaged_that_is_gone() {
    let fixture = Fixture::new();
    let dirs = two_blocks(&fixture, 1);
    damage_chunks(&dirs[0]);
    let engine = open(&fixture);
    let mut session = session(&engine);
    let mut selection = select(&mut session).unwrap();
    assert_eq!(compact(&engine).unwrap_err().code(), ErrorCode::Corruption);
    assert_eq!(engine.newly_quarantined().len(), 1, "compaction says so, too");
    assert_eq!(samples(&mut selection).unwrap_err().code(), ErrorCode::Corruption);
    drop((selection, session));
    engine.close().unwrap();
    assert_eq!(stat(&engine, "blocksQuarantined"), 1.0);
    assert!(engine.newly_quarantined().is_empty(), "not twice");
}

#[test]
fn a_count_of_what_would_be_deleted_meets_damage() {
    let fixture = Fixture::new();
    let dirs = two_blocks(&fixture, 1);
    damage_chunks(&dirs[1]);
    let engine = open(&fixture);
    let count = || {
        let range = TimeRange::new(NOW_MS - 2000, NOW_MS - 1000);
        delete(&engine, vec![like("__name__", ".+")], range, Mode::DryRun)
    };
    assert_eq!(count().unwrap_err().code(), ErrorCode::Corruption);
    wait_until("set aside", || stat(&engine, "blocksQuarantined") == 1.0);
    assert_eq!(count().unwrap().series, 1);
}

#[test]
fn other_failures_set_nothing_aside() {
    let fixture = Fixture::new();
    two_blocks(&fixture, 1);
    let engine = open(&fixture);
    let cancel = Cancel::default();
    cancel.cancel();
    let mut canceled = engine.session(Scope::default(), cancel);
    assert_eq!(select(&mut canceled).err().unwrap().code(), ErrorCode::Canceled);
    let mut few = session(&engine).with_max_series(1);
    assert_eq!(select(&mut few).err().unwrap().code(), ErrorCode::LimitExceeded);
    engine.close().unwrap();
    assert!(engine.newly_quarantined().is_empty());
    assert_eq!(stat(&engine, "blocks"), 2.0);
}
