//! Opening a data directory: lock, format version, blocks, then the log into a head.
//!
//! Which blocks count, and which part of the log they hold, says `recover/settle.rs`. Deletes are
//! in the log, and in a file for as long as blocks need them.

mod settle;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::block::Block;
use crate::block::tombstones::TombstoneList;
use crate::disk::{Disk, publish};
use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::saved::SavedFiles;
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::refs::{Position, SeriesRef, TenantId};
use crate::sample::TimestampMs;
use crate::sync::Arc;
use crate::tombstone::Tombstone;
use crate::wal::record::exemplars::ExemplarRecord;
use crate::wal::record::metadata::MetadataRecord;
use crate::wal::record::{self, RecordVisitor};
use crate::wal::{self, Recovered};
use settle::Settled;

/// The newest version of the directory's layout that this engine opens. A directory has the least
/// version that can read it: 2 once something was deleted in blocks, 1 before.
const FORMAT_VERSION: u32 = 2;
/// The version of a new directory.
const FIRST_VERSION: u32 = 1;
/// The file that names it.
const FORMAT_FILE: &str = "metricstor.json";

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
            saved: SavedFiles::new(root),
        }
    }

    /// Creates what is not there and checks the format version.
    ///
    /// # Errors
    /// `read_only` or `io` when the directory cannot be used, `corruption` when a newer version
    /// wrote it.
    pub fn prepare(&self, disk: &dyn Disk) -> Result<()> {
        for dir in [&self.wal, &self.blocks] {
            create_durably(disk, dir)?;
        }
        self.prepare_format(disk)
    }

    /// Writes the format version if none is there, and checks the one that is.
    ///
    /// # Errors
    /// As [`Layout::prepare`].
    pub fn prepare_format(&self, disk: &dyn Disk) -> Result<()> {
        if !disk.exists(&self.format_file()) {
            return self.write_version(disk, FIRST_VERSION);
        }
        self.check_format(disk)
    }

    /// The file that names the format version.
    pub fn format_file(&self) -> PathBuf {
        self.root.join(FORMAT_FILE)
    }

    /// Checks that this build reads the directory's format.
    ///
    /// # Errors
    /// `not_found` when the directory is no data directory, `corruption` when a newer version wrote
    /// it.
    pub fn check_format(&self, disk: &dyn Disk) -> Result<()> {
        self.version(disk).map(drop)
    }

    /// Sees to it that a version that does not know deletes in blocks does not open the directory:
    /// it would show them.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn note_deletes(&self, disk: &dyn Disk) -> Result<()> {
        if self.version(disk)? >= 2 { Ok(()) } else { self.write_version(disk, 2) }
    }

    fn write_version(&self, disk: &dyn Disk, version: u32) -> Result<()> {
        let text = format!("{{\"formatVersion\":{version}}}\n");
        publish::publish_file(disk, &self.format_file(), text.as_bytes())
    }

    fn version(&self, disk: &dyn Disk) -> Result<u64> {
        let file = self.format_file();
        let text = disk.read(&file)?;
        let found: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|e| Error::corruption(&file, 0, format!("want a JSON object: {e}")))?;
        match found.get("formatVersion").and_then(serde_json::Value::as_u64) {
            Some(version) if version <= u64::from(FORMAT_VERSION) => Ok(version),
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

/// What was found in a data directory.
pub struct Restored {
    /// The blocks, in the order of their writes.
    pub blocks: Vec<Arc<Block>>,
    /// The log position up to which everything is in blocks.
    pub flushed: Position,
    /// What is deleted in blocks.
    pub tombstones: Arc<TombstoneList>,
    /// What their file says: the same list, unless the log had more.
    pub saved_tombstones: Arc<TombstoneList>,
    /// A sentence for each block that was damaged and set aside now.
    pub quarantined: Vec<String>,
    /// What the replay found.
    pub log: Recovered,
}

/// Opens blocks and replays the log into `head`.
///
/// # Errors
/// `corruption` with file and offset, `io`.
pub fn restore(disk: &Arc<dyn Disk>, layout: &Layout, head: &Head) -> Result<Restored> {
    let logged = wal::first_position(&**disk, &layout.wal)?;
    let Settled { blocks, flushed, quarantined } = settle::settle(disk, layout, logged)?;
    for block in &blocks {
        head.saw_time(block.meta().maxt);
    }
    publish::sweep(&**disk, &layout.root)?;
    layout.saved.restore(&**disk, head)?;
    let saved = Arc::new(TombstoneList::read(&**disk, &layout.blocks)?);
    let (mut log, tombstones) = replay(&**disk, layout, head, &saved, flushed)?;
    // What a power loss took of a log that was not synced must not be written again below a
    // tombstone that survived it: a write after a delete would be taken for one before it.
    log.end = log.end.max(tombstones.newest());
    Ok(Restored { blocks, flushed, tombstones, saved_tombstones: saved, quarantined, log })
}

/// Replays the log behind `flushed`; returns the tombstones of file and log.
fn replay(
    disk: &dyn Disk,
    layout: &Layout,
    head: &Head,
    saved: &Arc<TombstoneList>,
    flushed: Position,
) -> Result<(Recovered, Arc<TombstoneList>)> {
    let mut visitor = Replay {
        head,
        series: HashMap::new(),
        position: flushed,
        deletes: Vec::new(),
        tombstones: saved.clone(),
    };
    let log = wal::replay(disk, &layout.wal, flushed, &mut |position, payload| {
        visitor.position = position;
        record::decode(payload, &mut visitor)?;
        visitor.end_frame();
        Ok(())
    })?;
    // Under a policy that acknowledges before the sync the log may have lost a delete whose file
    // is durable. What is left of the log was all written before it.
    for placed in saved.iter().filter(|placed| placed.position > visitor.position) {
        head.delete(&placed.tombstone)?;
    }
    Ok((log, visitor.tombstones))
}

/// Puts the records of the log into the head.
struct Replay<'a> {
    head: &'a Head,
    /// What the log's refs mean now; a later definition replaces an earlier one.
    series: HashMap<SeriesRef, SeriesRef>,
    /// The end of the frame that is being read.
    position: Position,
    /// The tombstones of that frame.
    deletes: Vec<Arc<Tombstone>>,
    /// Those of the file and of all frames so far.
    tombstones: Arc<TombstoneList>,
}

impl Replay<'_> {
    fn end_frame(&mut self) {
        let deletes = std::mem::take(&mut self.deletes);
        if !deletes.is_empty() && !self.tombstones.has(self.position) {
            self.tombstones = Arc::new(self.tombstones.with(self.position, &deletes));
        }
    }

    /// The series that the log means by `series`.
    fn known(&self, series: SeriesRef) -> Result<SeriesRef> {
        self.series.get(&series).copied().ok_or_else(|| {
            Error::new(
                ErrorCode::Corruption,
                format!("the log has a sample of series {} before its definition", series.0),
            )
        })
    }
}

impl RecordVisitor for Replay<'_> {
    fn series(&mut self, series: SeriesRef, tenant: TenantId, canonical: &[u8]) -> Result<()> {
        let labels = Labels::from_canonical(canonical)?;
        let restored = self.head.restore_series(tenant, &labels)?;
        self.series.insert(series, restored);
        Ok(())
    }

    fn sample(&mut self, series: SeriesRef, t: TimestampMs, v: f64) -> Result<()> {
        self.head.restore_sample(self.known(series)?, t, v);
        Ok(())
    }

    fn tombstone(&mut self, encoded: &[u8]) -> Result<()> {
        let tombstone = Tombstone::decode(encoded)?;
        self.head.delete(&tombstone)?;
        self.deletes.push(Arc::new(tombstone));
        Ok(())
    }

    fn histogram(&mut self, series: SeriesRef, t: TimestampMs, h: Histogram) -> Result<()> {
        self.head.restore_histogram(self.known(series)?, t, h);
        Ok(())
    }

    fn exemplar(&mut self, exemplar: ExemplarRecord<'_>) -> Result<()> {
        self.head.exemplars().restore(&exemplar)
    }

    fn metadata(&mut self, metadata: MetadataRecord<'_>) -> Result<()> {
        self.head.metadata().restore(&metadata)
    }
}
