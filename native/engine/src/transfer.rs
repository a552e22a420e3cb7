//! Moving data in and out of an open engine: Prometheus' blocks in both directions, JSON lines
//! out.
//!
//! An import goes the way of every write (judged, logged, applied, later flushed), so that
//! retention, limits and "last write wins" mean what they mean elsewhere; it flushes as it goes.

mod export;

use std::collections::VecDeque;
use std::path::Path;

use serde::Serialize;

use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::{Error, ErrorCode, Result};
use crate::foreign::prometheus::head::Logs;
use crate::foreign::prometheus::{self, LeftOut, Samples, block::Visited};
use crate::head::append::{Rejection, WriteOutcome};
use crate::refs::TenantId;
use crate::sample::{Sample, Times};
use crate::sync::channel::{Receiver, bounded};
use crate::wire::WireBatch;
use crate::wire::histogram::WireHistogram;

pub use self::export::{ExportReport, ExportRequest, JsonExport, export_prometheus};

/// Samples of a write of an import: large enough that a fsync is cheap, small enough for the queue.
const BATCH_SAMPLES: usize = 1 << 16;
/// Histograms of a write of an import: they are larger.
const BATCH_HISTOGRAMS: usize = 1 << 12;
/// Writes of an import that may wait for the log.
const BATCHES_WAITING: usize = 4;
/// An import flushes when the head is this large, for it would grow as long as it runs.
const HEAD_BYTES: u64 = 256 << 20;
/// Sentences that are kept of one reason of refusal.
const EXAMPLES_MAX: usize = 5;

/// What an import did. Every sample of the source is in one of the counts.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImportReport {
    /// Blocks of the source.
    pub blocks: u64,
    /// Samples, histograms included, that were read and offered to the store.
    pub read: u64,
    /// Those that were stored.
    pub stored: u64,
    /// Those that retention does not keep.
    pub too_old: u64,
    /// Those that were refused for another reason.
    pub refused: u64,
    /// Why, with a few examples.
    pub refusals: Vec<String>,
    /// Stored samples that replaced another value, as far as seen.
    pub replaced: u64,
    /// Stored samples that are native histograms.
    pub histograms: u64,
    /// Samples that a tombstone covers.
    pub deleted: u64,
    /// Samples of the log whose series it does not name any more.
    pub unnamed: u64,
    /// Exemplars that were left out.
    pub exemplars: u64,
    /// Metadata entries that were left out.
    pub metadata: u64,
}

impl ImportReport {
    fn add_source(&mut self, visited: &Visited) {
        self.read += visited.samples;
        let LeftOut { deleted, unnamed, exemplars, metadata } = visited.left_out;
        self.deleted += deleted;
        self.unnamed += unnamed;
        self.exemplars += exemplars;
        self.metadata += metadata;
    }

    fn add_outcome(&mut self, outcome: &WriteOutcome) {
        self.stored += outcome.samples + outcome.histograms;
        self.histograms += outcome.histograms;
        self.replaced += outcome.replaced;
        for Rejection { code, count, examples } in &outcome.rejections {
            if *code == ErrorCode::TooOld {
                self.too_old += count;
            } else {
                self.refused += count;
                let room = EXAMPLES_MAX.saturating_sub(self.refusals.len());
                self.refusals.extend(examples.iter().take(room).cloned());
            }
        }
    }
}

/// Imports the data directory of a Prometheus: its blocks, oldest first, then what is in its log
/// alone. A Prometheus that is running may change it meanwhile; a snapshot does not change.
///
/// # Errors
/// `not_found`, `corruption` of the source; whatever makes a write fail as a whole. What was stored
/// before stays, and importing again changes nothing about it.
pub fn import_prometheus(
    engine: &Engine,
    disk: &dyn Disk,
    dir: &Path,
    tenant: TenantId,
) -> Result<ImportReport> {
    let blocks = prometheus::blocks(disk, dir)?;
    let logs = Logs::open(disk, dir, &blocks)?;
    // Known from the beginning, so that what is old for the whole is old for its first sample: it
    // is refused, or goes into blocks as wide as its age has them.
    if let Some(newest) = prometheus::block::newest_sample(&blocks)?.max(logs.newest()) {
        engine.expect_time(newest);
    }
    let mut importer = Importer::new(engine, tenant);
    for block in &blocks {
        let visited = block.visit(&mut |labels, samples| importer.add(labels, samples))?;
        importer.report.add_source(&visited);
        importer.report.blocks += 1;
    }
    let visited = logs.visit(disk, &mut |labels, samples| importer.add(labels, samples))?;
    importer.report.add_source(&visited);
    importer.finish()
}

/// Gathers samples into writes.
struct Importer<'a> {
    engine: &'a Engine,
    tenant: TenantId,
    batch: WireBatch<'static>,
    waiting: VecDeque<Receiver<Result<WriteOutcome>>>,
    report: ImportReport,
}

impl<'a> Importer<'a> {
    fn new(engine: &'a Engine, tenant: TenantId) -> Self {
        let (batch, waiting) = (WireBatch::default(), VecDeque::new());
        Self { engine, tenant, batch, waiting, report: ImportReport::default() }
    }

    fn add(&mut self, labels: &[u8], samples: &mut Samples) -> Result<()> {
        let Samples { timestamps, values, histograms } = samples;
        let pieces = timestamps.chunks(BATCH_SAMPLES).zip(values.chunks(BATCH_SAMPLES));
        for (timestamps, values) in pieces {
            for (at, v) in timestamps.iter().zip(values) {
                self.batch.push_sample(Sample { t: at.t, v: *v }, at.start);
            }
            self.end_series(labels)?;
        }
        while !histograms.is_empty() {
            let rest = histograms.split_off(histograms.len().min(BATCH_HISTOGRAMS));
            let piece = std::mem::replace(histograms, rest).into_iter();
            let sample =
                |(at, value): (Times, _)| WireHistogram { t: at.t, start_t: at.start, value };
            self.batch.histograms.extend(piece.map(sample));
            self.end_series(labels)?;
        }
        Ok(())
    }

    fn end_series(&mut self, labels: &[u8]) -> Result<()> {
        self.batch.end_series(labels.to_vec().into())?;
        let full = self.batch.samples.len() >= BATCH_SAMPLES
            || self.batch.histograms.len() >= BATCH_HISTOGRAMS;
        if full { self.submit() } else { Ok(()) }
    }

    fn submit(&mut self) -> Result<()> {
        if self.batch.series.is_empty() {
            return Ok(());
        }
        while self.waiting.len() >= BATCHES_WAITING {
            self.settle_one()?;
        }
        let (send, received) = bounded(1);
        let answer = Box::new(move |result| {
            let _ = send.send(result);
        });
        self.engine.write_batch(&self.batch, self.tenant, answer);
        self.waiting.push_back(received);
        self.batch.series.clear();
        self.batch.samples.clear();
        self.batch.starts.clear();
        self.batch.histograms.clear();
        if self.engine.head_bytes() >= HEAD_BYTES {
            self.settle_all()?;
            flush(self.engine)?;
        }
        Ok(())
    }

    fn settle_one(&mut self) -> Result<()> {
        let Some(oldest) = self.waiting.pop_front() else { return Ok(()) };
        let closed = || Error::new(ErrorCode::Closed, "the engine is closing");
        let outcome = oldest.recv().map_err(|_| closed())??;
        self.report.add_outcome(&outcome);
        Ok(())
    }

    fn settle_all(&mut self) -> Result<()> {
        while !self.waiting.is_empty() {
            self.settle_one()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<ImportReport> {
        self.submit()?;
        self.settle_all()?;
        flush(self.engine)?;
        Ok(self.report)
    }
}

/// Makes blocks of what the head holds, and waits for it.
fn flush(engine: &Engine) -> Result<()> {
    let (send, done) = bounded(1);
    engine.flush(Box::new(move |result| {
        let _ = send.send(result);
    }));
    done.recv().unwrap_or_else(|_| Err(Error::new(ErrorCode::Closed, "the engine is closing")))
}
