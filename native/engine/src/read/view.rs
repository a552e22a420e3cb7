//! A view: the blocks and the head generations that together are the store at one instant.

use ulid::Ulid;

use crate::block::Block;
use crate::head::Head;
use crate::head::snapshot::HeadSource;
use crate::refs::Generation;
use crate::sample::TimeRange;
use crate::source::SeriesSource;
use crate::sync::{Arc, Weak};

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

    /// The same without some of its blocks.
    #[must_use]
    pub fn without(&self, blocks: &[Ulid]) -> Self {
        let kept = self.blocks.iter().filter(|block| !blocks.contains(&block.meta().ulid));
        Self { blocks: kept.cloned().collect(), ..self.clone() }
    }

    /// The same with other blocks.
    #[must_use]
    pub fn with_blocks(&self, mut blocks: Vec<Arc<Block>>) -> Self {
        blocks.sort_by_key(|b| b.meta().write_order());
        Self { blocks, ..self.clone() }
    }
}

/// Views that were replaced and may still have readers.
#[derive(Debug, Clone, Default)]
pub struct OlderViews(Vec<Weak<View>>);

impl OlderViews {
    /// Adds a view that was replaced, and forgets those that nobody reads any more.
    pub fn add(&mut self, replaced: &Arc<View>) {
        self.0.retain(|view| view.strong_count() > 0);
        self.0.push(Arc::downgrade(replaced));
    }

    /// Whether somebody still reads one of them. Once nobody does, nobody ever will.
    pub fn have_readers(&self) -> bool {
        self.0.iter().any(|view| view.strong_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_of_any_older_view_is_seen() {
        let view = || Arc::new(View { blocks: Vec::new(), from: Generation(0), to: Generation(1) });
        let (first, second) = (view(), view());
        let mut older = OlderViews::default();
        older.add(&first);
        older.add(&second);
        drop(second);
        assert!(older.have_readers(), "of the one before the last");
        drop(first);
        assert!(!older.have_readers());
    }
}
