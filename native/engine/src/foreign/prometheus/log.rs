//! The framing of Prometheus' logs: segments of 32 KiB pages, records in fragments.
//!
//! Source: Prometheus 3.14, `tsdb/wlog/reader.go`. The newest segment may end in the middle of a
//! record, because the process was killed; elsewhere that is `corruption`.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::codec::checksum;
use crate::disk::Disk;
use crate::error::{Error, Result};

const PAGE_BYTES: usize = 32 * 1024;
const HEADER_BYTES: usize = 7;
const SNAPPY: u8 = 1 << 3;
const ZSTD: u8 = 1 << 4;
const FRAGMENT_MASK: u8 = 7;
/// Fragments: the rest of the page is empty; whole; first; last. Those in the middle are 3.
const PAGE_END: u8 = 0;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const LAST: u8 = 4;
/// The most bytes that a record may unpack to: a segment's 128 MiB, and some.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// Where a record was found.
pub struct Place<'a> {
    /// The segment.
    pub path: &'a Path,
    /// The offset after it.
    pub offset: usize,
}

/// The segment files of a log directory, ascending by number.
///
/// # Errors
/// Those of the disk.
pub fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>> {
    if !disk.exists(dir) {
        return Ok(Vec::new());
    }
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in disk.list(dir)? {
        if let (false, Ok(number)) = (entry.is_dir, entry.name.parse()) {
            found.push((number, dir.join(entry.name)));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Visits the records of a segment in order.
///
/// # Errors
/// `corruption`, except for a torn end where `may_be_torn` says that one is nothing to wonder at;
/// those of the disk and of `visit`.
pub fn read_segment(
    disk: &dyn Disk,
    path: &Path,
    may_be_torn: bool,
    visit: &mut dyn FnMut(&[u8], &Place<'_>) -> Result<()>,
) -> Result<()> {
    let bytes = disk.map(path)?;
    let mut segment = Segment { bytes: &bytes, path, at: 0 };
    let mut record = Vec::new();
    loop {
        match segment.fragment() {
            Ok(None) if record.is_empty() || may_be_torn => return Ok(()),
            Ok(None) => return Err(segment.wrong("the last record has no end")),
            // Only its last page can be torn.
            Err(_) if may_be_torn && bytes.len() - segment.at <= PAGE_BYTES => return Ok(()),
            Err(error) => return Err(error),
            Ok(Some((kind, data))) => {
                let begins = matches!(kind & FRAGMENT_MASK, FULL | FIRST);
                if begins != record.is_empty() {
                    return Err(segment.wrong("a fragment that does not follow the one before"));
                }
                record.extend_from_slice(data);
                if matches!(kind & FRAGMENT_MASK, FULL | LAST) {
                    let place = Place { path, offset: segment.at };
                    visit(&segment.unpack(kind, &record)?, &place)?;
                    record.clear();
                }
            }
        }
    }
}

struct Segment<'a> {
    bytes: &'a [u8],
    path: &'a Path,
    at: usize,
}

impl<'a> Segment<'a> {
    fn wrong(&self, what: &str) -> Error {
        Error::corruption(self.path, self.at as u64, what)
    }

    /// The next fragment: the byte that says what it is, and its bytes.
    fn fragment(&mut self) -> Result<Option<(u8, &'a [u8])>> {
        loop {
            let Some(kind) = self.bytes.get(self.at) else { return Ok(None) };
            if kind & FRAGMENT_MASK == PAGE_END {
                let end = (self.at + 1).next_multiple_of(PAGE_BYTES).min(self.bytes.len());
                if self.bytes[self.at..end].iter().any(|byte| *byte != 0) {
                    return Err(self.wrong("the rest of a page is not empty"));
                }
                self.at = end;
                continue;
            }
            if kind & FRAGMENT_MASK > LAST {
                return Err(self.wrong("an unknown kind of fragment"));
            }
            let cut = || self.wrong("a fragment is cut short");
            let header = self
                .bytes
                .get(self.at..self.at + HEADER_BYTES)
                .and_then(<[u8]>::first_chunk::<HEADER_BYTES>)
                .ok_or_else(cut)?;
            let len = usize::from(u16::from_be_bytes([header[1], header[2]]));
            let want = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
            let start = self.at + HEADER_BYTES;
            let data = self.bytes.get(start..start + len).ok_or_else(cut)?;
            let got = crc32c::crc32c(data);
            if !checksum::matches(got, want) {
                let text = format!("a fragment has checksum {got:08x}, want {want:08x}");
                return Err(self.wrong(&text));
            }
            self.at = start + len;
            return Ok(Some((*kind, data)));
        }
    }

    fn unpack(&self, kind: u8, record: &[u8]) -> Result<Vec<u8>> {
        if kind & SNAPPY != 0 {
            let len = snap::raw::decompress_len(record).unwrap_or(usize::MAX);
            if len > RECORD_BYTES_MAX {
                return Err(self.wrong("a record is no valid snappy"));
            }
            return snap::raw::Decoder::new()
                .decompress_vec(record)
                .map_err(|cause| self.wrong(&format!("a record is no valid snappy: {cause}")));
        }
        if kind & ZSTD != 0 {
            let mut unpacked = Vec::new();
            let most = RECORD_BYTES_MAX as u64;
            zstd::stream::read::Decoder::with_buffer(record)
                .and_then(|decoder| decoder.take(most).read_to_end(&mut unpacked))
                .map_err(|cause| self.wrong(&format!("a record is no valid zstd: {cause}")))?;
            return Ok(unpacked);
        }
        Ok(record.to_vec())
    }
}
