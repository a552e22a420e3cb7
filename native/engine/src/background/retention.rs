//! Retention: from time to time, blocks that are too old leave the view and then the disk.

use std::time::{Duration, Instant};

use crate::block;
use crate::compact::retention;
use crate::store::Store;
use crate::sync::{Arc, Ordering};

/// When retention looks next, and at what.
pub struct Retention {
    store: Arc<Store>,
    next: Instant,
}

impl Retention {
    /// The first look is due at once.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, next: Instant::now() }
    }

    /// Drops what has expired, if it is time to look.
    pub fn step(&mut self) {
        if self.next <= Instant::now() {
            let every = Duration::from_millis(self.store.options.retention_interval_ms);
            self.next = Instant::now() + every;
            self.drop_expired();
        }
    }

    /// Drops blocks that are older than retention.
    fn drop_expired(&self) {
        let store = &self.store;
        let _alone = store.removal.lock();
        let view = store.view.load_full();
        let metas: Vec<_> = view.blocks.iter().map(|b| b.meta()).collect();
        let newest = store.head.counters().newest_ever.load(Ordering::Relaxed);
        let now_ms = store.clock.now_ms().min(newest);
        let expired = retention::expired(&metas, now_ms, store.options.retention_ms);
        if expired.is_empty() {
            return;
        }
        let gone: Vec<_> =
            view.blocks.iter().filter(|b| expired.contains(&b.meta().ulid)).cloned().collect();
        drop(view);
        store.replace_view(|view| view.without(&expired));
        for block in gone {
            match block::remove(&*store.disk, &store.layout.blocks, block.meta().ulid) {
                Ok(()) => store.counters.blocks_dropped.fetch_add(1, Ordering::Relaxed),
                Err(error) => {
                    store.note_failure(&error);
                    0
                }
            };
        }
    }
}
