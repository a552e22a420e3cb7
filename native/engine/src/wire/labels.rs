//! The labels of a request: pairs out of bytes that a sender chose, checked and brought into the
//! canonical encoding of `labels.rs`.
//!
//! Follows Prometheus 3.14 (`model/labels`, UTF-8 validation scheme): names and values are any
//! UTF-8, names unique and not empty, an empty value is no label. A metric name is required.

use std::fmt::Write;

use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::labels::{Labels, METRIC_NAME};
use crate::options::WriteLimits;
use crate::wire::protobuf::{Message, bytes_tag};

const LABELS: u64 = bytes_tag(1);
const NAME: u64 = bytes_tag(1);
const VALUE: u64 = bytes_tag(2);

/// How much of a series an error names, in bytes: enough to find it, too little to flood a log.
const SHOWN_BYTES: usize = 400;

/// The name and value pairs of a run of `labels` fields, as the sender wrote them: fields of a pair
/// in any order, a missing one empty, the last of a repeated one; nothing else is checked.
///
/// After an error there are no more pairs. The error is `bad_data`, with the offset in `encoded`.
pub fn label_pairs(encoded: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8])>> {
    let mut fields = Message::new(encoded);
    let mut failed = false;
    std::iter::from_fn(move || {
        if failed {
            return None;
        }
        let pair = next_pair(&mut fields).transpose();
        failed = matches!(pair, Some(Err(_)));
        pair
    })
}

fn next_pair<'a>(fields: &mut Message<'a>) -> Result<Option<(&'a [u8], &'a [u8])>> {
    while let Some(tag) = fields.next_tag()? {
        if tag != LABELS {
            fields.skip(tag, 1)?;
            continue;
        }
        let mut label = fields.message()?;
        let (mut name, mut value) = (&[][..], &[][..]);
        while let Some(tag) = label.next_tag()? {
            match tag {
                NAME => name = label.bytes()?,
                VALUE => value = label.bytes()?,
                other => label.skip(other, 2)?,
            }
        }
        return Ok(Some((name, value)));
    }
    Ok(None)
}

/// Checks a run of `labels` fields and brings it into canonical encoding: sorted by name, labels
/// with an empty value left out.
///
/// # Errors
/// `bad_data` when the bytes are malformed or no valid UTF-8, a name is empty or occurs twice, or
/// there is no metric name; `limit_exceeded` for too many labels or too long a name or value. The
/// sentence names the series.
pub fn canonicalize(encoded: &[u8], limits: &WriteLimits) -> Result<Labels> {
    match already_canonical(encoded, limits) {
        Some(labels) => Ok(labels),
        None => rewrite(encoded, limits),
    }
}

/// The labels as they came, when there is nothing to change and nothing to refuse: the ordinary
/// case, at a third of the cost of [`rewrite`].
fn already_canonical(encoded: &[u8], limits: &WriteLimits) -> Option<Labels> {
    let (mut count, mut shortest, mut has_metric_name) = (0, 0, false);
    for pair in label_pairs(encoded) {
        let (name, value) = pair.ok()?;
        if name.len() > limits.max_label_name_bytes || value.len() > limits.max_label_value_bytes {
            return None;
        }
        count += 1;
        shortest += encoded_len(name, value);
        has_metric_name |= name == METRIC_NAME.as_bytes();
    }
    // A number in more bytes than it needs would make a second encoding of the same labels.
    if count > limits.max_labels_per_series || !has_metric_name || shortest != encoded.len() {
        return None;
    }
    Labels::from_canonical(encoded).ok()
}

/// Bytes of a pair in canonical encoding.
fn encoded_len(name: &[u8], value: &[u8]) -> usize {
    let field = |len: usize| 1 + varint::len(len as u64) + len;
    field(field(name.len()) + field(value.len()))
}

fn rewrite(encoded: &[u8], limits: &WriteLimits) -> Result<Labels> {
    let named = |code, what: String| Error::new(code, format!("series {}: {what}", shown(encoded)));
    let bad = |what: String| named(ErrorCode::BadData, what);
    let mut pairs = Vec::with_capacity(16);
    for pair in label_pairs(encoded) {
        let (name, value) = pair.map_err(|e| bad(e.message().to_owned()))?;
        let name = text(name).map_err(|e| bad(format!("a label name is {e}")))?;
        let value = text(value).map_err(|e| bad(format!("the value of {name:.100?} is {e}")))?;
        for (what, len, most) in [
            ("name", name.len(), limits.max_label_name_bytes),
            ("value", value.len(), limits.max_label_value_bytes),
        ] {
            if len > most {
                return Err(named(
                    ErrorCode::LimitExceeded,
                    format!(
                        "the {what} of label {name:.100?} has {len} bytes, at most {most} are allowed"
                    ),
                ));
            }
        }
        pairs.push((name, value));
    }
    let count = pairs.iter().filter(|(_, value)| !value.is_empty()).count();
    if count > limits.max_labels_per_series {
        return Err(named(
            ErrorCode::LimitExceeded,
            format!("it has {count} labels, at most {} are allowed", limits.max_labels_per_series),
        ));
    }
    if !pairs.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty()) {
        return Err(bad(format!("it has no metric name (label {METRIC_NAME})")));
    }
    Labels::from_pairs(pairs).map_err(|e| bad(e.message().to_owned()))
}

/// Brings the labels of an exemplar into canonical encoding. There may be none, and a metric name
/// is not wanted; names and values together have `max_characters` at most.
///
/// # Errors
/// `bad_data` when the bytes are malformed or no valid UTF-8, or a name is empty or occurs twice;
/// `limit_exceeded` for too many characters.
pub fn canonicalize_exemplar(encoded: &[u8], max_characters: usize) -> Result<Labels> {
    let (mut pairs, mut characters) = (Vec::new(), 0);
    for pair in label_pairs(encoded) {
        let (name, value) = pair?;
        let (name, value) = (exemplar_text(name)?, exemplar_text(value)?);
        characters += name.chars().count() + value.chars().count();
        if characters > max_characters {
            let text =
                format!("the labels of an exemplar have more than {max_characters} characters");
            return Err(Error::new(ErrorCode::LimitExceeded, text));
        }
        pairs.push((name, value));
    }
    Labels::from_pairs(pairs)
}

fn exemplar_text(bytes: &[u8]) -> Result<&str> {
    text(bytes).map_err(|e| Error::bad_data(format!("a label of an exemplar is {e}")))
}

fn text(bytes: &[u8]) -> std::result::Result<&str, String> {
    std::str::from_utf8(bytes)
        .map_err(|e| format!("not valid UTF-8 at its byte {}", e.valid_up_to()))
}

/// The labels as far as they can be read, in the order they came, for a sentence.
fn shown(encoded: &[u8]) -> String {
    let mut out = String::from("{");
    for (i, (name, value)) in label_pairs(encoded).map_while(Result::ok).enumerate() {
        if out.len() >= SHOWN_BYTES {
            out.push_str(", …");
            break;
        }
        let separator = if i > 0 { ", " } else { "" };
        // Writing to a string does not fail.
        let _ = write!(out, "{separator}{}={:?}", shown_text(name), shown_text(value));
    }
    out.push('}');
    out
}

/// The beginning of a text; what is no UTF-8 becomes U+FFFD.
fn shown_text(bytes: &[u8]) -> String {
    let start = &bytes[..bytes.len().min(SHOWN_BYTES / 4)];
    let mut text = String::from_utf8_lossy(start).into_owned();
    if start.len() < bytes.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::encode_pair;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn encode(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            encode_pair(&mut out, name, value);
        }
        out
    }

    fn refused(encoded: &[u8], limits: &WriteLimits) -> (ErrorCode, String) {
        let error = canonicalize(encoded, limits).unwrap_err();
        (error.code(), error.message().to_owned())
    }

    #[test]
    fn canonical_bytes_stay_as_they_are() {
        let encoded = encode(&[("__name__", "up"), ("job", "x"), ("zone", "ü")]);
        let labels = canonicalize(&encoded, &WriteLimits::default()).unwrap();
        assert_eq!(labels.as_bytes(), encoded);
    }

    #[test]
    fn any_encoding_of_a_label_is_understood() {
        // Value before name, a name twice, an unknown field, a label of nothing but a name.
        let encoded = b"\x0a\x0f\x12\x01x\x0a\x01z\x1a\x02??\x0a\x03job\
            \x0a\x0e\x0a\x08__name__\x12\x02up\x0a\x03\x0a\x01e";
        let pairs: Vec<_> = label_pairs(encoded).map(Result::unwrap).collect();
        let expected = [(&b"job"[..], &b"x"[..]), (b"__name__", b"up"), (b"e", b"")];
        assert_eq!(pairs, expected);
        let labels = canonicalize(encoded, &WriteLimits::default()).unwrap();
        assert_eq!(labels.as_bytes(), encode(&[("__name__", "up"), ("job", "x")]));
    }

    #[test]
    fn the_labels_of_an_exemplar_are_short_and_need_no_name() {
        assert!(canonicalize_exemplar(b"", 128).unwrap().is_empty());
        let encoded = encode(&[("trace_id", "ü4bf9"), ("span", "")]);
        let labels = canonicalize_exemplar(&encoded, 17).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("trace_id", "ü4bf9")]);
        let code = |encoded: &[u8], most| canonicalize_exemplar(encoded, most).unwrap_err().code();
        assert_eq!(code(&encoded, 16), ErrorCode::LimitExceeded);
        assert_eq!(code(&encode(&[("a", "1"), ("a", "2")]), 128), ErrorCode::BadData);
        assert_eq!(code(&encoded[..4], 128), ErrorCode::BadData);
        assert_eq!(code(b"\x0a\x06\x0a\x01\xff\x12\x01a", 128), ErrorCode::BadData);
    }

    #[test]
    fn overlong_numbers_do_not_make_another_series() {
        let encoded = encode(&[("__name__", "up"), ("job", "x")]);
        // The length of "up" in two bytes, and the length around it one more.
        let mut overlong = encoded.clone();
        overlong.splice(13..14, [0x82, 0x00]);
        overlong[1] += 1;
        let labels = canonicalize(&overlong, &WriteLimits::default()).unwrap();
        assert_eq!(labels.as_bytes(), encoded);
    }

    #[test]
    fn pairs_end_at_the_first_malformed_one() {
        let encoded = [&encode(&[("a", "1")])[..], &[0x0a, 0x09, 0x0a]].concat();
        let pairs: Vec<_> = label_pairs(&encoded).map(|p| p.is_ok()).collect();
        assert_eq!(pairs, [true, false]);
    }

    #[test]
    fn what_no_series_may_have_is_refused_and_the_series_named() {
        let limits = WriteLimits::default();
        let name = ("__name__", "up");
        for (encoded, what) in [
            (encode(&[]), "no metric name"),
            (encode(&[("job", "x")]), "no metric name"),
            (encode(&[("__name__", ""), ("job", "x")]), "no metric name"),
            (encode(&[name, ("job", "x"), ("job", "y")]), r#""job" occurs twice"#),
            (encode(&[name, ("job", "x"), ("job", "")]), r#""job" occurs twice"#),
            (encode(&[name, ("", "x")]), "label name is empty"),
            ([encode(&[name]), b"\x0a\x05\x0a\x03a\xffb".to_vec()].concat(), "not valid UTF-8"),
            (
                [encode(&[name]), b"\x0a\x06\x0a\x01a\x12\x01\xff".to_vec()].concat(),
                r#"value of "a""#,
            ),
            ([encode(&[name]), vec![0x0a, 0x07]].concat(), "malformed protobuf at byte 18"),
        ] {
            let (code, message) = refused(&encoded, &limits);
            assert_eq!(code, ErrorCode::BadData, "{message}");
            assert!(message.contains(what), "{message}");
            let named =
                if encoded.starts_with(&encode(&[name])) { "{__name__=\"up\"" } else { "{" };
            assert!(message.starts_with(&format!("series {named}")), "{message}");
        }
    }

    #[test]
    fn limits_hold_to_the_byte() {
        let limits = WriteLimits {
            max_labels_per_series: 3,
            max_label_name_bytes: 8,
            max_label_value_bytes: 5,
            ..WriteLimits::default()
        };
        let at = [("__name__", "12345"), ("b", "1"), ("c", "1"), ("empty", "")];
        assert!(canonicalize(&encode(&at), &limits).is_ok());
        for (pair, what) in [
            (("d", "1"), "it has 4 labels, at most 3"),
            (("ninebytes", ""), "has 9 bytes, at most 8"),
            (("d", "123456"), "has 6 bytes, at most 5"),
        ] {
            let (code, message) = refused(&encode(&[&at[..], &[pair]].concat()), &limits);
            assert_eq!(code, ErrorCode::LimitExceeded);
            assert!(message.contains(what), "{message}");
        }
    }

    #[test]
    fn an_error_names_a_huge_series_in_few_words() {
        let long = "ü".repeat(30_000);
        let pairs: Vec<_> = (0..1000).map(|_| (&long[..4000], &long[..])).collect();
        let (_, message) = refused(&encode(&pairs), &WriteLimits::default());
        assert!(message.len() < 2000, "{}", message.len());
    }

    proptest! {
        #[test]
        fn the_result_is_canonical_and_has_the_pairs(
            pairs in vec(("[a-c]{1,3}|ü", "[xy]{0,2}"), 0..6),
        ) {
            let mut pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            pairs.push(("__name__", "up"));
            let mut expected = pairs.clone();
            expected.sort_unstable();
            let unique = expected.windows(2).all(|w| w[0].0 != w[1].0);
            expected.retain(|(_, v)| !v.is_empty());
            match canonicalize(&encode(&pairs), &WriteLimits::default()) {
                Ok(labels) => {
                    prop_assert!(unique);
                    prop_assert_eq!(labels.iter().collect::<Vec<_>>(), expected);
                    prop_assert!(Labels::from_canonical(labels.as_bytes()).is_ok());
                }
                Err(_) => prop_assert!(!unique),
            }
        }

        #[test]
        fn any_bytes_are_canonicalized_or_refused(encoded in vec(any::<u8>(), 0..100)) {
            match canonicalize(&encoded, &WriteLimits::default()) {
                Ok(labels) => prop_assert!(Labels::from_canonical(labels.as_bytes()).is_ok()),
                Err(e) => prop_assert_eq!(e.code(), ErrorCode::BadData),
            }
        }
    }
}
