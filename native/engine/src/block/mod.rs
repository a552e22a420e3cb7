//! Blocks: immutable, self-contained directories of series over a window of time.
//!
//! ```text
//! blocks/<ULID>/meta.json   what the block is; every file with length and CRC32C   (meta.rs)
//!               index       series by label, chunks by series        (index/file.rs)
//!               chunks      the samples                   (chunks.rs, or frames.rs when cold)
//! blocks/tombstones           what is deleted in blocks, until they are rewritten (tombstones.rs)
//! ```
//!
//! A block appears whole, by one rename (`writer.rs`), never changes, and disappears whole. Every
//! byte is drawn in `FORMAT.md`, "Blocks". An open block may be read by any number of threads; it
//! stays readable while somebody holds it, also after its directory was removed.

pub mod chunks;
mod columns;
mod frames;
pub mod hidden;
pub mod meta;
pub mod quarantine;
mod selection;
mod slices;
#[cfg(test)]
mod tests;
pub mod tombstones;
pub mod writer;

use std::path::{Path, PathBuf};

use ulid::Ulid;

use crate::chunk;
use crate::disk::Disk;
use crate::disk::publish;
use crate::error::{Error, Result};
use crate::index::file::{ChunkMeta, IndexFile, Piece, SeriesWalk};
use crate::sample::TimeRange;
use crate::source::Columns;
use crate::sync::{Arc, AtomicBool, Ordering};

use chunks::ChunkFile;
use columns::{ColumnReader, LastFrame};
use meta::{Counts, Meta};

pub use writer::{BlockWriter, FinishedBlock};

/// The name of the description in a block's directory.
pub const META_FILE: &str = "meta.json";
/// The name of the index in a block's directory.
pub const INDEX_FILE: &str = "index";
/// The name of the chunk file in a block's directory.
pub const CHUNKS_FILE: &str = "chunks";

/// An open block.
pub struct Block {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    meta: Meta,
    index: IndexFile,
    chunks: ChunkFile,
    bytes: u64,
    /// Whether a reader met damage in it.
    damaged: AtomicBool,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Block({})", self.meta.ulid)
    }
}

impl Block {
    /// Opens the block in `dir`: reads its description, maps its files, and checks their lengths,
    /// frames and small sections. Costs with the number of distinct label pairs and schemas, not of
    /// series or samples.
    ///
    /// # Errors
    /// `corruption` for what is not as it was written or needs a newer version; those of the disk.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Arc<Self>> {
        let path = dir.join(META_FILE);
        let text = disk.read(&path)?;
        let meta = Meta::decode(&path, &text)?;
        if dir.file_name().and_then(|name| name.to_str()) != Some(&*meta.ulid.to_string()) {
            let message = format!("block {} in the directory of another", meta.ulid);
            return Err(Error::corruption(&path, 0, message));
        }
        let index = IndexFile::open(&*disk, &dir.join(INDEX_FILE))?;
        let chunks = ChunkFile::open(&*disk, &dir.join(CHUNKS_FILE))?;
        for (name, got) in [(INDEX_FILE, index.bytes()), (CHUNKS_FILE, chunks.bytes())] {
            match meta.file(name) {
                Some(listed) if listed.bytes == got => {}
                listed => {
                    let want = listed.map_or(0, |listed| listed.bytes);
                    let message = format!("{got} bytes, want {want}");
                    return Err(Error::corruption(&dir.join(name), got, message));
                }
            }
        }
        let bytes = text.len() as u64 + index.bytes() + chunks.bytes();
        let (dir, damaged) = (dir.to_path_buf(), AtomicBool::new(false));
        Ok(Arc::new(Self { disk, dir, meta, index, chunks, bytes, damaged }))
    }

    /// The block's description.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Remembers that a reader met damage in it; says whether that is new.
    pub fn mark_damaged(&self) -> bool {
        !self.damaged.swap(true, Ordering::Relaxed)
    }

    /// What takes the bytes: file, part, bytes.
    pub fn parts(&self) -> Vec<(&'static str, &'static str, u64)> {
        let index = self.index.parts().map(|(part, bytes)| (INDEX_FILE, part, bytes));
        let chunks =
            self.chunks.parts().into_iter().map(|(part, bytes)| (CHUNKS_FILE, part, bytes));
        index.chain(chunks).collect()
    }

    /// Reads all of the block and compares every checksum, decodes every chunk, and compares the
    /// counts and times with the description.
    ///
    /// # Errors
    /// `corruption` for the first thing that is not as it was written; those of the disk.
    pub fn verify(&self) -> Result<()> {
        let path = self.dir.join(META_FILE);
        let wrong = |what: &str| Error::corruption(&path, 0, what);
        if Meta::decode(&path, &self.disk.read(&path)?)? != self.meta {
            return Err(wrong("the description changed since the block was opened"));
        }
        let listed = |name| self.meta.file(name).ok_or_else(|| wrong("a file is not listed"));
        self.index.verify(listed(INDEX_FILE)?)?;
        self.chunks.verify(listed(CHUNKS_FILE)?)?;
        let (mut counts, mut range) = (Counts::default(), TimeRange::EMPTY);
        let (mut reader, mut last_frame) = (ColumnReader::default(), LastFrame::default());
        let (mut columns, mut walk) = (Columns::default(), SeriesWalk::default());
        for number in 0..self.index.series_count() {
            counts.series += 1;
            let mut last = None;
            for piece in self.index.series_from(&mut walk, number)?.pieces() {
                let piece = piece.ok_or_else(|| self.malformed(number))?;
                columns.clear();
                self.read_piece(
                    &piece,
                    TimeRange::ALL,
                    (&mut reader, &mut last_frame),
                    &mut columns,
                )?;
                let times = &columns.timestamps;
                let held = (times.first().copied(), times.last().copied());
                let promised = self.promise(&piece)?;
                if held != (Some(promised.0.mint), Some(promised.0.maxt))
                    || times.len() != promised.1
                    || last >= held.0
                {
                    return Err(self.index.damaged(format!(
                        "a piece of series {number} is not what the index says"
                    )));
                }
                last = held.1;
                range.include_range(&promised.0);
                counts.chunks += 1;
                counts.samples += times.len() as u64;
            }
        }
        if (counts, range) == (self.meta.counts, self.meta.range()) {
            return Ok(());
        }
        Err(wrong("counts or times are not those of the samples"))
    }

    /// Times of the first and the last sample of a piece, and how many it has.
    fn promise(&self, piece: &Piece) -> Result<(TimeRange, usize)> {
        match piece {
            Piece::Chunk(chunk) => Ok((chunk.range, chunk.samples as usize)),
            Piece::Column(column) => {
                let timeline = self.chunks.timeline(column.timeline)?;
                Ok((timeline.range, timeline.samples))
            }
        }
    }

    /// Appends the samples of `piece` in `range`.
    fn read_piece<'a>(
        &'a self,
        piece: &Piece,
        range: TimeRange,
        (reader, last): (&mut ColumnReader, &mut LastFrame<'a>),
        out: &mut Columns,
    ) -> Result<()> {
        match piece {
            Piece::Chunk(chunk) => self.decode(chunk, range, out),
            Piece::Column(column) => reader.read((&self.chunks, last), *column, range, out),
        }
    }

    /// Appends the samples of `chunk` in `range`.
    fn decode(&self, chunk: &ChunkMeta, range: TimeRange, out: &mut Columns) -> Result<()> {
        if !chunk.range.overlaps(&range) {
            return Ok(());
        }
        let (encoding, bytes) = self.chunks.get(chunk)?;
        let decoded = chunk::decode(encoding, bytes, range, &mut out.sink());
        decoded.map_err(|error| self.chunks.at(error, chunk))
    }

    fn malformed(&self, number: u32) -> Error {
        self.index.damaged(format!("the chunks of series {number} are malformed"))
    }
}

/// The directories of the blocks in `blocks_dir`, oldest name first. Whatever is not named by a
/// ULID is none; a directory that does not exist has none.
///
/// # Errors
/// Those of the disk.
pub fn list(disk: &dyn Disk, blocks_dir: &Path) -> Result<Vec<PathBuf>> {
    if !disk.exists(blocks_dir) {
        return Ok(Vec::new());
    }
    let entries = disk.list(blocks_dir)?;
    let is_block = |name: &str| Ulid::from_string(name).is_ok_and(|ulid| ulid.to_string() == name);
    let blocks = entries.into_iter().filter(|entry| entry.is_dir && is_block(&entry.name));
    Ok(blocks.map(|entry| blocks_dir.join(entry.name)).collect())
}

/// Removes what crashes left of blocks that were being written or removed, and returns how many.
///
/// # Errors
/// Those of the disk.
pub fn sweep(disk: &dyn Disk, blocks_dir: &Path) -> Result<usize> {
    if !disk.exists(blocks_dir) {
        return Ok(0);
    }
    publish::sweep(disk, blocks_dir)
}

/// Removes a block: it vanishes by one durable rename, then its files go. Whoever has it open may
/// go on reading.
///
/// # Errors
/// Those of the disk; after the rename a later sweep removes what is left.
pub fn remove(disk: &dyn Disk, blocks_dir: &Path, ulid: Ulid) -> Result<()> {
    let dir = blocks_dir.join(ulid.to_string());
    let temp = publish::temp_path(&dir);
    disk.rename(&dir, &temp)?;
    disk.sync_dir(blocks_dir)?;
    disk.remove_dir(&temp)
}
