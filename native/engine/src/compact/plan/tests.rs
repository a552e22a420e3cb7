//! Windows and plans.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::block::meta::{Compaction, Counts, FileEntry, FlushPart, LogRange};
use crate::refs::Position;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

#[test]
fn recent_samples_get_the_block_range() {
    let newest = 1_000 * DAY_MS + 5;
    for age in [0, 1, HOUR_MS, 8 * HOUR_MS] {
        let window = flush_window(newest - age, newest, 2 * HOUR_MS, 365 * DAY_MS);
        assert_eq!(window.end - window.start, 2 * HOUR_MS, "age {age}");
    }
    let ahead = flush_window(newest + DAY_MS, newest, 2 * HOUR_MS, 365 * DAY_MS);
    assert_eq!(ahead.end - ahead.start, 2 * HOUR_MS);
}

#[test]
fn a_year_of_backfill_makes_tens_of_windows() {
    let newest = 20_000 * DAY_MS + 12_345;
    let windows: BTreeSet<Window> = (0..365 * 24)
        .map(|hour| flush_window(newest - hour * HOUR_MS, newest, 2 * HOUR_MS, 400 * DAY_MS))
        .collect();
    assert!((20..60).contains(&windows.len()), "{} windows", windows.len());
}

#[test]
fn no_window_is_wider_than_a_tenth_of_retention_or_31_days() {
    let width = |retention_ms| {
        let window = flush_window(0, 10_000 * DAY_MS, 2 * HOUR_MS, retention_ms);
        window.end - window.start
    };
    assert_eq!(width(HOUR_MS), 2 * HOUR_MS);
    assert_eq!(width(15 * DAY_MS), 32 * HOUR_MS);
    assert_eq!(width(i64::MAX), 512 * HOUR_MS);
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        -4 * DAY_MS..4 * DAY_MS,
        -(1i64 << 53)..1i64 << 53,
        i64::MIN..i64::MIN + DAY_MS,
        i64::MAX - DAY_MS..i64::MAX,
    ]
}

proptest! {
    #[test]
    fn windows_of_one_flush_never_overlap(
        a in times(),
        b in times(),
        gap in 0..40 * DAY_MS,
        newest in times(),
        block_range_ms in 1..DAY_MS,
        retention_ms in prop_oneof![0..1000 * DAY_MS, Just(i64::MAX)],
    ) {
        let near = a.saturating_sub(gap);
        let window = |t| flush_window(t, newest, block_range_ms, retention_ms);
        for (t, other) in [(a, b), (a, near), (b, newest)] {
            let (x, y) = (window(t), window(other));
            prop_assert!(x.start <= t && (t < x.end || t == i64::MAX), "{t} in {x:?}");
            prop_assert!(x == y || x.end <= y.start || y.end <= x.start, "{x:?} and {y:?}");
        }
    }
}

/// A flushed block of one instant or more, of 100 bytes unless said otherwise.
fn meta(number: u64, to: u64, window: Window, bytes: u64) -> Meta {
    Meta {
        version: 1,
        ulid: Ulid::from_parts(number, 0),
        tenant: TenantId(0),
        mint: window.start,
        maxt: window.range().maxt,
        window,
        counts: Counts::default(),
        log: LogRange { source: "wal".to_owned(), from: Position(to - 1), to: Position(to) },
        flush: FlushPart { part: 0, parts: 1 },
        compaction: Compaction { level: 1, sources: Vec::new() },
        tombstones_applied: Position(0),
        files: vec![FileEntry { name: "chunks".to_owned(), bytes, crc32c: 0 }],
    }
}

fn hours(start: i64, end: i64) -> Window {
    Window { start: start * HOUR_MS, end: end * HOUR_MS }
}

fn rules(newest_hour: i64, urgency: Urgency) -> Rules {
    Rules {
        block_range_ms: 2 * HOUR_MS,
        retention_ms: 1000 * DAY_MS,
        newest: newest_hour * HOUR_MS,
        urgency,
        max_bytes: u64::MAX,
    }
}

/// The block that a merge of one block, or of several, leaves.
fn merged(mut meta: Meta) -> Meta {
    meta.compaction = Compaction { level: 2, sources: vec![meta.ulid] };
    meta
}

fn numbers(job: &Job) -> Vec<u64> {
    job.sources.iter().map(|ulid| ulid.timestamp_ms()).collect()
}

#[test]
fn neighbours_widen_once_their_window_is_settled() {
    let blocks: Vec<Meta> =
        (0..4).map(|n| meta(n, n + 1, hours(2 * n as i64, 2 * n as i64 + 2), 100)).collect();
    let metas: Vec<&Meta> = blocks.iter().collect();
    assert_eq!(next_job(&metas, &rules(9, Urgency::Thrifty)), None, "of 8 h, one may be late");
    let job = next_job(&metas, &rules(9, Urgency::Full)).unwrap();
    assert_eq!((job.window, numbers(&job)), (hours(0, 2), vec![0]), "each becomes dense alone");
    for urgency in [Urgency::Thrifty, Urgency::Full] {
        let job = next_job(&metas, &rules(10, urgency)).unwrap();
        assert_eq!((job.window, numbers(&job)), (hours(0, 8), vec![0, 1, 2, 3]));
        assert_eq!(job.bytes, 400);
    }
}

#[test]
fn small_blocks_of_one_window_wait_until_there_are_enough() {
    let window = hours(0, 2);
    let mut blocks = vec![meta(0, 1, window, 1000)];
    blocks.extend((1..4).map(|n| meta(n, n + 1, window, 100)));
    let plan = |blocks: &[Meta], urgency| {
        next_job(&blocks.iter().collect::<Vec<_>>(), &rules(1, urgency)).map(|job| numbers(&job))
    };
    assert_eq!(plan(&blocks, Urgency::Thrifty), None);
    assert_eq!(plan(&blocks, Urgency::Full), Some(vec![0, 1, 2, 3]));
    blocks.push(meta(4, 5, window, 100));
    assert_eq!(plan(&blocks, Urgency::Thrifty), Some(vec![1, 2, 3, 4]), "not the large one again");
}

#[test]
fn a_block_that_was_written_between_is_not_passed_over() {
    // The middle block is of a window that the ladder of today, of one width, does not have, and
    // overlaps the others.
    let full = Rules { retention_ms: 0, ..rules(1, Urgency::Full) };
    let blocks =
        [meta(1, 1, hours(0, 2), 100), meta(2, 2, hours(1, 3), 100), meta(3, 3, hours(0, 2), 100)];
    let blocks = blocks.map(merged);
    let metas: Vec<&Meta> = blocks.iter().collect();
    assert_eq!(next_job(&metas, &full), None);
    let apart = [blocks[0].clone(), meta(2, 2, hours(5, 7), 100), blocks[2].clone()];
    let metas: Vec<&Meta> = apart.iter().collect();
    let job = next_job(&metas, &full).unwrap();
    assert_eq!(numbers(&job), [1, 3]);
}

#[test]
fn tenants_and_logs_are_not_mixed() {
    let mut blocks: Vec<Meta> = (1..4).map(|n| merged(meta(n, n, hours(0, 2), 100))).collect();
    blocks[1].tenant = TenantId(7);
    blocks[2].log.source = "elsewhere".to_owned();
    let metas: Vec<&Meta> = blocks.iter().collect();
    assert_eq!(next_job(&metas, &rules(1, Urgency::Full)), None);
}

#[test]
fn a_block_alone_becomes_dense_once_its_window_is_final() {
    let plan = |meta: &Meta, newest_hour, urgency| {
        let rules = Rules { retention_ms: 80 * HOUR_MS, ..rules(newest_hour, urgency) };
        next_job(&[meta], &rules).map(|job| (job.window, job.bytes))
    };
    let (narrow, wide) = (meta(1, 1, hours(0, 2), 100), meta(1, 1, hours(0, 8), 100));
    let dense = Some((hours(0, 8), 100));
    for block in [&narrow, &wide] {
        assert_eq!(plan(block, 9, Urgency::Thrifty), None, "writes may still come");
        assert_eq!(plan(block, 10, Urgency::Thrifty), dense);
        assert_eq!(plan(&merged(block.clone()), 10, Urgency::Full), None, "once");
    }
    assert_eq!(plan(&narrow, 1, Urgency::Full), Some((hours(0, 2), 100)), "when asked, at once");
    let two = [wide.clone(), meta(2, 2, hours(0, 8), 100)];
    let rules = Rules { retention_ms: 80 * HOUR_MS, ..rules(10, Urgency::Thrifty) };
    assert_eq!(next_job(&[&two[0], &two[1]], &rules), None, "waits for more to merge with");
    assert_eq!(next_job(&[&wide], &Rules { max_bytes: 99, ..rules }), None);
}

/// A store of one series: which flush each of its times was last written by, in each block.
#[derive(Default)]
struct Simulation {
    blocks: Vec<(Meta, BTreeMap<i64, u64>)>,
    /// What a reader must see.
    model: BTreeMap<i64, u64>,
    flushes: u64,
    ulids: u64,
}

impl Simulation {
    fn flush(&mut self, times: &[i64], newest: i64, rules: &Rules) {
        self.flushes += 1;
        let to = self.flushes;
        let mut parts: BTreeMap<Window, BTreeMap<i64, u64>> = BTreeMap::new();
        for t in times {
            let window = flush_window(*t, newest, rules.block_range_ms, rules.retention_ms);
            parts.entry(window).or_default().insert(*t, to);
            self.model.insert(*t, to);
        }
        for (window, samples) in parts {
            let made = self.block(to, window, samples);
            self.blocks.push(made);
        }
    }

    fn block(
        &mut self,
        to: u64,
        window: Window,
        samples: BTreeMap<i64, u64>,
    ) -> (Meta, BTreeMap<i64, u64>) {
        self.ulids += 1;
        let mut meta = meta(self.ulids, to, window, 10 * samples.len() as u64);
        meta.mint = *samples.keys().next().unwrap();
        meta.maxt = *samples.keys().next_back().unwrap();
        (meta, samples)
    }

    /// Does the next job; checks its bounds; returns whether there was one.
    fn compact(&mut self, rules: &Rules) -> bool {
        let metas: Vec<&Meta> = self.blocks.iter().map(|(meta, _)| meta).collect();
        let Some(job) = next_job(&metas, rules) else { return false };
        assert!((1..=INPUTS_MAX).contains(&job.sources.len()), "{job:?}");
        assert!(job.bytes <= rules.max_bytes, "{job:?}");
        let (mut merged, mut to) = (BTreeMap::new(), 0);
        for ulid in &job.sources {
            let at = self.blocks.iter().position(|(meta, _)| meta.ulid == *ulid).unwrap();
            let (meta, samples) = self.blocks.remove(at);
            assert!(meta.log.to.0 >= to, "sources are not in the order of writes: {job:?}");
            to = meta.log.to.0;
            merged.extend(samples);
        }
        let range = job.window.range();
        assert!(merged.keys().all(|t| range.contains(*t)), "{job:?}");
        let (mut meta, samples) = self.block(to, job.window, merged);
        meta.compaction = Compaction { level: 2, sources: job.sources };
        self.blocks.push((meta, samples));
        true
    }

    fn read(&mut self) -> BTreeMap<i64, u64> {
        self.blocks.sort_by_key(|(meta, _)| meta.write_order());
        self.blocks.iter().flat_map(|(_, samples)| samples.clone()).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn the_last_write_wins_whatever_is_merged_when(
        steps in proptest::collection::vec(
            (proptest::collection::vec(0i64..2000, 1..12), 0i64..2500, 0usize..4, 0u8..12), 1..40),
    ) {
        let mut store = Simulation::default();
        let mut newest = 0;
        for (times, now, jobs, change) in steps {
            newest = newest.max(now).max(*times.iter().max().unwrap());
            let rules = Rules {
                // Once in a while the configuration changes, to widths that do not nest.
                block_range_ms: if change == 0 { 3 } else { 2 },
                retention_ms: if change == 1 { 90 } else { 10_000 },
                newest,
                urgency: if change % 2 == 0 { Urgency::Full } else { Urgency::Thrifty },
                max_bytes: if change < 4 { 150 } else { u64::MAX },
            };
            store.flush(&times, newest, &rules);
            for _ in 0..jobs {
                store.compact(&rules);
            }
            let (got, want) = (store.read(), store.model.clone());
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn planning_again_and_again_comes_to_an_end(
        flushes in proptest::collection::vec(proptest::collection::vec(0i64..3000, 1..60), 1..30),
        full in any::<bool>(),
    ) {
        let urgency = if full { Urgency::Full } else { Urgency::Thrifty };
        let rules = Rules { block_range_ms: 2, retention_ms: 20_000, ..rules(0, urgency) };
        let rules = Rules { newest: 3000, ..rules };
        let mut store = Simulation::default();
        for times in &flushes {
            store.flush(times, 3000, &rules);
        }
        let most = store.blocks.len();
        let jobs = (0..).take_while(|_| store.compact(&rules)).count();
        prop_assert!(jobs <= most, "{jobs} jobs for {most} blocks");
        let (got, want) = (store.read(), store.model.clone());
        prop_assert_eq!(got, want);
        let windows: BTreeSet<Window> = store.blocks.iter().map(|(meta, _)| meta.window).collect();
        if full {
            prop_assert_eq!(store.blocks.len(), windows.len(), "one block for each window");
            prop_assert!(store.blocks.iter().all(|(meta, _)| !meta.is_flushed()), "all are dense");
        }
    }
}

#[test]
fn many_flushes_of_a_backfill_are_rewritten_a_few_times_only() {
    let rules = Rules { block_range_ms: 2, retention_ms: 20_000, ..rules(0, Urgency::Thrifty) };
    let rules = Rules { newest: 3000, ..rules };
    let mut store = Simulation::default();
    let (mut flushed, mut rewritten) = (0, 0);
    for flush in 0..256 {
        let times: Vec<i64> = (0..40).map(|n| (flush * 7919 + n * 73) % 2900).collect();
        store.flush(&times, 3000, &rules);
        flushed += times.len();
        loop {
            let before: BTreeSet<Ulid> = store.blocks.iter().map(|(meta, _)| meta.ulid).collect();
            if !store.compact(&rules) {
                break;
            }
            let new = store.blocks.iter().filter(|(meta, _)| !before.contains(&meta.ulid));
            rewritten += new.map(|(_, samples)| samples.len()).sum::<usize>();
        }
    }
    let windows: BTreeSet<Window> = store.blocks.iter().map(|(meta, _)| meta.window).collect();
    // log4(256) rewrites, and three blocks of each size, at most.
    assert!(rewritten <= 4 * flushed, "{rewritten} of {flushed}");
    let most = 3 * 5 * windows.len();
    assert!(store.blocks.len() <= most, "{} blocks, {} windows", store.blocks.len(), windows.len());
}
