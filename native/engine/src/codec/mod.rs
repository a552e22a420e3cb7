//! The small codecs that every format is made of.

pub mod bits;
pub mod checksum;
pub mod frame;
pub mod varint;
