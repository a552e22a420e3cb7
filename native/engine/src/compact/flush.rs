//! Flush: a frozen head generation becomes blocks, one for each window it has samples in.
//!
//! Series are written in label order, one at a time, to the writers of all windows at once, so
//! memory follows the number of series and not of samples. All blocks of a flush are finished and
//! durable before the first is published; each says how many parts the flush has, and recovery
//! takes an incomplete flush for not done.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use ulid::Ulid;

use crate::block::meta::{Compaction, FlushPart, LogRange, MetaSeed};
use crate::block::writer::{BlockWriter, FinishedBlock};
use crate::block::{self, Block};
use crate::compact::plan::flush_window;
use crate::dictionary::Dictionary;
use crate::disk::Disk;
use crate::error::Result;
use crate::head::Head;
use crate::head::snapshot::HeadSource;
use crate::label_order::{LabelIds, sort_order};
use crate::labels::Labels;
use crate::refs::{Generation, Position, TenantId};
use crate::sample::{TimeRange, TimestampMs, Window};
use crate::source::{Columns, SourceSelection};
use crate::sync::Arc;

/// The log that a block's range counts positions of: the directory's own.
pub const LOG_SOURCE: &str = "wal";

/// What is to be flushed, and where to.
pub struct Flush {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory of all blocks.
    pub blocks_dir: PathBuf,
    /// The head.
    pub head: Arc<Head>,
    /// The generation.
    pub generation: Generation,
    /// Where its log begins: after this position.
    pub from: Position,
    /// Where its log ends, inclusive.
    pub to: Position,
    /// Width of a block of recent data.
    pub block_range_ms: i64,
    /// The newest sample of the store, from which the age of a sample is counted.
    pub newest: TimestampMs,
    /// Retention.
    pub retention_ms: i64,
    /// Milliseconds since the epoch, for the names of the blocks.
    pub now_ms: TimestampMs,
}

/// What a flush made.
#[derive(Default)]
pub struct Flushed {
    /// The published blocks, opened.
    pub blocks: Vec<Arc<Block>>,
    /// Samples written.
    pub samples: u64,
    /// Samples that a later write of the generation had replaced.
    pub replaced: u64,
}

/// The writers of one tenant, by window.
type Writers = BTreeMap<Window, BlockWriter>;

// An abandoned block that cannot be removed is a temporary directory: the next open sweeps it.
impl Flush {
    /// Writes and publishes. After an error nothing of it stays visible, as far as the disk lets
    /// itself be cleaned; whatever stays is recognised as incomplete.
    ///
    /// # Errors
    /// `disk_full`, `io`, and what the disk says.
    pub fn run(&self) -> Result<Flushed> {
        let mut flushed = Flushed::default();
        let mut writers: Vec<(TenantId, Window, BlockWriter)> = Vec::new();
        for tenant in self.head.tenants() {
            match self.write_tenant(tenant, &mut flushed) {
                Ok(of_tenant) => writers.extend(of_tenant.into_iter().map(|(w, b)| (tenant, w, b))),
                Err(error) => {
                    writers.into_iter().for_each(|(_, _, writer)| drop(writer.abandon()));
                    return Err(error);
                }
            }
        }
        let finished = self.finish(writers)?;
        flushed.blocks = self.publish(finished)?;
        Ok(flushed)
    }

    /// Streams the series of a tenant, in label order, into one writer for each window.
    fn write_tenant(&self, tenant: TenantId, flushed: &mut Flushed) -> Result<Writers> {
        let source = HeadSource::new(self.head.clone(), self.generation, self.generation);
        let mut writers = Writers::new();
        let mut selection = source.all(tenant)?;
        let mut dictionary = Dictionary::default();
        let (mut ids, mut offsets) = (Vec::new(), vec![0u32]);
        for i in 0..selection.len() {
            selection.labels(i, &mut dictionary, &mut ids)?;
            offsets.push(ids.len() as u32);
        }
        let mut columns = Columns::default();
        for i in sort_order(&dictionary, LabelIds { ids: &ids, offsets: &offsets }) {
            let span = offsets[i as usize] as usize..offsets[i as usize + 1] as usize;
            let pairs = ids[span].chunks_exact(2);
            let labels =
                Labels::from_pairs(pairs.map(|p| (dictionary.text(p[0]), dictionary.text(p[1]))))?;
            columns.clear();
            selection.read(&[i], TimeRange::ALL, &mut columns)?;
            flushed.samples += columns.timestamps.len() as u64;
            if let Err(error) = self.split(&labels, &columns, self.newest, &mut writers) {
                writers.into_values().for_each(|writer| drop(writer.abandon()));
                return Err(error);
            }
        }
        flushed.replaced += selection.replaced();
        Ok(writers)
    }

    /// Gives each window its part of one series.
    fn split(
        &self,
        labels: &Labels,
        columns: &Columns,
        newest: TimestampMs,
        writers: &mut Writers,
    ) -> Result<()> {
        let run = columns.run(0);
        let timestamps = run.timestamps;
        let mut start = 0;
        while let Some(first) = timestamps.get(start) {
            let window = flush_window(*first, newest, self.block_range_ms, self.retention_ms);
            let end = start + timestamps[start..].partition_point(|t| *t < window.end);
            let writer = match writers.entry(window) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.writer()?),
            };
            writer.add_run(labels, run.slice(start..end))?;
            start = end;
        }
        Ok(())
    }

    fn writer(&self) -> Result<BlockWriter> {
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.now_ms).unwrap_or(0));
        BlockWriter::create(self.disk.clone(), &self.blocks_dir, Ulid::from_datetime(now))
    }

    /// Makes every block durable under its temporary name.
    fn finish(&self, writers: Vec<(TenantId, Window, BlockWriter)>) -> Result<Vec<FinishedBlock>> {
        let parts = writers.len() as u32;
        let mut finished: Vec<FinishedBlock> = Vec::new();
        let mut failed = None;
        for (part, (tenant, window, writer)) in writers.into_iter().enumerate() {
            if failed.is_some() {
                drop(writer.abandon());
                continue;
            }
            let seed = MetaSeed {
                tenant,
                window,
                log: LogRange { source: LOG_SOURCE.to_owned(), from: self.from, to: self.to },
                flush: FlushPart { part: part as u32, parts },
                compaction: Compaction { level: 1, sources: Vec::new() },
            };
            match writer.finish(seed) {
                Ok(block) => finished.push(block),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(finished),
            Some(error) => {
                finished.into_iter().for_each(|block| drop(block.abandon()));
                Err(error)
            }
        }
    }

    fn publish(&self, finished: Vec<FinishedBlock>) -> Result<Vec<Arc<Block>>> {
        let mut blocks: Vec<Arc<Block>> = Vec::new();
        let mut failed = None;
        for block in finished {
            if failed.is_some() {
                drop(block.abandon());
                continue;
            }
            let opened = block.publish().and_then(|ulid| {
                Block::open(self.disk.clone(), &self.blocks_dir.join(ulid.to_string()))
            });
            match opened {
                Ok(block) => blocks.push(block),
                Err(error) => failed = Some(error),
            }
        }
        let Some(error) = failed else { return Ok(blocks) };
        for block in blocks {
            // What cannot be removed is an incomplete flush, which recovery removes.
            let _ = block::remove(&*self.disk, &self.blocks_dir, block.meta().ulid);
        }
        Err(error)
    }
}
