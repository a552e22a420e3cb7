//! Streams series into a new block.
//!
//! Everything is written into `<ULID>.tmp`, synced, and published by one rename
//! (`disk/publish.rs`). Memory holds what the index writer holds (`index/file/builder.rs`), one
//! chunk or frame, and of a cold block 32 bytes for each distinct timeline. A writer or a finished
//! block that is dropped takes its directory with it; what a crash leaves, [`super::sweep`]
//! removes.

use std::path::{Path, PathBuf};

use ulid::Ulid;

use super::chunks::ChunkWriter;
use super::meta::{Counts, FileEntry, META_VERSION, Meta, MetaSeed};
use super::slices::Slices;
use super::{CHUNKS_FILE, INDEX_FILE, META_FILE};
use crate::chunk::{gorilla, histogram};
use crate::disk::Disk;
use crate::disk::publish::{publish_dir, temp_path};
use crate::disk::sections::FileSummary;
use crate::error::{Error, Result};
use crate::index::file::{ChunkMeta, ColumnRef, IndexWriter, Pieces};
use crate::labels::Labels;
use crate::refs::Position;
use crate::run::RunSlice;
use crate::sample::{TimeRange, TimestampMs, Window};
use crate::sync::Arc;

/// The most samples in a chunk. A chunk costs some 30 bytes beside its samples, and a read that
/// wants the last of them decodes those before: at 240, blocks are larger by a 36th and such reads
/// take 0.6 of the time. What is asked for most is recent and in the head, so size decides.
const CHUNK_SAMPLES: usize = 480;

/// A chunk of histograms ends when it has this many bytes: some have hundreds of buckets, and a
/// read that wants one of them decodes those before.
const HISTOGRAM_CHUNK_BYTES: usize = 8 << 10;

/// Writes a block.
pub struct BlockWriter {
    temp: TempDir,
    ulid: Ulid,
    index: IndexWriter,
    chunks: ChunkWriter,
    counts: Counts,
    range: TimeRange,
    tombstones_applied: Position,
    /// The chunks of the current series.
    metas: Vec<ChunkMeta>,
    /// The columns of the current series.
    columns: Vec<ColumnRef>,
    /// The window of a cold block.
    cold: Option<Window>,
}

/// A block that is complete and durable, but not yet visible.
pub struct FinishedBlock {
    temp: TempDir,
    final_dir: PathBuf,
    meta: Meta,
}

impl BlockWriter {
    /// Begins block `ulid` in `blocks_dir`, which exists.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: Arc<dyn Disk>, blocks_dir: &Path, ulid: Ulid) -> Result<Self> {
        let path = temp_path(&blocks_dir.join(ulid.to_string()));
        disk.create_dir(&path)?;
        let temp = TempDir { disk, path, armed: true };
        Ok(Self {
            index: IndexWriter::create(&*temp.disk, &temp.path.join(INDEX_FILE))?,
            chunks: ChunkWriter::create(&*temp.disk, &temp.path.join(CHUNKS_FILE))?,
            temp,
            ulid,
            counts: Counts::default(),
            range: TimeRange::EMPTY,
            tombstones_applied: Position(0),
            metas: Vec::new(),
            columns: Vec::new(),
            cold: None,
        })
    }

    /// Makes it a cold block over `window`: smaller, and dearer to write. Before the first series.
    #[must_use]
    pub fn cold(mut self, window: Window) -> Self {
        self.cold = Some(window);
        self
    }

    /// Adds a series of floats; as [`BlockWriter::add_run`].
    ///
    /// # Errors
    /// As [`BlockWriter::add_run`].
    pub fn add_series(
        &mut self,
        labels: &Labels,
        timestamps: &[TimestampMs],
        values: &[f64],
    ) -> Result<()> {
        self.add_run(labels, RunSlice::floats(timestamps, values))
    }

    /// Adds a series: columns of equal length, in strictly ascending time. A series without samples
    /// leaves no trace.
    ///
    /// # Errors
    /// `internal` when `labels` are not greater than those of the series before, or the samples are
    /// not as said; those of the disk. The writer is then of no use.
    pub fn add_run(&mut self, labels: &Labels, run: RunSlice<'_>) -> Result<()> {
        let RunSlice { timestamps, values, .. } = run;
        if timestamps.len() != values.len() || !timestamps.is_sorted_by(|a, b| a < b) {
            return Err(Error::internal(format!("the samples of {labels} are not in order")));
        }
        let (Some(mint), Some(maxt)) = (timestamps.first(), timestamps.last()) else {
            return Ok(());
        };
        // Histograms have no cold form: a series with some keeps its chunks.
        let cold = self.cold.filter(|_| run.histograms.iter().all(Option::is_none));
        self.counts.chunks += match cold {
            None => self.add_chunks(labels, &run)?,
            Some(window) => self.add_columns(labels, Slices::new(window, timestamps), &run)?,
        };
        self.range.include_range(&TimeRange::new(*mint, *maxt));
        self.counts.series += 1;
        self.counts.samples += timestamps.len() as u64;
        Ok(())
    }

    /// Adds a series as columns of frames; returns how many.
    fn add_columns(
        &mut self,
        labels: &Labels,
        slices: Slices<'_>,
        run: &RunSlice<'_>,
    ) -> Result<u64> {
        self.columns.clear();
        let mut start = 0;
        for times in slices {
            let end = start + times.len();
            self.columns.push(self.chunks.add_column(&run.slice(start..end))?);
            start = end;
        }
        self.index.add(labels, Pieces::Columns(&self.columns))?;
        Ok(self.columns.len() as u64)
    }

    /// Adds a series as chunks of its own; returns how many.
    fn add_chunks(&mut self, labels: &Labels, run: &RunSlice<'_>) -> Result<u64> {
        self.metas.clear();
        let mut start = 0;
        while start < run.timestamps.len() {
            let end = stretch_end(run, start);
            let stretch = run.slice(start..end);
            match run.histogram(start) {
                None => self.add_floats(&stretch)?,
                Some(_) => self.add_histograms(&stretch)?,
            }
            start = end;
        }
        self.index.add(labels, Pieces::Chunks(&self.metas))?;
        Ok(self.metas.len() as u64)
    }

    /// Chunks of equal size, so that the last one is not a scrap.
    fn add_floats(&mut self, run: &RunSlice<'_>) -> Result<()> {
        let samples = run.timestamps.len();
        let pieces = samples.div_ceil(CHUNK_SAMPLES);
        for piece in 0..pieces {
            let start = samples * piece / pieces;
            let end = samples * (piece + 1) / pieces;
            self.add_chunk(&run.slice(start..end))?;
        }
        Ok(())
    }

    /// Chunks of a stretch of histograms of one kind.
    fn add_histograms(&mut self, stretch: &RunSlice<'_>) -> Result<()> {
        let mut open: Option<histogram::Appender> = None;
        for (i, h) in stretch.histograms.iter().flatten().enumerate() {
            let at = stretch.times_of(i);
            let full = |chunk: &histogram::Appender| {
                !chunk.takes(h, at.start)
                    || chunk.count() as usize >= CHUNK_SAMPLES
                    || chunk.bytes_len() >= HISTOGRAM_CHUNK_BYTES
            };
            if let Some(chunk) = open.take_if(|chunk| full(chunk)) {
                self.add_histogram_chunk(&chunk)?;
            }
            let chunk =
                open.get_or_insert_with(|| histogram::Appender::new(histogram::encoding_of(h)));
            chunk.append(at, h);
        }
        open.map_or(Ok(()), |chunk| self.add_histogram_chunk(&chunk))
    }

    fn add_histogram_chunk(&mut self, chunk: &histogram::Appender) -> Result<()> {
        let Some(range) = chunk.range() else { return Ok(()) };
        let (count, bytes) = (chunk.count(), chunk.snapshot());
        let meta = self.chunks.add(chunk.encoding(), &bytes, count, range)?;
        self.metas.push(meta);
        Ok(())
    }

    fn add_chunk(&mut self, run: &RunSlice<'_>) -> Result<()> {
        let has_starts = run.has_starts();
        let mut appender =
            if has_starts { gorilla::Appender::with_starts() } else { gorilla::Appender::new() };
        for (i, v) in run.values.iter().enumerate() {
            appender.append(run.times_of(i), *v);
        }
        let (count, encoding) = (appender.count(), appender.encoding());
        let range = TimeRange::new(run.timestamps[0], run.timestamps[run.timestamps.len() - 1]);
        let chunk = self.chunks.add(encoding, &appender.finish(), count, range)?;
        self.metas.push(chunk);
        Ok(())
    }

    /// Says that what is added leaves out all that tombstones up to `newest` delete: see
    /// [`Meta::tombstones_applied`].
    #[must_use]
    pub fn without_tombstones_to(mut self, newest: Position) -> Self {
        self.tombstones_applied = newest;
        self
    }

    /// What was added so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes the index and `meta.json` and makes all of it durable.
    ///
    /// # Errors
    /// `internal` for a block without samples, or with some outside the seed's window; those of the
    /// disk.
    pub fn finish(self, seed: MetaSeed) -> Result<FinishedBlock> {
        if self.counts.samples == 0 {
            return Err(Error::internal("a block without samples"));
        }
        if self.range.mint < seed.window.start || self.range.maxt >= seed.window.end {
            return Err(Error::internal(format!(
                "samples from {} to {} in a block of [{}, {})",
                self.range.mint, self.range.maxt, seed.window.start, seed.window.end
            )));
        }
        let disk = &*self.temp.disk;
        let chunks = file_entry(CHUNKS_FILE, self.chunks.finish()?);
        let index = file_entry(INDEX_FILE, self.index.finish(disk)?);
        let meta = Meta {
            version: META_VERSION,
            ulid: self.ulid,
            tenant: seed.tenant,
            mint: self.range.mint,
            maxt: self.range.maxt,
            window: seed.window,
            counts: self.counts,
            log: seed.log,
            flush: seed.flush,
            compaction: seed.compaction,
            tombstones_applied: self.tombstones_applied,
            files: vec![chunks, index],
        };
        let mut file = disk.create(&self.temp.path.join(META_FILE))?;
        file.write(meta.encode()?.as_bytes())?;
        file.sync()?;
        disk.sync_dir(&self.temp.path)?;
        let final_dir = self.temp.path.with_file_name(self.ulid.to_string());
        Ok(FinishedBlock { temp: self.temp, final_dir, meta })
    }

    /// Removes what was written.
    ///
    /// # Errors
    /// Those of the disk; a later sweep removes what is left.
    pub fn abandon(self) -> Result<()> {
        let Self { temp, index, chunks, .. } = self;
        drop((index, chunks));
        temp.remove()
    }
}

impl FinishedBlock {
    /// The description of the block.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Makes the block visible and durable under its name.
    ///
    /// # Errors
    /// Those of the disk. When only the last step failed, the block may be visible already and
    /// vanish at a power loss: its log range must then not be cut.
    pub fn publish(mut self) -> Result<Ulid> {
        publish_dir(&*self.temp.disk, &self.temp.path, &self.final_dir)?;
        self.temp.armed = false;
        Ok(self.meta.ulid)
    }

    /// Removes the block before anybody saw it.
    ///
    /// # Errors
    /// Those of the disk; a later sweep removes what is left.
    pub fn abandon(self) -> Result<()> {
        self.temp.remove()
    }
}

/// Where the samples from `start` on that have its kind, and so may share a chunk, end.
fn stretch_end(run: &RunSlice<'_>, start: usize) -> usize {
    let len = run.timestamps.len();
    if start >= run.histograms.len() {
        return len;
    }
    let kind = |i: usize| run.histogram(i).map(|h| histogram::encoding_of(h));
    let first = kind(start);
    (start + 1..len).find(|i| kind(*i) != first).unwrap_or(len)
}

fn file_entry(name: &str, summary: FileSummary) -> FileEntry {
    FileEntry { name: name.to_owned(), bytes: summary.bytes, crc32c: summary.crc32c }
}

/// A directory that goes away with its owner unless it was published.
struct TempDir {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    armed: bool,
}

impl TempDir {
    fn remove(mut self) -> Result<()> {
        self.armed = false;
        self.disk.remove_dir(&self.path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if self.armed {
            // Nobody is left to tell, and the error that led here says more: a sweep at the next
            // start removes what could not be removed now.
            let _ = self.disk.remove_dir(&self.path);
        }
    }
}
