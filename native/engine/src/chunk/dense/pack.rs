//! Unsigned integers in a fixed number of bits each.
//!
//! Value `i` takes the bits from `i × width` on, counted from the least significant bit of the
//! first byte: a reader loads eight bytes, shifts and masks, without a branch. Eight values at a
//! time begin at a whole byte, so that for each width all shifts are known beforehand.

/// Bytes that `count` values of `width` bits take.
pub(super) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

fn mask(width: u32) -> u64 {
    if width == 0 { 0 } else { u64::MAX >> (64 - width) }
}

/// Appends the low `width` bits of each value; `width` is at most 64.
pub(super) fn pack(values: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    let (mut gathered, mut bits) = (0u128, 0);
    for value in values {
        gathered |= u128::from(value & mask(width)) << bits;
        bits += width;
        while bits >= 8 {
            out.push(gathered as u8);
            gathered >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(gathered as u8);
    }
}

/// Values that are unpacked at a time: they begin and end with whole bytes, whatever their width.
const GROUP: usize = 8;

/// Fills `out`. `bytes` must be [`packed_len`] long; false if not.
pub(super) fn unpack(bytes: &[u8], width: u32, out: &mut [i64]) -> bool {
    if bytes.len() != packed_len(out.len(), width) {
        return false;
    }
    // One function a width, so that shifts and places are constants in it. Wider values may lie in
    // nine bytes.
    macro_rules! by_width {
        ($($width:literal)*) => {
            match width {
                0 => { out.fill(0); out.len() }
                $($width => unpack_groups::<$width>(bytes, out),)*
                _ => 0,
            }
        };
    }
    let done = by_width!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28
        29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57);
    let mask = mask(width);
    for (i, value) in out.iter_mut().enumerate().skip(done) {
        let bit = i * width as usize;
        let rest = bytes.get(bit / 8..).unwrap_or_default();
        let mut sixteen = [0; 16];
        let len = rest.len().min(16);
        sixteen[..len].copy_from_slice(&rest[..len]);
        *value = ((u128::from_le_bytes(sixteen) >> (bit % 8)) as u64 & mask) as i64;
    }
    true
}

/// Fills what of `out` lies in whole groups with eight bytes behind them; returns how much it is.
fn unpack_groups<const WIDTH: usize>(bytes: &[u8], out: &mut [i64]) -> usize {
    let whole = bytes.len().saturating_sub(GROUP) / WIDTH;
    let groups = whole.min(out.len() / GROUP);
    for (group, values) in out.chunks_exact_mut(GROUP).take(groups).enumerate() {
        // The same length for all groups, so that no place in it has to be checked.
        let Some(window) = bytes.get(group * WIDTH..group * WIDTH + WIDTH + GROUP) else {
            return group * GROUP;
        };
        for (i, value) in values.iter_mut().enumerate() {
            let bit = i * WIDTH;
            let word =
                window[bit / 8..].first_chunk().map_or(0, |eight| u64::from_le_bytes(*eight));
            *value = (word >> (bit % 8) & (u64::MAX >> (64 - WIDTH))) as i64;
        }
    }
    groups * GROUP
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_width_comes_back(
            values in prop::collection::vec(any::<u64>(), 0..70),
            width in 0u32..=64,
        ) {
            let mut bytes = Vec::new();
            pack(values.iter().copied(), width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len(values.len(), width));
            let mut got = vec![-1; values.len()];
            prop_assert!(unpack(&bytes, width, &mut got));
            let want: Vec<i64> = values.iter().map(|v| (v & mask(width)) as i64).collect();
            prop_assert_eq!(&got, &want);
            bytes.push(0);
            prop_assert!(!unpack(&bytes, width, &mut got));
        }
    }
}
