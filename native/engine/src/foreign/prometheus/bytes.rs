//! Reading big-endian fields out of bytes that nobody vouches for.

use std::path::Path;

use crate::codec::{checksum, varint};
use crate::error::{Error, Result};

/// A position in the bytes of a file; every read is bounds-checked and names its place.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    rest: &'a [u8],
    /// For errors: the file, and the offset in it of the end of `rest`.
    path: &'a Path,
    end: usize,
}

impl<'a> Fields<'a> {
    /// The fields in `bytes`, which lie at `offset` of the file `path`.
    pub fn new(bytes: &'a [u8], path: &'a Path, offset: usize) -> Self {
        Self { rest: bytes, path, end: offset + bytes.len() }
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Where in the file the next field begins.
    pub fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    /// A `corruption` error here.
    pub fn wrong(&self, what: impl Into<String>) -> Error {
        Error::corruption(self.path, self.offset() as u64, what)
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or_else(|| self.wrong(format!("{} bytes are left, want {len}", self.rest.len())))?;
        self.rest = rest;
        Ok(taken)
    }

    /// The next `len` bytes as fields.
    pub fn part(&mut self, len: usize) -> Result<Self> {
        let bytes = self.bytes(len)?;
        Ok(Self { rest: bytes, path: self.path, end: self.offset() })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    /// A byte.
    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Eight bytes.
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// A number of one to ten bytes.
    pub fn uvarint(&mut self) -> Result<u64> {
        let (value, rest) =
            varint::read(self.rest).ok_or_else(|| self.wrong("a number does not end"))?;
        self.rest = rest;
        Ok(value)
    }

    /// The same after zigzag.
    pub fn varint(&mut self) -> Result<i64> {
        Ok(varint::unzigzag(self.uvarint()?))
    }

    /// A length or count.
    pub fn size(&mut self) -> Result<usize> {
        let value = self.uvarint()?;
        usize::try_from(value).map_err(|_| self.wrong(format!("a length of {value}")))
    }

    /// Text with its length before it.
    pub fn text(&mut self) -> Result<&'a str> {
        let len = self.size()?;
        let bytes = self.bytes(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("text is not valid UTF-8"))
    }

    /// Takes a checksum and compares it with that of `covered`.
    pub fn checksum(&mut self, covered: &[u8]) -> Result<()> {
        let (got, want) = (crc32c::crc32c(covered), self.u32()?);
        if checksum::matches(got, want) {
            return Ok(());
        }
        Err(self.wrong(format!("the checksum is {got:08x}, want {want:08x}")))
    }
}
