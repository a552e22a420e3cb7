//! Results as the JSON text of Prometheus' HTTP API.
//!
//! Source of the form: Prometheus 3.14, `web/api/v1/json_codec.go` (`marshalSeriesJSON`,
//! `marshalSampleJSON`, `marshalLabelsJSON`), `util/jsonutil/marshal.go` (`MarshalTimestamp`,
//! `MarshalFloat`) and `promql/value.go` (`Scalar`, `String`). Points print milliseconds with three
//! digits (`1.500`) and large and small values with an exponent there, scalars do neither; so here.
//! One deviation: a string result escapes what labels escape, where Prometheus escapes `<`, `>`,
//! `&` and two line separators as well; a reader of JSON sees the same text.
//!
//! Everything is appended to the caller's buffer. Values are formatted from their bits, so no NaN
//! payload matters on the way.

pub mod reports;

use crate::dictionary::Dictionary;
use crate::label_order::{LabelIds, span};
use crate::read::packed::{Histograms, Packed};

/// Integers below this in magnitude are their own shortest text: 2^53.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;
/// From this magnitude on points print with an exponent, as does JavaScript.
const EXPONENT_FROM: f64 = 1e21;
/// Below this magnitude, too.
const EXPONENT_BELOW: f64 = 1e-6;

/// Points of a matrix, as columns of equal length.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    /// Milliseconds.
    pub timestamps: &'a [f64],
    /// Values; of a histogram anything.
    pub values: &'a [f64],
    /// Those of them that are histograms.
    pub histograms: &'a Histograms<'a>,
}

/// Appends `"resultType":"vector","result":[…]`: series `i` has the value `values[i]` at
/// `timestamps[i]` (milliseconds), or the histogram of place `i`.
pub fn vector(
    out: &mut Vec<u8>,
    dictionary: &Dictionary,
    series: LabelIds<'_>,
    timestamps: &[f64],
    values: &[f64],
    histograms: &Histograms<'_>,
) {
    out.extend_from_slice(br#""resultType":"vector","result":"#);
    let mut rest = histograms.all();
    array(out, 0..series.len(), |out, i| {
        out.extend_from_slice(br#"{"metric":"#);
        labels(out, dictionary, series.get(i));
        if let (Some(t), Some(v)) = (timestamps.get(i), values.get(i)) {
            if let Some(h) = rest.take_at(i) {
                out.extend_from_slice(br#","histogram":"#);
                histogram_point(out, *t, &h);
            } else {
                out.extend_from_slice(br#","value":"#);
                point(out, *t, *v);
            }
        }
        out.push(b'}');
    });
}

/// Appends `"resultType":"matrix","result":[…]`: series `i` owns `[offsets[i], offsets[i + 1])` of
/// `timestamps` (milliseconds) and `values`; those of the places of `histograms` are histograms.
pub fn matrix(
    out: &mut Vec<u8>,
    dictionary: &Dictionary,
    series: LabelIds<'_>,
    offsets: &[u32],
    points: Points<'_>,
) {
    let Points { timestamps, values, histograms } = points;
    let mut rest = histograms.all();
    out.extend_from_slice(br#""resultType":"matrix","result":"#);
    array(out, 0..series.len(), |out, i| {
        out.extend_from_slice(br#"{"metric":"#);
        labels(out, dictionary, series.get(i));
        let Some(span) = span(offsets, i).filter(|s| s.end <= timestamps.len().min(values.len()))
        else {
            return out.push(b'}');
        };
        let mut own = rest.take_within(&span);
        let points = timestamps[span.clone()].iter().zip(&values[span.clone()]);
        if own.len() < span.len() {
            out.extend_from_slice(br#","values":"#);
            let mut skip = own;
            let floats = points.clone().zip(span.clone());
            let floats = floats.filter(|(_, place)| skip.take_at(*place).is_none());
            array(out, floats, |out, ((t, v), _)| point(out, *t, *v));
        }
        if !own.is_empty() {
            out.extend_from_slice(br#","histograms":"#);
            let found =
                points.zip(span).filter_map(|((t, _), place)| Some((t, own.take_at(place)?)));
            array(out, found, |out, (t, h)| histogram_point(out, *t, &h));
        }
        out.push(b'}');
    });
}

/// Appends `"resultType":"scalar","result":[t,"v"]`; `t` in milliseconds.
pub fn scalar(out: &mut Vec<u8>, t: f64, v: f64) {
    out.extend_from_slice(br#""resultType":"scalar","result":["#);
    trimmed_timestamp(out, t);
    out.extend_from_slice(br#",""#);
    plain_number(out, v);
    out.extend_from_slice(br#""]"#);
}

/// Appends `"resultType":"string","result":[t,"text"]`; `t` in milliseconds.
pub fn string_result(out: &mut Vec<u8>, t: f64, text: &str) {
    out.extend_from_slice(br#""resultType":"string","result":["#);
    trimmed_timestamp(out, t);
    out.push(b',');
    string(out, text);
    out.push(b']');
}

/// Appends a list of label objects, as `/api/v1/series` answers.
pub fn label_list(out: &mut Vec<u8>, dictionary: &Dictionary, series: LabelIds<'_>) {
    array(out, 0..series.len(), |out, i| labels(out, dictionary, series.get(i)));
}

/// Appends a label set, ids being name, value, name, value …, as an object in that order.
pub fn labels(out: &mut Vec<u8>, dictionary: &Dictionary, ids: &[u32]) {
    out.push(b'{');
    for (i, pair) in ids.as_chunks::<2>().0.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        string(out, dictionary.text(pair[0]));
        out.push(b':');
        string(out, dictionary.text(pair[1]));
    }
    out.push(b'}');
}

fn array<T>(
    out: &mut Vec<u8>,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// Appends `[t,{"count":"…","sum":"…","buckets":[[rule,"lower","upper","count"],…]}]`; empty
/// buckets are left out.
///
/// Source: Prometheus 3.14, `util/jsonutil/marshal.go` (`MarshalHistogram`).
fn histogram_point(out: &mut Vec<u8>, t: f64, h: &Packed<'_>) {
    out.push(b'[');
    timestamp(out, t);
    out.extend_from_slice(br#",{"count":"#);
    quoted(out, h.count());
    out.extend_from_slice(br#","sum":"#);
    quoted(out, h.sum());
    let mut buckets = h.buckets().filter(|bucket| bucket.count != 0.0).peekable();
    if buckets.peek().is_some() {
        out.extend_from_slice(br#","buckets":"#);
        array(out, buckets, |out, bucket| {
            // Open, and then which ends are inside: as the API numbers it.
            out.extend_from_slice(match (bucket.lower_inside, bucket.upper_inside) {
                (false, true) => b"[0,",
                (true, false) => b"[1,",
                (false, false) => b"[2,",
                (true, true) => b"[3,",
            });
            quoted(out, bucket.lower);
            out.push(b',');
            quoted(out, bucket.upper);
            out.push(b',');
            quoted(out, bucket.count);
            out.push(b']');
        });
    }
    out.extend_from_slice(b"}]");
}

fn quoted(out: &mut Vec<u8>, v: f64) {
    out.push(b'"');
    number(out, v);
    out.push(b'"');
}

#[inline]
fn point(out: &mut Vec<u8>, t: f64, v: f64) {
    out.push(b'[');
    timestamp(out, t);
    out.extend_from_slice(br#",""#);
    number(out, v);
    out.extend_from_slice(br#""]"#);
}

/// Appends a point's time, whole milliseconds, as seconds: `100`, or with three digits `1.500`.
pub fn timestamp(out: &mut Vec<u8>, ms: f64) {
    let ms = ms as i64;
    if ms < 0 {
        out.push(b'-');
    }
    let (seconds, fraction) = (ms.unsigned_abs() / 1000, (ms.unsigned_abs() % 1000) as u16);
    integer(out, seconds);
    if fraction > 0 {
        let digit = |n: u16| b'0' + (n % 10) as u8;
        out.extend_from_slice(&[
            b'.',
            digit(fraction / 100),
            digit(fraction / 10),
            digit(fraction),
        ]);
    }
}

/// Appends a time as seconds without needless digits: `1.5`.
fn trimmed_timestamp(out: &mut Vec<u8>, ms: f64) {
    timestamp(out, ms);
    if ms as i64 % 1000 != 0 {
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

fn integer(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends the shortest text that is read back as `v`, without quotes: with an exponent from 1e+21
/// on and below 1e-06, else without. `+Inf`, `-Inf`, `NaN`, `-0`.
#[inline]
pub fn number(out: &mut Vec<u8>, v: f64) {
    if !short_integer(out, v) {
        let magnitude = v.abs();
        let plain = (EXPONENT_BELOW..EXPONENT_FROM).contains(&magnitude);
        long_number(out, v, if plain { Form::Plain } else { Form::Exponent });
    }
}

/// Appends the shortest text that is read back as `v`, never with an exponent, without quotes: at
/// most 343 bytes.
pub fn plain_number(out: &mut Vec<u8>, v: f64) {
    if !short_integer(out, v) {
        long_number(out, v, Form::Plain);
    }
}

#[inline]
fn short_integer(out: &mut Vec<u8>, v: f64) -> bool {
    let n = v as i64;
    // -0 equals 0 and needs its sign.
    let exact = n as f64 == v && v.abs() < EXACT_INTEGERS && (n != 0 || v.is_sign_positive());
    if exact {
        out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
    exact
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Plain,
    Exponent,
}

fn long_number(out: &mut Vec<u8>, v: f64, form: Form) {
    if !v.is_finite() {
        let text = if v.is_nan() {
            "NaN"
        } else if v > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return out.extend_from_slice(text.as_bytes());
    }
    if v == 0.0 {
        return out.extend_from_slice(if v.is_sign_negative() { b"-0" } else { b"0" });
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(v).as_bytes();
    // It writes an exponent where the plain text is long; else its text is ours.
    match text.iter().position(|c| *c == b'e') {
        None if form == Form::Plain => {
            out.extend_from_slice(text.strip_suffix(b".0").unwrap_or(text));
        }
        None => reform(out, text, 0, form),
        Some(e) => reform(out, &text[..e], parse_exponent(&text[e + 1..]), form),
    }
}

fn parse_exponent(text: &[u8]) -> i32 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let n = digits.iter().fold(0, |n, d| n * 10 + i32::from(d - b'0'));
    if negative { -n } else { n }
}

/// Writes the decimal `text`, times ten to the `exponent`, in the given form.
fn reform(out: &mut Vec<u8>, text: &[u8], exponent: i32, form: Form) {
    let text = match text {
        [b'-', magnitude @ ..] => {
            out.push(b'-');
            magnitude
        }
        magnitude => magnitude,
    };
    // The digits and, after `point` of them, the decimal point.
    let mut digits = [0; 32];
    let (mut len, mut point) = (0, text.len() as i32);
    for (i, c) in text.iter().enumerate() {
        match c {
            b'.' => point = i as i32,
            digit => {
                digits[len] = *digit;
                len += 1;
            }
        }
    }
    let leading = digits[..len].iter().take_while(|d| **d == b'0').count();
    point += exponent - leading as i32;
    let digits = digits[leading..len].trim_ascii_end();
    let trailing = digits.iter().rev().take_while(|d| **d == b'0').count();
    let digits = &digits[..digits.len() - trailing];
    match form {
        Form::Plain => write_plain(out, digits, point),
        Form::Exponent => write_exponent(out, digits, point - 1),
    }
}

fn write_plain(out: &mut Vec<u8>, digits: &[u8], point: i32) {
    let zeros = |out: &mut Vec<u8>, n: usize| out.resize(out.len() + n, b'0');
    match usize::try_from(point) {
        Ok(before @ 1..) if before >= digits.len() => {
            out.extend_from_slice(digits);
            zeros(out, before - digits.len());
        }
        Ok(before @ 1..) => {
            out.extend_from_slice(&digits[..before]);
            out.push(b'.');
            out.extend_from_slice(&digits[before..]);
        }
        _ => {
            out.extend_from_slice(b"0.");
            zeros(out, point.unsigned_abs() as usize);
            out.extend_from_slice(digits);
        }
    }
}

/// As Go does: a sign always, two digits at least.
fn write_exponent(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.extend_from_slice(&digits[..1]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
    if exponent.abs() < 10 {
        out.push(b'0');
    }
    integer(out, u64::from(exponent.unsigned_abs()));
}

/// What to write for a byte: 0 as it is, `u` as `\u00xx`, else a backslash and this.
const ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        table[control] = b'u';
        control += 1;
    }
    table[b'\n' as usize] = b'n';
    table[b'\r' as usize] = b'r';
    table[b'\t' as usize] = b't';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Appends `text` as a JSON string, quotes included, the way labels are printed.
pub fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    // Nearly all text is plain; a loop without a way out is done sixteen bytes at a time.
    if !rest.iter().fold(false, |any, c| any | (*c < 0x20) | (*c == b'"') | (*c == b'\\')) {
        out.extend_from_slice(rest);
        return out.push(b'"');
    }
    while let Some(at) = rest.iter().position(|c| ESCAPES[usize::from(*c)] != 0) {
        out.extend_from_slice(&rest[..at]);
        let byte = rest[at];
        match ESCAPES[usize::from(byte)] {
            b'u' => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(byte >> 4)],
                HEX[usize::from(byte & 15)],
            ]),
            short => out.extend_from_slice(&[b'\\', short]),
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests;
