//! The index of a block, to write: version 2.
//!
//! Everything is kept in memory until the end, because symbols come first in the file and are known
//! last: about 100 bytes a series and 16 a chunk.

use std::collections::BTreeMap;
use std::path::Path;

use super::index::{ChunkMeta, MAGIC, SERIES_ALIGN};
use crate::codec::varint;
use crate::disk::{Disk, WriteFile};
use crate::error::{Error, Result};
use crate::labels::Labels;

/// The version that is written.
const VERSION: u8 = 2;

/// A series of the index.
struct Entry {
    labels: Labels,
    chunks: Vec<ChunkMeta>,
}

/// Gathers the index of a block.
#[derive(Default)]
pub struct IndexWriter {
    series: Vec<Entry>,
}

impl IndexWriter {
    /// Adds a series; they come in ascending order of their labels.
    pub fn add(&mut self, labels: Labels, chunks: Vec<ChunkMeta>) {
        self.series.push(Entry { labels, chunks });
    }

    /// Writes the index to `path` and syncs it.
    ///
    /// # Errors
    /// `internal` for more than the format's 32-bit numbers can say; those of the disk.
    pub fn finish(self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let mut out = Out { file: disk.create(path)?, pending: Vec::new(), at: 0 };
        out.put(&MAGIC.to_be_bytes())?;
        out.put(&[VERSION])?;
        let symbols = self.symbols();
        let symbols_at = out.at;
        out.section(&symbol_table(&symbols))?;
        let series_at = out.at;
        let references = self.write_series(&symbols, &mut out)?;
        let label_indices_at = out.at;
        out.align(4)?;
        let postings_at = out.at;
        let table = self.write_postings(&symbols, &references, &mut out)?;
        let table_at = out.at;
        out.section(&table)?;
        let mut toc = Vec::new();
        // The label indices are no longer written, and Prometheus says so by pointing past them.
        for at in [symbols_at, series_at, label_indices_at, table_at, postings_at, table_at] {
            toc.extend_from_slice(&at.to_be_bytes());
        }
        let crc = crc32c::crc32c(&toc);
        out.put(&toc)?;
        out.put(&crc.to_be_bytes())?;
        out.finish()
    }

    /// Every text that occurs, with its number.
    fn symbols(&self) -> BTreeMap<&str, u32> {
        let mut symbols = BTreeMap::new();
        for entry in &self.series {
            for (name, value) in entry.labels.iter() {
                symbols.insert(name, 0);
                symbols.insert(value, 0);
            }
        }
        symbols.values_mut().zip(0..).for_each(|(number, next)| *number = next);
        symbols
    }

    /// Writes the entries and returns the reference of each.
    fn write_series(&self, symbols: &BTreeMap<&str, u32>, out: &mut Out) -> Result<Vec<u32>> {
        let mut references = Vec::with_capacity(self.series.len());
        let mut entry = Vec::new();
        for series in &self.series {
            out.align(SERIES_ALIGN as u64)?;
            references.push(narrow(out.at / SERIES_ALIGN as u64)?);
            entry.clear();
            varint::write(&mut entry, series.labels.iter().count() as u64);
            for text in series.labels.iter().flat_map(|(name, value)| [name, value]) {
                varint::write(&mut entry, u64::from(symbols.get(text).copied().unwrap_or(0)));
            }
            write_chunks(&series.chunks, &mut entry);
            let mut len = Vec::new();
            varint::write(&mut len, entry.len() as u64);
            out.put(&len)?;
            out.put(&entry)?;
            out.put(&crc32c::crc32c(&entry).to_be_bytes())?;
        }
        Ok(references)
    }

    /// Writes the postings of every pair, those of all series first, and returns the table that
    /// says where they are.
    fn write_postings(
        &self,
        symbols: &BTreeMap<&str, u32>,
        references: &[u32],
        out: &mut Out,
    ) -> Result<Vec<u8>> {
        let mut of_pair: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
        for (series, reference) in self.series.iter().zip(references) {
            for (name, value) in series.labels.iter() {
                let number = |text: &str| symbols.get(text).copied().unwrap_or(0);
                of_pair.entry((number(name), number(value))).or_default().push(*reference);
            }
        }
        let texts: Vec<&str> = symbols.keys().copied().collect();
        let mut table = Vec::new();
        table.extend_from_slice(&narrow(of_pair.len() as u64 + 1)?.to_be_bytes());
        let text = |number: u32| texts.get(number as usize).copied().unwrap_or_default();
        let pairs = of_pair.iter().map(|((n, v), list)| (text(*n), text(*v), &list[..]));
        for (name, value, list) in std::iter::once(("", "", references)).chain(pairs) {
            table.push(2);
            for text in [name, value] {
                varint::write(&mut table, text.len() as u64);
                table.extend_from_slice(text.as_bytes());
            }
            varint::write(&mut table, out.at);
            let mut postings = narrow(list.len() as u64)?.to_be_bytes().to_vec();
            postings.extend(list.iter().flat_map(|reference| reference.to_be_bytes()));
            out.section(&postings)?;
            out.align(4)?;
        }
        Ok(table)
    }
}

fn write_chunks(chunks: &[ChunkMeta], entry: &mut Vec<u8>) {
    varint::write(entry, chunks.len() as u64);
    let mut before: Option<ChunkMeta> = None;
    for chunk in chunks {
        match before {
            None => varint::write_signed(entry, chunk.mint),
            Some(before) => varint::write(entry, chunk.mint.wrapping_sub(before.maxt) as u64),
        }
        varint::write(entry, chunk.maxt.wrapping_sub(chunk.mint) as u64);
        match before {
            None => varint::write(entry, chunk.reference),
            Some(before) => {
                let further = chunk.reference.wrapping_sub(before.reference);
                varint::write_signed(entry, further as i64);
            }
        }
        before = Some(*chunk);
    }
}

fn symbol_table(symbols: &BTreeMap<&str, u32>) -> Vec<u8> {
    let mut table = (symbols.len() as u32).to_be_bytes().to_vec();
    for text in symbols.keys() {
        varint::write(&mut table, text.len() as u64);
        table.extend_from_slice(text.as_bytes());
    }
    table
}

fn narrow(number: u64) -> Result<u32> {
    u32::try_from(number)
        .map_err(|_| Error::internal(format!("{number} does not fit into Prometheus' index")))
}

/// The file, and how far it was written.
struct Out {
    file: Box<dyn WriteFile>,
    pending: Vec<u8>,
    at: u64,
}

impl Out {
    /// Bytes that are gathered before they are written.
    const PENDING_BYTES: usize = 1 << 20;

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.pending.extend_from_slice(bytes);
        self.at += bytes.len() as u64;
        if self.pending.len() >= Self::PENDING_BYTES {
            self.file.write(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    /// Length, content, checksum.
    fn section(&mut self, content: &[u8]) -> Result<()> {
        self.put(&narrow(content.len() as u64)?.to_be_bytes())?;
        self.put(content)?;
        self.put(&crc32c::crc32c(content).to_be_bytes())
    }

    fn align(&mut self, to: u64) -> Result<()> {
        let padding = (self.at.next_multiple_of(to) - self.at) as usize;
        self.put(&[0; SERIES_ALIGN][..padding])
    }

    fn finish(mut self) -> Result<()> {
        self.file.write(&self.pending)?;
        self.file.sync()
    }
}
