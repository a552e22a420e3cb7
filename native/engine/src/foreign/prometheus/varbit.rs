//! What the chunk encodings are made of: numbers of a few bits, windows of changed bits, and the
//! column of start timestamps.
//!
//! Source: Prometheus 3.14, `tsdb/chunkenc/{varbit,xor,st}.go`.

use crate::codec::bits::BitReader;
use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::sample::{NO_START, TimestampMs};

/// A `corruption` error, which its caller gives a place.
pub fn wrong(what: &str) -> Error {
    Error::new(ErrorCode::Corruption, format!("a chunk is malformed: {what}"))
}

/// Prometheus' own signed numbers: the upper half of the range, its middle excluded, is negative.
pub fn signed(bits: u64, width: u32) -> i64 {
    if bits > 1 << (width - 1) { bits as i64 - (1 << width) } else { bits as i64 }
}

/// Which bits of a value changed last.
pub struct Window {
    leading: u32,
    width: u32,
}

impl Default for Window {
    /// All bits: an appender that goes on with a chunk in which no value has changed yet takes this
    /// for the window before.
    fn default() -> Self {
        Self { leading: 0, width: 64 }
    }
}

impl Window {
    /// The XOR with the value before.
    pub fn read(&mut self, bits: &mut BitReader<'_>) -> Result<u64> {
        if bits.read(1) == 0 {
            return Ok(0);
        }
        if bits.read(1) == 1 {
            self.renew(bits)?;
        }
        Ok(self.changed(bits))
    }

    /// Reads a new window.
    pub fn renew(&mut self, bits: &mut BitReader<'_>) -> Result<()> {
        self.leading = bits.read(5) as u32;
        self.width = match bits.read(6) as u32 {
            0 => 64,
            width => width,
        };
        if self.leading + self.width > 64 {
            return Err(wrong("a value is wider than 64 bits"));
        }
        Ok(())
    }

    /// The changed bits, at their places.
    pub fn changed(&self, bits: &mut BitReader<'_>) -> u64 {
        bits.read(self.width) << (64 - self.leading - self.width)
    }
}

/// A varint whose bytes lie at the reader's position.
pub fn uvarint(bits: &mut BitReader<'_>) -> Result<u64> {
    let mut value = 0u64;
    for i in 0..varint::MAX_LEN {
        let byte = bits.read(8);
        value |= (byte & 0x7F) << (7 * i);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(wrong("a number does not end"))
}

/// How wide a number is by the ones before it; eight say 64.
pub const WIDTHS: [u32; 8] = [0, 3, 6, 9, 12, 18, 25, 56];

/// A signed number of 1 to 72 bits.
pub fn varbit_int(bits: &mut BitReader<'_>) -> i64 {
    let ones = bits.peek().leading_ones().min(8);
    let Some(width) = WIDTHS.get(ones as usize) else {
        bits.skip(8);
        return bits.read(64) as i64;
    };
    bits.skip(ones + 1);
    if *width == 0 { 0 } else { signed(bits.read(*width), *width) }
}

/// An unsigned number of 1 to 72 bits.
pub fn varbit_uint(bits: &mut BitReader<'_>) -> u64 {
    let ones = bits.peek().leading_ones().min(8);
    let Some(width) = WIDTHS.get(ones as usize) else {
        bits.skip(8);
        return bits.read(64);
    };
    bits.skip(ones + 1);
    if *width == 0 { 0 } else { bits.read(*width) }
}

/// The start-timestamp column of a chunk: present from some sample on. What is written is how long
/// before the sample before it a sample began.
pub struct StartTimes {
    first_known: bool,
    from: usize,
    start: TimestampMs,
    before: i64,
}

impl StartTimes {
    /// Of the chunk with this header.
    pub fn new(header: u8) -> Self {
        let (first_known, from) = (header & 0x80 != 0, usize::from(header & 0x7F));
        Self { first_known, from, start: NO_START, before: 0 }
    }

    /// Reads that of sample `number`, which is at `t`; the one before it, if any, is at `previous`.
    pub fn read(
        &mut self,
        number: usize,
        (previous, t): (TimestampMs, TimestampMs),
        bits: &mut BitReader<'_>,
    ) -> Result<TimestampMs> {
        if number == 0 {
            if self.first_known {
                self.start = t.wrapping_sub(varint::unzigzag(uvarint(bits)?));
            }
        } else if self.from > 0 && number >= self.from {
            // The first one begins the differences.
            self.before = self.before.wrapping_add(varbit_int(bits));
            self.start = previous.wrapping_sub(self.before);
        }
        Ok(self.start)
    }
}
