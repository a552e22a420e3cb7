//! Segment files: their names, their header, and how one comes into being.
//!
//! A segment is named by the log position of its first byte, and its header is the first
//! [`HEADER_BYTES`] of it: position = start + offset in the file. Segments never overlap, but there
//! may be gaps between them, because a new segment begins past every byte that was ever tried to be
//! written. A segment appears by publication, with its header and the frames that are logged anew
//! in it, so a visible one is never half begun. The header links to the segment before it: only
//! linked segments, up to the linked position, are the log.

use std::path::{Path, PathBuf};

use crate::codec::{checksum, frame};
use crate::disk::{Disk, WriteFile, publish};
use crate::error::{Error, ErrorCode, Result};
use crate::sync::random;

/// Bytes of a segment header.
pub(super) const HEADER_BYTES: u64 = 64;
/// The version of the log's format that this build writes, and the only one it reads.
pub(super) const VERSION: u32 = 1;

const SUFFIX: &str = ".wal";
/// Digits of the largest position, so that names sort by position.
const NAME_DIGITS: usize = 20;
const MAGIC: [u8; 8] = *b"MSTRWAL\n";
/// A segment file of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFile {
    /// Position of the first byte.
    pub start: u64,
    /// Bytes in the file.
    pub bytes: u64,
}

impl SegmentFile {
    /// Position after the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }

    /// The file's path in the log directory `dir`.
    pub fn path(&self, dir: &Path) -> PathBuf {
        path(dir, self.start)
    }
}

/// How far the log goes, as the next segment's header will say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// Start of the segment that holds the last valid byte; equal to the new segment's own start
    /// when there is none before it.
    pub(super) segment: Option<u64>,
    /// The log is valid up to here; what that segment holds past it was abandoned.
    pub(super) valid_to: u64,
    /// The log is known to be durable up to here.
    pub(super) synced_to: u64,
}

impl Tail {
    /// Whether everything that is valid is durable.
    pub(super) fn all_synced(&self) -> bool {
        self.synced_to >= self.valid_to
    }
}

/// The header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Random; marks the frames of this file.
    pub(super) salt: u64,
    /// Position of the segment's first byte.
    pub(super) start: u64,
    /// Start of the segment before this one; its own start for the first of a log.
    pub(super) previous: u64,
    /// The previous segment is part of the log up to here.
    pub(super) valid_to: u64,
    /// The log was durable up to here when the file got its name.
    pub(super) synced_to: u64,
}

impl Header {
    /// Whether the log begins with this segment.
    pub(super) fn is_first(&self) -> bool {
        self.previous == self.start
    }

    fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut out = [0; HEADER_BYTES as usize];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let fields = [self.salt, self.start, self.previous, self.valid_to, self.synced_to];
        for (slot, field) in out[16..56].chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the header of the segment `file`, whose content begins with `bytes`.
    ///
    /// # Errors
    /// `corruption` with file and offset; for an unknown version, one that names it.
    pub(super) fn decode(bytes: &[u8], dir: &Path, file: SegmentFile) -> Result<Self> {
        let corrupt =
            |offset, message: String| Err(Error::corruption(&file.path(dir), offset, message));
        let Some(head) = bytes.first_chunk::<{ HEADER_BYTES as usize }>() else {
            let got = bytes.len();
            return corrupt(0, format!("segment header: got {got} bytes, want {HEADER_BYTES}"));
        };
        if head[..8] != MAGIC {
            return corrupt(0, "segment header: the magic number is not that of a log".to_owned());
        }
        let version = u32_at(head, 8);
        if version != VERSION {
            return corrupt(
                8,
                format!(
                    "log format version {version} is unknown to this version (knows: {VERSION})"
                ),
            );
        }
        let (got, want) = (crc32c::crc32c(&head[..60]), u32_at(head, 60));
        if !checksum::matches(got, want) {
            return corrupt(60, format!("segment header checksum: got {got:08x}, want {want:08x}"));
        }
        let [salt, start, previous, valid_to, synced_to] =
            [16, 24, 32, 40, 48].map(|at| u64_at(head, at));
        let header = Self { salt, start, previous, valid_to, synced_to };
        let linked = header.is_first() || (previous < valid_to && previous < start);
        if start != file.start || valid_to > start || !linked {
            return corrupt(16, format!("segment header does not fit its place: {header:?}"));
        }
        Ok(header)
    }
}

/// The little-endian number at `at`, which must lie inside.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |b| u32::from_le_bytes(*b))
}

/// As [`u32_at`].
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |b| u64::from_le_bytes(*b))
}

/// The path of the segment that begins at `start`.
pub(super) fn path(dir: &Path, start: u64) -> PathBuf {
    dir.join(format!("{start:0NAME_DIGITS$}{SUFFIX}"))
}

fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX)?;
    (digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())?
}

/// The segments in `dir`, ascending; none when the directory does not exist.
///
/// # Errors
/// Those of the disk.
pub(super) fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<SegmentFile>> {
    let entries = match disk.list(dir) {
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let segment = |entry: crate::disk::Entry| {
        let start = parse_name(&entry.name).filter(|_| !entry.is_dir)?;
        Some(SegmentFile { start, bytes: entry.len })
    };
    Ok(entries.into_iter().filter_map(segment).collect())
}

/// A segment open for appending.
pub(super) struct Segment {
    file: Box<dyn WriteFile>,
    pub(super) start: u64,
    pub(super) salt: u64,
    /// Bytes it had when it was published.
    pub(super) published: u64,
    /// Bytes that were tried to be written, whether or not they arrived.
    attempted: u64,
}

impl Segment {
    /// Position after the last byte that was written.
    pub(super) fn end(&self) -> u64 {
        self.start + self.file.len()
    }

    /// Bytes in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// Position that no byte of the file can have reached.
    pub(super) fn attempted_end(&self) -> u64 {
        self.start + self.attempted
    }

    /// Whether it has no frame.
    pub(super) fn is_empty(&self) -> bool {
        self.file.len() == HEADER_BYTES
    }

    /// Appends whole frames. After an error the segment must not be used again.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn write(&mut self, frames: &[u8]) -> Result<()> {
        self.attempted += frames.len() as u64;
        self.file.write(frames)
    }

    /// Makes all frames durable. After an error the segment must not be used again.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.sync()
    }
}

/// What a new segment begins with.
pub(super) struct NewSegment<'a> {
    /// Its start: past every byte that any segment may hold.
    pub(super) start: u64,
    /// What it continues.
    pub(super) tail: Tail,
    /// Payloads to log anew, because their first copy lies past `tail.valid_to`.
    pub(super) again: &'a [Vec<u8>],
}

impl NewSegment<'_> {
    /// Bytes that the segment has from the beginning.
    pub(super) fn bytes(&self) -> u64 {
        let frames = self.again.iter().map(|p| frame::HEADER_BYTES + p.len()).sum::<usize>();
        HEADER_BYTES + frames as u64
    }

    /// Publishes the segment in `dir`: when this returns, the header and the frames that were
    /// logged anew are durable.
    ///
    /// # Errors
    /// Those of the disk. The start must not be used for another attempt, because the file may have
    /// become visible.
    pub(super) fn publish(&self, disk: &dyn Disk, dir: &Path) -> Result<Segment> {
        let (start, tail, bytes) = (self.start, self.tail, self.bytes());
        let salt = random();
        let header = Header {
            salt,
            start,
            previous: tail.segment.unwrap_or(start),
            valid_to: tail.segment.map_or(start, |_| tail.valid_to),
            // With all before it durable, the file vouches for its own beginning too: it gets its
            // name only after that was synced.
            synced_to: if tail.all_synced() { start + bytes } else { tail.synced_to },
        };
        let mut content = Vec::with_capacity(bytes as usize);
        content.extend_from_slice(&header.encode());
        for payload in self.again {
            frame::write(&mut content, salt, tail.synced_to, payload);
        }
        let path = path(dir, start);
        match publish::publish_open(disk, &path, &content) {
            Ok(file) => Ok(Segment { file, start, salt, published: bytes, attempted: bytes }),
            Err(error) => {
                // Whether or not it is there, the log never links to it; without it the directory
                // does not fill with attempts.
                let _ = disk.remove_file(&path);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: SegmentFile = SegmentFile { start: 5000, bytes: HEADER_BYTES };

    fn header() -> Header {
        Header { salt: 99, start: 5000, previous: 1000, valid_to: 4000, synced_to: 5064 }
    }

    #[test]
    fn a_header_comes_back_and_every_changed_bit_is_noticed() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes, Path::new("wal"), FILE).unwrap(), header());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let error = Header::decode(&changed, Path::new("wal"), FILE).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corruption, "bit {bit}");
            assert!(error.place().is_some_and(|p| p.offset.is_some()), "bit {bit}");
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = header().encode();
        assert_eq!(bytes[..16], *b"MSTRWAL\n\x01\0\0\0\0\0\0\0");
        let fields = [16, 24, 32, 40, 48, 56].map(|at| u64_at(&bytes, at) & 0xffff_ffff);
        assert_eq!(fields, [99, 5000, 1000, 4000, 5064, 0]);
        assert_eq!(crc32c::crc32c(&bytes[..60]), u32_at(&bytes, 60));
    }

    #[test]
    fn a_header_under_another_name_is_refused() {
        let moved = SegmentFile { start: 5001, ..FILE };
        assert!(Header::decode(&header().encode(), Path::new("wal"), moved).is_err());
    }

    #[test]
    fn an_unknown_version_is_named() {
        let mut bytes = header().encode();
        bytes[8] = 9;
        let error = Header::decode(&bytes, Path::new("wal"), FILE).unwrap_err();
        assert!(error.message().contains("log format version 9"), "{error}");
    }

    #[test]
    fn names_sort_by_position() {
        assert_eq!(path(Path::new("w"), 42), Path::new("w/00000000000000000042.wal"));
        assert_eq!(parse_name("18446744073709551615.wal"), Some(u64::MAX));
        for other in ["42.wal", "00000000000000000042.wal.tmp", "cut", "0000000000000000+042.wal"] {
            assert_eq!(parse_name(other), None, "{other}");
        }
    }
}
