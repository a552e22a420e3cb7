//! JSON lines, as VictoriaMetrics' `/api/v1/import` takes them: a series and some of its samples a
//! line.
//!
//! ```text
//! {"metric":{"__name__":"up","job":"a"},"values":[1,null,"Infinity"],"timestamps":[1,2,3]}
//! ```
//!
//! `null` is the quiet NaN 0x7ff8000000000001, which Go and JavaScript's `NaN` in text mean;
//! infinities are strings. JSON has no word for other NaNs, the stale marker among them, so those
//! values are `null`, too, and a member `"nan_bits":{"1":"7ff0000000000002"}` holds the bits of the
//! value with that index: a reader that does not know it still gets a NaN. `read/json_lines.rs`
//! writes what this reads.
//!
//! A line that cannot be read is refused by its number, and the others are stored. Other members
//! are read over.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::labels::encode_pair;
use crate::sample::Sample;
use crate::wire::{Refusal, WireBatch};

/// The NaN that `null` stands for.
pub const PLAIN_NAN_BITS: u64 = 0x7ff8_0000_0000_0001;

/// How deep values may be nested that are read over.
const DEPTH_MAX: usize = 32;

/// Reads lines, of which the first has the number `first_line`. Empty ones are nothing.
///
/// # Errors
/// `bad_data` when there are more samples than a request may have; what is wrong with a line is in
/// the batch.
pub fn parse(body: &[u8], first_line: u64) -> Result<WireBatch<'static>> {
    let mut batch = WireBatch::default();
    let mut line = Line::default();
    for (number, text) in (first_line..).zip(body.split(|byte| *byte == b'\n')) {
        if text.trim_ascii().is_empty() {
            continue;
        }
        if let Err(error) = line.read(text) {
            let error = Error::bad_data(format!("line {number}: {}", error.message()));
            batch.refusals.push(Refusal { error, count: 1 });
            continue;
        }
        batch.samples.extend_from_slice(&line.samples);
        batch.end_series(Cow::Owned(line.labels.clone()))?;
    }
    Ok(batch)
}

/// What a line says; kept for the next one.
#[derive(Default)]
struct Line {
    labels: Vec<u8>,
    samples: Vec<Sample>,
    values: Vec<f64>,
    timestamps: Vec<i64>,
    nan_bits: Vec<(usize, u64)>,
}

impl Line {
    fn read(&mut self, text: &[u8]) -> Result<()> {
        let mut json = Json { text, at: 0 };
        let mut seen = [false; 4];
        json.object(|json, name| {
            let member = match name {
                "metric" => 0,
                "values" => 1,
                "timestamps" => 2,
                "nan_bits" => 3,
                _ => return json.skip_value(0),
            };
            if std::mem::replace(&mut seen[member], true) {
                return Err(json.wrong(&format!("{name:?} occurs twice")));
            }
            match member {
                0 => self.read_metric(json),
                1 => self.read_values(json),
                2 => self.read_timestamps(json),
                _ => self.read_nan_bits(json),
            }
        })?;
        json.end()?;
        for (name, seen) in ["metric", "values", "timestamps"].iter().zip(seen) {
            if !seen {
                return Err(Error::bad_data(format!("there is no {name:?}")));
            }
        }
        if !seen[3] {
            self.nan_bits.clear();
        }
        self.join()
    }

    fn read_metric(&mut self, json: &mut Json<'_>) -> Result<()> {
        self.labels.clear();
        json.object(|json, name| {
            let value = json.string()?;
            encode_pair(&mut self.labels, name, &*value);
            Ok(())
        })
    }

    fn read_values(&mut self, json: &mut Json<'_>) -> Result<()> {
        self.values.clear();
        json.array(|json| {
            self.values.push(json.value()?);
            Ok(())
        })
    }

    fn read_timestamps(&mut self, json: &mut Json<'_>) -> Result<()> {
        self.timestamps.clear();
        json.array(|json| {
            let text = json.number_text()?;
            let t = text.parse().map_err(|_| {
                json.wrong(&format!("a timestamp is whole milliseconds, got {text:.40}"))
            })?;
            self.timestamps.push(t);
            Ok(())
        })
    }

    fn read_nan_bits(&mut self, json: &mut Json<'_>) -> Result<()> {
        self.nan_bits.clear();
        json.object(|json, index| {
            let bits = json.string()?;
            let parsed = index.parse().ok().zip(u64::from_str_radix(&bits, 16).ok());
            let is_nan = |bits: u64| f64::from_bits(bits).is_nan();
            let entry = parsed.filter(|(_, bits)| is_nan(*bits)).ok_or_else(|| {
                json.wrong(&format!("nan_bits: {index:.20?}: {bits:.20?} is not a NaN's bits"))
            })?;
            self.nan_bits.push(entry);
            Ok(())
        })
    }

    /// Puts times and values together.
    fn join(&mut self) -> Result<()> {
        let (values, timestamps) = (self.values.len(), self.timestamps.len());
        if values != timestamps {
            let text = format!("{values} values and {timestamps} timestamps");
            return Err(Error::bad_data(text));
        }
        for (index, bits) in &self.nan_bits {
            match self.values.get_mut(*index) {
                Some(value) if value.is_nan() => *value = f64::from_bits(*bits),
                _ => {
                    let text = format!("nan_bits names value {index}, which is not null");
                    return Err(Error::bad_data(text));
                }
            }
        }
        self.samples.clear();
        let pairs = self.timestamps.iter().zip(&self.values);
        self.samples.extend(pairs.map(|(t, v)| Sample { t: *t, v: *v }));
        Ok(())
    }
}

/// A position in a JSON text.
struct Json<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Json<'a> {
    fn wrong(&self, what: &str) -> Error {
        Error::bad_data(format!("at byte {}: {what}", self.at))
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    fn take(&mut self, want: u8) -> Result<()> {
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

    fn took(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.wrong("something follows the object")),
        }
    }

    fn object(&mut self, mut member: impl FnMut(&mut Self, &str) -> Result<()>) -> Result<()> {
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

    fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
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
    fn string(&mut self) -> Result<Cow<'a, str>> {
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

    fn number_text(&mut self) -> Result<&'a str> {
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

    fn value(&mut self) -> Result<f64> {
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
    fn literal(&mut self) -> Result<()> {
        for word in ["null", "true", "false"] {
            if self.text[self.at..].starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.wrong("want a value"))
    }

    fn skip_value(&mut self, depth: usize) -> Result<()> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("values are nested too deep"));
        }
        match self.peek() {
            Some(b'{') => self.object(|json, _| json.skip_value(depth + 1)),
            Some(b'[') => self.array(|json| json.skip_value(depth + 1)),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number_text().map(drop),
            _ => self.literal(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use crate::sample::STALE_BITS;

    fn samples(line: &str) -> Vec<(i64, u64)> {
        let batch = parse(line.as_bytes(), 1).unwrap();
        assert!(batch.refusals.is_empty(), "{:?}", batch.refusals);
        batch.samples.iter().map(|s| (s.t, s.v.to_bits())).collect()
    }

    fn refused(line: &str) -> String {
        let batch = parse(line.as_bytes(), 7).unwrap();
        assert_eq!((batch.series.len(), batch.refusals.len()), (0, 1), "{line}");
        batch.refusals[0].error.message().to_owned()
    }

    #[test]
    fn a_line_is_a_series_with_its_samples() {
        let text = r#"{"metric":{"__name__":"up","job":"a\"b"},"values":[1,-0.5e3,1e-7],
            "#
        .trim_end()
        .to_owned()
            + r#""timestamps":[1,-2,1700000000000]}"#;
        let batch = parse(text.as_bytes(), 1).unwrap();
        let labels = Labels::from_canonical(&batch.series[0].labels).unwrap();
        assert_eq!(labels.to_string(), r#"{__name__="up", job="a\"b"}"#);
        let got: Vec<_> = batch.samples.iter().map(|s| (s.t, s.v)).collect();
        assert_eq!(got, [(1, 1.0), (-2, -500.0), (1_700_000_000_000, 1e-7)]);
    }

    #[test]
    fn special_values_have_their_bits() {
        let line = r#"{"timestamps":[1,2,3,4,5],"nan_bits":{"1":"7ff0000000000002"},
            "values":[null,null,"Infinity","-Infinity",-0],"metric":{"a":"b"}}"#
            .replace('\n', " ");
        let want = [
            (1, PLAIN_NAN_BITS),
            (2, STALE_BITS),
            (3, f64::INFINITY.to_bits()),
            (4, f64::NEG_INFINITY.to_bits()),
            (5, (-0.0f64).to_bits()),
        ];
        assert_eq!(samples(&line), want);
    }

    #[test]
    fn members_in_any_order_and_unknown_ones_are_read() {
        let line = r#" { "x" : [ {"y":[true,null,-1.5,"z\\"]} ], "values" : [ 2 ] ,
            "timestamps" : [ 3 ] , "metric" : { "a" : "b" } } "#
            .replace('\n', " ");
        assert_eq!(samples(&line), [(3, 2f64.to_bits())]);
    }

    #[test]
    fn a_bad_line_is_named_and_the_others_are_kept() {
        let good = r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1]}"#;
        let body = [good, "", "nonsense", good, "{}"].join("\n");
        let batch = parse(body.as_bytes(), 100).unwrap();
        assert_eq!(batch.series.len(), 2);
        let refusals: Vec<_> = batch.refusals.iter().map(|r| r.error.message()).collect();
        assert!(refusals[0].starts_with("line 102: at byte 0: want"), "{refusals:?}");
        assert_eq!(refusals[1..], ["line 104: there is no \"metric\""]);
    }

    #[test]
    fn what_is_not_such_a_line_is_refused() {
        for (line, want) in [
            (r#"{"metric":{"a":"b"},"values":[1,2],"timestamps":[1]}"#, "2 values and 1"),
            (r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1.5]}"#, "whole milliseconds"),
            (r#"{"metric":{"a":"b"},"values":["x"],"timestamps":[1]}"#, "is not a value"),
            (r#"{"metric":{"a":"b"},"values":[1e999],"timestamps":[1]}"#, "64 bits"),
            (r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1]} x"#, "something follows"),
            (r#"{"metric":{"a":1},"values":[1],"timestamps":[1]}"#, "want"),
            (r#"{"metric":{"a":"b"},"metric":{},"values":[1],"timestamps":[1]}"#, "twice"),
            (
                r#"{"metric":{"a":"b"},"values":[1],"timestamps":[1],"nan_bits":{"0":"7ff8000000000000"}}"#,
                "is not null",
            ),
            (
                r#"{"metric":{"a":"b"},"values":[null],"timestamps":[1],"nan_bits":{"0":"1"}}"#,
                "not a NaN's bits",
            ),
            (r#"{"metric":{"a":"b"#, "does not end"),
        ] {
            let text = refused(line);
            assert!(text.starts_with("line 7: ") && text.contains(want), "{line}: {text}");
        }
        let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
        assert!(refused(&deep).contains("too deep"));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(0u8..128, 0..200)) {
            let batch = parse(&body, 1).unwrap();
            let lines = body.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).count();
            proptest::prop_assert_eq!(
                batch.series.len() + batch.refusals.len(), lines);
        }
    }
}
