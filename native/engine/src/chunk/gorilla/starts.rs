//! Gorilla chunks whose samples have start timestamps ([`Encoding::GorillaStarts`]).
//!
//! ```text
//! chunk   = varint(count) samples
//! samples = zigzag varint(first time) 64 bits of the first value, zigzag varint(first start),
//!           then per sample: time value start
//! start   = 0                          that of the sample before
//!         | 10                         the time of the sample before: what counts in intervals
//!         | 110 32 bits                that of the sample before and so much, two's complement
//!         | 111 64 bits                the same, modulo 2^64
//! ```
//!
//! A counter's start changes with a reset, so it mostly takes a bit. An open chunk keeps the last
//! start in front of what it has encoded, so that one without pays nothing.

use super::{Appender, Code, Decoder, corruption, first_sample, split};
use crate::chunk::Encoding;
use crate::codec::varint;
use crate::error::Result;
use crate::run::Sink;
use crate::sample::{NO_START, TimeRange, Times, TimestampMs};

/// The bit of the window's width, which takes seven, that says that the chunk has starts.
const STARTS: u8 = 0x80;
/// Bytes of the last start, before the encoded samples.
const PREFIX: usize = 8;

impl Appender {
    /// An empty chunk for samples with and without start timestamps.
    pub fn with_starts() -> Self {
        let mut chunk = Self::default();
        chunk.begin_starts();
        chunk
    }

    /// Whether its samples have start timestamps, which they need not say.
    pub fn has_starts(&self) -> bool {
        self.width & STARTS != 0
    }

    /// Whether a sample with this start may be appended: an empty chunk may become one with starts.
    #[inline]
    pub fn takes(&self, start: TimestampMs) -> bool {
        start == NO_START || self.count == 0 || self.has_starts()
    }

    /// How [`Appender::snapshot`] is encoded.
    pub fn encoding(&self) -> Encoding {
        if self.has_starts() { Encoding::GorillaStarts } else { Encoding::Gorilla }
    }

    /// The start of the last sample; [`NO_START`] when there is none.
    #[inline]
    pub fn last_start(&self) -> TimestampMs {
        if !self.has_starts() {
            return NO_START;
        }
        self.bytes.first_chunk().map_or(NO_START, |bytes| i64::from_le_bytes(*bytes))
    }

    /// Bytes in front of the encoded samples.
    #[inline]
    pub(super) fn prefix(&self) -> usize {
        if self.has_starts() { PREFIX } else { 0 }
    }

    /// Bits of the window that a value was written in; 0 before the first.
    #[inline]
    pub(super) fn window_width(&self) -> u8 {
        self.width & !STARTS
    }

    #[inline]
    pub(super) fn set_window_width(&mut self, width: u8) {
        self.width = self.width & STARTS | width;
    }

    /// Sets up an empty chunk that has, or gets, starts.
    pub(super) fn begin_starts(&mut self) {
        self.width = STARTS;
        self.reserve(PREFIX);
        self.len = PREFIX as u32;
    }

    pub(super) fn set_last_start(&mut self, start: TimestampMs) {
        if let Some(bytes) = self.bytes.first_chunk_mut::<PREFIX>() {
            *bytes = start.to_le_bytes();
        }
    }

    /// Appends the start of a sample behind its time and value. The time of the sample before is
    /// still that of the last one.
    pub(super) fn push_start(&mut self, start: TimestampMs) {
        let before = self.last_start();
        let ahead = start.wrapping_sub(before);
        let code = if ahead == 0 {
            return self.push(Code::new(0, 1));
        } else if start == self.last_time {
            Code::new(0b10, 2)
        } else if let Ok(ahead) = i32::try_from(ahead) {
            Code::new(0b110, 3).then(Code::new(u64::from(ahead as u32), 32))
        } else {
            Code::new(0b111, 3).then(Code::new(ahead as u64, 64))
        };
        self.push(code);
        self.set_last_start(start);
    }
}

/// The samples of a chunk with starts, one after the other.
pub(super) struct StartDecoder<'a> {
    pub(super) samples: Decoder<'a>,
    /// Of the current sample.
    pub(super) start: TimestampMs,
}

impl<'a> StartDecoder<'a> {
    /// A decoder that stands on the first sample.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        let (time, value, rest) = first_sample(bytes)?;
        let (start, rest) = varint::read_signed(rest)
            .ok_or_else(|| corruption("it ends in its first start timestamp"))?;
        Ok(Self { samples: Decoder::after(time, value, rest), start })
    }

    /// Moves to the next sample; past the end as [`Decoder::advance`].
    pub(super) fn advance(&mut self) {
        let before = self.samples.time;
        self.samples.advance();
        let reader = &mut self.samples.reader;
        match (!reader.peek()).leading_zeros() {
            0 => reader.skip(1),
            1 => {
                reader.skip(2);
                self.start = before;
            }
            2 => {
                reader.skip(3);
                self.start = self.start.wrapping_add(i64::from(reader.read(32) as u32 as i32));
            }
            _ => {
                reader.skip(3);
                self.start = self.start.wrapping_add(reader.read(64) as i64);
            }
        }
    }
}

/// As [`super::decode`], of a chunk with starts.
///
/// # Errors
/// As [`super::decode`].
pub fn decode_starts(bytes: &[u8], range: TimeRange, sink: &mut Sink<'_>) -> Result<()> {
    let (header, samples) = split(bytes)?;
    decode_samples(header.count, samples, range, sink)
}

pub(super) fn decode_samples(
    count: u32,
    samples: &[u8],
    range: TimeRange,
    sink: &mut Sink<'_>,
) -> Result<()> {
    if count == 0 {
        return match samples.len() {
            0 => Ok(()),
            more => Err(corruption(&format!("{more} bytes follow a count of 0"))),
        };
    }
    let before = sink.timestamps.len();
    let mut decoder = StartDecoder::new(samples)?;
    let mut left = count - 1;
    loop {
        let Decoder { time, value, .. } = decoder.samples;
        if time > range.maxt {
            break;
        }
        if time >= range.mint {
            let at = Times { t: time, start: decoder.start };
            sink.float(at, f64::from_bits(value));
        }
        if left == 0 {
            break;
        }
        left -= 1;
        decoder.advance();
    }
    let past_range = decoder.samples.time > range.maxt;
    let checked = decoder.samples.check(left == 0 && !past_range);
    checked.inspect_err(|_| sink.truncate(before))
}
