//! Copies of a store: snapshots beside it, backups elsewhere, and the way back.
//!
//! A snapshot is a data directory of hard links, `snapshots/<name>/`: blocks never change, so it
//! costs no space until they are gone from the store. A backup is a directory anywhere:
//!
//! ```text
//! <target>/manifest.json                 what the backup holds, with checksums; replaced last
//!          blocks/<ULID>-<digest>/…      the files of a block; the digest is over their checksums
//! ```
//!
//! What a manifest names is there and durable before it is published, and goes only after the next
//! one is, so a backup that is cut off leaves the one before. A block that is there already is not
//! copied again. Drawn in `FORMAT.md`, "Backups".

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::block::meta::{FileEntry, Meta, seal, unseal};
use crate::block::tombstones::{TOMBSTONES_FILE, TombstoneList};
use crate::block::{self, META_FILE};
use crate::disk::Disk;
use crate::disk::publish::{self, publish_dir, publish_file, temp_path};
use crate::error::{Error, ErrorCode, Result};
use crate::recover::{Layout, create_durably};
use crate::sample::TimestampMs;
use crate::store::Store;
use crate::sync::Arc;

/// The directory of snapshots in a data directory.
pub const SNAPSHOTS_DIR: &str = "snapshots";
/// The file that says what a backup holds.
pub const MANIFEST_FILE: &str = "manifest.json";
/// The version of manifests that this build writes and the newest that it reads.
const MANIFEST_VERSION: u32 = 1;
/// The directory of blocks in a backup.
const BLOCKS_DIR: &str = "blocks";
/// How often a snapshot begins anew because a block went while it was linked; retention and
/// compaction take blocks minutes apart.
const SNAPSHOT_ATTEMPTS: usize = 8;
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
}

/// The name of a snapshot, as Prometheus gives it: the time, and something that no other has.
pub fn snapshot_name(now_ms: TimestampMs, random: u64) -> String {
    let (days, ms) = (now_ms.div_euclid(86_400_000), now_ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{random:016x}")
}

/// The date of a day since the epoch in the proleptic Gregorian calendar. Years begin in March
/// here, so that the leap day is the last one, and repeat after 400.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    /// Days from the first of March in the year 0 to the epoch.
    const EPOCH: i64 = 719_468;
    let shifted = days + EPOCH;
    let era = shifted.div_euclid(DAYS_OF_400_YEARS);
    let day_of_era = shifted.rem_euclid(DAYS_OF_400_YEARS);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Links the published blocks of the store as of one instant into `snapshots/<name>`, which appears
/// whole and durable, and returns its directory. Nothing that is in the head alone is in it.
///
/// # Errors
/// Those of the disk; `overloaded` when blocks kept going while they were linked.
pub fn snapshot(store: &Store, name: &str) -> Result<PathBuf> {
    let disk = &*store.disk;
    let snapshots = store.layout.root.join(SNAPSHOTS_DIR);
    create_durably(disk, &snapshots)?;
    let dir = snapshots.join(name);
    let temp = temp_path(&dir);
    for _ in 0..SNAPSHOT_ATTEMPTS {
        let view = store.view.load_full();
        let linked = link_blocks(disk, &view.blocks, &temp).and_then(|()| {
            let layout = Layout::new(&temp);
            layout.prepare_format(disk)?;
            if !view.tombstones.is_empty() {
                view.tombstones.publish(disk, &layout.blocks)?;
            }
            publish_dir(disk, &temp, &dir)
        });
        match linked {
            Ok(()) => return Ok(dir),
            Err(error) => {
                // A sweep at the next start removes what cannot be removed now.
                let _ = disk.remove_dir(&temp);
                if error.code() != ErrorCode::NotFound {
                    return Err(error);
                }
            }
        }
    }
    Err(Error::new(ErrorCode::Overloaded, "blocks kept going while a snapshot linked them"))
}

fn link_blocks(disk: &dyn Disk, blocks: &[Arc<block::Block>], to: &Path) -> Result<()> {
    let blocks_dir = Layout::new(to).blocks;
    disk.create_dir(&blocks_dir)?;
    for block in blocks {
        let dir = blocks_dir.join(block.meta().ulid.to_string());
        disk.create_dir(&dir)?;
        for entry in disk.list(block.dir())? {
            disk.hard_link(&block.dir().join(&entry.name), &dir.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Removes what crashes left of snapshots that were being made.
///
/// # Errors
/// Those of the disk.
pub fn sweep_snapshots(disk: &dyn Disk, layout: &Layout) -> Result<()> {
    let snapshots = layout.root.join(SNAPSHOTS_DIR);
    if disk.exists(&snapshots) {
        publish::sweep(disk, &snapshots)?;
    }
    Ok(())
}

/// `manifest.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manifest {
    version: u32,
    /// The text of the data directory's format file.
    format: String,
    created_ms: TimestampMs,
    /// Oldest first.
    blocks: Vec<BlockEntry>,
    /// What is deleted in them: the file of tombstones, two hexadecimal digits a byte; empty where
    /// there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tombstones: String,
}

/// A block of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlockEntry {
    ulid: String,
    /// All files, by name.
    files: Vec<FileEntry>,
}

impl BlockEntry {
    /// The block in `dir`. Its description vouches for the files that it lists; others are read.
    fn of(disk: &dyn Disk, dir: &Path) -> Result<Self> {
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
    fn dir_name(&self) -> String {
        let mut digest = 0;
        for file in &self.files {
            digest = crc32c::crc32c_append(digest, file.name.as_bytes());
            digest = crc32c::crc32c_append(digest, &file.crc32c.to_le_bytes());
        }
        format!("{}-{digest:08x}", self.ulid)
    }

    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
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

/// Refuses a backup with blocks of which `dir` has none, neither itself nor, merged or written anew
/// since, as the source of one that it has.
fn refuse_another(disk: &dyn Disk, dir: &Path, target: &Path) -> Result<()> {
    if !disk.exists(&target.join(MANIFEST_FILE)) {
        return Ok(());
    }
    let manifest = read_manifest(disk, target)?;
    let held: BTreeSet<&str> = manifest.blocks.iter().map(|entry| &*entry.ulid).collect();
    let layout = Layout::new(dir);
    layout.check_format(disk)?;
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
    layout.check_format(disk)?;
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
    let tombstones = hex(&read_tombstones(disk, &layout.blocks)?);
    let manifest =
        Manifest { version: MANIFEST_VERSION, format, created_ms: now_ms, blocks, tombstones };
    publish_file(disk, &target.join(MANIFEST_FILE), encode(&manifest)?.as_bytes())?;
    for entry in disk.list(&target.join(BLOCKS_DIR))? {
        if !kept.contains(&entry.name) {
            disk.remove_dir(&target.join(BLOCKS_DIR).join(&entry.name))?;
            report.removed_blocks += 1;
        }
    }
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
        let ours = [BLOCKS_DIR, "manifest.json.tmp", "lost+found"];
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
        let got = crc32c::crc32c(&content);
        if (content.len() as u64, got) != (file.bytes, file.crc32c) {
            let text = format!(
                "{} bytes with checksum {got:08x}, want {} with {:08x}",
                content.len(),
                file.bytes,
                file.crc32c
            );
            return Err(Error::corruption(&source, 0, text));
        }
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

fn encode(manifest: &Manifest) -> Result<String> {
    let failed = |what: &str| Error::internal(format!("a manifest cannot be written: {what}"));
    let json =
        serde_json::to_string_pretty(manifest).map_err(|cause| failed(&cause.to_string()))?;
    seal(&json).ok_or_else(|| failed("no closing brace"))
}

fn read_manifest(disk: &dyn Disk, target: &Path) -> Result<Manifest> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let path = target.join(MANIFEST_FILE);
    let json = unseal(&path, &disk.read(&path)?)?;
    let malformed = |cause: serde_json::Error| Error::corruption(&path, 0, cause.to_string());
    let Versioned { version } = serde_json::from_str(&json).map_err(malformed)?;
    if version != MANIFEST_VERSION {
        let text = format!("manifest version {version}, this build knows {MANIFEST_VERSION}");
        return Err(Error::corruption(&path, 0, text));
    }
    let manifest: Manifest = serde_json::from_str(&json).map_err(malformed)?;
    // Names become paths: a manifest must not lead elsewhere.
    let files = manifest.blocks.iter().flat_map(|b| b.files.iter().map(|file| &*file.name));
    let plain = |name: &str| Path::new(name).file_name().is_some_and(|n| n == name);
    match files.chain(manifest.blocks.iter().map(|b| &*b.ulid)).find(|name| !plain(name)) {
        Some(name) => Err(Error::corruption(&path, 0, format!("{name:?} is not a name"))),
        None => Ok(manifest),
    }
}

/// Makes a data directory of a backup: every file is compared with its checksum, the blocks appear
/// at once, by one rename, and after them the format file, without which nothing is a data
/// directory. A restore that was cut off may be repeated.
///
/// # Errors
/// `bad_data` when `dir` is not empty, `not_found` when there is no backup in `target`,
/// `corruption` when the backup is damaged, those of the disk.
pub fn restore(disk: &dyn Disk, target: &Path, dir: &Path) -> Result<CopyReport> {
    let manifest = read_manifest(disk, target)?;
    let layout = Layout::new(dir);
    layout.check_format_text(manifest.format.as_bytes())?;
    create_durably(disk, dir)?;
    prepare_restore(disk, &layout, &manifest)?;
    let temp = temp_path(&layout.blocks);
    let restored = restore_blocks(disk, target, &temp, &manifest);
    match restored.and_then(|report| publish_dir(disk, &temp, &layout.blocks).map(|()| report)) {
        Ok(report) => {
            publish_file(disk, &layout.format_file(), manifest.format.as_bytes())?;
            Ok(report)
        }
        Err(error) => {
            // The first error is the one to report; what stays behind, the next restore removes.
            let _ = disk.remove_dir(&temp);
            Err(error)
        }
    }
}

/// Makes sure that the directory is empty but for what a restore of this backup left that was cut
/// off, and removes that.
fn prepare_restore(disk: &dyn Disk, layout: &Layout, manifest: &Manifest) -> Result<()> {
    let (temp, format) = (temp_path(&layout.blocks), layout.format_file());
    let format_temp = temp_path(&format);
    let mut ours = vec![temp.file_name(), format_temp.file_name(), Some("lost+found".as_ref())];
    // It was written first once: a restore that failed then left it, and no blocks.
    ours.push(format.file_name());
    let cut_off = !disk.exists(&format) && holds_only(disk, &layout.blocks, manifest);
    if cut_off {
        ours.push(layout.blocks.file_name());
    }
    let entries = disk.list(&layout.root)?;
    if let Some(other) = entries.iter().find(|e| !ours.contains(&Some(e.name.as_ref()))) {
        let text = format!("the directory is not empty: it holds {:?}", other.name);
        return Err(Error::bad_data(text).at(&layout.root, None));
    }
    for file in [&format, &format_temp] {
        if disk.exists(file) {
            disk.remove_file(file)?;
        }
    }
    if disk.exists(&temp) {
        disk.remove_dir(&temp)?;
    }
    if cut_off {
        disk.remove_dir(&layout.blocks)?;
    }
    disk.sync_dir(&layout.root)
}

/// Whether a directory of blocks is there and has none but those of a backup.
fn holds_only(disk: &dyn Disk, blocks_dir: &Path, manifest: &Manifest) -> bool {
    let known = |name: &str| {
        name == TOMBSTONES_FILE || manifest.blocks.iter().any(|entry| entry.ulid == name)
    };
    disk.exists(blocks_dir)
        && disk.list(blocks_dir).is_ok_and(|entries| entries.iter().all(|e| known(&e.name)))
}

/// Copies the blocks of a backup, and what is deleted in them, into `to`.
fn restore_blocks(
    disk: &dyn Disk,
    target: &Path,
    to: &Path,
    manifest: &Manifest,
) -> Result<CopyReport> {
    disk.create_dir(to)?;
    let mut report = CopyReport::default();
    for entry in &manifest.blocks {
        let copy = target.join(BLOCKS_DIR).join(entry.dir_name());
        copy_block(disk, &copy, &to.join(&entry.ulid), entry)?;
        report.blocks += 1;
        report.bytes += entry.bytes();
    }
    (report.copied_blocks, report.copied_bytes) = (report.blocks, report.bytes);
    if !manifest.tombstones.is_empty() {
        publish_file(disk, &to.join(TOMBSTONES_FILE), &unhex(&manifest.tombstones))?;
        TombstoneList::read(disk, to)?;
    }
    Ok(report)
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

/// Other characters count as 0: the checksum of the bytes notices.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: &u8| char::from(*c).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |n, c| n << 4 | digit(c))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_its_time() {
        assert_eq!(snapshot_name(0, 1), "19700101T000000Z-0000000000000001");
        assert_eq!(snapshot_name(951_827_696_789, 255), "20000229T123456Z-00000000000000ff");
        assert_eq!(snapshot_name(-1, 0), "19691231T235959Z-0000000000000000");
    }

    #[test]
    fn days_have_their_dates() {
        for (days, want) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), want, "day {days}");
        }
    }
}
