//! Cleaning: which block is written anew without what is deleted or has expired in it.
//!
//! Compaction leaves out what is deleted in the blocks that it merges. A block that is not merged
//! any more is written anew for its own sake when somebody asks for it, or once all that it has of
//! the series under a rule of retention has expired.

use crate::block::Block;
use crate::block::meta::Meta;
use crate::compact::retention::to_rewrite;
use crate::error::Result;
use crate::read::view::View;
use crate::refs::Position;
use crate::sync::Arc;

/// The first block in which something is deleted by a tombstone at or before `up_to`.
pub fn with_tombstones(view: &View, up_to: Position) -> Option<Arc<Block>> {
    let concerned = view.blocks.iter().find(|block| {
        let mut wanted = view.tombstones.iter().filter(|placed| placed.position <= up_to);
        wanted.any(|placed| placed.concerns(block.meta()))
    });
    concerned.cloned()
}

/// The first block that has series whose samples have all expired, among others.
///
/// # Errors
/// `corruption`.
pub fn with_expired(view: &View) -> Result<Option<Arc<Block>>> {
    let Some(horizon) = &view.horizon else { return Ok(None) };
    let metas: Vec<&Meta> = view.blocks.iter().map(|block| block.meta()).collect();
    let partly = to_rewrite(&metas, horizon, |block, class| view.has_class(block, class))?;
    Ok(partly.map(|block| view.blocks[block].clone()))
}
