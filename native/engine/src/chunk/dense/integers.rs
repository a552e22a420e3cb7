//! Columns of integers: four codecs, of which the smallest one is taken.
//!
//! ```text
//! 0 constant   svarint                          all values
//! 1 runs       svarint ( varint svarint )*      the first value, then: how many times it comes,
//!                                               and the next value minus it; the last one stays
//! 2 packed     order u8, `order` svarints       the first value; its first difference
//!              svarint varint                   the least of what is left; the greatest divisor
//!              width u8                         of what is left minus it: `x`, packed in so many
//!              varint ( varint varint )*        bits; how many do not fit; for each of these: its
//!              bits                             place minus the one before, its high bits
//! 3 entropy    pco
//! ```
//!
//! What is left is the values (order 0), their differences (1) or the differences of those (2), all
//! modulo 2^64.

use pco::{DeltaSpec, ModeSpec};

use super::{Scratch, corruption, entropy, pack};
use crate::codec::varint;
use crate::error::Result;

/// Which codec; two bits on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Constant = 0,
    Runs = 1,
    Packed = 2,
    Entropy = 3,
}

impl Codec {
    pub(super) fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Constant,
            1 => Self::Runs,
            2 => Self::Packed,
            _ => Self::Entropy,
        }
    }
}

/// The highest order of differences.
const ORDER_MAX: usize = 2;

/// Entropy coding takes three times as long to read as packed bits, and 2 µs more however short the
/// column is: it must save this many hundredths, and as many bytes as that time is worth, to be
/// chosen. With 5 instead of 15 counters that grow by white noise take 4 % fewer bytes, and a query
/// over a day of them takes 1.5 times the CPU; scraped pages take the same either way.
const ENTROPY_SAVES_PERCENT: usize = 15;
const ENTROPY_SAVES_BYTES: usize = 24;

/// Appends `ints`, of which there is at least one, and says in which codec.
pub(super) fn encode(ints: &[i64], out: &mut Vec<u8>) -> Codec {
    let changes = ints.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let first = ints.first().copied().unwrap_or(0);
    if changes == 0 {
        varint::write_signed(out, first);
        return Codec::Constant;
    }
    let plan = (0..=ORDER_MAX).map(|order| Plan::of(ints, order)).min_by_key(|plan| plan.bits);
    let Some(plan) = plan else { return Codec::Constant };
    let start = out.len();
    let codec = write_smaller(ints, changes, &plan, out);
    let plain = out.len() - start;
    if ints.len() < entropy::COUNT_MIN || plain < entropy::COUNT_MIN {
        return codec;
    }
    let middle = out.len();
    let delta = match plan.order {
        0 => DeltaSpec::NoOp,
        order => DeltaSpec::TryConsecutive(order),
    };
    if entropy::encode(ints, ModeSpec::Auto, delta, out)
        && (out.len() - middle + ENTROPY_SAVES_BYTES) * 100 <= plain * (100 - ENTROPY_SAVES_PERCENT)
    {
        out.drain(start..middle);
        return Codec::Entropy;
    }
    out.truncate(middle);
    codec
}

/// Appends `ints` as runs or packed, whichever is smaller.
fn write_smaller(ints: &[i64], changes: usize, plan: &Plan, out: &mut Vec<u8>) -> Codec {
    let start = out.len();
    // A run takes two bytes at least.
    if changes * 16 < plan.bits {
        write_runs(ints, out);
        if (out.len() - start) * 8 <= plan.bits {
            return Codec::Runs;
        }
        out.truncate(start);
    }
    plan.write(ints, out);
    Codec::Packed
}

/// Fills `out` from all of `bytes`.
pub(super) fn decode(
    codec: Codec,
    bytes: &[u8],
    scratch: &mut Scratch,
    out: &mut [i64],
) -> Result<()> {
    let read = match codec {
        Codec::Constant => read_constant(bytes, out),
        Codec::Runs => read_runs(bytes, out),
        Codec::Packed => read_packed(bytes, out),
        Codec::Entropy => return entropy::decode(bytes, &mut scratch.pco, out),
    };
    read.ok_or_else(|| corruption(&format!("{codec:?} integers are malformed")))
}

fn read_constant(bytes: &[u8], out: &mut [i64]) -> Option<()> {
    let (value, rest) = varint::read_signed(bytes)?;
    out.fill(value);
    rest.is_empty().then_some(())
}

fn write_runs(ints: &[i64], out: &mut Vec<u8>) {
    let (mut value, mut run) = (ints[0], 0u64);
    varint::write_signed(out, value);
    for int in ints {
        if *int != value {
            varint::write(out, run);
            varint::write_signed(out, int.wrapping_sub(value));
            (value, run) = (*int, 0);
        }
        run += 1;
    }
}

fn read_runs(bytes: &[u8], mut out: &mut [i64]) -> Option<()> {
    let (mut value, mut rest) = varint::read_signed(bytes)?;
    while !rest.is_empty() {
        let (run, tail) = varint::read(rest)?;
        let (step, tail) = varint::read_signed(tail)?;
        let (now, later) = out.split_at_mut_checked(usize::try_from(run).ok()?)?;
        now.fill(value);
        value = value.wrapping_add(step);
        (out, rest) = (later, tail);
    }
    out.fill(value);
    Some(())
}

/// How a column would be packed.
struct Plan {
    order: usize,
    least: i64,
    divisor: u64,
    width: u32,
    /// About how many bits all of it takes.
    bits: usize,
}

/// What is left of `ints` at `order`.
fn residuals(ints: &[i64], order: usize) -> impl Iterator<Item = i64> {
    let (mut last, mut last_step) = (0i64, 0i64);
    let residual = move |int: &i64| {
        let step = int.wrapping_sub(last);
        let change = step.wrapping_sub(last_step);
        (last, last_step) = (*int, step);
        match order {
            0 => *int,
            1 => step,
            _ => change,
        }
    };
    ints.iter().map(residual).skip(order)
}

fn greatest_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn bit_len(x: u64) -> usize {
    64 - x.leading_zeros() as usize
}

impl Plan {
    fn of(ints: &[i64], order: usize) -> Self {
        let least = residuals(ints, order).min().unwrap_or(0);
        let mut divisor = 0;
        for residual in residuals(ints, order) {
            divisor = greatest_divisor(divisor, residual.wrapping_sub(least) as u64);
            if divisor == 1 {
                break;
            }
        }
        let divisor = divisor.max(1);
        let mut of_len = [0usize; 65];
        for residual in residuals(ints, order) {
            of_len[bit_len(residual.wrapping_sub(least) as u64 / divisor)] += 1;
        }
        let count = ints.len().saturating_sub(order);
        // What does not fit `width` costs its place and its high bits.
        let cost = |width: usize| {
            let patches = of_len.iter().enumerate().skip(width + 1);
            let patched: usize =
                patches.map(|(len, n)| n * (12 + (len - width).div_ceil(7) * 8)).sum();
            count * width + patched
        };
        let width = (0..=64).min_by_key(|width| cost(*width)).unwrap_or(64);
        let head = 40 + order * (16 + varint::len(varint::zigzag(ints[0])) * 8);
        let bits = cost(width) + head + varint::len(varint::zigzag(least)) * 8;
        Self { order, least, divisor, width: width as u32, bits }
    }

    fn write(&self, ints: &[i64], out: &mut Vec<u8>) {
        let order = self.order.min(ints.len());
        out.push(order as u8);
        if order > 0 {
            varint::write_signed(out, ints[0]);
        }
        if order > 1 {
            varint::write_signed(out, ints[1].wrapping_sub(ints[0]));
        }
        varint::write_signed(out, self.least);
        varint::write(out, self.divisor);
        out.push(self.width as u8);
        let scaled =
            || residuals(ints, order).map(|r| r.wrapping_sub(self.least) as u64 / self.divisor);
        let high = |x: u64| if self.width == 64 { 0 } else { x >> self.width };
        let patches = || scaled().enumerate().filter(|(_, x)| high(*x) != 0);
        varint::write(out, patches().count() as u64);
        let mut last = 0;
        for (at, x) in patches() {
            varint::write(out, (at - last) as u64);
            varint::write(out, high(x));
            last = at;
        }
        pack::pack(scaled(), self.width, out);
    }
}

fn read_packed(bytes: &[u8], out: &mut [i64]) -> Option<()> {
    let (order, mut rest) = bytes.split_first()?;
    let order = usize::from(*order);
    if order > ORDER_MAX || order > out.len() {
        return None;
    }
    let mut heads = [0i64; ORDER_MAX];
    for head in &mut heads[..order] {
        (*head, rest) = varint::read_signed(rest)?;
    }
    let (least, tail) = varint::read_signed(rest)?;
    let (divisor, tail) = varint::read(tail)?;
    let (width, tail) = tail.split_first()?;
    let (patches, tail) = varint::read(tail)?;
    let width = u32::from(*width);
    if width > 64 || patches > (out.len() - order) as u64 {
        return None;
    }
    let mut list = tail;
    let mut after = tail;
    for _ in 0..patches {
        after = varint::read(varint::read(after)?.1)?.1;
    }
    let left = &mut out[order..];
    pack::unpack(after, width, left).then_some(())?;
    let mut at = 0usize;
    for _ in 0..patches {
        let (gap, tail) = varint::read(list)?;
        let (high, tail) = varint::read(tail)?;
        at = at.checked_add(usize::try_from(gap).ok()?)?;
        let slot = left.get_mut(at)?;
        *slot |= high.checked_shl(width)? as i64;
        list = tail;
    }
    if divisor != 1 {
        left.iter_mut().for_each(|x| *x = x.wrapping_mul(divisor as i64));
    }
    left.iter_mut().for_each(|x| *x = x.wrapping_add(least));
    add_up(order, heads, out);
    Some(())
}

/// Turns differences, which begin behind the heads, into values.
fn add_up(order: usize, heads: [i64; ORDER_MAX], out: &mut [i64]) {
    match order {
        0 => {}
        1 => {
            let mut last = heads[0];
            out[0] = last;
            for value in &mut out[1..] {
                last = last.wrapping_add(*value);
                *value = last;
            }
        }
        _ => {
            let (mut last, mut step) = (heads[0].wrapping_add(heads[1]), heads[1]);
            (out[0], out[1]) = (heads[0], last);
            for value in &mut out[2..] {
                step = step.wrapping_add(*value);
                last = last.wrapping_add(step);
                *value = last;
            }
        }
    }
}
