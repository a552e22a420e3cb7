//! Directories as crashes and damage leave them. A block stands for its log range; what is read
//! from the log again follows from where the replay begins.

use std::path::Path;

use proptest::prelude::*;
use ulid::Ulid;

use super::*;
use crate::block::meta::{Compaction, FlushPart, LogRange, MetaSeed};
use crate::block::{BlockWriter, CHUNKS_FILE, INDEX_FILE};
use crate::disk::faulty::{Fault, FaultyDisk};
use crate::error::ErrorCode;
use crate::labels::Labels;
use crate::refs::TenantId;
use crate::sample::Window;

struct Store {
    disk: FaultyDisk,
    layout: Layout,
    checkpoint: Option<Info>,
}

impl Store {
    fn new() -> Self {
        let (disk, layout) = (FaultyDisk::new(), Layout::new(Path::new("/data")));
        layout.prepare(&disk).unwrap();
        Self { disk, layout, checkpoint: None }
    }

    /// A store with a checkpoint of the generation after `from`, behind which the log goes on at
    /// `replay_from`.
    fn with_checkpoint(from: u64, replay_from: u64) -> Self {
        let info = Info {
            from: Position(from),
            replay_from: Position(replay_from),
            covered_to: Position(replay_from),
            newest: 0,
            first_newest: 0,
            samples: 1,
        };
        Self { checkpoint: Some(info), ..Self::new() }
    }

    fn block(&self, number: u64, log: (u64, u64), flush: (u32, u32), sources: &[u64]) {
        let (disk, ulid) = (Arc::new(self.disk.clone()), Ulid::from_parts(number, 0));
        let mut writer = BlockWriter::create(disk, &self.layout.blocks, ulid).unwrap();
        let labels = Labels::from_pairs([("__name__", "m")]).unwrap();
        writer.add_series(&labels, &[number as i64], &[1.0]).unwrap();
        let seed = MetaSeed {
            tenant: TenantId(0),
            window: Window { start: 0, end: 1000 },
            log: LogRange { source: "wal".to_owned(), from: Position(log.0), to: Position(log.1) },
            flush: FlushPart { part: flush.0, parts: flush.1 },
            compaction: Compaction {
                level: if sources.is_empty() { 1 } else { 2 },
                sources: sources.iter().map(|number| Ulid::from_parts(*number, 0)).collect(),
            },
        };
        writer.finish(seed).unwrap().publish().unwrap();
    }

    fn flushed(&self, number: u64, log: (u64, u64)) {
        self.block(number, log, (0, 1), &[]);
    }

    fn dir(&self, number: u64) -> PathBuf {
        self.layout.blocks.join(Ulid::from_parts(number, 0).to_string())
    }

    /// Settles twice, the second time after a restart; both must say the same.
    fn settle(&self, logged: Option<u64>) -> (Vec<u64>, u64, usize) {
        let first = settled(&self.disk, self, logged).unwrap();
        let again = settled(&self.disk.kill(), self, logged).unwrap();
        assert_eq!((&first.0, first.1), (&again.0, again.1), "after a restart");
        assert_eq!(again.2, 0, "nothing is set aside twice");
        assert_eq!(quarantine::count(&self.disk, &self.layout.quarantine).unwrap(), first.2 as u64);
        first
    }
}

/// The blocks that count, the replay's start, and how many blocks were set aside.
fn settled(
    disk: &FaultyDisk,
    store: &Store,
    logged: Option<u64>,
) -> Result<(Vec<u64>, u64, usize)> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let settled = settle(&shared, &store.layout, logged.map(Position), store.checkpoint)?;
    let numbers = settled.blocks.iter().map(|block| block.meta().ulid.timestamp_ms()).collect();
    Ok((numbers, settled.flushed.0, settled.quarantined.len()))
}

#[test]
fn an_unfinished_flush_is_undone_while_its_log_is_there() {
    let store = Store::new();
    store.flushed(1, (0, 10));
    store.block(2, (10, 20), (0, 2), &[]);
    assert_eq!(store.settle(Some(10)), (vec![1], 10, 0));
    let store = Store::new();
    store.block(2, (10, 20), (0, 2), &[]);
    assert_eq!(store.settle(Some(20)), (vec![2], 20, 0), "retention dropped the other part");
}

#[test]
fn an_unfinished_flush_is_undone_while_the_checkpoint_for_which_the_log_was_cut_is_there() {
    let unfinished = |store: Store| {
        store.flushed(1, (0, 10));
        store.block(2, (10, 20), (0, 2), &[]);
        store
    };
    let store = unfinished(Store::with_checkpoint(10, 20));
    assert_eq!(store.settle(Some(20)), (vec![1], 10, 0), "a checkpoint of all that was written");
    let store = unfinished(Store::with_checkpoint(10, 20));
    assert_eq!(store.settle(None), (vec![1], 10, 0), "and no log");
    let store = unfinished(Store::with_checkpoint(10, 15));
    assert_eq!(store.settle(Some(15)), (vec![1], 10, 0), "a part of the log is left");
    let store = unfinished(Store::with_checkpoint(10, 15));
    assert_eq!(store.settle(Some(20)), (vec![1, 2], 20, 0), "the flush cut the log behind it");
    let store = unfinished(Store::with_checkpoint(0, 10));
    assert_eq!(store.settle(Some(20)), (vec![1, 2], 20, 0), "a checkpoint of what was before");
}

#[test]
fn parts_that_were_merged_or_dropped_are_not_missed() {
    let store = Store::new();
    store.block(1, (0, 10), (0, 2), &[]);
    store.flushed(2, (10, 20));
    assert_eq!(store.settle(Some(0)), (vec![1, 2], 20, 0), "a later flush proves the first");
    let store = Store::new();
    store.block(1, (10, 20), (0, 2), &[]);
    store.block(2, (0, 20), (0, 1), &[7, 8]);
    assert_eq!(store.settle(Some(0)).1, 20, "a merged block proves it too");
}

#[test]
fn sources_of_a_merged_block_are_dropped() {
    let store = Store::new();
    store.flushed(1, (0, 10));
    store.flushed(2, (10, 20));
    store.flushed(3, (20, 30));
    store.block(4, (0, 20), (0, 1), &[1, 2]);
    assert_eq!(store.settle(Some(30)), (vec![4, 3], 30, 0));
    assert!(!store.disk.exists(&store.dir(1)));
}

#[test]
fn a_damaged_merged_block_does_not_replace_its_sources() {
    let store = Store::new();
    store.flushed(1, (0, 10));
    store.flushed(2, (10, 20));
    store.block(4, (0, 20), (0, 1), &[1, 2]);
    store.disk.corrupt(&store.dir(4).join(META_FILE), 30, 1).unwrap();
    assert_eq!(store.settle(Some(20)), (vec![1, 2], 20, 1));
}

#[test]
fn a_damaged_source_goes_with_the_others() {
    let store = Store::new();
    store.flushed(1, (0, 10));
    store.flushed(2, (10, 20));
    store.block(4, (0, 20), (0, 1), &[1, 2]);
    store.disk.corrupt(&store.dir(2).join(META_FILE), 30, 1).unwrap();
    assert_eq!(store.settle(Some(20)), (vec![4], 20, 0));
}

#[test]
fn a_damaged_block_is_replayed_while_the_log_has_it() {
    let damages: [fn(&Store, u64); 5] = [
        |store, n| store.disk.corrupt(&store.dir(n).join(META_FILE), 30, 1).unwrap(),
        |store, n| store.disk.remove_file(&store.dir(n).join(INDEX_FILE)).unwrap(),
        |store, n| store.disk.truncate(&store.dir(n).join(CHUNKS_FILE), 9).unwrap(),
        |store, n| store.disk.truncate(&store.dir(n).join(INDEX_FILE), 0).unwrap(),
        |store, n| store.disk.remove_file(&store.dir(n).join(META_FILE)).unwrap(),
    ];
    for (case, damage) in damages.iter().enumerate() {
        let store = Store::new();
        (1..=3).for_each(|n| store.flushed(n, (10 * n, 10 * n + 10)));
        damage(&store, 3);
        assert_eq!(store.settle(Some(30)), (vec![1, 2], 30, 1), "case {case}, in the log");
        let store = Store::new();
        (1..=3).for_each(|n| store.flushed(n, (10 * n, 10 * n + 10)));
        damage(&store, 2);
        // Everything since is in the log as well, and read from there.
        let (blocks, flushed, _) = store.settle(Some(20));
        assert_eq!((blocks, flushed), (vec![1], 20), "case {case}, an earlier one");
        let store = Store::new();
        (1..=3).for_each(|n| store.flushed(n, (10 * n, 10 * n + 10)));
        damage(&store, 2);
        assert_eq!(store.settle(Some(40)), (vec![1, 3], 40, 1), "case {case}, not in the log");
    }
}

#[test]
fn a_replay_never_skips_what_only_the_log_has() {
    // A merged block reaches over the start that the damaged one asks for: blocks after it must
    // not go, as the next start would begin after the merged block.
    let store = Store::new();
    store.block(1, (0, 30), (0, 1), &[8, 9]);
    store.flushed(2, (10, 20));
    store.flushed(3, (30, 40));
    store.disk.remove_file(&store.dir(2).join(INDEX_FILE)).unwrap();
    assert_eq!(store.settle(Some(10)), (vec![1, 3], 40, 1));
}

#[test]
fn a_block_of_a_newer_format_stops_the_start() {
    let store = Store::new();
    store.flushed(1, (0, 10));
    let path = store.dir(1).join(META_FILE);
    let shared: Arc<dyn Disk> = Arc::new(store.disk.clone());
    let block = Block::open(shared, &store.dir(1)).unwrap();
    let mut meta = block.meta().clone();
    meta.version += 1;
    store.disk.remove_file(&path).unwrap();
    let mut file = store.disk.create(&path).unwrap();
    file.write(meta.encode().unwrap().as_bytes()).unwrap();
    let error = settled(&store.disk, &store, Some(0)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corruption);
    assert!(store.disk.exists(&path), "it stays where it is");
}

#[test]
fn power_loss_at_any_call_changes_nothing_of_the_outcome() {
    let prepare = || {
        let store = Store::new();
        store.flushed(1, (0, 10));
        store.flushed(2, (10, 20));
        store.block(3, (0, 20), (0, 1), &[1, 2]);
        store.flushed(4, (20, 30));
        store.flushed(5, (30, 40));
        store.block(6, (40, 50), (1, 2), &[]);
        store.disk.remove_file(&store.dir(4).join(INDEX_FILE)).unwrap();
        store.disk.sync_dir(&store.dir(4)).unwrap();
        store
    };
    for call in 0..60 {
        for seed in 0..3 {
            let store = prepare();
            store.disk.fail_in(call, Fault::PowerLoss);
            let _ = settled(&store.disk, &store, Some(20));
            let after = store.disk.crash(seed);
            let (blocks, flushed, _) = settled(&after, &store, Some(20)).unwrap();
            assert_eq!((blocks, flushed), (vec![3], 20), "call {call}, seed {seed}");
            assert_eq!(quarantine::count(&after, &store.layout.quarantine).unwrap(), 1);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_flipped_bit_of_a_description_or_frame_sets_the_block_aside(
        file in 0usize..3, at in any::<prop::sample::Index>(), bit in 0u8..8,
    ) {
        let store = Store::new();
        store.flushed(1, (0, 10));
        store.flushed(2, (10, 20));
        let path = store.dir(1).join([META_FILE, INDEX_FILE, CHUNKS_FILE][file]);
        let len = store.disk.read(&path).unwrap().len();
        store.disk.corrupt(&path, at.index(len), 1 << bit).unwrap();
        let (blocks, flushed, set_aside) = settled(&store.disk, &store, Some(20)).unwrap();
        prop_assert_eq!(flushed, 20);
        // What is not looked at when a block is opened is found when it is read.
        let opens = blocks == [1, 2] && set_aside == 0 && file != 0;
        prop_assert!(opens || (blocks == [2] && set_aside == 1), "{:?} {}", blocks, set_aside);
        if opens {
            let shared: Arc<dyn Disk> = Arc::new(store.disk.clone());
            prop_assert!(Block::open(shared, &store.dir(1)).unwrap().verify().is_err());
        }
    }
}
