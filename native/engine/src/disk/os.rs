//! The machine's disk: ordinary files, `fdatasync`, read-only maps and a lock file.
//!
//! Nothing is ever written through a map (a full disk would be a SIGBUS). The lock is `flock` on
//! the file [`LOCK_FILE`], which the system releases when the process ends, however it ends; the
//! process id inside only serves the error message.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{DirLock, Disk, Entry, FileBytes, WriteFile};
use crate::error::{Error, ErrorCode, Result};

/// The name of the lock file in a data directory.
pub const LOCK_FILE: &str = "LOCK";

/// The machine's disk.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsDisk;

/// A file open for appending.
struct OsFile {
    file: File,
    path: PathBuf,
    len: u64,
}

impl WriteFile for OsFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, &e))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("sync", &self.path, &e))
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// The lock: dropping the descriptor releases it. Without one nothing is locked.
struct OsLock {
    _file: Option<File>,
}

impl DirLock for OsLock {}

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|e| Error::io("create", path, &e))?;
        Ok(Box::new(OsFile { file, path: path.to_path_buf(), len: 0 }))
    }

    fn map(&self, path: &Path) -> Result<FileBytes> {
        let open = || -> io::Result<FileBytes> {
            let file = File::open(path)?;
            if file.metadata()?.len() == 0 {
                // The system refuses to map nothing.
                return Ok(FileBytes::new(Vec::new()));
            }
            // SAFETY: the caller of `Disk::map` guarantees that the file is complete and is neither
            // changed nor truncated while it is mapped; only this process writes in the directory,
            // by the directory lock.
            Ok(FileBytes::new(unsafe { memmap2::Mmap::map(&file) }?))
        };
        open().map_err(|e| Error::io("map", path, &e))
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        fs::read(path).map_err(|e| Error::io("read", path, &e))
    }

    fn truncate(&self, path: &Path, len: u64) -> Result<()> {
        let cut = || -> io::Result<()> {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(len)?;
            file.sync_all()
        };
        cut().map_err(|e| Error::io("truncate", path, &e))
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let read = || -> io::Result<Vec<Entry>> {
            let mut entries = Vec::new();
            for entry in fs::read_dir(dir)? {
                let entry = entry?;
                let meta = match entry.metadata() {
                    Ok(meta) => meta,
                    // Removed since the directory was read.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                    Err(e) => return Err(e),
                };
                entries.push(Entry {
                    name: entry.file_name().to_string_lossy().into_owned(),
                    is_dir: meta.is_dir(),
                    len: if meta.is_dir() { 0 } else { meta.len() },
                });
            }
            Ok(entries)
        };
        let mut entries = read().map_err(|e| Error::io("list", dir, &e))?;
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        fs::create_dir_all(path).map_err(|e| match unwritable(path, &e) {
            Some(error) => error,
            None => Error::io("create the directory", path, &e),
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to)
            .map_err(|e| Error::io(&format!("rename to {}", to.display()), from, &e))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to)
            .map_err(|e| Error::io(&format!("link as {}", to.display()), from, &e))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(|e| Error::io("remove", path, &e))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir_all(path).map_err(|e| Error::io("remove the directory", path, &e))
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        File::open(dir)
            .and_then(|file| file.sync_all())
            .map_err(|e| Error::io("sync the directory", dir, &e))
    }

    fn free_bytes(&self, path: &Path) -> Result<u64> {
        free_bytes(path).map_err(|e| Error::io("ask for the free space of", path, &e))
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        let path = dir.join(LOCK_FILE);
        let failed = |e: &io::Error| match unwritable(dir, e) {
            Some(error) => error,
            None => Error::io("take the lock file", &path, e),
        };
        // Not truncated on opening: it may hold the id of the process that has it.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| failed(&e))?;
        if let Err(e) = flock(&file, libc::LOCK_EX) {
            if e.kind() != io::ErrorKind::WouldBlock {
                return Err(failed(&e));
            }
            return Err(taken(&mut file, dir));
        }
        let mut own_id = || -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        match own_id() {
            // The lock holds without the id, and reading must be possible on a full disk.
            Err(e) if e.raw_os_error() != Some(libc::ENOSPC) => Err(failed(&e)),
            _ => Ok(Box::new(OsLock { _file: Some(file) })),
        }
    }

    fn lock_to_read(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        let path = dir.join(LOCK_FILE);
        let failed = |e: &io::Error| match e.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => {
                let text = "this user may not look whether another process has the data directory";
                Error::new(ErrorCode::ReadOnly, format!("{text} ({e})")).at(&path, None)
            }
            _ => Error::io("take the lock file", &path, e),
        };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Ok(Box::new(OsLock { _file: None }));
            }
            Err(e) => return Err(failed(&e)),
        };
        match flock(&file, libc::LOCK_SH) {
            Ok(()) => Ok(Box::new(OsLock { _file: Some(file) })),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(taken(&mut file, dir)),
            Err(e) => Err(failed(&e)),
        }
    }
}

/// The error for a directory that somebody else has.
fn taken(file: &mut File, dir: &Path) -> Error {
    let mut text = String::new();
    let holder = match file.read_to_string(&mut text) {
        Ok(_) => text.trim().parse::<u32>().ok(),
        Err(_) => None,
    };
    let who = match holder {
        Some(pid) if pid == std::process::id() => format!("this process (pid {pid}) already has"),
        Some(pid) => format!("another process (pid {pid}) has"),
        None => "another process has".to_owned(),
    };
    Error::new(ErrorCode::ReadOnly, format!("{who} the data directory open")).at(dir, None)
}

/// The sentence for a directory that this process may not write in; `None` for other causes.
fn unwritable(dir: &Path, cause: &io::Error) -> Option<Error> {
    let why = match cause.raw_os_error()? {
        libc::EROFS => "its file system is read-only",
        libc::EACCES | libc::EPERM => "this user has no permission to write there",
        _ => return None,
    };
    let message = format!("the data directory cannot be written: {why} ({cause})");
    Some(Error::new(ErrorCode::ReadOnly, message).at(dir, None))
}

fn flock(file: &File, how: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed.
    match unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[allow(
    clippy::useless_conversion,
    clippy::unnecessary_cast,
    reason = "the fields of statvfs have other widths on other systems"
)]
fn free_bytes(path: &Path) -> io::Result<u64> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends in a zero byte and `stat` has room for the answer.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so it has filled the structure.
    let stat = unsafe { stat.assume_init() };
    Ok((stat.f_bavail as u64).saturating_mul(stat.f_frsize as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_and_are_listed_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let (disk, dir) = (OsDisk, dir.path());
        for name in ["b", "a"] {
            let mut file = disk.create(&dir.join(name)).unwrap();
            file.write(b"hello ").unwrap();
            file.write(name.as_bytes()).unwrap();
            file.sync().unwrap();
            assert_eq!(file.len(), 7);
        }
        disk.create_dir(&dir.join("x/y")).unwrap();
        disk.rename(&dir.join("b"), &dir.join("x/y/c")).unwrap();
        disk.sync_dir(dir).unwrap();
        let names: Vec<_> = disk.list(dir).unwrap().into_iter().map(|e| (e.name, e.len)).collect();
        assert_eq!(names, [("a".to_owned(), 7), ("x".to_owned(), 0)]);
        assert_eq!(&*disk.map(&dir.join("x/y/c")).unwrap(), b"hello b");
        disk.truncate(&dir.join("a"), 5).unwrap();
        assert_eq!(disk.read(&dir.join("a")).unwrap(), b"hello");
        disk.remove_file(&dir.join("a")).unwrap();
        disk.remove_dir(&dir.join("x")).unwrap();
        assert_eq!(disk.list(dir).unwrap(), []);
        assert!(disk.free_bytes(dir).unwrap() > 0);
    }

    #[test]
    fn an_empty_file_maps_to_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(OsDisk.create(&dir.path().join("a")).unwrap());
        assert!(OsDisk.map(&dir.path().join("a")).unwrap().is_empty());
    }

    #[test]
    fn a_file_is_created_once_and_absence_has_its_code() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        drop(OsDisk.create(&path).unwrap());
        assert_eq!(OsDisk.create(&path).err().unwrap().code(), ErrorCode::Io);
        let absent = dir.path().join("b");
        assert_eq!(OsDisk.read(&absent).unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(OsDisk.list(&absent).unwrap_err().code(), ErrorCode::NotFound);
        assert_eq!(OsDisk.map(&absent).unwrap_err().code(), ErrorCode::NotFound);
    }

    #[test]
    fn a_directory_is_taken_once_and_free_after_the_drop() {
        let dir = tempfile::tempdir().unwrap();
        let lock = OsDisk.lock(dir.path()).unwrap();
        let error = OsDisk.lock(dir.path()).err().unwrap();
        assert_eq!(error.code(), ErrorCode::ReadOnly);
        assert!(error.message().contains(&format!("(pid {})", std::process::id())), "{error}");
        drop(lock);
        OsDisk.lock(dir.path()).unwrap();
    }

    #[test]
    fn a_directory_is_read_by_many_while_nobody_has_it_and_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        drop(OsDisk.lock_to_read(dir.path()).unwrap());
        assert_eq!(OsDisk.list(dir.path()).unwrap(), []);
        drop(OsDisk.lock(dir.path()).unwrap());
        let readers = [(); 2].map(|()| OsDisk.lock_to_read(dir.path()).unwrap());
        assert_eq!(OsDisk.lock(dir.path()).err().unwrap().code(), ErrorCode::ReadOnly);
        drop(readers);
        let lock = OsDisk.lock(dir.path()).unwrap();
        let error = OsDisk.lock_to_read(dir.path()).err().unwrap();
        assert_eq!(error.code(), ErrorCode::ReadOnly);
        assert!(error.message().contains("has the data directory open"), "{error}");
        drop(lock);
    }

    #[test]
    fn the_error_names_the_process_that_has_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = OsDisk.lock(dir.path()).unwrap();
        fs::write(dir.path().join(LOCK_FILE), "123456789\n").unwrap();
        let error = OsDisk.lock(dir.path()).err().unwrap();
        assert!(error.message().contains("another process (pid 123456789)"), "{error}");
    }

    #[test]
    fn a_read_only_directory_is_a_clear_sentence() {
        let dir = Path::new("/data");
        for (errno, want) in [(libc::EROFS, "read-only"), (libc::EACCES, "no permission")] {
            let error = unwritable(dir, &io::Error::from_raw_os_error(errno)).unwrap();
            assert_eq!(error.code(), ErrorCode::ReadOnly);
            assert!(error.message().contains(want), "{error}");
        }
        assert!(unwritable(dir, &io::Error::from_raw_os_error(libc::EIO)).is_none());
    }
}
