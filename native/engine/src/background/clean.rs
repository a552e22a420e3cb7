//! Cleaning: blocks in which something is deleted are written anew without it, when somebody asks.
//! Compaction does the same to the blocks that it merges.

use super::Answer;
use crate::block::{self, Block};
use crate::compact::clean::Clean;
use crate::error::Result;
use crate::read::view::View;
use crate::refs::Position;
use crate::store::Store;
use crate::sync::{Arc, Ordering};

/// Who waits until what was deleted up to a position is out of the blocks.
struct Asked {
    up_to: Position,
    answer: Answer,
}

/// The cleaning that was asked for.
pub struct Cleaning {
    store: Arc<Store>,
    asked: Vec<Asked>,
}

impl Cleaning {
    /// Nothing to do yet.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, asked: Vec::new() }
    }

    /// Asks that everything that is deleted now leaves the blocks; `answer` is called when it has.
    pub fn ask(&mut self, answer: Answer) {
        let up_to = self.store.view.load().tombstones.newest();
        self.asked.push(Asked { up_to, answer });
    }

    /// Whether a step has something to do.
    pub fn is_busy(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Writes one block anew. When there is none left for those who asked, they are told.
    pub fn step(&mut self) {
        let Some(up_to) = self.asked.iter().map(|asked| asked.up_to).max() else { return };
        let view = self.store.view.load_full();
        let concerned = view.blocks.iter().find(|block| {
            let mut wanted = view.tombstones.iter().filter(|placed| placed.position <= up_to);
            wanted.any(|placed| placed.concerns(block.meta()))
        });
        let outcome = match concerned {
            Some(block) => match rewrite(&self.store, &view, block) {
                Ok(()) => return,
                Err(error) => {
                    self.store.note_failure(&error);
                    Err(error)
                }
            },
            None => {
                self.store.drop_spent_tombstones();
                Ok(())
            }
        };
        for asked in self.asked.drain(..) {
            (asked.answer)(outcome.clone());
        }
    }

    /// Tells those who wait that the engine closes.
    pub fn close(self) {
        for asked in self.asked {
            (asked.answer)(Err(super::closing()));
        }
    }
}

/// Replaces a block by one without what `view` knows to be deleted or expired in it.
///
/// # Errors
/// `disk_full` when there is no room for both, `corruption`, `io`; the old block is then still in
/// the view.
pub(super) fn rewrite(store: &Store, view: &View, block: &Arc<Block>) -> Result<()> {
    let clean = Clean {
        disk: store.disk.clone(),
        blocks_dir: store.layout.blocks.clone(),
        block: block.clone(),
        source: view.source_of(block),
        applied: view.tombstones.newest(),
        now_ms: store.clock.now_ms(),
    };
    let written = clean.run()?;
    store.replace_view(|view| {
        let others = view.blocks.iter().filter(|other| !Arc::ptr_eq(other, block));
        view.with_blocks(others.cloned().chain(written.clone()).collect())
    });
    store.counters.blocks_cleaned.fetch_add(1, Ordering::Relaxed);
    // The new one is published and names this one: what stays now, the next open removes.
    block::remove(&*store.disk, &store.layout.blocks, block.meta().ulid)
}
