//! A shard of the head: the map from labels hash to series, and the series themselves.
//!
//! The map's key is the 128-bit hash of the label bytes *as a sender wrote them*; a sender that
//! sorts its labels thereby names the canonical hash. Other spellings of one series become aliases.
//! A shard is chosen by the upper bits of the canonical hash, so an alias may lead to another
//! shard.
//!
//! Locks: `map` before `series`; never two shards' locks of one kind at a time.

use hashbrown::HashTable;

use crate::head::series::Series;
use crate::labels::LabelsHash;
use crate::refs::{Generation, SHARD_BITS, SHARD_COUNT, SeriesRef};
use crate::sync::{Mutex, RwLock};

/// Where hash `h` is looked up.
pub fn shard_of(h: LabelsHash) -> usize {
    (h.0 >> (128 - SHARD_BITS)) as usize
}

/// An entry of the map: 24 bytes.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: [u64; 2],
    series: SeriesRef,
    stamp: Stamp,
}

/// `generation << 2 | alias << 1 | logged`: when a write last saw the entry, whether it is an
/// alias, and whether that generation's log defines the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u32);

impl Stamp {
    const LOGGED: u32 = 1;
    const ALIAS: u32 = 2;

    fn generation(self) -> Generation {
        Generation(self.0 >> 2)
    }

    fn is_alias(self) -> bool {
        self.0 & Self::ALIAS != 0
    }

    /// A write that is still preparing for an older generation leaves a newer stamp alone.
    fn seen(self, generation: Generation) -> Self {
        if self.generation() >= generation {
            self
        } else {
            Self(generation.0 << 2 | self.0 & Self::ALIAS)
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
    table: HashTable<Entry>,
    aliases: usize,
}

/// The series of one shard by slot.
#[derive(Default)]
pub struct Slots {
    series: Vec<Series>,
    free: Vec<u32>,
}

/// One of [`SHARD_COUNT`] shards.
#[derive(Default)]
pub struct Shard {
    /// Labels hash to series.
    pub map: Mutex<Map>,
    /// The series.
    pub slots: RwLock<Slots>,
}

fn key(h: LabelsHash) -> [u64; 2] {
    [h.0 as u64, (h.0 >> 64) as u64]
}

impl Map {
    /// Looks `h` up and marks it as seen by a write of `generation`.
    #[inline]
    pub fn find(&mut self, h: LabelsHash, generation: Generation) -> Option<Found> {
        let key = key(h);
        let entry = self.table.find_mut(key[0], |e| e.hash == key)?;
        entry.stamp = entry.stamp.seen(generation);
        Some(Found {
            series: entry.series,
            logged: entry.stamp.0 & Stamp::LOGGED != 0,
            alias: entry.stamp.is_alias(),
        })
    }

    /// Adds an entry that is not there yet.
    pub fn insert(&mut self, h: LabelsHash, series: SeriesRef, alias: bool, seen: Generation) {
        let stamp = Stamp(seen.0 << 2 | if alias { Stamp::ALIAS } else { 0 });
        self.aliases += usize::from(alias);
        let entry = Entry { hash: key(h), series, stamp };
        self.table.insert_unique(entry.hash[0], entry, |e| e.hash[0]);
    }

    /// Notes that the log of `generation` defines the series under `h`.
    pub fn mark_logged(&mut self, h: LabelsHash, generation: Generation) {
        let key = key(h);
        if let Some(entry) = self.table.find_mut(key[0], |e| e.hash == key)
            && entry.stamp.generation() == generation
        {
            entry.stamp.0 |= Stamp::LOGGED;
        }
    }

    /// Calls `visit` for every entry that a write of `generation` or later has seen.
    pub fn seen_since(&self, generation: Generation, mut visit: impl FnMut(SeriesRef)) {
        for entry in &self.table {
            if entry.stamp.generation() >= generation {
                visit(entry.series);
            }
        }
    }

    /// Removes the entries whose series `is_dead`.
    pub fn remove(&mut self, is_dead: impl Fn(SeriesRef) -> bool) {
        let aliases = &mut self.aliases;
        self.table.retain(|entry| {
            let dead = is_dead(entry.series);
            *aliases -= usize::from(dead && entry.stamp.is_alias());
            !dead
        });
        if self.table.len() * 4 < self.table.capacity() {
            self.table.shrink_to_fit(|e| e.hash[0]);
        }
    }

    /// Number of aliases.
    pub fn aliases(&self) -> usize {
        self.aliases
    }
}

impl Slots {
    /// A fresh series; `None` when the shard is full.
    pub fn allocate(&mut self, shard: usize) -> Option<SeriesRef> {
        debug_assert!(shard < SHARD_COUNT);
        let mut fresh = Series::default();
        fresh.used = true;
        if let Some(slot) = self.free.pop() {
            self.series[slot as usize] = fresh;
            return SeriesRef::pack(shard, slot as usize);
        }
        let series = SeriesRef::pack(shard, self.series.len())?;
        self.series.push(fresh);
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
            self.series[*slot as usize] = Series::default();
        }
        self.free.extend_from_slice(slots);
    }

    /// Number of slots, free ones included.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}
