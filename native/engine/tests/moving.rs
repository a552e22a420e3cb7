//! Data that leaves a store and comes back: snapshots, backups, blocks of Prometheus, JSON lines.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;

use metricstor_engine::backup::{self, MANIFEST_FILE};
use metricstor_engine::clock::ManualClock;
use metricstor_engine::commit::{WireFormat, WriteRequest};
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::{Fault, FaultyDisk};
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::{Engine, SnapshotOf};
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::histogram::{Counts, Histogram};
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::inspect::{self, LogState};
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::selection::Target;
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::{STALE_BITS, TimeRange};
use metricstor_engine::source::Scope;
use metricstor_engine::transfer::{
    ExportRequest, JsonExport, export_prometheus, import_prometheus,
};
use metricstor_engine::wire::compression::BodyEncoding;
use support::fixture::{Dirs, NOW_MS};
use support::{all, flush, write};

const MINUTE_MS: i64 = 60_000;
const EVERYTHING: ExportRequest = ExportRequest { selectors: Vec::new(), range: TimeRange::ALL };

fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Engine> {
    Engine::open_with(Options::new(dir), disk, Arc::new(ManualClock::new(NOW_MS)))
}

fn open_os(dir: &Path) -> Engine {
    open(Arc::new(OsDisk), dir).unwrap()
}

/// Writes `count` series of 300 samples, among them every kind of special value.
fn fill(engine: &Engine, count: usize) {
    let special = [f64::NAN, f64::from_bits(STALE_BITS), -0.0, f64::INFINITY, f64::MIN_POSITIVE];
    for series in 0..count {
        let number = series.to_string();
        let labels = [("__name__", "m"), ("n", &*number)];
        let samples: Vec<(i64, f64)> = (0..300)
            .map(|i| (NOW_MS - (300 - i) * MINUTE_MS, special[(i % 7).min(4) as usize]))
            .collect();
        assert_eq!(write(engine, &[(&labels, &samples)]).unwrap().samples, 300);
    }
}

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
    flush(&engine).unwrap();
    let want = all(&engine);
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
        assert_eq!(all(&open(Arc::new(after), restored).unwrap()), want, "call {call}");
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

fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn a_backup_that_is_cut_off_leaves_the_one_before() {
    let (data, target) = (Path::new("/data"), Path::new("/backup"));
    for call in (0..120).step_by(3) {
        let disk = FaultyDisk::new();
        let engine = open(Arc::new(disk.clone()), data).unwrap();
        fill(&engine, 1);
        flush(&engine).unwrap();
        let old = all(&engine);
        engine.close().unwrap();
        backup::backup(&disk, data, target, NOW_MS).unwrap();
        let engine = open(Arc::new(disk.clone()), data).unwrap();
        fill(&engine, 2);
        flush(&engine).unwrap();
        let new = all(&engine);
        engine.close().unwrap();
        disk.fail_in(call, Fault::PowerLoss);
        let done = backup::backup(&disk, data, target, NOW_MS);
        let after = disk.crash(call);
        backup::restore(&after, target, Path::new("/restored")).unwrap();
        let restored = all(&open(Arc::new(after), Path::new("/restored")).unwrap());
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

#[test]
fn blocks_of_prometheus_come_back_bit_for_bit() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("data"));
    fill(&engine, 5);
    let want = all(&engine);
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let out = dirs.path("prometheus");
    let report = export_prometheus(&engine, &EVERYTHING, &disk, &out, NOW_MS).unwrap();
    assert_eq!(report.samples, 1500);
    let refused = export_prometheus(&engine, &EVERYTHING, &disk, &out, NOW_MS).unwrap_err();
    assert_eq!(refused.code(), ErrorCode::BadData);
    let other = open_os(&dirs.path("other"));
    let report = import_prometheus(&other, &OsDisk, &out, TenantId(0)).unwrap();
    assert_eq!((report.read, report.stored, report.refused), (1500, 1500, 0));
    assert_eq!(all(&other), want);
    let again = import_prometheus(&other, &OsDisk, &out, TenantId(0)).unwrap();
    assert_eq!((again.stored, all(&other)), (1500, want), "importing again changes nothing");
}

#[test]
fn what_retention_does_not_keep_is_counted() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("data"));
    fill(&engine, 1);
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let out = dirs.path("prometheus");
    export_prometheus(&engine, &EVERYTHING, &disk, &out, NOW_MS).unwrap();
    let options = Options { retention_ms: 100 * MINUTE_MS, ..Options::new(dirs.path("short")) };
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let short = Engine::open_with(options, disk, clock).unwrap();
    let report = import_prometheus(&short, &OsDisk, &out, TenantId(0)).unwrap();
    assert_eq!(report.stored + report.too_old, 300);
    // The newest sample is a minute old, and retention counts from it.
    assert_eq!(report.stored, 101);
}

#[test]
fn every_damaged_byte_of_an_exported_block_is_noticed_or_harmless() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("data"));
    let labels = [("__name__", "m"), ("n", "1")];
    let samples = [(NOW_MS - 2, 1.0), (NOW_MS - 1, f64::NAN)];
    write(&engine, &[(&labels, &samples)]).unwrap();
    let want = all(&engine);
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let out = dirs.path("prometheus");
    export_prometheus(&engine, &EVERYTHING, &disk, &out, NOW_MS).unwrap();
    for (n, file) in files_under(&out).into_iter().enumerate() {
        let bytes = std::fs::read(&file).unwrap();
        for at in (0..bytes.len()).step_by(3) {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            std::fs::write(&file, &bad).unwrap();
            let other = open_os(&dirs.path(&format!("other-{n}-{at}")));
            if import_prometheus(&other, &OsDisk, &out, TenantId(0)).is_ok() {
                let found = all(&other);
                assert!(found == want || found.is_empty(), "{}: byte {at}", file.display());
            }
        }
        std::fs::write(&file, &bytes).unwrap();
    }
}

fn write_lines(engine: &Engine, lines: Vec<u8>) -> metricstor_engine::head::append::WriteOutcome {
    let (send, answered) = channel();
    let request = WriteRequest {
        body: Box::new(lines),
        encoding: BodyEncoding::Identity,
        format: WireFormat::JsonLines { first_line: 1 },
        tenant: TenantId(0),
    };
    engine.write(request, Box::new(move |result| send.send(result).unwrap()));
    answered.recv().unwrap().unwrap()
}

fn exported(engine: &Engine) -> Vec<u8> {
    let session = engine.session(Scope::default(), Cancel::default());
    let mut export = JsonExport::new(session, &EVERYTHING).unwrap();
    let mut text = Vec::new();
    loop {
        let mut piece = Vec::new();
        export.next_piece(&mut piece).unwrap();
        if piece.is_empty() {
            return text;
        }
        text.extend(piece);
    }
}

#[test]
fn json_lines_come_back_bit_for_bit() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("data"));
    fill(&engine, 3);
    flush(&engine).unwrap();
    let labels = [("__name__", "in the head"), ("q", "\"\\\n\u{1f4c8}")];
    write(&engine, &[(&labels, &[(NOW_MS, 1.5e-7)])]).unwrap();
    let other = open_os(&dirs.path("other"));
    let outcome = write_lines(&other, exported(&engine));
    assert_eq!((outcome.samples, outcome.rejections.len()), (901, 0));
    assert_eq!(all(&other), all(&engine));
}

#[test]
fn a_refused_line_is_told_by_its_number_and_the_rest_is_stored() {
    let dirs = Dirs::new();
    let engine = open_os(&dirs.path("data"));
    let lines = format!(
        "{{\"metric\":{{\"__name__\":\"a\"}},\"values\":[1],\"timestamps\":[{NOW_MS}]}}\nbad\n"
    );
    let outcome = write_lines(&engine, lines.into_bytes());
    assert_eq!(outcome.samples, 1);
    assert_eq!(outcome.rejections[0].code, ErrorCode::BadData);
    assert!(outcome.rejections[0].examples[0].starts_with("line 2: "));
}

#[test]
fn verify_finds_damage_and_reads_the_log_unless_it_is_in_use() {
    let dirs = Dirs::new();
    let data = dirs.path("data");
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let engine = open_os(&data);
    fill(&engine, 1);
    flush(&engine).unwrap();
    fill(&engine, 2);
    assert_eq!(inspect::verify(&disk, &data).unwrap().log, LogState::InUse);
    engine.close().unwrap();
    let sound = inspect::verify(&disk, &data).unwrap();
    assert_eq!((sound.findings.len(), sound.log), (0, LogState::Read));
    assert!(sound.blocks > 0 && sound.log_frames > 0, "{sound:?}");
    let block = std::fs::read_dir(data.join("blocks")).unwrap().next().unwrap().unwrap().path();
    let chunks = block.join("chunks");
    let mut bytes = std::fs::read(&chunks).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&chunks, bytes).unwrap();
    let damaged = inspect::verify(&disk, &data).unwrap();
    assert_eq!(damaged.findings.len(), 1, "{damaged:?}");
    assert_eq!(damaged.findings[0].code, "corruption");
    let error = inspect::verify(&disk, &dirs.path("nothing")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}

#[test]
fn analyze_counts_series_once_and_new_ones_per_block() {
    let dirs = Dirs::new();
    let data = dirs.path("data");
    let engine = open_os(&data);
    fill(&engine, 4);
    let labels = [("__name__", "late"), ("n", "1")];
    write(&engine, &[(&labels, &[(NOW_MS, 1.0)])]).unwrap();
    flush(&engine).unwrap();
    engine.close().unwrap();
    let analysis = inspect::analyze(&(Arc::new(OsDisk) as _), &data, 2).unwrap();
    assert_eq!((analysis.series, analysis.samples), (5, 1201));
    let metrics: Vec<_> = analysis.metrics.iter().map(|m| (&*m.name, m.series)).collect();
    assert_eq!(metrics, [("m", 4), ("late", 1)]);
    let pairs: Vec<_> = analysis.pairs.iter().map(|p| (&*p.name, p.series)).collect();
    assert_eq!(pairs, [("n=1", 2), ("n=0", 1)]);
    let labels: Vec<_> = analysis.labels.iter().map(|l| (&*l.name, l.values, l.series)).collect();
    assert_eq!(labels, [("n", 4, 5), ("__name__", 2, 5)]);
    let new: Vec<_> = analysis.churn.iter().map(|c| c.new_series).collect();
    assert_eq!((new[0], new.iter().sum::<u64>()), (4, 5));
    assert_eq!(analysis.bytes, analysis.blocks.iter().map(|b| b.bytes).sum::<u64>());
}

/// Directories of Prometheus 3.14, half in a block and half in the log: as it writes them by
/// default, and with `chunk_encoding: {floats: xor2}` and start timestamps.
#[test]
fn every_encoding_of_a_real_prometheus_is_imported() {
    const START_MS: i64 = 1_699_999_200_000;
    const STEP_MS: i64 = 720_000;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prometheus-3.14");
    for name in ["plain", "start-times"] {
        let dirs = Dirs::new();
        let clock = Arc::new(ManualClock::new(START_MS + 25 * STEP_MS));
        let options = Options::new(dirs.path("data"));
        let engine = Engine::open_with(options, Arc::new(OsDisk), clock).unwrap();
        let source = fixtures.join(name);
        let report = import_prometheus(&engine, &OsDisk, &source, TenantId(0)).unwrap();
        let counts = (report.read, report.stored, report.histograms, report.refused);
        assert_eq!(counts, (175, 175, 150, 0), "{name}: {:?}", report.refusals);
        // A float series counts up; the sums of six histogram series go up by a half.
        let samples = |step: f64| -> Vec<(i64, u64)> {
            (0..25).map(|i| (START_MS + i * STEP_MS, (i as f64 * step).to_bits())).collect()
        };
        let mut want: Vec<_> =
            (0..6).map(|k| (format!("__name__=h,k={k}"), samples(0.5))).collect();
        want.push(("__name__=w".to_owned(), samples(1.0)));
        assert_eq!(all(&engine), want, "{name}");
        for k in 0..6 {
            assert_eq!(histogram_counts(&engine, k), expected_counts(k), "{name}: series {k}");
        }
    }
}

/// Count, zero bucket and buckets of each histogram of the series `h{k="…"}`.
fn histogram_counts(engine: &Engine, k: u64) -> Vec<Vec<u64>> {
    let mut session = engine.session(Scope::default(), Cancel::default());
    let matcher = Matcher::new("k", MatchOp::Equal, &k.to_string()).unwrap();
    let mut selection = session.select(vec![matcher], TimeRange::ALL).unwrap();
    let (mut ts, mut vs, mut offsets) = (vec![0.0; 100], vec![0.0; 100], [0; 2]);
    let mut target = Target { timestamps: &mut ts, values: &mut vs, offsets: &mut offsets };
    selection.read(0, &mut target).unwrap();
    let counts = |(_, h): &(u32, Arc<Histogram>)| match &h.counts {
        Counts::Integer(tally) => {
            let sides = tally.positive.iter().chain(&tally.negative).copied();
            [tally.count, tally.zero].into_iter().chain(sides).collect()
        }
        Counts::Float(tally) => {
            let sides = tally.positive.iter().chain(&tally.negative).copied();
            [tally.count, tally.zero].into_iter().chain(sides).map(|c| c as u64).collect()
        }
    };
    selection.histograms().iter().map(counts).collect()
}

/// What was pushed to the Prometheus of the fixtures; series 3 and 4 have custom buckets.
fn expected_counts(k: u64) -> Vec<Vec<u64>> {
    let custom = k == 3 || k == 4;
    let of = |i: u64| {
        let zero = if custom { 0 } else { i };
        let mut buckets = vec![3 + i + k, 2 + 2 * i, i + i * i % 7];
        if !custom {
            buckets.extend([1 + i, i]);
        }
        let count = zero + buckets.iter().sum::<u64>();
        [vec![count, zero], buckets].concat()
    };
    (0..25).map(of).collect()
}
