//! Retention: from time to time, blocks that are too old or too many leave the view and then the
//! disk. What has expired in others is hidden; compaction writes them anew (`clean.rs`).

use std::time::Duration;

use ulid::Ulid;

use crate::block;
use crate::block::meta::Meta;
use crate::compact::retention;
use crate::error::Result;
use crate::store::Store;
use crate::sync::{Arc, Instant, Ordering};

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
        if self.next > Instant::now() {
            return;
        }
        let every = Duration::from_millis(self.store.options.retention_interval_ms);
        self.next = Instant::now() + every;
        if let Err(error) = self.enforce() {
            self.store.note_failure(&error);
        }
    }

    fn enforce(&self) -> Result<()> {
        let store = &self.store;
        let horizon = store.head.horizon(store.clock.now_ms());
        if !store.retention.rules().is_empty() {
            store.replace_view(|view| view.with_horizon(horizon.clone()));
            store.head.changes().expired(horizon.latest_cutoff().saturating_sub(1));
        }
        let _alone = store.removal.lock();
        let expired = {
            let view = store.view.load_full();
            let metas: Vec<&Meta> = view.blocks.iter().map(|block| block.meta()).collect();
            retention::expired(&metas, &horizon, |block, class| view.has_class(block, class))?
        };
        self.drop_blocks(&expired);
        self.drop_blocks(&self.oversized());
        Ok(())
    }

    fn oversized(&self) -> Vec<Ulid> {
        let store = &self.store;
        let limit = store.options.retention.size_bytes;
        if limit == 0 {
            return Vec::new();
        }
        let view = store.view.load_full();
        let sizes: Vec<_> = view.blocks.iter().map(|b| (b.meta(), b.bytes())).collect();
        let beside = store.wal.bytes() + store.counters.head_file_bytes.load(Ordering::Relaxed);
        retention::oversized(&sizes, beside, limit)
    }

    fn drop_blocks(&self, gone: &[Ulid]) {
        if gone.is_empty() {
            return;
        }
        let store = &self.store;
        let view = store.view.load_full();
        let leaving = view.blocks.iter().filter(|block| gone.contains(&block.meta().ulid));
        let newest = leaving.map(|block| block.meta().maxt).max();
        drop(view);
        store.replace_view(|view| view.without(gone));
        newest.into_iter().for_each(|t| store.head.changes().expired(t));
        for ulid in gone {
            match block::remove(&*store.disk, &store.layout.blocks, *ulid) {
                Ok(()) => {
                    store.counters.blocks_dropped.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => store.note_failure(&error),
            }
        }
        store.drop_spent_tombstones();
    }
}
