//! A directory that is only read: what is written below it stays in memory and is gone with the
//! disk; what lies elsewhere is written as always.
//!
//! The file system may be read-only, or the directory be a snapshot that nobody is to change; an
//! engine opens it all the same, and replays and repairs what it needs to. Names that were changed
//! are in a map; every other name is looked up on the disk below, unless a directory above it was
//! removed or made anew. Paths count by their text.
//!
//! Lock: one for all names, held for a look or a change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{DirLock, Disk, Entry, FileBytes, WriteFile};
use crate::error::{Error, ErrorCode, Result};
use crate::sync::{Arc, Mutex};

/// What is written to memory is not bounded by a file system.
const FREE_BYTES: u64 = 1 << 60;

/// See the page above.
pub struct OverlayDisk {
    below: Arc<dyn Disk>,
    root: PathBuf,
    changed: Mutex<BTreeMap<PathBuf, Node>>,
}

/// What became of a name.
#[derive(Clone)]
enum Node {
    /// It is not there, whatever is below.
    Gone,
    /// A directory of which nothing is below.
    Dir,
    File(Content),
}

#[derive(Clone)]
enum Content {
    /// Written here.
    Memory(Arc<Mutex<Vec<u8>>>),
    /// A file of the disk below, under its name there.
    Below(PathBuf),
}

/// Where a name is found.
enum Found {
    Dir,
    File(Content),
}

/// A file in memory that is being written.
struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl WriteFile for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.lock().extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(())
    }

    fn len(&self) -> u64 {
        self.0.lock().len() as u64
    }
}

impl OverlayDisk {
    /// Keeps what is written to `root` and below it in memory.
    pub fn new(below: Arc<dyn Disk>, root: &Path) -> Self {
        Self { below, root: root.to_path_buf(), changed: Mutex::default() }
    }

    fn is_inside(&self, path: &Path) -> bool {
        path.starts_with(&self.root)
    }

    /// Whether the disk below has `path`, and nothing above it was removed or made anew.
    fn is_below(&self, changed: &BTreeMap<PathBuf, Node>, path: &Path) -> bool {
        let mut above = path.ancestors().skip(1).take_while(|dir| self.is_inside(dir));
        let covered = above.any(|dir| matches!(changed.get(dir), Some(Node::Gone | Node::Dir)));
        !covered && self.below.exists(path)
    }

    fn find(&self, changed: &BTreeMap<PathBuf, Node>, path: &Path) -> Result<Found> {
        match changed.get(path) {
            Some(Node::File(content)) => Ok(Found::File(content.clone())),
            Some(Node::Dir) => Ok(Found::Dir),
            None if self.is_below(changed, path) => match self.below.list(path) {
                Ok(_) => Ok(Found::Dir),
                Err(_) => Ok(Found::File(Content::Below(path.to_path_buf()))),
            },
            None | Some(Node::Gone) => Err(not_found(path)),
        }
    }

    fn content(&self, path: &Path) -> Result<Content> {
        match self.find(&self.changed.lock(), path)? {
            Found::File(content) => Ok(content),
            Found::Dir => Err(Error::new(ErrorCode::Io, "this is a directory").at(path, None)),
        }
    }

    fn read_content(&self, content: &Content) -> Result<Vec<u8>> {
        match content {
            Content::Memory(bytes) => Ok(bytes.lock().clone()),
            Content::Below(path) => self.below.read(path),
        }
    }

    /// What is in a directory, by name.
    fn entries(
        &self,
        changed: &BTreeMap<PathBuf, Node>,
        dir: &Path,
    ) -> Result<BTreeMap<String, Entry>> {
        let mut entries = BTreeMap::new();
        let opaque = matches!(changed.get(dir), Some(Node::Dir));
        if !opaque && self.is_below(changed, dir) {
            entries.extend(self.below.list(dir)?.into_iter().map(|e| (e.name.clone(), e)));
        }
        for (path, node) in under(changed, dir) {
            let Some(name) = path.file_name().filter(|_| path.parent() == Some(dir)) else {
                continue;
            };
            let name = name.to_string_lossy().into_owned();
            let (is_dir, len) = match node {
                Node::Gone => {
                    entries.remove(&name);
                    continue;
                }
                Node::Dir => (true, 0),
                Node::File(Content::Memory(bytes)) => (false, bytes.lock().len() as u64),
                Node::File(Content::Below(path)) => (false, self.below.map(path)?.len() as u64),
            };
            entries.insert(name.clone(), Entry { name, is_dir, len });
        }
        Ok(entries)
    }

    /// Takes a name and all below it away.
    fn take_away(&self, changed: &mut BTreeMap<PathBuf, Node>, path: &Path) {
        let paths: Vec<PathBuf> = under(changed, path).map(|(path, _)| path.clone()).collect();
        paths.iter().for_each(|path| drop(changed.remove(path)));
        if self.is_below(changed, path) {
            changed.insert(path.to_path_buf(), Node::Gone);
        }
    }

    /// Gives what is at `from`, and all below it, a name at `to`.
    fn copy_names(
        &self,
        changed: &mut BTreeMap<PathBuf, Node>,
        from: &Path,
        to: &Path,
    ) -> Result<()> {
        match self.find(changed, from)? {
            Found::File(content) => drop(changed.insert(to.to_path_buf(), Node::File(content))),
            Found::Dir => {
                changed.insert(to.to_path_buf(), Node::Dir);
                for name in self.entries(changed, from)?.into_keys() {
                    self.copy_names(changed, &from.join(&name), &to.join(&name))?;
                }
            }
        }
        Ok(())
    }

    /// Whether both or none of two names are inside.
    fn both_inside(&self, from: &Path, to: &Path) -> Result<bool> {
        if self.is_inside(from) == self.is_inside(to) {
            return Ok(self.is_inside(from));
        }
        let text = format!("{} is not where only memory is written", to.display());
        Err(Error::new(ErrorCode::ReadOnly, text).at(from, None))
    }
}

/// The changed names at and below `path`.
fn under<'a>(
    changed: &'a BTreeMap<PathBuf, Node>,
    path: &'a Path,
) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
    changed.range(path.to_path_buf()..).take_while(move |(name, _)| name.starts_with(path))
}

fn not_found(path: &Path) -> Error {
    Error::new(ErrorCode::NotFound, "there is nothing of this name").at(path, None)
}

fn exists_already(path: &Path) -> Error {
    Error::new(ErrorCode::Io, "the name is taken").at(path, None)
}

impl Disk for OverlayDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn WriteFile>> {
        if !self.is_inside(path) {
            return self.below.create(path);
        }
        let mut changed = self.changed.lock();
        if self.find(&changed, path).is_ok() {
            return Err(exists_already(path));
        }
        let bytes = Arc::new(Mutex::new(Vec::new()));
        changed.insert(path.to_path_buf(), Node::File(Content::Memory(bytes.clone())));
        Ok(Box::new(MemoryFile(bytes)))
    }

    fn map(&self, path: &Path) -> Result<FileBytes> {
        if !self.is_inside(path) {
            return self.below.map(path);
        }
        match self.content(path)? {
            Content::Memory(bytes) => Ok(FileBytes::new(bytes.lock().clone())),
            Content::Below(path) => self.below.map(&path),
        }
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        if !self.is_inside(path) {
            return self.below.read(path);
        }
        self.read_content(&self.content(path)?)
    }

    fn truncate(&self, path: &Path, len: u64) -> Result<()> {
        if !self.is_inside(path) {
            return self.below.truncate(path, len);
        }
        let mut bytes = self.read_content(&self.content(path)?)?;
        bytes.resize(usize::try_from(len).unwrap_or(usize::MAX), 0);
        let content = Content::Memory(Arc::new(Mutex::new(bytes)));
        self.changed.lock().insert(path.to_path_buf(), Node::File(content));
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        if !self.is_inside(dir) {
            return self.below.list(dir);
        }
        let changed = self.changed.lock();
        if !matches!(self.find(&changed, dir)?, Found::Dir) {
            return Err(Error::new(ErrorCode::Io, "this is no directory").at(dir, None));
        }
        Ok(self.entries(&changed, dir)?.into_values().collect())
    }

    fn exists(&self, path: &Path) -> bool {
        if !self.is_inside(path) {
            return self.below.exists(path);
        }
        self.find(&self.changed.lock(), path).is_ok()
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        if !self.is_inside(path) {
            return self.below.create_dir(path);
        }
        let mut changed = self.changed.lock();
        for dir in path.ancestors().take_while(|dir| self.is_inside(dir)) {
            match self.find(&changed, dir) {
                Ok(Found::Dir) => break,
                Ok(Found::File(_)) => return Err(exists_already(dir)),
                Err(_) => drop(changed.insert(dir.to_path_buf(), Node::Dir)),
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        if !self.both_inside(from, to)? {
            return self.below.rename(from, to);
        }
        let mut changed = self.changed.lock();
        self.find(&changed, from)?;
        self.take_away(&mut changed, to);
        self.copy_names(&mut changed, from, to)?;
        self.take_away(&mut changed, from);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        if !self.both_inside(from, to)? {
            return self.below.hard_link(from, to);
        }
        if self.exists(to) {
            return Err(exists_already(to));
        }
        let content = self.content(from)?;
        self.changed.lock().insert(to.to_path_buf(), Node::File(content));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        if !self.is_inside(path) {
            return self.below.remove_file(path);
        }
        let mut changed = self.changed.lock();
        self.find(&changed, path)?;
        self.take_away(&mut changed, path);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        if !self.is_inside(path) {
            return self.below.remove_dir(path);
        }
        self.remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        if !self.is_inside(dir) {
            return self.below.sync_dir(dir);
        }
        self.find(&self.changed.lock(), dir).map(drop)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64> {
        if self.is_inside(path) { Ok(FREE_BYTES) } else { self.below.free_bytes(path) }
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        if self.is_inside(dir) { self.lock_to_read(dir) } else { self.below.lock(dir) }
    }

    fn lock_to_read(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        self.below.lock_to_read(dir)
    }
}

#[cfg(test)]
mod tests;
