//! Tombstones in the log: their bytes as `tombstone.rs` writes them, each after its length.

use super::{RecordKind, SECTION_HEADER_BYTES, broken, close_section};
use crate::codec::varint;
use crate::error::Result;

/// The payload of a delete: its tombstones, each encoded (`tombstone.rs`).
pub fn encode<'a>(tombstones: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut section = vec![0; SECTION_HEADER_BYTES];
    for tombstone in tombstones {
        varint::write(&mut section, tombstone.len() as u64);
        section.extend_from_slice(tombstone);
    }
    close_section(&mut section, RecordKind::Tombstones);
    section
}

/// Calls `visit` with the bytes of each tombstone of a section.
///
/// # Errors
/// `corruption` for content that no encoder writes; what `visit` returns.
pub(super) fn decode(content: &[u8], mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut rest = content;
    while !rest.is_empty() {
        let split = varint::read(rest)
            .and_then(|(length, tail)| tail.split_at_checked(usize::try_from(length).ok()?));
        let Some((encoded, tail)) = split else {
            return Err(broken("a tombstone record is malformed"));
        };
        visit(encoded)?;
        rest = tail;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tombstones_come_back_as_they_were_given() {
        let given: [&[u8]; 3] = [b"one", b"", &[7; 300]];
        let payload = encode(given);
        assert_eq!(payload[..9], [6, 51, 1, 0, 0, 3, b'o', b'n', b'e']);
        let content = &payload[SECTION_HEADER_BYTES..];
        let mut seen: Vec<Vec<u8>> = Vec::new();
        let gather = |seen: &mut Vec<Vec<u8>>, content: &[u8]| {
            decode(content, |encoded| {
                seen.push(encoded.to_vec());
                Ok(())
            })
        };
        gather(&mut seen, content).unwrap();
        assert_eq!(seen, given);
        for len in [2, content.len() - 1] {
            assert!(gather(&mut seen, &content[..len]).is_err(), "length {len}");
        }
    }
}
