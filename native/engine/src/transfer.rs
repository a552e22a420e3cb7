//! Moving data in and out of an open engine: Prometheus' blocks in both directions, JSON lines out.
//!
//! An import goes the way of every write (judged, logged, applied, later flushed), so that
//! retention, limits and "last write wins" mean what they mean elsewhere; it flushes as it goes.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crossbeam_channel::{Receiver, bounded};
use serde::Serialize;

use crate::cancel::Cancel;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::{Error, ErrorCode, Result};
use crate::foreign::prometheus::block_writer::BlockWriter;
use crate::foreign::prometheus::head::Logs;
use crate::foreign::prometheus::{self, LeftOut, Samples, block::Visited};
use crate::head::append::{Rejection, WriteOutcome};
use crate::index::matcher::Matcher;
use crate::labels::Labels;
use crate::read::json_lines;
use crate::read::selection::{Filled, Selection, Target};
use crate::read::session::Session;
use crate::recover::create_durably;
use crate::refs::TenantId;
use crate::sample::{Sample, TimeRange, TimestampMs, Window};
use crate::source::Scope;
use crate::sync::Arc;
use crate::wire::WireBatch;
use crate::wire::histogram::WireHistogram;

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
/// Width of the blocks that an export writes: what Prometheus compacts three times to.
const EXPORT_WINDOW_MS: i64 = 54 * 3_600_000;
/// Text of an export that is handed on at once.
const PIECE_BYTES: usize = 256 << 10;
/// Samples that a read of an export has room for at first.
const READ_SAMPLES: usize = 64 << 10;

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
            let samples = timestamps.iter().zip(values).map(|(t, v)| Sample { t: *t, v: *v });
            self.batch.samples.extend(samples);
            self.end_series(labels)?;
        }
        while !histograms.is_empty() {
            let rest = histograms.split_off(histograms.len().min(BATCH_HISTOGRAMS));
            let piece = std::mem::replace(histograms, rest).into_iter();
            let sample = |(t, value)| WireHistogram { t, start_t: 0, value };
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

/// What is to be exported.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// Series that satisfy one of these; all when there is none.
    pub selectors: Vec<Vec<Matcher>>,
    /// Their samples in here.
    pub range: TimeRange,
}

/// Columns that a selection is read into.
struct Columns {
    timestamps: Vec<f64>,
    values: Vec<f64>,
    /// Samples that were histograms.
    histograms: u64,
}

impl Columns {
    fn new() -> Self {
        let column = || vec![0.0; READ_SAMPLES];
        Self { timestamps: column(), values: column(), histograms: 0 }
    }

    /// Takes the histograms out of the first `count` samples, counts them, and returns how many
    /// samples are left.
    fn keep_floats(&mut self, selection: &Selection, count: usize) -> usize {
        let histograms = selection.histograms();
        self.histograms += histograms.len() as u64;
        let mut next = histograms.iter().map(|(place, _)| *place as usize).peekable();
        let mut kept = 0;
        for place in 0..count {
            if next.next_if_eq(&place).is_some() {
                continue;
            }
            self.timestamps[kept] = self.timestamps[place];
            self.values[kept] = self.values[place];
            kept += 1;
        }
        kept
    }

    /// Reads the floats of series `index`; returns how many they are.
    fn read(&mut self, selection: &mut Selection, index: usize) -> Result<usize> {
        loop {
            let mut offsets = [0; 2];
            let (timestamps, values) = (&mut self.timestamps[..], &mut self.values[..]);
            let mut target = Target { timestamps, values, offsets: &mut offsets };
            match selection.read(index, &mut target)? {
                Filled::Series(_) => return Ok(self.keep_floats(selection, offsets[1] as usize)),
                Filled::Needs(samples) => {
                    self.timestamps.resize(samples, 0.0);
                    self.values.resize(samples, 0.0);
                }
            }
        }
    }
}

/// An export as JSON lines, piece by piece: `read/json_lines.rs`.
pub struct JsonExport {
    session: Session,
    selection: Selection,
    /// The next series.
    series: usize,
    columns: Columns,
}

impl JsonExport {
    /// An export of what `session` sees.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn new(mut session: Session, request: &ExportRequest) -> Result<Self> {
        let selection = session.select_any(&request.selectors, request.range)?;
        Ok(Self { session, selection, series: 0, columns: Columns::new() })
    }

    /// Appends the next lines, some 256 KiB of them; nothing at the end.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn next_piece(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while out.len() < PIECE_BYTES && self.series < self.selection.len() {
            let count = self.columns.read(&mut self.selection, self.series)?;
            let Columns { timestamps, values, .. } = &self.columns;
            let (timestamps, values) = (&timestamps[..count], &values[..count]);
            let labels = self.selection.labels(self.series);
            json_lines::series(out, &self.session.dictionary, labels, timestamps, values);
            self.series += 1;
        }
        Ok(())
    }
}

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ExportReport {
    /// Blocks.
    pub blocks: u64,
    /// Series of all blocks; one that is in two counts twice.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Native histogram samples that were left out.
    pub histograms: u64,
}

/// Writes what is in the blocks of `engine` into blocks of Prometheus in `dir`, which is empty or
/// not there. The head is flushed before.
///
/// # Errors
/// `bad_data` when `dir` is not empty, `canceled`, `corruption`, those of the disk.
pub fn export_prometheus(
    engine: &Engine,
    request: &ExportRequest,
    disk: &Arc<dyn Disk>,
    dir: &Path,
    now_ms: TimestampMs,
) -> Result<ExportReport> {
    create_durably(&**disk, dir)?;
    if let Some(other) = disk.list(dir)?.first() {
        let text = format!("the directory is not empty: it holds {:?}", other.name);
        return Err(Error::bad_data(text).at(dir, None));
    }
    let mut report = ExportReport::default();
    flush(engine)?;
    let mut session = engine.session(Scope::default(), Cancel::default());
    let mut windows = BTreeSet::new();
    for range in session.block_ranges() {
        let range = range.intersect(&request.range);
        let mut window = Window::aligned(range.mint, EXPORT_WINDOW_MS);
        while window.start <= range.maxt {
            windows.insert(window);
            window = Window::aligned(window.end, EXPORT_WINDOW_MS);
        }
    }
    let mut names = ulid::Generator::new();
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
    for window in windows {
        let ulid = names
            .generate_from_datetime(now)
            .map_err(|cause| Error::internal(format!("no name for a block: {cause}")))?;
        let range = window.range().intersect(&request.range);
        let selection = session.select_any(&request.selectors, range)?;
        if !selection.is_empty() {
            let writer = BlockWriter::create(disk.clone(), dir, ulid)?;
            write_window(&session, selection, writer, &mut report)?;
        }
    }
    Ok(report)
}

fn write_window(
    session: &Session,
    mut selection: Selection,
    mut writer: BlockWriter,
    report: &mut ExportReport,
) -> Result<()> {
    let mut columns = Columns::new();
    let mut timestamps: Vec<TimestampMs> = Vec::new();
    for index in 0..selection.len() {
        let count = columns.read(&mut selection, index)?;
        let text = |id: u32| session.dictionary.text(id);
        let pairs = selection.labels(index).chunks_exact(2);
        let labels = Labels::from_pairs(pairs.map(|pair| (text(pair[0]), text(pair[1]))))?;
        timestamps.clear();
        timestamps.extend(columns.timestamps[..count].iter().map(|t| *t as i64));
        writer.add(labels, &timestamps, &columns.values[..count])?;
    }
    report.histograms += columns.histograms;
    let stats = writer.stats();
    if writer.finish()?.is_some() {
        report.blocks += 1;
        report.series += stats.num_series;
        report.samples += stats.num_samples;
    }
    Ok(())
}
