//! Quarantine: a damaged block leaves the store and is kept for whoever wants to look into it.
//!
//! ```text
//! quarantine/<name>/       the block's directory, as it was found
//! quarantine/<name>.txt    why it is here
//! ```
//!
//! The directory moves by one durable rename, so a block is either in the store or here.

use std::path::{Path, PathBuf};

use super::meta::Meta;
use crate::disk::{Disk, publish};
use crate::error::{Error, ErrorCode, Result};

/// How often a name is tried with another number at its end. A block comes here twice only if
/// somebody put it back.
const TRIES: u32 = 1000;

/// Whether `error`, which opening or reading a block gave, says that the block is damaged. A block
/// of a newer format is not, nor one that could not be read because the system refused.
pub fn is_damage(error: &Error) -> bool {
    matches!(error.code(), ErrorCode::Corruption | ErrorCode::NotFound) && !error.is_newer_format()
}

/// Moves the block in `dir` to `quarantine_dir`, which is made where it is not there, and returns
/// where it is now. `why` is told to whoever looks.
///
/// # Errors
/// Those of the disk. The block is in one of the two places.
pub fn set_aside(
    disk: &dyn Disk,
    dir: &Path,
    quarantine_dir: &Path,
    why: &Error,
) -> Result<PathBuf> {
    let parent = |path: &Path| path.parent().unwrap_or(Path::new(".")).to_path_buf();
    if !disk.exists(quarantine_dir) {
        disk.create_dir(quarantine_dir)?;
        disk.sync_dir(&parent(quarantine_dir))?;
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let numbered = (2..TRIES).map(|n| format!("{name}.{n}"));
    let place = std::iter::once(name.clone())
        .chain(numbered)
        .map(|name| quarantine_dir.join(name))
        .find(|place| !disk.exists(place))
        .ok_or_else(|| Error::internal("the quarantine has no name left").at(dir, None))?;
    disk.rename(dir, &place)?;
    disk.sync_dir(quarantine_dir)?;
    disk.sync_dir(&parent(dir))?;
    // The move is what counts: a full disk must not undo it.
    let _ = publish::publish_file(disk, &text_path(&place), format!("{why}\n").as_bytes());
    Ok(place)
}

/// The sentence for the operator about a block in `dir` that was set aside because of `why`: where
/// it is now, or why it could not be moved, and what became of its `samples`.
pub fn sentence(
    dir: &Path,
    place: std::result::Result<&Path, &Error>,
    samples: &str,
    why: &Error,
) -> String {
    let dir = dir.display();
    match place {
        Ok(place) => {
            let place = place.display();
            format!("the block {dir} is damaged and was moved to {place}; {samples}: {why}")
        }
        Err(refused) => format!(
            "the block {dir} is damaged and no longer read, and could not be moved ({refused}); \
             {samples}: {why}"
        ),
    }
}

/// What is missing without the block that `meta` describes.
pub fn missing(meta: &Meta) -> String {
    let Meta { mint, maxt, .. } = meta;
    format!("{} samples from {mint} to {maxt} ms are missing", meta.counts.samples)
}

fn text_path(place: &Path) -> PathBuf {
    let mut name = place.as_os_str().to_owned();
    name.push(".txt");
    PathBuf::from(name)
}

/// How many blocks are in `quarantine_dir`.
///
/// # Errors
/// Those of the disk.
pub fn count(disk: &dyn Disk, quarantine_dir: &Path) -> Result<u64> {
    if !disk.exists(quarantine_dir) {
        return Ok(0);
    }
    Ok(disk.list(quarantine_dir)?.iter().filter(|entry| entry.is_dir).count() as u64)
}
