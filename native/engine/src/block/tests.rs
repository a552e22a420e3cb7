//! Blocks against a model: a sorted map of series.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use ulid::Ulid;

use super::meta::{Compaction, FlushPart, LogRange, MetaSeed};
use super::*;
use crate::dictionary::Dictionary;
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::disk::os::OsDisk;
use crate::error::ErrorCode;
use crate::histogram::Histogram;
use crate::index::matcher::{MatchOp, Matcher};
use crate::labels::Labels;
use crate::refs::{Position, TenantId};
use crate::run::{Needs, RunSlice};
use crate::sample::{STALE_BITS, Sample, TimestampMs, Window, is_stale};
use crate::source::{Columns, Scope, SelectRequest, SeriesSource};

type Model = BTreeMap<Labels, Vec<Sample>>;

fn seed() -> MetaSeed {
    MetaSeed {
        tenant: TenantId(0),
        window: Window { start: i64::MIN, end: i64::MAX },
        log: LogRange { source: "log".to_owned(), from: Position(10), to: Position(20) },
        flush: FlushPart { part: 0, parts: 1 },
        compaction: Compaction { level: 1, sources: Vec::new() },
    }
}

fn fill(writer: &mut BlockWriter, model: &Model) {
    for (labels, samples) in model {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().map(|s| (s.t, s.v)).unzip();
        writer.add_series(labels, &times, &values).unwrap();
    }
}

/// Names of a block as a flush writes it and of one as a compaction does.
const RECENT: Ulid = Ulid(7);
const COLD: Ulid = Ulid(8);

/// Writes `model` as block `ulid` below `dir` and opens it.
fn block_of(dir: &Path, ulid: Ulid, model: &Model) -> Arc<Block> {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let mut writer = BlockWriter::create(Arc::clone(&disk), dir, ulid).unwrap();
    if ulid == COLD {
        writer = writer.cold(Window { start: -100_000, end: 1 << 40 });
    }
    fill(&mut writer, model);
    let ulid = writer.finish(seed()).unwrap().publish().unwrap();
    Block::open(disk, &dir.join(ulid.to_string())).unwrap()
}

fn matcher(op: MatchOp, name: &str, value: &str) -> Matcher {
    Matcher::new(name, op, value).unwrap()
}

fn request(matchers: Vec<Matcher>, range: TimeRange) -> SelectRequest {
    SelectRequest { scope: Scope::default(), matchers, range }
}

/// The times of all samples of a selection, and which are stale markers.
fn staleness(block: &Arc<Block>, request: &SelectRequest, needs: Needs) -> Vec<(i64, bool)> {
    let mut selection = Arc::clone(block).select(request).unwrap();
    let mut columns = Columns { needs, ..Columns::default() };
    let which: Vec<u32> = (0..selection.len() as u32).collect();
    selection.read(&which, request.range, &mut columns).unwrap();
    columns.timestamps.iter().zip(&columns.values).map(|(t, v)| (*t, is_stale(*v))).collect()
}

/// What a selection holds, by labels.
fn read_all(block: &Arc<Block>, request: &SelectRequest) -> Model {
    let mut selection = Arc::clone(block).select(request).unwrap();
    let (mut dictionary, mut ids) = (Dictionary::default(), Vec::new());
    let mut columns = Columns::default();
    let which: Vec<u32> = (0..selection.len() as u32).collect();
    selection.read(&which, request.range, &mut columns).unwrap();
    assert_eq!(columns.series_count(), selection.len());
    let mut found = Model::new();
    for at in 0..selection.len() {
        ids.clear();
        selection.labels(at, &mut dictionary, &mut ids).unwrap();
        let text: Vec<&str> = ids.iter().map(|id| dictionary.text(*id)).collect();
        let labels = Labels::from_pairs(text.chunks(2).map(|pair| (pair[0], pair[1]))).unwrap();
        assert!(labels.iter().flat_map(|(n, v)| [n, v]).eq(text.iter().copied()), "order of names");
        let (times, values) = columns.series(at);
        let samples = times.iter().zip(values).map(|(t, v)| Sample { t: *t, v: *v });
        assert!(found.insert(labels, samples.collect()).is_none(), "a series came twice");
    }
    found
}

/// The series of `model` that satisfy all of `matchers`, with their samples in `range`.
fn expected(model: &Model, matchers: &[Matcher], range: TimeRange) -> Model {
    let satisfies = |labels: &Labels| {
        matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()))
    };
    let within = |samples: &[Sample]| -> Vec<Sample> {
        samples.iter().copied().filter(|s| range.contains(s.t)).collect()
    };
    let series = model.iter().filter(|(labels, _)| satisfies(labels));
    series.map(|(labels, samples)| (labels.clone(), within(samples))).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn any_labels() -> impl Strategy<Value = Labels> {
    let value = prop_oneof![
        4 => (0..3u32).prop_map(|n| format!("v{n}")),
        1 => (0..200u32).prop_map(|n| format!("pod-{n}")),
        1 => "[a-zé]{1,3}",
    ];
    let name = prop_oneof![Just("__name__"), Just("job"), Just("instance"), Just("Z"), Just("ü")];
    prop::collection::btree_map(name, value, 0..5)
        .prop_map(|pairs| Labels::from_pairs(pairs.iter().map(|(n, v)| (*n, &**v))).unwrap())
}

fn any_samples() -> impl Strategy<Value = Vec<Sample>> {
    let time = prop_oneof![8 => -50_000..50_000i64, 1 => -(1i64 << 53)..1i64 << 53];
    let value = prop_oneof![
        any::<f64>(),
        (0..100u32).prop_map(|n| f64::from(n) / 8.0),
        Just(f64::from_bits(STALE_BITS)),
        any::<u64>().prop_map(f64::from_bits),
    ];
    prop::collection::btree_map(time, value, 1..40)
        .prop_map(|samples| samples.into_iter().map(|(t, v)| Sample { t, v }).collect())
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let name = prop_oneof![Just("__name__"), Just("job"), Just("Z"), Just("ü"), Just("none")];
    let value = prop_oneof![Just("v1"), Just("v0"), Just("pod-7"), Just("a"), Just("")];
    let regex =
        prop_oneof![Just("v.*"), Just("pod-1.*"), Just("v0|v2"), Just(".*"), Just(".+"), Just("")];
    let equality = prop_oneof![Just(MatchOp::Equal), Just(MatchOp::NotEqual)];
    let pattern = prop_oneof![Just(MatchOp::Regex), Just(MatchOp::NotRegex)];
    prop_oneof![
        (equality, name.clone(), value).prop_map(|(op, n, v)| matcher(op, n, v)),
        (pattern, name, regex).prop_map(|(op, n, v)| matcher(op, n, v)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_goes_in_comes_out(
        model in prop::collection::btree_map(any_labels(), any_samples(), 1..120),
        matchers in prop::collection::vec(prop::collection::vec(any_matcher(), 0..3), 4),
        bounds in (-60_000..60_000i64, 0..60_000i64),
        kind in prop_oneof![Just(RECENT), Just(COLD)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let block = block_of(dir.path(), kind, &model);
        block.verify().unwrap();
        prop_assert_eq!(read_all(&block, &request(Vec::new(), TimeRange::ALL)), model.clone());
        let part = TimeRange::new(bounds.0, bounds.0 + bounds.1);
        for matchers in matchers {
            for range in [TimeRange::ALL, part] {
                let request = request(matchers.clone(), range);
                let mut want = expected(&model, &matchers, range);
                let mut got = read_all(&block, &request);
                prop_assert_eq!(
                    staleness(&block, &request, Needs::Staleness),
                    staleness(&block, &request, Needs::Values)
                );
                // A series without a sample in the range may or may not be selected.
                got.retain(|_, samples| !samples.is_empty());
                want.retain(|_, samples| !samples.is_empty());
                prop_assert_eq!(&got, &want);
            }
            let want = expected(&model, &matchers, TimeRange::ALL);
            let request = request(matchers, TimeRange::ALL);
            let mut names = BTreeSet::new();
            block.label_names(&request, &mut names).unwrap();
            let pairs = || want.keys().flat_map(Labels::iter);
            prop_assert_eq!(names, pairs().map(|(n, _)| n.to_owned()).collect::<BTreeSet<_>>());
            for name in ["__name__", "job", "Z", "none"] {
                let mut values = BTreeSet::new();
                block.label_values(name, &request, &mut values).unwrap();
                let want = pairs().filter(|(n, _)| *n == name).map(|(_, v)| v.to_owned());
                prop_assert_eq!(values, want.collect::<BTreeSet<_>>());
            }
        }
    }
}

/// Two hundred series of three labels and 1,000 samples each, 15 s apart.
fn fleet() -> Model {
    let mut model = Model::new();
    for i in 0..200u32 {
        let (pod, job) = (format!("pod-{i:03}"), format!("job-{}", i % 3));
        let labels = labels(&[("__name__", "requests_total"), ("pod", &pod), ("job", &job)]);
        let sample = |n: i64| Sample { t: n * 15_000, v: (n * i64::from(i)) as f64 };
        model.insert(labels, (0..1000).map(sample).collect());
    }
    model
}

#[test]
fn a_change_of_any_byte_is_found_by_verify() {
    a_change_is_found_in(RECENT);
    a_change_is_found_in(COLD);
}

fn a_change_is_found_in(kind: Ulid) {
    let dir = tempfile::tempdir().unwrap();
    let block = block_of(dir.path(), kind, &fleet());
    block.verify().unwrap();
    let block_dir = block.dir().to_path_buf();
    drop(block);
    for name in [META_FILE, INDEX_FILE, CHUNKS_FILE] {
        let path = block_dir.join(name);
        let good = std::fs::read(&path).unwrap();
        let ends = 64.min(good.len() / 2);
        let step = (good.len() / 150).max(1) | 1;
        for at in (0..ends)
            .chain((ends..good.len() - ends).step_by(step))
            .chain(good.len() - ends..good.len())
        {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(&path, &bad).unwrap();
            let checked = Block::open(Arc::new(OsDisk), &block_dir).and_then(|b| b.verify());
            let error = checked.expect_err(&format!("byte {at} of {name}"));
            assert_eq!(error.code(), ErrorCode::Corruption, "byte {at} of {name}: {error}");
            assert!(error.place().is_some(), "byte {at} of {name}: {error}");
        }
        std::fs::write(&path, &good).unwrap();
    }
    Block::open(Arc::new(OsDisk), &block_dir).unwrap().verify().unwrap();
}

#[test]
fn damaged_bytes_are_never_read_as_data() {
    damage_is_not_read_from(RECENT);
    damage_is_not_read_from(COLD);
}

fn damage_is_not_read_from(kind: Ulid) {
    let dir = tempfile::tempdir().unwrap();
    let model = fleet();
    let block = block_of(dir.path(), kind, &model);
    let block_dir = block.dir().to_path_buf();
    drop(block);
    for name in [INDEX_FILE, CHUNKS_FILE] {
        let path = block_dir.join(name);
        let good = std::fs::read(&path).unwrap();
        for at in (0..good.len()).step_by((good.len() / 60) | 1) {
            let mut bad = good.clone();
            bad[at] ^= 0x08;
            std::fs::write(&path, &bad).unwrap();
            let Ok(block) = Block::open(Arc::new(OsDisk), &block_dir) else { continue };
            let mut selection = block.select(&request(Vec::new(), TimeRange::ALL)).unwrap();
            let mut dictionary = Dictionary::default();
            for series in 0..selection.len() {
                let (mut ids, mut columns) = (Vec::new(), Columns::default());
                let named = selection.labels(series, &mut dictionary, &mut ids);
                let read = selection.read(&[series as u32], TimeRange::ALL, &mut columns);
                let (want, samples) = model.iter().nth(series).unwrap();
                if named.is_ok() {
                    let text = ids.iter().map(|id| dictionary.text(*id));
                    assert!(text.eq(want.iter().flat_map(|(n, v)| [n, v])), "byte {at} of {name}");
                }
                if read.is_ok() {
                    let (times, values) = columns.series(0);
                    let got = times.iter().zip(values).map(|(t, v)| Sample { t: *t, v: *v });
                    assert!(got.eq(samples.iter().copied()), "byte {at} of {name}");
                }
            }
        }
        std::fs::write(&path, &good).unwrap();
    }
}

#[test]
fn series_without_a_sample_near_the_range_are_not_selected() {
    for kind in [RECENT, COLD] {
        selects_by_time(kind);
    }
}

fn selects_by_time(kind: Ulid) {
    let dir = tempfile::tempdir().unwrap();
    let samples = |start: i64| (start..start + 10).map(|t| Sample { t, v: 1.0 }).collect();
    let model = Model::from([
        (labels(&[("a", "early")]), samples(0)),
        (labels(&[("a", "late")]), samples(1000)),
    ]);
    let block = block_of(dir.path(), kind, &model);
    let select = |range| Arc::clone(&block).select(&request(Vec::new(), range)).unwrap().len();
    assert_eq!(select(TimeRange::new(0, 500)), 1);
    assert_eq!(select(TimeRange::new(9, 1000)), 2);
    assert_eq!(select(TimeRange::new(10, 999)), 0);
    assert_eq!(select(TimeRange::EMPTY), 0);
}

#[test]
fn a_cold_block_keeps_histograms_between_its_columns() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let mut writer = BlockWriter::create(Arc::clone(&disk), dir.path(), Ulid(1)).unwrap();
    writer = writer.cold(Window { start: 0, end: 100_000 });
    let timestamps: Vec<i64> = (0..100).collect();
    let values: Vec<f64> = timestamps.iter().map(|t| *t as f64).collect();
    let histogram = Histogram { sum: 7.0, ..Histogram::stale() };
    let mixed: Vec<_> =
        timestamps.iter().map(|t| (*t > 50).then(|| Arc::new(histogram.clone()))).collect();
    // So many that groups of series begin at both kinds.
    for i in 0..70 {
        let histograms = if i % 3 == 0 { &mixed[..] } else { &[] };
        let run = RunSlice { histograms, ..RunSlice::floats(&timestamps, &values) };
        writer.add_run(&labels(&[("a", &format!("{i:02}"))]), run).unwrap();
    }
    let ulid = writer.finish(seed()).unwrap().publish().unwrap();
    let block = Block::open(disk, &dir.path().join(ulid.to_string())).unwrap();
    block.verify().unwrap();
    let all: Vec<u32> = (0..70).collect();
    let mut columns = Columns::default();
    let mut selection = block.select(&request(Vec::new(), TimeRange::ALL)).unwrap();
    selection.read(&all, TimeRange::ALL, &mut columns).unwrap();
    for i in 0..70 {
        let run = columns.run(i);
        assert_eq!(run.timestamps, timestamps);
        for (at, value) in values.iter().enumerate() {
            let is_histogram = i % 3 == 0 && at > 50;
            assert_eq!(run.histogram(at).is_some(), is_histogram, "series {i} at {at}");
            assert_eq!(run.values[at], if is_histogram { 7.0 } else { *value });
        }
    }
}

#[test]
fn another_tenant_sees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let block = block_of(dir.path(), Ulid(1), &fleet());
    let mut request = request(Vec::new(), TimeRange::ALL);
    request.scope.tenant = TenantId(1);
    assert!(Arc::clone(&block).select(&request).unwrap().is_empty());
    let mut out = BTreeSet::new();
    block.label_names(&request, &mut out).unwrap();
    block.label_values("job", &request, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn a_scope_confines_every_read() {
    let dir = tempfile::tempdir().unwrap();
    let block = block_of(dir.path(), Ulid(1), &fleet());
    let mut request = request(Vec::new(), TimeRange::ALL);
    request.scope.matchers = vec![matcher(MatchOp::Equal, "job", "job-1")];
    assert_eq!(Arc::clone(&block).select(&request).unwrap().len(), 67);
    let mut values = BTreeSet::new();
    block.label_values("job", &request, &mut values).unwrap();
    assert_eq!(values, BTreeSet::from(["job-1".to_owned()]));
}

#[test]
fn the_writer_refuses_what_is_not_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = BlockWriter::create(Arc::new(OsDisk), dir.path(), Ulid(1)).unwrap();
    let (a, b) = (labels(&[("a", "1")]), labels(&[("b", "1")]));
    writer.add_series(&a, &[], &[]).unwrap();
    writer.add_series(&b, &[1, 2], &[0.0, 0.0]).unwrap();
    assert_eq!(writer.counts(), Counts { series: 1, samples: 2, chunks: 1 });
    let code = |result: Result<()>| result.unwrap_err().code();
    assert_eq!(code(writer.add_series(&b, &[3], &[0.0])), ErrorCode::Internal);
    assert_eq!(code(writer.add_series(&a, &[3], &[0.0])), ErrorCode::Internal);
    let c = labels(&[("c", "1")]);
    assert_eq!(code(writer.add_series(&c, &[3, 3], &[0.0, 0.0])), ErrorCode::Internal);
    assert_eq!(code(writer.add_series(&c, &[3, 4], &[0.0])), ErrorCode::Internal);
    let narrow = MetaSeed { window: Window { start: 0, end: 2 }, ..seed() };
    assert_eq!(code(writer.finish(narrow).map(drop)), ErrorCode::Internal);
}

#[test]
fn what_is_not_published_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let create = || BlockWriter::create(Arc::clone(&disk), dir.path(), Ulid(1)).unwrap();
    drop(create());
    create().abandon().unwrap();
    assert_eq!(create().finish(seed()).map(drop).unwrap_err().code(), ErrorCode::Internal);
    let mut writer = create();
    fill(&mut writer, &fleet());
    let finished = writer.finish(seed()).unwrap();
    assert_eq!(list(&*disk, dir.path()).unwrap(), [] as [PathBuf; 0]);
    finished.abandon().unwrap();
    assert_eq!(disk.list(dir.path()).unwrap(), []);
}

#[test]
fn blocks_are_listed_swept_and_removed_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    assert_eq!(list(&*disk, &dir.path().join("none")).unwrap(), [] as [PathBuf; 0]);
    assert_eq!(sweep(&*disk, &dir.path().join("none")).unwrap(), 0);
    let block = block_of(dir.path(), Ulid(2), &fleet());
    block_of(dir.path(), Ulid(1), &fleet());
    disk.create_dir(&dir.path().join("lost+found")).unwrap();
    disk.create_dir(&dir.path().join(format!("{}.tmp", Ulid(3)))).unwrap();
    let names = [Ulid(1), Ulid(2)].map(|ulid| dir.path().join(ulid.to_string()));
    assert_eq!(list(&*disk, dir.path()).unwrap(), names);
    assert_eq!(sweep(&*disk, dir.path()).unwrap(), 1);
    remove(&*disk, dir.path(), Ulid(2)).unwrap();
    assert_eq!(list(&*disk, dir.path()).unwrap(), names[..1]);
    assert_eq!(read_all(&block, &request(Vec::new(), TimeRange::ALL)), fleet());
}

#[test]
fn a_block_in_a_directory_of_another_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    block_of(dir.path(), Ulid(1), &fleet());
    let other = dir.path().join(Ulid(2).to_string());
    std::fs::rename(dir.path().join(Ulid(1).to_string()), &other).unwrap();
    let error = Block::open(Arc::new(OsDisk), &other).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corruption);
}

#[test]
fn a_block_is_whole_or_absent_whenever_power_is_lost() {
    let dir = Path::new("/blocks");
    let samples: Vec<Sample> = (0..50).map(|t| Sample { t, v: t as f64 }).collect();
    let model: Model = fleet().into_keys().take(20).map(|l| (l, samples.clone())).collect();
    let mut published = 0;
    for call in 0..40 {
        let disk = FaultyDisk::new();
        disk.create_dir(dir).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk.fail_in(call, Fault::PowerLoss);
        let result = write_on(&disk, dir, &model);
        for seed in 0..4 {
            let after: Arc<dyn Disk> = Arc::new(disk.crash(seed));
            sweep(&*after, dir).unwrap();
            let found = list(&*after, dir).unwrap();
            assert!(result.is_err() || found.len() == 1, "call {call}, seed {seed}");
            for path in &found {
                let block = Block::open(Arc::clone(&after), path).unwrap();
                block.verify().unwrap();
                assert_eq!(read_all(&block, &request(Vec::new(), TimeRange::ALL)), model);
            }
        }
        published += usize::from(result.is_ok());
    }
    assert!(published > 0, "no run came to its end");
}

fn write_on(disk: &FaultyDisk, dir: &Path, model: &Model) -> Result<Ulid> {
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), dir, Ulid(5))?;
    for (labels, samples) in model {
        let (times, values): (Vec<TimestampMs>, Vec<f64>) =
            samples.iter().map(|s| (s.t, s.v)).unzip();
        writer.add_series(labels, &times, &values)?;
    }
    writer.finish(seed())?.publish()
}
