use super::*;
use crate::disk::Disk;
use crate::disk::faulty::FaultyDisk;
use crate::head::Head;
use crate::head::append::{Addressed, Floats};
use crate::head::histograms;
use crate::head::offload::offload;
use crate::histogram::{Counts, Histogram, Layout, Tally};
use crate::labels::Labels;
use crate::merge::Run;
use crate::options::WriteLimits;
use crate::refs::{Generation, SHARD_COUNT, SeriesRef, TenantId};
use crate::retention::RetentionPolicy;
use crate::sample::{TimeRange, Times};
use crate::sync::Arc;

const DIR: &str = "/head";

fn disk() -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk
}

fn head(seed: u8) -> Head {
    Head::new([seed; 32], WriteLimits::default(), Arc::new(RetentionPolicy::uniform(i64::MAX)))
}

fn labels(i: usize) -> Labels {
    let host = format!("host-{i}");
    Labels::from_pairs([("__name__", "up"), ("host", &*host), ("zone", "a")]).unwrap()
}

fn add(head: &Head, i: usize) -> SeriesRef {
    let (series, new) = head.restore_series(TenantId((i % 2) as u32), labels(i)).unwrap();
    new.into_iter().for_each(|new| head.index_restored(&[new]));
    series
}

/// Late samples, replaced ones, sealed chunks of both kinds and an open one, for some series.
fn fill(head: &Head, series: SeriesRef, i: usize, times: std::ops::Range<i64>) {
    let in_order = times.map(|n| (n * 1000, (n % 7) as f64 + i as f64 / 8.0));
    let late = (0..i as i64 % 300).map(|n| (n * 777 + 5, -1.0));
    let samples: Vec<_> = in_order.chain(late).map(|(t, v)| Addressed { series, t, v }).collect();
    head.restore_samples(&samples.clone().into());
    if i % 10 != 3 {
        return;
    }
    // After the first of these, late samples of both kinds go another way.
    let first = 100_000 + samples.last().map_or(0, |sample| sample.t.abs());
    let histograms: Vec<_> = (0..i as i64 % 250)
        .chain(0..i as i64 % 90)
        .map(|n| (Times { t: first + n * 10, start: n / 3 % 2 * 17 }, a_histogram(n as u64 + 1)))
        .map(|(at, h)| histograms::Addressed { series, at, h })
        .collect();
    head.restore_histograms(&histograms);
    let late = |n: i64| Addressed { series, t: first + n * 7, v: n as f64 };
    head.restore_samples(&(0..i as i64 % 40).map(late).collect::<Vec<_>>().into());
    start(head, series, i);
}

/// Samples with start timestamps, late ones too.
fn start(head: &Head, series: SeriesRef, i: usize) {
    let mut samples = Floats::default();
    for n in 0..i as i64 * 3 {
        let t = if n % 11 == 5 { (1 << 41) | n } else { (1 << 42) | (n * 1000) };
        samples.push(Addressed { series, t, v: n as f64 }, n / 40 % 3 * 1_000_007);
    }
    head.restore_samples(&samples);
}

fn a_histogram(n: u64) -> Arc<Histogram> {
    let counts = match n % 40 {
        0 => Counts::Float(Tally { count: n as f64, zero: n as f64, ..Tally::default() }),
        _ => Counts::Integer(Tally { count: n, zero: n, ..Tally::default() }),
    };
    let layout = Arc::new(Layout { zero_threshold: 0.5, ..Layout::default() });
    Arc::new(Histogram { layout, counts, ..Histogram::stale() })
}

type Bits = Vec<(Times, u64, Option<Arc<Histogram>>)>;

fn bits(head: &Head, series: SeriesRef) -> Vec<Bits> {
    let mut runs = Vec::new();
    let all = TimeRange::ALL;
    head.runs(series, Generation(0), Generation(9), all).decode(all, &mut runs).unwrap();
    let bits = |run: &Run| {
        let run = run.as_slice();
        let all = run.values.iter().enumerate();
        all.map(|(i, v)| (run.times_of(i), v.to_bits(), run.histogram(i).cloned())).collect()
    };
    runs.iter().map(bits).collect()
}

fn take(head: &Head, disk: &FaultyDisk, position: u64) -> Info {
    let mut writer = CheckpointWriter::create(head, disk, Path::new(DIR)).unwrap();
    for shard in 0..SHARD_COUNT {
        for first in (0..).step_by(SLICE_SLOTS) {
            let Some(captured) = head.capture(shard, first) else { break };
            writer.add(Some(&captured), Position(position + shard as u64)).unwrap();
        }
    }
    let info = Info {
        from: Position(7),
        replay_from: Position(0),
        covered_to: Position(0),
        newest: 5,
        first_newest: -3,
        samples: 11,
    };
    writer.publish(info).unwrap()
}

#[test]
fn a_replay_begins_before_a_series_that_came_to_a_shard_found_empty() {
    let (disk, before) = (disk(), head(1));
    let series = add(&before, 0);
    fill(&before, series, 0, 0..3);
    let mut writer = CheckpointWriter::create(&before, &disk, Path::new(DIR)).unwrap();
    for n in 0..SHARD_COUNT {
        // That of the series comes last: all the others are found without a slot before it.
        let shard = (series.shard() + 1 + n) % SHARD_COUNT;
        let captured = before.capture(shard, 0);
        writer.add(captured.as_ref(), Position(100 + n as u64)).unwrap();
    }
    let empty = Info {
        from: Position(7),
        replay_from: Position(0),
        covered_to: Position(0),
        newest: 5,
        first_newest: 5,
        samples: 3,
    };
    let info = writer.publish(empty).unwrap();
    let last = Position(99 + SHARD_COUNT as u64);
    assert_eq!((info.replay_from, info.covered_to), (Position(100), last));
    let checkpoint = Checkpoint::open(&disk, Path::new(DIR)).unwrap().unwrap();
    assert_eq!(checkpoint.covers(series), last);
}

fn load(head: &Head, disk: &FaultyDisk) -> Vec<(SeriesRef, SeriesRef)> {
    let mut checkpoint = Checkpoint::open(disk, Path::new(DIR)).unwrap().unwrap();
    checkpoint.open_files(disk, Path::new(DIR)).unwrap();
    let mut refs = Vec::new();
    for slice in 0..checkpoint.slices() {
        let restore = &mut |restored: RestoredSeries| {
            let logged = restored.series;
            let (now, new) = head.restore_checkpointed(restored)?;
            head.index_restored(&new.into_iter().collect::<Vec<_>>());
            refs.push((logged, now));
            Ok(())
        };
        checkpoint.read_slice(slice, restore).unwrap();
    }
    refs
}

#[test]
fn a_head_comes_back_by_its_bits_and_goes_on_alike() {
    let (disk, before, after) = (disk(), head(1), head(2));
    let mut next_file = 1;
    let series: Vec<SeriesRef> = (0..700).map(|i| add(&before, i)).collect();
    for (i, r) in series.iter().enumerate() {
        fill(&before, *r, i, 0..i as i64 % 400);
    }
    assert!(offload(&before, &disk, Path::new(DIR), &mut next_file).unwrap() > 0);
    assert_eq!(offload(&before, &disk, Path::new(DIR), &mut next_file).unwrap(), 0);
    for (i, r) in series.iter().enumerate() {
        fill(&before, *r, i, 1000..1000 + i as i64 % 150);
    }
    let info = take(&before, &disk, 100);
    assert_eq!((info.replay_from, info.covered_to), (Position(100), Position(115)));

    let refs: std::collections::HashMap<_, _> = load(&after, &disk).into_iter().collect();
    assert_eq!(refs.len(), series.iter().filter(|r| !bits(&before, **r).is_empty()).count());
    for (i, r) in series.iter().enumerate() {
        let Some(now) = refs.get(r) else { continue };
        assert_eq!(bits(&after, *now), bits(&before, *r), "series {i}");
        for (head, r) in [(&before, r), (&after, now)] {
            fill(head, *r, i, 2000..2200);
        }
        assert_eq!(bits(&after, *now), bits(&before, *r), "series {i}, later");
        let index = after.index(TenantId((i % 2) as u32)).unwrap();
        let mut pairs = Vec::new();
        index.read().labels(*now, &mut pairs);
        let index = index.read();
        let text = |id| index.symbols().text(id);
        let got: Vec<_> = pairs.iter().map(|(n, v)| (text(*n), text(*v))).collect();
        assert_eq!(got, labels(i).iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_slice_says_up_to_which_position_it_holds_a_series() {
    let (disk, head) = (disk(), head(1));
    let series: Vec<SeriesRef> = (0..100).map(|i| add(&head, i)).collect();
    series.iter().enumerate().for_each(|(i, r)| fill(&head, *r, i, 0..1));
    take(&head, &disk, 500);
    let checkpoint = Checkpoint::open(&disk, Path::new(DIR)).unwrap().unwrap();
    for r in series {
        assert_eq!(checkpoint.covers(r), Position(500 + r.shard() as u64));
    }
    let unknown = SeriesRef::pack(3, 10 * SLICE_SLOTS).unwrap();
    assert_eq!(checkpoint.covers(unknown), Position(0));
}

#[test]
fn every_changed_byte_is_noticed() {
    let (disk, before) = (disk(), head(1));
    for i in 0..40 {
        let r = add(&before, i);
        fill(&before, r, i, 0..3);
    }
    take(&before, &disk, 1);
    let path = path(Path::new(DIR));
    let len = disk.read(&path).unwrap().len();
    for offset in 0..len {
        disk.corrupt(&path, offset, 1 << (offset % 8)).unwrap();
        let read = || -> Result<()> {
            let Some(checkpoint) = Checkpoint::open(&disk, Path::new(DIR))? else { return Ok(()) };
            (0..checkpoint.slices()).try_for_each(|n| checkpoint.read_slice(n, &mut |_| Ok(())))
        };
        let error = read().expect_err(&format!("offset {offset} of {len}"));
        assert_eq!(error.code(), ErrorCode::Corruption, "offset {offset}: {error}");
        assert!(error.place().is_some_and(|place| place.offset.is_some()), "offset {offset}");
        disk.corrupt(&path, offset, 1 << (offset % 8)).unwrap();
    }
}

#[test]
fn a_missing_chunk_file_is_corruption_that_names_it() {
    let (disk, head) = (disk(), head(1));
    let r = add(&head, 0);
    fill(&head, r, 0, 0..300);
    offload(&head, &disk, Path::new(DIR), &mut 5).unwrap();
    take(&head, &disk, 1);
    crate::head::chunk_file::remove(&disk, Path::new(DIR), 5).unwrap();
    let mut checkpoint = Checkpoint::open(&disk, Path::new(DIR)).unwrap().unwrap();
    let error = checkpoint.open_files(&disk, Path::new(DIR)).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corruption);
    assert!(error.message().contains("chunk file 5"), "{error}");
}

#[test]
fn a_full_disk_leaves_the_chunks_in_memory() {
    let (disk, head) = (disk(), head(1));
    let r = add(&head, 0);
    fill(&head, r, 0, 0..300);
    let before = bits(&head, r);
    disk.set_capacity(Some(0));
    let mut next_file = 1;
    let error = offload(&head, &disk, Path::new(DIR), &mut next_file).unwrap_err();
    assert_eq!(error.code(), ErrorCode::DiskFull);
    assert_eq!(bits(&head, r), before);
    disk.set_capacity(None);
    assert!(offload(&head, &disk, Path::new(DIR), &mut next_file).unwrap() > 0);
    assert_eq!(bits(&head, r), before);
}
