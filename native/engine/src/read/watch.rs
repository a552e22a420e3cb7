//! Tells the store which block a reader found damaged.
//!
//! A view hands out its blocks as [`WatchedBlock`]s. Whatever thread a reader is on and whatever it
//! reads, an error that says that the block is not what was written passes through here on its way
//! to whoever asked, and the listener hears of it once a block. It is called where the damage was
//! found, so it must not wait; what it starts is for the queries that come later.

use std::collections::BTreeSet;

use crate::block::Block;
use crate::dictionary::Dictionary;
use crate::error::{Error, ErrorCode, Result};
use crate::sample::TimeRange;
use crate::source::{Columns, SelectRequest, SeriesSource, SourceSelection};
use crate::sync::Arc;

/// Called with a damaged block and what says so.
type Listener = dyn Fn(&Arc<Block>, &Error) + Send + Sync;

/// Who hears of damaged blocks; nobody, by default.
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Listener>>);

impl Watch {
    /// A watch that tells `listener`, once for each open block.
    pub fn new(listener: impl Fn(&Arc<Block>, &Error) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Passes on what reading `block` gave, and tells the listener when that says that the block is
    /// damaged: it is `corruption`, of this block, and of a format that this build knows.
    ///
    /// # Errors
    /// That of `read`.
    pub fn see<T>(&self, block: &Arc<Block>, read: Result<T>) -> Result<T> {
        if let (Err(error), Some(listener)) = (&read, &self.0)
            && is_damage_of(block, error)
            && block.mark_damaged()
        {
            listener(block, error);
        }
        read
    }
}

fn is_damage_of(block: &Block, error: &Error) -> bool {
    error.code() == ErrorCode::Corruption
        && !error.is_newer_format()
        && error.place().is_none_or(|place| place.file.starts_with(block.dir()))
}

/// A block as the readers of a view see it.
pub(super) struct WatchedBlock {
    /// The block, which `source` reads.
    pub(super) block: Arc<Block>,
    /// What is to be seen of it.
    pub(super) source: Arc<dyn SeriesSource>,
    /// Who hears of damage.
    pub(super) watch: Watch,
}

impl WatchedBlock {
    fn see<T>(&self, read: Result<T>) -> Result<T> {
        self.watch.see(&self.block, read)
    }
}

impl SeriesSource for WatchedBlock {
    fn time_range(&self) -> TimeRange {
        self.source.time_range()
    }

    fn select(self: Arc<Self>, request: &SelectRequest) -> Result<Box<dyn SourceSelection>> {
        let inner = self.see(self.source.clone().select(request))?;
        Ok(Box::new(WatchedSelection { inner, block: self }))
    }

    fn label_names(&self, request: &SelectRequest, out: &mut BTreeSet<String>) -> Result<()> {
        self.see(self.source.label_names(request, out))
    }

    fn label_values(
        &self,
        name: &str,
        request: &SelectRequest,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        self.see(self.source.label_values(name, request, out))
    }
}

/// Series of a watched block.
struct WatchedSelection {
    inner: Box<dyn SourceSelection>,
    block: Arc<WatchedBlock>,
}

impl SourceSelection for WatchedSelection {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(
        &mut self,
        index: usize,
        dictionary: &mut Dictionary,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        self.block.see(self.inner.labels(index, dictionary, out))
    }

    fn read_weight(&mut self, index: usize) -> Option<u64> {
        self.inner.read_weight(index)
    }

    fn read(&mut self, which: &[u32], range: TimeRange, out: &mut Columns) -> Result<()> {
        self.block.see(self.inner.read(which, range, out))
    }

    fn fork(&self) -> Option<Box<dyn SourceSelection>> {
        let inner = self.inner.fork()?;
        Some(Box::new(Self { inner, block: self.block.clone() }))
    }
}
