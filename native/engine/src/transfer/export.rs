//! Data out of an open engine: as blocks of Prometheus, and as JSON lines.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::flush;
use crate::disk::Disk;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::foreign::prometheus::block_writer::BlockWriter;
use crate::index::matcher::Matcher;
use crate::labels::Labels;
use crate::read::cancel::Cancel;
use crate::read::json_lines;
use crate::read::selection::{Filled, Selection, Target};
use crate::read::session::Session;
use crate::recover::create_durably;
use crate::run::Run;
use crate::sample::{NO_START, TimeRange, TimestampMs, Window};
use crate::source::Scope;
use crate::sync::Arc;

/// Width of the blocks that an export writes: what Prometheus compacts three times to.
const EXPORT_WINDOW_MS: i64 = 54 * 3_600_000;
/// Text of an export that is handed on at once.
const PIECE_BYTES: usize = 256 << 10;
/// Samples that a read of an export has room for at first.
const READ_SAMPLES: usize = 64 << 10;

/// What is to be exported.
#[derive(Debug, Clone)]
pub struct ExportRequest {
    /// Series that satisfy one of these; all when there is none.
    pub selectors: Vec<Vec<Matcher>>,
    /// Their samples in here.
    pub range: TimeRange,
}

/// Reads the series of a selection one by one.
struct Reader {
    times: Vec<f64>,
    /// Room for values, and after a read those of the series.
    values: Vec<f64>,
    run: Run,
}

impl Reader {
    fn new() -> Self {
        let column = || vec![0.0; READ_SAMPLES];
        Self { times: column(), values: column(), run: Run::default() }
    }

    /// The samples of series `index`.
    fn read(&mut self, selection: &mut Selection, index: usize) -> Result<&Run> {
        loop {
            let mut offsets = [0; 2];
            let (timestamps, values) = (&mut self.times[..], &mut self.values[..]);
            let mut target = Target { timestamps, values, offsets: &mut offsets };
            match selection.read(index, &mut target)? {
                Filled::Series(_) => {
                    self.take(selection, offsets[1] as usize);
                    return Ok(&self.run);
                }
                Filled::Needs(samples) => {
                    self.times.resize(samples, 0.0);
                    self.values.resize(samples, 0.0);
                }
            }
        }
    }

    fn take(&mut self, selection: &Selection, count: usize) {
        let Run { timestamps, values, histograms, starts } = &mut self.run;
        timestamps.clear();
        timestamps.extend(self.times[..count].iter().map(|t| *t as TimestampMs));
        values.clear();
        values.extend_from_slice(&self.values[..count]);
        starts.clear();
        starts.extend_from_slice(selection.starts());
        histograms.clear();
        for (place, h) in selection.histograms() {
            histograms.resize(*place as usize, None);
            histograms.push(Some(Arc::clone(h)));
        }
    }
}

/// An export as JSON lines, piece by piece: `read/json_lines.rs`.
pub struct JsonExport {
    session: Session,
    selection: Selection,
    /// The next series.
    series: usize,
    reader: Reader,
}

impl JsonExport {
    /// An export of what `session` sees.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn new(mut session: Session, request: &ExportRequest) -> Result<Self> {
        let selection = session.select_any(&request.selectors, request.range)?;
        Ok(Self { session, selection, series: 0, reader: Reader::new() })
    }

    /// Appends the next lines, some 256 KiB of them; nothing at the end.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn next_piece(&mut self, out: &mut Vec<u8>) -> Result<()> {
        while out.len() < PIECE_BYTES && self.series < self.selection.len() {
            let run = self.reader.read(&mut self.selection, self.series)?;
            let labels = self.selection.labels(self.series);
            json_lines::series(out, &self.session.dictionary, labels, &run.as_slice());
            self.series += 1;
        }
        Ok(())
    }
}

/// What an export wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExportReport {
    /// Blocks.
    pub blocks: u64,
    /// Series of all blocks; one that is in two counts twice.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Those that are native histograms.
    pub histograms: u64,
    /// Start timestamps that were left out: these encodings of Prometheus have none.
    pub start_timestamps: u64,
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
    let mut reader = Reader::new();
    for index in 0..selection.len() {
        let run = reader.read(&mut selection, index)?;
        let text = |id: u32| session.dictionary.text(id);
        let pairs = selection.labels(index).chunks_exact(2);
        let labels = Labels::from_pairs(pairs.map(|pair| (text(pair[0]), text(pair[1]))))?;
        writer.add(labels, &run.as_slice())?;
        let said = run.starts.iter().filter(|start| **start != NO_START);
        report.start_timestamps += said.count() as u64;
    }
    let stats = writer.stats();
    if writer.finish()?.is_some() {
        report.blocks += 1;
        report.series += stats.num_series;
        report.samples += stats.num_samples;
        report.histograms += stats.num_histogram_samples;
    }
    Ok(())
}
