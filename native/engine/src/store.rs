//! What the parts of an open engine share: the store as one value, built once by `engine.rs`.

use crate::block::meta::Meta;
use crate::block::tombstones::TombstoneList;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::options::Options;
use crate::read::view::{OlderViews, View};
use crate::recover::Layout;
use crate::retention::RetentionPolicy;
use crate::stats::Counters;
use crate::sync::{Arc, ArcSwap, Mutex};
use crate::wal::Wal;

/// Most sentences that wait for somebody to take them; an embedder may never. Those of the blocks
/// that were damaged first say most about the cause.
const QUARANTINED_MAX: usize = 1000;

/// What the parts of an open engine share.
pub struct Store {
    /// Options.
    pub options: Options,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where things are.
    pub layout: Layout,
    /// The head.
    pub head: Arc<Head>,
    /// The log.
    pub wal: Arc<Wal>,
    /// What a reader sees. Written by the log thread at a rotation and by the background threads;
    /// `replaced` orders them.
    pub view: ArcSwap<View>,
    /// What the file of tombstones says; held while it is replaced, so that it is by one thread at
    /// a time.
    pub saved_tombstones: Mutex<Arc<TombstoneList>>,
    /// How long samples are kept.
    pub retention: Arc<RetentionPolicy>,
    /// The views that `view` had and that may still have readers.
    pub replaced: Mutex<OlderViews>,
    /// Held by whoever takes blocks away, from the look at the view until the blocks have left it
    /// and what replaces them is on disk: so a block that somebody else dropped meanwhile does not
    /// come back in another. The log thread and readers never take it.
    pub removal: Mutex<()>,
    /// Counters.
    pub counters: Counters,
    /// The last failure of background work.
    pub last_failure: Mutex<Option<String>>,
    /// Sentences about blocks that were set aside, until somebody takes them.
    pub quarantined: Mutex<Vec<String>>,
}

impl Store {
    /// Replaces the view; returns all earlier ones that may still have readers.
    pub fn replace_view(&self, change: impl FnOnce(&View) -> View) -> OlderViews {
        let mut replaced = self.replaced.lock();
        let old = self.view.load_full();
        self.view.store(Arc::new(change(&old)));
        replaced.add(&old);
        replaced.clone()
    }

    /// Makes durable what the view says is deleted in blocks. To be done before anything is
    /// published that lets a start skip a part of the log: the tombstones there are then in the
    /// file alone.
    ///
    /// # Errors
    /// Those of the disk; the deletes stay in the view and in the log, and the next call tries
    /// again.
    pub fn save_tombstones(&self) -> Result<()> {
        let mut saved = self.saved_tombstones.lock();
        let wanted = self.view.load().tombstones.clone();
        if !Arc::ptr_eq(&saved, &wanted) {
            wanted.publish(&*self.disk, &self.layout.blocks)?;
            *saved = wanted;
        }
        Ok(())
    }

    /// Forgets the tombstones that no block needs any more. A generation that ended and is not yet
    /// in a block may need any of them.
    pub fn drop_spent_tombstones(&self) {
        let spent = |view: &View| {
            let metas: Vec<&Meta> = view.blocks.iter().map(|block| block.meta()).collect();
            (view.from == view.to).then(|| view.tombstones.needed_by(&metas)).flatten()
        };
        if spent(&self.view.load()).is_none() {
            return;
        }
        self.replace_view(|view| match spent(view) {
            Some(needed) => view.with_tombstones(Arc::new(needed)),
            None => view.clone(),
        });
        // Until they are out of the file, they only hide what is not there.
        if let Err(error) = self.save_tombstones() {
            self.note_failure(&error);
        }
    }

    /// Keeps a failure of background work for whoever asks for the status.
    pub fn note_failure(&self, error: &Error) {
        *self.last_failure.lock() = Some(error.to_string());
    }

    /// Keeps the sentence about a block that was set aside, for the status and for the log.
    pub fn note_quarantined(&self, sentence: String) {
        let mut waiting = self.quarantined.lock();
        if waiting.len() < QUARANTINED_MAX {
            waiting.push(sentence.clone());
        }
        drop(waiting);
        *self.last_failure.lock() = Some(sentence);
    }
}
