//! Frames: a length, a CRC32C, a stamp and a payload, recognisable only with the salt of their
//! file.
//!
//! ```text
//! u32 length | u32 crc32c(salt, length, stamp ^ salt, payload) | u64 stamp ^ salt | payload
//! ```
//!
//! All little-endian. The salt is a random number of the file: bytes of another, deleted file are
//! no frames of this one, and a payload cannot be made to contain something that looks like a
//! frame, not even to a reader that searches byte by byte: it would have to guess 64 bits of the
//! stamp.

/// Bytes before the payload.
pub const HEADER_BYTES: usize = 16;

/// The largest payload. Far above any request; it keeps a length that was damaged from being
/// believed.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 30;

/// A frame that was read; its checksum held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the writer stamped it with.
    pub stamp: u64,
    /// The payload.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the whole frame.
    pub fn bytes(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }
}

/// Appends a frame. The payload is at most [`MAX_PAYLOAD_BYTES`], which the caller has checked.
pub fn write(out: &mut Vec<u8>, salt: u64, stamp: u64, payload: &[u8]) {
    debug_assert!(payload.len() <= MAX_PAYLOAD_BYTES, "{} bytes of payload", payload.len());
    let length = (payload.len() as u32).to_le_bytes();
    let masked = (stamp ^ salt).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(salt, length, masked, payload).to_le_bytes());
    out.extend_from_slice(&masked);
    out.extend_from_slice(payload);
}

/// Reads the frame that `bytes` begins with; `None` when there is no whole and intact one.
pub fn read(bytes: &[u8], salt: u64) -> Option<Frame<'_>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let (masked, rest) = rest.split_first_chunk::<8>()?;
    let payload_bytes = u32::from_le_bytes(*length) as usize;
    if payload_bytes > MAX_PAYLOAD_BYTES {
        return None;
    }
    let payload = rest.get(..payload_bytes)?;
    let got = checksum(salt, *length, *masked, payload);
    if !super::checksum::matches(got, u32::from_le_bytes(*crc)) {
        return None;
    }
    Some(Frame { stamp: u64::from_le_bytes(*masked) ^ salt, payload })
}

/// The stamp that a frame at the beginning of `bytes` would have, without a look at anything else;
/// `None` when there is no room for one. Cheap enough to try every offset of a file.
pub fn peek_stamp(bytes: &[u8], salt: u64) -> Option<u64> {
    let masked = bytes.get(8..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*masked) ^ salt)
}

fn checksum(salt: u64, length: [u8; 4], masked: [u8; 8], payload: &[u8]) -> u32 {
    let mut head = [0; 20];
    head[..8].copy_from_slice(&salt.to_le_bytes());
    head[8..12].copy_from_slice(&length);
    head[12..].copy_from_slice(&masked);
    crc32c::crc32c_append(crc32c::crc32c(&head), payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x0123_4567_89ab_cdef;

    fn frame() -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out, SALT, 77, b"payload");
        out
    }

    #[test]
    fn a_frame_comes_back_with_its_stamp() {
        let mut bytes = frame();
        write(&mut bytes, SALT, 78, b"");
        let first = read(&bytes, SALT).unwrap();
        assert_eq!(first, Frame { stamp: 77, payload: b"payload" });
        let second = read(&bytes[first.bytes()..], SALT).unwrap();
        assert_eq!(second, Frame { stamp: 78, payload: b"" });
        assert_eq!(peek_stamp(&bytes, SALT), Some(77));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = frame();
        assert_eq!(bytes.len(), HEADER_BYTES + 7);
        assert_eq!(bytes[..4], 7u32.to_le_bytes());
        assert_eq!(bytes[8..16], (77 ^ SALT).to_le_bytes());
        assert_eq!(bytes[16..], *b"payload");
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_noticed() {
        let bytes = frame();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&changed, SALT), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len], SALT), None, "length {len}");
        }
    }

    #[test]
    fn a_frame_of_another_file_is_none() {
        assert_eq!(read(&frame(), SALT ^ 1), None);
        assert_eq!(read(&[0; 64], SALT), None);
    }
}
