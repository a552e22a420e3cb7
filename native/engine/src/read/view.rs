//! A view: the blocks and the head generations that together are the store at one instant.

use ulid::Ulid;

use crate::block::Block;
use crate::block::hidden::HiddenBlock;
use crate::block::tombstones::TombstoneList;
use crate::error::Result;
use crate::head::Head;
use crate::head::snapshot::HeadSource;
use crate::read::watch::{Watch, WatchedBlock};
use crate::refs::Generation;
use crate::retention::Horizon;
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
    /// What is deleted in the blocks and not yet out of them.
    pub tombstones: Arc<TombstoneList>,
    /// What has expired in the blocks and is not to be seen, where retention has rules.
    pub horizon: Option<Arc<Horizon>>,
    /// `blocks`, one by one, as readers see them.
    pub visible: Vec<Arc<HiddenBlock>>,
    /// Who hears when a reader finds that a block is damaged.
    pub watch: Watch,
}

impl View {
    /// A view of nothing, whose head begins and is written at these generations.
    pub fn new(from: Generation, to: Generation) -> Self {
        Self {
            blocks: Vec::new(),
            from,
            to,
            tombstones: Arc::default(),
            horizon: None,
            visible: Vec::new(),
            watch: Watch::default(),
        }
    }

    /// The sources that may hold a sample of `range`, oldest write first. What is deleted is left
    /// out of them.
    pub fn sources(&self, head: &Arc<Head>, range: TimeRange) -> Vec<Arc<dyn SeriesSource>> {
        let mut sources: Vec<Arc<dyn SeriesSource>> = Vec::new();
        for visible in &self.visible {
            if visible.time_range().overlaps(&range) {
                sources.push(Arc::new(WatchedBlock {
                    block: visible.block().clone(),
                    source: readable(visible),
                    watch: self.watch.clone(),
                }));
            }
        }
        sources.push(Arc::new(HeadSource::new(head.clone(), self.from, self.to)));
        sources
    }

    /// Whether block `block` of the view has series under rule `class` of the retention: see
    /// [`HiddenBlock::has_class`].
    ///
    /// # Errors
    /// `corruption`.
    pub fn has_class(&self, block: usize, class: usize) -> Result<bool> {
        let visible = &self.visible[block];
        self.watch.see(visible.block(), visible.has_class(class))
    }

    /// One of its blocks without what is deleted in it, for whoever writes it anew, and sees to it
    /// that a damaged one is set aside.
    pub fn source_of(&self, block: &Arc<Block>) -> Arc<dyn SeriesSource> {
        let found = self.visible.iter().find(|visible| Arc::ptr_eq(visible.block(), block));
        found.map_or_else(|| block.clone() as Arc<dyn SeriesSource>, readable)
    }

    /// The same without some of its blocks.
    #[must_use]
    pub fn without(&self, blocks: &[Ulid]) -> Self {
        let kept = self.blocks.iter().filter(|block| !blocks.contains(&block.meta().ulid));
        Self { blocks: kept.cloned().collect(), ..self.clone() }.refreshed()
    }

    /// The same with other blocks.
    #[must_use]
    pub fn with_blocks(&self, mut blocks: Vec<Arc<Block>>) -> Self {
        blocks.sort_by_key(|b| b.meta().write_order());
        Self { blocks, ..self.clone() }.refreshed()
    }

    /// The same with other tombstones.
    #[must_use]
    pub fn with_tombstones(&self, tombstones: Arc<TombstoneList>) -> Self {
        Self { tombstones, ..self.clone() }.refreshed()
    }

    /// The same at another horizon.
    #[must_use]
    pub fn with_horizon(&self, horizon: Horizon) -> Self {
        Self { horizon: Some(Arc::new(horizon)), ..self.clone() }.refreshed()
    }

    /// The same with somebody who hears of damaged blocks.
    #[must_use]
    pub fn with_watch(self, watch: Watch) -> Self {
        Self { watch, ..self }
    }

    /// With `visible` as the other members want it; what was looked up before is kept.
    fn refreshed(self) -> Self {
        let see = |block: &Arc<Block>| {
            let before = self.visible.iter().find(|visible| Arc::ptr_eq(visible.block(), block));
            let tombstones = self.tombstones.iter().cloned();
            let horizon = self.horizon.clone();
            let before = before.map(AsRef::as_ref);
            Arc::new(HiddenBlock::new(block.clone(), tombstones, horizon, before))
        };
        let visible = self.blocks.iter().map(see).collect();
        Self { visible, ..self }
    }
}

fn readable(visible: &Arc<HiddenBlock>) -> Arc<dyn SeriesSource> {
    if visible.is_transparent() { visible.block().clone() } else { visible.clone() }
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
        let view = || Arc::new(View::new(Generation(0), Generation(1)));
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
