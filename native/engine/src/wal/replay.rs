//! Reading the log back after a start, clean or not.
//!
//! The chain: beginning with the last segment, each header names the segment before it and the
//! position up to which that one is part of the log. Segments outside the chain, and bytes past
//! those positions, are what failed writes left behind; nobody was told that they are stored.
//!
//! The cut: reading stops at the first bad frame. If anything that is intact and was written later
//! (a header of the chain, or a frame found by searching every offset) says that the log had been
//! durable past that position, acknowledged data is damaged, and recovery refuses with
//! `corruption`. Otherwise the frame is the torn end of a write that nobody was told about.
//!
//! Making it durable: frames may be read from the system's cache that never reached the disk, if
//! the process was killed before its fsync or after a failed one. Nothing but a later frame or
//! header proves that a frame is durable, so those without a proof are logged anew in a segment of
//! their own. That is one small file after an unclean stop, and none after a clean one.
//!
//! Every step leaves a log that reads the same, so recovery may itself be interrupted and repeated.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::cut;
use super::segment::{self, HEADER_BYTES, Header, NewSegment, SegmentFile, Tail};
use crate::codec::frame::{self, Frame};
use crate::disk::Disk;
use crate::error::{Error, ErrorCode, Result};
use crate::refs::Position;

/// Frames without a proof are logged anew up to this many bytes; more than that only the policy
/// `off` can leave, which promises nothing that this would be needed for. The same bound as for
/// unsynced frames in memory.
const LOG_ANEW_BYTES: u64 = super::UNSYNCED_BYTES;

/// What was found; [`super::Wal::open`] goes on from here.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// Where the log goes on: at or past the end of every frame that was visited, the `from` of the
    /// replay, and every byte of every segment.
    pub end: Position,
    /// Bytes cut off the end, because the write of them had not finished.
    pub torn_bytes: u64,
    /// The segment that they were cut off, and its length now; none where nothing was.
    pub torn_at: Option<(PathBuf, u64)>,
    /// Frames that were visited.
    pub frames: u64,
    /// The segment files, ascending.
    pub segments: Vec<SegmentFile>,
    pub(super) tail: Tail,
}

/// Reads the log in `dir`, repairs its end, and visits in log order the payload of each frame that
/// ends past `from`, with the position of its end. A directory that does not exist is an empty log.
///
/// When a cut ([`super::Wal::cut`]) went further than `from`, the replay begins there: what is
/// below may be half removed.
///
/// # Errors
/// `corruption` with file, offset and expectation when bytes are damaged or missing that had been
/// durable; whatever `visit` returns, with file and offset of the frame if it has no place; errors
/// of the disk. What was visited before an error means nothing.
pub fn replay(
    disk: &dyn Disk,
    dir: &Path,
    from: Position,
    visit: &mut dyn FnMut(Position, &[u8]) -> Result<()>,
) -> Result<Recovered> {
    let files = segment::list(disk, dir)?;
    let from = from.0.max(cut::read(disk, dir)?);
    let chain = chain(disk, dir, &files, from)?;
    let mut scan = Scan::new(disk, dir, &chain, from);
    let end = scan.run(visit)?;
    let torn_bytes = end.as_ref().map_or(0, |end| end.torn_bytes);
    let torn = end.as_ref().filter(|end| end.torn_bytes > 0);
    let torn_at = torn.map(|end| (end.link.file.path(dir), end.position - end.link.file.start));
    if let Some((file, len)) = &torn_at {
        disk.truncate(file, *len)?;
    }
    let tail = scan.make_durable(end.as_ref(), &files)?;
    let segments = segment::list(disk, dir)?;
    let past_files = segments.last().map_or(0, SegmentFile::end);
    let end = Position(past_files.max(from));
    Ok(Recovered { end, torn_bytes, torn_at, frames: scan.frames, segments, tail })
}

/// What a [`check`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Frames that were visited.
    pub frames: u64,
    /// Bytes at the end that a start would cut off, because the write of them had not finished.
    pub torn_bytes: u64,
}

/// Reads what there is of the log in `dir` as [`replay`] does, and changes nothing.
///
/// # Errors
/// As [`replay`].
pub fn check(
    disk: &dyn Disk,
    dir: &Path,
    visit: &mut dyn FnMut(Position, &[u8]) -> Result<()>,
) -> Result<Checked> {
    let files = segment::list(disk, dir)?;
    let from = cut::read(disk, dir)?;
    let chain = chain(disk, dir, &files, from)?;
    let mut scan = Scan::new(disk, dir, &chain, from);
    let torn_bytes = scan.run(visit)?.map_or(0, |end| end.torn_bytes);
    Ok(Checked { frames: scan.frames, torn_bytes })
}

/// Where the log that is still there begins: nothing below can be replayed. `None` when there is no
/// segment.
///
/// # Errors
/// `corruption` of the cut mark; errors of the disk.
pub fn first_position(disk: &dyn Disk, dir: &Path) -> Result<Option<Position>> {
    let files = segment::list(disk, dir)?;
    let cut = cut::read(disk, dir)?;
    Ok(files.first().map(|file| Position(file.start.max(cut))))
}

/// A segment of the chain.
#[derive(Debug, Clone, Copy)]
struct Link {
    file: SegmentFile,
    header: Header,
    /// The segment is part of the log up to here.
    limit: u64,
}

/// The segments that hold frames past `from`, ascending.
fn chain(disk: &dyn Disk, dir: &Path, files: &[SegmentFile], from: u64) -> Result<Vec<Link>> {
    let mut chain = Vec::new();
    let mut next = files.last().map(|file| (*file, file.end()));
    while let Some((file, limit)) = next.take() {
        let header = Header::decode(&disk.map(&file.path(dir))?, dir, file)?;
        chain.push(Link { file, header, limit });
        if header.is_first() || header.valid_to <= from {
            break;
        }
        let Ok(at) = files.binary_search_by_key(&header.previous, |f| f.start) else {
            let missing = segment::path(dir, header.previous);
            let message = format!(
                "a segment of the log is missing: {} continues it at position {}",
                file.path(dir).display(),
                header.valid_to
            );
            return Err(Error::corruption(&missing, 0, message));
        };
        next = Some((files[at], header.valid_to));
    }
    chain.reverse();
    Ok(chain)
}

/// A visited frame of which nothing yet says that it is durable.
#[derive(Debug, Clone, Copy)]
struct Unproven {
    link: usize,
    offset: usize,
    bytes: usize,
}

/// Where the log ends.
struct End {
    /// The segment that holds the last valid byte.
    link: Link,
    index: usize,
    position: u64,
    /// Bytes past it that are not part of the log and must go.
    torn_bytes: u64,
}

/// One pass over the chain.
struct Scan<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    chain: &'a [Link],
    from: u64,
    frames: u64,
    /// The log was durable up to here, says the latest header or frame that was read.
    proven: u64,
    unproven: VecDeque<Unproven>,
}

impl<'a> Scan<'a> {
    fn new(disk: &'a dyn Disk, dir: &'a Path, chain: &'a [Link], from: u64) -> Self {
        let proven = chain.iter().map(|link| link.header.synced_to).max().unwrap_or(0);
        Self { disk, dir, chain, from, frames: 0, proven, unproven: VecDeque::new() }
    }

    fn run(&mut self, visit: &mut dyn FnMut(Position, &[u8]) -> Result<()>) -> Result<Option<End>> {
        let mut end = None;
        for (index, link) in self.chain.iter().copied().enumerate() {
            let bytes = self.disk.read(&link.file.path(self.dir))?;
            let position = self.segment(index, &bytes, visit)?;
            let torn = position < link.limit;
            if torn {
                self.check_hole(index, &bytes, position)?;
            }
            let later: u64 = self.chain[index + 1..].iter().map(|l| l.file.bytes).sum();
            let torn_bytes = if torn { link.file.end() - position + later } else { 0 };
            end = Some(End { link, index, position, torn_bytes });
            if torn {
                break;
            }
        }
        Ok(end)
    }

    /// Visits the frames of a segment and returns where they end.
    fn segment(
        &mut self,
        index: usize,
        bytes: &[u8],
        visit: &mut dyn FnMut(Position, &[u8]) -> Result<()>,
    ) -> Result<u64> {
        let Link { file, header, limit } = self.chain[index];
        let mut offset = HEADER_BYTES as usize;
        loop {
            let start = file.start + offset as u64;
            if start >= limit {
                return Ok(start);
            }
            let Some(frame) = intact(&bytes[offset.min(bytes.len())..], header.salt, start) else {
                return Ok(start);
            };
            let end = start + frame.bytes() as u64;
            if end > limit {
                let message =
                    format!("a frame ends at position {end}, but the segment is valid to {limit}");
                return Err(Error::corruption(&file.path(self.dir), offset as u64, message));
            }
            self.proven = self.proven.max(frame.stamp);
            self.unproven.push_back(Unproven { link: index, offset, bytes: frame.bytes() });
            self.forget_proven();
            if end > self.from && !frame.payload.is_empty() {
                self.frames += 1;
                visit(Position(end), frame.payload).map_err(|error| match error.place() {
                    Some(_) => error,
                    None => error.at(&file.path(self.dir), Some(offset as u64)),
                })?;
            }
            offset += frame.bytes();
        }
    }

    fn forget_proven(&mut self) {
        while let Some(first) = self.unproven.front()
            && self.start_of(first) + first.bytes as u64 <= self.proven
        {
            self.unproven.pop_front();
        }
    }

    fn start_of(&self, frame: &Unproven) -> u64 {
        self.chain[frame.link].file.start + frame.offset as u64
    }

    /// Decides whether a bad frame at `hole` is a torn end.
    fn check_hole(&self, index: usize, bytes: &[u8], hole: u64) -> Result<()> {
        let Link { file, header, limit } = self.chain[index];
        let damaged = |why: String| {
            let message = format!("want an intact frame (the log continues to {limit}): {why}");
            Err(Error::corruption(&file.path(self.dir), hole - file.start, message))
        };
        if self.proven > hole {
            return damaged(format!("the log had been durable up to position {}", self.proven));
        }
        let mut witness = witness(bytes, (hole - file.start) as usize, file.start, header, hole);
        for later in &self.chain[index + 1..] {
            if witness.is_some() {
                break;
            }
            let bytes = self.disk.read(&later.file.path(self.dir))?;
            let first = HEADER_BYTES as usize;
            witness = self::witness(&bytes, first, later.file.start, later.header, hole);
        }
        match witness {
            Some((at, durable)) => damaged(format!(
                "the frame at position {at} says that the log was durable up to {durable}"
            )),
            None => Ok(()),
        }
    }

    /// Sees to it that all that was visited is durable, and returns how the log then ends.
    fn make_durable(&self, end: Option<&End>, files: &[SegmentFile]) -> Result<Tail> {
        let Some(end) = end else {
            return Ok(Tail { segment: None, valid_to: 0, synced_to: 0 });
        };
        let whole = |synced_to| Tail {
            segment: Some(end.link.file.start),
            valid_to: end.position,
            synced_to,
        };
        let Some(first) = self.unproven.front() else {
            return Ok(whole(end.position));
        };
        let proven = Tail {
            segment: Some(self.chain[first.link].file.start),
            valid_to: self.start_of(first),
            synced_to: self.start_of(first),
        };
        let bytes: u64 = self.unproven.iter().map(|frame| frame.bytes as u64).sum();
        if bytes <= LOG_ANEW_BYTES {
            let again = self.payloads()?;
            if again.is_empty() {
                return Ok(proven);
            }
            let start = files.last().map_or(0, SegmentFile::end).max(self.from);
            let new = NewSegment { start, tail: proven, again: &again };
            match new.publish(self.disk, self.dir) {
                Ok(segment) => {
                    let end = segment.end();
                    return Ok(Tail { segment: Some(start), valid_to: end, synced_to: end });
                }
                // A full disk must not keep the data from being read.
                Err(error) if error.code() == ErrorCode::DiskFull => {}
                Err(error) => return Err(error),
            }
        }
        for (index, link) in self.chain[..=end.index].iter().enumerate().skip(first.link) {
            let keep = if index == end.index { end.position } else { link.file.end() };
            self.disk.truncate(&link.file.path(self.dir), keep - link.file.start)?;
        }
        Ok(whole(end.position))
    }

    /// The payloads without a proof that somebody may still need.
    fn payloads(&self) -> Result<Vec<Vec<u8>>> {
        let mut payloads = Vec::new();
        let mut current: Option<(usize, Vec<u8>)> = None;
        for frame in &self.unproven {
            let end = self.start_of(frame) + frame.bytes as u64;
            if frame.bytes == frame::HEADER_BYTES || end <= self.from {
                continue;
            }
            if current.as_ref().is_none_or(|(link, _)| *link != frame.link) {
                let path = self.chain[frame.link].file.path(self.dir);
                current = Some((frame.link, self.disk.read(&path)?));
            }
            let payload = frame.offset + frame::HEADER_BYTES..frame.offset + frame.bytes;
            if let Some((_, bytes)) = &current
                && let Some(payload) = bytes.get(payload)
            {
                payloads.push(payload.to_vec());
            }
        }
        Ok(payloads)
    }
}

/// The intact frame at position `at`. One that claims to know of later positions is none.
fn intact(bytes: &[u8], salt: u64, at: u64) -> Option<Frame<'_>> {
    frame::read(bytes, salt).filter(|frame| frame.stamp <= at)
}

/// Searches every offset from `first` on for an intact frame which says that the log was durable
/// past `hole`; returns its position and what it says.
fn witness(
    bytes: &[u8],
    first: usize,
    segment_start: u64,
    header: Header,
    hole: u64,
) -> Option<(u64, u64)> {
    (first..bytes.len().saturating_sub(frame::HEADER_BYTES - 1)).find_map(|offset| {
        let (rest, at) = (&bytes[offset..], segment_start + offset as u64);
        let stamp = frame::peek_stamp(rest, header.salt)?;
        if stamp <= hole || stamp > at {
            return None;
        }
        intact(rest, header.salt, at).map(|frame| (at, frame.stamp))
    })
}
