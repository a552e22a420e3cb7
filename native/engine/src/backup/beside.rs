//! What a backup has beside blocks: the files of exemplars and metadata, whole each time one of
//! them changed. Their content is in their names, so that one that is there is not written again
//! and the one before stands until no manifest names it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::manifest::Manifest;
use crate::disk::Disk;
use crate::disk::publish::{publish_file, sweep};
use crate::error::{Error, Result};
use crate::head::saved::SAVED_FILES;
use crate::recover::{Layout, create_durably};

/// The directory of these files in a backup.
pub(super) const BESIDE_DIR: &str = "beside";

/// Such a file. Its digest is not CRC32C: that of a file which ends in its own CRC32C is the same
/// for every content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BesideEntry {
    /// Its name in the data directory.
    pub(super) name: String,
    /// Its length.
    bytes: u64,
    /// XXH3, 64 bits, of all of it, as sixteen hexadecimal digits.
    xxh3: String,
}

impl BesideEntry {
    fn of(name: &str, content: &[u8]) -> Self {
        let (bytes, xxh3) = (content.len() as u64, format!("{:016x}", xxh3_64(content)));
        Self { name: name.to_owned(), bytes, xxh3 }
    }

    /// Its name in the backup.
    fn copy_name(&self) -> String {
        format!("{}-{}", self.name, self.xxh3)
    }

    /// Whether its names are those of such a file, and lead nowhere else.
    pub(super) fn is_plain(&self) -> bool {
        let hex = self.xxh3.bytes().all(|c| c.is_ascii_hexdigit());
        SAVED_FILES.contains(&&*self.name) && hex
    }
}

/// The bytes of all files.
pub(super) fn bytes_of(files: &[BesideEntry]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

/// Copies the files that the data directory has and the backup does not, each checked.
pub(super) fn copy(disk: &dyn Disk, layout: &Layout, target: &Path) -> Result<Vec<BesideEntry>> {
    let dir = target.join(BESIDE_DIR);
    let mut entries = Vec::new();
    for (name, content) in layout.saved.contents(disk)? {
        let entry = BesideEntry::of(name, &content);
        create_durably(disk, &dir)?;
        let copy = dir.join(entry.copy_name());
        let there = disk.exists(&copy) && disk.map(&copy)?.len() as u64 == entry.bytes;
        if !there {
            publish_file(disk, &copy, &content)?;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Removes the files that no manifest names any more.
pub(super) fn remove_others(disk: &dyn Disk, target: &Path, kept: &[BesideEntry]) -> Result<()> {
    let dir = target.join(BESIDE_DIR);
    if !disk.exists(&dir) {
        return Ok(());
    }
    sweep(disk, &dir)?;
    for entry in disk.list(&dir)? {
        if !kept.iter().any(|file| file.copy_name() == entry.name) {
            disk.remove_file(&dir.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Reads the files of a backup and compares them with their checksums.
pub(super) fn read<'a>(
    disk: &dyn Disk,
    target: &Path,
    manifest: &'a Manifest,
) -> Result<Vec<(&'a BesideEntry, Vec<u8>)>> {
    let read_one = |file: &'a BesideEntry| {
        let path = target.join(BESIDE_DIR).join(file.copy_name());
        let content = disk.read(&path)?;
        let got = BesideEntry::of(&file.name, &content);
        if got == *file {
            return Ok((file, content));
        }
        let (want, got) = ((file.bytes, &*file.xxh3), (got.bytes, &*got.xxh3));
        let text =
            format!("{} bytes with digest {}, want {} with {}", got.0, got.1, want.0, want.1);
        Err(Error::corruption(&path, 0, text))
    };
    manifest.beside.iter().map(read_one).collect()
}

/// Whether a restore of this backup may have left the file `name` of the data directory.
pub(super) fn is_ours(disk: &dyn Disk, layout: &Layout, manifest: &Manifest, name: &str) -> bool {
    if let Some(of) = name.strip_suffix(".tmp") {
        return SAVED_FILES.contains(&of);
    }
    let found = disk.map(&layout.root.join(name));
    found.is_ok_and(|content| manifest.beside.contains(&BesideEntry::of(name, &content)))
}
