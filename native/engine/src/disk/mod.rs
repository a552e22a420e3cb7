//! The only way to touch files: a trait with the machine's disk behind it, and in tests one that
//! loses what was not synced and fails where it is told to.

#[cfg(any(test, feature = "testing"))]
pub mod faulty;
pub mod os;
pub mod overlay;
pub mod publish;
pub mod sections;

use std::fmt::Debug;
use std::ops::Deref;
use std::path::Path;

use crate::error::{Error, ErrorCode, Result};
use crate::sync::Arc;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Bytes, for a file.
    pub len: u64,
}

/// A file that is being written, at its end only.
pub trait WriteFile: Send {
    /// Appends all of `bytes`. After an error the file's tail is unknown.
    ///
    /// # Errors
    /// `disk_full`, `read_only` or `io`, with the file.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Makes what was written durable (`fdatasync`). After an error nothing is known about what was
    /// written since the last success, and it must not be tried again.
    ///
    /// # Errors
    /// As [`WriteFile::write`].
    fn sync(&mut self) -> Result<()>;

    /// Bytes written so far.
    fn len(&self) -> u64;

    /// Whether nothing was written.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The bytes of a complete, immutable file: mapped read-only, or in memory on a test disk.
#[derive(Clone)]
pub struct FileBytes(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl FileBytes {
    /// Wraps whatever owns the bytes.
    pub fn new(owner: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(owner))
    }
}

impl Deref for FileBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl Debug for FileBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileBytes({} bytes)", self.len())
    }
}

/// Held for as long as this process owns the directory.
pub trait DirLock: Send + Sync {}

/// A disk. Paths are as the operating system takes them. A file or directory entry is durable only
/// after the file *and* its directory were synced.
pub trait Disk: Send + Sync {
    /// Creates a file for appending.
    ///
    /// # Errors
    /// Also when the file exists.
    fn create(&self, path: &Path) -> Result<Box<dyn WriteFile>>;

    /// Maps a complete file read-only. Nobody may change or truncate it while it is mapped.
    ///
    /// # Errors
    /// `not_found`, `io`.
    fn map(&self, path: &Path) -> Result<FileBytes>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// `not_found`, `io`.
    fn read(&self, path: &Path) -> Result<Vec<u8>>;

    /// Cuts a file to `len` bytes and makes that durable.
    ///
    /// # Errors
    /// `not_found`, `read_only`, `io`.
    fn truncate(&self, path: &Path, len: u64) -> Result<()>;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// `not_found`, `io`.
    fn list(&self, dir: &Path) -> Result<Vec<Entry>>;

    /// Whether something is there.
    fn exists(&self, path: &Path) -> bool;

    /// Creates a directory and its parents; fine when it exists.
    ///
    /// # Errors
    /// `disk_full`, `read_only`, `io`.
    fn create_dir(&self, path: &Path) -> Result<()>;

    /// Renames a file or directory, replacing a file at the target.
    ///
    /// # Errors
    /// `not_found`, `read_only`, `io`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Gives the file `from` a second name, on the same file system.
    ///
    /// # Errors
    /// `not_found`, `read_only`, `io`, also when `to` exists.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `not_found`, `read_only`, `io`.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes a directory and all inside.
    ///
    /// # Errors
    /// `not_found`, `read_only`, `io`.
    fn remove_dir(&self, path: &Path) -> Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// `not_found`, `io`.
    fn sync_dir(&self, dir: &Path) -> Result<()>;

    /// Bytes that an ordinary process may still write to the file system of `path`.
    ///
    /// # Errors
    /// `not_found`, `io`.
    fn free_bytes(&self, path: &Path) -> Result<u64>;

    /// Takes the directory for this process until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// `read_only` when another process has it, naming that process.
    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>>;

    /// Keeps others from taking the directory while it is read, without writing to it. Where there
    /// is no lock file nobody has it, and nothing is kept.
    ///
    /// # Errors
    /// As [`Disk::lock`]; also when the lock file may not be read.
    fn lock_to_read(&self, dir: &Path) -> Result<Box<dyn DirLock>>;
}

/// Sees to it that there is room for `bytes` before they are begun: a file that cannot be finished
/// would only take the last room from the log.
///
/// # Errors
/// `disk_full` when there is not; those of the disk.
pub fn require_room(disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<()> {
    let free = disk.free_bytes(dir)?;
    if free >= bytes {
        return Ok(());
    }
    let text = format!("{bytes} bytes are needed, the file system has {free} left");
    Err(Error::new(ErrorCode::DiskFull, text).at(dir, None))
}
