//! The places inside a data directory, and the version of its layout.

use std::path::{Path, PathBuf};

use crate::disk::{Disk, publish};
use crate::error::{Error, ErrorCode, Result};
use crate::head::saved::SavedFiles;
use crate::sync::random;

/// The version of the directory's layout that this engine writes, and the newest it opens. Version
/// 2 has checkpoints: its log alone is not everything any more.
const FORMAT_VERSION: u32 = 2;
/// The file that names it.
const FORMAT_FILE: &str = "metricstor.json";

/// What the format file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The version of the layout.
    pub version: u64,
    /// Which store this is; copies of it have the same. Older builds wrote none.
    pub store: Option<String>,
}

/// The places inside a data directory.
#[derive(Debug)]
pub struct Layout {
    /// The directory.
    pub root: PathBuf,
    /// The log's segments.
    pub wal: PathBuf,
    /// The blocks.
    pub blocks: PathBuf,
    /// Damaged blocks; made when there is one.
    pub quarantine: PathBuf,
    /// The checkpoint of the head and its chunk files.
    pub head: PathBuf,
    /// What of the head is in no block.
    pub saved: SavedFiles,
}

impl Layout {
    /// The places inside `root`.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            wal: root.join("wal"),
            blocks: root.join("blocks"),
            quarantine: root.join("quarantine"),
            head: root.join("head"),
            saved: SavedFiles::new(root),
        }
    }

    /// Creates what is not there, checks the format version, and raises an older one: whatever
    /// is written from now on, only this version or a later one reads.
    ///
    /// # Errors
    /// `read_only` or `io` when the directory cannot be used, `corruption` when a newer version
    /// wrote it.
    pub fn prepare(&self, disk: &dyn Disk) -> Result<()> {
        for dir in [&self.wal, &self.blocks, &self.head] {
            create_durably(disk, dir)?;
        }
        self.prepare_format(disk)
    }

    /// Writes the format version if none or an older one is there, and checks the one that is; a
    /// store without an identity gets one.
    ///
    /// # Errors
    /// As [`Layout::prepare`].
    pub fn prepare_format(&self, disk: &dyn Disk) -> Result<()> {
        let file = self.format_file();
        let found = if disk.exists(&file) { Some(self.read_format(disk)?) } else { None };
        let is_current = found.as_ref().is_some_and(|f| f.version == u64::from(FORMAT_VERSION));
        let store = match found.and_then(|format| format.store) {
            Some(_) if is_current => return Ok(()),
            store => store.unwrap_or_else(|| format!("{:016x}{:016x}", random(), random())),
        };
        let text = format!("{{\"formatVersion\":{FORMAT_VERSION},\"store\":\"{store}\"}}\n");
        match publish::publish_file(disk, &file, text.as_bytes()) {
            // It is nothing that a start would need.
            Err(error) if is_current && error.code() == ErrorCode::DiskFull => Ok(()),
            published => published,
        }
    }

    /// The file that names the format version.
    pub fn format_file(&self) -> PathBuf {
        self.root.join(FORMAT_FILE)
    }

    /// Checks that this build reads the directory's format, and returns what its file says.
    ///
    /// # Errors
    /// `not_found` when the directory is no data directory, `corruption` when a newer version wrote
    /// it.
    pub fn read_format(&self, disk: &dyn Disk) -> Result<Format> {
        self.parse_format(&disk.read(&self.format_file())?)
    }

    /// Checks the text of a format file, this directory's or the one that it is to have.
    ///
    /// # Errors
    /// As [`Layout::read_format`], `corruption`.
    pub fn parse_format(&self, text: &[u8]) -> Result<Format> {
        let file = self.format_file();
        let found: serde_json::Value = serde_json::from_slice(text)
            .map_err(|e| Error::corruption(&file, 0, format!("want a JSON object: {e}")))?;
        let store = match found.get("store") {
            None => None,
            Some(serde_json::Value::String(store)) => Some(store.clone()),
            Some(_) => return Err(Error::corruption(&file, 0, "want a text in \"store\"")),
        };
        match found.get("formatVersion").and_then(serde_json::Value::as_u64) {
            Some(version) if version <= u64::from(FORMAT_VERSION) => Ok(Format { version, store }),
            Some(version) => Err(Error::new(
                ErrorCode::Corruption,
                format!(
                    "the directory has format {version}; this version knows up to {FORMAT_VERSION}"
                ),
            )
            .at(&file, None)),
            None => Err(Error::corruption(&file, 0, "want a number in \"formatVersion\"")),
        }
    }
}

/// Creates a directory and its parents; their names are durable before anything is put inside.
///
/// # Errors
/// `read_only`, `disk_full`, `io`.
pub fn create_durably(disk: &dyn Disk, dir: &Path) -> Result<()> {
    if disk.exists(dir) {
        return Ok(());
    }
    // The parent of a relative path of one part is the working directory.
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    create_durably(disk, parent)?;
    disk.create_dir(dir)?;
    disk.sync_dir(parent)
}
