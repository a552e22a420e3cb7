//! One series of the head: per generation an open chunk, sealed chunks and late samples.
//!
//! A sample newer than all before it goes to the open chunk. Any other goes to the *late* part, a
//! small sorted buffer that is sealed into chunks of its own. Inside a generation a late sample was
//! always written after the in-order sample of the same time, and a younger late chunk after an
//! older one, so the runs that [`Parts::collect`] gives are in the order of writing.
//!
//! A million series have an open chunk each, and the rest only sometimes: it is boxed, and the
//! series is 64 bytes.
//!
//! Lock: a series lives behind its shard's lock. Sealed chunks are immutable and shared.

mod delete;

use crate::chunk::gorilla;
use crate::error::Result;
use crate::head::histograms::{HistogramPart, Histograms, Value};
use crate::head::sealed::SealedChunk;
use crate::histogram::Histogram;
use crate::merge::Run;
use crate::refs::Generation;
use crate::sample::{NO_START, Sample, TimeRange, Times, TimestampMs};
use crate::sync::Arc;

pub use delete::Deleted;

/// Samples after which an open chunk is sealed. 120 keep the open tail of a million series small;
/// flush writes longer chunks.
const SEAL_SAMPLES: u32 = 120;
/// Late samples that are buffered before they become a chunk.
const LATE_BUFFER_SAMPLES: usize = 128;

/// Late samples of one generation, and histograms.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Each sorted, overlapping each other; oldest write first.
    pub(super) sealed: Vec<SealedChunk>,
    /// Sorted by time, unique.
    pub(super) buffer: Vec<Sample>,
    /// All histograms and late samples with start timestamps, and every late sample since the first
    /// of them.
    pub(super) histograms: Option<Box<Histograms>>,
}

/// A series.
#[derive(Debug, Default)]
pub struct Series {
    /// Of `generation`.
    open: gorilla::Appender,
    rest: Option<Box<Rest>>,
    generation: Generation,
    /// Whether the slot is taken.
    pub used: bool,
    /// Whether the index has it.
    pub indexed: bool,
    /// Whether a delete took its last sample and none came since.
    pub emptied: bool,
}

/// What not every series has.
#[derive(Debug, Default)]
struct Rest {
    /// Of the series' generation.
    sealed: Vec<SealedChunk>,
    /// Of the series' generation.
    late: Option<Box<Late>>,
    /// The generation before, while it is being flushed.
    frozen: Option<Box<Data>>,
}

/// What a generation that has ended holds.
#[derive(Debug)]
struct Data {
    generation: Generation,
    contents: Contents,
}

/// What one generation holds of a series.
pub(super) struct Parts<'a> {
    /// The newest samples.
    pub(super) open: &'a gorilla::Appender,
    /// Before them, ascending.
    pub(super) sealed: &'a [SealedChunk],
    /// What was written behind newer ones.
    pub(super) late: Option<&'a Late>,
}

/// What one generation holds of a series, owned.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// See [`Parts`].
    pub(super) open: gorilla::Appender,
    /// See [`Parts`].
    pub(super) sealed: Vec<SealedChunk>,
    /// See [`Parts`].
    pub(super) late: Option<Box<Late>>,
}

impl Contents {
    /// The same, borrowed.
    pub(super) fn parts(&self) -> Parts<'_> {
        Parts { open: &self.open, sealed: &self.sealed, late: self.late.as_deref() }
    }
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

/// A copy of a series' data of some generations, decodable without a lock: parts, each with the
/// time that it is asked for. Oldest write first.
#[derive(Debug, Default)]
pub struct Runs(Vec<(TimeRange, RunPart)>);

#[derive(Debug)]
enum RunPart {
    /// Chunks that follow each other in time.
    Chunks(Vec<SealedChunk>),
    Samples(Vec<Sample>),
    Histograms(HistogramPart),
}

impl Parts<'_> {
    /// The time of the newest sample that was not late.
    fn newest(&self) -> Option<TimestampMs> {
        let sealed = || self.sealed.last().map(|chunk| chunk.range.maxt);
        let float = self.open.last_time().or_else(sealed);
        let histograms = self.late.and_then(|late| late.histograms.as_ref());
        float.max(histograms.and_then(|histograms| histograms.newest()))
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
        if let Some(late) = self.late {
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

    /// The full chunks, late ones and those of histograms included.
    pub(super) fn all_sealed(&self) -> impl Iterator<Item = &SealedChunk> {
        let late = self.late.into_iter().flat_map(|late| {
            let histograms = late.histograms.iter().flat_map(|h| h.all_sealed());
            late.sealed.iter().chain(histograms)
        });
        self.sealed.iter().chain(late)
    }

    fn collect(&self, range: TimeRange, out: &mut Vec<RunPart>) {
        let overlapping = |chunks: &[SealedChunk]| -> Vec<SealedChunk> {
            chunks.iter().filter(|c| c.range.overlaps(&range)).cloned().collect()
        };
        let mut in_order = overlapping(self.sealed);
        if let (Some(first), Some(last)) = (self.open.first_time(), self.open.last_time()) {
            let open = TimeRange::new(first, last);
            if open.overlaps(&range) {
                let (encoding, bytes) = (self.open.encoding(), self.open.snapshot());
                in_order.push(SealedChunk::new(open, encoding, bytes));
            }
        }
        if !in_order.is_empty() {
            out.push(RunPart::Chunks(in_order));
        }
        if let Some(late) = self.late {
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
    /// Whether a late sample may have the time `t`.
    fn may_have(&self, t: TimestampMs) -> bool {
        self.buffer.binary_search_by_key(&t, |sample| sample.t).is_ok()
            || self.histograms.as_ref().is_some_and(|histograms| histograms.buffers(t))
            || self.chunks_may_have(t)
    }

    /// Whether a full late chunk may have a sample of the time `t`.
    fn chunks_may_have(&self, t: TimestampMs) -> bool {
        self.sealed.iter().any(|chunk| chunk.range.contains(t))
            || self.histograms.as_ref().is_some_and(|histograms| histograms.chunks_may_have(t))
    }

    fn seal(&mut self) {
        let mut appender = gorilla::Appender::new();
        for sample in self.buffer.drain(..) {
            appender.append(sample.t, sample.v);
        }
        if let Some(chunk) = sealed(appender) {
            push_tightly(&mut self.sealed, chunk);
        }
    }
}

fn sealed(appender: gorilla::Appender) -> Option<SealedChunk> {
    let range = TimeRange::new(appender.first_time()?, appender.last_time()?);
    Some(SealedChunk::new(range, appender.encoding(), appender.finish()))
}

/// A list of few long-lived elements: doubling would waste more than it holds.
fn push_tightly(chunks: &mut Vec<SealedChunk>, chunk: SealedChunk) {
    if chunks.len() == chunks.capacity() {
        chunks.reserve_exact(1 + chunks.len() / 8);
    }
    chunks.push(chunk);
}

impl Runs {
    fn within(range: TimeRange, parts: Vec<RunPart>) -> Self {
        Self(parts.into_iter().map(|part| (range, part)).collect())
    }

    /// Adds what `other` has.
    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// Whether there is nothing to decode.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Decodes what lies in `range`, one run for each part, oldest write first.
    ///
    /// # Errors
    /// `corruption` when a chunk is not what was written.
    pub fn decode(&self, range: TimeRange, out: &mut Vec<Run>) -> Result<()> {
        for (wanted, part) in &self.0 {
            let range = range.intersect(wanted);
            let mut run = Run::default();
            match part {
                RunPart::Chunks(chunks) => {
                    chunks.iter().try_for_each(|chunk| chunk.decode(range, &mut run))?;
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

impl Series {
    /// Appends to `generation`, freezing what an older generation left; returns what happened and
    /// by how many bytes the memory grew.
    pub fn append(
        &mut self,
        generation: Generation,
        at: impl Into<Times>,
        v: f64,
    ) -> (Appended, usize) {
        let at = at.into();
        self.begin(generation);
        if self.newest().is_none_or(|newest| at.t > newest) {
            let mut grown = if self.open.takes(at.start) { 0 } else { self.seal() };
            let before = self.open.heap_bytes();
            self.open.append(at, v);
            grown += self.open.heap_bytes() - before;
            if self.open.count() >= SEAL_SAMPLES {
                grown += self.seal();
            }
            return (Appended::InOrder, grown);
        }
        self.append_late(at, v)
    }

    /// Appends a histogram; as [`Series::append`].
    pub fn append_histogram(
        &mut self,
        generation: Generation,
        at: impl Into<Times>,
        h: &Arc<Histogram>,
    ) -> (Appended, usize) {
        let at = at.into();
        self.begin(generation);
        let in_order = self.newest().is_none_or(|newest| at.t > newest);
        let late = self.rest.get_or_insert_default().late.get_or_insert_default();
        let histograms = late.histograms.get_or_insert_default();
        if in_order { histograms.append(at, h) } else { histograms.append_late(at, h.into()) }
    }

    #[inline]
    fn begin(&mut self, generation: Generation) {
        if self.generation != generation {
            self.freeze();
            self.generation = generation;
        }
    }

    /// Appends a sample that is not newer than all others.
    fn append_late(&mut self, at: Times, v: f64) -> (Appended, usize) {
        let t = at.t;
        let at_newest = self.open.last_time() == Some(t);
        let is_newest = at_newest
            && self.open.last_value().to_bits() == v.to_bits()
            && self.open.last_start() == at.start;
        let late = self.rest.as_ref().and_then(|rest| rest.late.as_ref());
        if is_newest && late.is_none_or(|late| !late.may_have(t)) {
            return (Appended::Duplicate, 0);
        }
        // Behind a full late chunk it is not known which value stands.
        let in_its_place = at_newest && late.is_none_or(|late| !late.chunks_may_have(t));
        let late = self.rest.get_or_insert_default().late.get_or_insert_default();
        if at.start != NO_START || late.histograms.is_some() {
            let histograms = late.histograms.get_or_insert_default();
            let (what, grown) = histograms.append_late(at, Value::Float(v));
            let replaced = in_its_place && what == Appended::Late;
            return (if replaced { Appended::Replaced } else { what }, grown);
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
                let what = if in_its_place { Appended::Replaced } else { Appended::Late };
                (what, size_of::<Sample>())
            }
        }
    }

    #[inline]
    fn newest(&self) -> Option<TimestampMs> {
        match &self.rest {
            None => self.open.last_time(),
            Some(_) => self.parts().newest(),
        }
    }

    /// Moves what `generation` holds aside.
    fn freeze(&mut self) {
        let is_empty = self.newest().is_none();
        let contents = self.take();
        if !is_empty {
            let data = Data { generation: self.generation, contents };
            self.rest.get_or_insert_default().frozen = Some(Box::new(data));
        }
    }

    /// Takes out what `generation` holds.
    fn take(&mut self) -> Contents {
        let open = std::mem::take(&mut self.open);
        let (sealed, late) = match &mut self.rest {
            Some(rest) => (std::mem::take(&mut rest.sealed), rest.late.take()),
            None => (Vec::new(), None),
        };
        Contents { open, sealed, late }
    }

    /// Puts in what [`Series::take`] took out, or something in its place.
    fn put(&mut self, Contents { open, sealed, late }: Contents) {
        self.open = open;
        if !sealed.is_empty() || late.is_some() {
            let rest = self.rest.get_or_insert_default();
            (rest.sealed, rest.late) = (sealed, late);
        }
        self.drop_empty_rest();
    }

    fn drop_empty_rest(&mut self) {
        self.rest
            .take_if(|rest| rest.sealed.is_empty() && rest.late.is_none() && rest.frozen.is_none());
    }

    /// Makes the open chunk immutable; returns the bytes that bookkeeping adds.
    fn seal(&mut self) -> usize {
        if let Some(chunk) = sealed(std::mem::take(&mut self.open)) {
            push_tightly(&mut self.rest.get_or_insert_default().sealed, chunk);
        }
        size_of::<SealedChunk>()
    }

    /// What generations `from..=to` hold in `range`.
    pub fn runs(&self, from: Generation, to: Generation, range: TimeRange) -> Runs {
        let mut parts = Vec::new();
        let within = |generation| from <= generation && generation <= to;
        if let Some(data) = self.frozen()
            && within(data.generation)
        {
            data.contents.parts().collect(range, &mut parts);
        }
        if within(self.generation) {
            self.parts().collect(range, &mut parts);
        }
        Runs::within(range, parts)
    }

    /// Number of chunks of all generations, a buffer of late samples counting as one, and the times
    /// of the first and the last sample.
    pub fn extent(&self) -> (usize, TimeRange) {
        let (mut chunks, mut range) = self.parts().extent();
        if let Some(data) = self.frozen() {
            let (more, earlier) = data.contents.parts().extent();
            chunks += more;
            range.include_range(&earlier);
        }
        (chunks, range)
    }

    fn frozen(&self) -> Option<&Data> {
        self.rest.as_ref()?.frozen.as_deref()
    }

    /// Drops what generations up to `generation` hold.
    pub fn forget(&mut self, generation: Generation) {
        if self.generation <= generation {
            let Self { used, indexed, emptied, .. } = *self;
            *self = Self { generation, used, indexed, emptied, ..Self::default() };
        }
        if let Some(rest) = &mut self.rest {
            rest.frozen.take_if(|data| data.generation <= generation);
        }
        self.drop_empty_rest();
    }

    /// Whether no generation holds a sample.
    pub fn is_empty(&self) -> bool {
        self.newest().is_none() && self.frozen().is_none()
    }

    /// The generation that was last written.
    pub(super) fn generation(&self) -> Generation {
        self.generation
    }

    /// What that generation holds.
    pub(super) fn parts(&self) -> Parts<'_> {
        let (sealed, late) = match &self.rest {
            Some(rest) => (&rest.sealed[..], rest.late.as_deref()),
            None => (&[][..], None),
        };
        Parts { open: &self.open, sealed, late }
    }

    /// The sealed chunks of that generation, late ones last.
    pub(super) fn sealed_mut(&mut self) -> impl Iterator<Item = &mut SealedChunk> {
        self.rest.iter_mut().flat_map(|rest| {
            let late = rest.late.iter_mut().flat_map(|late| {
                let histograms = late.histograms.iter_mut().flat_map(|h| h.all_sealed_mut());
                late.sealed.iter_mut().chain(histograms)
            });
            rest.sealed.iter_mut().chain(late)
        })
    }

    /// Gives an empty series what a checkpoint has of it.
    pub(super) fn restore(&mut self, generation: Generation, contents: Contents) {
        self.generation = generation;
        self.put(contents);
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

    #[test]
    fn a_series_is_one_cache_line() {
        assert_eq!(size_of::<Series>(), 64);
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
    fn the_newest_sample_again_is_a_duplicate_whatever_came_late() {
        for start in [NO_START, 1] {
            let mut series = Series::default();
            let mut append = |t, v| series.append(Generation(1), Times { t, start }, v).0;
            assert_eq!(append(1000, 1.0), Appended::InOrder);
            assert_eq!(append(1, 2.0), Appended::Late);
            assert_eq!(append(1000, 1.0), Appended::Duplicate);
            assert_eq!(append(1000, 3.0), Appended::Replaced);
            assert_eq!(append(1000, 3.0), Appended::Duplicate);
            assert_eq!(append(1000, 1.0), Appended::Replaced);
            // In a full late chunk nobody looks, and nothing is said of what is there.
            for t in 2..1 + LATE_BUFFER_SAMPLES as i64 {
                assert_eq!(append(t, 2.0), Appended::Late, "{t}");
            }
            assert_eq!(append(1000, 1.0), Appended::Late);
            assert_eq!(append(1000, 1.0), Appended::Duplicate);
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
