//! The index of a block, to read: symbols, and the series one after the other.
//!
//! Versions 2 and 3 name symbols by number and pad series to 16 bytes, version 1 names them by
//! offset. Postings are not read: an import wants every series.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::bytes::Fields;
use crate::disk::{Disk, FileBytes};
use crate::error::{Error, Result};
use crate::labels::encode_pair;
use crate::sample::TimestampMs;

/// The first four bytes of an index.
pub const MAGIC: u32 = 0xBAAA_D700;
/// Bytes of the table of contents at the end: six offsets and a checksum.
const TOC_BYTES: usize = 6 * 8 + 4;
/// Series begin at multiples of this, except in version 1.
pub const SERIES_ALIGN: usize = 16;

/// A chunk of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMeta {
    /// The time of its first sample.
    pub mint: TimestampMs,
    /// The time of its last sample.
    pub maxt: TimestampMs,
    /// Where it is: see `chunks.rs`.
    pub reference: u64,
}

/// A series of the index.
#[derive(Debug, Default)]
pub struct Series {
    /// Its number in tombstones.
    pub reference: u64,
    /// Its labels in canonical encoding.
    pub labels: Vec<u8>,
    /// Its chunks, ascending.
    pub chunks: Vec<ChunkMeta>,
}

/// An open index.
pub struct Index {
    path: PathBuf,
    bytes: FileBytes,
    version: u8,
    /// Where each symbol begins, by number; in version 1 a symbol's number is its offset.
    symbols: Vec<u32>,
    /// For version 1: whether an offset is a symbol's.
    by_offset: HashMap<u32, ()>,
    series: std::ops::Range<usize>,
}

impl Index {
    /// Maps the index at `path` and reads its table of contents and symbols.
    ///
    /// # Errors
    /// `corruption`; those of the disk.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let bytes = disk.map(path)?;
        let wrong = |text: String| Error::corruption(path, 0, text);
        let mut header = Fields::new(&bytes, path, 0);
        let (magic, version) = (header.u32()?, header.u8()?);
        if magic != MAGIC || !(1..=3).contains(&version) {
            let text = format!("magic {magic:08x}, version {version}: want {MAGIC:08x}, 1 to 3");
            return Err(wrong(text));
        }
        let toc_start = bytes
            .len()
            .checked_sub(TOC_BYTES)
            .ok_or_else(|| wrong(format!("an index of {} bytes", bytes.len())))?;
        let mut toc = Fields::new(&bytes[toc_start..], path, toc_start);
        let covered = &toc.rest()[..TOC_BYTES - 4];
        let mut at = || toc.u64().map(|offset| usize::try_from(offset).unwrap_or(usize::MAX));
        let (symbols, series) = (at()?, at()?);
        let ends = [at()?, at()?, at()?, at()?];
        toc.checksum(covered)?;
        // The series end where the next section begins; an absent section is at 0.
        let end = ends.into_iter().filter(|end| *end >= series).min().unwrap_or(toc_start);
        if series > end || end > toc_start {
            return Err(wrong(format!("series from {series} to {end} of {toc_start}")));
        }
        let mut index = Self {
            path: path.to_path_buf(),
            version,
            symbols: Vec::new(),
            by_offset: HashMap::new(),
            series: series..end,
            bytes,
        };
        index.read_symbols(symbols)?;
        Ok(index)
    }

    fn fields_at(&self, offset: usize) -> Fields<'_> {
        let offset = offset.min(self.bytes.len());
        Fields::new(&self.bytes[offset..], &self.path, offset)
    }

    fn read_symbols(&mut self, offset: usize) -> Result<()> {
        let mut found = Vec::new();
        {
            let mut section = self.fields_at(offset);
            let len = section.u32()? as usize;
            let mut symbols = section.part(len)?;
            section.checksum(symbols.rest())?;
            let count = symbols.u32()?;
            for _ in 0..count {
                let at = u32::try_from(symbols.offset())
                    .map_err(|_| symbols.wrong("symbols past 4 GiB"))?;
                symbols.text()?;
                found.push(at);
            }
        }
        if self.version == 1 {
            self.by_offset = found.iter().map(|at| (*at, ())).collect();
        }
        self.symbols = found;
        Ok(())
    }

    fn symbol(&self, number: u64, place: &Fields<'_>) -> Result<&str> {
        let unknown = || place.wrong(format!("there is no symbol {number}"));
        let number = u32::try_from(number).map_err(|_| unknown())?;
        let at = if self.version == 1 {
            self.by_offset.contains_key(&number).then_some(number)
        } else {
            self.symbols.get(number as usize).copied()
        };
        self.fields_at(at.ok_or_else(unknown)? as usize).text()
    }

    /// Visits every series, in the order of the index, which is that of their labels.
    ///
    /// # Errors
    /// `corruption`; those of `visit`.
    pub fn for_each(&self, visit: &mut dyn FnMut(&Series) -> Result<()>) -> Result<()> {
        let mut fields =
            Fields::new(&self.bytes[self.series.clone()], &self.path, self.series.start);
        let mut series = Series::default();
        loop {
            // Zeros pad a series; none begins with one, for that would be a series of no bytes.
            while fields.rest().first() == Some(&0) {
                fields.bytes(1)?;
            }
            if fields.is_empty() {
                return Ok(());
            }
            let offset = fields.offset();
            let len = fields.size()?;
            let entry = fields.part(len)?;
            fields.checksum(entry.rest())?;
            series.reference =
                if self.version == 1 { offset as u64 } else { (offset / SERIES_ALIGN) as u64 };
            self.read_series(entry, &mut series)?;
            visit(&series)?;
        }
    }

    fn read_series(&self, mut entry: Fields<'_>, series: &mut Series) -> Result<()> {
        series.labels.clear();
        for _ in 0..entry.uvarint()? {
            let (name, value) = (entry.uvarint()?, entry.uvarint()?);
            let (name, value) = (self.symbol(name, &entry)?, self.symbol(value, &entry)?);
            encode_pair(&mut series.labels, name, value);
        }
        series.chunks.clear();
        let (mut t, mut reference) = (0i64, 0u64);
        for number in 0..entry.uvarint()? {
            let mint =
                if number == 0 { entry.varint()? } else { t.wrapping_add(entry.uvarint()? as i64) };
            let maxt = mint.wrapping_add(entry.uvarint()? as i64);
            reference = if number == 0 {
                entry.uvarint()?
            } else {
                reference.wrapping_add(entry.varint()? as u64)
            };
            if mint > maxt {
                return Err(entry.wrong(format!("a chunk from {mint} to {maxt}")));
            }
            series.chunks.push(ChunkMeta { mint, maxt, reference });
            t = maxt;
        }
        Ok(())
    }
}
