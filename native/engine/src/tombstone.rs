//! A tombstone: series by matchers, a range of time, deleted.
//!
//! A delete is logged, and the position of its record says which writes it concerns: those before
//! it. So a write after a delete is visible. The head drops what a tombstone names as soon as it is
//! applied; blocks never change, so their readers leave it out (`block/hidden.rs`) until the block
//! is rewritten. The bytes are drawn in `FORMAT.md`, "Tombstones".

use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::index::matcher::{MatchOp, Matcher};
use crate::refs::TenantId;
use crate::sample::TimeRange;

/// Matchers that one tombstone may have: far more than a person or a program writes, and few enough
/// that a damaged count cannot ask for much memory.
pub const MATCHERS_MAX: usize = 1024;

/// Deleted samples: those of the tenant's series that satisfy all matchers, in the range.
#[derive(Debug, Clone)]
pub struct Tombstone {
    /// Whose series.
    pub tenant: TenantId,
    /// All must match; those of the scope that asked are among them.
    pub matchers: Vec<Matcher>,
    /// The deleted time.
    pub range: TimeRange,
}

/// The number of an operator on disk.
fn op_byte(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

impl Tombstone {
    /// Appends the tombstone to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        varint::write(out, u64::from(self.tenant.0));
        varint::write_signed(out, self.range.mint);
        varint::write_signed(out, self.range.maxt);
        varint::write(out, self.matchers.len() as u64);
        for matcher in &self.matchers {
            out.push(op_byte(matcher.op()));
            for text in [matcher.name(), matcher.value()] {
                varint::write(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }

    /// Reads a tombstone that takes all of `bytes`.
    ///
    /// # Errors
    /// `corruption`, without a place, for what [`Tombstone::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let broken = || Error::new(ErrorCode::Corruption, "a tombstone is malformed");
        let (head, mut rest) = read_head(bytes).ok_or_else(broken)?;
        let (tenant, range, count) = head;
        if count > MATCHERS_MAX as u64 {
            return Err(broken());
        }
        let mut matchers = Vec::new();
        for _ in 0..count {
            let (op, name, value, tail) = read_matcher(rest).ok_or_else(broken)?;
            let matcher = Matcher::new(name, op, value).map_err(|cause| {
                let text = format!("the matcher of a tombstone is malformed: {cause}");
                Error::new(ErrorCode::Corruption, text)
            })?;
            matchers.push(matcher);
            rest = tail;
        }
        if rest.is_empty() { Ok(Self { tenant, matchers, range }) } else { Err(broken()) }
    }
}

type Head = (TenantId, TimeRange, u64);

fn read_head(bytes: &[u8]) -> Option<(Head, &[u8])> {
    let (tenant, rest) = varint::read(bytes)?;
    let (mint, rest) = varint::read_signed(rest)?;
    let (maxt, rest) = varint::read_signed(rest)?;
    let (count, rest) = varint::read(rest)?;
    let tenant = TenantId(u32::try_from(tenant).ok()?);
    Some(((tenant, TimeRange::new(mint, maxt), count), rest))
}

fn read_matcher(bytes: &[u8]) -> Option<(MatchOp, &str, &str, &[u8])> {
    let (op, rest) = bytes.split_first()?;
    let op = match op {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return None,
    };
    let (name, rest) = read_text(rest)?;
    let (value, rest) = read_text(rest)?;
    Some((op, name, value, rest))
}

fn read_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = varint::read(bytes)?;
    let (text, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tombstone() -> Tombstone {
        let matcher = |name, op, value| Matcher::new(name, op, value).unwrap();
        Tombstone {
            tenant: TenantId(3),
            matchers: vec![
                matcher("__name__", MatchOp::Equal, "up"),
                matcher("job", MatchOp::NotRegex, "a|b.*"),
                matcher("Ünïcode", MatchOp::NotEqual, ""),
            ],
            range: TimeRange::new(-(1 << 53), 1_790_000_000_000),
        }
    }

    fn shown(t: &Tombstone) -> String {
        let matchers: Vec<String> = t.matchers.iter().map(ToString::to_string).collect();
        format!("{:?} {:?} {matchers:?}", t.tenant, t.range)
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut bytes = Vec::new();
        tombstone().encode(&mut bytes);
        assert_eq!(shown(&Tombstone::decode(&bytes).unwrap()), shown(&tombstone()));
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let short = Tombstone {
            tenant: TenantId(1),
            matchers: vec![Matcher::new("a", MatchOp::Regex, "bc").unwrap()],
            range: TimeRange::new(-1, 2),
        };
        let mut bytes = Vec::new();
        short.encode(&mut bytes);
        assert_eq!(bytes, [1, 1, 4, 1, 2, 1, b'a', 2, b'b', b'c']);
    }

    #[test]
    fn a_cut_or_longer_tombstone_is_refused() {
        let mut bytes = Vec::new();
        tombstone().encode(&mut bytes);
        for len in 0..bytes.len() {
            let error = Tombstone::decode(&bytes[..len]).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corruption, "length {len}");
        }
        bytes.push(0);
        assert!(Tombstone::decode(&bytes).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Tombstone::decode(&bytes);
        }
    }
}
