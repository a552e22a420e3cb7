//! Removing log that is not needed any more.
//!
//! The cut mark, a file of its own, is written before the first segment goes. So a removal that was
//! interrupted is not taken for a loss, what is left of a half-removed generation is not replayed,
//! and a start after retention has dropped the last block does not ask for log that is gone.

use std::path::Path;

use super::segment::{SegmentFile, VERSION, u32_at, u64_at};
use crate::codec::checksum;
use crate::disk::{Disk, publish};
use crate::error::{Error, ErrorCode, Result};
use crate::sync::Mutex;

const CUT_FILE: &str = "cut";
const MAGIC: [u8; 8] = *b"MSTRCUT\n";
const BYTES: usize = 24;

/// Removes the segments that end at or below `below` from the disk and from `segments`, but never
/// the last. One cut at a time.
///
/// # Errors
/// Those of the disk; it can be repeated.
pub(super) fn remove_below(
    disk: &dyn Disk,
    dir: &Path,
    segments: &Mutex<Vec<SegmentFile>>,
    below: u64,
) -> Result<()> {
    // A segment ends where the next one starts or earlier. The lock is not held while files are
    // removed: the log thread needs it to open a segment.
    let doomed: Vec<SegmentFile> = {
        let segments = segments.lock();
        let keep_from = segments.windows(2).take_while(|pair| pair[1].start <= below).count();
        segments[..keep_from].to_vec()
    };
    if doomed.is_empty() {
        return Ok(());
    }
    write(disk, dir, below.max(read(disk, dir)?))?;
    for file in &doomed {
        match disk.remove_file(&file.path(dir)) {
            // Gone already when an earlier attempt failed half-way.
            Err(error) if error.code() != ErrorCode::NotFound => return Err(error),
            _ => segments.lock().retain(|kept| kept.start != file.start),
        }
    }
    disk.sync_dir(dir)
}

/// Remembers durably that nothing below `position` is needed any more.
fn write(disk: &dyn Disk, dir: &Path, position: u64) -> Result<()> {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..20].copy_from_slice(&position.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..20]);
    bytes[20..].copy_from_slice(&crc.to_le_bytes());
    publish::publish_file(disk, &dir.join(CUT_FILE), &bytes)
}

/// The position below which nothing is needed; 0 when nothing was ever cut.
///
/// # Errors
/// `corruption`; those of the disk.
pub(super) fn read(disk: &dyn Disk, dir: &Path) -> Result<u64> {
    let path = dir.join(CUT_FILE);
    let bytes = match disk.read(&path) {
        Err(error) if error.code() == ErrorCode::NotFound => return Ok(0),
        bytes => bytes?,
    };
    if bytes.len() != BYTES || bytes[..8] != MAGIC {
        let message = format!("cut mark: got {} bytes of something else", bytes.len());
        return Err(Error::corruption(&path, 0, message));
    }
    let version = u32_at(&bytes, 8);
    if version != VERSION {
        let message =
            format!("log format version {version} is unknown to this version (knows: {VERSION})");
        return Err(Error::corruption(&path, 8, message));
    }
    let (got, want) = (crc32c::crc32c(&bytes[..20]), u32_at(&bytes, 20));
    if !checksum::matches(got, want) {
        let message = format!("cut mark checksum: got {got:08x}, want {want:08x}");
        return Err(Error::corruption(&path, 20, message));
    }
    Ok(u64_at(&bytes, 12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faulty::FaultyDisk;

    #[test]
    fn the_mark_comes_back_and_damage_is_noticed() {
        let (disk, dir) = (FaultyDisk::new(), Path::new("/"));
        assert_eq!(read(&disk, dir).unwrap(), 0);
        write(&disk, dir, 77).unwrap();
        write(&disk, dir, 1 << 40).unwrap();
        assert_eq!(read(&disk, dir).unwrap(), 1 << 40);
        for offset in 0..BYTES {
            disk.corrupt(Path::new("/cut"), offset, 4).unwrap();
            let error = read(&disk, dir).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corruption, "offset {offset}");
            disk.corrupt(Path::new("/cut"), offset, 4).unwrap();
        }
    }
}
