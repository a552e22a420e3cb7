//! Files of named sections: what a block is made of.
//!
//! A file begins with its magic and version and ends in a footer that gives offset, length and
//! CRC32C of every section, so that one range request for the end tells a reader where everything
//! is. Sections lie one after the other without gaps: every byte of the file is covered by a
//! checksum or compared. Drawn in `FORMAT.md`, "Blocks".
//!
//! Written once, from front to back, by one thread; read through a map by any number.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::{Disk, FileBytes, WriteFile};
use crate::codec::checksum;
use crate::error::{Error, Result};

/// Bytes of magic and version at the front.
const HEADER_BYTES: usize = 12;
/// Bytes of one section in the footer's table.
const ENTRY_BYTES: usize = 24;
/// Bytes of the footer after the table.
const TAIL_BYTES: usize = 20;
/// Bytes gathered before a write. Large enough that the system call is cheap, small enough that a
/// block being written costs no memory to speak of.
const BUFFER_BYTES: usize = 128 << 10;

/// What a file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileKind {
    /// The first and the last eight bytes of the file's frame.
    pub magic: [u8; 8],
    /// The version that is written, and the newest that is read.
    pub version: u32,
}

/// Length and checksum of a finished file, as `meta.json` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSummary {
    /// Bytes.
    pub bytes: u64,
    /// CRC32C of all of them.
    pub crc32c: u32,
}

/// A section as the footer lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Section {
    name: u32,
    crc32c: u32,
    /// Absolute offsets.
    range: Range<usize>,
}

/// Writes a file of sections.
pub struct SectionWriter {
    kind: FileKind,
    file: Box<dyn WriteFile>,
    buffer: Vec<u8>,
    /// Bytes given so far, buffered ones included.
    position: u64,
    section_start: u64,
    section_crc: u32,
    table: Vec<u8>,
    /// CRC32C of everything before the current section.
    file_crc: u32,
}

impl SectionWriter {
    /// Creates the file and begins its first section.
    ///
    /// # Errors
    /// Those of [`Disk::create`].
    pub fn create(disk: &dyn Disk, path: &Path, kind: FileKind) -> Result<Self> {
        let mut header = Vec::with_capacity(BUFFER_BYTES);
        header.extend_from_slice(&kind.magic);
        header.extend_from_slice(&kind.version.to_le_bytes());
        Ok(Self {
            kind,
            file: disk.create(path)?,
            position: header.len() as u64,
            section_start: header.len() as u64,
            section_crc: 0,
            table: Vec::new(),
            file_crc: crc32c::crc32c(&header),
            buffer: header,
        })
    }

    /// Appends to the current section.
    ///
    /// # Errors
    /// Those of [`WriteFile::write`]; the file is then of no use.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.section_crc = crc32c::crc32c_append(self.section_crc, bytes);
        self.position += bytes.len() as u64;
        self.buffered(bytes)
    }

    /// Bytes in the current section so far.
    pub fn section_len(&self) -> u64 {
        self.position - self.section_start
    }

    /// Ends the current section under `name` and begins the next.
    pub fn end_section(&mut self, name: u32) {
        let len = self.section_len();
        self.table.extend_from_slice(&name.to_le_bytes());
        self.table.extend_from_slice(&self.section_crc.to_le_bytes());
        self.table.extend_from_slice(&self.section_start.to_le_bytes());
        self.table.extend_from_slice(&len.to_le_bytes());
        self.file_crc = crc32c::crc32c_combine(self.file_crc, self.section_crc, len as usize);
        self.section_start = self.position;
        self.section_crc = 0;
    }

    /// Writes the footer and syncs the file.
    ///
    /// # Errors
    /// Those of [`WriteFile`]; `internal` when bytes were written after the last section's end.
    pub fn finish(mut self) -> Result<FileSummary> {
        if self.section_len() > 0 {
            return Err(Error::internal("a section was not ended before its file"));
        }
        let mut footer = std::mem::take(&mut self.table);
        let count = (footer.len() / ENTRY_BYTES) as u32;
        footer.extend_from_slice(&count.to_le_bytes());
        footer.extend_from_slice(&self.kind.version.to_le_bytes());
        footer.extend_from_slice(&self.kind.magic);
        let crc = crc32c::crc32c(&footer);
        footer.extend_from_slice(&crc.to_le_bytes());
        self.file_crc = crc32c::crc32c_append(self.file_crc, &footer);
        self.position += footer.len() as u64;
        self.buffered(&footer)?;
        self.file.write(&self.buffer)?;
        self.file.sync()?;
        Ok(FileSummary { bytes: self.position, crc32c: self.file_crc })
    }

    fn buffered(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.file.write(&self.buffer)?;
            self.buffer.clear();
        }
        if bytes.len() >= BUFFER_BYTES {
            return self.file.write(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }
}

/// A mapped file of sections whose footer was checked.
#[derive(Debug)]
pub struct SectionFile {
    path: PathBuf,
    bytes: FileBytes,
    version: u32,
    sections: Vec<Section>,
}

impl SectionFile {
    /// Maps the file and checks its frame: magic, version, footer. Sections are checked by
    /// [`SectionFile::verify_section`] or by whoever reads pieces of them.
    ///
    /// # Errors
    /// Those of [`Disk::map`]; `corruption` for a frame that is not what was written, and for a
    /// version newer than `kind`'s, which is named.
    pub fn open(disk: &dyn Disk, path: &Path, kind: FileKind) -> Result<Self> {
        let bytes = disk.map(path)?;
        let damaged = |at: usize, what: &str| Error::corruption(path, at as u64, what);
        if bytes.len() < HEADER_BYTES + TAIL_BYTES {
            let want = HEADER_BYTES + TAIL_BYTES;
            let message = format!("file of {} bytes, want at least {want}", bytes.len());
            return Err(damaged(bytes.len(), &message));
        }
        if bytes[..8] != kind.magic {
            return Err(damaged(0, "the magic is not that of this kind of file"));
        }
        let tail = bytes.len() - TAIL_BYTES;
        if bytes[tail + 8..tail + 16] != kind.magic {
            return Err(damaged(tail + 8, "the footer does not end in the file's magic"));
        }
        let count = u32_at(&bytes, tail) as usize;
        let table_start = count
            .checked_mul(ENTRY_BYTES)
            .and_then(|len| tail.checked_sub(len))
            .filter(|start| *start >= HEADER_BYTES)
            .ok_or_else(|| damaged(tail, "the footer lists more sections than fit the file"))?;
        let (got, want) =
            (crc32c::crc32c(&bytes[table_start..tail + 16]), u32_at(&bytes, tail + 16));
        if !checksum::matches(got, want) {
            let message = format!("footer checksum {got:08x}, want {want:08x}");
            return Err(damaged(table_start, &message));
        }
        let version = u32_at(&bytes, tail + 4);
        if version != u32_at(&bytes, 8) {
            return Err(damaged(8, "header and footer name different versions"));
        }
        if version > kind.version {
            let message = format!(
                "file format version {version} is needed, this build knows {}",
                kind.version
            );
            return Err(Error::newer_format(message).at(path, Some(8)));
        }
        if version == 0 {
            return Err(damaged(8, "file format version 0, want at least 1"));
        }
        let sections = parse_table(path, &bytes[..tail], table_start)?;
        Ok(Self { path: path.to_path_buf(), bytes, version, sections })
    }

    /// The bytes of section `name`.
    ///
    /// # Errors
    /// `corruption` when there is none.
    pub fn section(&self, name: u32) -> Result<&[u8]> {
        self.range(name).map(|range| &self.bytes[range])
    }

    /// Where section `name` lies in the file.
    ///
    /// # Errors
    /// `corruption` when there is none.
    pub fn range(&self, name: u32) -> Result<Range<usize>> {
        self.find(name).map(|section| section.range.clone())
    }

    /// The bytes of a range that [`SectionFile::range`] gave.
    #[inline]
    pub fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Compares a section with its checksum.
    ///
    /// # Errors
    /// `corruption` when it differs or is missing.
    pub fn verify_section(&self, name: u32) -> Result<()> {
        self.check(self.find(name)?)
    }

    /// Compares every section with its checksum, and the whole file with `summary`.
    ///
    /// # Errors
    /// `corruption` for what differs.
    pub fn verify(&self, summary: FileSummary) -> Result<()> {
        self.sections.iter().try_for_each(|section| self.check(section))?;
        let got =
            FileSummary { bytes: self.bytes.len() as u64, crc32c: crc32c::crc32c(&self.bytes) };
        if got.bytes == summary.bytes && checksum::matches(got.crc32c, summary.crc32c) {
            return Ok(());
        }
        Err(self.damaged(
            0,
            format!(
                "{} bytes with checksum {:08x}, want {} with {:08x}",
                got.bytes, got.crc32c, summary.bytes, summary.crc32c
            ),
        ))
    }

    /// Name and bytes of each section, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = (u32, u64)> {
        self.sections.iter().map(|section| (section.name, section.range.len() as u64))
    }

    /// The version that the file names; not 0, and not newer than its kind's.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Whether the file is empty; never true, as the frame is always there.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// A `corruption` error at absolute offset `at` of this file.
    pub fn damaged(&self, at: usize, message: impl Into<String>) -> Error {
        Error::corruption(&self.path, at as u64, message)
    }

    fn find(&self, name: u32) -> Result<&Section> {
        self.sections.iter().find(|section| section.name == name).ok_or_else(|| {
            self.damaged(self.bytes.len(), format!("the footer does not list section {name}"))
        })
    }

    fn check(&self, section: &Section) -> Result<()> {
        let got = crc32c::crc32c(&self.bytes[section.range.clone()]);
        if checksum::matches(got, section.crc32c) {
            return Ok(());
        }
        let (name, want) = (section.name, section.crc32c);
        let message = format!("section {name} has checksum {got:08x}, want {want:08x}");
        Err(self.damaged(section.range.start, message))
    }
}

/// Reads the table at `[table_start, bytes.len())` and checks that its sections fill the file from
/// the header to the table.
fn parse_table(path: &Path, bytes: &[u8], table_start: usize) -> Result<Vec<Section>> {
    let mut sections = Vec::new();
    let mut next = HEADER_BYTES;
    for at in (table_start..bytes.len()).step_by(ENTRY_BYTES) {
        let (offset, len) = (u64_at(bytes, at + 8), u64_at(bytes, at + 16));
        let end = usize::try_from(len).ok().and_then(|len| next.checked_add(len));
        match end {
            Some(end) if offset == next as u64 && end <= table_start => {
                let (name, crc32c) = (u32_at(bytes, at), u32_at(bytes, at + 4));
                sections.push(Section { name, crc32c, range: next..end });
                next = end;
            }
            _ => {
                let message = format!("section at {offset} of {len} bytes, want one at {next}");
                return Err(Error::corruption(path, at as u64, message));
            }
        }
    }
    if next == table_start {
        return Ok(sections);
    }
    let message = format!("sections end at {next}, want {table_start}");
    Err(Error::corruption(path, table_start as u64, message))
}

/// Reads a little-endian `u32`. The caller has checked the length.
#[inline]
pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

/// Reads a little-endian `u64`. The caller has checked the length.
#[inline]
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::os::OsDisk;
    use crate::error::ErrorCode;

    const KIND: FileKind = FileKind { magic: *b"MSTRtest", version: 3 };

    fn write(path: &Path, kind: FileKind) -> FileSummary {
        let mut writer = SectionWriter::create(&OsDisk, path, kind).unwrap();
        writer.write(b"hello ").unwrap();
        writer.write(b"world").unwrap();
        assert_eq!(writer.section_len(), 11);
        writer.end_section(7);
        writer.end_section(8);
        writer.write(&vec![5; 3 * BUFFER_BYTES]).unwrap();
        writer.end_section(9);
        writer.finish().unwrap()
    }

    #[test]
    fn sections_come_back_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let summary = write(&path, KIND);
        let file = SectionFile::open(&OsDisk, &path, KIND).unwrap();
        assert_eq!(file.section(7).unwrap(), b"hello world");
        assert_eq!(file.section(8).unwrap(), b"");
        assert_eq!(file.section(9).unwrap(), vec![5; 3 * BUFFER_BYTES]);
        assert_eq!(file.section(1).unwrap_err().code(), ErrorCode::Corruption);
        assert_eq!(file.len(), std::fs::metadata(&path).unwrap().len());
        file.verify(summary).unwrap();
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let summary = write(&path, KIND);
        let good = std::fs::read(&path).unwrap();
        let tail = good.len() - 150;
        for at in (0..200).chain((200..tail).step_by(9973)).chain(tail..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&path, &bad).unwrap();
            let opened = SectionFile::open(&OsDisk, &path, KIND);
            let error = opened.and_then(|file| file.verify(summary)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corruption, "byte {at}");
        }
        for len in [0, 5, 31, 32, 40, good.len() - 1] {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(SectionFile::open(&OsDisk, &path, KIND).is_err(), "length {len}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write(&path, FileKind { version: 4, ..KIND });
        let error = SectionFile::open(&OsDisk, &path, KIND).unwrap_err();
        assert!(error.message().contains("version 4 is needed"), "{error}");
    }
}
