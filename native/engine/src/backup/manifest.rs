//! What a backup holds: its manifest.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::beside::BesideEntry;
use crate::block::META_FILE;
use crate::block::meta::{FileEntry, Meta, seal, unseal};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::sample::TimestampMs;

/// The file that says what a backup holds.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The version of manifests that this build writes and the newest that it reads. Version 2 has
/// files beside the blocks.
pub(super) const MANIFEST_VERSION: u32 = 2;

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) version: u32,
    /// The text of the data directory's format file.
    pub(super) format: String,
    pub(super) created_ms: TimestampMs,
    /// Oldest first.
    pub(super) blocks: Vec<BlockEntry>,
    /// What is deleted in them: the file of tombstones, two hexadecimal digits a byte; empty where
    /// there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) tombstones: String,
    /// Exemplars and metadata, each where there are some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) beside: Vec<BesideEntry>,
}

/// A block of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockEntry {
    pub(super) ulid: String,
    /// All files, by name.
    pub(super) files: Vec<FileEntry>,
}

impl BlockEntry {
    /// The block in `dir`. Its description vouches for the files that it lists; others are read.
    pub(super) fn of(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let text = disk.read(&dir.join(META_FILE))?;
        let meta = Meta::decode(&dir.join(META_FILE), &text)?;
        let mut files = Vec::new();
        for entry in disk.list(dir)? {
            let listed = meta.file(&entry.name).filter(|listed| listed.bytes == entry.len);
            let (bytes, crc32c) = match listed {
                Some(listed) => (listed.bytes, listed.crc32c),
                None => {
                    let content = disk.map(&dir.join(&entry.name))?;
                    (content.len() as u64, crc32c::crc32c(&content))
                }
            };
            files.push(FileEntry { name: entry.name, bytes, crc32c });
        }
        Ok(Self { ulid: meta.ulid.to_string(), files })
    }

    /// Its directory in a backup. Blocks do not change, but what lies beside their files may.
    pub(super) fn dir_name(&self) -> String {
        let mut digest = 0;
        for file in &self.files {
            digest = crc32c::crc32c_append(digest, file.name.as_bytes());
            digest = crc32c::crc32c_append(digest, &file.crc32c.to_le_bytes());
        }
        format!("{}-{digest:08x}", self.ulid)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

pub(super) fn encode(manifest: &Manifest) -> Result<String> {
    let failed = |what: &str| Error::internal(format!("a manifest cannot be written: {what}"));
    let json =
        serde_json::to_string_pretty(manifest).map_err(|cause| failed(&cause.to_string()))?;
    seal(&json).ok_or_else(|| failed("no closing brace"))
}

pub(super) fn read_manifest(disk: &dyn Disk, target: &Path) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let path = target.join(MANIFEST_FILE);
    let json = unseal(&path, &disk.read(&path)?)?;
    let malformed = |cause: serde_json::Error| Error::corruption(&path, 0, cause.to_string());
    let Versioned { version } = serde_json::from_str(&json).map_err(malformed)?;
    if !(1..=MANIFEST_VERSION).contains(&version) {
        let text = format!("manifest version {version}, this build knows 1 to {MANIFEST_VERSION}");
        return Err(Error::corruption(&path, 0, text));
    }
    let manifest: Manifest = serde_json::from_str(&json).map_err(malformed)?;
    // Names become paths: a manifest must not lead elsewhere.
    let files = manifest.blocks.iter().flat_map(|b| b.files.iter().map(|file| &*file.name));
    let plain = |name: &str| Path::new(name).file_name().is_some_and(|n| n == name);
    if let Some(file) = manifest.beside.iter().find(|file| !file.is_plain()) {
        return Err(Error::corruption(&path, 0, format!("{file:?} is not beside blocks")));
    }
    match files.chain(manifest.blocks.iter().map(|b| &*b.ulid)).find(|name| !plain(name)) {
        Some(name) => Err(Error::corruption(&path, 0, format!("{name:?} is not a name"))),
        None => Ok(manifest),
    }
}
