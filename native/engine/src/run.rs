//! A run: some samples of one series, column-wise, in strictly ascending time.
//!
//! Floats are plain columns. A sample that is a histogram has it in a side column, which may be
//! shorter than the others: what is missing there is a float. So a run of floats, which nearly all
//! are, has an empty side column and pays for it once a run and not once a sample. The value of a
//! histogram is its sum; a stale marker therefore shows in the values, whatever the kind.

use std::ops::Range;
use std::sync::Arc;

use crate::histogram::Histogram;
use crate::sample::TimestampMs;

/// An owned run.
#[derive(Debug, Default, Clone)]
pub struct Run {
    /// Milliseconds.
    pub timestamps: Vec<TimestampMs>,
    /// Values, by bits; of a histogram its sum.
    pub values: Vec<f64>,
    /// The samples that are histograms; at most as long as the other columns.
    pub histograms: Vec<Option<Arc<Histogram>>>,
}

impl Run {
    /// All of it.
    pub fn as_slice(&self) -> RunSlice<'_> {
        let Self { timestamps, values, histograms } = self;
        RunSlice { timestamps, values, histograms }
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
}

impl<'a> RunSlice<'a> {
    /// A run of floats.
    pub fn floats(timestamps: &'a [TimestampMs], values: &'a [f64]) -> Self {
        Self { timestamps, values, histograms: &[] }
    }

    /// The samples `span`, which must be there.
    #[inline]
    #[must_use]
    pub fn slice(&self, span: Range<usize>) -> Self {
        Self {
            timestamps: &self.timestamps[span.clone()],
            values: &self.values[span.clone()],
            histograms: side_column(self.histograms, span),
        }
    }

    /// The histogram that sample `i` is; `None` for a float.
    #[inline]
    pub fn histogram(&self, i: usize) -> Option<&'a Arc<Histogram>> {
        self.histograms.get(i)?.as_ref()
    }

    /// Whether sample `i` is, but for its time, sample `j` of `other`: the same kind, the same
    /// bits.
    #[inline]
    pub fn same_value(&self, i: usize, other: &Self, j: usize) -> bool {
        self.values[i].to_bits() == other.values[j].to_bits()
            && self.histogram(i) == other.histogram(j)
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
        };
        let all = run.as_slice();
        assert!(all.histogram(0).is_none() && all.histogram(1).is_some());
        assert!(all.histogram(2).is_none());
        let tail = all.slice(1..3);
        assert!(tail.histogram(0).is_some() && tail.histogram(1).is_none());
        assert!(all.slice(2..3).histograms.is_empty());
        assert!(all.same_value(1, &tail, 0) && !all.same_value(0, &tail, 0));
    }
}
