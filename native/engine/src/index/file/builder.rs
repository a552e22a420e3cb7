//! Writes an index file from series that come in ascending label order.
//!
//! Ordinals and schemas are known only once every series was seen, so entries go to a staging file
//! with provisional numbers first and are rewritten at the end. Memory holds the distinct names,
//! values and schemas, the postings, and a byte a series; never a series' labels or pieces.

use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

use hashbrown::{HashMap, HashTable};
use roaring::RoaringBitmap;

use super::entry::{Cursor, Pieces, write_pieces};
use super::ordinals::Numbered;
use super::{
    CRC_BYTES, GROUP, INDEX_KIND, INLINE_MAX, OFFSET_BYTES, SERIES_GROUP, group_crc,
    group_of_series_crc, section,
};
use crate::codec::varint;
use crate::disk::sections::{FileSummary, SectionWriter};
use crate::disk::{Disk, FileBytes, WriteFile};
use crate::error::{Error, ErrorCode, Result};
use crate::labels::{Labels, LabelsHash, LabelsHasher};
use crate::refs::TenantId;
use crate::sample::TimestampMs;

/// Bytes of staged entries gathered before a write.
const STAGE_BYTES: usize = 128 << 10;

/// Writes an index.
pub struct IndexWriter {
    path: PathBuf,
    staging_path: PathBuf,
    staging: Box<dyn WriteFile>,
    staged: Vec<u8>,
    names: Names,
    pairs: Pairs,
    schemas: HashMap<Box<[u32]>, u32>,
    /// The series before, for the order.
    previous: Option<Labels>,
    base: TimestampMs,
    series_count: u32,
    /// What the pieces of the next series are reckoned from.
    cursor: Cursor,
    /// The cursor before each group of series.
    group_cursors: Vec<Cursor>,
    /// Reused from series to series.
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    names: Vec<u32>,
    pairs: Vec<u32>,
    entry: Vec<u8>,
}

/// The distinct label names, in order of appearance.
#[derive(Default)]
struct Names {
    numbers: HashMap<Box<str>, u32>,
    series: Vec<RoaringBitmap>,
}

/// The distinct pairs of name and value, in order of appearance.
#[derive(Default)]
struct Pairs {
    arena: String,
    list: Vec<Pair>,
    table: HashTable<u32>,
    hasher: std::hash::RandomState,
}

struct Pair {
    name: u32,
    start: usize,
    len: usize,
    series: RoaringBitmap,
}

/// What the provisional numbers become.
struct Numbering {
    /// Provisional pairs in order of name and value.
    pairs: Vec<u32>,
    /// For a provisional pair its ordinal among the values of its name.
    ordinals: Vec<u32>,
    /// Provisional names in order of their text, and the text.
    names: Vec<(u32, Box<str>)>,
    /// For a provisional schema its offset in SCHEMAS.
    schemas: Vec<u64>,
    /// For a provisional schema how many names it has.
    schema_lens: Vec<usize>,
    schema_bytes: Vec<u8>,
}

impl IndexWriter {
    /// Begins the index at `path`, with its staging file beside it.
    ///
    /// # Errors
    /// Those of [`Disk::create`].
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let staging_path = path.with_extension("staging");
        Ok(Self {
            path: path.to_path_buf(),
            staging: disk.create(&staging_path)?,
            staging_path,
            staged: Vec::with_capacity(STAGE_BYTES),
            names: Names::default(),
            pairs: Pairs::default(),
            schemas: HashMap::new(),
            previous: None,
            base: 0,
            series_count: 0,
            cursor: Cursor::default(),
            group_cursors: Vec::new(),
            scratch: Scratch::default(),
        })
    }

    /// Adds a series and where its samples are.
    ///
    /// # Errors
    /// `internal` when `labels` are not greater than those of the series before; `limit_exceeded`
    /// past 2^32 - 1 series; those of the disk.
    pub fn add(&mut self, labels: &Labels, pieces: Pieces<'_>) -> Result<()> {
        if let Some(previous) = self.previous.as_ref().filter(|previous| *previous >= labels) {
            return Err(Error::internal(format!("series {labels} added after {previous}")));
        }
        if self.series_count == u32::MAX {
            return Err(Error::new(ErrorCode::LimitExceeded, "a block holds 2^32 - 1 series"));
        }
        if let (0, Pieces::Chunks([first, ..])) = (self.series_count, pieces) {
            self.base = first.range.mint;
        }
        if self.series_count.is_multiple_of(SERIES_GROUP) {
            self.cursor.jump_to(pieces);
            self.group_cursors.push(self.cursor);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        self.intern(labels, &mut scratch);
        let schema = self.schema(&scratch.names);
        let entry = &mut scratch.entry;
        entry.clear();
        varint::write(entry, u64::from(schema));
        scratch.pairs.iter().for_each(|pair| varint::write(entry, u64::from(*pair)));
        write_pieces(entry, pieces, self.base, &mut self.cursor);
        varint::write(&mut self.staged, entry.len() as u64);
        self.staged.extend_from_slice(entry);
        self.scratch = scratch;
        self.previous = Some(labels.clone());
        self.series_count += 1;
        if self.staged.len() >= STAGE_BYTES {
            self.staging.write(&self.staged)?;
            self.staged.clear();
        }
        Ok(())
    }

    /// Number of series added.
    pub fn series_count(&self) -> u32 {
        self.series_count
    }

    /// Writes the index, syncs it and removes the staging file.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self, disk: &dyn Disk) -> Result<FileSummary> {
        self.staging.write(&self.staged)?;
        let staged = disk.map(&self.staging_path)?;
        let numbering = self.number()?;
        let mut out = SectionWriter::create(disk, &self.path, INDEX_KIND)?;
        write_series(&mut out, &staged, &numbering, (self.series_count, &self.group_cursors))?;
        let values = self.write_postings(&mut out, &numbering)?;
        out.write(&values.text)?;
        out.end_section(section::VALUES);
        out.write(&values.groups)?;
        out.end_section(section::VALUE_GROUPS);
        out.write(&values.names)?;
        out.end_section(section::NAMES);
        out.write(&numbering.schema_bytes)?;
        out.end_section(section::SCHEMAS);
        out.write(&self.base.to_le_bytes())?;
        out.write(&self.series_count.to_le_bytes())?;
        out.write(&(self.pairs.list.len() as u32).to_le_bytes())?;
        out.end_section(section::INFO);
        let summary = out.finish()?;
        drop(staged);
        disk.remove_file(&self.staging_path)?;
        Ok(summary)
    }

    /// Turns labels into provisional names and pairs and notes the series in their postings.
    fn intern(&mut self, labels: &Labels, scratch: &mut Scratch) {
        scratch.names.clear();
        scratch.pairs.clear();
        for (name, value) in labels.iter() {
            let name = self.names.intern(name);
            let pair = self.pairs.intern(name, value);
            push_last(&mut self.names.series[name as usize], self.series_count);
            push_last(&mut self.pairs.list[pair as usize].series, self.series_count);
            scratch.names.push(name);
            scratch.pairs.push(pair);
        }
    }

    fn schema(&mut self, names: &[u32]) -> u32 {
        if let Some(schema) = self.schemas.get(names) {
            return *schema;
        }
        let schema = self.schemas.len() as u32;
        self.schemas.insert(names.into(), schema);
        schema
    }

    /// Orders names, pairs and schemas.
    fn number(&mut self) -> Result<Numbering> {
        let mut names: Vec<(u32, Box<str>)> =
            std::mem::take(&mut self.names.numbers).into_iter().map(|(t, n)| (n, t)).collect();
        names.sort_unstable_by(|a, b| a.1.as_bytes().cmp(b.1.as_bytes()));
        let mut rank = vec![0u32; names.len()];
        names.iter().enumerate().for_each(|(at, (name, _))| rank[*name as usize] = at as u32);

        let key = |pair: &u32| {
            let pair = &self.pairs.list[*pair as usize];
            (rank[pair.name as usize], &self.pairs.arena.as_bytes()[pair.start..][..pair.len])
        };
        let count = u32::try_from(self.pairs.list.len()).map_err(|_| {
            Error::new(ErrorCode::LimitExceeded, "a block holds 2^32 - 1 label pairs")
        })?;
        let mut pairs: Vec<u32> = (0..count).collect();
        pairs.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
        let mut ordinals = vec![0u32; pairs.len()];
        let (mut name, mut next) = (u32::MAX, 0);
        for pair in &pairs {
            let own = self.pairs.list[*pair as usize].name;
            if own != name {
                (name, next) = (own, 0);
            }
            ordinals[*pair as usize] = next;
            next += 1;
        }

        let mut schemas: Vec<(&[u32], u32)> =
            self.schemas.iter().map(|(n, s)| (&**n, *s)).collect();
        schemas.sort_unstable_by_key(|(_, schema)| *schema);
        let (mut offsets, mut lens, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for (names, _) in schemas {
            offsets.push(bytes.len() as u64);
            lens.push(names.len());
            varint::write(&mut bytes, names.len() as u64);
            names.iter().for_each(|name| varint::write(&mut bytes, rank[*name as usize].into()));
        }
        Ok(Numbering {
            pairs,
            ordinals,
            names,
            schemas: offsets,
            schema_lens: lens,
            schema_bytes: bytes,
        })
    }

    /// Writes the POSTINGS section and returns what refers to it.
    fn write_postings(&mut self, out: &mut SectionWriter, numbering: &Numbering) -> Result<Values> {
        let mut values = Values::default();
        let mut bitmaps = Bitmaps { places: HashMap::new(), hasher: LabelsHasher::random() };
        let mut group_start = 0;
        let mut group_postings = 0;
        let mut counts = vec![0u64; numbering.names.len()];
        for (at, number) in numbering.pairs.iter().enumerate() {
            let pair = &mut self.pairs.list[*number as usize];
            counts[pair.name as usize] += 1;
            let text = &self.pairs.arena.as_bytes()[pair.start..][..pair.len];
            varint::write(&mut values.text, text.len() as u64);
            values.text.extend_from_slice(text);
            write_value_postings(&mut values.text, out, &mut pair.series, &mut bitmaps)?;
            pair.series = RoaringBitmap::new();
            let next = at as u32 + 1;
            if next.is_multiple_of(GROUP) || next as usize == numbering.pairs.len() {
                let group = at as u32 / GROUP;
                let bytes = &values.text[group_start as usize..];
                let crc = group_crc(group, group_postings, bytes);
                values.groups.extend_from_slice(&u64::to_le_bytes(group_start));
                values.groups.extend_from_slice(&u64::to_le_bytes(group_postings));
                values.groups.extend_from_slice(&crc.to_le_bytes());
                (group_start, group_postings) = (values.text.len() as u64, out.section_len());
            }
        }
        for (name, text) in &numbering.names {
            let offset = out.section_len();
            out.write(&bitmap_bytes(&mut self.names.series[*name as usize])?)?;
            varint::write(&mut values.names, text.len() as u64);
            values.names.extend_from_slice(text.as_bytes());
            varint::write(&mut values.names, counts[*name as usize]);
            varint::write(&mut values.names, offset);
            varint::write(&mut values.names, out.section_len() - offset);
        }
        out.end_section(section::POSTINGS);
        Ok(values)
    }
}

/// Sections that are built beside POSTINGS and written after it.
#[derive(Default)]
struct Values {
    text: Vec<u8>,
    groups: Vec<u8>,
    names: Vec<u8>,
}

impl Names {
    fn intern(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.series.len() as u32;
        self.numbers.insert(name.into(), number);
        self.series.push(RoaringBitmap::new());
        number
    }
}

impl Pairs {
    fn intern(&mut self, name: u32, value: &str) -> u32 {
        let Self { arena, list, table, hasher } = self;
        let hash = hasher.hash_one((name, value));
        let text = |pair: &Pair| &arena[pair.start..pair.start + pair.len];
        let same = |at: &u32| list[*at as usize].name == name && text(&list[*at as usize]) == value;
        if let Some(at) = table.find(hash, same) {
            return *at;
        }
        let at = list.len() as u32;
        let rehash = |at: &u32| {
            let pair = &list[*at as usize];
            hasher.hash_one((pair.name, text(pair)))
        };
        table.insert_unique(hash, at, rehash);
        let (start, len) = (arena.len(), value.len());
        list.push(Pair { name, start, len, series: RoaringBitmap::new() });
        arena.push_str(value);
        at
    }
}

/// Adds a series to postings that hold only lesser ones.
fn push_last(postings: &mut RoaringBitmap, series: u32) {
    let pushed = postings.try_push(series);
    debug_assert!(pushed.is_ok(), "series {series} is not past the last");
}

/// Rewrites the staged entries with final numbers: SERIES and SERIES_OFFSETS.
fn write_series(
    out: &mut SectionWriter,
    staged: &FileBytes,
    numbering: &Numbering,
    (count, cursors): (u32, &[Cursor]),
) -> Result<()> {
    let mut rest = &staged[..];
    let mut offsets = Vec::with_capacity((cursors.len() + 1) * OFFSET_BYTES);
    let (mut labels, mut group) = (Vec::new(), Vec::new());
    let mut first = Numbered::default();
    for (number, cursor) in (0u32..).zip(cursors) {
        group.clear();
        group.extend_from_slice(&[0; CRC_BYTES]);
        cursor.write(&mut group);
        for place in 0..SERIES_GROUP.min(count - number * SERIES_GROUP) {
            let (numbered, pieces, tail) = renumber(rest, numbering)
                .ok_or_else(|| Error::internal("a staged index entry does not read back"))?;
            rest = tail;
            labels.clear();
            if place == 0 {
                first = numbered;
                first.write(&mut labels, None);
            } else {
                numbered.write(&mut labels, Some(&first));
            }
            varint::write(&mut group, labels.len() as u64);
            group.extend_from_slice(&labels);
            group.extend_from_slice(pieces);
        }
        let crc = group_of_series_crc(number, &group[CRC_BYTES..]);
        group[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
        push_offset(&mut offsets, out.section_len())?;
        out.write(&group)?;
    }
    push_offset(&mut offsets, out.section_len())?;
    out.end_section(section::SERIES);
    out.write(&offsets)?;
    out.end_section(section::SERIES_OFFSETS);
    Ok(())
}

/// Reads a staged entry: its labels with final numbers, its pieces, and the entries that follow.
fn renumber<'a>(bytes: &'a [u8], numbering: &Numbering) -> Option<(Numbered, &'a [u8], &'a [u8])> {
    let (len, rest) = varint::read(bytes)?;
    let (entry, tail) = rest.split_at_checked(len as usize)?;
    let (schema, mut entry) = varint::read(entry)?;
    let mut numbered = Numbered {
        schema: *numbering.schemas.get(schema as usize)?,
        ordinals: Vec::with_capacity(*numbering.schema_lens.get(schema as usize)?),
    };
    for _ in 0..*numbering.schema_lens.get(schema as usize)? {
        let (pair, rest) = varint::read(entry)?;
        numbered.ordinals.push(u64::from(*numbering.ordinals.get(pair as usize)?));
        entry = rest;
    }
    Some((numbered, entry, tail))
}

fn push_offset(offsets: &mut Vec<u8>, offset: u64) -> Result<()> {
    if offset >> (8 * OFFSET_BYTES) != 0 {
        return Err(Error::new(ErrorCode::LimitExceeded, "the series of a block take over 1 TiB"));
    }
    offsets.extend_from_slice(&offset.to_le_bytes()[..OFFSET_BYTES]);
    Ok(())
}

/// The bitmaps that were written, by their bytes: labels that go together, as a pod and its address
/// do, have equal ones.
struct Bitmaps {
    /// Offset and length in POSTINGS.
    places: HashMap<LabelsHash, (u64, u64)>,
    hasher: LabelsHasher,
}

/// Appends the number of series and either the series or where their bitmap is.
fn write_value_postings(
    values: &mut Vec<u8>,
    out: &mut SectionWriter,
    series: &mut RoaringBitmap,
    bitmaps: &mut Bitmaps,
) -> Result<()> {
    varint::write(values, series.len());
    if series.len() <= u64::from(INLINE_MAX) {
        let mut last = 0;
        for number in series.iter() {
            varint::write(values, u64::from(number - last));
            last = number;
        }
        return Ok(());
    }
    let bytes = bitmap_bytes(series)?;
    let place = (out.section_len(), bytes.len() as u64);
    let known = *bitmaps.places.entry(bitmaps.hasher.hash(TenantId(0), &bytes)).or_insert(place);
    if known == place {
        varint::write(values, place.1);
        return out.write(&bytes);
    }
    varint::write(values, 0);
    varint::write(values, known.0);
    varint::write(values, known.1);
    Ok(())
}

/// A bitmap and its checksum.
fn bitmap_bytes(series: &mut RoaringBitmap) -> Result<Vec<u8>> {
    series.optimize();
    let mut bytes = Vec::with_capacity(series.serialized_size() + CRC_BYTES);
    series
        .serialize_into(&mut bytes)
        .map_err(|cause| Error::internal(format!("a bitmap cannot be serialized: {cause}")))?;
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}
