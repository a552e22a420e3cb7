//! The numbers that name things, what each packs and how long it is valid.
//!
//! | type | packs | valid |
//! |---|---|---|
//! | [`SeriesRef`] | shard (low bits) and slot of a head series | until nobody can hold it |
//! | [`Position`] | byte offset in the endless log | for ever |
//! | [`Generation`] | number of a head generation | one process life |
//! | [`TenantId`] | tenant; 0 until tenants exist | for ever |

/// log2 of the number of head shards.
pub const SHARD_BITS: u32 = 4;
/// Number of head shards. Sixteen keep two cores from meeting on a lock, and one request of 2,000
/// samples still finds over a hundred of its samples behind each lock it takes.
pub const SHARD_COUNT: usize = 1 << SHARD_BITS;

/// A series of the head: `slot << SHARD_BITS | shard`. Dense enough for bitmaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesRef(pub u32);

impl SeriesRef {
    /// Packs shard and slot; `None` once a shard has 2^28 slots.
    pub fn pack(shard: usize, slot: usize) -> Option<Self> {
        let slot = u32::try_from(slot).ok().filter(|s| *s < 1 << (32 - SHARD_BITS))?;
        let shard = u32::try_from(shard).ok()?;
        Some(Self(slot << SHARD_BITS | shard))
    }

    /// The shard.
    #[inline]
    pub const fn shard(self) -> usize {
        (self.0 & (SHARD_COUNT as u32 - 1)) as usize
    }

    /// The slot in the shard.
    #[inline]
    pub const fn slot(self) -> usize {
        (self.0 >> SHARD_BITS) as usize
    }
}

/// A byte position in the endless log: segments are pieces of it, so positions order every write
/// that was ever logged in a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position(pub u64);

/// A head generation: what was appended between two freezes of the head. A generation ends exactly
/// at a log position, and its log stands alone (every series it uses is defined in it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Generation(pub u32);

impl Generation {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// A tenant. Part of a series' identity; 0 alone until tenants exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TenantId(pub u32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_refs_unpack_to_what_was_packed() {
        let r = SeriesRef::pack(13, 70_000).unwrap();
        assert_eq!((r.shard(), r.slot()), (13, 70_000));
        assert!(SeriesRef::pack(0, 1 << 28).is_none());
    }
}
