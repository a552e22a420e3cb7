//! What is on disk stays readable: the committed blocks of every format version are read, and the
//! newest version is written again and compared byte for byte.
//!
//! When a format changes, its version does too, a new fixture is written by
//! `METRICSTOR_WRITE_FIXTURE=1 cargo test -p metricstor-engine --test format`, and the old one
//! stays. So it is, under another name, where only what the encoder chooses has changed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::block::meta::{Compaction, FlushPart, LogRange, META_VERSION, MetaSeed};
use metricstor_engine::block::tombstones::{TOMBSTONES_FILE, TombstoneList};
use metricstor_engine::block::{self, Block, BlockWriter};
use metricstor_engine::dictionary::Dictionary;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::labels::Labels;
use metricstor_engine::refs::{Position, TenantId};
use metricstor_engine::sample::{STALE_BITS, TimeRange, Window};
use metricstor_engine::source::{Columns, Scope, SelectRequest, SeriesSource};
use metricstor_engine::tombstone::Tombstone;
use ulid::Ulid;

/// A block as a flush writes it.
const BLOCK: Ulid = Ulid(0x018b_cfe5_6800_0102_0304_0506_0708_090a);
/// A block as a compaction writes it, since version 2.
const COLD_BLOCK: Ulid = Ulid(0x018b_cfe5_6800_0102_0304_0506_0708_090c);
/// The same of an earlier build: columns were longer, and more of them were entropy-coded.
const LONGER_COLUMNS: Ulid = Ulid(0x018b_cfe5_6800_0102_0304_0506_0708_090b);

const WINDOW: Window = Window { start: -7_200_000, end: 7_200_000 };

type Series = (Labels, Vec<(i64, u64)>);

fn fixture(version: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/blocks-v{version}"))
}

/// What every version holds, and since version 2 series that take every codec of a cold column.
fn content_of(version: u32) -> Vec<Series> {
    let mut series = content();
    if version == 1 {
        return series;
    }
    let mut noise = 1u64;
    let mut next = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise >> 33
    };
    let samples = |count: i64, value: &mut dyn FnMut(i64) -> f64| -> Vec<(i64, u64)> {
        (0..count).map(|n| (n * 1000, value(n).to_bits())).collect()
    };
    let mut counter = 0u64;
    let steps = samples(2000, &mut |n| (n / 500) as f64);
    let decimals = samples(2000, &mut |_| {
        counter += next() % 8 * (next() % 8);
        counter as f64 / 100.0
    });
    let doubles = samples(2000, &mut |n| (n as f64 + 1.0).sqrt());
    let mut odd = samples(100, &mut |n| n as f64 * 4096.0);
    odd[50].1 = STALE_BITS;
    for (shape, samples) in
        [("decimals", decimals), ("doubles", doubles), ("odd", odd), ("steps", steps)]
    {
        series.push(labelled(&[("__name__", "shape"), ("shape", shape)], samples));
    }
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}

/// Series that touch every part of the format: several schemas, postings in the value and in
/// bitmaps, several groups of values, several chunks, times below zero, and values that only their
/// bits tell apart.
fn content() -> Vec<Series> {
    let special = [
        0.0f64.to_bits(),
        (-0.0f64).to_bits(),
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        0x7ff8_0000_0000_0001,
        0xfff0_1234_5678_9abc,
        STALE_BITS,
        1,
    ];
    let mut series = vec![
        (Labels::empty(), vec![(0, 1)]),
        labelled(&[("Ünïcode", "ключ"), ("a.b", "c d\n")], vec![(-7_200_000, 0)]),
        labelled(
            &[("__name__", "special")],
            special.iter().zip(0..).map(|(bits, i)| (i * 1000 - 3000, *bits)).collect(),
        ),
    ];
    for i in 0..40u32 {
        let pod = format!("pod-{i:02}");
        let job = if i % 2 == 0 { "even" } else { "odd" };
        let value = |n: i64| (n * i64::from(i) / 3) as f64 / 4.0;
        let samples = (0..1 + 30 * i64::from(i)).map(|n| (n * 5_000, value(n).to_bits()));
        series.push(labelled(
            &[("__name__", "requests_total"), ("job", job), ("pod", &pod)],
            samples.collect(),
        ));
    }
    series.sort_by(|a, b| a.0.cmp(&b.0));
    series
}

fn labelled(pairs: &[(&str, &str)], samples: Vec<(i64, u64)>) -> Series {
    (Labels::from_pairs(pairs.iter().copied()).unwrap(), samples)
}

fn write(dir: &Path, ulid: Ulid) -> PathBuf {
    let mut writer = BlockWriter::create(Arc::new(OsDisk), dir, ulid).unwrap();
    if ulid == COLD_BLOCK {
        writer = writer.cold(WINDOW);
    }
    for (labels, samples) in content_of(META_VERSION) {
        let (times, values): (Vec<i64>, Vec<f64>) =
            samples.iter().map(|(t, bits)| (*t, f64::from_bits(*bits))).unzip();
        writer.add_series(&labels, &times, &values).unwrap();
    }
    let seed = MetaSeed {
        tenant: TenantId(0),
        window: WINDOW,
        log: LogRange {
            source: "01HFYYB4000000000000000000".to_owned(),
            from: Position(4096),
            to: Position(1 << 40),
        },
        flush: FlushPart { part: 1, parts: 3 },
        compaction: Compaction { level: 2, sources: vec![Ulid(1), Ulid(2)] },
    };
    let ulid = writer.finish(seed).unwrap().publish().unwrap();
    dir.join(ulid.to_string())
}

#[test]
fn a_block_of_every_version_is_read() {
    for (version, blocks) in [(1, &[BLOCK][..]), (2, &[BLOCK, LONGER_COLUMNS, COLD_BLOCK])] {
        let found = block::list(&OsDisk, &fixture(version)).unwrap();
        let want: Vec<PathBuf> =
            blocks.iter().map(|ulid| fixture(version).join(ulid.to_string())).collect();
        assert_eq!(found, want);
        found.iter().for_each(|dir| check_content(dir, version));
    }
}

fn check_content(dir: &Path, version: u32) {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let block = Block::open(disk, dir).unwrap();
    block.verify().unwrap();
    assert_eq!(block.meta().version, version);
    assert_eq!(block.meta().log.to, Position(1 << 40));

    let request =
        SelectRequest { scope: Scope::default(), matchers: Vec::new(), range: TimeRange::ALL };
    let mut selection = block.select(&request).unwrap();
    let (mut dictionary, mut columns) = (Dictionary::default(), Columns::default());
    let want = content_of(version);
    assert_eq!(selection.len(), want.len());
    let which: Vec<u32> = (0..want.len() as u32).collect();
    selection.read(&which, TimeRange::ALL, &mut columns).unwrap();
    for (at, (labels, samples)) in want.iter().enumerate() {
        let mut ids = Vec::new();
        selection.labels(at, &mut dictionary, &mut ids).unwrap();
        let text: Vec<&str> = ids.iter().map(|id| dictionary.text(*id)).collect();
        assert_eq!(text, labels.iter().flat_map(|(n, v)| [n, v]).collect::<Vec<_>>());
        let (times, values) = columns.series(at);
        let got: Vec<(i64, u64)> =
            times.iter().zip(values).map(|(t, v)| (*t, v.to_bits())).collect();
        assert_eq!(got, *samples, "{labels}");
    }
}

#[test]
fn the_same_content_is_written_as_the_same_bytes() {
    for ulid in [BLOCK, COLD_BLOCK] {
        let dir = tempfile::tempdir().unwrap();
        let written = write(dir.path(), ulid);
        let committed = fixture(META_VERSION).join(ulid.to_string());
        for name in [block::META_FILE, block::INDEX_FILE, block::CHUNKS_FILE] {
            let (got, want) = (written.join(name), committed.join(name));
            let same = std::fs::read(got).unwrap() == std::fs::read(want).unwrap();
            assert!(same, "{name} of {ulid} differs from the committed fixture of its version");
        }
    }
}

fn tombstones_fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tombstones-v1")
}

fn tombstones() -> TombstoneList {
    let matcher = |name, op, value| Matcher::new(name, op, value).unwrap();
    let tombstone = |matchers, range| Arc::new(Tombstone { tenant: TenantId(0), matchers, range });
    let all_ops = vec![
        matcher("__name__", MatchOp::Equal, "up"),
        matcher("job", MatchOp::NotEqual, ""),
        matcher("Ünïcode", MatchOp::Regex, "a|b.*"),
        matcher("a.b", MatchOp::NotRegex, "c d\n"),
    ];
    TombstoneList::default()
        .with(Position(4096), &[tombstone(all_ops, TimeRange::new(-7_200_000, 5_850_000))])
        .with(
            Position(1 << 40),
            &[
                tombstone(Vec::new(), TimeRange::new(-(1 << 53), 1 << 53)),
                tombstone(vec![matcher("a", MatchOp::Equal, "b")], TimeRange::new(0, 0)),
            ],
        )
}

#[test]
fn tombstones_of_version_1_are_read_and_written_as_the_same_bytes() {
    let read = TombstoneList::read(&OsDisk, &tombstones_fixture()).unwrap();
    let shown = |list: &TombstoneList| list.iter().map(|p| format!("{p:?}")).collect::<Vec<_>>();
    assert_eq!(shown(&read), shown(&tombstones()));
    let dir = tempfile::tempdir().unwrap();
    tombstones().publish(&OsDisk, dir.path()).unwrap();
    let file = |dir: &Path| std::fs::read(dir.join(TOMBSTONES_FILE)).unwrap();
    assert_eq!(file(dir.path()), file(&tombstones_fixture()));
}

/// After a change of format, `METRICSTOR_WRITE_FIXTURE=1` makes this write the newest fixture.
#[test]
fn the_fixture_is_written_only_when_asked_for() {
    if std::env::var_os("METRICSTOR_WRITE_FIXTURE").is_some() {
        std::fs::create_dir_all(tombstones_fixture()).unwrap();
        tombstones().publish(&OsDisk, &tombstones_fixture()).unwrap();
        let dir = fixture(META_VERSION);
        std::fs::create_dir_all(&dir).unwrap();
        for ulid in [BLOCK, COLD_BLOCK] {
            let _ = std::fs::remove_dir_all(dir.join(ulid.to_string()));
            write(&dir, ulid);
        }
    }
    assert!(fixture(META_VERSION).join(BLOCK.to_string()).is_dir());
}
