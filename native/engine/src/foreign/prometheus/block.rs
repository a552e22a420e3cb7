//! A block of Prometheus, to read: its description, and its samples series by series.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::chunks::ChunkDir;
use super::index::{Index, Series};
use super::tombstones::Tombstones;
use super::{LeftOut, Samples, Sink, float_chunk, histogram_chunk};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::sample::TimestampMs;

/// The description in a block's directory.
pub const META_FILE: &str = "meta.json";
/// The index.
pub const INDEX_FILE: &str = "index";
/// The directory of chunk segments.
pub const CHUNKS_DIR: &str = "chunks";
/// Deleted ranges.
pub const TOMBSTONES_FILE: &str = "tombstones";
/// The version of `meta.json`.
pub const META_VERSION: u32 = 1;

/// A compaction hint: the block was made of samples that came out of order.
const OUT_OF_ORDER_HINT: &str = "from-out-of-order";

/// What `meta.json` says; members that are not named here are not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The block's name.
    pub ulid: String,
    /// No sample is before.
    pub min_time: TimestampMs,
    /// Every sample is before.
    pub max_time: TimestampMs,
    /// Counts.
    #[serde(default)]
    pub stats: Stats,
    /// How it was made.
    #[serde(default)]
    pub compaction: Compaction,
    /// [`META_VERSION`].
    pub version: u32,
}

/// Counts of a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Stats {
    /// Samples.
    pub num_samples: u64,
    /// Those that are floats; not in blocks of older versions.
    pub num_float_samples: u64,
    /// Those that are native histograms; not in blocks of older versions.
    pub num_histogram_samples: u64,
    /// Series.
    pub num_series: u64,
    /// Chunks.
    pub num_chunks: u64,
}

/// How a block was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Compaction {
    /// 1 for a new block.
    pub level: u32,
    /// The blocks it was made of; itself for a new one.
    pub sources: Vec<String>,
    /// Remarks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// An open block.
pub struct Block {
    /// Its directory.
    pub dir: PathBuf,
    /// What it says of itself.
    pub meta: Meta,
    index: Index,
    chunks: ChunkDir,
    tombstones: Tombstones,
}

/// The time of the newest sample of all. A block's description gives only a bound, which may be
/// hours later.
///
/// # Errors
/// `corruption`.
pub fn newest_sample(blocks: &[Block]) -> Result<Option<TimestampMs>> {
    let mut by_end: Vec<&Block> = blocks.iter().collect();
    by_end.sort_by_key(|block| std::cmp::Reverse(block.meta.max_time));
    let mut newest = None;
    for block in by_end {
        if newest.is_some_and(|newest| newest >= block.meta.max_time) {
            break;
        }
        block.index.for_each(&mut |series| {
            newest = newest.max(series.chunks.last().map(|chunk| chunk.maxt));
            Ok(())
        })?;
    }
    Ok(newest)
}

/// Counts of what a visit saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Visited {
    /// Series.
    pub series: u64,
    /// Samples handed on.
    pub samples: u64,
    /// What was not.
    pub left_out: LeftOut,
}

impl Block {
    /// Opens the block in `dir`.
    ///
    /// # Errors
    /// `corruption`; those of the disk.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let path = dir.join(META_FILE);
        let meta: Meta = serde_json::from_slice(&disk.read(&path)?)
            .map_err(|cause| Error::corruption(&path, 0, format!("meta.json: {cause}")))?;
        if meta.version != META_VERSION {
            let text = format!("block version {}, want {META_VERSION}", meta.version);
            return Err(Error::corruption(&path, 0, text));
        }
        Ok(Self {
            index: Index::open(disk, &dir.join(INDEX_FILE))?,
            chunks: ChunkDir::open(disk, &dir.join(CHUNKS_DIR))?,
            tombstones: Tombstones::read(disk, &dir.join(TOMBSTONES_FILE))?,
            dir: dir.to_path_buf(),
            meta,
        })
    }

    /// Whether all of its samples came in order: the log repeats none of those.
    pub fn is_in_order(&self) -> bool {
        !self.meta.compaction.hints.iter().any(|hint| hint == OUT_OF_ORDER_HINT)
    }

    /// Hands on the samples of every series that no tombstone covers.
    ///
    /// # Errors
    /// `corruption`; those of `sink`.
    pub fn visit(&self, sink: &mut Sink<'_>) -> Result<Visited> {
        let mut visited = Visited::default();
        let mut samples = Samples::default();
        self.index.for_each(&mut |series| {
            visited.series += 1;
            samples.clear();
            self.read(series, &mut samples)?;
            visited.left_out.deleted += samples.delete(self.tombstones.of(series.reference));
            visited.samples += samples.len() as u64;
            if samples.is_empty() {
                return Ok(());
            }
            sink(&series.labels, &mut samples)
        })?;
        Ok(visited)
    }

    /// Reads the chunks of a series.
    fn read(&self, series: &Series, samples: &mut Samples) -> Result<()> {
        // Chunks do not overlap, whatever they hold.
        let mut last = None;
        for chunk in &series.chunks {
            let raw = self.chunks.get(chunk.reference)?;
            let place = self.chunks.place(chunk.reference);
            let (floats, histograms) = (samples.timestamps.len(), samples.histograms.len());
            let decoded = if histogram_chunk::is_histogram(raw.encoding) {
                histogram_chunk::decode(raw.encoding, raw.data, &mut samples.histograms)
            } else {
                let Samples { timestamps, values, .. } = samples;
                float_chunk::decode(raw.encoding, raw.data, timestamps, values)
            };
            decoded.map_err(|error| error.at(place.0, Some(place.1)))?;
            let times = samples.timestamps[floats..].iter();
            let times = times.chain(samples.histograms[histograms..].iter().map(|(at, _)| at));
            for t in times.map(|at| at.t) {
                if last >= Some(t) || t > chunk.maxt {
                    let text = "a chunk whose times do not ascend, or not as the index says";
                    return Err(Error::corruption(place.0, place.1, text));
                }
                last = Some(t);
            }
        }
        Ok(())
    }
}
