//! Request bodies to borrowed samples, a file a protocol. Whatever the wire, a request becomes one
//! [`WireBatch`], and everything after that exists once.

pub mod compression;
pub mod json_lines;
pub mod labels;
pub mod protobuf;
pub mod remote_write;

use crate::sample::Sample;

/// A decoded request. Borrows label bytes from the (decompressed) body.
#[derive(Debug, Default)]
pub struct WireBatch<'a> {
    /// One entry per time series message, in the request's order; the same labels may occur twice.
    pub series: Vec<WireSeries<'a>>,
    /// The float samples of all series, one after the other.
    pub samples: Vec<Sample>,
    /// What the request carried that is not stored.
    pub unsupported: Unsupported,
    /// Lines that could not be read, where a request is made of lines.
    pub refused_lines: RefusedLines,
}

/// Lines of a request that could not be read.
#[derive(Debug, Default, Clone)]
pub struct RefusedLines {
    /// How many.
    pub count: u64,
    /// A few sentences, with the number of the line.
    pub examples: Vec<String>,
}

/// One time series of a request.
#[derive(Debug)]
pub struct WireSeries<'a> {
    /// The `labels` fields as the sender wrote them, tags included, one after the other: canonical
    /// (`labels.rs`) when the sender sorts, but not checked yet.
    pub labels: std::borrow::Cow<'a, [u8]>,
    /// Where its samples end in [`WireBatch::samples`]; they begin where the previous ones end.
    pub samples_end: u32,
    /// Native histogram samples it carried.
    pub histograms: u32,
}

/// Counts of what a request carried beyond float samples.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Unsupported {
    /// Exemplars, accepted and dropped.
    pub exemplars: u64,
    /// Metadata entries, accepted and dropped.
    pub metadata: u64,
    /// Native histogram samples, refused sample by sample.
    pub histograms: u64,
}
