//! The ring itself: entries in the order in which they were added, and a list of them a series.

use std::cmp::Ordering;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use hashbrown::HashTable;

use super::{Exemplar, Judgement, NewExemplar, SeriesExemplars};
use crate::labels::Labels;
use crate::refs::TenantId;
use crate::sample::TimeRange;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// An exemplar in the ring.
struct Entry {
    exemplar: Exemplar,
    /// Its series, a place in `owners`.
    owner: u32,
    /// The next newer one of the series.
    next: u32,
}

/// A series with an exemplar.
struct Owner {
    tenant: TenantId,
    labels: Labels,
    oldest: u32,
    newest: u32,
}

/// Memory follows what was added, up to the maximum.
pub(super) struct Ring {
    max: u32,
    entries: Vec<Entry>,
    /// Where the next one goes once the ring is full: the oldest of all.
    hand: u32,
    owners: Vec<Option<Owner>>,
    free: Vec<u32>,
    by_labels: HashTable<u32>,
    hasher: RandomState,
}

/// By time, then value, then labels.
fn compare(a: &Exemplar, b: &Exemplar) -> Ordering {
    a.t.cmp(&b.t).then_with(|| a.v.total_cmp(&b.v)).then_with(|| a.labels.cmp(&b.labels))
}

impl Ring {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max: u32::try_from(max).unwrap_or(NONE).min(NONE - 1),
            entries: Vec::new(),
            hand: 0,
            owners: Vec::new(),
            free: Vec::new(),
            by_labels: HashTable::new(),
            hasher: RandomState::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Places of series, free ones included.
    pub(super) fn owners(&self) -> usize {
        self.owners.len()
    }

    fn owner(&self, place: u32) -> Option<&Owner> {
        self.owners.get(place as usize)?.as_ref()
    }

    fn find(&self, tenant: TenantId, labels: &Labels) -> Option<u32> {
        let hash = self.hasher.hash_one((tenant, labels));
        let same = |place: &u32| {
            self.owner(*place).is_some_and(|o| o.tenant == tenant && o.labels == *labels)
        };
        self.by_labels.find(hash, same).copied()
    }

    pub(super) fn judge(&self, new: &NewExemplar) -> Judgement {
        if self.max == 0 {
            return Judgement::Off;
        }
        let owner = self.find(new.tenant, &new.series).and_then(|place| self.owner(place));
        let newest = owner.and_then(|owner| self.entries.get(owner.newest as usize));
        match newest.map(|entry| (compare(&new.exemplar, &entry.exemplar), entry)) {
            Some((Ordering::Equal, _)) => Judgement::Known,
            Some((Ordering::Less, entry)) => Judgement::Late(entry.exemplar.t),
            Some((Ordering::Greater, _)) | None => Judgement::Store,
        }
    }

    /// Adds an exemplar that was judged fit; the oldest of all makes room.
    pub(super) fn push(&mut self, new: NewExemplar) {
        let full = self.entries.len() as u32 >= self.max;
        let at = if full { self.hand } else { self.entries.len() as u32 };
        if full {
            self.evict(at);
            self.hand = (at + 1) % self.max;
        }
        let owner = self.find(new.tenant, &new.series).unwrap_or_else(|| self.add_owner(&new, at));
        let entry = Entry { exemplar: new.exemplar, owner, next: NONE };
        match self.entries.get_mut(at as usize) {
            Some(place) => *place = entry,
            None => self.entries.push(entry),
        }
        let Some(Some(owner)) = self.owners.get_mut(owner as usize) else { return };
        let newest = std::mem::replace(&mut owner.newest, at);
        if newest != at
            && let Some(before) = self.entries.get_mut(newest as usize)
        {
            before.next = at;
        }
    }

    fn add_owner(&mut self, new: &NewExemplar, at: u32) -> u32 {
        let owner =
            Owner { tenant: new.tenant, labels: new.series.clone(), oldest: at, newest: at };
        let hash = self.hasher.hash_one((owner.tenant, &owner.labels));
        let place = self.free.pop().unwrap_or_else(|| {
            self.owners.push(None);
            self.owners.len() as u32 - 1
        });
        self.owners[place as usize] = Some(owner);
        let (owners, hasher) = (&self.owners, &self.hasher);
        self.by_labels.insert_unique(hash, place, |place| {
            let owner = owners[*place as usize].as_ref();
            owner.map_or(0, |owner| hasher.hash_one((owner.tenant, &owner.labels)))
        });
        place
    }

    /// Takes the entry at `at` out of its series, whose oldest it is.
    fn evict(&mut self, at: u32) {
        let Some(entry) = self.entries.get(at as usize) else { return };
        let (place, next) = (entry.owner, entry.next);
        let Some(slot) = self.owners.get_mut(place as usize) else { return };
        match slot {
            Some(owner) if next != NONE => owner.oldest = next,
            Some(owner) => {
                let hash = self.hasher.hash_one((owner.tenant, &owner.labels));
                if let Ok(found) = self.by_labels.find_entry(hash, |other| *other == place) {
                    found.remove();
                }
                *slot = None;
                self.free.push(place);
            }
            None => {}
        }
    }

    /// Appends what the series at `places` that are accepted have in `range`.
    pub(super) fn collect(
        &self,
        places: Range<usize>,
        range: TimeRange,
        accepts: impl Fn(TenantId, &Labels) -> bool,
        out: &mut Vec<SeriesExemplars>,
    ) {
        let time = |place: u32| self.entries.get(place as usize).map(|entry| entry.exemplar.t);
        for owner in self.owners[places].iter().flatten() {
            let (Some(oldest), Some(newest)) = (time(owner.oldest), time(owner.newest)) else {
                continue;
            };
            let spanned = TimeRange::new(oldest, newest);
            if !spanned.overlaps(&range) || !accepts(owner.tenant, &owner.labels) {
                continue;
            }
            let mut exemplars = Vec::new();
            let mut next = owner.oldest;
            while let Some(entry) = self.entries.get(next as usize) {
                if range.contains(entry.exemplar.t) {
                    exemplars.push(entry.exemplar.clone());
                }
                next = entry.next;
            }
            if !exemplars.is_empty() {
                out.push(SeriesExemplars { series: owner.labels.clone(), exemplars });
            }
        }
    }

    /// Calls `visit` for every exemplar, in the order in which they were added.
    pub(super) fn visit(&self, mut visit: impl FnMut(TenantId, &Labels, &Exemplar)) {
        let (newer, older) = self.entries.split_at(self.hand as usize);
        for entry in older.iter().chain(newer) {
            if let Some(owner) = self.owner(entry.owner) {
                visit(owner.tenant, &owner.labels, &entry.exemplar);
            }
        }
    }
}
