//! Copies of a store: snapshots beside it, backups elsewhere, and the way back.
//!
//! A snapshot is a data directory of hard links, `snapshots/<name>/`: blocks never change, so it
//! costs no space until they are gone from the store. A backup is a directory anywhere:
//!
//! ```text
//! <target>/manifest.json                 what the backup holds, with checksums; replaced last
//!          blocks/<ULID>-<digest>/…      the files of a block; the digest is over their checksums
//!          beside/<name>-<digest>        exemplars and metadata, which no block has
//! ```
//!
//! What a manifest names is there and durable before it is published, and goes only after the next
//! one is, so a backup that is cut off leaves the one before. A block that is there already is not
//! copied again. Drawn in `FORMAT.md`, "Backups".

mod beside;
mod manifest;
mod restore;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use crate::block;
use crate::block::META_FILE;
use crate::block::meta::Meta;
use crate::block::tombstones::{TOMBSTONES_FILE, TombstoneList};
use crate::disk::Disk;
use crate::disk::publish::{self, publish_dir, publish_file, temp_path};
use crate::error::{Error, Result};
use crate::recover::{Layout, create_durably};
use crate::sample::TimestampMs;
use beside::BESIDE_DIR;
pub use manifest::MANIFEST_FILE;
use manifest::{BlockEntry, MANIFEST_VERSION, Manifest, encode, read_manifest};
pub use restore::restore;
pub use snapshot::{SNAPSHOTS_DIR, snapshot, snapshot_name, sweep_snapshots};

/// The directory of blocks in a backup.
const BLOCKS_DIR: &str = "blocks";
/// How much is copied at a time.
const COPY_BYTES: usize = 4 << 20;

/// What a backup or a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CopyReport {
    /// Blocks of the backup.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks that were copied now.
    pub copied_blocks: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Blocks of earlier backups that were removed, because the store has them no more.
    pub removed_blocks: u64,
    /// Bytes of the exemplars and metadata of the backup.
    pub beside_bytes: u64,
}

/// Brings the backup in `target` up to the blocks in `dir`, a data directory of which everything is
/// in blocks and that nobody changes meanwhile.
///
/// # Errors
/// `bad_data` when `target` holds something else or the backup of another store, `corruption` for a
/// block that is not what was written, those of the disk. The backup before this one stands.
pub fn backup(
    disk: &dyn Disk,
    dir: &Path,
    target: &Path,
    now_ms: TimestampMs,
) -> Result<CopyReport> {
    refuse_another(disk, dir, target)?;
    replace(disk, dir, target, now_ms)
}

/// Refuses a backup of another store. One whose identity is not known is another one if it has
/// blocks of which `dir` has none, neither itself nor, merged or written anew since, as the source
/// of one that it has.
fn refuse_another(disk: &dyn Disk, dir: &Path, target: &Path) -> Result<()> {
    if !disk.exists(&target.join(MANIFEST_FILE)) {
        return Ok(());
    }
    let manifest = read_manifest(disk, target)?;
    let layout = Layout::new(dir);
    let own = layout.read_format(disk)?.store;
    if own.is_some() && own == layout.parse_format(manifest.format.as_bytes())?.store {
        return Ok(());
    }
    let held: BTreeSet<&str> = manifest.blocks.iter().map(|entry| &*entry.ulid).collect();
    let blocks = block::list(disk, &layout.blocks)?;
    let mut shared = held.is_empty();
    for block in &blocks {
        let path = block.join(META_FILE);
        let meta = Meta::decode(&path, &disk.read(&path)?)?;
        let mut known = std::iter::once(&meta.ulid).chain(&meta.compaction.sources);
        shared = shared || known.any(|ulid| held.contains(&*ulid.to_string()));
    }
    if shared {
        return Ok(());
    }
    let text = format!(
        "the {} blocks of the backup would be removed: the {} of {} have nothing in common with \
         them; give another target, or --replace if that backup is to go",
        held.len(),
        blocks.len(),
        dir.display()
    );
    Err(Error::bad_data(text).at(target, None))
}

/// Like [`backup`], even where the backup in `target` is of another store, and is lost.
///
/// # Errors
/// As [`backup`].
pub fn replace(
    disk: &dyn Disk,
    dir: &Path,
    target: &Path,
    now_ms: TimestampMs,
) -> Result<CopyReport> {
    let layout = Layout::new(dir);
    layout.read_format(disk)?;
    let format = String::from_utf8_lossy(&disk.read(&layout.format_file())?).into_owned();
    let known = prepare_target(disk, target)?;
    let mut report = CopyReport::default();
    let mut blocks = Vec::new();
    for source in block::list(disk, &layout.blocks)? {
        let entry = BlockEntry::of(disk, &source)?;
        let copy = target.join(BLOCKS_DIR).join(entry.dir_name());
        if !(known.contains(&entry.dir_name()) && is_there(disk, &copy, &entry)) {
            if disk.exists(&copy) {
                disk.remove_dir(&copy)?;
            }
            copy_block(disk, &source, &copy, &entry)?;
            report.copied_blocks += 1;
            report.copied_bytes += entry.bytes();
        }
        report.blocks += 1;
        report.bytes += entry.bytes();
        blocks.push(entry);
    }
    let kept: BTreeSet<String> = blocks.iter().map(BlockEntry::dir_name).collect();
    let beside = beside::copy(disk, &layout, target)?;
    report.beside_bytes = beside::bytes_of(&beside);
    let tombstones = hex(&read_tombstones(disk, &layout.blocks)?);
    let (version, created_ms) = (MANIFEST_VERSION, now_ms);
    let manifest = Manifest { version, format, created_ms, blocks, tombstones, beside };
    publish_file(disk, &target.join(MANIFEST_FILE), encode(&manifest)?.as_bytes())?;
    for entry in disk.list(&target.join(BLOCKS_DIR))? {
        if !kept.contains(&entry.name) {
            disk.remove_dir(&target.join(BLOCKS_DIR).join(&entry.name))?;
            report.removed_blocks += 1;
        }
    }
    beside::remove_others(disk, target, &manifest.beside)?;
    Ok(report)
}

/// Makes sure that `target` is a backup or empty; returns the names of the blocks that it vouches
/// for.
fn prepare_target(disk: &dyn Disk, target: &Path) -> Result<BTreeSet<String>> {
    create_durably(disk, target)?;
    let manifest = target.join(MANIFEST_FILE);
    let known = if disk.exists(&manifest) {
        let manifest = read_manifest(disk, target)?;
        manifest.blocks.iter().map(BlockEntry::dir_name).collect()
    } else {
        let ours = [BLOCKS_DIR, BESIDE_DIR, "manifest.json.tmp", "lost+found"];
        if let Some(other) = disk.list(target)?.iter().find(|e| !ours.contains(&&*e.name)) {
            let text = format!("the target holds {:?} and no backup", other.name);
            return Err(Error::bad_data(text).at(target, None));
        }
        BTreeSet::new()
    };
    let blocks = target.join(BLOCKS_DIR);
    create_durably(disk, &blocks)?;
    publish::sweep(disk, &blocks)?;
    Ok(known)
}

fn is_there(disk: &dyn Disk, copy: &Path, entry: &BlockEntry) -> bool {
    let found: BTreeMap<String, u64> = match disk.list(copy) {
        Ok(files) => files.into_iter().map(|file| (file.name, file.len)).collect(),
        Err(_) => return false,
    };
    found.len() == entry.files.len()
        && entry.files.iter().all(|file| found.get(&file.name) == Some(&file.bytes))
}

/// Copies the files of a block and compares their checksums on the way; the copy appears whole.
fn copy_block(disk: &dyn Disk, from: &Path, to: &Path, entry: &BlockEntry) -> Result<()> {
    let temp = temp_path(to);
    disk.create_dir(&temp)?;
    let copied = entry.files.iter().try_for_each(|file| {
        let source = from.join(&file.name);
        let content = disk.map(&source)?;
        file.check(&source, &content)?;
        let mut copy = disk.create(&temp.join(&file.name))?;
        content.chunks(COPY_BYTES).try_for_each(|piece| copy.write(piece))?;
        copy.sync()
    });
    if let Err(error) = copied.and_then(|()| publish_dir(disk, &temp, to)) {
        // The first error is the one to report; what stays behind, a sweep removes.
        let _ = disk.remove_dir(&temp);
        return Err(error);
    }
    Ok(())
}

/// The file of tombstones, checked; empty where there is none.
fn read_tombstones(disk: &dyn Disk, blocks_dir: &Path) -> Result<Vec<u8>> {
    if TombstoneList::read(disk, blocks_dir)?.is_empty() {
        return Ok(Vec::new());
    }
    disk.read(&blocks_dir.join(TOMBSTONES_FILE))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
