//! Data that leaves a store and comes back: blocks of Prometheus, JSON lines; and what is said
//! about a directory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::commit::{WireFormat, WriteRequest};
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::ErrorCode;
use metricstor_engine::histogram::{Counts, Histogram};
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::inspect::{self, LogState};
use metricstor_engine::options::Options;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::selection::Target;
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use metricstor_engine::transfer::{
    ExportRequest, JsonExport, export_prometheus, import_prometheus,
};
use metricstor_engine::wire::compression::BodyEncoding;
use support::fixture::{Dirs, NOW_MS, files_under, fill, open_os};
use support::{all, flush, write};

const MINUTE_MS: i64 = 60_000;
const EVERYTHING: ExportRequest = ExportRequest { selectors: Vec::new(), range: TimeRange::ALL };

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
fn a_block_that_cannot_be_described_is_named_and_the_others_are_listed_and_counted() {
    let dirs = Dirs::new();
    let data = dirs.path("data");
    let engine = open_os(&data);
    fill(&engine, 1);
    flush(&engine).unwrap();
    engine.close().unwrap();
    let sound = inspect::list(&OsDisk, &data).unwrap();
    assert!(sound.blocks.len() > 1 && sound.findings.is_empty(), "{sound:?}");
    let meta = data.join("blocks").join(&sound.blocks[0].ulid).join("meta.json");
    std::fs::write(&meta, "{}").unwrap();
    let damaged = inspect::list(&OsDisk, &data).unwrap();
    assert_eq!(damaged.blocks, sound.blocks[1..]);
    let path = meta.display().to_string();
    let names_it = |findings: &[inspect::Finding]| {
        findings.len() == 1
            && findings[0].code == "corruption"
            && findings[0].message.contains(&path)
    };
    assert!(names_it(&damaged.findings), "{:?}", damaged.findings);
    let analysis = inspect::analyze(&(Arc::new(OsDisk) as _), &data, 2).unwrap();
    assert!(names_it(&analysis.findings), "{:?}", analysis.findings);
    assert_eq!(analysis.blocks, sound.blocks[1..]);
    assert_eq!(analysis.series, 1);
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
