//! A run: some samples of one series, column-wise, in strictly ascending time.
//!
//! Floats are plain columns. A sample that is a histogram has it in a side column, which may be
//! shorter than the others: what is missing there is a float. So a run of floats, which nearly all
//! are, has an empty side column and pays for it once a run and not once a sample. The value of a
//! histogram is its sum; a stale marker therefore shows in the values, whatever the kind. Start
//! timestamps are a second side column, in the same way.

use std::ops::Range;

use crate::histogram::Histogram;
use crate::sample::{NO_START, Times, TimestampMs};
use crate::sync::Arc;

/// What a reader has to find out about the values of floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Needs {
    /// Each, by bits.
    #[default]
    Values,
    /// Only which of them are stale markers; others may be told as 0. Whoever only counts samples
    /// asks so, and a source decodes values where that is no easier.
    Staleness,
}

/// An owned run.
#[derive(Debug, Default, Clone)]
pub struct Run {
    /// Milliseconds.
    pub timestamps: Vec<TimestampMs>,
    /// Values, by bits; of a histogram its sum.
    pub values: Vec<f64>,
    /// The samples that are histograms; at most as long as the other columns.
    pub histograms: Vec<Option<Arc<Histogram>>>,
    /// Start timestamps; at most as long as the other columns, and what is missing is [`NO_START`].
    pub starts: Vec<TimestampMs>,
}

impl Run {
    /// All of it.
    pub fn as_slice(&self) -> RunSlice<'_> {
        let Self { timestamps, values, histograms, starts } = self;
        RunSlice { timestamps, values, histograms, starts }
    }

    /// Where decoded samples go: to its end.
    pub fn sink(&mut self) -> Sink<'_> {
        let Self { timestamps, values, histograms, starts } = self;
        Sink { timestamps, values, histograms, starts }
    }
}

/// A borrowed run.
#[derive(Debug, Default, Clone, Copy)]
pub struct RunSlice<'a> {
    /// Milliseconds.
    pub timestamps: &'a [TimestampMs],
    /// Values, by bits; of a histogram its sum.
    pub values: &'a [f64],
    /// The samples that are histograms; at most as long as the other columns.
    pub histograms: &'a [Option<Arc<Histogram>>],
    /// Start timestamps; at most as long as the other columns.
    pub starts: &'a [TimestampMs],
}

impl<'a> RunSlice<'a> {
    /// A run of floats.
    pub fn floats(timestamps: &'a [TimestampMs], values: &'a [f64]) -> Self {
        Self { timestamps, values, histograms: &[], starts: &[] }
    }

    /// The samples `span`, which must be there.
    #[inline]
    #[must_use]
    pub fn slice(&self, span: Range<usize>) -> Self {
        Self {
            timestamps: &self.timestamps[span.clone()],
            values: &self.values[span.clone()],
            histograms: side_column(self.histograms, span.clone()),
            starts: side_column(self.starts, span),
        }
    }

    /// The histogram that sample `i` is; `None` for a float.
    #[inline]
    pub fn histogram(&self, i: usize) -> Option<&'a Arc<Histogram>> {
        self.histograms.get(i)?.as_ref()
    }

    /// The start timestamp of sample `i`, or [`NO_START`].
    #[inline]
    pub fn start(&self, i: usize) -> TimestampMs {
        self.starts.get(i).copied().unwrap_or(NO_START)
    }

    /// The times of sample `i`, which must be there.
    #[inline]
    pub fn times_of(&self, i: usize) -> Times {
        Times { t: self.timestamps[i], start: self.start(i) }
    }

    /// Whether any sample says when it began.
    pub fn has_starts(&self) -> bool {
        self.starts.iter().any(|start| *start != NO_START)
    }

    /// Whether sample `i` is, but for its time, sample `j` of `other`: the same kind, the same
    /// bits, the same start.
    #[inline]
    pub fn same_value(&self, i: usize, other: &Self, j: usize) -> bool {
        self.values[i].to_bits() == other.values[j].to_bits()
            && self.histogram(i) == other.histogram(j)
            && self.start(i) == other.start(j)
    }
}

/// Where decoded samples go: to the ends of columns. Side columns stay as short as they can be.
#[derive(Debug)]
pub struct Sink<'a> {
    /// Milliseconds.
    pub timestamps: &'a mut Vec<TimestampMs>,
    /// Values, by bits; of a histogram its sum, so that a stale marker shows there.
    pub values: &'a mut Vec<f64>,
    /// The samples that are histograms.
    pub histograms: &'a mut Vec<Option<Arc<Histogram>>>,
    /// Start timestamps.
    pub starts: &'a mut Vec<TimestampMs>,
}

impl Sink<'_> {
    /// Appends a float.
    #[inline]
    pub fn float(&mut self, at: Times, v: f64) {
        self.say_start(at.start);
        self.timestamps.push(at.t);
        self.values.push(v);
    }

    /// Appends a histogram.
    pub fn histogram(&mut self, at: Times, h: Arc<Histogram>) {
        self.say_start(at.start);
        self.histograms.resize(self.timestamps.len(), None);
        self.timestamps.push(at.t);
        self.values.push(h.sum);
        self.histograms.push(Some(h));
    }

    #[inline]
    fn say_start(&mut self, start: TimestampMs) {
        if start != NO_START {
            self.starts.resize(self.timestamps.len(), NO_START);
            self.starts.push(start);
        }
    }

    /// Forgets all samples but the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.timestamps.truncate(len);
        self.values.truncate(len);
        self.histograms.truncate(len);
        self.starts.truncate(len);
    }
}

/// The part of a side column that belongs to the samples `span`: shorter where the column ends.
#[inline]
pub fn side_column<T>(column: &[T], span: Range<usize>) -> &[T] {
    if column.is_empty() {
        return &[];
    }
    let end = span.end.min(column.len());
    &column[span.start.min(end)..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_column_that_ends_early_has_floats_behind_it() {
        let run = Run {
            timestamps: vec![1, 2, 3],
            values: vec![0.5, f64::NAN, 2.0],
            histograms: vec![None, Some(Arc::new(Histogram::stale()))],
            starts: vec![7],
        };
        let all = run.as_slice();
        assert!(all.histogram(0).is_none() && all.histogram(1).is_some());
        assert!(all.histogram(2).is_none());
        let tail = all.slice(1..3);
        assert!(tail.histogram(0).is_some() && tail.histogram(1).is_none());
        assert!(all.slice(2..3).histograms.is_empty() && tail.starts.is_empty());
        assert_eq!((all.start(0), all.start(1), tail.start(0)), (7, NO_START, NO_START));
        assert!(all.same_value(1, &tail, 0) && !all.same_value(0, &tail, 0));
    }
}
