//! Which blocks of a directory count, and from where on the log is read again.
//!
//! In this order, each step safe to be interrupted and repeated:
//! - A block that a merged block names as its source is superseded: the process stopped between the
//!   publication of the merged one and the removal of its sources.
//! - Flushes follow one another, and only blocks of finished ones are merged. So only the last
//!   flush can be unfinished, if no merged block reaches as far: a part of it is missing although
//!   its log is still there, or the checkpoint in whose favour the log was cut. Its blocks are
//!   removed; checkpoint and log have their samples.
//! - A damaged block leaves the store, for the quarantine. While the log still has all that was
//!   written since the block's first write, and what is older is in other blocks, all of that is
//!   read from the log again, in place of the blocks that have it. Otherwise the block's samples
//!   are missing, and the operator is told.

use std::collections::HashSet;
use std::path::PathBuf;

use super::Layout;
use crate::block::meta::Meta;
use crate::block::{self, Block, META_FILE, quarantine};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::head::checkpoint::Info;
use crate::refs::Position;
use crate::sync::Arc;

/// The outcome.
pub struct Settled {
    /// The blocks that count, in the order of their writes.
    pub blocks: Vec<Arc<Block>>,
    /// The log position up to which everything is in blocks.
    pub flushed: Position,
    /// A sentence for each block that was set aside.
    pub quarantined: Vec<String>,
}

/// A block that does not open.
struct Damaged {
    dir: PathBuf,
    error: Error,
    /// Its description, where that is whole.
    meta: Option<Meta>,
}

/// Opens the blocks of a directory whose log begins at `logged` and whose checkpoint, if there is
/// one, is `checkpoint`, and brings them in order.
///
/// # Errors
/// `corruption` for a block of a newer format; those of the disk.
pub fn settle(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    logged: Option<Position>,
    checkpoint: Option<Info>,
) -> Result<Settled> {
    block::sweep(&**disk, &layout.blocks)?;
    // What is seen must not vanish after something else was removed for its sake.
    disk.sync_dir(&layout.blocks)?;
    let (mut blocks, mut damaged) = open_all(disk, layout)?;
    remove_superseded(&**disk, layout, &mut blocks, &mut damaged)?;
    blocks.sort_by_key(|block| block.meta().write_order());
    let replay_from = replay_start(&blocks, &damaged, logged, checkpoint);
    if let Some(start) = replay_from {
        // The latest first: what is left when this is interrupted leads to the same start again.
        while let Some(at) = blocks.iter().rposition(|block| block.meta().log.from >= start) {
            block::remove(&**disk, &layout.blocks, blocks[at].meta().ulid)?;
            blocks.remove(at);
        }
    }
    let mut quarantined = Vec::new();
    for one in damaged {
        let from = first_write(&one, logged);
        let replayed = replay_from.is_some_and(|start| from.is_some_and(|from| start <= from));
        quarantined.push(one.set_aside(&**disk, layout, replayed)?);
    }
    let flushed = blocks.iter().map(|block| block.meta().log.to).max().unwrap_or_default();
    Ok(Settled { blocks, flushed, quarantined })
}

fn open_all(disk: &Arc<dyn Disk>, layout: &Layout) -> Result<(Vec<Arc<Block>>, Vec<Damaged>)> {
    let (mut blocks, mut damaged) = (Vec::new(), Vec::new());
    for dir in block::list(&**disk, &layout.blocks)? {
        match Block::open(disk.clone(), &dir) {
            Ok(block) => blocks.push(block),
            Err(error) if quarantine::is_damage(&error) => {
                let path = dir.join(META_FILE);
                let meta = disk.read(&path).and_then(|text| Meta::decode(&path, &text)).ok();
                damaged.push(Damaged { dir, error, meta });
            }
            Err(error) => return Err(error),
        }
    }
    Ok((blocks, damaged))
}

fn remove_superseded(
    disk: &dyn Disk,
    layout: &Layout,
    blocks: &mut Vec<Arc<Block>>,
    damaged: &mut Vec<Damaged>,
) -> Result<()> {
    let superseded: HashSet<_> =
        blocks.iter().flat_map(|block| block.meta().compaction.sources.clone()).collect();
    let dirs: HashSet<PathBuf> =
        superseded.iter().map(|ulid| layout.blocks.join(ulid.to_string())).collect();
    for ulid in &superseded {
        if disk.exists(&layout.blocks.join(ulid.to_string())) {
            block::remove(disk, &layout.blocks, *ulid)?;
        }
    }
    blocks.retain(|block| !superseded.contains(&block.meta().ulid));
    damaged.retain(|block| !dirs.contains(&block.dir));
    Ok(())
}

/// Where the log is read from, if that is before the end of the last block: from the first write of
/// the earliest block that is damaged or belongs to an unfinished flush, and that the log still
/// holds with all that came later.
fn replay_start(
    blocks: &[Arc<Block>],
    damaged: &[Damaged],
    logged: Option<Position>,
    checkpoint: Option<Info>,
) -> Option<Position> {
    let mut starts: Vec<Position> = damaged
        .iter()
        .filter_map(|one| first_write(one, logged))
        .filter(|from| logged.is_some_and(|logged| logged <= *from))
        .collect();
    starts.extend(unfinished_flush(blocks, logged, checkpoint));
    starts.sort_unstable();
    // A block that holds older and younger writes would make later starts skip what is read now.
    let is_clean = |start: &Position| {
        blocks.iter().all(|block| block.meta().log.from >= *start || block.meta().log.to <= *start)
    };
    starts.into_iter().find(is_clean)
}

/// Where the first write of a damaged block may be: the beginning of the log, where the block does
/// not say.
fn first_write(block: &Damaged, logged: Option<Position>) -> Option<Position> {
    block.meta.as_ref().map(|meta| meta.log.from).or(logged)
}

/// Where the log of the last flush begins, if that flush was interrupted.
fn unfinished_flush(
    blocks: &[Arc<Block>],
    logged: Option<Position>,
    checkpoint: Option<Info>,
) -> Option<Position> {
    let end = blocks.iter().map(|block| block.meta().log.to).max()?;
    let last: Vec<&Meta> =
        blocks.iter().map(|block| block.meta()).filter(|meta| meta.log.to == end).collect();
    let start = last.iter().map(|meta| meta.log.from).min()?;
    // A finished flush cuts the log, and then its checkpoint goes. One of all that was written may
    // have cut as far before: as long as it is there, nothing proves that the flush was finished.
    let in_log = logged.is_some_and(|logged| logged < end);
    let in_checkpoint = checkpoint.is_some_and(|Info { from, replay_from, .. }| {
        (start..end).contains(&from) && logged.is_none_or(|logged| logged <= replay_from)
    });
    if !(in_log || in_checkpoint) || last.iter().any(|meta| meta.compaction.level > 1) {
        return None;
    }
    let parts = last.iter().map(|meta| meta.flush.parts).max()?;
    let complete = (0..parts).all(|part| last.iter().any(|meta| meta.flush.part == part));
    if complete { None } else { Some(start) }
}

impl Damaged {
    /// Moves it to the quarantine; returns the sentence for the operator.
    fn set_aside(self, disk: &dyn Disk, layout: &Layout, replayed: bool) -> Result<String> {
        let place = quarantine::set_aside(disk, &self.dir, &layout.quarantine, &self.error)?;
        let samples = match (&self.meta, replayed) {
            (Some(_), true) => "its samples were read from the log again".to_owned(),
            (None, true) => {
                "of its samples those that the log still has were read again".to_owned()
            }
            (Some(meta), false) => quarantine::missing(meta),
            (None, false) => "its samples are missing".to_owned(),
        };
        Ok(quarantine::sentence(&self.dir, Ok(&place), &samples, &self.error))
    }
}

#[cfg(test)]
mod tests;
