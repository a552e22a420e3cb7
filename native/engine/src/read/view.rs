//! A view: the blocks and the head generations that together are the store at one instant.

use crate::block::Block;
use crate::head::Head;
use crate::head::snapshot::HeadSource;
use crate::refs::Generation;
use crate::sample::TimeRange;
use crate::source::SeriesSource;
use crate::sync::Arc;

/// Immutable; publishing a block replaces the view in one step, so a reader that holds one neither
/// misses nor doubles a sample. What it names stays readable for as long as it is held.
#[derive(Clone)]
pub struct View {
    /// In the order of their writes: see [`crate::block::meta::Meta::write_order`].
    pub blocks: Vec<Arc<Block>>,
    /// The oldest generation that is not in a block.
    pub from: Generation,
    /// The generation that is being written.
    pub to: Generation,
}

impl View {
    /// The sources that may hold a sample of `range`, oldest write first.
    pub fn sources(&self, head: &Arc<Head>, range: TimeRange) -> Vec<Arc<dyn SeriesSource>> {
        let mut sources: Vec<Arc<dyn SeriesSource>> = Vec::new();
        for block in &self.blocks {
            if block.time_range().overlaps(&range) {
                sources.push(block.clone());
            }
        }
        sources.push(Arc::new(HeadSource::new(head.clone(), self.from, self.to)));
        sources
    }

    /// The same with other blocks.
    #[must_use]
    pub fn with_blocks(&self, mut blocks: Vec<Arc<Block>>) -> Self {
        blocks.sort_by_key(|b| b.meta().write_order());
        Self { blocks, ..self.clone() }
    }
}
