//! Publication: the only way a file or directory becomes visible. Written under a temporary name,
//! synced, renamed, and the parent synced: after a crash the final name is absent or complete.
//!
//! Temporary names end in [`TEMP_SUFFIX`]; whoever opens a directory sweeps what a crash left.

use std::path::{Path, PathBuf};

use super::{Disk, WriteFile};
use crate::error::{Error, Result};

/// How every temporary name ends.
pub const TEMP_SUFFIX: &str = ".tmp";

/// The temporary name beside `path` under which it is prepared.
pub fn temp_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMP_SUFFIX);
    PathBuf::from(name)
}

/// Makes `bytes` the durable content of `path`, replacing a file that is there.
///
/// # Errors
/// Those of the disk. The old content stands, or, when only the last step failed, either of both.
pub fn publish_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    publish_open(disk, path, bytes).map(drop)
}

/// Like [`publish_file`], and returns the file for appending. What is appended is the caller's to
/// sync; a reader that finds the name finds at least `bytes`.
///
/// # Errors
/// As [`publish_file`].
pub fn publish_open(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<Box<dyn WriteFile>> {
    let temp = temp_path(path);
    let prepared = prepare(disk, &temp, bytes).and_then(|file| {
        disk.rename(&temp, path)?;
        Ok(file)
    });
    match prepared {
        Ok(file) => {
            disk.sync_dir(parent(path)?)?;
            Ok(file)
        }
        Err(error) => {
            // The first error is the one to report; what stays behind, a sweep removes.
            let _ = disk.remove_file(&temp);
            Err(error)
        }
    }
}

/// Makes the file that was written and synced under the temporary name of `path` appear as `path`,
/// replacing a file that is there.
///
/// # Errors
/// Those of the disk. The old file stands, or, when only the last step failed, either of both.
pub fn publish_prepared(disk: &dyn Disk, path: &Path) -> Result<()> {
    let temp = temp_path(path);
    if let Err(error) = disk.rename(&temp, path) {
        let _ = disk.remove_file(&temp);
        return Err(error);
    }
    disk.sync_dir(parent(path)?)
}

fn prepare(disk: &dyn Disk, temp: &Path, bytes: &[u8]) -> Result<Box<dyn WriteFile>> {
    if disk.exists(temp) {
        disk.remove_file(temp)?;
    }
    let mut file = disk.create(temp)?;
    file.write(bytes)?;
    file.sync()?;
    Ok(file)
}

/// Makes the directory `temp_dir` appear as `final_dir`. Every file inside was synced by whoever
/// wrote it; the directories inside are synced here.
///
/// # Errors
/// `internal` when `temp_dir` is not a temporary name; otherwise those of the disk.
pub fn publish_dir(disk: &dyn Disk, temp_dir: &Path, final_dir: &Path) -> Result<()> {
    if !temp_dir.as_os_str().as_encoded_bytes().ends_with(TEMP_SUFFIX.as_bytes()) {
        return Err(Error::internal("a directory is published from a name that is not temporary")
            .at(temp_dir, None));
    }
    sync_tree(disk, temp_dir)?;
    disk.rename(temp_dir, final_dir)?;
    disk.sync_dir(parent(final_dir)?)
}

fn sync_tree(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for entry in disk.list(dir)? {
        if entry.is_dir {
            sync_tree(disk, &dir.join(&entry.name))?;
        }
    }
    disk.sync_dir(dir)
}

/// Removes the temporary files and directories directly in `dir`, and returns how many.
///
/// # Errors
/// Those of the disk.
pub fn sweep(disk: &dyn Disk, dir: &Path) -> Result<usize> {
    let mut removed = 0;
    for entry in disk.list(dir)? {
        if !entry.name.ends_with(TEMP_SUFFIX) {
            continue;
        }
        let path = dir.join(&entry.name);
        if entry.is_dir {
            disk.remove_dir(&path)?;
        } else {
            disk.remove_file(&path)?;
        }
        removed += 1;
    }
    if removed > 0 {
        disk.sync_dir(dir)?;
    }
    Ok(removed)
}

fn parent(path: &Path) -> Result<&Path> {
    path.parent()
        .ok_or_else(|| Error::internal("a path to publish has no directory").at(path, None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faulty::{Fault, FaultyDisk};
    use crate::error::ErrorCode;

    fn dir() -> &'static Path {
        Path::new("/d")
    }

    /// A disk on which `/d` is durable.
    fn disk() -> FaultyDisk {
        let disk = FaultyDisk::new();
        disk.create_dir(dir()).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk
    }

    #[test]
    fn a_file_is_old_or_new_whenever_power_is_lost() {
        let path = dir().join("state");
        let (old, new) = (vec![1u8; 700], vec![2u8; 2000]);
        for call in 0..20 {
            for seed in 0..8 {
                let disk = disk();
                publish_file(&disk, &path, &old).unwrap();
                disk.fail_in(call, Fault::PowerLoss);
                let published = publish_file(&disk, &path, &new);
                let after = disk.crash(seed).read(&path).unwrap();
                assert!(after == old || after == new, "call {call}, seed {seed}");
                if published.is_ok() {
                    assert_eq!(after, new, "call {call}, seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_directory_appears_whole_or_not_at_all() {
        let (temp, target) = (dir().join("b.tmp"), dir().join("b"));
        for call in 0..20 {
            for seed in 0..8 {
                let disk = disk();
                disk.fail_in(call, Fault::PowerLoss);
                let build = || -> Result<()> {
                    disk.create_dir(&temp.join("chunks"))?;
                    for name in ["index", "chunks/1"] {
                        let mut file = disk.create(&temp.join(name))?;
                        file.write(&[7; 1500])?;
                        file.sync()?;
                    }
                    publish_dir(&disk, &temp, &target)
                };
                let built = build();
                let after = disk.crash(seed);
                assert!(built.is_err() || after.exists(&target), "call {call}, seed {seed}");
                if after.exists(&target) {
                    for name in ["index", "chunks/1"] {
                        assert_eq!(after.read(&target.join(name)).unwrap(), [7; 1500]);
                    }
                }
                sweep(&after, dir()).unwrap();
                assert!(!after.exists(&temp));
            }
        }
    }

    #[test]
    fn a_failed_publication_leaves_no_temporary_file() {
        let disk = disk();
        disk.set_capacity(Some(100));
        let error = publish_file(&disk, &dir().join("state"), &[1; 200]).unwrap_err();
        assert_eq!(error.code(), ErrorCode::DiskFull);
        assert_eq!(disk.list(dir()).unwrap(), []);
        disk.set_capacity(None);
        publish_file(&disk, &dir().join("state"), &[1; 200]).unwrap();
    }

    #[test]
    fn only_a_temporary_directory_can_be_published() {
        let disk = disk();
        disk.create_dir(&dir().join("b")).unwrap();
        let error = publish_dir(&disk, &dir().join("b"), &dir().join("c")).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
    }
}
