//! What a start puts into the head: series and samples of a checkpoint and of the log, by several
//! threads at once.
//!
//! A series is reserved by whoever meets it first, its labels go into the index later, in batches:
//! one thread does that for a tenant, since the index has one lock. Samples of one series must come
//! from one thread, in the order of the log.

use crate::error::Result;
use crate::head::Head;
use crate::head::append::Floats;
use crate::head::checkpoint::{Info, RestoredSeries};
use crate::head::histograms;
use crate::head::sealed::SealedChunk;
use crate::labels::Labels;
use crate::refs::{SeriesRef, TenantId};
use crate::sync::Ordering;

/// A series that the index does not have yet.
#[derive(Debug)]
pub struct Unindexed {
    tenant: TenantId,
    series: SeriesRef,
    labels: Labels,
}

impl Head {
    /// Finds or reserves the series of canonical labels. What comes with a new one must be given to
    /// [`Head::index_restored`] before anybody reads.
    ///
    /// # Errors
    /// `limit_exceeded` when the head is full.
    pub fn restore_series(
        &self,
        tenant: TenantId,
        labels: Labels,
    ) -> Result<(SeriesRef, Option<Unindexed>)> {
        let hash = self.hasher.hash(tenant, labels.as_bytes());
        let series = self.find_or_reserve(hash, self.generation())?.series;
        let mut slots = self.shards[series.shard()].slots.write();
        let new = slots.get_mut(series.slot()).filter(|slot| !slot.indexed);
        let unindexed = new.map(|slot| {
            slot.indexed = true;
            Unindexed { tenant, series, labels }
        });
        Ok((series, unindexed))
    }

    /// Puts a series of a checkpoint into the head; returns what the head calls it.
    ///
    /// # Errors
    /// As [`Head::restore_series`].
    pub fn restore_checkpointed(
        &self,
        restored: RestoredSeries,
    ) -> Result<(SeriesRef, Option<Unindexed>)> {
        let RestoredSeries { tenant, labels, contents, .. } = restored;
        let (series, unindexed) = self.restore_series(tenant, labels)?;
        let parts = contents.parts();
        let bytes = parts.open.heap_bytes()
            + parts.all_sealed().map(SealedChunk::heap_bytes).sum::<usize>();
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut slots = self.shards[series.shard()].slots.write();
        if let Some(slot) = slots.get_mut(series.slot()) {
            slot.restore(self.generation(), contents);
            if slot.is_empty() {
                slot.emptied = true;
                self.note_emptied(series);
            }
        }
        Ok((series, unindexed))
    }

    /// Counts what a checkpoint says of its generation as a whole.
    pub fn restore_counters(&self, info: &Info) {
        let counters = &self.counters;
        counters.samples.fetch_add(info.samples, Ordering::Relaxed);
        counters.newest.fetch_max(info.newest, Ordering::Relaxed);
        counters.newest_ever.fetch_max(info.newest, Ordering::Relaxed);
        counters.first_newest.fetch_min(info.first_newest, Ordering::Relaxed);
    }

    /// Puts series into their index.
    pub fn index_restored(&self, batch: &[Unindexed]) {
        let same_tenant = |a: &Unindexed, b: &Unindexed| a.tenant == b.tenant;
        for of_tenant in batch.chunk_by(same_tenant) {
            let index = self.index_for_write(of_tenant[0].tenant);
            let mut index = index.write();
            for Unindexed { series, labels, .. } in of_tenant {
                index.insert(*series, labels);
            }
        }
    }

    /// Appends samples of the replayed log, in its order within a series.
    pub fn restore_samples(&self, samples: &Floats) {
        self.append_all(samples, self.generation());
    }

    /// Appends histograms of the replayed log, in its order within a series.
    pub fn restore_histograms(&self, samples: &[histograms::Addressed]) {
        self.append_histograms(samples, self.generation());
    }
}
