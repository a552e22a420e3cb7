//! Bits into bytes and back, most significant bit first.
//!
//! The writer keeps its bytes complete at every moment: unused low bits of the last byte are zero,
//! so what was written so far can be read while more is appended. The reader never fails in the
//! middle: past the end it sees zeros, and [`BitReader::overran`] tells afterwards. That keeps the
//! bounds check out of the loops that decode millions of samples; a caller bounds its loop itself.

/// Bits that [`BitReader::peek`] always gives, whatever the position within a byte.
pub const PEEK_BITS: u32 = 57;

/// The widest field of one [`push`]: a `u128` less what the last byte may hold already.
pub const PUSH_BITS_MAX: u32 = 121;

/// Appends the low `width` bits of `value` (at most [`PUSH_BITS_MAX`]; the others must be zero) to
/// `bytes`, whose last byte has `free` unused low bits, and returns how many the last byte has
/// then.
#[inline]
#[must_use]
pub fn push(bytes: &mut Vec<u8>, free: u8, value: u128, width: u32) -> u8 {
    let len = bytes.len();
    bytes.resize(len + grown_by(free, width), 0);
    put(bytes, len, free, value, width).1
}

/// Bytes by which [`put`] moves the end, at most 16.
#[inline]
pub fn grown_by(free: u8, width: u32) -> usize {
    width.saturating_sub(u32::from(free)).div_ceil(8) as usize
}

/// Like [`push`], into memory that the caller has made: `bytes[..len]` is written, and at least
/// [`grown_by`] bytes follow. Returns the new length and the unused low bits of the last byte.
#[inline]
pub fn put(bytes: &mut [u8], len: usize, free: u8, value: u128, width: u32) -> (usize, u8) {
    debug_assert!(free < 8 && width <= PUSH_BITS_MAX && value >> width == 0);
    if width == 0 {
        return (len, free);
    }
    let (start, used) = if free == 0 { (len, 0) } else { (len - 1, 8 - u32::from(free)) };
    let head = if free == 0 { 0 } else { bytes[start] };
    let total = used + width;
    let bits = (u128::from(head) << 120 | value << (128 - total)).to_be_bytes();
    let end = start + total.div_ceil(8) as usize;
    bytes[start..end].copy_from_slice(&bits[..end - start]);
    (end, (total.next_multiple_of(8) - total) as u8)
}

/// Reads bits from the front of a byte slice.
#[derive(Debug, Clone)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    /// The next bit. May lie past the end.
    at: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next bits, the first one in the top bit. The top [`PEEK_BITS`] are valid, and zero where
    /// the input has ended.
    #[inline(always)]
    pub fn peek(&self) -> u64 {
        let index = self.at / 8;
        let word = match self.bytes.get(index..).and_then(<[u8]>::first_chunk) {
            Some(eight) => u64::from_be_bytes(*eight),
            None => last_word(self.bytes, index),
        };
        word << (self.at % 8)
    }

    /// Moves on by `width` bits.
    #[inline(always)]
    pub fn skip(&mut self, width: u32) {
        self.at += width as usize;
    }

    /// Reads `width` bits, 1 to 64, as the low bits of the result.
    #[inline(always)]
    pub fn read(&mut self, width: u32) -> u64 {
        debug_assert!((1..=64).contains(&width));
        let bits = if width <= PEEK_BITS {
            self.peek() >> (64 - width)
        } else {
            let high = self.peek() >> 32;
            let low = Self { bytes: self.bytes, at: self.at + 32 }.peek() >> (96 - width);
            high << (width - 32) | low
        };
        self.skip(width);
        bits
    }

    /// Whether more bits were read than there are.
    pub fn overran(&self) -> bool {
        self.at > self.bytes.len() * 8
    }

    /// Bits of the last byte that was touched which were not read.
    pub fn bits_left_in_byte(&self) -> u8 {
        (self.at.next_multiple_of(8) - self.at) as u8
    }

    /// Bytes that were not touched yet.
    pub fn bytes_left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at.div_ceil(8))
    }
}

/// Takes the slice, not the reader: a reader whose address escapes does not stay in registers.
#[cold]
#[inline(never)]
fn last_word(bytes: &[u8], index: usize) -> u64 {
    let rest = bytes.get(index..).unwrap_or_default();
    let mut eight = [0; 8];
    eight[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(eight)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mask(width: u32) -> u64 {
        if width == 0 { 0 } else { u64::MAX >> (64 - width) }
    }

    proptest! {
        #[test]
        fn every_width_comes_back_at_every_position(
            fields in proptest::collection::vec((any::<u64>(), 0u32..=64), 0..200),
        ) {
            let (mut bytes, mut free) = (Vec::new(), 0);
            for (value, width) in &fields {
                free = push(&mut bytes, free, u128::from(value & mask(*width)), *width);
            }
            let total: u32 = fields.iter().map(|f| f.1).sum();
            prop_assert_eq!(bytes.len(), total.div_ceil(8) as usize);
            let (mut room, mut len, mut left) = (vec![0; bytes.len()], 0, 0);
            for (value, width) in &fields {
                let want = len + grown_by(left, *width);
                let value = u128::from(value & mask(*width));
                (len, left) = put(&mut room, len, left, value, *width);
                prop_assert_eq!(len, want);
            }
            prop_assert_eq!(left, free);
            prop_assert_eq!(&room, &bytes);
            let mut reader = BitReader::new(&bytes);
            for (value, width) in &fields {
                if *width > 0 {
                    prop_assert_eq!(reader.read(*width), value & mask(*width));
                }
            }
            prop_assert!(!reader.overran());
            prop_assert_eq!(reader.bytes_left(), 0);
        }
    }

    #[test]
    fn past_the_end_there_are_zeros_and_it_shows() {
        let mut reader = BitReader::new(&[0xff]);
        assert_eq!(reader.read(12), 0xff0);
        assert!(reader.overran());
        assert_eq!(reader.read(64), 0);
        assert_eq!(reader.bytes_left(), 0);
    }
}
