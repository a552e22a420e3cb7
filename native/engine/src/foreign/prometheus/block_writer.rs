//! A block of Prometheus, to write: samples of series in label order into chunks of 120, `XOR` for
//! floats, the two plain ones for histograms.
//!
//! Prepared under a temporary name, which Prometheus does not take for a block, and published by
//! one rename.

use std::path::{Path, PathBuf};

use ulid::Ulid;

use super::block::{CHUNKS_DIR, Compaction, INDEX_FILE, META_FILE, META_VERSION, Meta, Stats};
use super::chunks::{HEADER_BYTES, MAGIC, VERSION};
use super::float_chunk::{CHUNK_SAMPLES, XOR, encode_xor};
use super::histogram_writer::HistogramChunk;
use super::index::ChunkMeta;
use super::index_writer::IndexWriter;
use crate::codec::varint;
use crate::disk::publish::{publish_dir, temp_path};
use crate::disk::{Disk, WriteFile};
use crate::error::{Error, Result};
use crate::labels::Labels;
use crate::run::RunSlice;
use crate::sample::TimeRange;
use crate::sync::Arc;

/// A segment of chunks is full at this size; Prometheus' is, too, and an offset has 32 bits.
const SEGMENT_BYTES: u64 = 512 << 20;

/// Writes a block.
pub struct BlockWriter {
    disk: Arc<dyn Disk>,
    temp: PathBuf,
    dir: PathBuf,
    ulid: Ulid,
    index: IndexWriter,
    segments: Vec<Box<dyn WriteFile>>,
    stats: Stats,
    range: TimeRange,
}

impl BlockWriter {
    /// Begins block `ulid` in `parent`, which exists.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: Arc<dyn Disk>, parent: &Path, ulid: Ulid) -> Result<Self> {
        let dir = parent.join(ulid.to_string());
        let temp = temp_path(&dir);
        disk.create_dir(&temp.join(CHUNKS_DIR))?;
        let (index, stats) = (IndexWriter::default(), Stats::default());
        let (segments, range) = (Vec::new(), TimeRange::EMPTY);
        Ok(Self { disk, temp, dir, ulid, index, segments, stats, range })
    }

    /// Adds a series; a later one has greater labels. Without samples it leaves no trace.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn add(&mut self, labels: Labels, run: &RunSlice<'_>) -> Result<()> {
        if run.timestamps.is_empty() {
            return Ok(());
        }
        let mut chunks = Vec::with_capacity(run.timestamps.len().div_ceil(CHUNK_SAMPLES));
        let mut rest = *run;
        while !rest.timestamps.is_empty() {
            let (meta, taken) = self.write_next(&rest)?;
            self.range.include_range(&TimeRange::new(meta.mint, meta.maxt));
            chunks.push(meta);
            rest = rest.slice(taken..rest.timestamps.len());
        }
        self.stats.num_series += 1;
        self.stats.num_chunks += chunks.len() as u64;
        self.stats.num_samples += run.timestamps.len() as u64;
        self.index.add(labels, chunks);
        Ok(())
    }

    /// Writes a chunk of the first samples of `run`, which has one; returns how many they are.
    fn write_next(&mut self, run: &RunSlice<'_>) -> Result<(ChunkMeta, usize)> {
        let len = run.timestamps.len();
        if let Some(h) = run.histogram(0) {
            let mut chunk = HistogramChunk::new(run.timestamps[0], h);
            let mut taken = 1;
            while let Some(h) = run.histogram(taken).filter(|h| chunk.takes(h)) {
                chunk.append(run.timestamps[taken], h);
                taken += 1;
            }
            let ((mint, maxt), encoding) = (chunk.times(), chunk.encoding());
            let reference = self.write_chunk(encoding, &chunk.finish())?;
            self.stats.num_histogram_samples += taken as u64;
            return Ok((ChunkMeta { mint, maxt, reference }, taken));
        }
        let floats = (0..len.min(CHUNK_SAMPLES)).take_while(|i| run.histogram(*i).is_none());
        let taken = floats.count();
        let (ts, vs) = (&run.timestamps[..taken], &run.values[..taken]);
        let reference = self.write_chunk(XOR, &encode_xor(ts, vs)?)?;
        self.stats.num_float_samples += taken as u64;
        Ok((ChunkMeta { mint: ts[0], maxt: ts[taken - 1], reference }, taken))
    }

    /// Counts so far.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn write_chunk(&mut self, encoding: u8, data: &[u8]) -> Result<u64> {
        let mut record = Vec::with_capacity(data.len() + 10);
        varint::write(&mut record, data.len() as u64);
        let covered = record.len();
        record.push(encoding);
        record.extend_from_slice(data);
        let crc = crc32c::crc32c(&record[covered..]);
        record.extend_from_slice(&crc.to_be_bytes());
        let full = |file: &dyn WriteFile| file.len() + record.len() as u64 > SEGMENT_BYTES;
        if self.segments.last().is_none_or(|file| full(&**file)) {
            let name = format!("{:06}", self.segments.len() + 1);
            let mut file = self.disk.create(&self.temp.join(CHUNKS_DIR).join(name))?;
            let mut header = [0; HEADER_BYTES];
            header[..4].copy_from_slice(&MAGIC.to_be_bytes());
            header[4] = VERSION;
            file.write(&header)?;
            self.segments.push(file);
        }
        let number = self.segments.len() as u64 - 1;
        let file = self
            .segments
            .last_mut()
            .ok_or_else(|| Error::internal("there is no segment to write a chunk to"))?;
        let reference = number << 32 | file.len();
        file.write(&record)?;
        Ok(reference)
    }

    /// Writes index and description, and makes the block visible. A block without samples is
    /// removed, and there is none.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn finish(mut self) -> Result<Option<Meta>> {
        if self.stats.num_samples == 0 {
            self.disk.remove_dir(&self.temp)?;
            return Ok(None);
        }
        for file in &mut self.segments {
            file.sync()?;
        }
        self.index.finish(&*self.disk, &self.temp.join(INDEX_FILE))?;
        let (ulid, window) = (self.ulid.to_string(), self.range.window());
        let meta = Meta {
            ulid: ulid.clone(),
            min_time: window.start,
            max_time: window.end,
            stats: self.stats,
            compaction: Compaction { level: 1, sources: vec![ulid], hints: Vec::new() },
            version: META_VERSION,
        };
        let text = serde_json::to_vec_pretty(&meta)
            .map_err(|cause| Error::internal(format!("meta.json cannot be written: {cause}")))?;
        let mut file = self.disk.create(&self.temp.join(META_FILE))?;
        file.write(&text)?;
        file.sync()?;
        publish_dir(&*self.disk, &self.temp, &self.dir)?;
        Ok(Some(meta))
    }
}
