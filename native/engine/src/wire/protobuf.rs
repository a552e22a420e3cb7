//! A protobuf message as a walk over its fields: no schema, no copy, no recursion.
//!
//! Source: Protocol Buffers encoding specification. As there, unknown fields are skipped by their
//! wire type and the last occurrence of a scalar wins. As in Prometheus, a known field with another
//! wire type than its own is malformed.

use crate::codec::varint;
use crate::error::{Error, Result};

/// How deep groups, which protobuf 3 does not have, may nest in an unknown field.
const GROUP_DEPTH_MAX: u32 = 100;

/// Wire type of `int64`.
const VARINT: u64 = 0;
/// Wire type of `double`.
const FIXED64: u64 = 1;
/// Wire type of strings and messages.
const BYTES: u64 = 2;
const GROUP_START: u64 = 3;
const GROUP_END: u64 = 4;
const FIXED32: u64 = 5;

/// The tag of field `number` with a length before its content.
pub const fn bytes_tag(number: u64) -> u64 {
    number << 3 | BYTES
}

/// The tag of field `number` of eight bytes.
pub const fn fixed64_tag(number: u64) -> u64 {
    number << 3 | FIXED64
}

/// The tag of field `number` that is a varint.
pub const fn varint_tag(number: u64) -> u64 {
    number << 3 | VARINT
}

/// Reads the fields of one message. Offsets, in errors too, count from the start of the body that
/// the message is part of.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    body: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Message<'a> {
    /// The message that is all of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, end: body.len() }
    }

    /// Where the next field begins.
    #[inline(always)]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The bytes of the body from `start` to the next field.
    #[inline(always)]
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.body[start..self.at]
    }

    /// Whether there is no further field.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    #[inline(always)]
    fn rest(&self) -> &'a [u8] {
        &self.body[self.at..self.end]
    }

    /// The tag of the next field: its number and wire type. `None` at the end.
    ///
    /// # Errors
    /// `bad_data` when the bytes are no tag.
    #[inline(always)]
    pub fn next_tag(&mut self) -> Result<Option<u64>> {
        match self.rest() {
            [] => Ok(None),
            // Field numbers 1 to 15, which are nearly all that we know.
            [tag @ 8..0x80, ..] => {
                self.at += 1;
                Ok(Some(u64::from(*tag)))
            }
            _ => self.long_tag().map(Some),
        }
    }

    #[cold]
    fn long_tag(&mut self) -> Result<u64> {
        let start = self.at;
        let tag = self.varint()?;
        match tag >> 3 {
            1..=0x1fff_ffff => Ok(tag),
            number => Err(malformed(start, &format!("field number {number}, want 1 to 2^29-1"))),
        }
    }

    /// Reads a varint.
    ///
    /// # Errors
    /// `bad_data` when it is cut off or longer than 64 bits.
    #[inline(always)]
    pub fn varint(&mut self) -> Result<u64> {
        if let [byte @ 0..0x80, ..] = self.rest() {
            self.at += 1;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64> {
        let rest = self.rest();
        let Some((value, after)) = varint::read(rest) else {
            return Err(malformed(self.at, "want a varint that ends within 64 bits"));
        };
        self.at += rest.len() - after.len();
        Ok(value)
    }

    /// Reads eight bytes.
    ///
    /// # Errors
    /// `bad_data` when there are fewer.
    #[inline(always)]
    pub fn fixed64(&mut self) -> Result<u64> {
        let Some(bytes) = self.rest().first_chunk() else {
            return Err(malformed(self.at, "want eight bytes"));
        };
        self.at += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Reads a length and returns the message of that many bytes.
    ///
    /// # Errors
    /// `bad_data` when there are fewer.
    #[inline(always)]
    pub fn message(&mut self) -> Result<Self> {
        let len = self.varint()?;
        let start = self.at;
        if len > (self.end - start) as u64 {
            return Err(self.short(len));
        }
        self.at = start + len as usize;
        Ok(Self { body: self.body, at: start, end: self.at })
    }

    #[cold]
    fn short(&self, len: u64) -> Error {
        malformed(self.at, &format!("want {len} bytes, got {}", self.end - self.at))
    }

    /// Skips fields for as long as their tag is `tag`, below 128, and their content is there and
    /// shorter than 128 bytes: the labels of a series, without a look at the rest of the message
    /// for each.
    #[inline(always)]
    pub fn skip_short(&mut self, tag: u64) {
        let mut rest = self.rest();
        while let [first, len @ 0..0x80, after @ ..] = rest
            && u64::from(*first) == tag
            && let Some(next) = after.get(usize::from(*len)..)
        {
            rest = next;
        }
        self.at = self.end - rest.len();
    }

    /// Reads a length and returns that many bytes.
    ///
    /// # Errors
    /// As [`Message::message`].
    #[inline(always)]
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        self.message().map(|inner| inner.rest())
    }

    /// Appends the rest of the message as the numbers of a packed `repeated uint32`; of larger ones
    /// the low bits, as in other implementations.
    ///
    /// # Errors
    /// `bad_data` when the last one is cut off.
    pub fn packed(&mut self, out: &mut Vec<u32>) -> Result<()> {
        while !self.is_empty() {
            out.push(self.varint()? as u32);
        }
        Ok(())
    }

    /// Skips the content of a field whose `tag` was read. `known` is the largest field number of
    /// this message type that the caller knows with another wire type than the tag's.
    ///
    /// # Errors
    /// `bad_data` when the content is cut off, the wire type does not exist, or the field is known.
    #[cold]
    pub fn skip(&mut self, tag: u64, known: u64) -> Result<()> {
        if tag >> 3 <= known {
            let what =
                format!("field {} has wire type {}, which is not its own", tag >> 3, tag & 7);
            return Err(malformed(self.at, &what));
        }
        let mut open_groups: Vec<u64> = Vec::new();
        let mut tag = tag;
        loop {
            match tag & 7 {
                VARINT => {
                    self.varint()?;
                }
                FIXED64 => {
                    self.fixed64()?;
                }
                BYTES => {
                    self.message()?;
                }
                FIXED32 if self.end - self.at >= 4 => self.at += 4,
                FIXED32 => return Err(malformed(self.at, "want four bytes")),
                GROUP_START if open_groups.len() < GROUP_DEPTH_MAX as usize => {
                    open_groups.push(tag >> 3);
                }
                GROUP_START => return Err(malformed(self.at, "groups nest too deep")),
                GROUP_END if open_groups.pop() == Some(tag >> 3) => {}
                GROUP_END => return Err(malformed(self.at, "a group ends that was not begun")),
                other => {
                    return Err(malformed(self.at, &format!("wire type {other}, want 0 to 5")));
                }
            }
            if open_groups.is_empty() {
                return Ok(());
            }
            let Some(next) = self.next_tag()? else {
                return Err(malformed(self.at, "a group does not end"));
            };
            tag = next;
        }
    }
}

#[cold]
fn malformed(at: usize, what: &str) -> Error {
    Error::bad_data(format!("malformed protobuf at byte {at}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip_all(body: &[u8]) -> Result<usize> {
        let mut message = Message::new(body);
        let mut fields = 0;
        while let Some(tag) = message.next_tag()? {
            message.skip(tag, 0)?;
            fields += 1;
        }
        Ok(fields)
    }

    #[test]
    fn every_wire_type_is_skipped() {
        let mut body = vec![0x08, 0x96, 0x01]; // field 1: varint
        body.extend([0x11, 1, 2, 3, 4, 5, 6, 7, 8]); // field 2: eight bytes
        body.extend([0x1a, 2, 0xff, 0xff]); // field 3: two bytes
        body.extend([0x23, 0x08, 1, 0x2b, 0x2c, 0x24]); // field 4: a group with a group in it
        body.extend([0x35, 1, 2, 3, 4]); // field 6: four bytes
        body.extend([0x80, 0x01, 0]); // field 16: varint, two bytes of tag
        assert_eq!(skip_all(&body).unwrap(), 6);
        for len in 0..body.len() {
            // Cut anywhere, it is an error or ends between two fields.
            let ends = [0, 3, 12, 16, 22, 27];
            assert_eq!(skip_all(&body[..len]).is_ok(), ends.contains(&len), "{len}");
        }
    }

    #[test]
    fn what_is_no_field_is_refused_with_its_offset() {
        for (body, at) in [
            (&[0x00, 0x00][..], 0),               // field number 0
            (&[0x08, 0x01, 0x0c], 3),             // end of a group that was not begun
            (&[0x0b, 0x14], 2),                   // a group ended by another
            (&[0x0e, 0x00], 1),                   // wire type 6
            (&[0x0a, 0x05, 0x00], 2),             // five bytes announced, one there
            (&[0x09, 0x00], 1),                   // one byte of eight
            (&[0x0d, 0x00], 1),                   // one byte of four
            (&[0xff; 11], 0),                     // a tag that does not end
            (&[0x0b; 200], 101),                  // groups without end
            (&[0x80, 0x80, 0x80, 0x80, 0x10], 0), // field number 2^29
        ] {
            let text = skip_all(body).unwrap_err().to_string();
            assert!(text.contains(&format!("at byte {at}:")), "{body:x?}: {text}");
        }
    }
}
