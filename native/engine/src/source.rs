//! The read seam: what queries, flush and merge need of a head snapshot or of a block.
//!
//! A selection is a *list* of series; reading decodes part of that list over a range into columns.
//! There is no per-series chunk iterator above this line, because cold chunks hold several series.

use std::collections::BTreeSet;

use crate::dictionary::Dictionary;
use crate::error::Result;
use crate::histogram::Histogram;
use crate::index::matcher::Matcher;
use crate::refs::TenantId;
use crate::run::{Needs, RunSlice, Sink, side_column};
use crate::sample::{NO_START, TimeRange, TimestampMs};
use crate::sync::Arc;

/// Who asks: every read, write and delete takes one. The engine adds its matchers by itself, so a
/// caller that is confined to some series cannot forget to be.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The tenant; 0 alone until tenants exist.
    pub tenant: TenantId,
    /// Matchers that every series must satisfy besides those of the request.
    pub matchers: Vec<Matcher>,
}

/// What is to be selected.
#[derive(Debug, Clone)]
pub struct SelectRequest {
    /// Who asks.
    pub scope: Scope,
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Only series that may have a sample in here are wanted.
    pub range: TimeRange,
}

impl SelectRequest {
    /// The matchers of the request and of its scope.
    pub fn all_matchers(&self) -> impl Iterator<Item = &Matcher> {
        self.matchers.iter().chain(&self.scope.matchers)
    }
}

/// Samples of a list of series, column-wise, each series a run as `run.rs` has them.
///
/// `offsets.len() == n_series + 1`; series `i` owns `[offsets[i], offsets[i + 1])` of all columns;
/// its timestamps ascend strictly. The columns of histograms and of start timestamps may end early,
/// and are empty where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Columns {
    /// Where each series begins.
    pub offsets: Vec<usize>,
    /// Milliseconds.
    pub timestamps: Vec<TimestampMs>,
    /// Values, by bits; of a histogram its sum.
    pub values: Vec<f64>,
    /// The samples that are histograms.
    pub histograms: Vec<Option<Arc<Histogram>>>,
    /// Start timestamps; what is missing is [`NO_START`].
    pub starts: Vec<TimestampMs>,
    /// What is to be filled in of the values. Clearing does not change it.
    pub needs: Needs,
}

impl Default for Columns {
    fn default() -> Self {
        Self {
            offsets: vec![0],
            timestamps: Vec::new(),
            values: Vec::new(),
            histograms: Vec::new(),
            starts: Vec::new(),
            needs: Needs::Values,
        }
    }
}

impl Columns {
    /// Number of series.
    pub fn series_count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Ends the current series: what was pushed since the last call is its samples.
    pub fn end_series(&mut self) {
        self.offsets.push(self.timestamps.len());
    }

    /// Appends a float sample to the current series.
    #[inline]
    pub fn push(&mut self, t: TimestampMs, v: f64) {
        self.timestamps.push(t);
        self.values.push(v);
    }

    /// Appends a run to the current series.
    #[inline]
    pub fn extend(&mut self, run: &RunSlice<'_>) {
        if !run.histograms.is_empty() {
            self.histograms.resize(self.timestamps.len(), None);
            self.histograms.extend_from_slice(run.histograms);
        }
        if !run.starts.is_empty() {
            self.starts.resize(self.timestamps.len(), NO_START);
            self.starts.extend_from_slice(run.starts);
        }
        self.timestamps.extend_from_slice(run.timestamps);
        self.values.extend_from_slice(run.values);
    }

    /// The samples of series `i`.
    #[inline]
    pub fn run(&self, i: usize) -> RunSlice<'_> {
        let span = self.offsets[i]..self.offsets[i + 1];
        RunSlice {
            timestamps: &self.timestamps[span.clone()],
            values: &self.values[span.clone()],
            histograms: side_column(&self.histograms, span.clone()),
            starts: side_column(&self.starts, span),
        }
    }

    /// Where decoded samples go: to the current series.
    pub fn sink(&mut self) -> Sink<'_> {
        let Self { timestamps, values, histograms, starts, .. } = self;
        Sink { timestamps, values, histograms, starts }
    }

    /// Times and values of the samples of series `i`.
    pub fn series(&self, i: usize) -> (&[TimestampMs], &[f64]) {
        let span = self.offsets[i]..self.offsets[i + 1];
        (&self.timestamps[span.clone()], &self.values[span])
    }

    /// Forgets all series and keeps the memory.
    pub fn clear(&mut self) {
        self.offsets.truncate(1);
        self.timestamps.clear();
        self.values.clear();
        self.histograms.clear();
        self.starts.clear();
    }
}

/// A set of series with samples: a head generation or a block.
pub trait SeriesSource: Send + Sync {
    /// The times of its first and last sample.
    fn time_range(&self) -> TimeRange;

    /// The series that satisfy the request, in no promised order.
    ///
    /// # Errors
    /// `corruption` when an index does not hold what it promises.
    fn select(self: Arc<Self>, request: &SelectRequest) -> Result<Box<dyn SourceSelection>>;

    /// Adds the label names of the series that satisfy the request.
    ///
    /// # Errors
    /// As [`SeriesSource::select`].
    fn label_names(&self, request: &SelectRequest, out: &mut BTreeSet<String>) -> Result<()>;

    /// Adds the values that label `name` has in the series that satisfy the request.
    ///
    /// # Errors
    /// As [`SeriesSource::select`].
    fn label_values(
        &self,
        name: &str,
        request: &SelectRequest,
        out: &mut BTreeSet<String>,
    ) -> Result<()>;
}

/// The series that one source found; pins what it needs of the source.
pub trait SourceSelection: Send {
    /// Number of series.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the labels of series `index` as ids of `dictionary`: name, value, name, value …,
    /// names ascending by bytes. A selection is asked with one dictionary all its life: it
    /// remembers the ids.
    ///
    /// # Errors
    /// `corruption` when an index does not hold what it promises.
    fn labels(
        &mut self,
        index: usize,
        dictionary: &mut Dictionary,
        out: &mut Vec<u32>,
    ) -> Result<()>;

    /// How much memory the samples of series `index` at all times take, counted in float samples,
    /// where that is known without decoding them. A reader that bounds its memory goes by it.
    fn read_weight(&mut self, _index: usize) -> Option<u64> {
        None
    }

    /// Decodes the samples of the series `which` over `range` and appends one entry to `out` for
    /// each, empty ones included, in the order of `which`.
    ///
    /// # Errors
    /// `corruption` when a chunk does not hold what it promises.
    fn read(&mut self, which: &[u32], range: TimeRange, out: &mut Columns) -> Result<()>;

    /// The same series, to be read by another thread. `None` where there is no such thing: then
    /// one thread reads all.
    fn fork(&self) -> Option<Box<dyn SourceSelection>> {
        None
    }
}
