//! Label sets: sorted pairs in one byte buffer, their canonical encoding and its hash.
//!
//! The canonical encoding of a label set is the run of `labels` fields of a remote_write 1.0
//! `TimeSeries` message (field 1, wire type 2, of `Label { name = 1; value = 2 }`), names ascending
//! by bytes and unique, no empty value:
//!
//! ```text
//! ( 0x0A varint(len) 0x0A varint(len name) name 0x12 varint(len value) value )*
//! ```
//!
//! So the bytes that a well-behaved sender puts on the wire are the canonical encoding already, and
//! their hash finds the series without a look inside. Empty names cannot occur.

use std::cmp::Ordering;
use std::fmt;
use std::hash::BuildHasher;

use xxhash_rust::xxh3::xxh3_128_with_secret;

use crate::codec::varint;
use crate::error::{Error, Result};
use crate::refs::TenantId;

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";
/// The label that may hold its type.
pub const METRIC_TYPE: &str = "__type__";
/// The label that may hold its unit.
pub const METRIC_UNIT: &str = "__unit__";

/// A label set in canonical encoding: sorted by name, names unique, valid UTF-8, no empty value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels {
    bytes: Box<[u8]>,
}

/// Appends one pair in the canonical encoding. The caller keeps the order.
#[inline]
pub fn encode_pair(out: &mut Vec<u8>, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
    let (name, value) = (name.as_ref(), value.as_ref());
    let inner = 2
        + varint::len(name.len() as u64)
        + name.len()
        + varint::len(value.len() as u64)
        + value.len();
    out.push(0x0A);
    varint::write(out, inner as u64);
    out.push(0x0A);
    varint::write(out, name.len() as u64);
    out.extend_from_slice(name);
    out.push(0x12);
    varint::write(out, value.len() as u64);
    out.extend_from_slice(value);
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Self {
        Self { bytes: Box::default() }
    }

    /// Builds a set from pairs in any order. Pairs with an empty value are left out.
    ///
    /// # Errors
    /// `bad_data` for an empty name or one that occurs twice.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        pairs.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        let mut bytes = Vec::with_capacity(pairs.iter().map(|p| p.0.len() + p.1.len() + 8).sum());
        for (i, (name, value)) in pairs.iter().enumerate() {
            if name.is_empty() {
                return Err(Error::bad_data("label name is empty"));
            }
            if i > 0 && pairs[i - 1].0 == *name {
                return Err(Error::bad_data(format!("label name {name:?} occurs twice")));
            }
            if !value.is_empty() {
                encode_pair(&mut bytes, name, value);
            }
        }
        Ok(Self { bytes: bytes.into_boxed_slice() })
    }

    /// Takes bytes that must already be canonical.
    ///
    /// # Errors
    /// `bad_data` when they are not: truncated, unsorted, repeated or empty names, empty values,
    /// invalid UTF-8.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self> {
        let mut rest = bytes;
        let mut previous: Option<&str> = None;
        while !rest.is_empty() {
            let (name, value, tail) = checked_pair(rest)
                .ok_or_else(|| Error::bad_data("labels are not in canonical encoding"))?;
            let ordered = previous.is_none_or(|p| p.as_bytes() < name.as_bytes());
            if name.is_empty() || value.is_empty() || !ordered {
                return Err(Error::bad_data(format!(
                    "labels are not canonical at name {name:?}: want ascending unique names, no empty text"
                )));
            }
            previous = Some(name);
            rest = tail;
        }
        Ok(Self { bytes: bytes.into() })
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The pairs, names ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            // Construction checked every pair, so this only ends at the end.
            let (name, value, tail) = pair(rest)?;
            rest = tail;
            // SAFETY: every constructor takes text or checks that name and value are UTF-8.
            unsafe {
                Some((std::str::from_utf8_unchecked(name), std::str::from_utf8_unchecked(value)))
            }
        })
    }

    /// The value of `name`, if present.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

fn checked_pair(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (name, value, rest) = pair(bytes)?;
    Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?, rest))
}

fn pair(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let rest = bytes.strip_prefix(&[0x0A])?;
    let (inner, rest) = take(rest)?;
    let (name, inner) = take(inner.strip_prefix(&[0x0A])?)?;
    let (value, end) = take(inner.strip_prefix(&[0x12])?)?;
    if !end.is_empty() {
        return None;
    }
    Some((name, value, rest))
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = varint::read(bytes)?;
    // An overlong length would be a second encoding of the same labels.
    if bytes.len() - rest.len() != varint::len(len) {
        return None;
    }
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// Label sets are ordered by their pairs, name before value, bytewise; a prefix comes first.
///
/// Source: Prometheus 3.14, `model/labels`, `Compare`.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter()
            .map(|(n, v)| (n.as_bytes(), v.as_bytes()))
            .cmp(other.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())))
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            write!(f, "{}{name}={value:?}", if i > 0 { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The 128-bit hash of encoded labels of one tenant, which is the key of the series map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelsHash(pub u128);

/// Hashes labels with a secret of this process, so that no writer can aim a collision at another's
/// series. XXH3 with 128 bits: 10 ns for 256 bytes, where SipHash takes 70.
pub struct LabelsHasher {
    secret: Box<[u8; SECRET_BYTES]>,
}

/// Length of the secret: XXH3's default.
const SECRET_BYTES: usize = 192;

impl LabelsHasher {
    /// A hasher whose secret comes from `seed`; the caller draws the seed from the system.
    pub fn new(seed: [u8; 32]) -> Self {
        let mut secret = Box::new([0u8; SECRET_BYTES]);
        for (i, piece) in secret.chunks_mut(16).enumerate() {
            let mut input = [0u8; 40];
            input[..32].copy_from_slice(&seed);
            input[32..].copy_from_slice(&(i as u64).to_le_bytes());
            piece
                .copy_from_slice(&xxhash_rust::xxh3::xxh3_128(&input).to_le_bytes()[..piece.len()]);
        }
        Self { secret }
    }

    /// A hasher whose secret nobody knows.
    pub fn random() -> Self {
        let random = std::hash::RandomState::new();
        let mut seed = [0; 32];
        for (i, piece) in seed.chunks_mut(8).enumerate() {
            piece.copy_from_slice(&random.hash_one(i).to_le_bytes());
        }
        Self::new(seed)
    }

    /// The hash of `encoded` (canonical or as a sender wrote it) for `tenant`.
    #[inline]
    pub fn hash(&self, tenant: TenantId, encoded: &[u8]) -> LabelsHash {
        let hash = xxh3_128_with_secret(encoded, &self.secret[..]);
        // An odd factor spreads the tenant over all bits; tenant 0 changes nothing.
        LabelsHash(
            hash ^ u128::from(tenant.0).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn pairs_are_sorted_and_empty_values_dropped() {
        let l = labels(&[("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(l.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        assert_eq!(l, Labels::from_canonical(l.as_bytes()).unwrap());
        assert_eq!(l.get("b"), Some("2"));
        assert_eq!(l.get("c"), None);
    }

    #[test]
    fn repeated_and_empty_names_are_refused() {
        assert!(Labels::from_pairs([("a", "1"), ("a", "2")]).is_err());
        assert!(Labels::from_pairs([("", "1")]).is_err());
    }

    #[test]
    fn bytes_that_are_not_canonical_are_refused() {
        let mut unsorted = Vec::new();
        encode_pair(&mut unsorted, "b", "1");
        encode_pair(&mut unsorted, "a", "1");
        assert!(Labels::from_canonical(&unsorted).is_err());
        let good = labels(&[("a", "1")]);
        assert!(Labels::from_canonical(&good.as_bytes()[..4]).is_err());
        let overlong = [0x0A, 0x86, 0x00, 0x0A, 1, b'a', 0x12, 1, b'1'];
        assert!(Labels::from_canonical(&overlong).is_err());
    }

    #[test]
    fn order_is_by_pairs() {
        let sets = [
            labels(&[]),
            labels(&[("a", "1")]),
            labels(&[("a", "1"), ("b", "1")]),
            labels(&[("a", "2")]),
        ];
        let mut sorted = sets.to_vec();
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, sets);
    }

    #[test]
    fn hashes_differ_by_seed_and_tenant() {
        let (a, b) = (LabelsHasher::new([1; 32]), LabelsHasher::new([2; 32]));
        let l = labels(&[("a", "1")]);
        assert_eq!(a.hash(TenantId(0), l.as_bytes()), a.hash(TenantId(0), l.as_bytes()));
        assert_ne!(a.hash(TenantId(0), l.as_bytes()), b.hash(TenantId(0), l.as_bytes()));
        assert_ne!(a.hash(TenantId(0), l.as_bytes()), a.hash(TenantId(1), l.as_bytes()));
    }
}
