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
//! A line of native histograms has `histograms` in place of `values`, an object for each timestamp
//! (`json_lines/histogram.rs`), so that a reader that does not know them refuses the line and does
//! not take them for something else.
//!
//! Either may have `start_timestamps`, as many as timestamps, 0 for a sample that says none.
//!
//! A line that cannot be read is refused by its number, and the others are stored. Other members
//! are read over.

pub mod histogram;
pub mod scan;

use std::borrow::Cow;

use self::scan::Json;
pub use self::scan::PLAIN_NAN_BITS;
use crate::error::{Error, Result};
use crate::labels::encode_pair;
use crate::sample::{NO_START, Sample};
use crate::wire::histogram::WireHistogram;
use crate::wire::{Refusal, WireBatch};

/// The members of a line that are looked at.
const MEMBERS: [&str; 6] =
    ["metric", "timestamps", "values", "nan_bits", "histograms", "start_timestamps"];

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
        for (i, sample) in line.samples.iter().enumerate() {
            batch.push_sample(*sample, line.starts.get(i).copied().unwrap_or(NO_START));
        }
        batch.histograms.append(&mut line.histograms);
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
    histograms: Vec<WireHistogram>,
    starts: Vec<i64>,
}

impl Line {
    fn read(&mut self, text: &[u8]) -> Result<()> {
        let mut json = Json::new(text);
        let mut seen = [false; MEMBERS.len()];
        self.clear();
        json.object(|json, name| {
            let Some(member) = MEMBERS.iter().position(|known| *known == name) else {
                return json.skip_value(0);
            };
            if std::mem::replace(&mut seen[member], true) {
                return Err(json.wrong(&format!("{name:?} occurs twice")));
            }
            match member {
                0 => self.read_metric(json),
                1 => read_times(json, &mut self.timestamps),
                2 => self.read_values(json),
                3 => self.read_nan_bits(json),
                4 => self.read_histograms(json),
                _ => read_times(json, &mut self.starts),
            }
        })?;
        json.end()?;
        let [metric, timestamps, values, nan_bits, histograms, starts] = seen;
        let missing = match (values, histograms) {
            _ if !metric => Some("there is no \"metric\""),
            _ if !timestamps => Some("there is no \"timestamps\""),
            (false, false) => Some("there is no \"values\""),
            (true, true) => Some("it has \"values\" and \"histograms\""),
            _ if starts && self.starts.len() != self.timestamps.len() => {
                Some("it has not as many \"start_timestamps\" as \"timestamps\"")
            }
            (false, true) if nan_bits => Some("it has \"nan_bits\" and \"histograms\""),
            _ => None,
        };
        if let Some(text) = missing {
            return Err(Error::bad_data(text));
        }
        if histograms { self.join_histograms() } else { self.join() }
    }

    fn clear(&mut self) {
        self.labels.clear();
        self.samples.clear();
        self.values.clear();
        self.timestamps.clear();
        self.nan_bits.clear();
        self.starts.clear();
        self.histograms.clear();
    }

    fn read_metric(&mut self, json: &mut Json<'_>) -> Result<()> {
        json.object(|json, name| {
            let value = json.string()?;
            encode_pair(&mut self.labels, name, &*value);
            Ok(())
        })
    }

    fn read_values(&mut self, json: &mut Json<'_>) -> Result<()> {
        json.array(|json| {
            self.values.push(json.value()?);
            Ok(())
        })
    }

    fn read_nan_bits(&mut self, json: &mut Json<'_>) -> Result<()> {
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

    fn read_histograms(&mut self, json: &mut Json<'_>) -> Result<()> {
        json.array(|json| {
            let value = histogram::read(json, self.histograms.last().map(|last| &last.value))?;
            self.histograms.push(WireHistogram { t: 0, start_t: 0, value });
            Ok(())
        })
    }

    /// Gives each histogram its time.
    fn join_histograms(&mut self) -> Result<()> {
        let (histograms, timestamps) = (self.histograms.len(), self.timestamps.len());
        if histograms != timestamps {
            let text = format!("{histograms} histograms and {timestamps} timestamps");
            return Err(Error::bad_data(text));
        }
        self.histograms.iter_mut().zip(&self.timestamps).for_each(|(h, t)| h.t = *t);
        self.histograms.iter_mut().zip(&self.starts).for_each(|(h, start)| h.start_t = *start);
        Ok(())
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
        let pairs = self.timestamps.iter().zip(&self.values);
        self.samples.extend(pairs.map(|(t, v)| Sample { t: *t, v: *v }));
        Ok(())
    }
}

fn read_times(json: &mut Json<'_>, out: &mut Vec<i64>) -> Result<()> {
    json.array(|json| {
        let text = json.number_text()?;
        let t = text.parse().map_err(|_| {
            json.wrong(&format!("a timestamp is whole milliseconds, got {text:.40}"))
        })?;
        out.push(t);
        Ok(())
    })
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
            (r#"{"metric":{"a":"b"},"histograms":[{}],"timestamps":[1,2]}"#, "1 histograms and 2"),
            (
                r#"{"metric":{"a":"b"},"histograms":[{}],"values":[1],"timestamps":[1]}"#,
                "and \"histograms\"",
            ),
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
