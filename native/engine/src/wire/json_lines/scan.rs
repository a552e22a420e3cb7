//! A JSON text, read from front to back: only what lines of samples need, so that their numbers
//! and strings are read where they lie.

use std::borrow::Cow;

use crate::error::{Error, Result};

/// The NaN that `null` stands for.
pub const PLAIN_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// How deep values may be nested that are read over.
const DEPTH_MAX: usize = 32;

/// A position in a JSON text.
#[derive(Clone)]
pub struct Json<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Json<'a> {
    /// At the beginning of `text`.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// What is wrong here.
    pub fn wrong(&self, what: &str) -> Error {
        Error::bad_data(format!("at byte {}: {what}", self.at))
    }

    /// The next byte that is not white space.
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes the byte `want`, which must be next.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn take(&mut self, want: u8) -> Result<()> {
        match self.peek() {
            Some(got) if got == want => {
                self.at += 1;
                Ok(())
            }
            got => {
                let got = got.map_or("the end".to_owned(), |byte| (byte as char).to_string());
                Err(self.wrong(&format!("want {:?}, got {got:?}", want as char)))
            }
        }
    }

    /// Takes `byte` if it is next, and says whether it was.
    pub fn took(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    /// The end, which must be here.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("something follows the object")),
        }
    }

    /// An object: `member` reads the value of each name.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
        self.take(b'{')?;
        if self.took(b'}') {
            return Ok(());
        }
        loop {
            self.peek();
            let name = self.string()?;
            self.take(b':')?;
            self.peek();
            member(self, &name)?;
            if !self.took(b',') {
                return self.take(b'}');
            }
        }
    }

    /// An array: `element` reads each.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.take(b'[')?;
        if self.took(b']') {
            return Ok(());
        }
        loop {
            self.peek();
            element(self)?;
            if !self.took(b',') {
                return self.take(b']');
            }
        }
    }

    /// A string. Without a backslash, the ordinary case, it is a part of the text.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        self.take(b'"')?;
        let start = self.at;
        let rest = &self.text[start..];
        let special = memchr::memchr2(b'"', b'\\', rest)
            .ok_or_else(|| self.wrong("a string does not end"))?;
        if rest[special] == b'"' {
            let bytes = &rest[..special];
            if bytes.iter().any(|byte| *byte < 0x20) {
                return Err(self.wrong("a control character in a string"));
            }
            self.at = start + special + 1;
            return match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(_) => Err(self.wrong("a string is not valid UTF-8")),
            };
        }
        self.escaped_string(start).map(Cow::Owned)
    }

    /// The rare string with escapes: `start` is after its opening quote.
    #[cold]
    fn escaped_string(&mut self, start: usize) -> Result<String> {
        let rest = &self.text[start..];
        let mut end = 0;
        loop {
            match rest.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(_) => end += 1,
                None => return Err(self.wrong("a string does not end")),
            }
        }
        self.at = start + end + 1;
        let quoted = &self.text[start - 1..self.at];
        serde_json::from_slice(quoted).map_err(|cause| self.wrong(&format!("a string: {cause}")))
    }

    /// Whether the next byte, white space not skipped, begins a number.
    pub fn is_number(&self) -> bool {
        matches!(self.text.get(self.at), Some(b'-' | b'0'..=b'9'))
    }

    /// The text of a number, not looked at more closely.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn number_text(&mut self) -> Result<&'a str> {
        let rest = &self.text[self.at..];
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let len = rest.iter().take_while(|byte| is_part(byte)).count();
        let text = std::str::from_utf8(&rest[..len]).unwrap_or_default();
        if text.is_empty() {
            return Err(self.wrong("want a number"));
        }
        self.at += len;
        Ok(text)
    }

    /// A sample's value: a number, `null`, or a word in quotes.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn value(&mut self) -> Result<f64> {
        match self.text.get(self.at) {
            Some(b'n') => {
                self.literal()?;
                Ok(f64::from_bits(PLAIN_NAN_BITS))
            }
            Some(b'"') => {
                let text = self.string()?;
                match &*text {
                    "Infinity" | "infinity" | "Inf" | "inf" | "+Inf" => Ok(f64::INFINITY),
                    "-Infinity" | "-infinity" | "-Inf" | "-inf" => Ok(f64::NEG_INFINITY),
                    "NaN" | "nan" | "null" | "Null" => Ok(f64::from_bits(PLAIN_NAN_BITS)),
                    other => Err(self.wrong(&format!("{other:.40?} is not a value"))),
                }
            }
            _ => {
                let text = self.number_text()?;
                match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => Ok(value),
                    _ => Err(self.wrong(&format!("{text:.40} is not a number of 64 bits"))),
                }
            }
        }
    }

    /// `null`, `true` or `false`.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn literal(&mut self) -> Result<&'static str> {
        for word in ["null", "true", "false"] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(word);
            }
        }
        Err(self.wrong("want a value"))
    }

    /// Reads over a value.
    ///
    /// # Errors
    /// `bad_data` with the byte, where something else is there.
    pub fn skip_value(&mut self, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("values are nested too deep"));
        }
        match self.peek() {
            Some(b'{') => self.object(|json, _| json.skip_value(depth + 1)),
            Some(b'[') => self.array(|json| json.skip_value(depth + 1)),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number_text().map(drop),
            _ => self.literal().map(drop),
        }
    }
}
