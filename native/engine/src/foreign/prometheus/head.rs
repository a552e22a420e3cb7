//! What Prometheus had in no block yet: its log, and the one of samples that came out of order.
//!
//! The newest checkpoint and the segments after it hold every series and sample of the head; the
//! files in `chunks_head` repeat a part of them. What is older than the in-order blocks' end is in
//! those, so it is not taken from the log, as Prometheus does not when it starts (3.14,
//! `tsdb/db.go`, `inOrderBlocksMaxTime`): a block may have deleted it since. Samples of that time
//! that came out of order and are in no block yet are in `wbl`, too, and are taken from there. A
//! tombstone of the log hides what was written after it as well; so it does in Prometheus until the
//! head becomes a block.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::block::{Block, Visited};
use super::log::{read_segment, segments};
use super::record::{self, Visitor};
use super::{Samples, Sink, wal_dir};
use crate::disk::Disk;
use crate::error::Result;
use crate::histogram::Histogram;
use crate::sample::{TimeRange, Times, TimestampMs, Window};

const CHECKPOINT_PREFIX: &str = "checkpoint.";
/// Samples that are gathered before they are handed on, so that series come in runs.
const GATHERED_MAX: usize = 1 << 20;

/// The logs of a data directory.
pub struct Logs {
    wal: Vec<PathBuf>,
    wbl: Vec<PathBuf>,
    /// Samples of the log before this are in blocks.
    valid_from: TimestampMs,
    /// Labels by reference.
    labels: HashMap<u64, Vec<u8>>,
    /// Deleted ranges by reference.
    deleted: HashMap<u64, Vec<TimeRange>>,
    counted: Visited,
    newest: Option<TimestampMs>,
}

impl Logs {
    /// Finds the logs in `dir`, whose blocks are `blocks`, and reads everything but the samples.
    ///
    /// # Errors
    /// `corruption`; those of the disk.
    pub fn open(disk: &dyn Disk, dir: &Path, blocks: &[Block]) -> Result<Self> {
        let in_blocks = blocks.iter().filter(|block| block.is_in_order());
        let mut logs = Self {
            wal: log_files(disk, &wal_dir(dir))?,
            wbl: segments(disk, &dir.join("wbl"))?,
            valid_from: in_blocks.map(|block| block.meta.max_time).max().unwrap_or(i64::MIN),
            labels: HashMap::new(),
            deleted: HashMap::new(),
            counted: Visited::default(),
            newest: None,
        };
        let files = logs.wal.clone();
        let mut first = FirstPass { logs: &mut logs };
        each_record(disk, &files, &mut |record, place| record::decode(record, place, &mut first))?;
        logs.counted.series = logs.labels.len() as u64;
        Ok(logs)
    }

    /// The newest sample of the log.
    pub fn newest(&self) -> Option<TimestampMs> {
        self.newest
    }

    /// Hands on the samples, in the order in which they were logged for each series, and returns
    /// what was seen.
    ///
    /// # Errors
    /// `corruption`; those of the disk and of `sink`.
    pub fn visit(&self, disk: &dyn Disk, sink: &mut Sink<'_>) -> Result<Visited> {
        let mut second = SecondPass {
            logs: self,
            sink,
            wanted: Window { start: self.valid_from, end: TimestampMs::MAX },
            gathered: HashMap::new(),
            count: 0,
            visited: self.counted,
        };
        let before = Window { start: TimestampMs::MIN, end: self.valid_from };
        for (files, wanted) in [(&self.wal, second.wanted), (&self.wbl, before)] {
            second.wanted = wanted;
            each_record(disk, files, &mut |record, place| {
                record::decode(record, place, &mut second)
            })?;
        }
        second.hand_on()?;
        Ok(second.visited)
    }
}

/// The files that together are the log in `dir`: those of the newest checkpoint, then the segments
/// that it does not replace.
fn log_files(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>> {
    if !disk.exists(dir) {
        return Ok(Vec::new());
    }
    let number = |name: &str| name.strip_prefix(CHECKPOINT_PREFIX)?.parse::<u64>().ok();
    let checkpoints = disk.list(dir)?.into_iter().filter(|entry| entry.is_dir);
    let newest = checkpoints.filter_map(|entry| Some((number(&entry.name)?, entry.name))).max();
    let Some((covers, name)) = newest else { return segments(disk, dir) };
    let mut files = segments(disk, &dir.join(name))?;
    let after = |path: &Path| {
        let number = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok());
        number.is_some_and(|number| number > covers)
    };
    files.extend(segments(disk, dir)?.into_iter().filter(|path| after(path)));
    Ok(files)
}

fn each_record(
    disk: &dyn Disk,
    files: &[PathBuf],
    visit: &mut dyn FnMut(&[u8], &super::log::Place<'_>) -> Result<()>,
) -> Result<()> {
    for (i, path) in files.iter().enumerate() {
        read_segment(disk, path, i + 1 == files.len(), visit)?;
    }
    Ok(())
}

/// Gathers labels, tombstones and counts.
struct FirstPass<'a> {
    logs: &'a mut Logs,
}

impl Visitor for FirstPass<'_> {
    fn series(&mut self, series: u64, labels: &[u8]) -> Result<()> {
        self.logs.labels.entry(series).or_insert_with(|| labels.to_vec());
        Ok(())
    }

    fn sample(&mut self, _: u64, at: Times, _: f64) -> Result<()> {
        self.logs.newest = self.logs.newest.max(Some(at.t));
        Ok(())
    }

    fn tombstone(&mut self, series: u64, range: TimeRange) -> Result<()> {
        self.logs.deleted.entry(series).or_default().push(range);
        Ok(())
    }

    fn histogram(&mut self, _: u64, at: Times, _: Histogram) -> Result<()> {
        self.logs.newest = self.logs.newest.max(Some(at.t));
        Ok(())
    }

    fn exemplar(&mut self) {
        self.logs.counted.left_out.exemplars += 1;
    }

    fn metadata(&mut self) {
        self.logs.counted.left_out.metadata += 1;
    }
}

/// Gathers samples by series and hands them on.
struct SecondPass<'a, 'b> {
    logs: &'a Logs,
    sink: &'a mut Sink<'b>,
    wanted: Window,
    gathered: HashMap<u64, Samples>,
    count: usize,
    visited: Visited,
}

impl SecondPass<'_, '_> {
    fn hand_on(&mut self) -> Result<()> {
        for (series, mut samples) in self.gathered.drain() {
            let Some(labels) = self.logs.labels.get(&series) else {
                self.visited.left_out.unnamed += samples.len() as u64;
                continue;
            };
            self.visited.samples += samples.len() as u64;
            (self.sink)(labels, &mut samples)?;
        }
        self.count = 0;
        Ok(())
    }
}

impl SecondPass<'_, '_> {
    /// Has `add` put a sample at `t` to those of its series, unless it is not wanted.
    fn gather(
        &mut self,
        series: u64,
        t: TimestampMs,
        add: impl FnOnce(&mut Samples),
    ) -> Result<()> {
        if t < self.wanted.start || t >= self.wanted.end {
            return Ok(());
        }
        let deleted = self.logs.deleted.get(&series);
        if deleted.is_some_and(|ranges| ranges.iter().any(|range| range.contains(t))) {
            self.visited.left_out.deleted += 1;
            return Ok(());
        }
        add(self.gathered.entry(series).or_default());
        self.count += 1;
        if self.count >= GATHERED_MAX { self.hand_on() } else { Ok(()) }
    }
}

impl Visitor for SecondPass<'_, '_> {
    fn series(&mut self, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn sample(&mut self, series: u64, at: Times, v: f64) -> Result<()> {
        self.gather(series, at.t, |samples| {
            samples.timestamps.push(at);
            samples.values.push(v);
        })
    }

    fn histogram(&mut self, series: u64, at: Times, h: Histogram) -> Result<()> {
        self.gather(series, at.t, |samples| samples.histograms.push((at, h)))
    }

    fn tombstone(&mut self, _: u64, _: TimeRange) -> Result<()> {
        Ok(())
    }

    fn exemplar(&mut self) {}

    fn metadata(&mut self) {}
}
