//! Frames of columns and the timelines that columns share: where cold samples lie in the chunk
//! file.
//!
//! A *timeline* is the times of a slice of a series. Series that were scraped together have equal
//! times; they are recognised by that alone, and their timeline is stored once. A *column* holds
//! the values of one series over one timeline (`chunk/dense`). Columns follow each other in the
//! order of the series, so that neighbours are mostly the same metric, and a handful of them make a
//! *frame*, which has one checksum and one entry in a table. Columns are encoded one by one: a read
//! that wants one pays for the frame's checksum, and decodes nothing that it does not want.

use std::ops::Range;

use hashbrown::HashMap;

use crate::chunk::dense::{self, Scratch};
use crate::codec::{checksum, varint};
use crate::disk::sections::{SectionFile, SectionWriter, u32_at, u64_at};
use crate::error::{Error, ErrorCode, Result};
use crate::index::file::ColumnRef;
use crate::labels::{LabelsHash, LabelsHasher};
use crate::refs::TenantId;
use crate::run::RunSlice;
use crate::sample::{TimeRange, TimestampMs};

/// Bytes of columns after which a frame ends: a page, which a disk reads at once, and whose
/// checksum costs less than decoding one column of a few hundred samples.
const FRAME_BYTES: usize = 4096;
/// The most columns of a frame: constant columns take three bytes, and finding the last one walks
/// over the lengths of the others.
const FRAME_COLUMNS: usize = 64;
/// Bytes of a frame in the table: offset and length.
const FRAME_ENTRY_BYTES: usize = 8;
/// Bytes of a timeline in the table: offset and count, length, times of the first and last sample,
/// checksum.
const TIMELINE_ENTRY_BYTES: usize = 32;
/// Bytes of the checksum of a record.
const CRC_BYTES: usize = 4;
/// Low bits of a table's first word: a frame's bytes, a timeline's samples. The offset is above.
const LOW_BITS: u32 = 24;
/// Timelines that are remembered at most; then all are forgotten, and times that come again are
/// stored again. Some 40 bytes each.
const KNOWN_MAX: usize = 1 << 20;

/// Writes frames and timelines.
pub(super) struct FrameWriter {
    /// Entries of the finished frames.
    frames: Vec<u8>,
    /// Entries of the timelines.
    timelines: Vec<u8>,
    known: HashMap<LabelsHash, u32>,
    hasher: LabelsHasher,
    /// The columns of the open frame, and their lengths.
    columns: Vec<u8>,
    lens: Vec<u8>,
    count: usize,
    bytes: Vec<u8>,
    scratch: Scratch,
}

impl FrameWriter {
    pub(super) fn new() -> Self {
        Self {
            frames: Vec::new(),
            timelines: Vec::new(),
            known: HashMap::new(),
            hasher: LabelsHasher::random(),
            columns: Vec::new(),
            lens: Vec::new(),
            count: 0,
            bytes: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Adds a column: at least one sample, at most [`dense::SAMPLES_MAX`].
    pub(super) fn add(&mut self, out: &mut SectionWriter, run: &RunSlice<'_>) -> Result<ColumnRef> {
        let timeline = self.timeline(out, run.timestamps)?;
        let start = self.columns.len();
        dense::encode_starts(run.starts, run.values.len(), &mut self.columns);
        dense::encode_values(run.values, &mut self.scratch, &mut self.columns);
        if self.count > 0 && (self.columns.len() > FRAME_BYTES || self.count == FRAME_COLUMNS) {
            let next = self.columns.split_off(start);
            self.end_frame(out)?;
            self.columns = next;
            return Ok(self.push(timeline, 0));
        }
        Ok(self.push(timeline, start))
    }

    /// Counts the column that begins at `start` of the open frame.
    fn push(&mut self, timeline: u32, start: usize) -> ColumnRef {
        varint::write(&mut self.lens, (self.columns.len() - start) as u64);
        self.count += 1;
        let frame = (self.frames.len() / FRAME_ENTRY_BYTES) as u32;
        ColumnRef { frame, column: self.count as u32 - 1, timeline }
    }

    /// The number of the timeline with these times, which is written unless it is known.
    fn timeline(&mut self, out: &mut SectionWriter, timestamps: &[TimestampMs]) -> Result<u32> {
        let Some(range) = ends(timestamps) else {
            return Err(Error::internal("a column without samples"));
        };
        self.bytes.clear();
        self.bytes.extend(timestamps.iter().flat_map(|t| t.to_le_bytes()));
        let key = self.hasher.hash(TenantId(0), &self.bytes);
        if let Some(number) = self.known.get(&key) {
            return Ok(*number);
        }
        let number = number_of(&self.timelines, TIMELINE_ENTRY_BYTES)?;
        if self.known.len() == KNOWN_MAX {
            self.known.clear();
        }
        self.known.insert(key, number);
        self.bytes.clear();
        dense::encode_times(timestamps, &mut self.bytes);
        let word = table_word(out.section_len(), timestamps.len())?;
        let entry_start = self.timelines.len();
        self.timelines.extend_from_slice(&word.to_le_bytes());
        self.timelines.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        self.timelines.extend_from_slice(&range.mint.to_le_bytes());
        self.timelines.extend_from_slice(&range.maxt.to_le_bytes());
        let crc = crc32c::crc32c_append(number, &self.timelines[entry_start..]);
        self.timelines.extend_from_slice(&crc.to_le_bytes());
        let crc = crc32c::crc32c_append(number, &self.bytes);
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        out.write(&self.bytes)?;
        Ok(number)
    }

    fn end_frame(&mut self, out: &mut SectionWriter) -> Result<()> {
        let number = number_of(&self.frames, FRAME_ENTRY_BYTES)?;
        let mut frame = Vec::with_capacity(self.columns.len() + self.lens.len() + 8);
        varint::write(&mut frame, self.count as u64);
        frame.append(&mut self.lens);
        frame.append(&mut self.columns);
        let crc = crc32c::crc32c_append(number, &frame);
        frame.extend_from_slice(&crc.to_le_bytes());
        self.count = 0;
        self.frames.extend_from_slice(&table_word(out.section_len(), frame.len())?.to_le_bytes());
        out.write(&frame)
    }

    /// Writes the open frame; returns the tables of frames and of timelines.
    pub(super) fn finish(mut self, out: &mut SectionWriter) -> Result<(Vec<u8>, Vec<u8>)> {
        if self.count > 0 {
            self.end_frame(out)?;
        }
        Ok((self.frames, self.timelines))
    }
}

fn ends(timestamps: &[TimestampMs]) -> Option<TimeRange> {
    Some(TimeRange::new(*timestamps.first()?, *timestamps.last()?))
}

/// The number of the next entry of a table.
fn number_of(table: &[u8], entry_bytes: usize) -> Result<u32> {
    u32::try_from(table.len() / entry_bytes)
        .map_err(|_| Error::new(ErrorCode::LimitExceeded, "a block holds 2^32 - 1 frames"))
}

fn table_word(offset: u64, low: usize) -> Result<u64> {
    if offset >> (64 - LOW_BITS) != 0 || low >> LOW_BITS != 0 {
        let message = format!("a record of {low} at {offset} of a chunk file");
        return Err(Error::new(ErrorCode::LimitExceeded, message));
    }
    Ok(offset << LOW_BITS | low as u64)
}

/// A timeline as the table has it; the entry's checksum was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timeline {
    number: u32,
    offset: usize,
    len: usize,
    /// Number of samples.
    pub(super) samples: usize,
    /// Times of the first and the last sample.
    pub(super) range: TimeRange,
}

impl Timeline {
    /// Its number.
    pub(super) fn number(&self) -> u32 {
        self.number
    }
}

/// Where frames and timelines lie in a chunk file.
#[derive(Debug, Default)]
pub(super) struct FrameTables {
    /// The section that holds both.
    pub(super) records: Range<usize>,
    pub(super) frames: Range<usize>,
    pub(super) timelines: Range<usize>,
}

impl FrameTables {
    /// Reads the entry of a timeline.
    ///
    /// # Errors
    /// `corruption`.
    #[inline]
    pub(super) fn timeline(&self, file: &SectionFile, number: u32) -> Result<Timeline> {
        let at = number as usize * TIMELINE_ENTRY_BYTES;
        let entry = file.slice(&self.timelines).get(at..at + TIMELINE_ENTRY_BYTES);
        let found = entry.filter(|entry| {
            checksum::matches(crc32c::crc32c_append(number, &entry[..28]), u32_at(entry, 28))
        });
        let Some(entry) = found else {
            let message = format!("timeline {number} is not what was written");
            return Err(file.damaged(self.timelines.start.saturating_add(at), message));
        };
        let word = u64_at(entry, 0);
        Ok(Timeline {
            number,
            offset: (word >> LOW_BITS) as usize,
            len: u32_at(entry, 8) as usize,
            samples: (word & ((1 << LOW_BITS) - 1)) as usize,
            range: TimeRange::new(u64_at(entry, 12) as i64, u64_at(entry, 20) as i64),
        })
    }

    /// Bytes of the times of all timelines.
    pub(super) fn times_bytes(&self, file: &SectionFile) -> u64 {
        let entries = file.slice(&self.timelines).chunks_exact(TIMELINE_ENTRY_BYTES);
        entries.map(|entry| u64::from(u32_at(entry, 8)) + CRC_BYTES as u64).sum()
    }

    /// Decodes the times of a timeline over those in `out`.
    ///
    /// # Errors
    /// `corruption`.
    pub(super) fn times(
        &self,
        file: &SectionFile,
        timeline: &Timeline,
        scratch: &mut Scratch,
        out: &mut Vec<TimestampMs>,
    ) -> Result<()> {
        let damaged = |what: &str| {
            let message = format!("the times of timeline {}: {what}", timeline.number);
            file.damaged(self.records.start.saturating_add(timeline.offset), message)
        };
        let end = timeline.offset + timeline.len + CRC_BYTES;
        let record = file.slice(&self.records).get(timeline.offset..end);
        let bytes = record.and_then(|record| checked(timeline.number, record));
        let bytes = bytes.ok_or_else(|| damaged("they are not what was written"))?;
        if timeline.samples > dense::SAMPLES_MAX {
            return Err(damaged("they are too many"));
        }
        out.resize(timeline.samples, 0);
        dense::decode_times(bytes, scratch, out).map_err(|cause| damaged(cause.message()))?;
        if ends(out) == Some(timeline.range) {
            return Ok(());
        }
        Err(damaged("they are not those of the table"))
    }

    /// A frame; its checksum was compared.
    ///
    /// # Errors
    /// `corruption`.
    pub(super) fn frame<'a>(&self, file: &'a SectionFile, number: u32) -> Result<Frame<'a>> {
        let at = number as usize * FRAME_ENTRY_BYTES;
        let entry = file.slice(&self.frames).get(at..at + FRAME_ENTRY_BYTES);
        let word = entry.map_or(0, |entry| u64_at(entry, 0));
        let (start, len) = ((word >> LOW_BITS) as usize, word & ((1 << LOW_BITS) - 1));
        let record = file.slice(&self.records).get(start..start + len as usize);
        let frame = record
            .and_then(|record| checked(number, record))
            .and_then(varint::read)
            .map(|(count, lens)| Frame { count, lens });
        frame.ok_or_else(|| {
            let message = format!("frame {number} is not what was written");
            file.damaged(self.records.start.saturating_add(start), message)
        })
    }

    /// A `corruption` error about a column.
    pub(super) fn damaged(&self, file: &SectionFile, column: ColumnRef, what: &str) -> Error {
        let at = column.frame as usize * FRAME_ENTRY_BYTES;
        let entry = file.slice(&self.frames).get(at..at + FRAME_ENTRY_BYTES);
        let start = entry.map_or(0, |entry| (u64_at(entry, 0) >> LOW_BITS) as usize);
        let message = format!("column {} of frame {}: {what}", column.column, column.frame);
        file.damaged(self.records.start.saturating_add(start), message)
    }
}

/// The bytes of a record without the checksum that was begun with its number; `None` if it differs.
fn checked(number: u32, record: &[u8]) -> Option<&[u8]> {
    let (bytes, crc) = record.split_last_chunk::<CRC_BYTES>()?;
    checksum::matches(crc32c::crc32c_append(number, bytes), u32::from_le_bytes(*crc))
        .then_some(bytes)
}

/// The columns of a frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    count: u64,
    /// The lengths of the columns, then the columns.
    lens: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The bytes of a column.
    pub(super) fn column(&self, number: u32) -> Option<&'a [u8]> {
        let number = u64::from(number);
        if number >= self.count {
            return None;
        }
        let (mut rest, mut start, mut len) = (self.lens, 0usize, 0usize);
        for column in 0..self.count {
            let (bytes, tail) = varint::read(rest)?;
            let bytes = usize::try_from(bytes).ok()?;
            rest = tail;
            if column < number {
                start = start.checked_add(bytes)?;
            } else if column == number {
                len = bytes;
            }
        }
        rest.get(start..start.checked_add(len)?)
    }
}
