//! An engine that only reads: a directory of a server that was killed is answered from as by its
//! next start, and no byte of it changes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::backup;
use metricstor_engine::clock::ManualClock;
use metricstor_engine::commit::WireFormat::RemoteWrite1;
use metricstor_engine::deletes::Mode;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::options::Options;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::transfer::{ExportRequest, export_prometheus};
use support::beside::{exemplar, exemplars_of, families, metadata_of, traces};
use support::fixture::{Dirs, NOW_MS, files_under, fill, open_os};
use support::{all, checkpoint, delete, flush, like, write, write_body};

fn open_to_read(dir: &Path) -> Result<Engine> {
    let options = Options { read_only: true, ..Options::new(dir) };
    Engine::open_with(options, Arc::new(OsDisk), Arc::new(ManualClock::new(NOW_MS)))
}

/// A directory as a killed server leaves it, with something of everything, and what it answers.
fn killed(dirs: &Dirs) -> (PathBuf, String) {
    let engine = open_os(&dirs.path("live"));
    fill(&engine, 3);
    flush(&engine).unwrap();
    delete(&engine, vec![like("n", "0|1")], TimeRange::ALL, Mode::Delete).unwrap();
    let body = [exemplars_of("m", &[exemplar("x", NOW_MS, 0.5)]), metadata_of("m", 3, "How long.")];
    write_body(&engine, RemoteWrite1, body.concat()).unwrap();
    fill(&engine, 1);
    checkpoint(&engine).unwrap();
    write(&engine, &[(&[("__name__", "last")], &[(NOW_MS, 1.0)])]).unwrap();
    let dir = dirs.path("data");
    copy(&dirs.path("live"), &dir);
    std::fs::write(dir.join("left.tmp"), "by a crash").unwrap();
    (dir, answers(&engine))
}

/// All that it has, as a text.
fn answers(engine: &Engine) -> String {
    format!("{:?}", (all(engine), traces(engine), families(engine)))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> =
        files_under(dir).into_iter().map(|f| (f.clone(), std::fs::read(f).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn everything_is_answered_and_no_byte_changes() {
    let dirs = Dirs::new();
    let (dir, want) = killed(&dirs);
    let before = content(&dir);
    let engine = open_to_read(&dir).unwrap();
    assert!(answers(&engine) == want);
    let refused = write(&engine, &[(&[("__name__", "new")], &[(NOW_MS, 1.0)])]).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ReadOnly);
    let request = ExportRequest { selectors: Vec::new(), range: TimeRange::ALL };
    let out = dirs.path("prometheus");
    let disk = Arc::new(OsDisk) as _;
    assert!(export_prometheus(&engine, &request, &disk, &out, NOW_MS).unwrap().samples > 600);
    flush(&engine).unwrap();
    assert!(answers(&engine) == want, "from blocks in memory");
    engine.close().unwrap();
    assert!(content(&dir) == before);
}

#[test]
fn a_backup_of_a_directory_that_is_only_read_has_what_is_in_its_log() {
    let dirs = Dirs::new();
    let (dir, want) = killed(&dirs);
    let before = content(&dir);
    let engine = open_to_read(&dir).unwrap();
    let target = dirs.path("backup");
    let report = engine.backup(&target, false).unwrap();
    assert!(report.blocks > 0 && report.beside_bytes > 0, "{report:?}");
    let inside = engine.backup(&dir.join("backup"), false).unwrap_err();
    assert_eq!(inside.code(), ErrorCode::BadData);
    engine.close().unwrap();
    assert!(content(&dir) == before);
    backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap();
    assert!(answers(&open_os(&dirs.path("restored"))) == want);
}

#[test]
fn a_torn_end_is_told_with_its_file_and_stays_where_it_is() {
    let dirs = Dirs::new();
    let (dir, want) = killed(&dirs);
    let log = files_under(&dir).into_iter().filter(|f| f.extension().is_some_and(|e| e == "wal"));
    let last = log.max().unwrap();
    let offset = std::fs::metadata(&last).unwrap().len();
    std::fs::OpenOptions::new().append(true).open(&last).unwrap().write_all(&[7; 9]).unwrap();
    let before = content(&dir);
    for opened in [open_to_read(&dir).unwrap(), open_to_read(&dir).unwrap()] {
        let told = opened.torn_end().unwrap();
        let place = format!("9 bytes from offset {offset} of {}", last.display());
        assert!(told.contains(&place), "{told}");
        assert!(answers(&opened) == want);
    }
    assert!(content(&dir) == before);
    let engine = open_os(&dir);
    assert!(engine.torn_end().is_some());
    engine.close().unwrap();
    assert_eq!(open_os(&dir).torn_end(), None);
}

#[test]
fn a_directory_that_somebody_has_open_is_refused_and_one_that_is_none_is_not_made() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("live"));
    let error = open_to_read(&dirs.path("live")).err().unwrap();
    assert_eq!(error.code(), ErrorCode::ReadOnly);
    assert!(error.message().contains("has the data directory open"), "{error}");
    engine.close().unwrap();
    drop(open_to_read(&dirs.path("none")));
    assert!(!dirs.path("none").exists());
}
