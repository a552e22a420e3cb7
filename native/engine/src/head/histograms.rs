//! Native histograms in the head: those of one series in one generation, and those of a write. Late
//! floats that have start timestamps live beside them.
//!
//! A histogram newer than all before it, floats included, goes to the open chunk. From a series'
//! first histogram or late start timestamp on, every late sample, float or histogram, goes to one
//! sorted buffer here, whose chunks keep the order of writing: so of a float and a histogram of the
//! same time the one that was written last stays.
//!
//! Lock: lives behind its series' shard lock. Sealed chunks are immutable and shared.

use crate::chunk::gorilla;
use crate::chunk::histogram::{Appender, encoding_of};
use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::sealed::SealedChunk;
use crate::head::series::Appended;
use crate::head::tally::Tally;
use crate::histogram::Histogram;
use crate::refs::{Generation, SeriesRef};
use crate::run::Run;
use crate::sample::{TimeRange, Times, TimestampMs};
use crate::sync::{Arc, Ordering};

/// Histograms after which an open chunk is sealed.
const SEAL_SAMPLES: u32 = 120;
/// Bytes after which it is sealed: some histograms have hundreds of buckets, and whoever reads one
/// decodes those before.
const SEAL_BYTES: usize = 4 << 10;
/// Late samples that are buffered before they become chunks.
const LATE_BUFFER_SAMPLES: usize = 64;

/// A late sample: when, and what.
pub(super) type LateSample = (Times, Value);

/// What a late sample is.
#[derive(Debug, Clone)]
pub enum Value {
    /// A float.
    Float(f64),
    /// A histogram.
    Histogram(Arc<Histogram>),
}

impl From<&Arc<Histogram>> for Value {
    fn from(h: &Arc<Histogram>) -> Self {
        Self::Histogram(Arc::clone(h))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Histogram(a), Self::Histogram(b)) => a == b,
            _ => false,
        }
    }
}

/// See the page above.
#[derive(Debug, Default)]
pub struct Histograms {
    pub(super) open: Option<Appender>,
    /// What was appended to `open` last: whether a sample is repeated is seen without decoding.
    pub(super) last: Option<Arc<Histogram>>,
    /// Chunks that follow each other in time, each of one kind.
    pub(super) sealed: Vec<SealedChunk>,
    /// Chunks of late samples, each sorted, overlapping each other; oldest write first.
    pub(super) late: Vec<SealedChunk>,
    /// Sorted by time, unique.
    pub(super) buffer: Vec<LateSample>,
}

/// A copy of some of a series' histograms, decodable without a lock.
#[derive(Debug)]
pub struct HistogramPart(Part);

#[derive(Debug)]
enum Part {
    Chunks(Vec<SealedChunk>),
    Samples(Vec<LateSample>),
}

impl Histograms {
    /// The time of the newest sample that was not late.
    pub fn newest(&self) -> Option<TimestampMs> {
        let open = self.open.as_ref().and_then(Appender::last_time);
        open.or_else(|| self.sealed.last().map(|chunk| chunk.range.maxt))
    }

    /// Appends the newest sample of the series; returns what happened and by how many bytes the
    /// memory grew.
    pub fn append(&mut self, at: Times, h: &Arc<Histogram>) -> (Appended, usize) {
        let full = |open: &Appender| {
            !open.takes(h, at.start)
                || open.count() >= SEAL_SAMPLES
                || open.bytes_len() >= SEAL_BYTES
        };
        if let Some(open) = self.open.take_if(|open| full(open)) {
            self.sealed.extend(sealed(&open));
        }
        let open = self.open.get_or_insert_with(|| Appender::new(encoding_of(h)));
        let before = open.bytes_len();
        open.append(at, h);
        self.last = Some(Arc::clone(h));
        (Appended::InOrder, open.bytes_len().saturating_sub(before))
    }

    /// Stores a sample that is not newer than all before it.
    pub fn append_late(&mut self, at: Times, value: Value) -> (Appended, usize) {
        let at_newest = self.newest() == Some(at.t);
        let in_a_chunk = self.chunks_may_have(at.t);
        let grown = match &value {
            Value::Float(_) => size_of::<LateSample>(),
            Value::Histogram(h) => size_of::<LateSample>() + h.bytes(),
        };
        match self.buffer.binary_search_by_key(&at.t, |sample| sample.0.t) {
            Ok(i) if self.buffer[i].0 == at && self.buffer[i].1 == value => {
                (Appended::Duplicate, 0)
            }
            Ok(i) => {
                self.buffer[i] = (at, value);
                (Appended::Replaced, 0)
            }
            Err(_) if at_newest && self.repeats_last(at, &value) => (Appended::Duplicate, 0),
            Err(i) => {
                self.buffer.insert(i, (at, value));
                if self.buffer.len() >= LATE_BUFFER_SAMPLES {
                    self.seal_late();
                }
                let replaced = at_newest && !in_a_chunk;
                (if replaced { Appended::Replaced } else { Appended::Late }, grown)
            }
        }
    }

    /// Whether the buffer of late samples has one of the time `t`.
    pub(super) fn buffers(&self, t: TimestampMs) -> bool {
        self.buffer.binary_search_by_key(&t, |sample| sample.0.t).is_ok()
    }

    /// Whether a full late chunk may have a sample of the time `t`.
    pub(super) fn chunks_may_have(&self, t: TimestampMs) -> bool {
        self.late.iter().any(|chunk| chunk.range.contains(t))
    }

    /// Whether the newest sample is `value` and no late chunk may have replaced it.
    fn repeats_last(&self, at: Times, value: &Value) -> bool {
        let Value::Histogram(h) = value else { return false };
        self.last.as_ref() == Some(h)
            && self.open.as_ref().is_none_or(|open| open.last_start() == at.start)
            && self.newest().is_some_and(|t| !self.chunks_may_have(t))
    }

    /// Makes chunks of the buffer, one for each kind of samples in it: their times differ, so their
    /// order does not matter.
    fn seal_late(&mut self) {
        let (mut floats, mut chunks) = (gorilla::Appender::new(), Vec::new());
        let mut histograms: Vec<Appender> = Vec::new();
        for (at, value) in self.buffer.drain(..) {
            match value {
                Value::Float(v) => {
                    if !floats.takes(at.start) {
                        chunks.extend(sealed_floats(std::mem::take(&mut floats)));
                    }
                    floats.append(at, v);
                }
                Value::Histogram(h) => {
                    let takes = |chunk: &&mut Appender| chunk.takes(&h, at.start);
                    if let Some(chunk) = histograms.iter_mut().rev().find(takes) {
                        chunk.append(at, &h);
                    } else {
                        let mut chunk = Appender::new(encoding_of(&h));
                        chunk.append(at, &h);
                        histograms.push(chunk);
                    }
                }
            }
        }
        chunks.extend(sealed_floats(floats));
        self.late.extend(chunks);
        self.late.extend(histograms.iter().filter_map(sealed));
    }

    /// Number of chunks, and the times of the first and the last sample.
    pub fn extent(&self) -> (usize, TimeRange) {
        let mut range = TimeRange::EMPTY;
        self.sealed.iter().chain(&self.late).for_each(|c| range.include_range(&c.range));
        self.buffer.iter().for_each(|sample| range.include(sample.0.t));
        let open = self.open.as_ref().and_then(Appender::range);
        open.iter().for_each(|open| range.include_range(open));
        let buffers = usize::from(open.is_some()) + usize::from(!self.buffer.is_empty());
        (self.sealed.len() + self.late.len() + buffers, range)
    }

    /// The full chunks.
    pub(super) fn all_sealed(&self) -> impl Iterator<Item = &SealedChunk> {
        self.sealed.iter().chain(&self.late)
    }

    /// The full chunks.
    pub(super) fn all_sealed_mut(&mut self) -> impl Iterator<Item = &mut SealedChunk> {
        self.sealed.iter_mut().chain(&mut self.late)
    }

    /// What lies in `range`, oldest write first.
    pub fn collect(&self, range: TimeRange) -> Vec<HistogramPart> {
        let overlapping = |chunks: &[SealedChunk]| -> Vec<SealedChunk> {
            chunks.iter().filter(|c| c.range.overlaps(&range)).cloned().collect()
        };
        let mut in_order = overlapping(&self.sealed);
        let open = self.open.as_ref().filter(|o| o.range().is_some_and(|r| r.overlaps(&range)));
        in_order.extend(open.and_then(sealed));
        let mut parts = Vec::new();
        if !in_order.is_empty() {
            parts.push(Part::Chunks(in_order));
        }
        parts.extend(overlapping(&self.late).into_iter().map(|chunk| Part::Chunks(vec![chunk])));
        let inside = |sample: &&LateSample| range.contains(sample.0.t);
        let buffered: Vec<LateSample> = self.buffer.iter().filter(inside).cloned().collect();
        if !buffered.is_empty() {
            parts.push(Part::Samples(buffered));
        }
        parts.into_iter().map(HistogramPart).collect()
    }
}

/// A copy of an open chunk; `None` for an empty one.
pub(super) fn sealed(chunk: &Appender) -> Option<SealedChunk> {
    Some(SealedChunk::new(chunk.range()?, chunk.encoding(), chunk.snapshot()))
}

/// A chunk of floats that is complete; `None` for an empty one.
fn sealed_floats(chunk: gorilla::Appender) -> Option<SealedChunk> {
    let range = TimeRange::new(chunk.first_time()?, chunk.last_time()?);
    Some(SealedChunk::new(range, chunk.encoding(), chunk.finish()))
}

impl HistogramPart {
    /// Decodes what lies in `range` to the end of `run`.
    ///
    /// # Errors
    /// `corruption` when a chunk is not what was written.
    pub fn decode(&self, range: TimeRange, run: &mut Run) -> Result<()> {
        match &self.0 {
            Part::Chunks(chunks) => {
                chunks.iter().try_for_each(|chunk| chunk.decode(range, run))?;
            }
            Part::Samples(samples) => {
                let mut sink = run.sink();
                for (at, value) in samples {
                    match value {
                        Value::Float(v) => sink.float(*at, *v),
                        Value::Histogram(h) => sink.histogram(*at, Arc::clone(h)),
                    }
                }
            }
        }
        Ok(())
    }
}

/// A histogram on its way to a series.
#[derive(Debug, Clone)]
pub struct Addressed {
    /// Whose.
    pub series: SeriesRef,
    /// When, and since when.
    pub at: Times,
    /// What.
    pub h: Arc<Histogram>,
}

/// What is stored of a histogram: itself, or where it has a finer schema than is stored, the same
/// at the finest that is. Its time is judged as that of any sample.
///
/// # Errors
/// `bad_data` with what is wrong.
pub fn judge(h: &Histogram, reject_non_finite: bool) -> Result<Arc<Histogram>> {
    if reject_non_finite && h.has_non_finite() {
        let text = "histogram: a count or its sum is not finite (ingest.rejectNonFinite)";
        return Err(Error::new(ErrorCode::BadData, text));
    }
    let h = h.reduced()?.unwrap_or_else(|| h.clone());
    h.validate()?;
    Ok(Arc::new(h))
}

impl Head {
    /// Appends the histograms of a logged write, in its order, and returns how many replaced
    /// another value.
    pub(super) fn append_histograms(&self, samples: &[Addressed], generation: Generation) -> u64 {
        let mut tally = Tally::new();
        for Addressed { series, at, h } in samples {
            let mut slots = self.shards[series.shard()].slots.write();
            if !slots.pending.is_empty() {
                self.make_way(&mut slots, *series, at.t);
            }
            let Some(entry) = slots.get_mut(series.slot()) else { continue };
            tally.touch(*series, entry);
            tally.add(at.t, entry.append_histogram(generation, *at, h));
        }
        if samples.is_empty() {
            return 0;
        }
        self.counters.histograms.fetch_add(samples.len() as u64, Ordering::Relaxed);
        self.count(&tally, samples.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::series::Series;
    use crate::histogram::{Counts, Layout, Tally};
    use crate::merge::{RunSlice, merge};
    use crate::sample::Times;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn a_histogram(n: u64) -> Value {
        let counts = match n % 2 {
            0 => Counts::Integer(Tally { count: n, zero: n, ..Tally::default() }),
            _ => Counts::Float(Tally { count: n as f64, zero: n as f64, ..Tally::default() }),
        };
        let layout = Arc::new(Layout { zero_threshold: 0.5, ..Layout::default() });
        Value::Histogram(Arc::new(Histogram { layout, counts, ..Histogram::stale() }))
    }

    fn value(n: u64) -> Value {
        if n < 3 { Value::Float(n as f64) } else { a_histogram(n) }
    }

    fn write(
        series: &mut Series,
        generation: u32,
        at: impl Into<Times>,
        value: &Value,
    ) -> Appended {
        match value {
            Value::Float(v) => series.append(Generation(generation), at, *v).0,
            Value::Histogram(h) => series.append_histogram(Generation(generation), at, h).0,
        }
    }

    fn read(series: &Series, range: TimeRange) -> Vec<(Times, Value)> {
        let mut runs = Vec::new();
        series.runs(Generation(1), Generation(2), range).decode(range, &mut runs).unwrap();
        let mut slices: Vec<RunSlice<'_>> = runs.iter().map(Run::as_slice).collect();
        let mut out = Vec::new();
        merge(&mut slices, |run| {
            for (i, v) in run.values.iter().enumerate() {
                let float = Value::Float(*v);
                out.push((run.times_of(i), run.histogram(i).map_or(float, Value::from)));
            }
        });
        out
    }

    proptest! {
        #[test]
        fn of_floats_and_histograms_in_any_order_the_last_write_stays(
            writes in proptest::collection::vec((-200i64..200, 0u64..8, 0i64..3), 0..900),
            starts in any::<bool>(),
            a in -200i64..200, b in -200i64..200,
        ) {
            let mut series = Series::default();
            let mut model = BTreeMap::new();
            for (i, (t, n, start)) in writes.iter().enumerate() {
                let generation = 1 + u32::from(i >= writes.len() / 2);
                let at = Times { t: *t, start: if starts { *start } else { 0 } };
                write(&mut series, generation, at, &value(*n));
                model.insert(*t, (at, value(*n)));
            }
            let range = TimeRange::new(a.min(b), a.max(b));
            let model: Vec<_> = model.into_values().collect();
            let inside = model.iter().filter(|(at, _)| range.contains(at.t)).cloned();
            prop_assert_eq!(read(&series, range), inside.collect::<Vec<_>>());
            prop_assert_eq!(read(&series, TimeRange::ALL), model);
        }
    }

    #[test]
    fn a_repeated_histogram_is_stored_once() {
        let mut series = Series::default();
        assert_eq!(write(&mut series, 1, 10, &value(4)), Appended::InOrder);
        assert_eq!(write(&mut series, 1, 10, &value(4)), Appended::Duplicate);
        assert_eq!(write(&mut series, 1, 10, &value(6)), Appended::Replaced);
        assert_eq!(write(&mut series, 1, 10, &value(6)), Appended::Duplicate);
        assert_eq!(write(&mut series, 1, 10, &value(4)), Appended::Replaced);
        assert_eq!(write(&mut series, 1, 5, &value(1)), Appended::Late);
        let all = read(&series, TimeRange::ALL);
        assert_eq!(all, [(5.into(), value(1)), (10.into(), value(4))]);
    }

    #[test]
    fn a_repeated_float_is_stored_once_and_another_start_replaces_it() {
        let (mut series, began) = (Series::default(), |start| Times { t: 10, start });
        assert_eq!(write(&mut series, 1, began(3), &value(1)), Appended::InOrder);
        assert_eq!(write(&mut series, 1, began(3), &value(1)), Appended::Duplicate);
        assert_eq!(write(&mut series, 1, began(4), &value(1)), Appended::Replaced);
        assert_eq!(write(&mut series, 1, began(4), &value(1)), Appended::Duplicate);
        assert_eq!(read(&series, TimeRange::ALL), [(began(4), value(1))]);
    }
}
