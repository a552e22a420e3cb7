//! Fields of protobuf messages, of which requests are made.

use metricstor_engine::codec::varint;
use metricstor_engine::labels::encode_pair;

/// A protobuf field of bytes.
pub fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, number << 3 | 2);
    varint::write(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

/// A protobuf field of a number.
pub fn number(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, number << 3);
    varint::write(&mut out, value);
    out
}

/// A protobuf field of a double.
pub fn double(number: u64, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, number << 3 | 1);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    out
}

/// The label fields of a series or an exemplar.
pub fn labels(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    pairs.iter().for_each(|(name, value)| encode_pair(&mut out, name, value));
    out
}

/// The sample field of a series of remote_write 1.0.
pub fn sample(t: i64, v: f64) -> Vec<u8> {
    bytes(2, &[double(1, v), number(2, t as u64)].concat())
}
