//! What is in a data directory that no engine of this process has open: its blocks, whether they
//! and the log are what was written, and what they are made of.
//!
//! Nothing is changed, so a running server may have the directory. Its blocks may go while they are
//! looked at; one that went is no damage. Its log is being written and is not looked at.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::block::hidden::HiddenBlock;
use crate::block::meta::Meta;
use crate::block::tombstones::TombstoneList;
use crate::block::{self, Block};
use crate::dictionary::Dictionary;
use crate::disk::Disk;
use crate::error::{Error, ErrorCode, Result};
use crate::head::checkpoint::Checkpoint;
use crate::histogram::Histogram;
use crate::labels::{Labels, METRIC_NAME};
use crate::recover::Layout;
use crate::refs::{SeriesRef, TenantId};
use crate::sample::{TimeRange, Times, TimestampMs};
use crate::source::{Scope, SelectRequest, SeriesSource};
use crate::sync::Arc;
use crate::tombstone::Tombstone;
use crate::wal;
use crate::wal::record::{self, exemplars::ExemplarRecord, metadata::MetadataRecord};

/// A block as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockInfo {
    /// Its name.
    pub ulid: String,
    /// The window that its samples were chosen by.
    pub start: TimestampMs,
    /// See `start`; half-open.
    pub end: TimestampMs,
    /// Time of the first sample.
    pub mint: TimestampMs,
    /// Time of the last sample.
    pub maxt: TimestampMs,
    /// How often it was merged.
    pub level: u32,
    /// Series.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Chunks.
    pub chunks: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Its files.
    pub files: Vec<FileInfo>,
}

/// A file of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileInfo {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
}

impl BlockInfo {
    fn new(disk: &dyn Disk, dir: &Path, meta: &Meta) -> Result<Self> {
        let files: Vec<FileInfo> = disk
            .list(dir)?
            .into_iter()
            .map(|entry| FileInfo { name: entry.name, bytes: entry.len })
            .collect();
        Ok(Self {
            ulid: meta.ulid.to_string(),
            start: meta.window.start,
            end: meta.window.end,
            mint: meta.mint,
            maxt: meta.maxt,
            level: meta.compaction.level,
            series: meta.counts.series,
            samples: meta.counts.samples,
            chunks: meta.counts.chunks,
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
        })
    }
}

/// What a listing found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The blocks, by time.
    pub blocks: Vec<BlockInfo>,
    /// A sentence for each block that cannot be described.
    pub findings: Vec<Finding>,
}

/// The blocks of the data directory `dir`.
///
/// # Errors
/// `not_found` when it is none, those of the disk; damage of a block is in the result.
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Listing> {
    let layout = Layout::new(dir);
    layout.read_format(disk)?;
    let (mut blocks, mut findings) = (Vec::new(), Vec::new());
    for dir in block::list(disk, &layout.blocks)? {
        let path = dir.join(block::META_FILE);
        let info = disk
            .read(&path)
            .and_then(|text| BlockInfo::new(disk, &dir, &Meta::decode(&path, &text)?));
        match info {
            Ok(info) => blocks.push(info),
            Err(error) if went(disk, &dir, &error) => {}
            Err(error) => findings.push(Finding::from(&error)),
        }
    }
    blocks.sort_by(|a, b| (a.start, a.end, &a.ulid).cmp(&(b.start, b.end, &b.ulid)));
    Ok(Listing { blocks, findings })
}

/// Whether `error` means that the block in `dir` was removed since it was listed.
fn went(disk: &dyn Disk, dir: &Path, error: &Error) -> bool {
    error.code() == ErrorCode::NotFound && !disk.exists(dir)
}

/// What became of a look at the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogState {
    /// All of it can be read.
    Read,
    /// It is damaged: see the findings.
    Damaged,
    /// There is none, as in a snapshot.
    Absent,
    /// Another process is writing it.
    InUse,
    /// This user may not take the directory's lock.
    NotPermitted,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The engine's code.
    pub code: String,
    /// What, and where.
    pub message: String,
}

impl From<&Error> for Finding {
    fn from(error: &Error) -> Self {
        Self { code: error.code().to_string(), message: error.to_string() }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// Blocks that were read.
    pub blocks: u64,
    /// Their samples.
    pub samples: u64,
    /// Bytes that were compared with their checksums.
    pub bytes: u64,
    /// The log.
    pub log: LogState,
    /// Frames of the log.
    pub log_frames: u64,
    /// Bytes at the end of the log whose write had not finished; a start cuts them off.
    pub torn_bytes: u64,
    /// Damage; empty when there is none.
    pub findings: Vec<Finding>,
}

/// Reads everything in `dir` and compares it with its checksums: all blocks, exemplars and
/// metadata, and the log unless another process has the directory.
///
/// # Errors
/// `not_found` when it is no data directory; damage is in the result.
pub fn verify(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Verified> {
    let layout = Layout::new(dir);
    let mut verified = Verified {
        blocks: 0,
        samples: 0,
        bytes: 0,
        log: LogState::Absent,
        log_frames: 0,
        torn_bytes: 0,
        findings: Vec::new(),
    };
    match layout.read_format(&**disk) {
        Err(error) if error.code() == ErrorCode::NotFound => return Err(error),
        Err(error) => verified.findings.push(Finding::from(&error)),
        Ok(_) => {}
    }
    for dir in block::list(&**disk, &layout.blocks)? {
        let checked = Block::open(disk.clone(), &dir).and_then(|block| {
            block.verify()?;
            Ok(block)
        });
        match checked {
            Ok(block) => {
                verified.blocks += 1;
                verified.samples += block.meta().counts.samples;
                verified.bytes += block.bytes();
            }
            Err(error) if went(&**disk, &dir, &error) => {}
            Err(error) => verified.findings.push(Finding::from(&error)),
        }
    }
    if let Err(error) = TombstoneList::read(&**disk, &layout.blocks) {
        verified.findings.push(Finding::from(&error));
    }
    match layout.saved.contents(&**disk) {
        Ok(files) => {
            verified.bytes += files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>()
        }
        Err(error) => verified.findings.push(Finding::from(&error)),
    }
    verify_log(&**disk, &layout, &mut verified)?;
    Ok(verified)
}

/// Reads the checkpoint of the head, if there is one, and decodes every chunk that it names.
fn verify_checkpoint(disk: &dyn Disk, layout: &Layout) -> Result<()> {
    if !disk.exists(&layout.head) {
        return Ok(());
    }
    let Some(mut checkpoint) = Checkpoint::open(disk, &layout.head)? else { return Ok(()) };
    checkpoint.open_files(disk, &layout.head)?;
    (0..checkpoint.slices())
        .try_for_each(|slice| checkpoint.read_slice(slice, &mut |series| series.verify()))
}

fn verify_log(disk: &dyn Disk, layout: &Layout, verified: &mut Verified) -> Result<()> {
    if !disk.exists(&layout.wal) {
        return Ok(());
    }
    // Held until the log was read: a server that starts meanwhile would change it.
    let _lock = match disk.lock_to_read(&layout.root) {
        Ok(lock) => lock,
        Err(error) if error.code() == ErrorCode::ReadOnly => {
            let in_use = error.message().contains("directory open");
            verified.log = if in_use { LogState::InUse } else { LogState::NotPermitted };
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    if let Err(error) = verify_checkpoint(disk, layout) {
        verified.findings.push(Finding::from(&error));
    }
    let read =
        wal::check(disk, &layout.wal, &mut |_, payload| record::decode(payload, &mut CheckRecords));
    match read {
        Ok(checked) => {
            verified.log = LogState::Read;
            verified.log_frames = checked.frames;
            verified.torn_bytes = checked.torn_bytes;
        }
        Err(error) => {
            verified.log = LogState::Damaged;
            verified.findings.push(Finding::from(&error));
        }
    }
    Ok(())
}

/// Looks at the records of a log and keeps nothing.
struct CheckRecords;

impl record::RecordVisitor for CheckRecords {
    fn series(&mut self, _: SeriesRef, _: TenantId, canonical: &[u8]) -> Result<()> {
        Labels::from_canonical(canonical).map(drop)
    }

    fn sample(&mut self, _: SeriesRef, _: Times, _: f64) -> Result<()> {
        Ok(())
    }

    fn histogram(&mut self, _: SeriesRef, _: Times, _: Histogram) -> Result<()> {
        Ok(())
    }

    fn exemplar(&mut self, _: ExemplarRecord<'_>) -> Result<()> {
        Ok(())
    }

    fn metadata(&mut self, _: MetadataRecord<'_>) -> Result<()> {
        Ok(())
    }

    fn tombstone(&mut self, encoded: &[u8]) -> Result<()> {
        Tombstone::decode(encoded).map(drop)
    }
}

/// A name, and how many series have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Count {
    /// The metric or the pair, as `name=value`.
    pub name: String,
    /// Series.
    pub series: u64,
}

/// A label name and its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelCount {
    /// The label name.
    pub name: String,
    /// Distinct values.
    pub values: u64,
    /// Series that have the label.
    pub series: u64,
}

/// What of a block's series no earlier block had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Churn {
    /// The block's window.
    pub start: TimestampMs,
    /// See `start`.
    pub end: TimestampMs,
    /// Its series.
    pub series: u64,
    /// Those that no block before it has.
    pub new_series: u64,
}

/// What is deleted in a block and takes its space until the block is written anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeletedIn {
    /// The block.
    pub ulid: String,
    /// Series with deleted samples.
    pub series: u64,
    /// Deleted samples.
    pub samples: u64,
}

/// What the blocks of a directory are made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// The blocks, by time.
    pub blocks: Vec<BlockInfo>,
    /// Bytes of all blocks.
    pub bytes: u64,
    /// Samples of all blocks.
    pub samples: u64,
    /// Distinct series.
    pub series: u64,
    /// Bytes a sample, everything included.
    pub bytes_per_sample: f64,
    /// Metrics by series.
    pub metrics: Vec<Count>,
    /// Label names by distinct values.
    pub labels: Vec<LabelCount>,
    /// Pairs of label and value, metric names apart, by series.
    pub pairs: Vec<Count>,
    /// One entry a block, by time.
    pub churn: Vec<Churn>,
    /// Deletes that blocks are read with. The other counts are of what is in the blocks.
    pub tombstones: u64,
    /// One entry for each block in which something is deleted, by time.
    pub deleted: Vec<DeletedIn>,
    /// Damage. A block that has some is left out, but for what was counted of it before.
    pub findings: Vec<Finding>,
}

/// Counts what the blocks in `dir` hold; lists are cut after `top` entries. What is in the log
/// alone is not counted. Costs memory for each distinct series and pair of label and value.
///
/// # Errors
/// As [`list`].
pub fn analyze(disk: &Arc<dyn Disk>, dir: &Path, top: usize) -> Result<Analysis> {
    let layout = Layout::new(dir);
    let mut counting = Counting::default();
    let (mut blocks, mut churn, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    let Listing { blocks: listed, mut findings } = list(&**disk, dir)?;
    let tombstones = TombstoneList::read(&**disk, &layout.blocks).unwrap_or_else(|error| {
        findings.push(Finding::from(&error));
        TombstoneList::default()
    });
    for info in listed {
        let path = layout.blocks.join(&info.ulid);
        let counted = Block::open(disk.clone(), &path)
            .and_then(|block| Ok((counting.add(block.clone())?, deleted_in(block, &tombstones)?)));
        match counted {
            Ok((new_series, gone)) => {
                let (start, end, series) = (info.start, info.end, info.series);
                churn.push(Churn { start, end, series, new_series });
                deleted.extend(gone);
                blocks.push(info);
            }
            Err(error) if went(&**disk, &path, &error) => {}
            Err(error) => findings.push(Finding::from(&error)),
        }
    }
    let bytes = blocks.iter().map(|block| block.bytes).sum();
    let samples: u64 = blocks.iter().map(|block| block.samples).sum();
    Ok(Analysis {
        bytes,
        samples,
        series: counting.series.len() as u64,
        bytes_per_sample: if samples > 0 { bytes as f64 / samples as f64 } else { 0.0 },
        metrics: counting.metrics(top),
        labels: counting.labels(top),
        pairs: counting.pairs(top),
        blocks,
        churn,
        tombstones: tombstones.len() as u64,
        deleted,
        findings,
    })
}

fn deleted_in(block: Arc<Block>, tombstones: &TombstoneList) -> Result<Option<DeletedIn>> {
    let ulid = block.meta().ulid.to_string();
    let seen = HiddenBlock::new(block, tombstones.iter().cloned(), None, None);
    let (series, samples) = seen.count_deleted()?;
    Ok((samples > 0).then_some(DeletedIn { ulid, series, samples }))
}

/// Series and pairs that were seen.
#[derive(Default)]
struct Counting {
    dictionary: Dictionary,
    /// Hashes of the label sets.
    series: HashSet<u128>,
    /// Series of each pair of name and value.
    pairs: HashMap<(u32, u32), u64>,
}

impl Counting {
    /// Adds the series of a block and returns how many are new.
    fn add(&mut self, block: Arc<Block>) -> Result<u64> {
        let scope = Scope { tenant: block.meta().tenant, matchers: Vec::new() };
        let request = SelectRequest { scope, matchers: Vec::new(), range: TimeRange::ALL };
        let mut selection = block.select(&request)?;
        let (mut ids, mut bytes, mut new) = (Vec::new(), Vec::new(), 0);
        for index in 0..selection.len() {
            ids.clear();
            selection.labels(index, &mut self.dictionary, &mut ids)?;
            bytes.clear();
            bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            if !self.series.insert(xxh3_128(&bytes)) {
                continue;
            }
            new += 1;
            for pair in ids.chunks_exact(2) {
                *self.pairs.entry((pair[0], pair[1])).or_default() += 1;
            }
        }
        Ok(new)
    }

    fn metrics(&self, top: usize) -> Vec<Count> {
        self.counts(top, |name| name == METRIC_NAME, |_, value| value.to_owned())
    }

    fn pairs(&self, top: usize) -> Vec<Count> {
        let text = |name: &str, value: &str| format!("{name}={value}");
        self.counts(top, |name| name != METRIC_NAME, text)
    }

    fn counts(
        &self,
        top: usize,
        wanted: impl Fn(&str) -> bool,
        text: impl Fn(&str, &str) -> String,
    ) -> Vec<Count> {
        let named = |((name, value), series): (&(u32, u32), &u64)| {
            let (name, value) = (self.dictionary.text(*name), self.dictionary.text(*value));
            (name, value, *series)
        };
        let mut found: Vec<_> =
            self.pairs.iter().map(named).filter(|(name, ..)| wanted(name)).collect();
        found.sort_by(|a, b| b.2.cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
        found.truncate(top);
        found.into_iter().map(|(n, v, series)| Count { name: text(n, v), series }).collect()
    }

    fn labels(&self, top: usize) -> Vec<LabelCount> {
        let mut by_name: HashMap<u32, (u64, u64)> = HashMap::new();
        for ((name, _), series) in &self.pairs {
            let count = by_name.entry(*name).or_default();
            *count = (count.0 + 1, count.1 + series);
        }
        let mut found: Vec<_> = by_name
            .into_iter()
            .map(|(name, (values, series))| LabelCount {
                name: self.dictionary.text(name).to_owned(),
                values,
                series,
            })
            .collect();
        found.sort_by(|a, b| b.values.cmp(&a.values).then(a.name.cmp(&b.name)));
        found.truncate(top);
        found
    }
}
