//! Rewriting against a model: a sorted map of series in which the last write wins.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::block::{self, Block};
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::error::ErrorCode;
use crate::histogram::Histogram;
use crate::refs::Position;

type Model = BTreeMap<Labels, BTreeMap<i64, u64>>;

const DIR: &str = "/blocks";
const WINDOW: Window = Window { start: -1000, end: 1000 };

fn disk() -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk
}

/// Writes a flushed block of `model`, the `number`th by its writes.
fn flushed(disk: &FaultyDisk, number: u64, model: &Model) -> Arc<Block> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut writer =
        BlockWriter::create(shared.clone(), Path::new(DIR), Ulid::from_parts(number, 0)).unwrap();
    for (labels, samples) in model {
        let times: Vec<i64> = samples.keys().copied().collect();
        let values: Vec<f64> = samples.values().map(|bits| f64::from_bits(*bits)).collect();
        writer.add_series(labels, &times, &values).unwrap();
    }
    let seed = MetaSeed {
        tenant: TenantId(3),
        window: WINDOW,
        log: LogRange {
            source: "wal".to_owned(),
            from: Position(number * 10),
            to: Position(number * 10 + 10),
        },
        flush: FlushPart { part: 1, parts: 2 },
        compaction: Compaction { level: 1, sources: Vec::new() },
    };
    let ulid = writer.finish(seed).unwrap().publish().unwrap();
    Block::open(shared, &Path::new(DIR).join(ulid.to_string())).unwrap()
}

fn rewrite(disk: &FaultyDisk, blocks: &[Arc<Block>]) -> Rewrite {
    let metas: Vec<&Meta> = blocks.iter().map(|block| block.meta()).collect();
    Rewrite {
        disk: Arc::new(disk.clone()),
        blocks_dir: DIR.into(),
        ulid: Ulid::from_parts(99, 0),
        seed: merged_seed(&metas, WINDOW).unwrap(),
        tombstones_applied: Position(0),
        sources: blocks.iter().map(|block| block.clone() as Arc<dyn SeriesSource>).collect(),
    }
}

fn open(disk: &FaultyDisk, finished: FinishedBlock) -> Arc<Block> {
    let ulid = finished.publish().unwrap();
    let block = Block::open(Arc::new(disk.clone()), &Path::new(DIR).join(ulid.to_string()));
    let block = block.unwrap();
    block.verify().unwrap();
    block
}

fn read(block: &Arc<Block>) -> Model {
    let scope = Scope { tenant: TenantId(3), matchers: Vec::new() };
    let request = SelectRequest { scope, matchers: Vec::new(), range: TimeRange::ALL };
    let mut selection = block.clone().select(&request).unwrap();
    let (mut dictionary, mut columns) = (Dictionary::default(), Columns::default());
    let mut found = Model::new();
    for at in 0..selection.len() {
        let mut ids = Vec::new();
        selection.labels(at, &mut dictionary, &mut ids).unwrap();
        let pairs = ids.chunks(2).map(|pair| (dictionary.text(pair[0]), dictionary.text(pair[1])));
        let labels = Labels::from_pairs(pairs).unwrap();
        columns.clear();
        selection.read(&[at as u32], TimeRange::ALL, &mut columns).unwrap();
        let samples = columns.timestamps.iter().copied();
        found.insert(labels, samples.zip(columns.values.iter().map(|v| v.to_bits())).collect());
    }
    found
}

fn any_model() -> impl Strategy<Value = Model> {
    let labels = prop::collection::btree_map("[ab]{1,2}", "[xyz]{1,2}", 0..3)
        .prop_map(|m| Labels::from_pairs(m.iter().map(|(n, v)| (&**n, &**v))).unwrap());
    let value = prop_oneof![any::<u64>(), Just(1.0f64.to_bits()), Just(2.0f64.to_bits())];
    let samples = prop::collection::btree_map(-1000i64..1000, value, 1..30);
    prop::collection::btree_map(labels, samples, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn the_block_holds_the_last_write_of_every_sample(
        models in prop::collection::vec(any_model(), 2..7),
    ) {
        let disk = disk();
        let blocks: Vec<_> =
            models.iter().zip(1..).map(|(model, n)| flushed(&disk, n, model)).collect();
        let mut want = Model::new();
        let mut replaced = 0;
        for (labels, samples) in models.iter().flatten() {
            for (t, bits) in samples {
                let old = want.entry(labels.clone()).or_default().insert(*t, *bits);
                replaced += u64::from(old.is_some_and(|old| old != *bits));
            }
        }
        let rewritten = rewrite(&disk, &blocks).run(&mut || Ok(())).unwrap();
        prop_assert_eq!(rewritten.replaced, replaced);
        let merged = open(&disk, rewritten.block.unwrap());
        prop_assert_eq!(read(&merged), want);
    }
}

fn series(name: usize) -> Labels {
    Labels::from_pairs([("__name__", &*format!("m{name:05}"))]).unwrap()
}

/// `count` series with a sample at `t` each.
fn wide(count: usize, t: i64) -> Model {
    (0..count).map(|n| (series(n), BTreeMap::from([(t, n as u64)]))).collect()
}

#[test]
fn a_merged_block_names_its_sources_and_their_log() {
    let disk = disk();
    let blocks = [flushed(&disk, 4, &wide(2, 1)), flushed(&disk, 7, &wide(3, 2))];
    let rewritten = rewrite(&disk, &blocks).run(&mut || Ok(())).unwrap();
    let meta = open(&disk, rewritten.block.unwrap()).meta().clone();
    assert_eq!(meta.compaction.level, 2);
    assert_eq!(meta.compaction.sources, blocks.map(|block| block.meta().ulid));
    assert_eq!((meta.log.from, meta.log.to), (Position(40), Position(80)));
    assert_eq!((meta.flush, meta.tenant), (FlushPart { part: 0, parts: 1 }, TenantId(3)));
    assert_eq!((meta.counts.series, meta.counts.samples), (3, 5));
}

#[test]
fn more_series_than_a_group_takes_all_arrive() {
    let disk = disk();
    let count = 3 * GROUP_SERIES + 7;
    let blocks = [flushed(&disk, 1, &wide(count, 1)), flushed(&disk, 2, &wide(count, 2))];
    let mut groups = 0;
    let mut pace = || {
        groups += 1;
        Ok(())
    };
    let rewritten = rewrite(&disk, &blocks).run(&mut pace).unwrap();
    let merged = open(&disk, rewritten.block.unwrap());
    assert_eq!(merged.meta().counts.samples, 2 * count as u64);
    assert_eq!(groups, 4 + 1, "four groups and the look at the end");
}

#[test]
fn a_canceled_rewrite_leaves_nothing() {
    let disk = disk();
    let count = 3 * GROUP_SERIES;
    let blocks = [flushed(&disk, 1, &wide(count, 1)), flushed(&disk, 2, &wide(count, 2))];
    for allowed in 0..4 {
        let mut left = allowed;
        let mut pace = || {
            left -= 1;
            if left < 0 { Err(Error::new(ErrorCode::Canceled, "enough")) } else { Ok(()) }
        };
        let error = rewrite(&disk, &blocks).run(&mut pace).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Canceled);
        assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), 2, "only the sources");
    }
}

#[test]
fn a_failing_disk_leaves_the_sources_alone() {
    let whole = disk();
    let models = [wide(3, 1), wide(3, 2)];
    let blocks = [flushed(&whole, 1, &models[0]), flushed(&whole, 2, &models[1])];
    let before = whole.calls();
    let finished = rewrite(&whole, &blocks).run(&mut || Ok(())).unwrap();
    let calls = whole.calls() - before;
    drop(finished);
    for fault in [Fault::Io, Fault::DiskFull] {
        for call in 0..calls {
            let disk = disk();
            let blocks = [flushed(&disk, 1, &models[0]), flushed(&disk, 2, &models[1])];
            disk.fail_in(call, fault);
            let failed = rewrite(&disk, &blocks).run(&mut || Ok(())).map(|r| r.block.is_some());
            assert!(failed.is_err(), "{fault:?} at call {call}");
            block::sweep(&disk, Path::new(DIR)).unwrap();
            assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), 2);
            assert_eq!(read(&blocks[0]), models[0]);
        }
    }
}

#[test]
fn a_damaged_source_is_named() {
    let disk = disk();
    let blocks = [flushed(&disk, 1, &wide(3, 1)), flushed(&disk, 2, &wide(3, 2))];
    let chunks = blocks[1].dir().join(block::CHUNKS_FILE);
    disk.corrupt(&chunks, 20, 1).unwrap();
    let damaged = Block::open(Arc::new(disk.clone()), blocks[1].dir()).unwrap();
    let blocks = [blocks[0].clone(), damaged];
    let error = rewrite(&disk, &blocks).run(&mut || Ok(())).err().unwrap();
    assert_eq!(error.code(), ErrorCode::Corruption);
    assert_eq!(error.place().unwrap().file, chunks);
}

/// A source whose selection is in no order.
struct Unordered(Arc<Block>);

impl SeriesSource for Unordered {
    fn time_range(&self) -> TimeRange {
        self.0.time_range()
    }

    fn select(self: Arc<Self>, request: &SelectRequest) -> Result<Box<dyn SourceSelection>> {
        struct Reversed(Box<dyn SourceSelection>);
        impl SourceSelection for Reversed {
            fn len(&self) -> usize {
                self.0.len()
            }
            fn labels(&mut self, i: usize, d: &mut Dictionary, out: &mut Vec<u32>) -> Result<()> {
                self.0.labels(self.0.len() - 1 - i, d, out)
            }
            fn read(&mut self, w: &[u32], range: TimeRange, out: &mut Columns) -> Result<()> {
                self.0.read(w, range, out)
            }
        }
        Ok(Box::new(Reversed(self.0.clone().select(request)?)))
    }

    fn label_names(
        &self,
        _: &SelectRequest,
        _: &mut std::collections::BTreeSet<String>,
    ) -> Result<()> {
        Ok(())
    }

    fn label_values(
        &self,
        _: &str,
        _: &SelectRequest,
        _: &mut std::collections::BTreeSet<String>,
    ) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_source_out_of_label_order_is_refused() {
    let disk = disk();
    let blocks = [flushed(&disk, 1, &wide(3, 1))];
    let mut job = rewrite(&disk, &blocks);
    job.sources = vec![Arc::new(Unordered(blocks[0].clone()))];
    assert_eq!(job.run(&mut || Ok(())).err().unwrap().code(), ErrorCode::Internal);
}

#[test]
fn floats_and_histograms_of_a_series_replace_each_other() {
    let disk = disk();
    let histogram = |sum: f64| Some(Arc::new(Histogram { sum, ..Histogram::stale() }));
    let write = |number: u64, kinds: &[(i64, bool)]| {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let ulid = Ulid::from_parts(number, 0);
        let mut writer = BlockWriter::create(shared.clone(), Path::new(DIR), ulid).unwrap();
        let mut columns = Columns::default();
        for (t, is_histogram) in kinds {
            let sum = (number as i64 * 100 + t) as f64;
            columns.histograms.push(if *is_histogram { histogram(sum) } else { None });
            columns.push(*t, sum);
        }
        columns.end_series();
        writer.add_run(&series(1), columns.run(0)).unwrap();
        let log =
            LogRange { source: "wal".to_owned(), from: Position(number), to: Position(number + 1) };
        let seed = MetaSeed { log, ..merged_seed(&[&sample_meta()], WINDOW).unwrap() };
        open(&disk, writer.finish(seed).unwrap())
    };
    let blocks =
        [write(1, &[(1, true), (2, false), (3, true)]), write(2, &[(2, true), (3, false)])];
    let merged = open(&disk, rewrite(&disk, &blocks).run(&mut || Ok(())).unwrap().block.unwrap());
    let scope = Scope { tenant: TenantId(3), matchers: Vec::new() };
    let request = SelectRequest { scope, matchers: Vec::new(), range: TimeRange::ALL };
    let mut columns = Columns::default();
    merged.select(&request).unwrap().read(&[0], TimeRange::ALL, &mut columns).unwrap();
    let run = columns.run(0);
    assert_eq!((run.timestamps, run.values), (&[1, 2, 3][..], &[101.0, 202.0, 203.0][..]));
    let sums: Vec<Option<f64>> = (0..3).map(|i| run.histogram(i).map(|h| h.sum)).collect();
    assert_eq!(sums, [Some(101.0), Some(202.0), None]);
}

fn sample_meta() -> Meta {
    let disk = disk();
    flushed(&disk, 1, &wide(1, 1)).meta().clone()
}
