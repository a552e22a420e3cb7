//! A disk in memory for tests: it forgets what was not synced, and fails where it is told to.
//!
//! The model is as unkind as real disks are:
//! - Unsynced data is a set of 512-byte sectors; a crash keeps any subset of them, not a prefix. A
//!   lost sector inside the file reads as zeros.
//! - An unsynced change of a directory (a new name, a removed one, a rename) survives or not, each
//!   on its own; only a rename is never half of itself.
//! - After a failed sync the data stays readable and is never written again: a later successful
//!   sync does not make it durable (Linux marks such pages clean).
//! - A failed write leaves half of its bytes.
//!
//! Every call but [`Disk::exists`] is counted, so that a test can fail each of them in turn. One
//! lock guards all; a clone is another handle to the same disk.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use super::{DirLock, Disk, Entry, FileBytes, WriteFile};
use crate::error::{Error, ErrorCode, Result};
use crate::sync::{Arc, Mutex, MutexGuard};

/// What a disk writes at once.
const SECTOR: usize = 512;
const ROOT: NodeId = NodeId(0);

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This call fails with `EIO`.
    Io,
    /// This call fails with `ENOSPC`.
    DiskFull,
    /// This call and all after it fail, until [`FaultyDisk::crash`].
    PowerLoss,
}

/// The test disk.
#[derive(Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct NodeId(usize);

#[derive(Clone)]
enum Node {
    File(Content),
    Dir(Names),
}

/// A file's bytes: `data[..synced]` is durable except for `lost`.
#[derive(Clone, Default)]
struct Content {
    data: Vec<u8>,
    synced: usize,
    lost: Vec<Range<usize>>,
}

/// A directory's entries as programs see them, and as they are after a crash without [`Change`]s.
#[derive(Clone, Default)]
struct Names {
    now: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
}

/// An unsynced change of directories. Removed names carry the node, so that a change whose
/// predecessor was lost does not touch somebody else's entry.
#[derive(Clone)]
struct Change {
    removed: Option<(NodeId, String)>,
    added: Option<(NodeId, String)>,
    node: NodeId,
}

struct State {
    nodes: Vec<Node>,
    changes: Vec<Change>,
    calls: u64,
    plan: HashMap<u64, Fault>,
    dead: bool,
    capacity: Option<u64>,
    locked: HashSet<PathBuf>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            nodes: vec![Node::Dir(Names::default())],
            changes: Vec::new(),
            calls: 0,
            plan: HashMap::new(),
            dead: false,
            capacity: None,
            locked: HashSet::new(),
        }
    }
}

impl FaultyDisk {
    /// An empty disk with the directory `/`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Makes a later call fail: 0 is the next one. Several may be planned.
    pub fn fail_in(&self, calls: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.calls + calls;
        state.plan.insert(at, fault);
    }

    /// Forgets the planned failures; power that is lost stays lost.
    pub fn clear_faults(&self) {
        self.state().plan.clear();
    }

    /// Bounds the bytes in all files together; writes past it fail with `ENOSPC`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// The disk that a machine finds after a power loss now; `seed` chooses which unsynced sectors
    /// and directory entries are on it. This disk is unchanged.
    pub fn crash(&self, seed: u64) -> Self {
        let before = self.state();
        let mut random = SplitMix(seed);
        let mut state = State { nodes: before.nodes.clone(), ..State::default() };
        for change in &before.changes {
            if random.coin() {
                state.make_durable(change);
            }
        }
        for node in &mut state.nodes {
            match node {
                Node::Dir(names) => names.now = names.durable.clone(),
                Node::File(content) => content.crash(&mut random),
            }
        }
        Self(Arc::new(Mutex::new(state)))
    }

    /// The disk that the next process finds when this one is killed and the machine stays up:
    /// nothing is lost, nothing more is durable, and the faults are gone.
    pub fn kill(&self) -> Self {
        let before = self.state();
        let (nodes, changes) = (before.nodes.clone(), before.changes.clone());
        Self(Arc::new(Mutex::new(State { nodes, changes, ..State::default() })))
    }

    /// Inverts the bits `mask` of one byte, on the disk itself.
    ///
    /// # Errors
    /// `not_found`; `internal` past the file's end.
    pub fn corrupt(&self, path: &Path, offset: usize, mask: u8) -> Result<()> {
        let mut state = self.state();
        let id = state.find(path)?;
        match state.content(id, path)?.data.get_mut(offset) {
            Some(byte) => *byte ^= mask,
            None => return Err(Error::internal("no such byte").at(path, Some(offset as u64))),
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    /// Counts a call, and returns how it is to fail.
    fn step(&mut self) -> Option<Fault> {
        let call = self.calls;
        self.calls += 1;
        let fault = if self.dead { Some(Fault::PowerLoss) } else { self.plan.remove(&call) };
        self.dead |= fault == Some(Fault::PowerLoss);
        fault
    }

    /// Counts a call that either fails without effect or goes on.
    fn enter(&mut self, what: &str, path: &Path) -> Result<()> {
        self.step().map_or(Ok(()), |fault| Err(fault_error(what, path, fault)))
    }

    fn find(&self, path: &Path) -> Result<NodeId> {
        let mut at = ROOT;
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            let next = match &self.nodes[at.0] {
                Node::Dir(names) => names.now.get(&*name.to_string_lossy()).copied(),
                Node::File(_) => None,
            };
            at = next.ok_or_else(|| os_error("find", path, libc::ENOENT))?;
        }
        Ok(at)
    }

    /// The directory of `path` and the name in it.
    fn split(&self, path: &Path) -> Result<(NodeId, String)> {
        let name = path.file_name().ok_or_else(|| os_error("name", path, libc::EINVAL))?;
        let dir = self.find(path.parent().unwrap_or(Path::new("/")))?;
        Ok((dir, name.to_string_lossy().into_owned()))
    }

    fn content(&mut self, id: NodeId, path: &Path) -> Result<&mut Content> {
        match &mut self.nodes[id.0] {
            Node::File(content) => Ok(content),
            Node::Dir(_) => Err(os_error("open", path, libc::EISDIR)),
        }
    }

    fn names(&mut self, id: NodeId, path: &Path) -> Result<&mut Names> {
        match &mut self.nodes[id.0] {
            Node::Dir(names) => Ok(names),
            Node::File(_) => Err(os_error("list", path, libc::ENOTDIR)),
        }
    }

    fn add_node(&mut self, node: Node, dir: NodeId, name: String) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(node);
        self.change(Change { removed: None, added: Some((dir, name)), node: id });
        id
    }

    /// Does a change for all to see; a crash may still undo it.
    fn change(&mut self, change: Change) {
        self.apply(&change, |names| &mut names.now);
        self.changes.push(change);
    }

    fn make_durable(&mut self, change: &Change) {
        self.apply(change, |names| &mut names.durable);
    }

    fn apply(&mut self, change: &Change, of: fn(&mut Names) -> &mut BTreeMap<String, NodeId>) {
        if let Some((dir, name)) = &change.removed
            && let Node::Dir(names) = &mut self.nodes[dir.0]
            && of(names).get(name) == Some(&change.node)
        {
            of(names).remove(name);
        }
        if let Some((dir, name)) = &change.added
            && let Node::Dir(names) = &mut self.nodes[dir.0]
        {
            of(names).insert(name.clone(), change.node);
        }
    }

    fn used(&self) -> u64 {
        self.reachable(ROOT)
    }

    fn reachable(&self, id: NodeId) -> u64 {
        match &self.nodes[id.0] {
            Node::File(content) => content.data.len() as u64,
            Node::Dir(names) => names.now.values().map(|id| self.reachable(*id)).sum(),
        }
    }

    fn remove(&mut self, path: &Path) -> Result<()> {
        let node = self.find(path)?;
        let removed = Some(self.split(path)?);
        self.change(Change { removed, added: None, node });
        Ok(())
    }
}

impl Content {
    fn crash(&mut self, random: &mut SplitMix) {
        let tail = self.synced..self.data.len();
        let unsynced: Vec<_> = self.lost.drain(..).chain([tail]).collect();
        let mut end = unsynced
            .iter()
            .rev()
            .fold(self.data.len(), |end, range| if range.end == end { range.start } else { end });
        for range in unsynced {
            let mut at = range.start;
            while at < range.end {
                let next = ((at / SECTOR + 1) * SECTOR).min(range.end);
                if random.coin() {
                    end = end.max(next);
                } else {
                    self.data[at..next].fill(0);
                }
                at = next;
            }
        }
        // The length may have reached the disk without the data.
        if random.coin() {
            self.data.truncate(end);
        }
        self.synced = self.data.len();
    }

    fn sync(&mut self) {
        self.synced = self.data.len();
    }

    fn fail_sync(&mut self) {
        self.lost.push(self.synced..self.data.len());
        self.synced = self.data.len();
    }

    fn truncate(&mut self, len: usize) {
        self.data.resize(len, 0);
        for range in &mut self.lost {
            *range = range.start.min(len)..range.end.min(len);
        }
        self.lost.retain(|range| !range.is_empty());
        self.sync();
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    id: NodeId,
    path: PathBuf,
    len: u64,
}

impl WriteFile for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut state = self.disk.state();
        let mut fault = state.step();
        let mut take = if fault.is_some() { bytes.len() / 2 } else { bytes.len() };
        if let Some(capacity) = state.capacity {
            let room = capacity.saturating_sub(state.used()) as usize;
            if room < take {
                (take, fault) = (room, fault.or(Some(Fault::DiskFull)));
            }
        }
        state.content(self.id, &self.path)?.data.extend_from_slice(&bytes[..take]);
        if let Some(fault) = fault {
            return Err(fault_error("write", &self.path, fault));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        let mut state = self.disk.state();
        let fault = state.step();
        let content = state.content(self.id, &self.path)?;
        let Some(fault) = fault else {
            content.sync();
            return Ok(());
        };
        if fault != Fault::PowerLoss {
            content.fail_sync();
        }
        Err(fault_error("sync", &self.path, fault))
    }

    fn len(&self) -> u64 {
        self.len
    }
}

struct FaultyLock {
    disk: FaultyDisk,
    dir: PathBuf,
}

impl DirLock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        self.disk.state().locked.remove(&self.dir);
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &Path) -> Result<Box<dyn WriteFile>> {
        let mut state = self.state();
        state.enter("create", path)?;
        if state.find(path).is_ok() {
            return Err(os_error("create", path, libc::EEXIST));
        }
        let (dir, name) = state.split(path)?;
        let id = state.add_node(Node::File(Content::default()), dir, name);
        Ok(Box::new(FaultyFile { disk: self.clone(), id, path: path.to_path_buf(), len: 0 }))
    }

    fn map(&self, path: &Path) -> Result<FileBytes> {
        self.read(path).map(FileBytes::new)
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let mut state = self.state();
        state.enter("read", path)?;
        let id = state.find(path)?;
        Ok(state.content(id, path)?.data.clone())
    }

    fn truncate(&self, path: &Path, len: u64) -> Result<()> {
        let mut state = self.state();
        state.enter("truncate", path)?;
        let id = state.find(path)?;
        state.content(id, path)?.truncate(len as usize);
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<Entry>> {
        let mut state = self.state();
        state.enter("list", dir)?;
        let id = state.find(dir)?;
        let names = state.names(id, dir)?.now.clone();
        let entry = |(name, id): (String, NodeId)| match &state.nodes[id.0] {
            Node::File(content) => Entry { name, is_dir: false, len: content.data.len() as u64 },
            Node::Dir(_) => Entry { name, is_dir: true, len: 0 },
        };
        Ok(names.into_iter().map(entry).collect())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state();
        !state.dead && state.find(path).is_ok()
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.enter("create the directory", path)?;
        let mut so_far = PathBuf::from("/");
        for part in path.components() {
            let Component::Normal(name) = part else { continue };
            so_far.push(name);
            if state.find(&so_far).is_err() {
                let (dir, name) = state.split(&so_far)?;
                state.add_node(Node::Dir(Names::default()), dir, name);
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        state.enter("rename", from)?;
        let node = state.find(from)?;
        let (removed, added) = (Some(state.split(from)?), Some(state.split(to)?));
        state.change(Change { removed, added, node });
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        state.enter("link", from)?;
        let node = state.find(from)?;
        if state.find(to).is_ok() {
            return Err(os_error("link", to, libc::EEXIST));
        }
        let added = Some(state.split(to)?);
        state.change(Change { removed: None, added, node });
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.enter("remove", path)?;
        state.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.enter("remove the directory", path)?;
        state.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        let mut state = self.state();
        state.enter("sync the directory", dir)?;
        let id = state.find(dir)?;
        let touches = |side: &Option<(NodeId, String)>| side.as_ref().is_some_and(|s| s.0 == id);
        let (synced, rest): (Vec<_>, Vec<_>) =
            state.changes.drain(..).partition(|c| touches(&c.removed) || touches(&c.added));
        state.changes = rest;
        for change in &synced {
            state.make_durable(change);
        }
        Ok(())
    }

    fn free_bytes(&self, path: &Path) -> Result<u64> {
        let mut state = self.state();
        state.enter("ask for the free space of", path)?;
        Ok(state.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used())))
    }

    fn lock_to_read(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        self.lock(dir)
    }

    fn lock(&self, dir: &Path) -> Result<Box<dyn DirLock>> {
        let mut state = self.state();
        state.enter("lock", dir)?;
        if !state.locked.insert(dir.to_path_buf()) {
            let message = "this process already has the data directory open";
            return Err(Error::new(ErrorCode::ReadOnly, message).at(dir, None));
        }
        Ok(Box::new(FaultyLock { disk: self.clone(), dir: dir.to_path_buf() }))
    }
}

fn os_error(what: &str, path: &Path, errno: i32) -> Error {
    Error::io(what, path, &io::Error::from_raw_os_error(errno))
}

fn fault_error(what: &str, path: &Path, fault: Fault) -> Error {
    match fault {
        Fault::Io => os_error(what, path, libc::EIO),
        Fault::DiskFull => os_error(what, path, libc::ENOSPC),
        Fault::PowerLoss => {
            Error::io(what, path, &io::Error::other("the test disk has lost its power"))
        }
    }
}

/// The generator of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA
/// 2014: one word of state, so a seed is enough to repeat a crash.
struct SplitMix(u64);

impl SplitMix {
    fn coin(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) & 1 == 1
    }
}
