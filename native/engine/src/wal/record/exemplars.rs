//! Exemplars in the log, and in the file that keeps them past a cut of the log.
//!
//! A record names its series by labels and not by reference, so that it means the same wherever it
//! is found: exemplars outlive the head generation that they were written in. Records of one series
//! follow one another mostly, and say its labels once. Drawn in `FORMAT.md`.

use crate::codec::varint;
use crate::error::Result;
use crate::refs::TenantId;
use crate::sample::TimestampMs;

use super::{RecordKind, append_section, broken};

/// An exemplar.
#[derive(Debug, Clone, Copy)]
pub struct ExemplarRecord<'a> {
    /// Whose series.
    pub tenant: TenantId,
    /// The labels of its series, canonical and not empty; unchecked where it was read.
    pub series: &'a [u8],
    /// Its own labels, canonical; unchecked where it was read.
    pub labels: &'a [u8],
    /// When.
    pub t: TimestampMs,
    /// The observation, by its bits.
    pub v: f64,
}

/// Encodes exemplars.
#[derive(Default)]
pub struct ExemplarEncoder {
    content: Vec<u8>,
    /// Tenant of the last record, and where in `content` the labels of its series are.
    last: Option<(TenantId, std::ops::Range<usize>)>,
    last_t: TimestampMs,
}

impl ExemplarEncoder {
    /// Adds one. Smallest when those of a series are together.
    pub fn add(&mut self, exemplar: &ExemplarRecord<'_>) {
        let out = &mut self.content;
        let repeated = self.last.as_ref().is_some_and(|(tenant, series)| {
            *tenant == exemplar.tenant && out[series.clone()] == *exemplar.series
        });
        if repeated {
            varint::write(out, 0);
        } else {
            varint::write(out, exemplar.series.len() as u64);
            varint::write(out, u64::from(exemplar.tenant.0));
            let start = out.len();
            out.extend_from_slice(exemplar.series);
            self.last = Some((exemplar.tenant, start..out.len()));
        }
        varint::write_signed(out, exemplar.t.wrapping_sub(self.last_t));
        out.extend_from_slice(&exemplar.v.to_bits().to_le_bytes());
        varint::write(out, exemplar.labels.len() as u64);
        out.extend_from_slice(exemplar.labels);
        self.last_t = exemplar.t;
    }

    /// The records without a section around them.
    pub fn content(self) -> Vec<u8> {
        self.content
    }

    /// Appends a section with the records to a payload, unless there is none.
    pub fn append_to(&self, payload: &mut Vec<u8>) {
        append_section(payload, RecordKind::Exemplars, &self.content);
    }
}

/// Reads what [`ExemplarEncoder::content`] gave.
///
/// # Errors
/// `corruption`, without a place, for content that no encoder writes; what `visit` returns.
pub fn decode(
    content: &[u8],
    mut visit: impl FnMut(ExemplarRecord<'_>) -> Result<()>,
) -> Result<()> {
    let mut rest = content;
    let mut last = ExemplarRecord { tenant: TenantId(0), series: b"", labels: b"", t: 0, v: 0.0 };
    while !rest.is_empty() {
        (last, rest) = one(rest, last).ok_or_else(|| broken("an exemplar record is malformed"))?;
        visit(last)?;
    }
    Ok(())
}

fn one<'a>(bytes: &'a [u8], last: ExemplarRecord<'a>) -> Option<(ExemplarRecord<'a>, &'a [u8])> {
    let (length, mut rest) = varint::read(bytes)?;
    let (mut tenant, mut series) = (last.tenant, last.series);
    if length > 0 {
        let (number, tail) = varint::read(rest)?;
        tenant = TenantId(u32::try_from(number).ok()?);
        (series, rest) = tail.split_at_checked(usize::try_from(length).ok()?)?;
    } else if series.is_empty() {
        return None;
    }
    let (ahead, rest) = varint::read_signed(rest)?;
    let (bits, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = varint::read(rest)?;
    let (labels, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    let (t, v) = (last.t.wrapping_add(ahead), f64::from_bits(u64::from_le_bytes(*bits)));
    Some((ExemplarRecord { tenant, series, labels, t, v }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    type Plain = (u32, Vec<u8>, Vec<u8>, i64, u64);

    fn encode(exemplars: &[Plain]) -> Vec<u8> {
        let mut encoder = ExemplarEncoder::default();
        for (tenant, series, labels, t, bits) in exemplars {
            let (tenant, v) = (TenantId(*tenant), f64::from_bits(*bits));
            encoder.add(&ExemplarRecord { tenant, series, labels, t: *t, v });
        }
        encoder.content()
    }

    fn decoded(content: &[u8]) -> Result<Vec<Plain>> {
        let mut seen = Vec::new();
        decode(content, |e| {
            let (series, labels) = (e.series.to_vec(), e.labels.to_vec());
            seen.push((e.tenant.0, series, labels, e.t, e.v.to_bits()));
            Ok(())
        })?;
        Ok(seen)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_bit_for_bit(exemplars in vec(
            (0u32..3, vec(0u8..2, 1..3), vec(any::<u8>(), 0..5), any::<i64>(), any::<u64>()), 0..20,
        )) {
            prop_assert_eq!(decoded(&encode(&exemplars)).unwrap(), exemplars);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..100)) {
            let _ = decoded(&bytes);
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let one = |t, bits: f64| (2, b"ab".to_vec(), b"c".to_vec(), t, bits.to_bits());
        let got = encode(&[one(3, 1.5), one(2, 0.0)]);
        let first = [2, 2, b'a', b'b', 6, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 1, b'c'];
        let second = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'c'];
        assert_eq!(got, [&first[..], &second].concat());
    }

    #[test]
    fn a_record_cut_short_is_an_error() {
        let content = encode(&[(0, b"ab".to_vec(), b"c".to_vec(), 3, 7)]);
        assert!((1..content.len()).all(|len| decoded(&content[..len]).is_err()));
        // The first record has no series to repeat.
        assert!(decoded(&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }
}
