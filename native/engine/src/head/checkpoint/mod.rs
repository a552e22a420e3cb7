//! Checkpoints: the head's series and their samples in a file, so that a start reads it and a short
//! log instead of hours of log.
//!
//! ```text
//! contents.rs  the samples of one series as bytes, and back
//! writer.rs    slices of series, captured one after the other, to a new checkpoint
//! reader.rs    a checkpoint to series, any number of slices at a time
//! ```
//!
//! A checkpoint holds the active generation, and is taken only while no other waits to be flushed.
//! It consists of slices, runs of slots of one shard, each captured on the log thread between two
//! writes: a slice holds exactly what the log up to its *position* says of its series. That a shard
//! has no slots any more is noted at a position, too. A replay begins at the lowest of these
//! positions and leaves out what a slice has. Before a checkpoint
//! appears, the log is durable up to the highest of them.
//!
//! Full chunks are not in the checkpoint but in the chunk files that it names
//! ([`crate::head::chunk_file`]); only those that were sealed since the last one are inline.
//! `FORMAT.md` draws the bytes.

mod contents;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use reader::{Checkpoint, RestoredSeries};
pub use writer::{Captured, CheckpointWriter};

use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::disk::sections::FileKind;
use crate::error::{ErrorCode, Result};
use crate::refs::Position;
use crate::sample::TimestampMs;

/// The frame of a checkpoint.
const CHECKPOINT_KIND: FileKind = FileKind { magic: *b"MSTRckpt", version: 1 };
/// Its name in the head's directory.
const CHECKPOINT_FILE: &str = "checkpoint";

/// Slots in a slice: the log thread captures one in less than a millisecond.
pub const SLICE_SLOTS: usize = 2048;

/// The sections of a checkpoint. The numbers are on disk.
mod section {
    /// The slices, one after the other.
    pub(super) const SERIES: u32 = 1;
    /// The texts of the labels.
    pub(super) const SYMBOLS: u32 = 2;
    /// Where the slices are.
    pub(super) const SLICES: u32 = 3;
    /// The numbers of the chunk files.
    pub(super) const FILES: u32 = 4;
    /// [`super::Info`] and counts.
    pub(super) const INFO: u32 = 5;
}

/// What a checkpoint is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// The log position after which its generation begins.
    pub from: Position,
    /// The lowest position at which slots were looked at: the replay begins after it.
    pub replay_from: Position,
    /// The highest of these positions: later writes go to higher ones.
    pub covered_to: Position,
    /// Newest sample time of the generation.
    pub newest: TimestampMs,
    /// Newest sample time of the generation when it got its first samples.
    pub first_newest: TimestampMs,
    /// Samples of the generation, about.
    pub samples: u64,
}

/// Where the checkpoint of the head's directory `dir` is.
fn path(dir: &Path) -> PathBuf {
    dir.join(CHECKPOINT_FILE)
}

/// Removes the checkpoint; that there is none is no error.
///
/// # Errors
/// Those of the disk.
pub fn remove(disk: &dyn Disk, dir: &Path) -> Result<()> {
    match disk.remove_file(&path(dir)) {
        Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => disk.sync_dir(dir),
    }
}
