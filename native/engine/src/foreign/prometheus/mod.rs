//! Prometheus' data directory, in both directions.
//!
//! ```text
//! <dir>/<ULID>/meta.json     what a block is                      block.rs
//!              index         symbols, series, postings            index.rs, index_writer.rs
//!              chunks/000001 samples                              chunks.rs, float_chunk.rs,
//!                                                                 histogram_chunk.rs, varbit.rs,
//!                                                                 histogram_writer.rs,
//!                                                                 varbit_writer.rs
//!              tombstones    deleted ranges                       tombstones.rs
//! <dir>/wal/                 what is in no block yet, in order    head.rs, log.rs, record.rs
//! <dir>/wbl/                 what came out of order               head.rs
//! ```
//!
//! Source: Prometheus 3.14, `tsdb/docs/format/`, and where that is silent `tsdb/index/index.go`,
//! `tsdb/chunkenc`, `tsdb/record/record.go`, `tsdb/wlog/reader.go`. Numbers are big-endian, varints
//! those of protocol buffers, checksums CRC32C. Whatever is not as it should be is `corruption`
//! with file and offset: half of somebody's history is worse than an error.

pub mod block;
pub mod block_writer;
mod bytes;
mod chunks;
pub mod float_chunk;
pub mod head;
pub mod histogram_chunk;
mod histogram_writer;
mod index;
mod index_writer;
mod log;
mod record;
mod tombstones;
mod varbit;
mod varbit_writer;

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::{Error, ErrorCode, Result};
use crate::histogram::Histogram;
use crate::sample::{TimeRange, Times, TimestampMs};

/// What a source held that is not handed on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Samples that a tombstone covers.
    pub deleted: u64,
    /// Samples of the log whose series it does not name any more; Prometheus drops them, too.
    pub unnamed: u64,
    /// Exemplars of the log.
    pub exemplars: u64,
    /// Metadata entries of the log.
    pub metadata: u64,
}

/// Samples of a series. Those of a block ascend in time; those of a log are in the order in which
/// they came.
#[derive(Debug, Default)]
pub struct Samples {
    /// The times of the floats.
    pub timestamps: Vec<Times>,
    /// The floats.
    pub values: Vec<f64>,
    /// The histograms, not validated.
    pub histograms: Vec<(Times, Histogram)>,
}

impl Samples {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histograms.clear();
    }

    /// Takes the samples that lie in one of `ranges` out, and returns how many.
    fn delete(&mut self, ranges: &[TimeRange]) -> u64 {
        if ranges.is_empty() {
            return 0;
        }
        let before = self.len();
        let keep = |t: TimestampMs| !ranges.iter().any(|range| range.contains(t));
        let mut kept = self.timestamps.iter().map(|at| keep(at.t));
        self.values.retain(|_| kept.next().unwrap_or(true));
        self.timestamps.retain(|at| keep(at.t));
        self.histograms.retain(|(at, _)| keep(at.t));
        (before - self.len()) as u64
    }
}

/// Takes samples of a series: its labels as the source has them, in the encoding of canonical ones,
/// and what it has.
pub type Sink<'a> = dyn FnMut(&[u8], &mut Samples) -> Result<()> + 'a;

/// The blocks of a data directory, ascending by time, then name. A directory that is itself a block
/// is the only one.
///
/// # Errors
/// `not_found` when there is neither a block nor a log; `corruption`; those of the disk.
pub fn blocks(disk: &dyn Disk, dir: &Path) -> Result<Vec<block::Block>> {
    if disk.exists(&dir.join(block::META_FILE)) {
        return Ok(vec![block::Block::open(disk, dir)?]);
    }
    let mut blocks = Vec::new();
    for entry in disk.list(dir)? {
        // What Prometheus prepares or removes has a suffix; what is no block has no description.
        let path = dir.join(&entry.name);
        if entry.is_dir
            && ulid::Ulid::from_string(&entry.name).is_ok()
            && disk.exists(&path.join(block::META_FILE))
        {
            blocks.push(block::Block::open(disk, &path)?);
        }
    }
    if blocks.is_empty() && !disk.exists(&wal_dir(dir)) {
        let text = "no data of Prometheus: neither blocks nor a wal directory";
        return Err(Error::new(ErrorCode::NotFound, text).at(dir, None));
    }
    blocks.sort_by(|a, b| (a.meta.min_time, &a.dir).cmp(&(b.meta.min_time, &b.dir)));
    Ok(blocks)
}

fn wal_dir(dir: &Path) -> PathBuf {
    dir.join("wal")
}
