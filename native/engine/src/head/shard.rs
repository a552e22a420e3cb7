//! A shard of the head: the map from labels hash to series, and the series themselves.
//!
//! The map's key is the 128-bit hash of the label bytes *as a sender wrote them*; a sender that
//! sorts its labels thereby names the canonical hash. Other spellings of one series become aliases.
//! A shard is chosen by the upper bits of the canonical hash, so an alias may lead to another
//! shard.
//!
//! The table of canonical hashes holds slots only, 5 bytes a place of which an eighth to a half is
//! free; the hashes themselves lie by slot without gaps. With the 24 bytes of an entry in the
//! table, a million series took 20 bytes each more.
//!
//! A new series takes the lowest free slot, so that those of the highest pages come free, and a
//! page without a series goes: after many series have ended the tables are as small as what is
//! left.
//!
//! Locks: `map` before `series`; never two shards' locks of one kind at a time.

use hashbrown::HashTable;

use crate::head::pending::Pending;
use crate::head::series::Series;
use crate::labels::LabelsHash;
use crate::paged::{PAGE, Paged};
use crate::refs::{Generation, SHARD_BITS, SHARD_COUNT, SeriesRef};
use crate::sync::{Mutex, RwLock};

/// Where hash `h` is looked up.
pub fn shard_of(h: LabelsHash) -> usize {
    (h.0 >> (128 - SHARD_BITS)) as usize
}

/// A hash in 4-byte steps, so that what holds it needs no room for alignment.
type Key = [u32; 4];

fn key(h: LabelsHash) -> Key {
    [h.0 as u32, (h.0 >> 32) as u32, (h.0 >> 64) as u32, (h.0 >> 96) as u32]
}

/// The bits of a key that the tables hash by.
fn bucket(key: &Key) -> u64 {
    u64::from(key[0]) | u64::from(key[1]) << 32
}

/// What the map keeps of the series in a slot: 20 bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    key: Key,
    stamp: Stamp,
}

/// Another spelling of a series.
#[derive(Debug, Clone, Copy)]
struct Alias {
    entry: Entry,
    series: SeriesRef,
}

/// `generation << 1 | logged`: when a write last saw the entry, and whether that generation's log
/// defines the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stamp(u32);

impl Stamp {
    const LOGGED: u32 = 1;

    fn new(generation: Generation) -> Self {
        Self(generation.0 << 1)
    }

    fn generation(self) -> Generation {
        Generation(self.0 >> 1)
    }

    fn is_logged(self) -> bool {
        self.0 & Self::LOGGED != 0
    }

    /// A write that is still preparing for an older generation leaves a newer stamp alone.
    fn see(&mut self, generation: Generation) {
        if self.generation() < generation {
            *self = Self::new(generation);
        }
    }
}

/// What a write learned of one label set.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The series.
    pub series: SeriesRef,
    /// Whether this generation's log defines it already.
    pub logged: bool,
    /// Whether the bytes that were looked up are not the canonical ones.
    pub alias: bool,
}

/// The map of one shard.
#[derive(Default)]
pub struct Map {
    /// Slots by canonical hash.
    table: HashTable<u32>,
    /// By slot; of slots that `table` does not hold, anything.
    entries: Paged<Entry>,
    aliases: HashTable<Alias>,
}

/// The series of one shard by slot.
#[derive(Default)]
pub struct Slots {
    series: Paged<Series>,
    /// Descending: the lowest is taken next.
    free: Vec<u32>,
    /// Deletes that wait to be carried out here, oldest first.
    pub(super) pending: Vec<Pending>,
}

/// One of [`SHARD_COUNT`] shards.
#[derive(Default)]
pub struct Shard {
    /// Labels hash to series.
    pub map: Mutex<Map>,
    /// The series.
    pub slots: RwLock<Slots>,
}

impl Map {
    /// Looks `h` up and marks it as seen by a write of `generation`.
    #[inline]
    pub fn find(&mut self, h: LabelsHash, generation: Generation) -> Option<Found> {
        let key = key(h);
        let entries = &self.entries;
        let is_it = |slot: &u32| entries.get(*slot as usize).is_some_and(|entry| entry.key == key);
        if let Some(slot) = self.table.find(bucket(&key), is_it).copied() {
            let stamp = &mut self.entries.get_mut(slot as usize)?.stamp;
            stamp.see(generation);
            let logged = stamp.is_logged();
            let series = SeriesRef::pack(shard_of(h), slot as usize)?;
            return Some(Found { series, logged, alias: false });
        }
        let alias = self.aliases.find_mut(bucket(&key), |alias| alias.entry.key == key)?;
        alias.entry.stamp.see(generation);
        let logged = alias.entry.stamp.is_logged();
        Some(Found { series: alias.series, logged, alias: true })
    }

    /// Adds the canonical hash of a series of this shard; it is not there yet.
    pub fn insert(&mut self, h: LabelsHash, series: SeriesRef, seen: Generation) {
        let entry = Entry { key: key(h), stamp: Stamp::new(seen) };
        self.entries.set(series.slot(), entry);
        let rehash = |slot: &u32| bucket_of(&self.entries, *slot);
        self.table.insert_unique(bucket(&entry.key), series.slot() as u32, rehash);
    }

    /// Adds another spelling of a series of any shard; it is not there yet.
    pub fn insert_alias(&mut self, h: LabelsHash, series: SeriesRef, seen: Generation) {
        let entry = Entry { key: key(h), stamp: Stamp::new(seen) };
        let alias = Alias { entry, series };
        self.aliases.insert_unique(bucket(&entry.key), alias, |a| bucket(&a.entry.key));
    }

    /// Notes that the log of `generation` defines the series under `h`.
    pub fn mark_logged(&mut self, h: LabelsHash, generation: Generation) {
        let key = key(h);
        let entries = &self.entries;
        let is_it = |slot: &u32| entries.get(*slot as usize).is_some_and(|entry| entry.key == key);
        let entry = match self.table.find(bucket(&key), is_it).copied() {
            Some(slot) => self.entries.get_mut(slot as usize),
            None => {
                let alias = self.aliases.find_mut(bucket(&key), |alias| alias.entry.key == key);
                alias.map(|alias| &mut alias.entry)
            }
        };
        if let Some(entry) = entry.filter(|entry| entry.stamp.generation() == generation) {
            entry.stamp.0 |= Stamp::LOGGED;
        }
    }

    /// Calls `visit` for every series of `shard`, the map's own, and every alias that a write of
    /// `generation` or later has seen.
    pub fn seen_since(
        &self,
        shard: usize,
        generation: Generation,
        mut visit: impl FnMut(SeriesRef),
    ) {
        for slot in &self.table {
            let entry = self.entries.get(*slot as usize);
            if entry.is_some_and(|entry| entry.stamp.generation() >= generation) {
                SeriesRef::pack(shard, *slot as usize).into_iter().for_each(&mut visit);
            }
        }
        for alias in &self.aliases {
            if alias.entry.stamp.generation() >= generation {
                visit(alias.series);
            }
        }
    }

    /// Removes the series of `shard`, the map's own, and the aliases whose series `is_dead`.
    pub fn remove(&mut self, shard: usize, is_dead: impl Fn(SeriesRef) -> bool) {
        let mut used = vec![false; self.entries.len().div_ceil(PAGE)];
        self.table.retain(|slot| {
            let stays = !SeriesRef::pack(shard, *slot as usize).is_some_and(&is_dead);
            used[*slot as usize / PAGE] |= stays;
            stays
        });
        self.entries.retain_pages(|page| used[page]);
        self.aliases.retain(|alias| !is_dead(alias.series));
        if self.table.len() * 4 < self.table.capacity() {
            let entries = &self.entries;
            self.table.shrink_to_fit(|slot| bucket_of(entries, *slot));
        }
        if self.aliases.len() * 4 < self.aliases.capacity() {
            self.aliases.shrink_to_fit(|alias| bucket(&alias.entry.key));
        }
    }

    /// Number of aliases.
    pub fn aliases(&self) -> usize {
        self.aliases.len()
    }

    /// Bytes of memory it holds.
    pub fn heap_bytes(&self) -> usize {
        self.table.allocation_size() + self.aliases.allocation_size() + self.entries.heap_bytes()
    }
}

impl Slots {
    /// A fresh series; `None` when the shard is full.
    pub fn allocate(&mut self, shard: usize) -> Option<SeriesRef> {
        debug_assert!(shard < SHARD_COUNT);
        let mut fresh = Series::default();
        fresh.used = true;
        if let Some(slot) = self.free.pop() {
            self.series.set(slot as usize, fresh);
            return SeriesRef::pack(shard, slot as usize);
        }
        let series = SeriesRef::pack(shard, self.series.len())?;
        self.series.set(series.slot(), fresh);
        Some(series)
    }

    /// The series in `slot`.
    pub fn get(&self, slot: usize) -> Option<&Series> {
        self.series.get(slot)
    }

    /// The series in `slot`.
    pub fn get_mut(&mut self, slot: usize) -> Option<&mut Series> {
        self.series.get_mut(slot)
    }

    /// Gives slots back; nobody may hold a ref to them.
    pub fn release(&mut self, slots: &[u32]) {
        for slot in slots {
            self.begin_anew(*slot as usize);
            self.series.set(*slot as usize, Series::default());
        }
        self.free.extend_from_slice(slots);
        self.free.sort_unstable_by(|a, b| b.cmp(a));
        let mut taken = vec![PAGE; self.series.len().div_ceil(PAGE)];
        if let Some(last) = taken.last_mut() {
            *last = (self.series.len() - 1) % PAGE + 1;
        }
        for slot in &self.free {
            taken[*slot as usize / PAGE] -= 1;
        }
        self.series.retain_pages(|page| taken[page] > 0);
        let len = self.series.len();
        self.free.retain(|slot| (*slot as usize) < len);
        self.free.shrink_to(self.free.len() * 2);
    }

    /// Number of slots up to the last that is taken, free ones between them included.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

/// What the table of canonical hashes hashes a slot by.
fn bucket_of(entries: &Paged<Entry>, slot: u32) -> u64 {
    entries.get(slot as usize).map_or(0, |entry| bucket(&entry.key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_came_free_are_taken_again_lowest_first_and_free_pages_go() {
        let mut slots = Slots::default();
        let allocate = |slots: &mut Slots| slots.allocate(3).unwrap().slot();
        for slot in 0..4 * PAGE + 10 {
            assert_eq!(allocate(&mut slots), slot);
        }
        let full = slots.series.heap_bytes();
        let page = |page: usize| (page * PAGE) as u32..((page + 1) * PAGE) as u32;
        slots.release(&page(1).chain(page(3)).chain(page(4).take(10)).collect::<Vec<_>>());
        slots.release(&[7, 5, 2 * PAGE as u32 + 9]);
        assert_eq!(slots.len(), 3 * PAGE, "the last pages are gone");
        assert!(slots.series.heap_bytes() < full * 2 / 3);
        assert!(slots.get(PAGE).is_none() && !slots.get(5).unwrap().used);
        let mut again: Vec<usize> = (0..PAGE + 3).map(|_| allocate(&mut slots)).collect();
        assert!(again.is_sorted());
        assert_eq!((again.remove(0), again.remove(0), again.pop()), (5, 7, Some(2 * PAGE + 9)));
        assert!(again.into_iter().eq(PAGE..2 * PAGE));
        assert_eq!(allocate(&mut slots), 3 * PAGE);
        assert!(slots.get(3 * PAGE).unwrap().used);
    }

    #[test]
    fn a_map_is_as_small_as_the_series_that_are_left() {
        let mut map = Map::default();
        let hash = |n: u128| LabelsHash(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
        for slot in 0..20_000 {
            let series = SeriesRef::pack(3, slot).unwrap();
            map.insert(hash(slot as u128), series, Generation(1));
        }
        let full = map.heap_bytes();
        map.remove(3, |series| series.slot() >= 500);
        assert!(map.heap_bytes() < full / 20, "{} of {full}", map.heap_bytes());
        for slot in [0, 499, 500, 19_999] {
            assert_eq!(map.find(hash(slot), Generation(1)).is_some(), slot < 500, "{slot}");
        }
    }
}
