//! Copies of a store and the way back: snapshots, backups, what cuts them off and damages them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use metricstor_engine::backup::{self, MANIFEST_FILE};
use metricstor_engine::commit::WireFormat;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::{Engine, SnapshotOf};
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::inspect;
use support::beside::{exemplar, exemplars_of, families, metadata_of, traces};
use support::fixture::{Dirs, NOW_MS, files_under, fill, open, open_os};
use support::{all, flush, write, write_body};

fn snapshot(engine: &Engine, of: SnapshotOf) -> Result<String> {
    let (send, made) = channel();
    engine.snapshot(of, Box::new(move |result| send.send(result).unwrap()));
    made.recv().unwrap()
}

#[test]
fn a_snapshot_is_a_data_directory_with_everything_answered_before_it() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("data"));
    fill(&engine, 3);
    let want = all(&engine);
    let name = snapshot(&engine, SnapshotOf::Everything).unwrap();
    let labels = [("__name__", "later")];
    write(&engine, &[(&labels, &[(NOW_MS, 1.0)])]).unwrap();
    engine.close().unwrap();
    let dir = dirs.path("data").join("snapshots").join(name);
    assert_eq!(inspect::verify(&(Arc::new(OsDisk) as _), &dir).unwrap().findings, []);
    // What becomes of the store does not touch it.
    std::fs::remove_dir_all(dirs.path("data").join("blocks")).unwrap();
    assert_eq!(all(&open_os(&dir)), want);
}

#[test]
fn a_snapshot_of_the_blocks_leaves_the_head_out() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("data"));
    fill(&engine, 1);
    flush(&engine).unwrap();
    let want = all(&engine);
    fill(&engine, 2);
    let name = snapshot(&engine, SnapshotOf::Blocks).unwrap();
    assert_eq!(all(&open_os(&dirs.path("data").join("snapshots").join(name))), want);
}

#[test]
fn an_answered_snapshot_survives_a_power_loss_and_another_leaves_no_trace() {
    let data = Path::new("/data");
    let mut answered = 0;
    for call in 0..60 {
        let disk = FaultyDisk::new();
        let engine = open(Arc::new(disk.clone()), data).unwrap();
        fill(&engine, 1);
        flush(&engine).unwrap();
        let want = all(&engine);
        disk.fail_in(call, Fault::PowerLoss);
        let made = snapshot(&engine, SnapshotOf::Blocks);
        drop(engine);
        let after = disk.crash(call);
        drop(open(Arc::new(after.clone()), data).unwrap());
        let snapshots = data.join("snapshots");
        let left = if after.exists(&snapshots) { after.list(&snapshots).unwrap() } else { vec![] };
        assert!(left.iter().all(|entry| !entry.name.ends_with(".tmp")), "call {call}: {left:?}");
        if let Ok(name) = made {
            answered += 1;
            assert_eq!(all(&open(Arc::new(after), &snapshots.join(name)).unwrap()), want);
        }
    }
    assert!(answered > 0 && answered < 60, "{answered} of 60 answered");
}

#[test]
fn a_backup_copies_what_is_new_and_restores_bit_for_bit() {
    let dirs = Dirs::new();
    let (data, target) = (dirs.path("data"), dirs.path("backup"));
    let engine = open_os(&data);
    fill(&engine, 2);
    flush(&engine).unwrap();
    engine.close().unwrap();
    let first = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    assert!(first.blocks > 0 && first.copied_blocks == first.blocks, "{first:?}");
    let again = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    assert_eq!((again.blocks, again.copied_blocks), (first.blocks, 0));
    let engine = open_os(&data);
    let labels = [("__name__", "later")];
    write(&engine, &[(&labels, &[(NOW_MS, 1.0)])]).unwrap();
    flush(&engine).unwrap();
    let want = all(&engine);
    engine.close().unwrap();
    let more = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    assert_eq!((more.blocks, more.copied_blocks), (first.blocks + 1, 1));
    let restored = backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap();
    assert_eq!(restored.blocks, more.blocks);
    assert_eq!(all(&open_os(&dirs.path("restored"))), want);
    let refused = backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::BadData);
}

/// Writes an exemplar with this trace and metadata with this help, and no sample.
fn write_beside(engine: &Engine, trace: &str, t: i64, help: &str) {
    let body = [exemplars_of("m", &[exemplar(trace, t, 0.5)]), metadata_of("m", 3, help)].concat();
    let outcome = write_body(engine, WireFormat::RemoteWrite1, body).unwrap();
    assert_eq!(outcome.exemplars, 1);
}

fn beside(engine: &Engine) -> impl PartialEq + std::fmt::Debug + use<> {
    (traces(engine), families(engine))
}

#[test]
fn snapshot_backup_and_restore_carry_exemplars_and_metadata() {
    let dirs = Dirs::new();
    let [data, target, restored] = ["data", "backup", "restored"].map(|name| dirs.path(name));
    let engine = open_os(&data);
    fill(&engine, 1);
    write_beside(&engine, "first", NOW_MS, "How long.");
    let want = beside(&engine);
    for of in [SnapshotOf::Everything, SnapshotOf::Blocks] {
        let dir = data.join("snapshots").join(snapshot(&engine, of).unwrap());
        let report = backup::replace(&OsDisk, &dir, &target, NOW_MS).unwrap();
        assert!(report.beside_bytes > 0, "{report:?}");
        assert_eq!(beside(&open_os(&dir)), want);
    }
    backup::restore(&OsDisk, &target, &restored).unwrap();
    assert_eq!(beside(&open_os(&restored)), want);
    // Without a sample a flush has no block to write, and what came beside is saved all the same.
    write_beside(&engine, "second", NOW_MS + 1, "How long.");
    flush(&engine).unwrap();
    let want = beside(&engine);
    engine.close().unwrap();
    let first = names_under(&target.join("beside"));
    backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    let second = names_under(&target.join("beside"));
    let same: Vec<_> = first.iter().filter(|name| second.contains(name)).collect();
    assert_eq!((first.len(), second.len(), same.len()), (2, 2, 1), "{first:?}, then {second:?}");
    assert!(same[0].starts_with("metadata-"), "{same:?}");
    std::fs::remove_dir_all(&restored).unwrap();
    backup::restore(&OsDisk, &target, &restored).unwrap();
    assert_eq!(inspect::verify(&(Arc::new(OsDisk) as _), &restored).unwrap().findings, []);
    assert_eq!(beside(&open_os(&restored)), want);
}

#[test]
fn damaged_exemplars_or_metadata_stop_a_backup_and_are_found() {
    let dirs = Dirs::new();
    let [data, target] = ["data", "backup"].map(|name| dirs.path(name));
    let engine = open_os(&data);
    write_beside(&engine, "first", NOW_MS, "How long.");
    flush(&engine).unwrap();
    engine.close().unwrap();
    for name in ["exemplars", "metadata"] {
        let file = data.join(name);
        let bytes = std::fs::read(&file).unwrap();
        let mut bad = bytes.clone();
        bad[bytes.len() / 2] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        let error = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corruption);
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        let found = inspect::verify(&(Arc::new(OsDisk) as _), &data).unwrap().findings;
        assert_eq!(found.len(), 1, "{found:?}");
        std::fs::write(&file, &bytes).unwrap();
    }
    assert!(backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap().beside_bytes > 0);
}

#[test]
fn a_backup_of_version_1_is_restored_and_brought_up_to_date() {
    let dirs = Dirs::new();
    let [data, target, restored] = ["data", "backup", "restored"].map(|name| dirs.path(name));
    closed_store(&data, 1);
    backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    let file = target.join(MANIFEST_FILE);
    let text = std::fs::read_to_string(&file).unwrap();
    let unsealed = text[..text.rfind(",\n").unwrap()].replace("\"version\": 2", "\"version\": 1");
    let old = metricstor_engine::block::meta::seal(&format!("{unsealed}\n}}")).unwrap();
    assert!(old.contains("\"version\": 1"), "{old}");
    std::fs::write(&file, old).unwrap();
    backup::restore(&OsDisk, &target, &restored).unwrap();
    assert_eq!(all(&open_os(&restored)), all(&open_os(&data)));
    assert_eq!(backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap().copied_blocks, 0);
    assert!(std::fs::read_to_string(&file).unwrap().contains("\"version\": 2"));
}

fn names_under(dir: &Path) -> Vec<String> {
    OsDisk.list(dir).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn blocks_that_went_leave_the_backup() {
    let dirs = Dirs::new();
    let (data, target) = (dirs.path("data"), dirs.path("backup"));
    let engine = open_os(&data);
    fill(&engine, 1);
    flush(&engine).unwrap();
    engine.close().unwrap();
    let first = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    let oldest = std::fs::read_dir(data.join("blocks")).unwrap().next().unwrap().unwrap();
    std::fs::remove_dir_all(oldest.path()).unwrap();
    let second = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    assert_eq!((second.blocks, second.removed_blocks), (first.blocks - 1, 1));
    backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap();
}

/// A store of `count` series, in blocks.
fn closed_store(dir: &Path, count: usize) {
    let engine = open_os(dir);
    fill(&engine, count);
    flush(&engine).unwrap();
    engine.close().unwrap();
}

#[test]
fn a_backup_of_another_store_stands_unless_it_is_to_be_replaced() {
    let dirs = Dirs::new();
    let [data, other, empty, target] = ["data", "other", "empty", "backup"].map(|n| dirs.path(n));
    closed_store(&data, 2);
    closed_store(&other, 1);
    open_os(&empty).close().unwrap();
    let first = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    for stranger in [&other, &empty] {
        let error = backup::backup(&OsDisk, stranger, &target, NOW_MS).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadData);
        assert!(error.message().contains("--replace"), "{error}");
    }
    let again = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    assert_eq!((again.blocks, again.copied_blocks), (first.blocks, 0));
    let replaced = backup::replace(&OsDisk, &empty, &target, NOW_MS).unwrap();
    assert_eq!((replaced.blocks, replaced.removed_blocks), (0, first.blocks));
    // What has no blocks is nobody's.
    backup::backup(&OsDisk, &other, &target, NOW_MS).unwrap();
    backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap();
    assert_eq!(all(&open_os(&dirs.path("restored"))), all(&open_os(&other)));
}

#[test]
fn a_backup_goes_on_after_all_blocks_were_merged() {
    let dirs = Dirs::new();
    let (data, target) = (dirs.path("data"), dirs.path("backup"));
    let engine = open_os(&data);
    fill(&engine, 1);
    flush(&engine).unwrap();
    fill(&engine, 2);
    flush(&engine).unwrap();
    engine.close().unwrap();
    let first = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    let engine = open_os(&data);
    let (send, done) = channel();
    engine.compact(Box::new(move |result| send.send(result).unwrap()));
    done.recv().unwrap().unwrap();
    engine.close().unwrap();
    let merged = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    assert!(merged.blocks < first.blocks, "{first:?}, then {merged:?}");
    assert_eq!((merged.copied_blocks, merged.removed_blocks), (merged.blocks, first.blocks));
}

#[test]
fn a_store_is_known_by_its_identity_when_no_block_is_left_that_its_backup_has() {
    let dirs = Dirs::new();
    let [data, target, restored] = ["data", "backup", "restored"].map(|name| dirs.path(name));
    closed_store(&data, 1);
    let format = std::fs::read_to_string(data.join("metricstor.json")).unwrap();
    assert!(format.contains("\"store\":\""), "{format}");
    backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    // What is merged twice between two backups names no source that the first one had.
    std::fs::remove_dir_all(data.join("blocks")).unwrap();
    closed_store(&data, 2);
    assert_eq!(std::fs::read_to_string(data.join("metricstor.json")).unwrap(), format);
    backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    // What is restored goes on being the same store.
    backup::restore(&OsDisk, &target, &restored).unwrap();
    assert_eq!(std::fs::read_to_string(restored.join("metricstor.json")).unwrap(), format);
    let engine = open_os(&restored);
    let name = snapshot(&engine, SnapshotOf::Everything).unwrap();
    engine.close().unwrap();
    let dir = restored.join("snapshots").join(name);
    assert_eq!(std::fs::read_to_string(dir.join("metricstor.json")).unwrap(), format);
}

#[test]
fn a_store_of_an_older_build_gets_an_identity_and_keeps_its_backup() {
    let dirs = Dirs::new();
    let [data, target] = ["data", "backup"].map(|name| dirs.path(name));
    closed_store(&data, 1);
    std::fs::write(data.join("metricstor.json"), "{\"formatVersion\":2}\n").unwrap();
    let first = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    open_os(&data).close().unwrap();
    let format = std::fs::read_to_string(data.join("metricstor.json")).unwrap();
    assert!(format.contains("\"store\":\""), "{format}");
    let again = backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    assert_eq!((again.blocks, again.copied_blocks), (first.blocks, 0));
}

#[test]
fn a_failed_restore_leaves_no_data_directory() {
    let dirs = Dirs::new();
    let [data, target, restored] = ["data", "backup", "restored"].map(|name| dirs.path(name));
    closed_store(&data, 1);
    backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    let chunks = files_under(&target).into_iter().find(|file| file.ends_with("chunks")).unwrap();
    let kept = std::fs::read(&chunks).unwrap();
    std::fs::remove_file(&chunks).unwrap();
    backup::restore(&OsDisk, &target, &restored).unwrap_err();
    assert_eq!(std::fs::read_dir(&restored).unwrap().count(), 0);
    let error = inspect::verify(&(Arc::new(OsDisk) as _), &restored).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
    std::fs::write(&chunks, kept).unwrap();
    backup::restore(&OsDisk, &target, &restored).unwrap();
    assert_eq!(all(&open_os(&restored)), all(&open_os(&data)));
}

#[test]
fn a_restore_that_is_cut_off_is_all_or_no_data_directory_and_may_be_repeated() {
    let (data, target, restored) =
        (Path::new("/data"), Path::new("/backup"), Path::new("/restored"));
    let base = FaultyDisk::new();
    let engine = open(Arc::new(base.clone()), data).unwrap();
    fill(&engine, 1);
    write_beside(&engine, "first", NOW_MS, "How long.");
    flush(&engine).unwrap();
    let want = (all(&engine), beside(&engine));
    engine.close().unwrap();
    backup::backup(&base, data, target, NOW_MS).unwrap();
    let mut cut_off = 0;
    for call in 0.. {
        let disk = base.crash(0);
        disk.fail_in(call, Fault::PowerLoss);
        let done = backup::restore(&disk, target, restored);
        let after = disk.crash(call);
        if !after.exists(&restored.join("metricstor.json")) {
            assert!(done.is_err(), "call {call}: restored, and no data directory");
            backup::restore(&after, target, restored).unwrap();
            cut_off += 1;
        }
        let engine = open(Arc::new(after), restored).unwrap();
        assert!((all(&engine), beside(&engine)) == want, "call {call}");
        if done.is_ok() {
            break;
        }
    }
    assert!(cut_off > 20, "{cut_off}");
}

#[test]
fn a_damaged_backup_is_not_restored_and_a_foreign_directory_is_no_target() {
    let dirs = Dirs::new();
    let (data, target) = (dirs.path("data"), dirs.path("backup"));
    let engine = open_os(&data);
    fill(&engine, 1);
    write_beside(&engine, "first", NOW_MS, "How long.");
    flush(&engine).unwrap();
    engine.close().unwrap();
    backup::backup(&OsDisk, &data, &target, NOW_MS).unwrap();
    for file in files_under(&target) {
        let bytes = std::fs::read(&file).unwrap();
        let mut bad = bytes.clone();
        bad[bytes.len() / 2] ^= 1;
        std::fs::write(&file, &bad).unwrap();
        let error = backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corruption, "{}", file.display());
        std::fs::write(&file, &bytes).unwrap();
    }
    // Those that failed are no hindrance.
    backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap();
    let error = backup::backup(&OsDisk, &data, &data, NOW_MS).unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadData);
}

#[test]
fn a_backup_that_is_cut_off_leaves_the_one_before() {
    let (data, target) = (Path::new("/data"), Path::new("/backup"));
    for call in (0..120).step_by(3) {
        let disk = FaultyDisk::new();
        let engine = open(Arc::new(disk.clone()), data).unwrap();
        fill(&engine, 1);
        write_beside(&engine, "first", NOW_MS, "How long.");
        flush(&engine).unwrap();
        let old = (all(&engine), beside(&engine));
        engine.close().unwrap();
        backup::backup(&disk, data, target, NOW_MS).unwrap();
        let engine = open(Arc::new(disk.clone()), data).unwrap();
        fill(&engine, 2);
        write_beside(&engine, "second", NOW_MS, "How long.");
        flush(&engine).unwrap();
        let new = (all(&engine), beside(&engine));
        engine.close().unwrap();
        disk.fail_in(call, Fault::PowerLoss);
        let done = backup::backup(&disk, data, target, NOW_MS);
        let after = disk.crash(call);
        backup::restore(&after, target, Path::new("/restored")).unwrap();
        let engine = open(Arc::new(after), Path::new("/restored")).unwrap();
        let restored = (all(&engine), beside(&engine));
        let wanted =
            if done.is_ok() { restored == new } else { restored == old || restored == new };
        assert!(wanted, "call {call}: {done:?}");
    }
}

#[test]
fn a_manifest_cannot_lead_out_of_the_backup() {
    let dirs = Dirs::new();
    let target = dirs.path("backup");
    std::fs::create_dir(&target).unwrap();
    let json = "{\n  \"version\": 1,\n  \"format\": \"{}\",\n  \"createdMs\": 0,\n  \"blocks\": [\n    \
                {\"ulid\": \"../../etc\", \"files\": []}\n  ]\n}";
    let text = metricstor_engine::block::meta::seal(json).unwrap();
    std::fs::write(target.join(MANIFEST_FILE), text).unwrap();
    let error = backup::restore(&OsDisk, &target, &dirs.path("restored")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corruption);
    assert!(error.message().contains("is not a name"), "{error}");
}
