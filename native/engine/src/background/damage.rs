//! Damaged blocks leave the store.
//!
//! Whoever finds that a block is damaged says which one it is: compaction by calling [`set_aside`],
//! readers through the view's [`Watch`], which wakes the thread "damage-0". That one does nothing
//! else, so that no query has to wait until a flush or a merge is done.
//!
//! A block may leave the view in another way before its turn comes: then nothing is to be done. A
//! merge that reads a block which is set aside meanwhile ends without publishing, since not all of
//! its sources are in the view any more.

use crate::block::Block;
use crate::block::quarantine::{self, missing};
use crate::error::{Error, ErrorCode, Result};
use crate::read::watch::Watch;
use crate::store::Store;
use crate::sync::channel::{Receiver, Sender};
use crate::sync::{Arc, Ordering, channel, thread};

/// What the thread is told. A block is reported once, so as many wait as there are damaged blocks.
enum Report {
    Damaged(Arc<Block>, Error),
    Stop,
}

/// Where readers leave their reports; there before the store is.
pub struct Inbox {
    reports: Sender<Report>,
    received: Receiver<Report>,
}

impl Inbox {
    /// An empty one.
    pub fn new() -> Self {
        let (reports, received) = channel::unbounded();
        Self { reports, received }
    }

    /// A watch that reports here.
    pub fn watch(&self) -> Watch {
        let reports = self.reports.clone();
        Watch::new(move |block, error| {
            // After the engine was closed, nobody sets anything aside.
            let _ = reports.send(Report::Damaged(block.clone(), error.clone()));
        })
    }

    /// Starts the thread that sets aside what is reported here.
    ///
    /// # Errors
    /// `io` when the system refuses a thread.
    pub fn serve(self, store: Arc<Store>) -> Result<DamageThread> {
        let Self { reports, received } = self;
        let thread = thread::Builder::new()
            .name("damage-0".to_owned())
            .spawn(move || {
                while let Ok(Report::Damaged(block, error)) = received.recv() {
                    if let Err(failure) = set_aside(&store, &block, &error) {
                        store.note_failure(&failure);
                    }
                }
            })
            .map_err(|e| Error::new(ErrorCode::Io, format!("cannot start a thread: {e}")))?;
        Ok(DamageThread { reports, thread: Some(thread) })
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// The handle that the engine keeps. Dropped, it waits until what was reported is done, and ends
/// the thread.
pub struct DamageThread {
    reports: Sender<Report>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for DamageThread {
    fn drop(&mut self) {
        let _ = self.reports.send(Report::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Takes `block`, which `error` says is damaged, out of the store; says whether it was still there.
/// From then on queries are answered without it, also when it cannot be moved: then the next start
/// finds it again.
///
/// # Errors
/// Those of the disk.
pub(super) fn set_aside(store: &Store, block: &Block, error: &Error) -> Result<bool> {
    let _alone = store.removal.lock();
    let meta = block.meta();
    if !store.view.load().blocks.iter().any(|known| known.meta().ulid == meta.ulid) {
        return Ok(false);
    }
    store.replace_view(|view| view.without(&[meta.ulid]));
    store.head.changes().lost();
    let place = quarantine::set_aside(&*store.disk, block.dir(), &store.layout.quarantine, error);
    let moved = place.as_ref().map(|place| &**place);
    store.note_quarantined(quarantine::sentence(block.dir(), moved, &missing(meta), error));
    place?;
    store.counters.blocks_quarantined.fetch_add(1, Ordering::Relaxed);
    Ok(true)
}
