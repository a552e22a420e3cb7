//! Chunk files of the head: full chunks that left the heap.
//!
//! A file is written and published as a whole, then mapped, and only after that do series point
//! into it: nothing is ever written through a map, and a full disk leaves the chunks where they
//! were. The files belong to the checkpoint that names them; without one they are swept, because
//! the log still has their samples.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::chunk::Encoding;
use crate::disk::sections::{FileKind, SectionFile, SectionWriter};
use crate::disk::{Disk, publish};
use crate::error::{Error, ErrorCode, Result};
use crate::sync::Arc;

/// The frame of a chunk file.
pub const CHUNK_FILE_KIND: FileKind = FileKind { magic: *b"MSTRhchk", version: 1 };

/// The name of the only section. The number is on disk.
const RECORDS: u32 = 1;
/// Bytes of the checksum at the end of a record.
const CRC_BYTES: usize = 4;
const SUFFIX: &str = ".chunks";
/// Digits of the largest number, so that names sort.
const NAME_DIGITS: usize = 20;

/// Where in a file a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Offset of its record among the records.
    pub offset: u32,
    /// Bytes of the chunk, without the checksum.
    pub len: u32,
}

/// Writes a chunk file.
pub struct ChunkFileWriter {
    out: SectionWriter,
    path: PathBuf,
}

/// A complete chunk file. Any number of threads may read.
#[derive(Debug)]
pub struct ChunkFile {
    number: u64,
    file: SectionFile,
    records: Range<usize>,
}

impl ChunkFileWriter {
    /// Begins file `number` of the head's directory `dir`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Self> {
        let path = path(dir, number);
        let temp = publish::temp_path(&path);
        if disk.exists(&temp) {
            disk.remove_file(&temp)?;
        }
        Ok(Self { out: SectionWriter::create(disk, &temp, CHUNK_FILE_KIND)?, path })
    }

    /// Appends a chunk and returns where it is.
    ///
    /// # Errors
    /// Those of the disk; `internal` past 4 GiB.
    pub fn add(&mut self, encoding: Encoding, bytes: &[u8]) -> Result<Place> {
        let (offset, len) = (u32::try_from(self.out.section_len()), u32::try_from(bytes.len()));
        let (Ok(offset), Ok(len)) = (offset, len) else {
            return Err(Error::internal("a chunk file of the head is larger than 4 GiB"));
        };
        self.out.write(bytes)?;
        self.out.write(&record_crc(encoding, bytes).to_le_bytes())?;
        Ok(Place { offset, len })
    }

    /// Bytes of records so far.
    pub fn len(&self) -> u64 {
        self.out.section_len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the file durable and visible, and opens it.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn publish(mut self, disk: &dyn Disk, number: u64) -> Result<Arc<ChunkFile>> {
        self.out.end_section(RECORDS);
        self.out.finish()?;
        publish::publish_prepared(disk, &self.path)?;
        ChunkFile::open_at(disk, &self.path, number)
    }
}

impl ChunkFile {
    /// Maps file `number` of the head's directory `dir` and checks its frame.
    ///
    /// # Errors
    /// `not_found`; those of [`SectionFile::open`].
    pub fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Arc<Self>> {
        Self::open_at(disk, &path(dir, number), number)
    }

    fn open_at(disk: &dyn Disk, path: &Path, number: u64) -> Result<Arc<Self>> {
        let file = SectionFile::open(disk, path, CHUNK_FILE_KIND)?;
        Ok(Arc::new(Self { number, records: file.range(RECORDS)?, file }))
    }

    /// The number in the file's name.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whether a chunk at `place` would be inside the file.
    pub fn contains(&self, place: Place) -> bool {
        self.record(place).is_some()
    }

    /// The bytes of a chunk; its checksum was compared.
    ///
    /// # Errors
    /// `corruption` for one that is not what was written.
    pub fn get(&self, encoding: Encoding, place: Place) -> Result<&[u8]> {
        self.record(place)
            .and_then(|record| record.split_last_chunk::<CRC_BYTES>())
            .filter(|(bytes, crc)| record_crc(encoding, bytes) == u32::from_le_bytes(**crc))
            .map(|(bytes, _)| bytes)
            .ok_or_else(|| {
                let error = Error::new(ErrorCode::Corruption, "a chunk is not what was written");
                self.at(error, place)
            })
    }

    /// `error`, which the chunk at `place` gave, with its place on disk.
    pub fn at(&self, error: Error, place: Place) -> Error {
        error.at(self.file.path(), Some(self.records.start as u64 + u64::from(place.offset)))
    }

    fn record(&self, place: Place) -> Option<&[u8]> {
        let start = place.offset as usize;
        let end = start.checked_add(place.len as usize)?.checked_add(CRC_BYTES)?;
        self.file.slice(&self.records).get(start..end)
    }
}

/// The numbers of the chunk files in the head's directory, ascending.
///
/// # Errors
/// Those of the disk.
pub fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>> {
    let number = |name: &str| -> Option<u64> {
        let digits = name.strip_suffix(SUFFIX)?;
        (digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit()))
            .then(|| digits.parse().ok())?
    };
    Ok(disk.list(dir)?.iter().filter_map(|entry| number(&entry.name)).collect())
}

/// Removes a chunk file. Series that point into it still read it.
///
/// # Errors
/// Those of the disk; that it is gone is none.
pub fn remove(disk: &dyn Disk, dir: &Path, number: u64) -> Result<()> {
    match disk.remove_file(&path(dir, number)) {
        Err(error) if error.code() != ErrorCode::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:0NAME_DIGITS$}{SUFFIX}"))
}

fn record_crc(encoding: Encoding, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&[encoding as u8]), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faulty::FaultyDisk;

    #[test]
    fn chunks_come_back_and_damage_is_noticed_where_it_is_read() {
        let (disk, dir) = (FaultyDisk::new(), Path::new("/"));
        let mut writer = ChunkFileWriter::create(&disk, dir, 7).unwrap();
        let first = writer.add(Encoding::Gorilla, b"first").unwrap();
        let second = writer.add(Encoding::Gorilla, b"second one").unwrap();
        let file = writer.publish(&disk, 7).unwrap();
        assert_eq!(list(&disk, dir).unwrap(), [7]);
        assert_eq!(file.get(Encoding::Gorilla, first).unwrap(), b"first");
        assert_eq!(file.get(Encoding::Gorilla, second).unwrap(), b"second one");
        assert!(!file.contains(Place { offset: second.offset, len: second.len + 1 }));
        let at = file.records.start + second.offset as usize + 3;
        disk.corrupt(&path(dir, 7), at, 1).unwrap();
        let file = ChunkFile::open(&disk, dir, 7).unwrap();
        file.get(Encoding::Gorilla, first).unwrap();
        let error = file.get(Encoding::Gorilla, second).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corruption);
        remove(&disk, dir, 7).unwrap();
        remove(&disk, dir, 7).unwrap();
        assert!(list(&disk, dir).unwrap().is_empty());
    }
}
