//! Several sources become one block: series in label order, the samples of each merged, the last
//! write winning.
//!
//! One pass. Each source is walked in its own label order, and the smallest labels of all come
//! next (a k-way merge), so memory holds one label set for each source and what the writer holds.
//! Samples are read in groups of whole series, because a source may have encoded neighbours
//! together; a group is bounded by the number of its samples.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use ulid::Ulid;

use crate::block::meta::{Compaction, FlushPart, LogRange, Meta, MetaSeed};
use crate::block::writer::{BlockWriter, FinishedBlock};
use crate::dictionary::Dictionary;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::merge::{RunSlice, merge};
use crate::refs::{Position, TenantId};
use crate::sample::{TimeRange, Window};
use crate::source::{Columns, Scope, SelectRequest, SeriesSource, SourceSelection};
use crate::sync::Arc;

/// Samples that a group decodes to, about: 4 MiB of columns, which stay in the cache. One series
/// may have more.
const GROUP_SAMPLES: u64 = 256 << 10;
/// Most series of a group.
const GROUP_SERIES: usize = 512;

/// What is to be rewritten, and where to.
pub struct Rewrite {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory of all blocks.
    pub blocks_dir: PathBuf,
    /// The name of the block that is made.
    pub ulid: Ulid,
    /// What the block says about itself: see [`merged_seed`].
    pub seed: MetaSeed,
    /// The newest tombstone of the view that `sources` are of: see [`Meta::tombstones_applied`].
    pub tombstones_applied: Position,
    /// Where the series come from, oldest write first. The selection of each must be in label
    /// order, as that of a block is.
    pub sources: Vec<Arc<dyn SeriesSource>>,
}

/// What became of the sources.
pub struct Rewritten {
    /// The block, durable and not yet visible; none when the sources held no sample.
    pub block: Option<FinishedBlock>,
    /// Samples that a later write had replaced.
    pub replaced: u64,
}

/// What a block merged of `sources`, oldest write first and at least one, says about itself.
///
/// # Errors
/// `internal` without a source.
pub fn merged_seed(sources: &[&Meta], window: Window) -> Result<MetaSeed> {
    let nothing = || Error::internal("a block merged of no blocks");
    let first = sources.first().ok_or_else(nothing)?;
    let from = sources.iter().map(|meta| meta.log.from).min().ok_or_else(nothing)?;
    let to = sources.iter().map(|meta| meta.log.to).max().ok_or_else(nothing)?;
    let level = sources.iter().map(|meta| meta.compaction.level).max().ok_or_else(nothing)?;
    Ok(MetaSeed {
        tenant: first.tenant,
        window,
        log: LogRange { source: first.log.source.clone(), from, to },
        flush: FlushPart { part: 0, parts: 1 },
        compaction: Compaction {
            level: level.saturating_add(1),
            sources: sources.iter().map(|meta| meta.ulid).collect(),
        },
    })
}

/// What a block that is written anew, with less in it, says about itself.
pub fn cleaned_seed(old: &Meta) -> MetaSeed {
    MetaSeed {
        tenant: old.tenant,
        window: old.window,
        log: old.log.clone(),
        flush: old.flush,
        compaction: Compaction { level: old.compaction.level, sources: vec![old.ulid] },
    }
}

impl Rewrite {
    /// Writes the block. `pace` is called before each group, which takes some ten milliseconds: it
    /// may wait, and its error ends the rewriting. After an error nothing is left, as far as the
    /// disk lets itself be cleaned; a later sweep removes the rest.
    ///
    /// # Errors
    /// Those of `pace`; `corruption` with the file of a source that is damaged; those of the disk.
    pub fn run(self, pace: &mut dyn FnMut() -> Result<()>) -> Result<Rewritten> {
        let mut merging = Merging::new(self.seed.tenant, self.sources)?;
        // The one place that chooses how merged blocks are encoded.
        let mut writer = BlockWriter::create(self.disk, &self.blocks_dir, self.ulid)?
            .cold(self.seed.window)
            .without_tombstones_to(self.tombstones_applied);
        let mut replaced = 0;
        // A writer that is dropped on the way out takes its files with it.
        loop {
            pace()?;
            if !merging.next_group()? {
                break;
            }
            replaced += merging.write_group(&mut writer)?;
        }
        if writer.counts().samples == 0 {
            writer.abandon()?;
            return Ok(Rewritten { block: None, replaced });
        }
        Ok(Rewritten { block: Some(writer.finish(self.seed)?), replaced })
    }
}

/// A walk over one source.
struct Cursor {
    selection: Box<dyn SourceSelection>,
    /// The series whose labels are read next.
    next: usize,
    /// The series of the current group, and their samples.
    wanted: Vec<u32>,
    columns: Columns,
}

/// A series that waits for its turn: its labels, its source, its number there.
type Waiting = Reverse<(Labels, usize, u32)>;

/// The sources, merged by labels.
struct Merging {
    cursors: Vec<Cursor>,
    /// The next series of each source. Of equal labels the oldest source comes first.
    waiting: BinaryHeap<Waiting>,
    dictionary: Dictionary,
    ids: Vec<u32>,
    /// The current group: label sets, and for each the sources that have it, oldest write first.
    group: Vec<(Labels, Vec<usize>)>,
}

impl Merging {
    fn new(tenant: TenantId, sources: Vec<Arc<dyn SeriesSource>>) -> Result<Self> {
        let scope = Scope { tenant, matchers: Vec::new() };
        let request = SelectRequest { scope, matchers: Vec::new(), range: TimeRange::ALL };
        let mut cursors = Vec::with_capacity(sources.len());
        for source in sources {
            let selection = source.select(&request)?;
            let (wanted, columns) = (Vec::new(), Columns::default());
            cursors.push(Cursor { selection, next: 0, wanted, columns });
        }
        let mut merging = Self {
            waiting: BinaryHeap::with_capacity(cursors.len()),
            cursors,
            dictionary: Dictionary::default(),
            ids: Vec::new(),
            group: Vec::new(),
        };
        for source in 0..merging.cursors.len() {
            merging.advance(source, None)?;
        }
        Ok(merging)
    }

    /// Lets the next series of a source wait for its turn.
    fn advance(&mut self, source: usize, previous: Option<&Labels>) -> Result<()> {
        let cursor = &mut self.cursors[source];
        if cursor.next == cursor.selection.len() {
            return Ok(());
        }
        let local = cursor.next;
        cursor.next += 1;
        self.ids.clear();
        cursor.selection.labels(local, &mut self.dictionary, &mut self.ids)?;
        let text = |id: &u32| self.dictionary.text(*id);
        let pairs = self.ids.chunks_exact(2).map(|pair| (text(&pair[0]), text(&pair[1])));
        let labels = Labels::from_pairs(pairs)?;
        if previous.is_some_and(|previous| labels <= *previous) {
            let message = format!("source {source} of a merge is not in label order: {labels}");
            return Err(Error::internal(message));
        }
        self.waiting.push(Reverse((labels, source, local as u32)));
        Ok(())
    }

    /// Takes the next series together and reads their samples; `false` when there is none left.
    fn next_group(&mut self) -> Result<bool> {
        self.group.clear();
        for cursor in &mut self.cursors {
            cursor.wanted.clear();
            cursor.columns.clear();
        }
        let mut samples = 0;
        while let Some(Reverse((labels, source, local))) = self.waiting.pop() {
            let cursor = &mut self.cursors[source];
            cursor.wanted.push(local);
            // Where a source does not say, a series is taken for a large one.
            let weight = cursor.selection.read_weight(local as usize);
            samples += weight.unwrap_or(GROUP_SAMPLES / 8);
            self.advance(source, Some(&labels))?;
            match self.group.last_mut() {
                Some((last, sources)) if *last == labels => sources.push(source),
                _ => self.group.push((labels, vec![source])),
            }
            let full = samples >= GROUP_SAMPLES || self.group.len() >= GROUP_SERIES;
            let current = self.group.last().map(|(labels, _)| labels);
            if full && self.waiting.peek().is_none_or(|Reverse((next, ..))| Some(next) != current) {
                break;
            }
        }
        for cursor in self.cursors.iter_mut().filter(|cursor| !cursor.wanted.is_empty()) {
            cursor.selection.read(&cursor.wanted, TimeRange::ALL, &mut cursor.columns)?;
        }
        Ok(!self.group.is_empty())
    }

    /// Merges the samples of each series of the group into the block; returns how many were
    /// replaced.
    fn write_group(&self, writer: &mut BlockWriter) -> Result<u64> {
        let mut replaced = 0;
        let mut taken = vec![0usize; self.cursors.len()];
        let mut runs: Vec<RunSlice<'_>> = Vec::new();
        let mut merged = Columns::default();
        for (labels, sources) in &self.group {
            runs.clear();
            for source in sources {
                runs.push(self.cursors[*source].columns.run(taken[*source]));
                taken[*source] += 1;
            }
            if let [only] = runs[..] {
                writer.add_run(labels, only)?;
                continue;
            }
            merged.clear();
            replaced += merge(&mut runs, |run| merged.extend(&run));
            merged.end_series();
            writer.add_run(labels, merged.run(0))?;
        }
        Ok(replaced)
    }
}

#[cfg(test)]
mod tests;
