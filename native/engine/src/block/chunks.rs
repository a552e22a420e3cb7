//! The chunk file of a block: records one after the other, found through the index.
//!
//! A record is the chunk's bytes and a CRC32C over its encoding byte and them. The encoding itself
//! stands in the index, so a reader knows whether it can decode before it touches this file. Cold
//! samples are in frames instead (`frames.rs`).

use std::path::Path;

use super::frames::{Frame, FrameTables, FrameWriter, Timeline};
use crate::chunk::Encoding;
use crate::chunk::dense::Scratch;
use crate::codec::checksum;
use crate::disk::Disk;
use crate::disk::sections::{FileKind, FileSummary, SectionFile, SectionWriter};
use crate::error::{Error, Result};
use crate::index::file::{ChunkMeta, ColumnRef};
use crate::run::RunSlice;
use crate::sample::{TimeRange, TimestampMs};

/// The frame of a chunk file.
pub const CHUNKS_KIND: FileKind = FileKind { magic: *b"MSTRchnk", version: 2 };

/// Section names. The numbers are on disk.
mod section {
    pub const RECORDS: u32 = 1;
    pub const FRAMES: u32 = 2;
    pub const TIMELINES: u32 = 3;
}

/// Bytes of the checksum at the end of a record.
const CRC_BYTES: usize = 4;

/// Writes a chunk file.
pub struct ChunkWriter {
    out: SectionWriter,
    frames: FrameWriter,
}

impl ChunkWriter {
    /// Creates the file at `path`.
    ///
    /// # Errors
    /// Those of [`Disk::create`].
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self> {
        Ok(Self {
            out: SectionWriter::create(disk, path, CHUNKS_KIND)?,
            frames: FrameWriter::new(),
        })
    }

    /// Appends a chunk and returns where it is.
    ///
    /// # Errors
    /// Those of the disk; `internal` for a chunk of 4 GiB.
    pub fn add(
        &mut self,
        encoding: Encoding,
        bytes: &[u8],
        samples: u32,
        range: TimeRange,
    ) -> Result<ChunkMeta> {
        let offset = self.out.section_len();
        let len = u32::try_from(bytes.len() + CRC_BYTES)
            .map_err(|_| Error::internal(format!("a chunk of {} bytes", bytes.len())))?;
        self.out.write(bytes)?;
        self.out.write(&record_crc(encoding as u8, bytes).to_le_bytes())?;
        Ok(ChunkMeta { encoding: encoding as u8, samples, range, offset, len })
    }

    /// Appends a column of floats and, unless it is known, their timeline. Columns come in the
    /// order of the series, and within one of time.
    ///
    /// # Errors
    /// Those of the disk; `limit_exceeded` past the numbers of the format.
    pub fn add_column(&mut self, run: &RunSlice<'_>) -> Result<ColumnRef> {
        self.frames.add(&mut self.out, run)
    }

    /// Writes the tables and the footer and syncs the file.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self) -> Result<FileSummary> {
        let (frames, timelines) = self.frames.finish(&mut self.out)?;
        self.out.end_section(section::RECORDS);
        self.out.write(&frames)?;
        self.out.end_section(section::FRAMES);
        self.out.write(&timelines)?;
        self.out.end_section(section::TIMELINES);
        self.out.finish()
    }
}

/// An open chunk file. Any number of threads may read.
#[derive(Debug)]
pub struct ChunkFile {
    file: SectionFile,
    tables: FrameTables,
}

impl ChunkFile {
    /// Maps the file and checks its frame.
    ///
    /// # Errors
    /// Those of [`SectionFile::open`].
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let file = SectionFile::open(disk, path, CHUNKS_KIND)?;
        let mut tables =
            FrameTables { records: file.range(section::RECORDS)?, ..FrameTables::default() };
        if file.version() > 1 {
            tables.frames = file.range(section::FRAMES)?;
            tables.timelines = file.range(section::TIMELINES)?;
        }
        Ok(Self { file, tables })
    }

    /// Reads the table's entry of a timeline.
    pub(super) fn timeline(&self, number: u32) -> Result<Timeline> {
        self.tables.timeline(&self.file, number)
    }

    /// Decodes the times of a timeline over those in `out`.
    pub(super) fn times(
        &self,
        timeline: &Timeline,
        scratch: &mut Scratch,
        out: &mut Vec<TimestampMs>,
    ) -> Result<()> {
        self.tables.times(&self.file, timeline, scratch, out)
    }

    /// A frame of columns.
    pub(super) fn frame(&self, number: u32) -> Result<Frame<'_>> {
        self.tables.frame(&self.file, number)
    }

    /// A `corruption` error about a column.
    pub(super) fn damaged_column(&self, column: ColumnRef, what: &str) -> Error {
        self.tables.damaged(&self.file, column, what)
    }

    /// The bytes of a chunk; its checksum was compared.
    ///
    /// # Errors
    /// `corruption` for a chunk that is not what was written or of an encoding that this build
    /// does not know.
    #[inline]
    pub fn get(&self, chunk: &ChunkMeta) -> Result<(Encoding, &[u8])> {
        let encoding =
            Encoding::from_byte(chunk.encoding).map_err(|error| self.at(error, chunk))?;
        let start = usize::try_from(chunk.offset).ok();
        start
            .and_then(|start| {
                self.file
                    .slice(&self.tables.records)
                    .get(start..start.checked_add(chunk.len as usize)?)
            })
            .and_then(|record| record.split_last_chunk::<CRC_BYTES>())
            .filter(|(bytes, crc)| {
                checksum::matches(record_crc(chunk.encoding, bytes), u32::from_le_bytes(**crc))
            })
            .map(|(bytes, _)| (encoding, bytes))
            .ok_or_else(|| self.damaged(chunk, "a chunk is not what was written"))
    }

    /// `error`, which decoding `chunk` gave, with its place.
    pub fn at(&self, error: Error, chunk: &ChunkMeta) -> Error {
        error.at(self.file.path(), Some(self.tables.records.start as u64 + chunk.offset))
    }

    /// A `corruption` error at `chunk`.
    pub fn damaged(&self, chunk: &ChunkMeta, message: &str) -> Error {
        let at = (self.tables.records.start as u64).saturating_add(chunk.offset);
        Error::corruption(self.file.path(), at, message)
    }

    /// What the parts of the file are and how many bytes they take: chunks, frames, tables, and how
    /// much of the records is times of timelines.
    pub fn parts(&self) -> Vec<(&'static str, u64)> {
        let times = self.tables.times_bytes(&self.file);
        let parts = self.file.sections().map(|(name, bytes)| match name {
            section::RECORDS => ("records without times", bytes - times.min(bytes)),
            section::FRAMES => ("frame table", bytes),
            section::TIMELINES => ("timeline table", bytes),
            _ => ("unknown", bytes),
        });
        parts.chain([("times of timelines", times)]).collect()
    }

    /// Length of the file.
    pub fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// Compares the checksums of the file and of its section.
    ///
    /// # Errors
    /// `corruption`.
    pub fn verify(&self, summary: FileSummary) -> Result<()> {
        self.file.verify(summary)
    }
}

fn record_crc(encoding: u8, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[encoding]), bytes)
}
