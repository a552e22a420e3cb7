//! Request bodies to borrowed samples, a file a protocol. Whatever the wire, a request becomes one
//! [`WireBatch`], and everything after that exists once.

pub mod compression;
pub mod histogram;
pub mod json_lines;
pub mod labels;
pub mod metadata;
pub mod protobuf;
pub mod remote_write;
pub mod remote_write_2;

use std::borrow::Cow;
use std::ops::Range;

use crate::error::{Error, Result};
use crate::sample::{NO_START, Sample, TimestampMs};
use crate::wire::histogram::WireHistogram;
use crate::wire::metadata::WireMetadata;

/// A decoded request. Borrows text from the (decompressed) body, and labels from it or from an
/// arena that they were written to.
#[derive(Debug, Default)]
pub struct WireBatch<'a> {
    /// One entry per time series message, in the request's order; the same labels may occur twice.
    pub series: Vec<WireSeries<'a>>,
    /// The float samples of all series, one after the other.
    pub samples: Vec<Sample>,
    /// Start timestamps of the float samples; at most as long, and what is missing is
    /// [`NO_START`].
    pub starts: Vec<TimestampMs>,
    /// The native histogram samples of all series, one after the other.
    pub histograms: Vec<WireHistogram>,
    /// The exemplars of all series, one after the other.
    pub exemplars: Vec<WireExemplar<'a>>,
    /// What metrics are, in the request's order.
    pub metadata: Vec<WireMetadata<'a>>,
    /// What the sender hears of an exemplar older than the newest of its series.
    pub late_exemplars: LateExemplars,
    /// What could not be understood while the rest could.
    pub refusals: Vec<Refusal>,
}

/// One time series of a request. Its samples, histograms and exemplars end at the places given
/// here, and begin where those of the series before it end.
#[derive(Debug)]
pub struct WireSeries<'a> {
    /// The labels as `labels` fields of remote_write 1.0, tags included, one after the other:
    /// canonical (`labels.rs`) when the sender sorts, but not checked yet.
    pub labels: Cow<'a, [u8]>,
    /// Place in [`WireBatch::samples`].
    pub samples_end: u32,
    /// Place in [`WireBatch::histograms`].
    pub histograms_end: u32,
    /// Place in [`WireBatch::exemplars`].
    pub exemplars_end: u32,
}

/// A trace or request that stands for others, beside the samples of a series.
#[derive(Debug)]
pub struct WireExemplar<'a> {
    /// Encoded as those of a series; not checked yet, and may be empty.
    pub labels: Cow<'a, [u8]>,
    /// When.
    pub t: TimestampMs,
    /// The observation, by its bits.
    pub v: f64,
}

/// Whether a sender is told of an exemplar that comes too late to be stored.
///
/// Source: Prometheus 3.14, `storage/remote/write_handler.go`: `write` and `appendV2` differ here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LateExemplars {
    /// It is dropped and counted.
    #[default]
    Drop,
    /// It is refused like a sample.
    Refuse,
}

/// Something of a request that was refused before anybody looked at what it says.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub error: Error,
    /// Samples it concerns, or 1 where it has none.
    pub count: u64,
}

/// What of a batch belongs to one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spans {
    /// Of [`WireBatch::samples`].
    pub samples: Range<usize>,
    /// Of [`WireBatch::histograms`].
    pub histograms: Range<usize>,
    /// Of [`WireBatch::exemplars`].
    pub exemplars: Range<usize>,
}

/// How much of everything a batch has so far.
#[derive(Debug, Clone, Copy)]
struct Lengths {
    samples: usize,
    histograms: usize,
    exemplars: usize,
}

impl<'a> WireBatch<'a> {
    /// What belongs to series `index`, which must be there.
    #[inline]
    pub fn spans(&self, index: usize) -> Spans {
        let places = |s: &WireSeries<'_>| [s.samples_end, s.histograms_end, s.exemplars_end];
        let start = index.checked_sub(1).map_or([0; 3], |before| places(&self.series[before]));
        let end = places(&self.series[index]);
        let [samples, histograms, exemplars] =
            std::array::from_fn(|i| start[i] as usize..end[i] as usize);
        Spans { samples, histograms, exemplars }
    }

    /// Adds a float sample to the current series.
    #[inline]
    pub fn push_sample(&mut self, sample: Sample, start: TimestampMs) {
        if start != NO_START {
            self.starts.resize(self.samples.len(), NO_START);
            self.starts.push(start);
        }
        self.samples.push(sample);
    }

    /// The start timestamp of sample `index` of all, or [`NO_START`].
    #[inline]
    pub fn start_of(&self, index: usize) -> TimestampMs {
        self.starts.get(index).copied().unwrap_or(NO_START)
    }

    /// Ends a series: what was pushed since the last one ended is its own.
    ///
    /// # Errors
    /// `bad_data` when there is more than a place can say.
    pub fn end_series(&mut self, labels: Cow<'a, [u8]>) -> Result<()> {
        let place = |len: usize| {
            let text = "a request has more than 2^32-1 samples";
            u32::try_from(len).map_err(|_| Error::bad_data(text))
        };
        self.series.push(WireSeries {
            labels,
            samples_end: place(self.samples.len())?,
            histograms_end: place(self.histograms.len())?,
            exemplars_end: place(self.exemplars.len())?,
        });
        Ok(())
    }

    fn lengths(&self) -> Lengths {
        Lengths {
            samples: self.samples.len(),
            histograms: self.histograms.len(),
            exemplars: self.exemplars.len(),
        }
    }

    /// Forgets what was pushed after `lengths` were taken.
    fn truncate(&mut self, lengths: Lengths) {
        self.samples.truncate(lengths.samples);
        self.starts.truncate(lengths.samples);
        self.histograms.truncate(lengths.histograms);
        self.exemplars.truncate(lengths.exemplars);
    }
}
