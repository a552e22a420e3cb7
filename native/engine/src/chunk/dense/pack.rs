//! Unsigned integers in a fixed number of bits each.
//!
//! Value `i` takes the bits from `i × width` on, counted from the least significant bit of the
//! first byte: a reader loads eight bytes, shifts and masks, without a branch.

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

/// Calls `put` with each place and value. `bytes` must be [`packed_len`] long; false if not.
#[inline]
pub(super) fn unpack(
    bytes: &[u8],
    count: usize,
    width: u32,
    mut put: impl FnMut(usize, u64),
) -> bool {
    if bytes.len() != packed_len(count, width) {
        return false;
    }
    let mask = mask(width);
    // Values before `safe` lie in eight whole bytes from the one where they begin.
    let safe = if width == 0 || width > 57 || bytes.len() < 8 {
        0
    } else {
        count.min((bytes.len() - 8) * 8 / width as usize)
    };
    for i in 0..safe {
        let bit = i * width as usize;
        let word = bytes.get(bit / 8..).and_then(<[u8]>::first_chunk);
        let word = word.map_or(0, |eight| u64::from_le_bytes(*eight));
        put(i, word >> (bit % 8) & mask);
    }
    for i in safe..count {
        let bit = i * width as usize;
        let rest = bytes.get(bit / 8..).unwrap_or_default();
        let mut sixteen = [0; 16];
        let len = rest.len().min(16);
        sixteen[..len].copy_from_slice(&rest[..len]);
        put(i, (u128::from_le_bytes(sixteen) >> (bit % 8)) as u64 & mask);
    }
    true
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
            let mut got = vec![0; values.len()];
            prop_assert!(unpack(&bytes, values.len(), width, |i, v| got[i] = v));
            let want: Vec<u64> = values.iter().map(|v| v & mask(width)).collect();
            prop_assert_eq!(got, want);
            bytes.push(0);
            prop_assert!(!unpack(&bytes, values.len(), width, |_, _| ()));
        }
    }
}
