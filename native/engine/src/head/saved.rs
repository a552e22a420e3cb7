//! Exemplars and metadata past a cut of the log: a file each, replaced before every flush that has
//! news of them.
//!
//! No block holds them, so a flush, after which the log below it is never read again, first writes
//! down what it has of them. A file is written after the flush's mark has passed, so it has at
//! least everything that the log has before the mark. It may have more; a replay adds that a second
//! time, which changes nothing: the newest exemplar of a series again is no news, and the newest
//! metadata of a family stands. That is why the file names no position of the log. (An exemplar
//! that had left the ring already may come back, for one that is as good.)
//!
//! Drawn in `FORMAT.md`.

use std::path::{Path, PathBuf};

use crate::codec::checksum;
use crate::disk::{Disk, publish};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::head::exemplars::Exemplars;
use crate::head::metadata::MetadataTable;
use crate::sync::Mutex;
use crate::wal::record;

/// The names of the two files.
pub const SAVED_FILES: [&str; 2] = ["exemplars", "metadata"];
const EXEMPLARS_MAGIC: [u8; 8] = *b"MSTRexmp";
const METADATA_MAGIC: [u8; 8] = *b"MSTRmeta";
/// The version of both files.
const VERSION: u32 = 1;
/// Magic and version.
const HEADER_BYTES: usize = 12;
const CHECKSUM_BYTES: usize = 4;

/// The two files of a data directory.
#[derive(Debug)]
pub struct SavedFiles {
    exemplars: PathBuf,
    metadata: PathBuf,
    /// The versions of what the files have.
    saved: Mutex<(u64, u64)>,
}

impl SavedFiles {
    /// The files in the data directory `root`.
    pub fn new(root: &Path) -> Self {
        let [exemplars, metadata] = SAVED_FILES.map(|name| root.join(name));
        Self { exemplars, metadata, saved: Mutex::new((0, 0)) }
    }

    /// Whether the files lack something that the head has.
    pub fn is_behind(&self, head: &Head) -> bool {
        *self.saved.lock() != (head.exemplars().version(), head.metadata().version())
    }

    /// Writes down what changed since the last time.
    ///
    /// # Errors
    /// Those of the disk; the old files stand.
    pub fn save(&self, disk: &dyn Disk, head: &Head) -> Result<()> {
        let mut saved = self.saved.lock();
        // Read before the content: what is added in between is written once more, not missed.
        let now = (head.exemplars().version(), head.metadata().version());
        if saved.0 != now.0 {
            let content = head.exemplars().records();
            publish::publish_file(disk, &self.exemplars, &frame(EXEMPLARS_MAGIC, &content))?;
            saved.0 = now.0;
        }
        if saved.1 != now.1 {
            let content = head.metadata().records();
            publish::publish_file(disk, &self.metadata, &frame(METADATA_MAGIC, &content))?;
            saved.1 = now.1;
        }
        Ok(())
    }

    /// Puts what the files have into an empty head; a file that is not there has nothing.
    ///
    /// # Errors
    /// `corruption` with the file, those of the disk.
    pub fn restore(&self, disk: &dyn Disk, head: &Head) -> Result<()> {
        self.read_into(disk, head.exemplars(), head.metadata())?;
        *self.saved.lock() = (head.exemplars().version(), head.metadata().version());
        Ok(())
    }

    /// The names and bytes of the files that are there, each decoded to its end.
    ///
    /// # Errors
    /// As [`SavedFiles::restore`].
    pub fn contents(&self, disk: &dyn Disk) -> Result<Vec<(&'static str, Vec<u8>)>> {
        // Tables without room keep nothing and refuse what the head would.
        let found = self.read_into(disk, &Exemplars::new(0), &MetadataTable::new(0))?;
        let named = SAVED_FILES.into_iter().zip(found);
        Ok(named.filter_map(|(name, bytes)| Some((name, bytes?))).collect())
    }

    fn read_into(
        &self,
        disk: &dyn Disk,
        exemplars: &Exemplars,
        metadata: &MetadataTable,
    ) -> Result<[Option<Vec<u8>>; 2]> {
        let found = read(disk, &self.exemplars, EXEMPLARS_MAGIC, |content| {
            record::exemplars::decode(content, |record| exemplars.restore(&record))
        })?;
        let families = read(disk, &self.metadata, METADATA_MAGIC, |content| {
            record::metadata::decode(content, |record| metadata.restore(&record))
        })?;
        Ok([found, families])
    }
}

fn frame(magic: [u8; 8], content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + content.len() + CHECKSUM_BYTES);
    out.extend_from_slice(&magic);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(content);
    let checksum = crc32c::crc32c(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn read(
    disk: &dyn Disk,
    path: &Path,
    magic: [u8; 8],
    decode: impl FnOnce(&[u8]) -> Result<()>,
) -> Result<Option<Vec<u8>>> {
    if !disk.exists(path) {
        return Ok(None);
    }
    let bytes = disk.read(path)?;
    let content = unframe(&bytes, magic)
        .map_err(|(offset, text)| Error::corruption(path, offset as u64, text))?;
    decode(content).map_err(|error| error.at(path, None))?;
    Ok(Some(bytes))
}

/// The content, or where what is wrong with the frame.
fn unframe(bytes: &[u8], magic: [u8; 8]) -> std::result::Result<&[u8], (usize, String)> {
    let least = HEADER_BYTES + CHECKSUM_BYTES;
    let Some((covered, want)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err((0, format!("a file of {} bytes, want at least {least}", bytes.len())));
    };
    let (got, want) = (crc32c::crc32c(covered), u32::from_le_bytes(*want));
    let version = covered.get(8..).and_then(|rest| rest.first_chunk().copied());
    match (covered.strip_prefix(&magic), version.map(u32::from_le_bytes)) {
        (None, _) => Err((0, "the magic is not that of this kind of file".to_owned())),
        (_, None) => Err((8, format!("a file of {} bytes, want at least {least}", bytes.len()))),
        _ if !checksum::matches(got, want) => {
            Err((0, format!("checksum {got:08x}, want {want:08x}")))
        }
        (_, Some(version)) if version != VERSION => {
            Err((8, format!("version {version} is needed, this build knows {VERSION}")))
        }
        (Some(rest), Some(_)) => Ok(rest.get(4..).unwrap_or_default()),
    }
}
