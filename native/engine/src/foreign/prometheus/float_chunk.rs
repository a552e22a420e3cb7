//! Float chunks: `XOR` in both directions, `XOR2` to read.
//!
//! Source: Prometheus 3.14, `tsdb/chunkenc/{xor,xor2}.go`. A number of bits that goes past the end
//! reads as zeros and is found out once, at the end of the chunk.

use super::varbit::{StartTimes, Window, signed, uvarint, wrong};
use super::varbit_writer::{Out, WriteWindow, fits_signed};
use crate::codec::bits::BitReader;
use crate::codec::varint;
use crate::error::{Error, Result};
use crate::sample::{STALE_BITS, Times, TimestampMs};

/// Gorilla XOR.
pub const XOR: u8 = 1;
/// Integer native histograms.
pub const HISTOGRAM: u8 = 2;
/// Float native histograms.
pub const FLOAT_HISTOGRAM: u8 = 3;
/// XOR with joint control bits and optional start timestamps.
pub const XOR2: u8 = 4;
/// [`HISTOGRAM`] with start timestamps.
pub const HISTOGRAM_ST: u8 = 5;
/// [`FLOAT_HISTOGRAM`] with start timestamps.
pub const FLOAT_HISTOGRAM_ST: u8 = 6;

/// Samples of a chunk that is written, as Prometheus cuts them.
pub const CHUNK_SAMPLES: usize = 120;

/// Appends the samples of a float chunk to both columns.
///
/// # Errors
/// `corruption` for another encoding, and for bytes that end early.
pub fn decode(
    encoding: u8,
    data: &[u8],
    timestamps: &mut Vec<Times>,
    values: &mut Vec<f64>,
) -> Result<()> {
    let (count, rest) = data.split_first_chunk::<2>().ok_or_else(|| wrong("it has no header"))?;
    let count = usize::from(u16::from_be_bytes(*count));
    // The shortest sample takes two bits in either encoding, the first one more.
    if count > rest.len() * 8 {
        return Err(wrong(&format!("{count} samples in {} bytes", rest.len())));
    }
    let end = match encoding {
        XOR => decode_xor(count, rest, timestamps, values)?,
        XOR2 => decode_xor2(count, rest, timestamps, values)?,
        other => return Err(wrong(&format!("encoding {other} is not one of floats"))),
    };
    if end.overran() {
        return Err(wrong(&format!("its bytes end before its {count} samples")));
    }
    Ok(())
}

fn decode_xor<'a>(
    count: usize,
    data: &'a [u8],
    timestamps: &mut Vec<Times>,
    values: &mut Vec<f64>,
) -> Result<BitReader<'a>> {
    let mut bits = BitReader::new(data);
    let mut window = Window::default();
    let (mut t, mut delta, mut value) = (0i64, 0i64, 0u64);
    for number in 0..count {
        match number {
            0 => {
                t = varint::unzigzag(uvarint(&mut bits)?);
                value = bits.read(64);
            }
            1 => {
                delta = uvarint(&mut bits)? as i64;
                t = t.wrapping_add(delta);
                value ^= window.read(&mut bits)?;
            }
            _ => {
                delta = delta.wrapping_add(xor_dod(&mut bits));
                t = t.wrapping_add(delta);
                value ^= window.read(&mut bits)?;
            }
        }
        timestamps.push(t.into());
        values.push(f64::from_bits(value));
    }
    Ok(bits)
}

/// The delta of deltas of `XOR`: up to four ones say how wide it is.
fn xor_dod(bits: &mut BitReader<'_>) -> i64 {
    match bits.peek().leading_ones() {
        0 => {
            bits.skip(1);
            0
        }
        1 => {
            bits.skip(2);
            signed(bits.read(14), 14)
        }
        2 => {
            bits.skip(3);
            signed(bits.read(17), 17)
        }
        3 => {
            bits.skip(4);
            signed(bits.read(20), 20)
        }
        _ => {
            bits.skip(4);
            bits.read(64) as i64
        }
    }
}

fn decode_xor2<'a>(
    count: usize,
    data: &'a [u8],
    timestamps: &mut Vec<Times>,
    values: &mut Vec<f64>,
) -> Result<BitReader<'a>> {
    let (header, data) = data.split_first().ok_or_else(|| wrong("it has no header"))?;
    let mut starts = StartTimes::new(*header);
    let mut bits = BitReader::new(data);
    let mut window = Window::default();
    let (mut t, mut delta) = (0i64, 0i64);
    // A stale marker leaves the value that the next one is compared with.
    let mut base = 0u64;
    for number in 0..count {
        let previous = t;
        let value = match number {
            0 => {
                t = varint::unzigzag(uvarint(&mut bits)?);
                let value = bits.read(64);
                if value != STALE_BITS {
                    base = value;
                }
                value
            }
            1 => {
                delta = uvarint(&mut bits)? as i64;
                t = t.wrapping_add(delta);
                xor2_value(&mut bits, &mut window, &mut base)?
            }
            _ => {
                let ones = bits.peek().leading_ones().min(5);
                bits.skip((ones + 1).min(5));
                let dod = match ones {
                    2 => twos_complement(bits.read(13), 13),
                    3 => twos_complement(bits.read(20), 20),
                    4 => bits.read(64) as i64,
                    _ => 0,
                };
                delta = delta.wrapping_add(dod);
                t = t.wrapping_add(delta);
                match ones {
                    0 => base,
                    1 => {
                        if bits.read(1) == 1 {
                            window.renew(&mut bits)?;
                        }
                        base ^= window.changed(&mut bits);
                        base
                    }
                    2..=4 => xor2_value(&mut bits, &mut window, &mut base)?,
                    _ => STALE_BITS,
                }
            }
        };
        let start = starts.read(number, (previous, t), &mut bits)?;
        timestamps.push(Times { t, start });
        values.push(f64::from_bits(value));
    }
    Ok(bits)
}

fn twos_complement(bits: u64, width: u32) -> i64 {
    ((bits << (64 - width)) as i64) >> (64 - width)
}

/// The value of an `XOR2` sample whose time did not say it already.
fn xor2_value(bits: &mut BitReader<'_>, window: &mut Window, base: &mut u64) -> Result<u64> {
    match bits.peek().leading_ones() {
        0 => {
            bits.skip(1);
            return Ok(*base);
        }
        1 => bits.skip(2),
        2 => {
            bits.skip(3);
            window.renew(bits)?;
        }
        _ => {
            bits.skip(3);
            return Ok(STALE_BITS);
        }
    }
    *base ^= window.changed(bits);
    Ok(*base)
}

/// Encodes samples in ascending time as an `XOR` chunk: at most 65,535, at least one.
///
/// # Errors
/// `internal` for another number of samples, or of values.
pub fn encode_xor(timestamps: &[TimestampMs], values: &[f64]) -> Result<Vec<u8>> {
    let count = u16::try_from(timestamps.len()).unwrap_or(0);
    if count == 0 || timestamps.len() != values.len() {
        let text = format!("a chunk of {} times, {} values", timestamps.len(), values.len());
        return Err(Error::internal(text));
    }
    let mut out = Out::default();
    out.bytes.extend_from_slice(&count.to_be_bytes());
    varint::write_signed(&mut out.bytes, timestamps[0]);
    out.bytes.extend_from_slice(&values[0].to_bits().to_be_bytes());
    let (mut delta, mut window) = (0i64, WriteWindow::default());
    for i in 1..timestamps.len() {
        let now = timestamps[i].wrapping_sub(timestamps[i - 1]);
        if i == 1 {
            varint::write(&mut out.bytes, now as u64);
        } else {
            write_dod(&mut out, now.wrapping_sub(delta));
        }
        delta = now;
        window.write(values[i].to_bits() ^ values[i - 1].to_bits(), &mut out);
    }
    Ok(out.bytes)
}

/// The counterpart of [`xor_dod`].
fn write_dod(out: &mut Out, dod: i64) {
    let low = |width: u32| dod as u64 & ((1 << width) - 1);
    if dod == 0 {
        out.push(0, 1);
    } else if fits_signed(dod, 14) {
        out.push(0b10 << 14 | low(14), 16);
    } else if fits_signed(dod, 17) {
        out.push(0b110 << 17 | low(17), 20);
    } else if fits_signed(dod, 20) {
        out.push(0b1110 << 20 | low(20), 24);
    } else {
        out.push(0b1111, 4);
        out.push(dod as u64, 64);
    }
}

#[cfg(test)]
mod tests;
