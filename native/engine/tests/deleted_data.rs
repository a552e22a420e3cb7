//! What is deleted stays out of everything that leaves a store, and the tools say what it takes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use metricstor_engine::backup;
use metricstor_engine::clock::ManualClock;
use metricstor_engine::deletes::Mode;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::{Engine, SnapshotOf};
use metricstor_engine::inspect;
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::session::LabelRequest;
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use metricstor_engine::transfer::{
    ExportRequest, JsonExport, export_prometheus, import_prometheus,
};
use support::fixture::{Dirs, NOW_MS};
use support::{all, clean, delete, flush, like, stat, write};

const MINUTE_MS: i64 = 60_000;
const EVERYTHING: ExportRequest = ExportRequest { selectors: Vec::new(), range: TimeRange::ALL };

fn disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk)
}

fn open(dir: &Path) -> Engine {
    Engine::open_with(Options::new(dir), disk(), Arc::new(ManualClock::new(NOW_MS))).unwrap()
}

/// 100 samples of three series in a block and 50 in the head, and one of a series with a label of
/// its own.
fn fill(engine: &Engine) {
    let samples = |from: i64, to: i64| -> Vec<(i64, f64)> {
        (from..to).map(|i| (NOW_MS - (150 - i) * MINUTE_MS, i as f64)).collect()
    };
    for n in ["0", "1", "2"] {
        write(engine, &[(&[("__name__", "m"), ("n", n)], &samples(0, 100))]).unwrap();
    }
    write(engine, &[(&[("__name__", "other"), ("n", "1"), ("one", "x")], &samples(0, 1))]).unwrap();
    flush(engine).unwrap();
    for n in ["0", "1", "2"] {
        write(engine, &[(&[("__name__", "m"), ("n", n)], &samples(100, 150))]).unwrap();
    }
}

/// All that is called 1, and of series 2 twenty minutes in the block and ten in the head.
fn delete_some(engine: &Engine) {
    delete(engine, vec![like("n", "1")], TimeRange::ALL, Mode::Delete).unwrap();
    for (from, to) in [(20, 39), (120, 129)] {
        let at = |i: i64| NOW_MS - (150 - i) * MINUTE_MS;
        let range = TimeRange::new(at(from), at(to));
        delete(engine, vec![like("n", "2")], range, Mode::Delete).unwrap();
    }
}

fn samples_of(engine: &Engine) -> Vec<(String, usize)> {
    all(engine).into_iter().map(|(name, samples)| (name, samples.len())).collect()
}

fn left() -> Vec<(String, usize)> {
    vec![("__name__=m,n=0".to_owned(), 150), ("__name__=m,n=2".to_owned(), 120)]
}

#[test]
fn snapshots_backups_and_what_is_restored_of_them_have_nothing_deleted() {
    let dirs = Dirs::new();
    let engine = open(&dirs.path("data"));
    fill(&engine);
    delete_some(&engine);
    let (send, made) = channel();
    engine.snapshot(SnapshotOf::Everything, Box::new(move |result| send.send(result).unwrap()));
    let snapshot = dirs.path("data").join("snapshots").join(made.recv().unwrap().unwrap());
    engine.close().unwrap();
    backup::backup(&OsDisk, &snapshot, &dirs.path("backup"), NOW_MS).unwrap();
    assert_eq!(samples_of(&open(&snapshot)), left());
    backup::restore(&OsDisk, &dirs.path("backup"), &dirs.path("restored")).unwrap();
    assert_eq!(samples_of(&open(&dirs.path("restored"))), left());
}

#[test]
fn exports_have_nothing_deleted() {
    let dirs = Dirs::new();
    let engine = open(&dirs.path("data"));
    fill(&engine);
    delete_some(&engine);
    let out = dirs.path("prometheus");
    let report = export_prometheus(&engine, &EVERYTHING, &disk(), &out, NOW_MS).unwrap();
    assert_eq!((report.series, report.samples), (2, 270));
    let other = open(&dirs.path("other"));
    import_prometheus(&other, &OsDisk, &out, TenantId(0)).unwrap();
    assert_eq!(samples_of(&other), left());
    let session = engine.session(Scope::default(), Cancel::default());
    let mut export = JsonExport::new(session, &EVERYTHING).unwrap();
    let (mut text, mut piece) = (Vec::new(), Vec::new());
    while {
        piece.clear();
        export.next_piece(&mut piece).unwrap();
        !piece.is_empty()
    } {
        text.append(&mut piece);
    }
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains(r#""n":"1""#), "{text}");
    let values: usize = text
        .lines()
        .map(|line| line.split_once("\"values\":[").unwrap().1)
        .map(|line| line.split_once(']').unwrap().0.split(',').count())
        .sum();
    assert_eq!(values, 270);
}

#[test]
fn labels_asked_for_without_a_selector_are_those_of_series_that_are_left() {
    let dirs = Dirs::new();
    let engine = open(&dirs.path("data"));
    fill(&engine);
    let asked = |engine: &Engine| -> (Vec<String>, Vec<String>) {
        let request = LabelRequest { selectors: Vec::new(), range: TimeRange::ALL, limit: 0 };
        let session = engine.session(Scope::default(), Cancel::default());
        let names = session.label_names(&request).unwrap().values;
        (names, session.label_values("n", &request).unwrap().values)
    };
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|t| t.to_string()).collect() };
    assert_eq!(asked(&engine), (texts(&["__name__", "n", "one"]), texts(&["0", "1", "2"])));
    delete_some(&engine);
    let want = (texts(&["__name__", "n"]), texts(&["0", "2"]));
    assert_eq!(asked(&engine), want, "in a block and in the head");
    flush(&engine).unwrap();
    assert_eq!(asked(&engine), want);
    write(&engine, &[(&[("__name__", "m"), ("n", "1")], &[(NOW_MS, 1.0)])]).unwrap();
    assert_eq!(asked(&engine).1, ["0", "1", "2"]);
    clean(&engine).unwrap();
    assert_eq!(asked(&engine), (want.0, texts(&["0", "1", "2"])));
}

#[test]
fn analyze_counts_what_is_deleted_until_it_is_cleaned() {
    let dirs = Dirs::new();
    let data = dirs.path("data");
    let engine = open(&data);
    fill(&engine);
    delete_some(&engine);
    flush(&engine).unwrap();
    let analysis = inspect::analyze(&disk(), &data, 10).unwrap();
    assert_eq!(analysis.tombstones, 3);
    let gone: Vec<_> = analysis.deleted.iter().map(|d| (d.series, d.samples)).collect();
    let (series, samples) = gone.iter().fold((0, 0), |sum, gone| (sum.0 + gone.0, sum.1 + gone.1));
    assert!((3..=6).contains(&series), "{gone:?}: the block may be two");
    assert_eq!(samples, 101 + 20, "what was deleted in the head is not in a block");
    clean(&engine).unwrap();
    let analysis = inspect::analyze(&disk(), &data, 10).unwrap();
    assert_eq!((analysis.tombstones, analysis.deleted.len()), (0, 0));
    assert_eq!(analysis.samples, 270);
    assert_eq!(stat(&engine, "tombstones"), 0.0);
}

#[test]
fn a_damaged_file_of_deletes_is_found_by_verify() {
    let dirs = Dirs::new();
    let data = dirs.path("data");
    let engine = open(&data);
    fill(&engine);
    delete_some(&engine);
    engine.close().unwrap();
    assert_eq!(inspect::verify(&disk(), &data).unwrap().findings, []);
    let file = data.join("blocks").join("tombstones");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let findings = inspect::verify(&disk(), &data).unwrap().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].message.contains("tombstones"), "{findings:?}");
    let analysis = inspect::analyze(&disk(), &data, 10).unwrap();
    assert_eq!(analysis.findings.len(), 1, "{:?}", analysis.findings);
}
