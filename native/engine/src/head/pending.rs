//! Deletes that were logged and are not yet carried out in all series of a shard.
//!
//! A delete of a million series takes seconds, and writes are not to wait for it. So the log thread
//! only takes note of it ([`Pending`]), from then on readers leave out what it names, and the
//! series lose their samples later, a slice at a time ([`crate::head::delete::Cleaner`]).
//!
//! What was written before the delete is hidden and what comes after is not, so the two must not
//! mix within the deleted time of a series. [`Slots::make_way`] sees to that before each write:
//!
//! - a sample outside of the deleted time cannot be mistaken, nothing is to be done;
//! - one that is newer than all that the series has caps what is hidden of it, in a map;
//! - any other, a late one, has the delete carried out in its series first.
//!
//! Lock: a shard's pending deletes live with its series.

use std::collections::HashMap;

use roaring::RoaringBitmap;

use super::series::Deleted;
use super::shard::Slots;
use crate::error::Result;
use crate::refs::{Generation, SeriesRef};
use crate::sample::{TimeRange, TimestampMs};
use crate::sync::Arc;

/// A delete in one shard.
#[derive(Debug)]
pub(super) struct Pending {
    /// The same in all shards, ascending.
    pub(super) number: u64,
    range: TimeRange,
    /// The series that it named when it was logged, of all shards.
    pub(super) found: Arc<RoaringBitmap>,
    /// It is carried out in the slots before.
    done_to: usize,
    /// Slots from there on for which less than `range` is hidden.
    less: HashMap<usize, Less>,
}

/// What is hidden of a series, where it is not the whole range of the delete.
#[derive(Debug, Clone, Copy)]
enum Less {
    /// Nothing: the delete is carried out.
    Nothing,
    /// Only up to this time: what is newer was written since.
    UpTo(TimestampMs),
}

impl Pending {
    /// The time in which the series' samples are deleted and still there; may be empty.
    fn hides(&self, series: SeriesRef) -> TimeRange {
        if series.slot() < self.done_to || !self.found.contains(series.0) {
            return TimeRange::EMPTY;
        }
        match self.less.get(&series.slot()) {
            None => self.range,
            Some(Less::Nothing) => TimeRange::EMPTY,
            Some(Less::UpTo(last)) => TimeRange::new(self.range.mint, self.range.maxt.min(*last)),
        }
    }
}

impl Slots {
    /// Takes note of a delete.
    pub(super) fn bury(&mut self, number: u64, range: TimeRange, found: Arc<RoaringBitmap>) {
        self.pending.push(Pending { number, range, found, done_to: 0, less: HashMap::new() });
    }

    /// What waiting deletes hide of a series.
    pub(super) fn hidden(&self, series: SeriesRef) -> impl Iterator<Item = TimeRange> {
        self.pending.iter().map(move |p| p.hides(series)).filter(|range| !range.is_empty())
    }

    /// Whether waiting deletes leave no time in which the series may have a sample.
    pub(super) fn is_hidden(&self, series: SeriesRef) -> bool {
        let Some(entry) = self.get(series.slot()) else { return false };
        let (_, extent) = entry.extent();
        extent.without_all(self.hidden(series)).is_empty()
    }

    /// Sees to it that a sample at `t` is not hidden by a delete from before; to be called before
    /// it is appended. Returns what had to be deleted for it.
    ///
    /// # Errors
    /// `corruption`, as of [`Slots::carry_out`]; the sample may be appended all the same.
    pub(super) fn make_way(
        &mut self,
        series: SeriesRef,
        t: TimestampMs,
        active: Generation,
    ) -> Result<Option<Deleted>> {
        let in_the_way = self.hidden(series).any(|range| range.contains(t));
        let Some(entry) = self.get(series.slot()).filter(|_| in_the_way) else { return Ok(None) };
        let (_, extent) = entry.extent();
        if extent.is_empty() || t > extent.maxt {
            for pending in &mut self.pending {
                if pending.hides(series).contains(t) {
                    pending.less.insert(series.slot(), Less::UpTo(extent.maxt));
                }
            }
            return Ok(None);
        }
        self.carry_out(series, active).map(Some)
    }

    /// Carries out all waiting deletes in one series.
    ///
    /// # Errors
    /// `corruption` when a chunk is not what was written; what is hidden in it is then visible
    /// again, for as long as it can be read at all.
    pub(super) fn carry_out(&mut self, series: SeriesRef, active: Generation) -> Result<Deleted> {
        let mut deleted = Deleted::default();
        let ranges: Vec<TimeRange> = self.hidden(series).collect();
        for pending in &mut self.pending {
            if !pending.hides(series).is_empty() {
                pending.less.insert(series.slot(), Less::Nothing);
            }
        }
        let Some(entry) = self.get_mut(series.slot()) else { return Ok(deleted) };
        for range in ranges {
            deleted.add(entry.delete(range, active)?);
        }
        entry.emptied |= deleted.emptied;
        Ok(deleted)
    }

    /// Notes that delete `number` is carried out in all slots before `slot`.
    pub(super) fn done_before(&mut self, number: u64, slot: usize) {
        for pending in self.pending.iter_mut().filter(|pending| pending.number == number) {
            pending.done_to = pending.done_to.max(slot);
            if pending.less.len() > 1024 {
                pending.less.retain(|other, _| *other >= pending.done_to);
            }
        }
    }

    /// Forgets delete `number`, which is carried out in all slots.
    pub(super) fn done(&mut self, number: u64) {
        self.pending.retain(|pending| pending.number != number);
    }

    /// Notes that a slot is another series' from now on: no delete from before concerns it.
    pub(super) fn begin_anew(&mut self, slot: usize) {
        for pending in &mut self.pending {
            pending.less.insert(slot, Less::Nothing);
        }
    }
}
