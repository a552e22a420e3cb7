//! What the chunk encodings are made of, to write: the counterpart of `varbit.rs`, which names the
//! source.

use super::varbit::WIDTHS;
use crate::codec::bits;

/// Whether `value` is one of Prometheus' own signed numbers of `width` bits.
pub fn fits_signed(value: i64, width: u32) -> bool {
    let most = 1i64 << (width - 1);
    -(most - 1) <= value && value <= most
}

/// Bits behind whole bytes.
#[derive(Debug, Default)]
pub struct Out {
    /// What is written so far.
    pub bytes: Vec<u8>,
    /// Unused bits of the last byte.
    free: u8,
}

impl Out {
    /// Appends the low `width` bits of `value`, whose others are zero.
    pub fn push(&mut self, value: u64, width: u32) {
        self.free = bits::push(&mut self.bytes, self.free, u128::from(value), width);
    }

    /// What `varbit::varbit_int` reads.
    pub fn signed(&mut self, value: i64) {
        let fits = |width: u32| if width == 0 { value == 0 } else { fits_signed(value, width) };
        self.classed(value as u64, WIDTHS.iter().position(|width| fits(*width)));
    }

    /// What `varbit::varbit_uint` reads.
    pub fn unsigned(&mut self, value: u64) {
        let fits = |width: u32| value >> width == 0;
        self.classed(value, WIDTHS.iter().position(|width| fits(*width)));
    }

    /// As many ones as the class has, a zero, and the value in the width of the class.
    fn classed(&mut self, value: u64, class: Option<usize>) {
        match class {
            Some(class) => {
                self.push(((1 << class) - 1) << 1, class as u32 + 1);
                let width = WIDTHS[class];
                self.push(value & ((1 << width) - 1), width);
            }
            None => {
                self.push(0xFF, 8);
                self.push(value, 64);
            }
        }
    }
}

/// Which bits of a value changed last: the window that the next change may reuse.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteWindow {
    leading: u32,
    /// 0 before the first window.
    width: u32,
}

impl WriteWindow {
    /// Appends the XOR with the value before.
    pub fn write(&mut self, changed: u64, out: &mut Out) {
        if changed == 0 {
            return out.push(0, 1);
        }
        // Five bits hold the leading zeros.
        let leading = changed.leading_zeros().min(31);
        let trailing = changed.trailing_zeros();
        let known = 64u32.saturating_sub(self.leading + self.width);
        if self.width > 0 && leading >= self.leading && trailing >= known {
            out.push(0b10, 2);
        } else {
            (self.leading, self.width) = (leading, 64 - leading - trailing);
            // 64 does not fit into six bits and is written as 0, which no width is.
            out.push(0b11 << 11 | u64::from(leading) << 6 | u64::from(self.width & 63), 13);
        }
        out.push(changed >> (64 - self.leading - self.width), self.width);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::bits::BitReader;
    use crate::foreign::prometheus::varbit::{Window, varbit_int, varbit_uint};

    proptest! {
        #[test]
        fn numbers_of_every_width_are_read_back(
            numbers in proptest::collection::vec((any::<u64>(), 0u32..64), 0..40),
        ) {
            let numbers: Vec<u64> = numbers.iter().map(|(n, shift)| n >> shift).collect();
            let (mut out, mut window) = (Out::default(), WriteWindow::default());
            for n in &numbers {
                out.signed(*n as i64);
                out.signed((*n as i64).wrapping_neg());
                out.unsigned(*n);
                window.write(*n, &mut out);
            }
            let (mut bits, mut window) = (BitReader::new(&out.bytes), Window::default());
            for n in &numbers {
                prop_assert_eq!(varbit_int(&mut bits), *n as i64);
                prop_assert_eq!(varbit_int(&mut bits), (*n as i64).wrapping_neg());
                prop_assert_eq!(varbit_uint(&mut bits), *n);
                prop_assert_eq!(window.read(&mut bits).unwrap(), *n);
            }
            prop_assert!(!bits.overran());
        }
    }
}
