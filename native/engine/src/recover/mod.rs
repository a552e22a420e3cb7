//! Opening a data directory: lock, format version, blocks, then checkpoint and log into a head.
//!
//! ```text
//! layout.rs  places and the version of the directory
//! settle.rs  which blocks count, and which part of the log they hold
//! load.rs    a checkpoint into the head, by several threads
//! replay.rs  the log into the head, in a pipeline
//! ```
//!
//! A checkpoint counts unless blocks have all that it holds. A damaged one stops the start: the log
//! before it is cut as soon as it is durable. Deletes are in the log, and in a file for as long as
//! blocks need them.

mod layout;
mod load;
mod replay;
mod settle;

use std::path::Path;

pub use layout::{Format, Layout, create_durably};

use crate::block::Block;
use crate::block::tombstones::TombstoneList;
use crate::disk::{Disk, publish};
use crate::error::Result;
use crate::head::Head;
use crate::head::checkpoint::{Checkpoint, Info};
use crate::head::chunk_file;
use crate::refs::Position;
use crate::sync::{Arc, thread};
use crate::wal::{self, Recovered};
use settle::Settled;

/// Most threads that put samples into the head; more wait for the one that reads the log.
const THREADS_MAX: usize = 4;

/// What was found in a data directory.
pub struct Restored {
    /// The blocks, in the order of their writes.
    pub blocks: Vec<Arc<Block>>,
    /// The log position after which the active generation begins: blocks have what was before.
    pub flushed: Position,
    /// The number of the next chunk file of the head.
    pub next_file: u64,
    /// Whether there is a checkpoint of what blocks have.
    pub stale_checkpoint: bool,
    /// What is deleted in blocks.
    pub tombstones: Arc<TombstoneList>,
    /// What their file says: the same list, unless the log had more.
    pub saved_tombstones: Arc<TombstoneList>,
    /// A sentence for each block that was damaged and set aside now.
    pub quarantined: Vec<String>,
    /// What the replay found.
    pub log: Recovered,
}

/// Opens blocks, loads the checkpoint and replays the log into `head`.
///
/// # Errors
/// `corruption` with file and offset, `io`.
pub fn restore(disk: &Arc<dyn Disk>, layout: &Layout, head: &Head) -> Result<Restored> {
    let logged = wal::first_position(&**disk, &layout.wal)?;
    let found = Checkpoint::open(&**disk, &layout.head)?;
    let info = found.as_ref().map(Checkpoint::info);
    let Settled { blocks, flushed, quarantined } = settle::settle(disk, layout, logged, info)?;
    for block in &blocks {
        head.saw_time(block.meta().maxt);
    }
    publish::sweep(&**disk, &layout.root)?;
    layout.saved.restore(&**disk, head)?;
    let next_file = sweep_head(&**disk, &layout.head, found.as_ref())?;
    let there = found.is_some();
    let mut checkpoint = found.filter(|checkpoint| is_needed(checkpoint, flushed, logged));
    if let Some(checkpoint) = &mut checkpoint {
        checkpoint.open_files(&**disk, &layout.head)?;
    }
    let threads = thread::available_parallelism().map_or(2, usize::from).min(THREADS_MAX);
    let saved = Arc::new(TombstoneList::read(&**disk, &layout.blocks)?);
    let replay = replay::Replay { disk: &**disk, wal: &layout.wal, head, threads, saved: &saved };
    let (mut log, tombstones) = replay.run(checkpoint.as_ref(), flushed)?;
    // What a power loss took of a log that was not synced must not be written again below a
    // tombstone that survived it: a write after a delete would be taken for one before it.
    log.end = log.end.max(tombstones.newest());
    let stale_checkpoint = there && checkpoint.is_none();
    let flushed = checkpoint.map_or(flushed, |checkpoint| checkpoint.info().from);
    Ok(Restored {
        blocks,
        flushed,
        next_file,
        stale_checkpoint,
        tombstones,
        saved_tombstones: saved,
        quarantined,
        log,
    })
}

/// Whether a checkpoint has what neither blocks have nor retention dropped from them.
fn is_needed(checkpoint: &Checkpoint, flushed: Position, logged: Option<Position>) -> bool {
    let Info { from, replay_from, .. } = checkpoint.info();
    // Blocks before the checkpoint's generation may be damaged, and their log not cut yet: then it
    // has the generation, too.
    let log_is_whole = from > flushed && logged.is_some_and(|start| start <= flushed);
    // The log behind a checkpoint is cut only by a flush of what is in it.
    replay_from > flushed && logged.is_none_or(|start| start <= replay_from) && !log_is_whole
}

/// Removes what the head's directory holds beside `checkpoint` and its files; returns a number that
/// no chunk file has. Those of a checkpoint that blocks replace stay with it until the log says so
/// too: blocks may go, and then it counts again.
fn sweep_head(disk: &dyn Disk, dir: &Path, checkpoint: Option<&Checkpoint>) -> Result<u64> {
    publish::sweep(disk, dir)?;
    let needed = checkpoint.map_or(&[][..], Checkpoint::files);
    let found = chunk_file::list(disk, dir)?;
    for number in found.iter().filter(|number| !needed.contains(number)) {
        chunk_file::remove(disk, dir, *number)?;
    }
    Ok(found.last().map_or(1, |last| last + 1))
}
