//! The entry of a series: its labels by number, and where its samples are.
//!
//! Samples are in chunks of the series' own, or in columns of frames (`block/frames.rs`). Frames
//! are filled in the order of the series, so where a series' columns begin follows from where those
//! of the series before end; only the beginning of a group of series is written down. Drawn in
//! `FORMAT.md`, "index".

use super::SchemaName;
use super::ordinals::Ordinals;
use crate::codec::varint;
use crate::sample::{TimeRange, TimestampMs};

/// Where a chunk lies and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkMeta {
    /// The encoding byte.
    pub encoding: u8,
    /// Number of samples.
    pub samples: u32,
    /// Times of the first and the last sample.
    pub range: TimeRange,
    /// Offset of its record in the chunk section.
    pub offset: u64,
    /// Bytes of its record.
    pub len: u32,
}

/// A column of a frame, and the timeline that its values are of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ColumnRef {
    /// Number of the frame.
    pub frame: u32,
    /// Number of the column in the frame.
    pub column: u32,
    /// Number of the timeline: how many values there are, and their times.
    pub timeline: u32,
}

/// A piece of a series' samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// A chunk of its own.
    Chunk(ChunkMeta),
    /// A column of a frame.
    Column(ColumnRef),
}

/// Where the samples of a series are, in ascending time.
#[derive(Debug, Clone, Copy)]
pub enum Pieces<'a> {
    /// Chunks.
    Chunks(&'a [ChunkMeta]),
    /// Columns; each follows the one before in its frame or begins a later frame.
    Columns(&'a [ColumnRef]),
}

/// What stands in front of a list of columns.
const FLAG_COLUMNS: u64 = 1;
/// Whether frames begin within the list.
const FLAG_BREAKS: u64 = 2;
/// Whether the timelines are not one after the other.
const FLAG_RUNS: u64 = 4;
/// Bits of the flags in a list of columns.
const COLUMN_FLAG_BITS: u32 = 3;

/// What the list of the next series of a group is reckoned from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// The column behind the last one of the series before.
    pub frame: u32,
    pub column: u32,
    /// The first timeline of the series before.
    pub timeline: u32,
}

impl Cursor {
    /// Moves to where a series of these pieces begins: it is the first of its group.
    pub(super) fn jump_to(&mut self, pieces: Pieces<'_>) {
        if let Pieces::Columns([first, ..]) = pieces {
            *self = Self { frame: first.frame, column: first.column, timeline: first.timeline };
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for number in [self.frame, self.column, self.timeline] {
            varint::write(out, u64::from(number));
        }
    }

    pub(super) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (frame, rest) = varint::read(bytes)?;
        let (column, rest) = varint::read(rest)?;
        let (timeline, rest) = varint::read(rest)?;
        let cursor = Self {
            frame: u32::try_from(frame).ok()?,
            column: u32::try_from(column).ok()?,
            timeline: u32::try_from(timeline).ok()?,
        };
        Some((cursor, rest))
    }
}

/// A series as it stands in the file; its checksum was compared.
#[derive(Debug, Clone, Copy)]
pub struct SeriesEntry<'a> {
    /// Which schema it has: see [`super::IndexFile::schema`].
    pub schema: u64,
    /// For each name of the schema the value's number among those of the name.
    pub(super) ordinals: Ordinals<'a>,
    pub(super) list: List<'a>,
}

/// The encoded pieces of a series.
#[derive(Debug, Clone, Copy)]
pub(super) enum List<'a> {
    Chunks { count: u64, bytes: &'a [u8], base: TimestampMs },
    Columns(ColumnList<'a>),
}

/// The encoded columns of a series.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnList<'a> {
    count: u64,
    /// The place of the first column, and its timeline.
    at: ColumnRef,
    /// How many frames begin within the list, and where: `varint` gaps.
    breaks: u64,
    break_gaps: &'a [u8],
    /// Timelines that do not follow the one before: `varint` gap, `svarint` jump; by number.
    runs: u64,
    run_list: &'a [u8],
}

impl<'a> SeriesEntry<'a> {
    /// The pairs of the series, in the order of `schema`, which must be its own; `None` in place of
    /// a pair that the index does not have.
    pub fn pairs<'b>(
        &self,
        schema: &'b [SchemaName],
    ) -> impl Iterator<Item = Option<u32>> + use<'a, 'b> {
        self.ordinals.pairs(schema)
    }

    /// Where the samples are, in ascending time; ends with `None` where the entry is malformed.
    pub fn pieces(&self) -> PieceIter<'a> {
        match self.list {
            List::Chunks { count, bytes, base } => {
                PieceIter::Chunks { rest: bytes, left: count, time: base, end: 0 }
            }
            List::Columns(list) => PieceIter::Columns(ColumnIter::new(list)),
        }
    }
}

/// See [`SeriesEntry::pieces`].
#[derive(Debug)]
pub enum PieceIter<'a> {
    /// Chunks.
    Chunks {
        /// Encoded ones.
        rest: &'a [u8],
        /// How many.
        left: u64,
        /// When the one before ended.
        time: TimestampMs,
        /// Where the one before ended.
        end: u64,
    },
    /// Columns.
    Columns(ColumnIter<'a>),
}

impl Iterator for PieceIter<'_> {
    type Item = Option<Piece>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Chunks { rest, left, time, end } => {
                *left = left.checked_sub(1)?;
                let Some((chunk, tail)) = read_chunk(rest, *time, *end) else {
                    *left = 0;
                    return Some(None);
                };
                (*rest, *time, *end) =
                    (tail, chunk.range.maxt, chunk.offset + u64::from(chunk.len));
                Some(Some(Piece::Chunk(chunk)))
            }
            Self::Columns(columns) => Some(columns.next()?.map(Piece::Column)),
        }
    }
}

/// The columns of a list.
#[derive(Debug)]
pub struct ColumnIter<'a> {
    list: ColumnList<'a>,
    index: u64,
    next_break: u64,
    next_run: u64,
}

impl<'a> ColumnIter<'a> {
    fn new(list: ColumnList<'a>) -> Self {
        let mut iter = Self { list, index: 0, next_break: 0, next_run: 0 };
        iter.next_break = iter.advance_break();
        iter.next_run = iter.advance_run();
        iter
    }

    fn advance_break(&mut self) -> u64 {
        let Some(left) = self.list.breaks.checked_sub(1) else { return u64::MAX };
        let read = varint::read(self.list.break_gaps);
        let (gap, rest) = read.unwrap_or((u64::MAX, &[]));
        (self.list.breaks, self.list.break_gaps) = (left, rest);
        self.next_break.saturating_add(gap)
    }

    fn advance_run(&mut self) -> u64 {
        let Some(left) = self.list.runs.checked_sub(1) else { return u64::MAX };
        let (gap, rest) = varint::read(self.list.run_list).unwrap_or((u64::MAX, &[]));
        (self.list.runs, self.list.run_list) = (left, rest);
        self.next_run.saturating_add(gap)
    }

    fn next(&mut self) -> Option<Option<ColumnRef>> {
        if self.index >= self.list.count {
            return None;
        }
        let found = self.step();
        if found.is_none() {
            self.index = self.list.count;
        }
        Some(found)
    }

    fn step(&mut self) -> Option<ColumnRef> {
        let at = &mut self.list.at;
        if self.index > 0 {
            at.timeline = at.timeline.wrapping_add(1);
            at.column = at.column.checked_add(1)?;
        }
        if self.index == self.next_break {
            (at.frame, at.column) = (at.frame.checked_add(1)?, 0);
            self.next_break = self.advance_break();
        }
        if self.index == self.next_run {
            let (jump, rest) = varint::read_signed(self.list.run_list)?;
            let timeline = i64::from(self.list.at.timeline).checked_add(jump)?;
            self.list.at.timeline = u32::try_from(timeline).ok()?;
            self.list.run_list = rest;
            self.next_run = self.advance_run();
        }
        self.index += 1;
        Some(self.list.at)
    }
}

/// Appends a list of chunks that is reckoned from `base` and offset 0.
fn write_chunks(out: &mut Vec<u8>, chunks: &[ChunkMeta], base: TimestampMs) {
    let mut list = Vec::new();
    let (mut time, mut end) = (base, 0);
    for chunk in chunks {
        write_chunk(&mut list, chunk, time, end);
        (time, end) = (chunk.range.maxt, chunk.offset + u64::from(chunk.len));
    }
    varint::write(out, (chunks.len() as u64) << 1);
    varint::write(out, list.len() as u64);
    out.extend_from_slice(&list);
}

/// Appends a list of columns that is reckoned from `cursor`, and moves it on.
fn write_columns(out: &mut Vec<u8>, columns: &[ColumnRef], cursor: &mut Cursor) {
    let Some(first) = columns.first() else {
        varint::write(out, FLAG_COLUMNS);
        return;
    };
    let (mut breaks, mut runs): (Vec<u64>, Vec<(u64, i64)>) = (Vec::new(), Vec::new());
    let (mut frame, mut timeline) = (cursor.frame, first.timeline);
    for (index, column) in columns.iter().enumerate() {
        if column.frame != frame {
            frame = column.frame;
            breaks.push(index as u64);
        }
        if column.timeline != timeline {
            runs.push((index as u64, i64::from(column.timeline) - i64::from(timeline)));
        }
        timeline = column.timeline.wrapping_add(1);
    }
    let mut head = (columns.len() as u64) << COLUMN_FLAG_BITS | FLAG_COLUMNS;
    head |= if breaks.is_empty() { 0 } else { FLAG_BREAKS };
    head |= if runs.is_empty() { 0 } else { FLAG_RUNS };
    varint::write(out, head);
    varint::write_signed(out, i64::from(first.timeline) - i64::from(cursor.timeline));
    if !breaks.is_empty() {
        varint::write(out, breaks.len() as u64);
        let mut last = 0;
        for index in breaks {
            varint::write(out, index - last);
            last = index;
        }
    }
    if !runs.is_empty() {
        varint::write(out, runs.len() as u64);
        let mut last = 0;
        for (index, jump) in runs {
            varint::write(out, index - last);
            varint::write_signed(out, jump);
            last = index;
        }
    }
    if let Some(last) = columns.last() {
        *cursor = Cursor { frame: last.frame, column: last.column + 1, timeline: first.timeline };
    }
}

/// Appends the list of `pieces`.
pub(super) fn write_pieces(
    out: &mut Vec<u8>,
    pieces: Pieces<'_>,
    base: TimestampMs,
    cursor: &mut Cursor,
) {
    match pieces {
        Pieces::Chunks(chunks) => write_chunks(out, chunks, base),
        Pieces::Columns(columns) => write_columns(out, columns, cursor),
    }
}

/// Reads a list of columns that follows `cursor`, moves that on, and returns the rest.
fn read_columns<'a>(
    head: u64,
    bytes: &'a [u8],
    cursor: &mut Cursor,
) -> Option<(ColumnList<'a>, &'a [u8])> {
    let count = head >> COLUMN_FLAG_BITS;
    let mut list = ColumnList {
        count,
        at: ColumnRef { frame: cursor.frame, column: cursor.column, timeline: cursor.timeline },
        breaks: 0,
        break_gaps: &[],
        runs: 0,
        run_list: &[],
    };
    if count == 0 {
        return Some((list, bytes));
    }
    let (jump, mut rest) = varint::read_signed(bytes)?;
    list.at.timeline = u32::try_from(i64::from(cursor.timeline).checked_add(jump)?).ok()?;
    let mut last_break = 0u64;
    if head & FLAG_BREAKS != 0 {
        (list.breaks, rest) = varint::read(rest)?;
        list.break_gaps = rest;
        for _ in 0..list.breaks {
            let (gap, tail) = varint::read(rest)?;
            last_break = last_break.checked_add(gap)?;
            rest = tail;
        }
    }
    if head & FLAG_RUNS != 0 {
        (list.runs, rest) = varint::read(rest)?;
        list.run_list = rest;
        for _ in 0..list.runs {
            rest = varint::read_signed(varint::read(rest)?.1)?.1;
        }
    }
    let count = u32::try_from(count).ok()?;
    let breaks = u32::try_from(list.breaks).ok()?;
    cursor.column = if breaks == 0 {
        cursor.column.checked_add(count)?
    } else {
        count.checked_sub(u32::try_from(last_break).ok()?)?
    };
    cursor.frame = cursor.frame.checked_add(breaks)?;
    cursor.timeline = list.at.timeline;
    Some((list, rest))
}

/// Reads the list at the beginning of `bytes`, which belongs to the series behind `cursor`, moves
/// that on, and returns what follows the list.
pub(super) fn read_list<'a>(
    bytes: &'a [u8],
    base: TimestampMs,
    cursor: &mut Cursor,
) -> Option<(List<'a>, &'a [u8])> {
    let (head, rest) = varint::read(bytes)?;
    if head & FLAG_COLUMNS != 0 {
        let (list, rest) = read_columns(head, rest, cursor)?;
        return Some((List::Columns(list), rest));
    }
    let (len, rest) = varint::read(rest)?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some((List::Chunks { count: head >> 1, bytes, base }, rest))
}

/// Reads the chunk that follows one which ended at `time` and at offset `end`.
fn read_chunk(bytes: &[u8], time: TimestampMs, end: u64) -> Option<(ChunkMeta, &[u8])> {
    let (encoding, rest) = bytes.split_first()?;
    let (gap_ms, rest) = varint::read_signed(rest)?;
    let (width_ms, rest) = varint::read(rest)?;
    let (samples, rest) = varint::read(rest)?;
    let (gap, rest) = varint::read_signed(rest)?;
    let (len, rest) = varint::read(rest)?;
    let mint = time.wrapping_add(gap_ms);
    let len = u32::try_from(len).ok()?;
    let offset = end.checked_add_signed(gap)?;
    offset.checked_add(u64::from(len))?;
    let chunk = ChunkMeta {
        encoding: *encoding,
        samples: u32::try_from(samples).ok()?,
        range: TimeRange::new(mint, mint.wrapping_add(width_ms as i64)),
        offset,
        len,
    };
    Some((chunk, rest))
}

/// Writes the chunk that follows one which ended at `time` and at offset `end`.
fn write_chunk(out: &mut Vec<u8>, chunk: &ChunkMeta, time: TimestampMs, end: u64) {
    out.push(chunk.encoding);
    varint::write_signed(out, chunk.range.mint.wrapping_sub(time));
    varint::write(out, chunk.range.maxt.wrapping_sub(chunk.range.mint) as u64);
    varint::write(out, u64::from(chunk.samples));
    varint::write_signed(out, chunk.offset.wrapping_sub(end) as i64);
    varint::write(out, u64::from(chunk.len));
}
