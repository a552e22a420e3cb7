//! Chunks: samples of one series, encoded. The encoding byte says how; an unknown one is an error
//! that names it, never skipped.

pub mod dense;
pub mod gorilla;
pub mod histogram;

use crate::error::{Error, Result};
use crate::run::Sink;
use crate::sample::TimeRange;

/// How a chunk is encoded. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// Delta-of-delta timestamps and XOR values ([`gorilla`]).
    Gorilla = 1,
    /// The same with start timestamps ([`gorilla::decode_starts`]).
    GorillaStarts = 2,
    /// Histograms with integer counts ([`histogram`]).
    IntHistogram = 16,
    /// Histograms with float counts ([`histogram`]).
    FloatHistogram = 17,
    /// [`Self::IntHistogram`] with start timestamps.
    IntHistogramStarts = 18,
    /// [`Self::FloatHistogram`] with start timestamps.
    FloatHistogramStarts = 19,
}

impl Encoding {
    /// The encoding of a byte read from disk.
    ///
    /// # Errors
    /// `corruption` for a byte that this version does not know.
    pub fn from_byte(byte: u8) -> Result<Self> {
        match byte {
            1 => Ok(Self::Gorilla),
            2 => Ok(Self::GorillaStarts),
            16 => Ok(Self::IntHistogram),
            17 => Ok(Self::FloatHistogram),
            18 => Ok(Self::IntHistogramStarts),
            19 => Ok(Self::FloatHistogramStarts),
            other => Err(Error::newer_format(format!(
                "chunk encoding {other} is unknown to this version (knows: 1, 2, 16 to 19)"
            ))),
        }
    }

    /// Whether the samples are histograms, which [`histogram::decode`] reads.
    pub fn is_histogram(self) -> bool {
        !matches!(self, Self::Gorilla | Self::GorillaStarts)
    }

    /// The same with start timestamps.
    #[must_use]
    pub fn with_starts(self) -> Self {
        match self {
            Self::Gorilla | Self::GorillaStarts => Self::GorillaStarts,
            Self::IntHistogram | Self::IntHistogramStarts => Self::IntHistogramStarts,
            Self::FloatHistogram | Self::FloatHistogramStarts => Self::FloatHistogramStarts,
        }
    }

    /// Whether the samples have start timestamps.
    pub fn has_starts(self) -> bool {
        matches!(self, Self::GorillaStarts | Self::IntHistogramStarts | Self::FloatHistogramStarts)
    }
}

/// Decodes the samples of a chunk that lie in `range` and appends them to `sink`, in ascending
/// time.
///
/// # Errors
/// `corruption` when the bytes end early or hold what no encoder writes.
pub fn decode(
    encoding: Encoding,
    bytes: &[u8],
    range: TimeRange,
    sink: &mut Sink<'_>,
) -> Result<()> {
    match encoding {
        Encoding::Gorilla => gorilla::decode(bytes, range, sink.timestamps, sink.values),
        Encoding::GorillaStarts => gorilla::decode_starts(bytes, range, sink),
        _ => histogram::decode(encoding, bytes, range, sink),
    }
}
