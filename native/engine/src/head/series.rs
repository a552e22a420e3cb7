//! One series of the head: per generation an open chunk, sealed chunks and late samples.
//!
//! A sample newer than all before it goes to the open chunk. Any other goes to the *late* part, a
//! small sorted buffer that is sealed into chunks of its own. Inside a generation a late sample was
//! always written after the in-order sample of the same time, and a younger late chunk after an
//! older one, so the runs that [`Data::runs`] gives are in the order of writing.
//!
//! Lock: a series lives behind its shard's lock. Sealed chunks are immutable and shared.

mod delete;

use std::sync::Arc;

use crate::chunk::{self, Encoding, gorilla};
use crate::error::Result;
use crate::head::histograms::{HistogramPart, Histograms, Value};
use crate::histogram::Histogram;
use crate::merge::Run;
use crate::refs::Generation;
use crate::sample::{Sample, TimeRange, TimestampMs};

pub use delete::Deleted;

/// Samples after which an open chunk is sealed. 120 keep the open tail of a million series small;
/// flush writes longer chunks.
const SEAL_SAMPLES: u32 = 120;
/// Late samples that are buffered before they become a chunk.
const LATE_BUFFER_SAMPLES: usize = 128;

/// An immutable chunk.
#[derive(Debug, Clone)]
pub struct SealedChunk {
    /// Times of its first and last sample.
    pub range: TimeRange,
    /// Encoded samples.
    pub bytes: Arc<[u8]>,
}

/// What few series have, apart from the rest so that others do not pay for it: late samples of one
/// generation, and histograms.
#[derive(Debug, Default)]
struct Late {
    /// Each sorted, overlapping each other; oldest write first.
    sealed: Vec<SealedChunk>,
    /// Sorted by time, unique.
    buffer: Vec<Sample>,
    /// All histograms, and every late sample since the first of them.
    histograms: Option<Box<Histograms>>,
}

/// What one generation holds of a series.
#[derive(Debug, Default)]
pub struct Data {
    generation: Generation,
    open: gorilla::Appender,
    sealed: Vec<SealedChunk>,
    late: Option<Box<Late>>,
}

/// What became of an appended sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// Stored as the newest.
    InOrder,
    /// Stored behind newer ones.
    Late,
    /// Stored in place of another value at its time.
    Replaced,
    /// The same sample was there.
    Duplicate,
}

/// A copy of a series' data of some generations, decodable without a lock. Oldest write first.
#[derive(Debug, Default)]
pub struct Runs(Vec<RunPart>);

#[derive(Debug)]
enum RunPart {
    /// Chunks that follow each other in time.
    Chunks(Vec<SealedChunk>),
    Samples(Vec<Sample>),
    Histograms(HistogramPart),
}

impl Data {
    fn newest(&self) -> Option<TimestampMs> {
        let float = self.open.last_time().or_else(|| self.sealed.last().map(|c| c.range.maxt));
        let histograms = self.late.as_ref().and_then(|late| late.histograms.as_ref());
        float.max(histograms.and_then(|histograms| histograms.newest()))
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.newest().is_none()
    }

    /// Appends; returns what happened and by how many bytes the memory grew.
    fn append(&mut self, t: TimestampMs, v: f64) -> (Appended, usize) {
        if self.newest().is_none_or(|newest| t > newest) {
            let before = self.open.bytes_len();
            self.open.append(t, v);
            let mut grown = self.open.bytes_len().saturating_sub(before);
            if self.open.count() >= SEAL_SAMPLES {
                grown += self.seal();
            }
            return (Appended::InOrder, grown);
        }
        if self.open.last_time() == Some(t)
            && self.open.last_value().to_bits() == v.to_bits()
            && self.late.is_none()
        {
            return (Appended::Duplicate, 0);
        }
        let at_newest = self.open.last_time() == Some(t);
        let late = self.late.get_or_insert_default();
        if let Some(histograms) = &mut late.histograms {
            return histograms.append_late(t, Value::Float(v));
        }
        match late.buffer.binary_search_by_key(&t, |s| s.t) {
            Ok(i) if late.buffer[i].v.to_bits() == v.to_bits() => (Appended::Duplicate, 0),
            Ok(i) => {
                late.buffer[i].v = v;
                (Appended::Replaced, 0)
            }
            Err(i) => {
                late.buffer.insert(i, Sample { t, v });
                if late.buffer.len() >= LATE_BUFFER_SAMPLES {
                    late.seal();
                }
                (if at_newest { Appended::Replaced } else { Appended::Late }, size_of::<Sample>())
            }
        }
    }

    /// Appends a histogram; as [`Data::append`].
    fn append_histogram(&mut self, t: TimestampMs, h: &Arc<Histogram>) -> (Appended, usize) {
        let in_order = self.newest().is_none_or(|newest| t > newest);
        let late = self.late.get_or_insert_default();
        let histograms = late.histograms.get_or_insert_default();
        if in_order { histograms.append(t, h) } else { histograms.append_late(t, h.into()) }
    }

    /// Number of chunks, and the times of the first and the last sample.
    fn extent(&self) -> (usize, TimeRange) {
        let mut range = TimeRange::EMPTY;
        let mut chunks = self.sealed.len();
        self.sealed.iter().for_each(|c| range.include_range(&c.range));
        if let (Some(first), Some(last)) = (self.open.first_time(), self.open.last_time()) {
            chunks += 1;
            range.include_range(&TimeRange::new(first, last));
        }
        if let Some(late) = &self.late {
            chunks += late.sealed.len() + usize::from(!late.buffer.is_empty());
            late.sealed.iter().for_each(|c| range.include_range(&c.range));
            late.buffer.iter().for_each(|s| range.include(s.t));
            if let Some(histograms) = &late.histograms {
                let (more, times) = histograms.extent();
                chunks += more;
                range.include_range(&times);
            }
        }
        (chunks, range)
    }

    /// Makes the open chunk immutable; returns the bytes that bookkeeping adds.
    fn seal(&mut self) -> usize {
        if let Some(chunk) = sealed(std::mem::take(&mut self.open)) {
            self.sealed.push(chunk);
        }
        size_of::<SealedChunk>()
    }

    fn collect(&self, range: TimeRange, out: &mut Vec<RunPart>) {
        let overlapping = |chunks: &[SealedChunk]| -> Vec<SealedChunk> {
            chunks.iter().filter(|c| c.range.overlaps(&range)).cloned().collect()
        };
        let mut in_order = overlapping(&self.sealed);
        if let (Some(first), Some(last)) = (self.open.first_time(), self.open.last_time()) {
            let open = TimeRange::new(first, last);
            if open.overlaps(&range) {
                in_order.push(SealedChunk { range: open, bytes: self.open.snapshot().into() });
            }
        }
        if !in_order.is_empty() {
            out.push(RunPart::Chunks(in_order));
        }
        if let Some(late) = &self.late {
            out.extend(overlapping(&late.sealed).into_iter().map(|c| RunPart::Chunks(vec![c])));
            let inside: Vec<Sample> =
                late.buffer.iter().filter(|s| range.contains(s.t)).copied().collect();
            if !inside.is_empty() {
                out.push(RunPart::Samples(inside));
            }
            if let Some(histograms) = &late.histograms {
                out.extend(histograms.collect(range).into_iter().map(RunPart::Histograms));
            }
        }
    }
}

impl Late {
    fn seal(&mut self) {
        let mut appender = gorilla::Appender::new();
        for sample in self.buffer.drain(..) {
            appender.append(sample.t, sample.v);
        }
        self.sealed.extend(sealed(appender));
    }
}

fn sealed(appender: gorilla::Appender) -> Option<SealedChunk> {
    let range = TimeRange::new(appender.first_time()?, appender.last_time()?);
    Some(SealedChunk { range, bytes: appender.finish().into() })
}

impl Runs {
    /// Whether there is nothing to decode.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decodes what lies in `range`, one run for each part, oldest write first.
    ///
    /// # Errors
    /// `corruption` when a chunk in memory is not what was written: a bug.
    pub fn decode(&self, range: TimeRange, out: &mut Vec<Run>) -> Result<()> {
        for part in &self.0 {
            let mut run = Run::default();
            match part {
                RunPart::Chunks(chunks) => {
                    for c in chunks {
                        let (ts, vs) = (&mut run.timestamps, &mut run.values);
                        chunk::decode(Encoding::Gorilla, &c.bytes, range, ts, vs)?;
                    }
                }
                RunPart::Samples(samples) => {
                    run.timestamps.extend(samples.iter().map(|s| s.t));
                    run.values.extend(samples.iter().map(|s| s.v));
                }
                RunPart::Histograms(part) => part.decode(range, &mut run)?,
            }
            out.push(run);
        }
        Ok(())
    }
}

/// A series.
#[derive(Debug, Default)]
pub struct Series {
    data: Data,
    /// The generation before `data`'s, while it is being flushed.
    frozen: Option<Box<Data>>,
    /// Whether the slot is taken.
    pub used: bool,
    /// Whether the index has it.
    pub indexed: bool,
    /// Whether a delete took its last sample and none came since.
    pub emptied: bool,
}

impl Series {
    /// Appends to `generation`, freezing what an older generation left; returns what happened and
    /// by how many bytes the memory grew.
    pub fn append(&mut self, generation: Generation, t: TimestampMs, v: f64) -> (Appended, usize) {
        self.begin(generation);
        self.data.append(t, v)
    }

    /// Appends a histogram; as [`Series::append`].
    pub fn append_histogram(
        &mut self,
        generation: Generation,
        t: TimestampMs,
        h: &Arc<Histogram>,
    ) -> (Appended, usize) {
        self.begin(generation);
        self.data.append_histogram(t, h)
    }

    #[inline]
    fn begin(&mut self, generation: Generation) {
        if self.data.generation != generation {
            let old = std::mem::take(&mut self.data);
            if !old.is_empty() {
                self.frozen = Some(Box::new(old));
            }
            self.data.generation = generation;
        }
    }

    /// What generations `from..=to` hold in `range`.
    pub fn runs(&self, from: Generation, to: Generation, range: TimeRange) -> Runs {
        let mut parts = Vec::new();
        for data in self.frozen.as_deref().into_iter().chain(Some(&self.data)) {
            if from <= data.generation && data.generation <= to {
                data.collect(range, &mut parts);
            }
        }
        Runs(parts)
    }

    /// Number of chunks of all generations, a buffer of late samples counting as one, and the times
    /// of the first and the last sample.
    pub fn extent(&self) -> (usize, TimeRange) {
        let (mut chunks, mut range) = self.data.extent();
        if let Some(frozen) = &self.frozen {
            let (more, earlier) = frozen.extent();
            chunks += more;
            range.include_range(&earlier);
        }
        (chunks, range)
    }

    /// Drops what generations up to `generation` hold.
    pub fn forget(&mut self, generation: Generation) {
        if self.frozen.as_ref().is_some_and(|d| d.generation <= generation) {
            self.frozen = None;
        }
        if self.data.generation <= generation {
            self.data = Data { generation, ..Data::default() };
        }
    }

    /// Whether no generation holds a sample.
    pub fn is_empty(&self) -> bool {
        self.frozen.is_none() && self.data.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::{RunSlice, merge};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn read(series: &Series, from: u32, to: u32) -> Vec<(i64, u64)> {
        let mut runs = Vec::new();
        series
            .runs(Generation(from), Generation(to), TimeRange::ALL)
            .decode(TimeRange::ALL, &mut runs)
            .unwrap();
        let mut slices: Vec<RunSlice<'_>> = runs.iter().map(Run::as_slice).collect();
        let mut out = Vec::new();
        merge(&mut slices, |run| {
            assert!(run.histograms.iter().all(Option::is_none));
            let values = run.values.iter().map(|v| v.to_bits());
            out.extend(run.timestamps.iter().copied().zip(values));
        });
        out
    }

    proptest! {
        #[test]
        fn any_order_of_writes_reads_back_as_a_sorted_map(
            writes in proptest::collection::vec((-400i64..400, 0u64..3), 0..900)) {
            let mut series = Series::default();
            let mut model = BTreeMap::new();
            for (i, (t, v)) in writes.iter().enumerate() {
                let generation = Generation(1 + u32::from(i >= writes.len() / 2));
                series.append(generation, *t, f64::from_bits(*v));
                model.insert(*t, *v);
            }
            prop_assert_eq!(read(&series, 1, 2), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_forgotten_generation_leaves_the_younger_one() {
        let mut series = Series::default();
        series.append(Generation(1), 1, 1.0);
        series.append(Generation(2), 2, 2.0);
        series.forget(Generation(1));
        assert_eq!(read(&series, 1, 2), [(2, 2f64.to_bits())]);
        assert!(!series.is_empty());
        series.forget(Generation(2));
        assert!(series.is_empty());
    }

    #[test]
    fn a_generation_that_was_not_touched_since_the_freeze_is_still_frozen() {
        let mut series = Series::default();
        series.append(Generation(1), 1, 1.0);
        assert_eq!(read(&series, 1, 1).len(), 1);
        assert_eq!(read(&series, 2, 2).len(), 0);
    }
}
