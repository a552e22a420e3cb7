//! Series as JSON lines, for `/api/v1/export` and `metricstor tsdb export`: what
//! `wire/json_lines.rs` reads, drawn there.

mod histogram;

use crate::dictionary::Dictionary;
use crate::read::json;
use crate::run::{Run, RunSlice};
use crate::sample::{NO_START, TimestampMs};
use crate::wire::json_lines::PLAIN_NAN_BITS;

/// The most samples of a line, so that a reader that goes line by line knows what it needs: some
/// 300 KiB of text. A longer series has several lines.
pub const LINE_SAMPLES_MAX: usize = 8192;
/// The most histograms of a line: they take a kilobyte or so each.
const LINE_HISTOGRAMS_MAX: usize = 256;

/// Appends samples of a series (its labels are ids of `dictionary`) as lines: floats, then
/// histograms.
pub fn series(out: &mut Vec<u8>, dictionary: &Dictionary, labels: &[u32], run: &RunSlice<'_>) {
    if run.histograms.is_empty() {
        return floats(out, dictionary, labels, run);
    }
    let (mut rest, mut samples) = (Run::default(), Vec::new());
    for i in 0..run.timestamps.len() {
        match run.histogram(i) {
            Some(h) => samples.push((run.times_of(i), &**h)),
            None => rest.sink().float(run.times_of(i), run.values[i]),
        }
    }
    floats(out, dictionary, labels, &rest.as_slice());
    for samples in samples.chunks(LINE_HISTOGRAMS_MAX) {
        out.extend_from_slice(br#"{"metric":"#);
        json::labels(out, dictionary, labels);
        out.extend_from_slice(br#","histograms":"#);
        list(out, samples, |out, (_, h)| histogram::object(out, h));
        out.extend_from_slice(br#","timestamps":"#);
        list(out, samples, |out, (at, _)| integer(out, at.t));
        let starts: Vec<_> = samples.iter().map(|(at, _)| at.start).collect();
        start_timestamps(out, &starts);
        out.extend_from_slice(b"}\n");
    }
}

fn floats(out: &mut Vec<u8>, dictionary: &Dictionary, labels: &[u32], run: &RunSlice<'_>) {
    let len = run.timestamps.len();
    for start in (0..len).step_by(LINE_SAMPLES_MAX) {
        let line = run.slice(start..len.min(start + LINE_SAMPLES_MAX));
        out.extend_from_slice(br#"{"metric":"#);
        json::labels(out, dictionary, labels);
        out.extend_from_slice(br#","values":"#);
        list(out, line.values, |out, value| float(out, *value));
        out.extend_from_slice(br#","timestamps":"#);
        list(out, line.timestamps, |out, t| integer(out, *t));
        nan_bits(out, line.values);
        if line.has_starts() {
            let starts: Vec<_> = (0..line.timestamps.len()).map(|i| line.start(i)).collect();
            start_timestamps(out, &starts);
        }
        out.extend_from_slice(b"}\n");
    }
}

/// The start timestamps of a line, if one is said.
fn start_timestamps(out: &mut Vec<u8>, starts: &[TimestampMs]) {
    if starts.iter().any(|start| *start != NO_START) {
        out.extend_from_slice(br#","start_timestamps":"#);
        list(out, starts, |out, start| integer(out, *start));
    }
}

/// The bits of those values that are another NaN than `null`.
fn nan_bits(out: &mut Vec<u8>, values: &[f64]) {
    if !values.iter().any(|value| is_odd_nan(*value)) {
        return;
    }
    out.extend_from_slice(br#","nan_bits":{"#);
    let odd = values.iter().enumerate().filter(|(_, value)| is_odd_nan(**value));
    for (n, (i, value)) in odd.enumerate() {
        let comma = if n > 0 { "," } else { "" };
        let bits = value.to_bits();
        out.extend_from_slice(format!("{comma}\"{i}\":\"{bits:016x}\"").as_bytes());
    }
    out.push(b'}');
}

const NEGATIVE_ZERO_BITS: u64 = 1 << 63;

fn is_odd_nan(value: f64) -> bool {
    value.is_nan() && value.to_bits() != PLAIN_NAN_BITS
}

fn float(out: &mut Vec<u8>, value: f64) {
    match value {
        v if v.is_nan() => out.extend_from_slice(b"null"),
        f64::INFINITY => out.extend_from_slice(br#""Infinity""#),
        f64::NEG_INFINITY => out.extend_from_slice(br#""-Infinity""#),
        // Some readers take -0 for an integer, and those have no sign of zero.
        v if v.to_bits() == NEGATIVE_ZERO_BITS => out.extend_from_slice(b"-0.0"),
        v => json::number(out, v),
    }
}

fn integer(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn list<T>(out: &mut Vec<u8>, elements: &[T], mut write: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, element);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels::Labels;
    use crate::sample::STALE_BITS;
    use crate::wire::json_lines::parse;

    fn text(labels: &[(&str, &str)], samples: &[(i64, u64)]) -> String {
        let mut dictionary = Dictionary::default();
        let ids: Vec<u32> =
            labels.iter().flat_map(|(n, v)| [*n, *v]).map(|t| dictionary.intern(t)).collect();
        let timestamps: Vec<i64> = samples.iter().map(|s| s.0).collect();
        let values: Vec<f64> = samples.iter().map(|s| f64::from_bits(s.1)).collect();
        let mut out = Vec::new();
        series(&mut out, &dictionary, &ids, &RunSlice::floats(&timestamps, &values));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn special_values_are_written_so_that_others_understand_them() {
        let bits = [1.5f64, -0.0, f64::INFINITY].map(f64::to_bits);
        let samples =
            [(1, bits[0]), (2, bits[1]), (3, bits[2]), (-4, PLAIN_NAN_BITS), (5, STALE_BITS)];
        let want = concat!(
            r#"{"metric":{"__name__":"a\"b"},"values":[1.5,-0.0,"Infinity",null,null],"#,
            r#""timestamps":[1,2,3,-4,5],"nan_bits":{"4":"7ff0000000000002"}}"#,
            "\n"
        );
        assert_eq!(text(&[("__name__", "a\"b")], &samples), want);
    }

    #[test]
    fn a_long_series_has_several_lines() {
        let samples: Vec<_> = (0..20_000).map(|i| (i, 0)).collect();
        let text = text(&[("a", "b")], &samples);
        assert_eq!(text.lines().count(), 3);
        assert_eq!(parse(text.as_bytes(), 1).unwrap().samples.len(), 20_000);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_bit_for_bit(
            value in "\\PC{1,20}",
            samples in proptest::collection::vec(
                (-(1i64 << 53)..1i64 << 53, prop_oneof![any::<u64>(), Just(STALE_BITS)]),
                1..50,
            ),
        ) {
            let text = text(&[("__name__", "m"), ("l", &value)], &samples);
            let batch = parse(text.as_bytes(), 1).unwrap();
            prop_assert!(batch.refusals.is_empty(), "{:?}", batch.refusals);
            let labels = Labels::from_canonical(&batch.series[0].labels).unwrap();
            prop_assert_eq!(labels.get("l"), Some(&*value));
            let got: Vec<_> = batch.samples.iter().map(|s| (s.t, s.v.to_bits())).collect();
            prop_assert_eq!(got, samples);
        }
    }
}
