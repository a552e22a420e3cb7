//! Cold columns: values or times of one series, encoded as densely as they can be.
//!
//! A column is lossless by bits for every double. Its first byte says what it is made of:
//!
//! ```text
//! column     = form u8 [exceptions] numbers
//! form       = bits 0-4  0 to 22: integers, to be divided by so many tens
//!                        30: integers, the bits of the doubles in order of their size
//!                        31: doubles in pco (codec 3)
//!              bits 5-6  the codec of the numbers       (integers.rs)
//!              bit  7    exceptions stand before them
//! exceptions = varint(count) ( varint(place - place before) 8 bytes )*
//! ```
//!
//! The count of values is not in the column: whoever stores it knows it from the times. The encoder
//! measures: decimal digits as integers (decimal.rs) where nearly all values have few, and the
//! doubles themselves; what is smallest is written.
//!
//! Times are integers as they are, with the codec in the first byte.
//!
//! A column of values whose samples have start timestamps begins with these:
//!
//! ```text
//! started    = 29 u8  codec u8  varint(length of the numbers)  numbers  column
//! ```

mod decimal;
mod entropy;
mod integers;
mod pack;
#[cfg(test)]
mod tests;

use pco::{DecompressorScratch, DeltaSpec, ModeSpec};

use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::sample::{NO_START, TimestampMs};
use decimal::{EXPONENT_MAX, Scaled};
use integers::Codec;

/// The most samples of a column, which bounds what decoding one takes.
pub const SAMPLES_MAX: usize = 4096;

/// Forms beyond the decimal exponents.
const FORM_STARTS: u8 = 29;
const FORM_BITS: u8 = 30;
const FORM_DOUBLES: u8 = 31;
const CODEC_SHIFT: u8 = 5;
const FLAG_EXCEPTIONS: u8 = 0x80;

/// A decimal column of fewer bits a value is not tried as doubles: those would have to find out
/// about the decimals first.
const DECIMAL_IS_GOOD_BITS: usize = 36;

/// Memory that encoding and decoding reuse.
#[derive(Default)]
pub struct Scratch {
    scaled: Scaled,
    ints: Vec<i64>,
    other: Vec<u8>,
    pco: DecompressorScratch,
    check: Vec<f64>,
    doubles: Vec<f64>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

fn corruption(what: &str) -> Error {
    Error::new(ErrorCode::Corruption, format!("bad dense column: {what}"))
}

/// Appends a column of values: at least one, at most [`SAMPLES_MAX`].
pub fn encode_values(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    debug_assert!(!values.is_empty() && values.len() <= SAMPLES_MAX);
    let start = out.len();
    let mut scaled = std::mem::take(&mut scratch.scaled);
    let is_decimal = decimal::scale(values, &mut scaled);
    if is_decimal {
        write_integers(scaled.exponent, &scaled.exceptions, &scaled.ints, out);
    }
    scratch.scaled = scaled;
    if is_decimal && (out.len() - start) * 8 <= values.len() * DECIMAL_IS_GOOD_BITS {
        return;
    }
    let mut other = std::mem::take(&mut scratch.other);
    other.clear();
    write_doubles(values, scratch, &mut other);
    if !is_decimal || other.len() < out.len() - start {
        out.truncate(start);
        out.extend_from_slice(&other);
    }
    scratch.other = other;
}

/// Appends integers with their form and exceptions.
fn write_integers(form: u8, exceptions: &[(u32, u64)], ints: &[i64], out: &mut Vec<u8>) {
    let head = out.len();
    let flag = if exceptions.is_empty() { 0 } else { FLAG_EXCEPTIONS };
    out.push(form | flag);
    if flag != 0 {
        varint::write(out, exceptions.len() as u64);
        let mut last = 0;
        for (at, bits) in exceptions {
            varint::write(out, u64::from(at - last));
            out.extend_from_slice(&bits.to_le_bytes());
            last = *at;
        }
    }
    let codec = integers::encode(ints, out);
    out[head] |= (codec as u8) << CODEC_SHIFT;
}

/// Appends values that are no decimals: by their bits as integers, or in pco where that is smaller
/// and gives every bit back.
fn write_doubles(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let start = out.len();
    scratch.ints.clear();
    scratch.ints.extend(values.iter().map(|v| ordered(v.to_bits())));
    write_integers(FORM_BITS, &[], &scratch.ints, out);
    let middle = out.len();
    if values.len() < entropy::COUNT_MIN {
        return;
    }
    out.push(FORM_DOUBLES | (Codec::Entropy as u8) << CODEC_SHIFT);
    let written = [DeltaSpec::NoOp, DeltaSpec::TryConsecutive(1)].into_iter().filter_map(|delta| {
        let mut bytes = Vec::new();
        entropy::encode(values, ModeSpec::Auto, delta, &mut bytes).then_some(bytes)
    });
    let best = written.min_by_key(Vec::len).filter(|best| best.len() < middle - start);
    let same = best.as_ref().is_some_and(|best| {
        scratch.check.clear();
        scratch.check.resize(values.len(), 0.0);
        entropy::decode(best, &mut scratch.pco, &mut scratch.check).is_ok()
            && scratch.check.iter().zip(values).all(|(a, b)| a.to_bits() == b.to_bits())
    });
    match best {
        Some(best) if same => {
            out.extend_from_slice(&best);
            out.drain(start..middle);
        }
        _ => out.truncate(middle),
    }
}

/// The bits of a double as an integer that ascends with it.
fn ordered(bits: u64) -> i64 {
    (bits ^ (((bits as i64) >> 63) as u64 >> 1)) as i64
}

/// Fills `out` with the column in all of `bytes`. At most [`SAMPLES_MAX`] values.
///
/// # Errors
/// `corruption` for bytes that no encoder wrote for so many values; `out` is then of no use.
pub fn decode_values(bytes: &[u8], scratch: &mut Scratch, out: &mut [f64]) -> Result<()> {
    decode_part(bytes, scratch, (out.len(), 0), out)
}

/// Fills `out` with the values from place `first` on of the column of `count` values in all of
/// `bytes`.
///
/// # Errors
/// As [`decode_values`]; `internal` for a part that the column does not have.
pub fn decode_part(
    bytes: &[u8],
    scratch: &mut Scratch,
    (count, first): (usize, usize),
    out: &mut [f64],
) -> Result<()> {
    let part = first..first + out.len();
    if part.end > count {
        return Err(Error::internal(format!("values {part:?} of a column of {count}")));
    }
    let (form, mut rest) = bytes.split_first().ok_or_else(|| corruption("it has no first byte"))?;
    let exceptions = if form & FLAG_EXCEPTIONS == 0 {
        None
    } else {
        let list = rest;
        rest = skip_exceptions(rest).ok_or_else(|| corruption("its exceptions end early"))?;
        Some(list)
    };
    let codec = Codec::from_bits(form >> CODEC_SHIFT);
    match form & ((1 << CODEC_SHIFT) - 1) {
        exponent @ 0..=EXPONENT_MAX => {
            let ints = decode_integers(codec, rest, scratch, count)?;
            decimal::unscale(&ints[part.clone()], exponent, out);
        }
        FORM_BITS => {
            let ints = decode_integers(codec, rest, scratch, count)?;
            for (to, int) in out.iter_mut().zip(&ints[part.clone()]) {
                *to = f64::from_bits(ordered(*int as u64) as u64);
            }
        }
        FORM_DOUBLES if codec == Codec::Entropy && out.len() == count => {
            entropy::decode(rest, &mut scratch.pco, out)?;
        }
        FORM_DOUBLES if codec == Codec::Entropy => {
            scratch.doubles.resize(count, 0.0);
            entropy::decode(rest, &mut scratch.pco, &mut scratch.doubles)?;
            out.copy_from_slice(&scratch.doubles[part.clone()]);
        }
        other => return Err(corruption(&format!("form {other} with codec {codec:?}"))),
    }
    match exceptions {
        Some(list) => put_exceptions(list, count, first, out)
            .ok_or_else(|| corruption("exceptions past its end")),
        None => Ok(()),
    }
}

/// Fills `out` as [`decode_part`] does, but only stale markers come out as they are: other values
/// may be zeros. Of decimals all markers are exceptions, so that the numbers are not decoded.
///
/// # Errors
/// As [`decode_part`], but damage of numbers that are not decoded is not seen.
pub fn decode_staleness(
    bytes: &[u8],
    scratch: &mut Scratch,
    (count, first): (usize, usize),
    out: &mut [f64],
) -> Result<()> {
    let form = bytes.first().copied().unwrap_or(FORM_BITS);
    if form & ((1 << CODEC_SHIFT) - 1) > EXPONENT_MAX {
        return decode_part(bytes, scratch, (count, first), out);
    }
    out.fill(0.0);
    if form & FLAG_EXCEPTIONS == 0 {
        return Ok(());
    }
    put_exceptions(&bytes[1..], count, first, out)
        .ok_or_else(|| corruption("its exceptions end early, or lie past its end"))
}

fn decode_integers<'a>(
    codec: Codec,
    bytes: &[u8],
    scratch: &'a mut Scratch,
    count: usize,
) -> Result<&'a [i64]> {
    let mut ints = std::mem::take(&mut scratch.ints);
    // What is there already is overwritten: nothing is cleared that need not be.
    ints.resize(count, 0);
    let decoded = integers::decode(codec, bytes, scratch, &mut ints);
    scratch.ints = ints;
    decoded.map(|()| &scratch.ints[..])
}

fn skip_exceptions(bytes: &[u8]) -> Option<&[u8]> {
    let (count, mut rest) = varint::read(bytes)?;
    for _ in 0..count {
        rest = varint::read(rest)?.1.get(8..)?;
    }
    Some(rest)
}

fn put_exceptions(bytes: &[u8], count: usize, first: usize, out: &mut [f64]) -> Option<()> {
    let (exceptions, mut rest) = varint::read(bytes)?;
    let mut at = 0usize;
    for _ in 0..exceptions {
        let (gap, tail) = varint::read(rest)?;
        let (bits, tail) = tail.split_first_chunk()?;
        at = at.checked_add(usize::try_from(gap).ok()?)?;
        if at >= count {
            return None;
        }
        if let Some(value) = at.checked_sub(first).and_then(|at| out.get_mut(at)) {
            *value = f64::from_bits(u64::from_le_bytes(*bits));
        }
        rest = tail;
    }
    Some(())
}

/// Appends what goes before a column of `count` values if one of `starts`, which may be fewer, is
/// said: nothing for most.
pub fn encode_starts(starts: &[TimestampMs], count: usize, out: &mut Vec<u8>) {
    if starts.iter().all(|start| *start == NO_START) {
        return;
    }
    let mut all = starts.to_vec();
    all.resize(count, NO_START);
    let mut numbers = Vec::new();
    let codec = integers::encode(&all, &mut numbers);
    out.extend_from_slice(&[FORM_STARTS, codec as u8]);
    varint::write(out, numbers.len() as u64);
    out.extend_from_slice(&numbers);
}

/// Parts a column into its start timestamps, if it has them, and its values.
///
/// # Errors
/// `corruption` when the bytes end early.
#[inline]
pub fn split_starts(bytes: &[u8]) -> Result<(Option<&[u8]>, &[u8])> {
    let [FORM_STARTS, rest @ ..] = bytes else { return Ok((None, bytes)) };
    let length = rest.get(1..).and_then(varint::read);
    let parted = length.and_then(|(length, tail)| {
        let codec_and_length = rest.len() - tail.len();
        rest.split_at_checked(codec_and_length.checked_add(usize::try_from(length).ok()?)?)
    });
    let (starts, values) = parted.ok_or_else(|| corruption("its start timestamps end early"))?;
    Ok((Some(starts), values))
}

/// Fills `out` with the start timestamps that [`split_starts`] found. At most [`SAMPLES_MAX`].
///
/// # Errors
/// `corruption` for bytes that no encoder wrote for so many; `out` is then of no use.
pub fn decode_starts(bytes: &[u8], scratch: &mut Scratch, out: &mut [TimestampMs]) -> Result<()> {
    let wrong = || corruption("its start timestamps are malformed");
    let (codec, rest) = bytes.split_first().ok_or_else(wrong)?;
    let (_, numbers) = varint::read(rest).ok_or_else(wrong)?;
    if *codec > Codec::Entropy as u8 {
        return Err(corruption(&format!("start timestamps in codec {codec}")));
    }
    integers::decode(Codec::from_bits(*codec), numbers, scratch, out)
}

/// Appends a column of times: at least one, at most [`SAMPLES_MAX`], ascending.
pub fn encode_times(times: &[TimestampMs], out: &mut Vec<u8>) {
    let head = out.len();
    out.push(0);
    out[head] = integers::encode(times, out) as u8;
}

/// Fills `out` with the times in all of `bytes`.
///
/// # Errors
/// `corruption` for bytes that no encoder wrote for so many times, and for times that do not
/// ascend; `out` is then of no use.
pub fn decode_times(bytes: &[u8], scratch: &mut Scratch, out: &mut [TimestampMs]) -> Result<()> {
    let (codec, rest) = bytes.split_first().ok_or_else(|| corruption("it has no first byte"))?;
    if *codec > Codec::Entropy as u8 {
        return Err(corruption(&format!("times in codec {codec}")));
    }
    integers::decode(Codec::from_bits(*codec), rest, scratch, out)?;
    if out.is_sorted_by(|a, b| a < b) {
        return Ok(());
    }
    Err(corruption("its times do not ascend"))
}
