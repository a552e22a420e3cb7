//! The fields of a histogram chunk: numbers in bits, and what is predicted of the next value.

use crate::codec::bits::{self, BitReader};

/// Widths of the classes of a number behind the prefixes `10` to `11111111`.
const NUMBER_WIDTHS: [u32; 8] = [3, 6, 9, 12, 18, 25, 56, 64];
/// Bits of the description of an XOR window: leading zeros and width.
const WINDOW_BITS: u32 = 5 + 6;
/// The most leading zeros that 5 bits say.
const LEADING_MAX: u32 = 31;

/// Bits behind each other.
#[derive(Debug, Clone, Default)]
pub struct BitWriter {
    /// Complete at every moment.
    pub bytes: Vec<u8>,
    free: u8,
}

impl BitWriter {
    /// Appends the low `width` bits of `value`.
    pub fn push(&mut self, value: u64, width: u32) {
        self.free = bits::push(&mut self.bytes, self.free, u128::from(value), width);
    }

    /// Appends a number.
    pub fn number(&mut self, value: i64) {
        if value == 0 {
            return self.push(0, 1);
        }
        // Bits that two's complement needs: the significant ones of the magnitude and a sign.
        let needed = 65 - (value ^ (value >> 63)).leading_zeros();
        let class = NUMBER_WIDTHS.iter().position(|width| needed <= *width).unwrap_or(7);
        let (ones, width) = (class as u32 + 1, NUMBER_WIDTHS[class]);
        match class {
            7 => self.push(0xff, 8),
            _ => self.push(((1 << ones) - 1) << 1, ones + 1),
        }
        self.push(value as u64 & (u64::MAX >> (64 - width)), width);
    }
}

/// Reads a number; zero past the end.
pub fn read_number(reader: &mut BitReader<'_>) -> i64 {
    let ones = (!reader.peek()).leading_zeros().min(8);
    if ones == 0 {
        reader.skip(1);
        return 0;
    }
    reader.skip((ones + 1).min(8));
    let width = NUMBER_WIDTHS[ones as usize - 1];
    (reader.read(width) << (64 - width)) as i64 >> (64 - width)
}

/// Encodes and decodes the values of one field over the samples of a chunk.
pub trait Predictor: Clone + Default {
    /// What it holds.
    type Value: Copy;
    /// Whether the field would take the shortest code.
    fn predicts(&self, value: Self::Value) -> bool;
    /// Writes the next value.
    fn write(&mut self, out: &mut BitWriter, value: Self::Value);
    /// Past the end of the chunk anything comes back; the caller looks at the reader.
    fn read(&mut self, reader: &mut BitReader<'_>) -> Self::Value;
    /// Takes the last value for one that does not move.
    fn settle(&mut self);
    /// The value that is predicted; what [`Predictor::read`] gives for the shortest code.
    fn step(&mut self) -> Self::Value;
}

/// An integer that moves evenly.
#[derive(Debug, Clone, Copy, Default)]
pub struct Even {
    /// The last one.
    pub value: u64,
    delta: u64,
}

impl Predictor for Even {
    type Value = u64;

    fn predicts(&self, value: u64) -> bool {
        value.wrapping_sub(self.value) == self.delta
    }

    fn write(&mut self, out: &mut BitWriter, value: u64) {
        let delta = value.wrapping_sub(self.value);
        out.number(delta.wrapping_sub(self.delta) as i64);
        *self = Self { value, delta };
    }

    fn read(&mut self, reader: &mut BitReader<'_>) -> u64 {
        self.delta = self.delta.wrapping_add(read_number(reader) as u64);
        self.step()
    }

    fn settle(&mut self) {
        self.delta = 0;
    }

    fn step(&mut self) -> u64 {
        self.value = self.value.wrapping_add(self.delta);
        self.value
    }
}

/// A float that changes in few bits: XOR with the one before, as in `gorilla.rs`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Xor {
    bits: u64,
    leading: u8,
    /// 0: no window yet.
    width: u8,
}

impl Predictor for Xor {
    type Value = f64;

    fn predicts(&self, value: f64) -> bool {
        value.to_bits() == self.bits
    }

    fn write(&mut self, out: &mut BitWriter, value: f64) {
        let xor = value.to_bits() ^ self.bits;
        self.bits = value.to_bits();
        if xor == 0 {
            return out.push(0, 1);
        }
        let leading = xor.leading_zeros().min(LEADING_MAX);
        let trailing = xor.trailing_zeros();
        let width = 64 - leading - trailing;
        let (old_leading, old_width) = (u32::from(self.leading), u32::from(self.width));
        let fits = old_width > 0
            && leading >= old_leading
            && trailing >= 64 - old_leading - old_width
            && old_width <= width + WINDOW_BITS;
        if fits {
            out.push(0b10, 2);
            return out.push(xor >> (64 - old_leading - old_width), old_width);
        }
        (self.leading, self.width) = (leading as u8, width as u8);
        out.push((0b11 << 5 | u64::from(leading)) << 6 | u64::from(width % 64), 2 + WINDOW_BITS);
        out.push(xor >> trailing, width);
    }

    fn read(&mut self, reader: &mut BitReader<'_>) -> f64 {
        if reader.read(1) == 0 {
            return self.step();
        }
        if reader.read(1) == 1 {
            self.leading = reader.read(5) as u8;
            self.width = match reader.read(6) as u8 {
                0 => 64,
                width => width,
            };
        }
        let end = u32::from(self.leading) + u32::from(self.width);
        if self.width == 0 || end > 64 {
            // No encoder writes this: run off the end, where the caller notices.
            reader.skip(u32::MAX);
            return self.step();
        }
        self.bits ^= reader.read(u32::from(self.width)) << (64 - end);
        self.step()
    }

    fn settle(&mut self) {}

    fn step(&mut self) -> f64 {
        f64::from_bits(self.bits)
    }
}
