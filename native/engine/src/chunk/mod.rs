//! Chunks: samples of one series, encoded. The encoding byte says how; an unknown one is an error
//! that names it, never skipped.

pub mod dense;
pub mod gorilla;
pub mod histogram;

use crate::error::{Error, Result};
use crate::sample::{TimeRange, TimestampMs};

/// How a chunk is encoded. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Encoding {
    /// Delta-of-delta timestamps and XOR values ([`gorilla`]).
    Gorilla = 1,
    /// Histograms with integer counts ([`histogram`]).
    IntHistogram = 16,
    /// Histograms with float counts ([`histogram`]).
    FloatHistogram = 17,
}

impl Encoding {
    /// The encoding of a byte read from disk.
    ///
    /// # Errors
    /// `corruption` for a byte that this version does not know.
    pub fn from_byte(byte: u8) -> Result<Self> {
        match byte {
            1 => Ok(Self::Gorilla),
            16 => Ok(Self::IntHistogram),
            17 => Ok(Self::FloatHistogram),
            other => Err(Error::newer_format(format!(
                "chunk encoding {other} is unknown to this version (knows: 1, 16, 17)"
            ))),
        }
    }

    /// Whether the samples are histograms, which [`histogram::decode`] reads.
    pub fn is_histogram(self) -> bool {
        matches!(self, Self::IntHistogram | Self::FloatHistogram)
    }
}

/// Decodes the float samples of a chunk that lie in `range` and appends them to both columns, in
/// ascending time.
///
/// # Errors
/// `corruption` when the bytes end early or hold what no encoder writes; `internal` for an encoding
/// of histograms.
pub fn decode(
    encoding: Encoding,
    bytes: &[u8],
    range: TimeRange,
    timestamps: &mut Vec<TimestampMs>,
    values: &mut Vec<f64>,
) -> Result<()> {
    match encoding {
        Encoding::Gorilla => gorilla::decode(bytes, range, timestamps, values),
        Encoding::IntHistogram | Encoding::FloatHistogram => {
            Err(Error::internal("a chunk of histograms is read as floats"))
        }
    }
}
