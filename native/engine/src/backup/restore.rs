//! A data directory made of a backup.

use std::path::{Path, PathBuf};

use super::beside;
use super::manifest::{Manifest, read_manifest};
use super::{BLOCKS_DIR, CopyReport, copy_block};
use crate::block::tombstones::{TOMBSTONES_FILE, TombstoneList};
use crate::disk::Disk;
use crate::disk::publish::{publish_dir, publish_file, temp_path};
use crate::error::{Error, Result};
use crate::recover::{Layout, create_durably};

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
    layout.parse_format(manifest.format.as_bytes())?;
    create_durably(disk, dir)?;
    prepare_restore(disk, &layout, &manifest)?;
    let temp = temp_path(&layout.blocks);
    let restored = restore_blocks(disk, target, &temp, &manifest).and_then(|report| {
        let beside = beside::read(disk, target, &manifest)?;
        publish_dir(disk, &temp, &layout.blocks)?;
        Ok((report, beside))
    });
    let (mut report, files) = restored.inspect_err(|_| {
        // The first error is the one to report; what stays behind, the next restore removes.
        let _ = disk.remove_dir(&temp);
    })?;
    for (file, content) in files {
        publish_file(disk, &layout.root.join(&file.name), &content)?;
    }
    report.beside_bytes = beside::bytes_of(&manifest.beside);
    publish_file(disk, &layout.format_file(), manifest.format.as_bytes())?;
    Ok(report)
}

/// Makes sure that the directory is empty but for what a restore of this backup left that was cut
/// off, and removes that.
fn prepare_restore(disk: &dyn Disk, layout: &Layout, manifest: &Manifest) -> Result<()> {
    let (temp, format) = (temp_path(&layout.blocks), layout.format_file());
    let format_temp = temp_path(&format);
    let mut ours = vec![temp.file_name(), format_temp.file_name(), Some("lost+found".as_ref())];
    // It was written first once: a restore that failed then left it, and no blocks.
    ours.push(format.file_name());
    let unfinished = !disk.exists(&format);
    let cut_off = unfinished && holds_only(disk, &layout.blocks, manifest);
    if cut_off {
        ours.push(layout.blocks.file_name());
    }
    let entries = disk.list(&layout.root)?;
    let beside: Vec<PathBuf> = entries
        .iter()
        .filter(|e| unfinished && beside::is_ours(disk, layout, manifest, &e.name))
        .map(|e| layout.root.join(&e.name))
        .collect();
    ours.extend(beside.iter().map(|file| file.file_name()));
    if let Some(other) = entries.iter().find(|e| !ours.contains(&Some(e.name.as_ref()))) {
        let text = format!("the directory is not empty: it holds {:?}", other.name);
        return Err(Error::bad_data(text).at(&layout.root, None));
    }
    for file in [&format, &format_temp].into_iter().chain(&beside) {
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

/// Other characters count as 0: the checksum of the bytes notices.
fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: &u8| char::from(*c).to_digit(16).unwrap_or(0) as u8;
    text.as_bytes().chunks(2).map(|pair| pair.iter().fold(0, |n, c| n << 4 | digit(c))).collect()
}
