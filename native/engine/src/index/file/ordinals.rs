//! The labels of a series by number. Neighbours in label order have most of their labels in common,
//! so a series is written as what sets it apart from the first one of its group.
//!
//! ```text
//! labels   = varint 1 + offset of the schema, and each ordinal as varint
//!          | varint 0: the schema of the group's first series;
//!            a bit for each name, from the least significant of the first byte on: whether it
//!            differs; svarint for each that does: its ordinal - that of the first series
//! ```

use super::SchemaName;
use crate::codec::varint;

/// The labels of a series, encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ordinals<'a> {
    /// All of them, or bits and differences.
    pub own: &'a [u8],
    /// All ordinals of the first series, where they are reckoned from those.
    pub first: Option<&'a [u8]>,
}

impl<'a> Ordinals<'a> {
    /// The pairs that they stand for, in the order of `schema`; `None` for one that does not exist.
    pub(super) fn pairs<'b>(
        self,
        schema: &'b [SchemaName],
    ) -> impl Iterator<Item = Option<u32>> + use<'a, 'b> {
        let mask_bytes = if self.first.is_some() { schema.len().div_ceil(8) } else { 0 };
        let (mask, mut own) = self.own.split_at_checked(mask_bytes).unwrap_or_default();
        let mut first = self.first;
        schema.iter().enumerate().map(move |(at, name)| {
            let ordinal = match &mut first {
                None => take(&mut own)?,
                Some(first) => {
                    let ordinal = take(first)?;
                    if mask.get(at / 8)? >> (at % 8) & 1 == 0 {
                        ordinal
                    } else {
                        ordinal.checked_add_signed(varint::unzigzag(take(&mut own)?))?
                    }
                }
            };
            let pair = u64::from(name.pairs.start).checked_add(ordinal)?;
            (pair < u64::from(name.pairs.end)).then_some(pair as u32)
        })
    }
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (value, rest) = varint::read(bytes)?;
    *bytes = rest;
    Some(value)
}

/// Reads the head of encoded labels: the offset of the schema, unless it is that of the first
/// series, and the rest.
pub(super) fn read_schema(bytes: &[u8]) -> Option<(Option<u64>, &[u8])> {
    let (head, rest) = varint::read(bytes)?;
    Some((head.checked_sub(1), rest))
}

/// Labels by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Numbered {
    /// Offset of the schema.
    pub schema: u64,
    /// In the schema's order.
    pub ordinals: Vec<u64>,
}

impl Numbered {
    /// Appends the labels; `first` are those of the group's first series, unless it is this one.
    pub(super) fn write(&self, out: &mut Vec<u8>, first: Option<&Self>) {
        let Some(first) = first.filter(|first| first.schema == self.schema) else {
            varint::write(out, self.schema + 1);
            self.ordinals.iter().for_each(|ordinal| varint::write(out, *ordinal));
            return;
        };
        varint::write(out, 0);
        let mask = out.len();
        out.resize(mask + self.ordinals.len().div_ceil(8), 0);
        for (at, (own, other)) in self.ordinals.iter().zip(&first.ordinals).enumerate() {
            if own != other {
                out[mask + at / 8] |= 1 << (at % 8);
                varint::write_signed(out, own.wrapping_sub(*other) as i64);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(series: &[u64], first: &[u64], bytes: usize) {
        let schema: Vec<SchemaName> =
            (0..series.len() as u32).map(|name| SchemaName { name, pairs: 5..1000 }).collect();
        let numbered = |ordinals: &[u64]| Numbered { schema: 300, ordinals: ordinals.to_vec() };
        let (mut whole, mut out) = (Vec::new(), Vec::new());
        numbered(first).write(&mut whole, None);
        numbered(series).write(&mut out, Some(&numbered(first)));
        assert_eq!(out.len(), bytes);
        let (head, first) = read_schema(&whole).unwrap();
        assert_eq!(head, Some(300));
        let (head, own) = read_schema(&out).unwrap();
        assert_eq!(head, None);
        let got: Vec<_> = Ordinals { own, first: Some(first) }.pairs(&schema).collect();
        assert_eq!(got, series.iter().map(|o| Some(*o as u32 + 5)).collect::<Vec<_>>());
    }

    #[test]
    fn only_what_differs_from_the_first_series_is_written() {
        round(&[], &[], 1);
        round(&[7, 200, 3], &[7, 200, 3], 2);
        round(&[7, 201, 3], &[7, 200, 3], 3);
        round(&[0, 0, 0, 0, 0, 0, 0, 0, 900], &[0, 0, 0, 0, 0, 0, 0, 0, 899], 4);
    }

    #[test]
    fn an_ordinal_that_the_name_does_not_have_is_none() {
        let schema = [SchemaName { name: 0, pairs: 5..6 }];
        let pairs = |own, first| Ordinals { own, first }.pairs(&schema).next();
        assert_eq!(pairs(&[0], None), Some(Some(5)));
        assert_eq!(pairs(&[1], None), Some(None));
        assert_eq!(pairs(&[1, 1], Some(&[0])), Some(None));
        assert_eq!(pairs(&[], Some(&[0])), Some(None));
    }
}
