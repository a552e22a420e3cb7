//! What metrics are, in the log and in the file that keeps it past a cut of the log. Drawn in
//! `FORMAT.md`.

use crate::codec::varint;
use crate::error::Result;
use crate::refs::TenantId;

use super::{RecordKind, append_section, broken};

/// Type, unit and help of a metric family. Texts are UTF-8; unchecked where they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataRecord<'a> {
    /// Whose metric.
    pub tenant: TenantId,
    /// The number of its type.
    pub kind: u8,
    /// Its name.
    pub family: &'a [u8],
    /// Its unit, or nothing.
    pub unit: &'a [u8],
    /// What it measures, or nothing.
    pub help: &'a [u8],
}

/// Encodes metadata.
#[derive(Default)]
pub struct MetadataEncoder {
    content: Vec<u8>,
}

impl MetadataEncoder {
    /// Adds the metadata of a family.
    pub fn add(&mut self, metadata: &MetadataRecord<'_>) {
        let out = &mut self.content;
        varint::write(out, u64::from(metadata.tenant.0));
        out.push(metadata.kind);
        for text in [metadata.family, metadata.unit, metadata.help] {
            varint::write(out, text.len() as u64);
            out.extend_from_slice(text);
        }
    }

    /// The records without a section around them.
    pub fn content(self) -> Vec<u8> {
        self.content
    }

    /// Appends a section with the records to a payload, unless there is none.
    pub fn append_to(&self, payload: &mut Vec<u8>) {
        append_section(payload, RecordKind::Metadata, &self.content);
    }
}

/// Reads what [`MetadataEncoder::content`] gave.
///
/// # Errors
/// `corruption`, without a place, for content that no encoder writes; what `visit` returns.
pub fn decode(
    content: &[u8],
    mut visit: impl FnMut(MetadataRecord<'_>) -> Result<()>,
) -> Result<()> {
    let mut rest = content;
    while !rest.is_empty() {
        let (metadata, tail) = one(rest).ok_or_else(|| broken("a metadata record is malformed"))?;
        visit(metadata)?;
        rest = tail;
    }
    Ok(())
}

fn one(bytes: &[u8]) -> Option<(MetadataRecord<'_>, &[u8])> {
    let (tenant, rest) = varint::read(bytes)?;
    let tenant = TenantId(u32::try_from(tenant).ok()?);
    let (kind, rest) = rest.split_first()?;
    let (family, rest) = text(rest)?;
    let (unit, rest) = text(rest)?;
    let (help, rest) = text(rest)?;
    Some((MetadataRecord { tenant, kind: *kind, family, unit, help }, rest))
}

fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = varint::read(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    type Plain = (u32, u8, [Vec<u8>; 3]);

    fn encode(all: &[Plain]) -> Vec<u8> {
        let mut encoder = MetadataEncoder::default();
        for (tenant, kind, [family, unit, help]) in all {
            let (tenant, kind) = (TenantId(*tenant), *kind);
            encoder.add(&MetadataRecord { tenant, kind, family, unit, help });
        }
        encoder.content()
    }

    fn decoded(content: &[u8]) -> Result<Vec<Plain>> {
        let mut seen = Vec::new();
        decode(content, |m| {
            seen.push((m.tenant.0, m.kind, [m.family, m.unit, m.help].map(<[u8]>::to_vec)));
            Ok(())
        })?;
        Ok(seen)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            all in vec((any::<u32>(), any::<u8>(), [vec(any::<u8>(), 0..9), vec(any::<u8>(), 0..9),
                vec(any::<u8>(), 0..200)]), 0..10),
        ) {
            prop_assert_eq!(decoded(&encode(&all)).unwrap(), all);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..100)) {
            let _ = decoded(&bytes);
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let got = encode(&[(1, 2, [b"up".to_vec(), b"".to_vec(), b"Is it?".to_vec()])]);
        assert_eq!(got, b"\x01\x02\x02up\x00\x06Is it?");
        assert!((1..got.len()).all(|len| decoded(&got[..len]).is_err()));
    }
}
