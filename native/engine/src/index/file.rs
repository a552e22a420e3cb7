//! The index of a block: series by label, in one immutable file that is read through a map.
//!
//! Drawn in `FORMAT.md`, "Blocks". The pairs of name and value are numbered in order of name, then
//! value; the series in the order of their labels. A series holds a *schema* (its label names) and
//! for each name an *ordinal* (which of the name's values), so most labels take one byte.
//!
//! Opening reads the label names and the table of value groups. A group of series, a group of
//! values and a postings bitmap carry a CRC32C each, which is compared whenever one of them is
//! read; the first two are seeded with their number, so that one cannot pass for another.
//! Immutable: any number of threads may read. In version 1 each series was a group of its own.

mod builder;
mod entry;
mod ordinals;
mod postings;
#[cfg(test)]
mod tests;

use std::ops::{ControlFlow, Range};
use std::path::Path;

pub use builder::IndexWriter;
pub use entry::{ChunkMeta, ColumnRef, Piece, Pieces, SeriesEntry};

use crate::codec::{checksum, varint};
use crate::disk::Disk;
use crate::disk::sections::{FileKind, FileSummary, SectionFile, u32_at, u64_at};
use crate::error::{Error, Result};
use crate::sample::TimestampMs;
use entry::{Cursor, List, read_list};
use ordinals::Ordinals;

/// The frame of an index file.
pub const INDEX_KIND: FileKind = FileKind { magic: *b"MSTRindx", version: 2 };

/// Section names. The numbers are on disk.
mod section {
    pub const SERIES: u32 = 1;
    pub const SERIES_OFFSETS: u32 = 2;
    pub const POSTINGS: u32 = 3;
    pub const VALUES: u32 = 4;
    pub const VALUE_GROUPS: u32 = 5;
    pub const NAMES: u32 = 6;
    pub const SCHEMAS: u32 = 7;
    pub const INFO: u32 = 8;

    /// What people call it.
    pub fn text(name: u32) -> &'static str {
        match name {
            SERIES => "series",
            SERIES_OFFSETS => "series offsets",
            POSTINGS => "postings",
            VALUES => "values",
            VALUE_GROUPS => "value groups",
            NAMES => "names",
            SCHEMAS => "schemas",
            INFO => "info",
            _ => "unknown",
        }
    }
}

/// Values in a group. A lookup walks half a group; a group costs 20 bytes of table.
const GROUP: u32 = 16;
/// Bytes of a group's entry in the table: offset in VALUES, offset in POSTINGS, checksum.
const GROUP_BYTES: usize = 20;
/// Series in a group, which share an offset and a checksum. A read walks half a group.
const SERIES_GROUP: u32 = 16;
/// Bytes of the offset of series: 2^40 bytes of series are more than 2^32 series ever take.
const OFFSET_BYTES: usize = 5;
/// Up to this many series are listed beside the value itself: an empty bitmap alone takes 16
/// bytes, and labels of one series each are what makes an index large.
const INLINE_MAX: u32 = 8;
/// Bytes of the checksum behind a bitmap and before a group of series.
const CRC_BYTES: usize = 4;
/// Bytes of the INFO section: base time, number of series, number of pairs.
const INFO_BYTES: usize = 16;

/// A label name of the block.
#[derive(Debug)]
struct Name {
    text: String,
    /// The pairs of this name.
    pairs: Range<u32>,
    /// Where the bitmap of the series that have this name lies in POSTINGS.
    postings: Range<usize>,
}

/// One value of a name, as it stands in its group.
struct ValueEntry<'a> {
    text: &'a str,
    postings: Postings<'a>,
}

/// The series of one pair.
enum Postings<'a> {
    /// Varint deltas of that many series numbers.
    Inline(u32, &'a [u8]),
    /// A bitmap in POSTINGS with that many series.
    Bitmap(u32, Range<usize>),
}

/// An open index file.
#[derive(Debug)]
pub struct IndexFile {
    file: SectionFile,
    series: Range<usize>,
    offsets: Range<usize>,
    postings: Range<usize>,
    values: Range<usize>,
    groups: Range<usize>,
    schemas: Range<usize>,
    names: Vec<Name>,
    /// What the first chunk of every series counts its time from.
    base: TimestampMs,
    series_count: u32,
    pair_count: u32,
    /// Series in a group: 1 in a file of version 1.
    series_group: u32,
}

/// Where in a group of series a reader of ascending numbers stands.
#[derive(Debug, Clone, Default)]
pub struct SeriesWalk {
    group: u32,
    /// The number of the series that comes next.
    next: u32,
    /// What is left of the group in SERIES; empty before the first.
    rest: Range<usize>,
    cursor: Cursor,
    /// Schema of the group's first series, and where its ordinals are in SERIES.
    first: (u64, Range<usize>),
}

/// A label name of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaName {
    /// Number of the name: see [`IndexFile::name`].
    pub name: u32,
    /// The pairs of this name.
    pub pairs: Range<u32>,
}

impl IndexFile {
    /// Opens an index and checks its frame and its small sections.
    ///
    /// # Errors
    /// Those of [`SectionFile::open`]; `corruption` for a small section that is not what was
    /// written.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = SectionFile::open(disk, path, INDEX_KIND)?;
        for name in [section::INFO, section::NAMES, section::SCHEMAS, section::VALUE_GROUPS] {
            file.verify_section(name)?;
        }
        let info = file.section(section::INFO)?;
        if info.len() != INFO_BYTES {
            let at = file.range(section::INFO)?.start;
            return Err(
                file.damaged(at, format!("info of {} bytes, want {INFO_BYTES}", info.len()))
            );
        }
        let (base, series_count) = (u64_at(info, 0) as i64, u32_at(info, 8));
        let index = Self {
            base,
            series_count,
            pair_count: u32_at(info, 12),
            series_group: if file.version() == 1 { 1 } else { SERIES_GROUP },
            series: file.range(section::SERIES)?,
            offsets: file.range(section::SERIES_OFFSETS)?,
            postings: file.range(section::POSTINGS)?,
            values: file.range(section::VALUES)?,
            groups: file.range(section::VALUE_GROUPS)?,
            schemas: file.range(section::SCHEMAS)?,
            names: read_names(&file)?,
            file,
        };
        index.check_lengths()?;
        Ok(index)
    }

    fn check_lengths(&self) -> Result<()> {
        let offsets = (self.series_count.div_ceil(self.series_group) as usize + 1) * OFFSET_BYTES;
        let groups = self.pair_count.div_ceil(GROUP) as usize * GROUP_BYTES;
        let pairs = self.names.last().map_or(0, |name| name.pairs.end);
        if (self.offsets.len(), self.groups.len(), pairs) == (offsets, groups, self.pair_count) {
            return Ok(());
        }
        Err(self.file.damaged(
            self.offsets.start,
            format!(
                "tables do not fit {} series and {} label pairs",
                self.series_count, self.pair_count
            ),
        ))
    }

    /// Number of series; they are numbered from 0.
    pub fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Number of distinct pairs of name and value; they are numbered from 0.
    pub fn pair_count(&self) -> u32 {
        self.pair_count
    }

    /// The label names, ascending.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &*name.text)
    }

    /// The text of a name's number; empty for one that the index does not have.
    pub fn name(&self, name: u32) -> &str {
        self.names.get(name as usize).map_or("", |name| &name.text)
    }

    /// The pairs of a name, in ascending order of the value; empty for an unknown name.
    pub fn pairs_of(&self, name: &str) -> Range<u32> {
        self.find_name(name).map_or(0..0, |name| name.pairs.clone())
    }

    /// The value of a pair, copied. Checks its group and walks half of it.
    ///
    /// # Errors
    /// `corruption`.
    pub fn value_of(&self, pair: u32, out: &mut String) -> Result<()> {
        out.clear();
        self.walk(pair..pair + 1, |_, entry| {
            out.push_str(entry.text);
            Ok(ControlFlow::Break(()))
        })
    }

    /// Calls `visit` with every pair of `pairs` and its value, in order.
    ///
    /// # Errors
    /// `corruption`, and what `visit` returns.
    pub fn for_each_value(
        &self,
        pairs: Range<u32>,
        mut visit: impl FnMut(u32, &str) -> Result<()>,
    ) -> Result<()> {
        self.walk(pairs, |pair, entry| {
            visit(pair, entry.text)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Reads the entry of series `number`, after comparing the checksum of its group.
    ///
    /// # Errors
    /// `corruption`; `internal` for a number that the index does not have.
    pub fn series(&self, number: u32) -> Result<SeriesEntry<'_>> {
        self.series_from(&mut SeriesWalk::default(), number)
    }

    /// As [`IndexFile::series`]; of many in ascending order, each group is checked once and walked
    /// once. A walk belongs to one index.
    ///
    /// # Errors
    /// As [`IndexFile::series`].
    #[inline]
    pub fn series_from(&self, walk: &mut SeriesWalk, number: u32) -> Result<SeriesEntry<'_>> {
        if number >= self.series_count {
            return Err(Error::internal(format!(
                "series {number} of an index with {}",
                self.series_count
            )));
        }
        let group = number / self.series_group;
        let found = if walk.rest.is_empty() || walk.group != group || number < walk.next {
            self.begin_group(walk, group)
        } else {
            Some(())
        };
        found.and_then(|()| self.walk_to(walk, number)).ok_or_else(|| {
            walk.rest = 0..0;
            let at = offset_at(self.file.slice(&self.offsets), group as usize * OFFSET_BYTES);
            let message = format!("the entry of series {number} is not what was written");
            self.file.damaged(self.series.start.saturating_add(at), message)
        })
    }

    /// Checks a group and stands before its first series.
    fn begin_group(&self, walk: &mut SeriesWalk, group: u32) -> Option<()> {
        let offsets = self.file.slice(&self.offsets);
        let at = group as usize * OFFSET_BYTES;
        let (start, end) = (offset_at(offsets, at), offset_at(offsets, at + OFFSET_BYTES));
        let (crc, body) =
            self.file.slice(&self.series).get(start..end)?.split_at_checked(CRC_BYTES)?;
        if !checksum::matches(group_of_series_crc(group, body), u32_at(crc, 0)) {
            return None;
        }
        let (cursor, rest) = match self.series_group {
            1 => (Cursor::default(), body),
            _ => Cursor::read(body)?,
        };
        let next = group * self.series_group;
        *walk = SeriesWalk { group, next, rest: end - rest.len()..end, cursor, first: (0, 0..0) };
        if self.series_group > 1 {
            let (len, rest) = varint::read(rest)?;
            let labels = rest.get(..usize::try_from(len).ok()?)?;
            let (schema, ordinals) = ordinals::read_schema(labels)?;
            let after = end - rest.len() + labels.len();
            walk.first = (schema?, after - ordinals.len()..after);
        }
        Some(())
    }

    /// Walks to series `number` of the group and past it.
    #[inline]
    fn walk_to(&self, walk: &mut SeriesWalk, number: u32) -> Option<SeriesEntry<'_>> {
        let mut rest = self.file.slice(&self.series).get(walk.rest.clone())?;
        loop {
            let (len, tail) = varint::read(rest)?;
            let (labels, pieces) = tail.split_at_checked(usize::try_from(len).ok()?)?;
            let list = if self.series_group == 1 {
                let (count, bytes) = varint::read(pieces)?;
                rest = &[];
                List::Chunks { count, bytes, base: self.base }
            } else {
                let (list, tail) = read_list(pieces, self.base, &mut walk.cursor)?;
                rest = tail;
                list
            };
            walk.rest.start = walk.rest.end - rest.len();
            walk.next += 1;
            if walk.next > number {
                return self.entry(walk, labels, list);
            }
        }
    }

    #[inline]
    fn entry<'a>(
        &'a self,
        walk: &SeriesWalk,
        labels: &'a [u8],
        list: List<'a>,
    ) -> Option<SeriesEntry<'a>> {
        if self.series_group == 1 {
            let (schema, own) = varint::read(labels)?;
            return Some(SeriesEntry { schema, ordinals: Ordinals { own, first: None }, list });
        }
        let (schema, own) = ordinals::read_schema(labels)?;
        let (schema, first) = match schema {
            Some(schema) => (schema, None),
            None => {
                let (schema, range) = &walk.first;
                (*schema, Some(self.file.slice(&self.series).get(range.clone())?))
            }
        };
        Some(SeriesEntry { schema, ordinals: Ordinals { own, first }, list })
    }

    /// Reads a schema, as [`SeriesEntry::schema`] names it, into `out`.
    ///
    /// # Errors
    /// `corruption` when there is none.
    pub fn schema(&self, schema: u64, out: &mut Vec<SchemaName>) -> Result<()> {
        out.clear();
        self.read_schema(schema, out).ok_or_else(|| {
            self.file.damaged(self.schemas.start, format!("there is no schema at {schema}"))
        })
    }

    fn read_schema(&self, schema: u64, out: &mut Vec<SchemaName>) -> Option<()> {
        let bytes = self.file.slice(&self.schemas).get(usize::try_from(schema).ok()?..)?;
        let (count, mut rest) = varint::read(bytes)?;
        for _ in 0..count {
            let (number, tail) = varint::read(rest)?;
            let name = self.names.get(usize::try_from(number).ok()?)?;
            out.push(SchemaName { name: number as u32, pairs: name.pairs.clone() });
            rest = tail;
        }
        Some(())
    }

    /// What the parts of the file are and how many bytes they take.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.file.sections().map(|(name, bytes)| (section::text(name), bytes))
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// A `corruption` error about an entry of this index.
    pub fn damaged(&self, message: impl Into<String>) -> Error {
        self.file.damaged(self.series.start, message)
    }

    /// Compares every checksum, and reads every value, bitmap and series: each must parse, and the
    /// series of every pair must be those whose entries have it, by number.
    ///
    /// # Errors
    /// `corruption`.
    pub fn verify(&self, summary: FileSummary) -> Result<()> {
        self.file.verify(summary)?;
        let mut left = vec![0u64; self.pair_count as usize];
        self.walk(0..self.pair_count, |pair, entry| {
            let bitmap = self.read_postings(&entry.postings)?;
            let (Postings::Inline(count, _) | Postings::Bitmap(count, _)) = entry.postings;
            if bitmap.len() != u64::from(count) || bitmap.max() >= Some(self.series_count) {
                return Err(self.damaged(format!("postings of label pair {pair} are wrong")));
            }
            left[pair as usize] = bitmap.len();
            Ok(ControlFlow::Continue(()))
        })?;
        let (mut schema, mut walk) = (Vec::new(), SeriesWalk::default());
        for number in 0..self.series_count {
            let entry = self.series_from(&mut walk, number)?;
            self.schema(entry.schema, &mut schema)?;
            for pair in entry.pairs(&schema) {
                let counted = pair.and_then(|pair| {
                    left[pair as usize] = left[pair as usize].checked_sub(1)?;
                    Some(())
                });
                counted
                    .ok_or_else(|| self.damaged(format!("labels of series {number} are wrong")))?;
            }
        }
        if left.iter().all(|count| *count == 0) {
            return Ok(());
        }
        Err(self.damaged("postings list series that do not have the label"))
    }

    fn find_name(&self, name: &str) -> Option<&Name> {
        let at = self.names.binary_search_by(|n| n.text.as_bytes().cmp(name.as_bytes())).ok()?;
        self.names.get(at)
    }

    /// Visits the values of `pairs` in order until `visit` breaks.
    fn walk<'a>(
        &'a self,
        pairs: Range<u32>,
        mut visit: impl FnMut(u32, &ValueEntry<'a>) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        if pairs.is_empty() {
            return Ok(());
        }
        for group in pairs.start / GROUP..pairs.end.div_ceil(GROUP) {
            let (mut rest, mut postings) = self.group(group)?;
            for pair in group * GROUP..pairs.end.min((group + 1) * GROUP) {
                let (entry, tail) = read_value(rest, &mut postings).ok_or_else(|| {
                    self.file.damaged(self.values.start, format!("label pair {pair} is malformed"))
                })?;
                rest = tail;
                if pair >= pairs.start && visit(pair, &entry)?.is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The bytes of a group of values, and where its first bitmap lies in POSTINGS.
    fn group(&self, group: u32) -> Result<(&[u8], usize)> {
        let table = self.file.slice(&self.groups);
        let at = group as usize * GROUP_BYTES;
        let values = self.file.slice(&self.values);
        let start = u64_at(table, at) as usize;
        let next = at + GROUP_BYTES;
        let end = if next < table.len() { u64_at(table, next) as usize } else { values.len() };
        let postings = u64_at(table, at + 8);
        let bytes = values.get(start..end);
        match bytes {
            Some(bytes)
                if checksum::matches(group_crc(group, postings, bytes), u32_at(table, at + 16)) =>
            {
                Ok((bytes, postings as usize))
            }
            _ => {
                let message = format!("group {group} of label values is not what was written");
                Err(self.file.damaged(self.values.start.saturating_add(start), message))
            }
        }
    }
}

/// Reads a value; `postings` is where its bitmap begins, and moves behind it.
fn read_value<'a>(bytes: &'a [u8], postings: &mut usize) -> Option<(ValueEntry<'a>, &'a [u8])> {
    let (len, rest) = varint::read(bytes)?;
    let (text, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    let text = std::str::from_utf8(text).ok()?;
    let (count, rest) = varint::read(rest)?;
    let count = u32::try_from(count).ok()?;
    if count <= INLINE_MAX {
        let mut tail = rest;
        for _ in 0..count {
            tail = varint::read(tail)?.1;
        }
        let deltas = &rest[..rest.len() - tail.len()];
        return Some((ValueEntry { text, postings: Postings::Inline(count, deltas) }, tail));
    }
    let (len, rest) = varint::read(rest)?;
    if len == 0 {
        let (start, rest) = varint::read(rest)?;
        let (len, rest) = varint::read(rest)?;
        let start = usize::try_from(start).ok()?;
        let range = start..start.checked_add(usize::try_from(len).ok()?)?;
        return Some((ValueEntry { text, postings: Postings::Bitmap(count, range) }, rest));
    }
    let end = postings.checked_add(usize::try_from(len).ok()?)?;
    let range = std::mem::replace(postings, end)..end;
    Some((ValueEntry { text, postings: Postings::Bitmap(count, range) }, rest))
}

/// Reads the NAMES section, whose checksum was compared.
fn read_names(file: &SectionFile) -> Result<Vec<Name>> {
    let mut rest = file.section(section::NAMES)?;
    let (mut names, mut pair) = (Vec::new(), 0);
    while !rest.is_empty() {
        let (name, tail) = read_name(rest, pair).ok_or_else(|| {
            let at = file.range(section::NAMES).map_or(0, |range| range.end - rest.len());
            file.damaged(at, format!("label name {} is malformed", names.len()))
        })?;
        (rest, pair) = (tail, name.pairs.end);
        names.push(name);
    }
    Ok(names)
}

/// Reads a name whose first pair is `pair`.
fn read_name(bytes: &[u8], pair: u32) -> Option<(Name, &[u8])> {
    let (len, rest) = varint::read(bytes)?;
    let (text, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    let (values, rest) = varint::read(rest)?;
    let (offset, rest) = varint::read(rest)?;
    let (len, rest) = varint::read(rest)?;
    let start = usize::try_from(offset).ok()?;
    let name = Name {
        text: std::str::from_utf8(text).ok()?.to_owned(),
        pairs: pair..pair.checked_add(u32::try_from(values).ok()?)?,
        postings: start..start.checked_add(usize::try_from(len).ok()?)?,
    };
    Some((name, rest))
}

fn offset_at(offsets: &[u8], at: usize) -> usize {
    let mut word = [0; 8];
    word[..OFFSET_BYTES].copy_from_slice(&offsets[at..at + OFFSET_BYTES]);
    u64::from_le_bytes(word) as usize
}

/// The checksum of a group of series, begun with its number.
#[inline]
fn group_of_series_crc(group: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(group, body)
}

/// The checksum of a group of values, begun with its number and where its bitmaps lie.
fn group_crc(group: u32, postings: u64, values: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(group, &postings.to_le_bytes()), values)
}
