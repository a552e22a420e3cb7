//! Looking series up by label in an index file: what `index/select.rs` needs of a block.

use std::borrow::Cow;
use std::ops::{ControlFlow, Range};

use roaring::{MultiOps, RoaringBitmap};

use super::{CRC_BYTES, GROUP, IndexFile, Name, Postings};
use crate::codec::{checksum, varint};
use crate::error::Result;
use crate::index::matcher::{MatchOp, Matcher};
use crate::index::select::PostingsSource;

impl IndexFile {
    /// Whether one of `series` has the pair; asked of every pair of `pairs` in order, and `visit`
    /// gets the values of those that do.
    ///
    /// # Errors
    /// `corruption`.
    pub fn for_each_value_among(
        &self,
        pairs: Range<u32>,
        series: &RoaringBitmap,
        mut visit: impl FnMut(&str),
    ) -> Result<()> {
        self.walk(pairs, |_, entry| {
            if !self.read_postings(&entry.postings)?.is_disjoint(series) {
                visit(entry.text);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The first pair of `name` whose value is `value` or greater; the end of its pairs if none is.
    fn lower_bound(&self, name: &Name, value: &str) -> Result<u32> {
        let Range { start, end } = name.pairs;
        // Groups whose first pair belongs to the name.
        let (mut low, mut high) = (start.div_ceil(GROUP), end.div_ceil(GROUP));
        while low < high {
            let middle = low.midpoint(high);
            let mut less = false;
            self.walk(middle * GROUP..middle * GROUP + 1, |_, entry| {
                less = entry.text.as_bytes() < value.as_bytes();
                Ok(ControlFlow::Break(()))
            })?;
            if less {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let mut found = end;
        self.walk(start.max(low.saturating_sub(1) * GROUP)..end, |pair, entry| {
            if entry.text.as_bytes() < value.as_bytes() {
                return Ok(ControlFlow::Continue(()));
            }
            found = pair;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// The postings of one pair of `name`, if it has that value.
    fn find_value(&self, name: &Name, value: &str) -> Result<Option<RoaringBitmap>> {
        let at = self.lower_bound(name, value)?;
        let mut found = None;
        self.walk(at..name.pairs.end.min(at.saturating_add(1)), |_, entry| {
            if entry.text == value {
                found = Some(self.read_postings(&entry.postings)?);
            }
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    pub(super) fn read_postings(&self, postings: &Postings<'_>) -> Result<RoaringBitmap> {
        match postings {
            Postings::Inline(_, deltas) => Ok(inline_series(deltas).collect()),
            Postings::Bitmap(_, range) => self.read_bitmap(range),
        }
    }

    /// Reads a bitmap of POSTINGS and compares the checksum behind it.
    fn read_bitmap(&self, range: &Range<usize>) -> Result<RoaringBitmap> {
        let bytes = self.file.slice(&self.postings).get(range.clone());
        bytes
            .and_then(|bytes| bytes.split_last_chunk::<CRC_BYTES>())
            .filter(|(bitmap, crc)| {
                checksum::matches(crc32c::crc32c(bitmap), u32::from_le_bytes(**crc))
            })
            .and_then(|(bitmap, _)| RoaringBitmap::deserialize_from(bitmap).ok())
            .ok_or_else(|| {
                let at = self.postings.start.saturating_add(range.start);
                self.file.damaged(at, "a postings bitmap is not what was written")
            })
    }
}

impl PostingsSource for IndexFile {
    fn all(&self) -> Result<Cow<'_, RoaringBitmap>> {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.series_count);
        Ok(Cow::Owned(all))
    }

    fn value(&self, name: &str, value: &str) -> Result<Option<Cow<'_, RoaringBitmap>>> {
        match self.find_name(name) {
            Some(name) => Ok(self.find_value(name, value)?.map(Cow::Owned)),
            None => Ok(None),
        }
    }

    fn matching(&self, matcher: &Matcher) -> Result<RoaringBitmap> {
        let mut union = Union::default();
        let Some(name) = self.find_name(matcher.name()) else { return Ok(union.finish()) };
        let negative = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex);
        if let Some(literals) = matcher.literals() {
            for literal in literals {
                union.add(self.find_value(name, literal)?.unwrap_or_default());
            }
            let found = union.finish();
            return if negative {
                Ok(self.read_bitmap(&name.postings)? - found)
            } else {
                Ok(found)
            };
        }
        // What a negative matcher accepts begins in no common way.
        let prefix = matcher.prefix().filter(|_| !negative).unwrap_or_default();
        let start =
            if prefix.is_empty() { name.pairs.start } else { self.lower_bound(name, prefix)? };
        self.walk(start..name.pairs.end, |_, entry| {
            if !entry.text.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            if matcher.matches(entry.text) {
                match &entry.postings {
                    Postings::Inline(_, deltas) => union.few.extend(inline_series(deltas)),
                    Postings::Bitmap(_, range) => union.add(self.read_bitmap(range)?),
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(union.finish())
    }

    fn named(&self, name: &str) -> Result<Cow<'_, RoaringBitmap>> {
        match self.find_name(name) {
            Some(name) => self.read_bitmap(&name.postings).map(Cow::Owned),
            None => Ok(Cow::Owned(RoaringBitmap::new())),
        }
    }
}

/// Bitmaps that are gathered before they are united: one after the other would copy the growing
/// result each time, and this many take little memory.
const BATCH: usize = 64;

/// A union of postings.
#[derive(Default)]
struct Union {
    bitmaps: Vec<RoaringBitmap>,
    /// Short lists, to be sorted once instead of inserting each.
    few: Vec<u32>,
}

impl Union {
    fn add(&mut self, bitmap: RoaringBitmap) {
        self.bitmaps.push(bitmap);
        if self.bitmaps.len() == BATCH {
            let united = self.bitmaps.drain(..).union();
            self.bitmaps.push(united);
        }
    }

    fn finish(mut self) -> RoaringBitmap {
        self.few.sort_unstable();
        self.bitmaps.push(self.few.into_iter().collect());
        self.bitmaps.into_iter().union()
    }
}

/// The series of an inline list.
fn inline_series(mut deltas: &[u8]) -> impl Iterator<Item = u32> {
    let mut series = 0u32;
    std::iter::from_fn(move || {
        let (delta, rest) = varint::read(deltas)?;
        deltas = rest;
        series = series.wrapping_add(delta as u32);
        Some(series)
    })
}
