//! A data directory as a killed process left it stays readable as a whole: the committed one of
//! every version is opened, and everything in it is there.
//!
//! It has blocks of Gorilla chunks and cold ones, tombstones, a checkpoint with chunk files, the
//! log after it, exemplars and metadata; floats and histograms are in all of them. The process
//! ended without a word, so nothing was put in order at the end.
//!
//! When a format changes, a new fixture is written with `METRICSTOR_WRITE_FIXTURE=1`, and the old
//! one stays.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::block::{self, Block};
use metricstor_engine::clock::ManualClock;
use metricstor_engine::commit::WireFormat;
use metricstor_engine::deletes::Mode;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::inspect;
use metricstor_engine::options::Options;
use metricstor_engine::sample::{STALE_BITS, TimeRange};
use support::beside::{exemplar, exemplars_of, families, metadata_of, named, traces};
use support::values::{self, Sample, Value, custom, float, integer, stale};
use support::{checkpoint, clean, compact, delete, flush, like, stat, write_body};

const NOW_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: i64 = 60_000;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn fixture() -> PathBuf {
    fixtures().join("directory-v2")
}

fn open(dir: &Path, now_ms: i64) -> Engine {
    let mut options = Options::new(dir);
    options.compact_cpu_share = 0.0;
    options.wal_segment_bytes = 2048;
    Engine::open_with(options, Arc::new(OsDisk), Arc::new(ManualClock::new(now_ms))).unwrap()
}

/// A minute of the fixture's day; 0 is its end.
fn at(minute: i64) -> i64 {
    NOW_MS + minute * MINUTE_MS
}

type Content = BTreeMap<String, BTreeMap<i64, Value>>;

/// What happens in the directory: done to an engine, or only reckoned.
struct Script<'a> {
    engine: Option<&'a Engine>,
    content: Content,
}

impl Script<'_> {
    fn write(&mut self, host: &str, samples: &[Sample]) {
        if let Some(engine) = self.engine {
            let labels = [("__name__", "m"), ("host", host)];
            let outcome = values::write(engine, &labels, samples).unwrap();
            assert_eq!(outcome.samples + outcome.histograms, samples.len() as u64);
        }
        let known = self.content.entry(format!("__name__=m,host={host}")).or_default();
        known.extend(samples.iter().cloned());
    }

    /// Every minute from `from` to `to`; every ninth sample of host "h" is a histogram.
    fn scrape(&mut self, from: i64, to: i64) {
        for host in ["a", "b", "ключ", "h"] {
            let value = |n: i64| match (host, n.rem_euclid(9)) {
                ("h", 0) => integer(n.unsigned_abs(), 3 + n.rem_euclid(4) as u32),
                ("h", 4) => custom(n.abs() as f64),
                ("h", 7) => stale(),
                ("b", 7) => float(f64::from_bits(STALE_BITS)),
                ("a", _) => float((n as f64).abs().sqrt()),
                _ => float(n as f64 / 4.0),
            };
            let samples: Vec<Sample> = (from..to).map(|n| (at(n), value(n))).collect();
            self.write(host, &samples);
        }
    }

    fn delete(&mut self, hosts: &[&str], from: i64, to: i64) {
        let range = TimeRange::new(at(from), at(to));
        if let Some(engine) = self.engine {
            delete(engine, vec![like("host", &hosts.join("|"))], range, Mode::Delete).unwrap();
        }
        for host in hosts {
            let series = self.content.get_mut(&format!("__name__=m,host={host}")).unwrap();
            series.retain(|t, _| !range.contains(*t));
        }
    }

    fn send(&self, body: &[Vec<u8>]) {
        if let Some(engine) = self.engine {
            write_body(engine, WireFormat::RemoteWrite1, body.concat()).unwrap();
        }
    }

    fn ask(&self, what: fn(&Engine) -> metricstor_engine::error::Result<()>) {
        if let Some(engine) = self.engine {
            what(engine).unwrap();
        }
    }

    fn run(&mut self) {
        // Flushed blocks that overlap, merged into cold ones.
        self.scrape(-900, -780);
        self.ask(flush);
        self.scrape(-840, -760);
        self.ask(flush);
        self.ask(compact);
        // Another that stays as it was flushed.
        self.scrape(-600, -500);
        self.ask(flush);
        self.delete(&["a"], -830, -820);
        self.delete(&["b", "h"], -590, -550);
        self.write("b", &[(at(-580), float(7.0))]);
        // The head: full chunks, open ones, late samples, what is deleted in it.
        self.scrape(-400, -100);
        self.send(&[
            exemplars_of("m", &[exemplar("x", at(-300), 0.5), exemplar("y", at(-200), 0.25)]),
            metadata_of("m", 3, "How long it took."),
        ]);
        self.delete(&["ключ"], -300, -250);
        self.write("a", &[(at(-825), float(8.0)), (at(-350), custom(8.0))]);
        self.ask(checkpoint);
        // The log behind the checkpoint.
        self.scrape(-110, -50);
        self.delete(&["a"], -105, -90);
        self.write("h", &[(at(-101), integer(9, 2)), (at(-700), float(9.0))]);
        self.send(&[
            exemplars_of("m", &[exemplar("z", at(-60), 0.75)]),
            metadata_of("up", 2, "Whether it is there."),
        ]);
    }
}

fn content() -> Content {
    let mut script = Script { engine: None, content: Content::new() };
    script.run();
    script.content
}

fn check(engine: &Engine, context: &str) {
    let found: Content = values::read(engine, Vec::new(), TimeRange::ALL)
        .into_iter()
        .map(|(labels, samples)| (labels, samples.into_iter().collect()))
        .collect();
    let want = content();
    assert_eq!(found.keys().collect::<Vec<_>>(), want.keys().collect::<Vec<_>>(), "{context}");
    for (name, want) in want {
        let times = |samples: &BTreeMap<i64, Value>| samples.keys().copied().collect::<Vec<_>>();
        assert_eq!(times(&found[&name]), times(&want), "{context}: {name}");
        for (t, value) in want {
            assert_eq!(found[&name][&t], value, "{context}: {name} at {t}");
        }
    }
    let newest = [("x", at(-300)), ("y", at(-200)), ("z", at(-60))];
    assert_eq!(traces(engine), [named("m", &newest)], "{context}");
    let known = [("m", "histogram", "How long it took."), ("up", "gauge", "Whether it is there.")];
    let known = known.map(|(family, kind, help)| (family.to_owned(), kind, help.to_owned()));
    assert_eq!(families(engine), known, "{context}");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_directory_of_version_2_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let verified = inspect::verify(&disk, dir.path()).unwrap();
    assert!(verified.findings.is_empty(), "{:?}", verified.findings);
    let engine = open(dir.path(), NOW_MS);
    check(&engine, "opened");
    assert_eq!(stat(&engine, "blocksLevel1"), 1.0);
    assert_eq!(stat(&engine, "blocksLevel2"), 2.0);
    assert_eq!(stat(&engine, "blocksQuarantined"), 0.0);
    engine.close().unwrap();
    let engine = open(dir.path(), NOW_MS);
    check(&engine, "opened again");
    flush(&engine).unwrap();
    check(&engine, "all in blocks");
    compact(&engine).unwrap();
    clean(&engine).unwrap();
    check(&engine, "merged and cleaned");
    engine.close().unwrap();
    check(&open(dir.path(), NOW_MS), "merged and opened again");
}

#[test]
fn the_directory_of_version_2_has_a_file_of_every_kind() {
    let dir = fixture();
    let there = |name: &str| dir.join(name).is_file();
    for name in ["metricstor.json", "blocks/tombstones", "head/checkpoint", "exemplars", "metadata"]
    {
        assert!(there(name), "{name}");
    }
    let version = std::fs::read_to_string(dir.join("metricstor.json")).unwrap();
    assert_eq!(version, "{\"formatVersion\":2}\n");
    let ending = |inside: &str, end: &str| {
        let entries = std::fs::read_dir(dir.join(inside)).unwrap();
        entries.filter(|e| e.as_ref().unwrap().path().to_string_lossy().ends_with(end)).count()
    };
    assert!(ending("head", ".chunks") > 0 && ending("wal", ".wal") > 1);
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let blocks = block::list(&*disk, &dir.join("blocks")).unwrap();
    let flushed: Vec<bool> = blocks
        .iter()
        .map(|dir| Block::open(disk.clone(), dir).unwrap().meta().is_flushed())
        .collect();
    assert!(flushed.contains(&true) && flushed.contains(&false), "{flushed:?}");
}

#[test]
fn a_directory_of_version_1_opens_is_read_and_becomes_one_of_version_2() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixtures().join("blocks-v1"), &dir.path().join("blocks"));
    let format = dir.path().join("metricstor.json");
    std::fs::write(&format, "{\"formatVersion\":1}\n").unwrap();
    let count = |engine: &Engine| -> usize {
        values::read(engine, Vec::new(), TimeRange::ALL).iter().map(|(_, s)| s.len()).sum()
    };
    let engine = open(dir.path(), 10_000_000);
    let samples = count(&engine);
    assert!(samples > 20_000, "{samples}");
    assert_eq!(stat(&engine, "blocks"), 1.0);
    values::write(&engine, &[("__name__", "new")], &[(10_000_000, float(1.0))]).unwrap();
    flush(&engine).unwrap();
    compact(&engine).unwrap();
    assert_eq!(count(&engine), samples + 1);
    engine.close().unwrap();
    let text = std::fs::read_to_string(&format).unwrap();
    assert!(text.starts_with("{\"formatVersion\":2,\"store\":\""), "{text}");
    assert_eq!(count(&open(dir.path(), 10_000_000)), samples + 1);
}

/// After a change of format, `METRICSTOR_WRITE_FIXTURE=1` makes this write the newest fixture.
#[test]
fn the_fixture_is_written_only_when_asked_for() {
    if std::env::var_os("METRICSTOR_WRITE_FIXTURE").is_some() {
        let dir = tempfile::tempdir().unwrap();
        let engine = open(dir.path(), NOW_MS);
        let mut script = Script { engine: Some(&engine), content: Content::new() };
        script.run();
        check(&engine, "written");
        let _ = std::fs::remove_dir_all(fixture());
        // As a killed process leaves it: the engine is still open.
        copy(dir.path(), &fixture());
        let _ = std::fs::remove_file(fixture().join("LOCK"));
    }
    assert!(fixture().is_dir());
}
