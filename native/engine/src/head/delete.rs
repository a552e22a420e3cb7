//! Deletes in the head: what a tombstone names is gone for readers on the thread that applies, and
//! leaves memory later (`pending.rs`), or at once when a start replays it.
//!
//! A series that is left without a sample stays in map and index, since a write may hold its ref,
//! but is not found by readers any more until a sample comes. It leaves with the generation, as any
//! series that ended.

use std::ops::Range;

use roaring::RoaringBitmap;

use super::Head;
use super::series::Deleted;
use super::shard::Slots;
use crate::error::Result;
use crate::index::matcher::Matcher;
use crate::index::select::select;
use crate::refs::SeriesRef;
use crate::sample::TimestampMs;
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::tombstone::Tombstone;

/// Series visited under one lock: at most a millisecond where chunks are built anew.
pub(super) const SLICE: usize = 64;

impl Head {
    /// Takes note of a delete: what `tombstone` names is not seen any more by readers that come
    /// now, and what is applied later is. A [`Cleaner`] carries it out. Called on the thread that
    /// applies.
    ///
    /// Cost: that of finding the series, some milliseconds for a million; none of them is touched.
    ///
    /// # Errors
    /// `corruption` when the index is not what was written: a bug.
    pub fn bury(&self, tombstone: &Tombstone) -> Result<()> {
        let found = Arc::new(self.named_by(tombstone)?);
        if !found.is_empty() {
            let number = self.buried.fetch_add(1, Ordering::Relaxed);
            for shard in &self.shards {
                shard.slots.write().bury(number, tombstone.range, found.clone());
            }
        }
        Ok(())
    }

    /// How many deletes wait to be carried out. Each costs reads and writes a look.
    pub fn waiting_deletes(&self) -> usize {
        self.shards.iter().map(|shard| shard.slots.read().pending.len()).max().unwrap_or(0)
    }

    /// Carries out at once what `tombstone` names, but for the series in `spared`: at a start, when
    /// nobody writes or reads.
    ///
    /// # Errors
    /// As [`Head::bury`], and for chunks in files damage of these.
    pub fn delete(&self, tombstone: &Tombstone, spared: &RoaringBitmap) -> Result<()> {
        let active = self.generation();
        for series in (self.named_by(tombstone)? - spared).iter().map(SeriesRef) {
            let mut slots = self.shards[series.shard()].slots.write();
            let Some(entry) = slots.get_mut(series.slot()) else { continue };
            let deleted = entry.delete(tombstone.range, active)?;
            entry.emptied |= deleted.emptied;
            self.count_deleted(&deleted);
            self.note_if_emptied(series, &deleted);
        }
        Ok(())
    }

    fn named_by(&self, tombstone: &Tombstone) -> Result<RoaringBitmap> {
        let Some(index) = self.index(tombstone.tenant) else { return Ok(RoaringBitmap::new()) };
        let matchers: Vec<&Matcher> = tombstone.matchers.iter().collect();
        select(&*index.read(), &matchers)
    }

    /// Carries out what waits in the slots of a range.
    pub(super) fn carry_out_in(&self, shard: usize, slots: Range<usize>) {
        let waits = |slots: &Slots| !slots.pending.is_empty();
        if waits(&self.shards[shard].slots.read()) {
            let series: Vec<_> = slots.filter_map(|slot| SeriesRef::pack(shard, slot)).collect();
            // What cannot be decoded was counted; the others are done.
            let _ = self.carry_out(shard, &series);
        }
    }

    /// Carries out what waits in some series of a shard; returns the first failure.
    fn carry_out(&self, shard: usize, series: &[SeriesRef]) -> Result<()> {
        let (active, mut done) = (self.generation(), Ok(()));
        let mut slots = self.shards[shard].slots.write();
        for series in series {
            match slots.carry_out(*series, active) {
                Ok(deleted) => {
                    self.count_deleted(&deleted);
                    self.note_if_emptied(*series, &deleted);
                }
                Err(error) => {
                    self.note_delete_failure();
                    done = done.and(Err(error));
                }
            }
        }
        done
    }

    /// Before a sample is appended to a series: what waits to be deleted does not hide it.
    pub(super) fn make_way(&self, slots: &mut Slots, series: SeriesRef, t: TimestampMs) {
        match slots.make_way(series, t, self.generation()) {
            Ok(Some(deleted)) => self.count_deleted(&deleted),
            Ok(None) => {}
            Err(_) => self.note_delete_failure(),
        }
    }

    /// What was hidden in a damaged chunk is visible again.
    fn note_delete_failure(&self) {
        self.counters.delete_failures.fetch_add(1, Ordering::Relaxed);
        self.changes.lost();
    }

    fn count_deleted(&self, deleted: &Deleted) {
        subtract(&self.counters.samples, deleted.active_samples);
        subtract(&self.counters.bytes, deleted.active_bytes);
        let samples = deleted.active_samples + deleted.frozen_samples;
        self.counters.deleted.fetch_add(samples, Ordering::Relaxed);
    }

    fn note_if_emptied(&self, series: SeriesRef, deleted: &Deleted) {
        if deleted.emptied {
            self.note_emptied(series);
        }
    }

    /// What the deletes found that wait in some shard.
    fn waiting(&self) -> Vec<Arc<RoaringBitmap>> {
        let mut waiting: Vec<(u64, Arc<RoaringBitmap>)> = Vec::new();
        for shard in &self.shards {
            for pending in &shard.slots.read().pending {
                if waiting.iter().all(|(number, _)| *number != pending.number) {
                    waiting.push((pending.number, pending.found.clone()));
                }
            }
        }
        waiting.into_iter().map(|(_, found)| found).collect()
    }

    /// Hides a series that a start gave back without a sample: a delete took them.
    pub(super) fn note_emptied(&self, series: SeriesRef) {
        self.emptied.write().insert(series.0);
    }

    /// Makes series findable again: a sample came.
    pub(super) fn revive(&self, series: &[SeriesRef]) {
        if !series.is_empty() {
            let mut emptied = self.emptied.write();
            for series in series {
                emptied.remove(series.0);
            }
        }
    }

    /// Takes out of `found` what holds no sample since a delete. To be called without the lock of
    /// an index.
    pub(super) fn without_emptied(&self, mut found: RoaringBitmap) -> RoaringBitmap {
        found -= &*self.emptied.read();
        let mut buried = RoaringBitmap::new();
        for found in self.waiting() {
            buried |= &*found;
        }
        buried &= &found;
        for series in buried.iter().map(SeriesRef) {
            if self.shards[series.shard()].slots.read().is_hidden(series) {
                found.remove(series.0);
            }
        }
        found
    }

    /// Whether a delete left series without a sample that the index still has.
    pub(super) fn has_emptied(&self) -> bool {
        !self.emptied.read().is_empty() || self.waiting_deletes() > 0
    }
}

/// Carries out deletes that were taken note of, a slice of series at a time. Several may be at it
/// at the same time.
#[derive(Default)]
pub struct Cleaner(Option<Work>);

/// A delete in one shard.
struct Work {
    number: u64,
    shard: usize,
    rest: std::vec::IntoIter<SeriesRef>,
}

impl Cleaner {
    /// Carries out a slice: [`SLICE`] series at most, about 10 µs each, under one lock. Returns
    /// whether there was anything to do.
    ///
    /// # Errors
    /// `corruption` for series that cannot be read any more; the next step goes on behind them.
    pub fn step(&mut self, head: &Head) -> Result<bool> {
        if self.0.is_none() {
            self.0 = next_work(head);
        }
        let Some(work) = &mut self.0 else { return Ok(false) };
        let slice: Vec<SeriesRef> = work.rest.by_ref().take(SLICE).collect();
        let slots = &head.shards[work.shard].slots;
        let Some(last) = slice.last() else {
            slots.write().done(work.number);
            self.0 = None;
            return Ok(true);
        };
        let done = head.carry_out(work.shard, &slice);
        slots.write().done_before(work.number, last.slot() + 1);
        done.map(|()| true)
    }

    /// Carries out all that waits, in slices.
    ///
    /// # Errors
    /// As [`Cleaner::step`], the first; all others are carried out.
    pub fn finish(mut self, head: &Head) -> Result<()> {
        let mut done = Ok(());
        loop {
            match self.step(head) {
                Ok(true) => {}
                Ok(false) => return done,
                Err(error) => done = done.and(Err(error)),
            }
        }
    }
}

/// The oldest delete that waits in the first shard where one does.
fn next_work(head: &Head) -> Option<Work> {
    let (shard, number, found) = head.shards.iter().enumerate().find_map(|(shard, locked)| {
        let slots = locked.slots.read();
        let oldest = slots.pending.first()?;
        Some((shard, oldest.number, oldest.found.clone()))
    })?;
    let of_shard = found.iter().map(SeriesRef).filter(|series| series.shard() == shard);
    let rest = of_shard.collect::<Vec<_>>().into_iter();
    Some(Work { number, shard, rest })
}

/// The counters are reckoned by chunks that were sealed or cut meanwhile: never below zero.
fn subtract(counter: &AtomicU64, by: u64) {
    let _ =
        counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(by)));
}

#[cfg(test)]
mod tests;
