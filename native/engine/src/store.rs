//! What the parts of an open engine share: the store as one value, built once by `engine.rs`.

use arc_swap::ArcSwap;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::error::Error;
use crate::head::Head;
use crate::options::Options;
use crate::read::view::{OlderViews, View};
use crate::recover::Layout;
use crate::stats::Counters;
use crate::sync::{Arc, Mutex};
use crate::wal::Wal;

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

    /// Keeps a failure of background work for whoever asks for the status.
    pub fn note_failure(&self, error: &Error) {
        *self.last_failure.lock() = Some(error.to_string());
    }
}
