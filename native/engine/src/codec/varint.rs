//! LEB128 variable-length integers and zigzag, as protobuf has them.
//!
//! Source: Protocol Buffers encoding specification, "Base 128 Varints" and "Signed Integers".
//! Readers return the value and the rest of the input; `None` means the input ended inside the
//! number or the number does not fit 64 bits.

/// The most bytes a 64-bit varint takes.
pub const MAX_LEN: usize = 10;

/// Number of bytes that [`write`] makes of `value`.
#[inline]
pub const fn len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

/// Appends `value`.
#[inline]
pub fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads a value and returns it with the rest of the input.
#[inline]
pub fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    if let [first, rest @ ..] = bytes
        && *first < 0x80
    {
        return Some((u64::from(*first), rest));
    }
    read_long(bytes)
}

fn read_long(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0u64;
    for (i, byte) in bytes.iter().take(MAX_LEN).enumerate() {
        if i == MAX_LEN - 1 && *byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if *byte < 0x80 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// Maps signed to unsigned so that small magnitudes stay small.
#[inline]
pub const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
pub const fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// Appends a signed value in zigzag form.
#[inline]
pub fn write_signed(out: &mut Vec<u8>, value: i64) {
    write(out, zigzag(value));
}

/// Reads a signed value in zigzag form.
#[inline]
pub fn read_signed(bytes: &[u8]) -> Option<(i64, &[u8])> {
    read(bytes).map(|(v, rest)| (unzigzag(v), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_comes_back() {
        let mut values = vec![0, 1, u64::MAX];
        values.extend((0..64).flat_map(|s| [(1u64 << s) - 1, 1 << s, (1 << s) | 1]));
        for value in values {
            let mut out = Vec::new();
            write(&mut out, value);
            assert_eq!(out.len(), len(value));
            out.push(7);
            assert_eq!(read(&out), Some((value, &[7u8][..])));
            assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
        }
    }

    #[test]
    fn truncated_and_oversized_input_is_refused() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0x80]), None);
        assert_eq!(read(&[0xff; 10]), None);
        let mut eleven = vec![0x80; 10];
        eleven.push(1);
        assert_eq!(read(&eleven), None);
    }
}
