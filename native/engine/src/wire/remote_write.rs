//! Prometheus remote_write 1.0: a decompressed body to a [`WireBatch`].
//!
//! Source of the schema: Prometheus 3.14, `prompb/remote.proto` and `prompb/types.proto`
//! (`WriteRequest`, `TimeSeries`, `Sample`, `Exemplar`, `MetricMetadata`; the field numbers below;
//! for `Histogram` see `histogram.rs`).
//!
//! Labels are not looked into here: the bytes of a well-behaved sender are the key of the series
//! map as they are (`labels.rs`), and only a series that is not found has them checked and brought
//! into order ([`crate::wire::labels::canonicalize`]).

use std::borrow::Cow;

use crate::error::Result;
use crate::sample::Sample;
use crate::wire::histogram::parse_histogram;
use crate::wire::metadata::{MetricType, WireMetadata};
use crate::wire::protobuf::{Message, bytes_tag, fixed64_tag, varint_tag};
use crate::wire::{WireBatch, WireExemplar};

const REQUEST_TIMESERIES: u64 = bytes_tag(1);
const REQUEST_METADATA: u64 = bytes_tag(3);
const SERIES_LABELS: u64 = bytes_tag(1);
const SERIES_SAMPLES: u64 = bytes_tag(2);
const SERIES_EXEMPLARS: u64 = bytes_tag(3);
const SERIES_HISTOGRAMS: u64 = bytes_tag(4);
const SAMPLE_VALUE: u64 = fixed64_tag(1);
const SAMPLE_TIMESTAMP: u64 = varint_tag(2);
const EXEMPLAR_LABELS: u64 = bytes_tag(1);
const EXEMPLAR_VALUE: u64 = fixed64_tag(2);
const EXEMPLAR_TIMESTAMP: u64 = varint_tag(3);
const METADATA_TYPE: u64 = varint_tag(1);
const METADATA_FAMILY: u64 = bytes_tag(2);
const METADATA_HELP: u64 = bytes_tag(4);
const METADATA_UNIT: u64 = bytes_tag(5);

/// The most series that memory is taken for before they are seen.
const RESERVED_MAX: usize = 4096;

/// Parses a decompressed `WriteRequest`. Nothing is copied but samples, and labels that other
/// fields separate. An empty body is a request without series, as protobuf and Prometheus have it.
///
/// # Errors
/// `bad_data` with the offset in the body when it is no such message. The contents of labels are
/// not looked at.
pub fn parse_v1(body: &[u8]) -> Result<WireBatch<'_>> {
    let mut batch = WireBatch::default();
    let mut request = Message::new(body);
    while let Some(tag) = request.next_tag()? {
        match tag {
            REQUEST_TIMESERIES => {
                parse_series(request.message()?, &mut batch)?;
                if batch.series.len() == 1 {
                    // Requests are of one kind of series mostly: the first tells how many follow.
                    let more = (body.len() / request.position()).min(RESERVED_MAX);
                    batch.series.reserve(more);
                    batch.samples.reserve(more);
                }
            }
            REQUEST_METADATA => batch.metadata.push(parse_metadata(request.message()?)?),
            // Field 2 is reserved: Cortex once had it, so it is unknown rather than wrong.
            other => request.skip(other, if other >> 3 == 2 { 0 } else { 3 })?,
        }
    }
    Ok(batch)
}

fn parse_series<'a>(mut series: Message<'a>, batch: &mut WireBatch<'a>) -> Result<()> {
    let mut labels = LabelBytes::default();
    loop {
        let start = series.position();
        let Some(tag) = series.next_tag()? else { break };
        match tag {
            SERIES_LABELS => {
                series.message()?;
                series.skip_short(SERIES_LABELS);
                labels.add(&series, start);
            }
            SERIES_SAMPLES => batch.samples.push(parse_sample(series.message()?)?),
            SERIES_EXEMPLARS => batch.exemplars.push(parse_exemplar(series.message()?)?),
            SERIES_HISTOGRAMS => {
                let histogram = parse_histogram(series.message()?, batch.histograms.last())?;
                batch.histograms.push(histogram);
            }
            other => series.skip(other, 4)?,
        }
    }
    batch.end_series(labels.finish())
}

fn parse_exemplar(mut exemplar: Message<'_>) -> Result<WireExemplar<'_>> {
    let mut labels = LabelBytes::default();
    let (mut t, mut bits) = (0, 0);
    loop {
        let start = exemplar.position();
        let Some(tag) = exemplar.next_tag()? else { break };
        match tag {
            EXEMPLAR_LABELS => {
                exemplar.message()?;
                labels.add(&exemplar, start);
            }
            EXEMPLAR_VALUE => bits = exemplar.fixed64()?,
            EXEMPLAR_TIMESTAMP => t = exemplar.varint()? as i64,
            other => exemplar.skip(other, 3)?,
        }
    }
    Ok(WireExemplar { labels: labels.finish(), t, v: f64::from_bits(bits) })
}

fn parse_metadata(mut metadata: Message<'_>) -> Result<WireMetadata<'_>> {
    let mut parsed = WireMetadata { family: b"", kind: MetricType::Unknown, unit: b"", help: b"" };
    while let Some(tag) = metadata.next_tag()? {
        match tag {
            METADATA_TYPE => parsed.kind = MetricType::from_number(metadata.varint()?),
            METADATA_FAMILY => parsed.family = metadata.bytes()?,
            METADATA_HELP => parsed.help = metadata.bytes()?,
            METADATA_UNIT => parsed.unit = metadata.bytes()?,
            // 3 was never used.
            other => metadata.skip(other, if other >> 3 == 3 { 0 } else { 5 })?,
        }
    }
    Ok(parsed)
}

/// Gathers the `labels` fields of a series: borrowed while they follow one another.
#[derive(Default)]
struct LabelBytes<'a> {
    /// Where the current run begins; ends where the next field began when it was last added to.
    run_start: usize,
    run: &'a [u8],
    /// The runs before.
    gathered: Vec<u8>,
}

impl<'a> LabelBytes<'a> {
    /// Adds the fields that began at `start` and end at the position of `series`.
    #[inline(always)]
    fn add(&mut self, series: &Message<'a>, start: usize) {
        if self.run_start + self.run.len() != start {
            self.gathered.extend_from_slice(self.run);
            self.run_start = start;
        }
        self.run = series.since(self.run_start);
    }

    fn finish(mut self) -> Cow<'a, [u8]> {
        if self.gathered.is_empty() {
            return Cow::Borrowed(self.run);
        }
        self.gathered.extend_from_slice(self.run);
        Cow::Owned(self.gathered)
    }
}

#[inline(always)]
fn parse_sample(mut sample: Message<'_>) -> Result<Sample> {
    // Protobuf 3 leaves fields out that are zero.
    let (mut t, mut bits) = (0, 0);
    while let Some(tag) = sample.next_tag()? {
        match tag {
            SAMPLE_VALUE => bits = sample.fixed64()?,
            SAMPLE_TIMESTAMP => t = sample.varint()? as i64,
            other => sample.skip(other, 2)?,
        }
    }
    Ok(Sample { t, v: f64::from_bits(bits) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::varint;
    use crate::labels::encode_pair;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        varint::write(&mut out, content.len() as u64);
        out.extend_from_slice(content);
        out
    }

    fn labels(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in pairs {
            encode_pair(&mut out, name, value);
        }
        out
    }

    fn sample(t: i64, v: f64) -> Vec<u8> {
        let mut content = Vec::new();
        if v.to_bits() != 0 {
            content.push(0x09);
            content.extend_from_slice(&v.to_bits().to_le_bytes());
        }
        if t != 0 {
            content.push(0x10);
            varint::write(&mut content, t as u64);
        }
        field(2, &content)
    }

    fn series(parts: &[Vec<u8>]) -> Vec<u8> {
        field(1, &parts.concat())
    }

    fn samples_of(batch: &WireBatch<'_>, i: usize) -> Vec<Sample> {
        batch.samples[batch.spans(i).samples].to_vec()
    }

    #[test]
    fn labels_are_borrowed_and_samples_keep_their_bits() {
        let stale = f64::from_bits(crate::sample::STALE_BITS);
        let (a, b) = (labels(&[("__name__", "up"), ("job", "x")]), labels(&[("__name__", "b")]));
        let body = [
            series(&[a.clone(), sample(1_700_000_000_000, 1.5), sample(-5, stale)]),
            series(&[sample(0, 0.0), b.clone()]),
            series(&[]),
        ]
        .concat();
        let batch = parse_v1(&body).unwrap();
        assert_eq!(batch.series.len(), 3);
        assert_eq!(batch.series[0].labels, a);
        assert_eq!(batch.series[1].labels, b);
        assert!(batch.series.iter().all(|s| matches!(s.labels, Cow::Borrowed(_))));
        let expected = [Sample { t: 1_700_000_000_000, v: 1.5 }, Sample { t: -5, v: stale }];
        assert_eq!(samples_of(&batch, 0), expected);
        assert_eq!(samples_of(&batch, 1), [Sample { t: 0, v: 0.0 }]);
        assert_eq!(samples_of(&batch, 2), []);
    }

    #[test]
    fn scattered_labels_are_gathered_in_their_order() {
        let [a, b, c] = ["a", "b", "c"].map(|name| labels(&[(name, "1")]));
        let body = series(&[
            a.clone(),
            b.clone(),
            sample(1, 1.0),
            c.clone(),
            field(9, b"unknown"),
            a.clone(),
        ]);
        let batch = parse_v1(&body).unwrap();
        assert_eq!(batch.series[0].labels, [a.clone(), b, c, a].concat());
        assert_eq!(batch.samples.len(), 1);
    }

    #[test]
    fn exemplars_follow_their_series() {
        let trace = labels(&[("trace_id", "4bf9"), ("span_id", "00f0")]);
        let value = [&[0x11][..], &1.5f64.to_bits().to_le_bytes()].concat();
        let exemplar = field(3, &[&trace[..], &value, &[0x18, 7]].concat());
        let body = [
            series(&[labels(&[("__name__", "a")]), exemplar.clone(), exemplar]),
            series(&[sample(1, 1.0)]),
            series(&[field(3, b"")]),
        ]
        .concat();
        let batch = parse_v1(&body).unwrap();
        assert_eq!(batch.series.iter().map(|s| s.exemplars_end).collect::<Vec<_>>(), [2, 2, 3]);
        let [first, second, third] = &batch.exemplars[..] else { panic!("want three") };
        assert_eq!((&first.labels[..], first.t, first.v), (&trace[..], 7, 1.5));
        assert!(matches!(second.labels, Cow::Borrowed(_)));
        assert_eq!((&third.labels[..], third.t, third.v), (&b""[..], 0, 0.0));
    }

    #[test]
    fn histograms_follow_their_series() {
        // A count of 3 at time 5, and an empty message.
        let body = [series(&[field(4, &[0x08, 3, 0x78, 5])]), series(&[field(4, b"")])].concat();
        let batch = parse_v1(&body).unwrap();
        assert_eq!([0, 1].map(|i| batch.spans(i).histograms), [0..1, 1..2]);
        assert_eq!([0, 1].map(|i| batch.histograms[i].t), [5, 0]);
    }

    #[test]
    fn metadata_is_understood() {
        let content = [&field(2, b"up")[..], &field(4, b"Is it?"), &field(5, b"state"), &[8, 2]];
        let body = [field(3, &content.concat()), field(3, b"\x1a\x00")].concat();
        let batch = parse_v1(&body).unwrap();
        let known = WireMetadata {
            family: b"up",
            kind: MetricType::Gauge,
            unit: b"state",
            help: b"Is it?",
        };
        let empty = WireMetadata { family: b"", kind: MetricType::Unknown, unit: b"", help: b"" };
        assert_eq!(batch.metadata, [known, empty]);
    }

    #[test]
    fn an_empty_message_is_a_request_without_series() {
        let batch = parse_v1(&[]).unwrap();
        assert!(batch.series.is_empty() && batch.samples.is_empty());
    }

    #[test]
    fn fields_of_other_versions_are_skipped() {
        let unknown = [&[0x4d, 1, 2, 3, 4][..], &field(10, b"ten"), &[0x60, 7]].concat();
        let noisy_sample = field(2, &[&unknown, &sample(3, 2.0)[2..]].concat());
        let reserved = field(2, b"from a Cortex");
        let body = [series(&[unknown.clone(), noisy_sample]), unknown, reserved].concat();
        assert_eq!(parse_v1(&body).unwrap().samples, [Sample { t: 3, v: 2.0 }]);
    }

    #[test]
    fn malformed_messages_are_bad_data_with_an_offset() {
        for (body, at) in [
            (b"not protobuf at all".to_vec(), 1),          // wire type 6
            (vec![0x0a, 0x05, 0x0a], 2),                   // a series longer than the body
            (vec![0x0a, 0x02, 0x0a, 0x05], 4),             // a label longer than its series
            (vec![0x0a, 0x03, 0x12, 0x01, 0x09], 5),       // a value of no bytes
            (vec![0x0a, 0x04, 0x12, 0x02, 0x10, 0x80], 5), // a timestamp that does not end
            (vec![0x08, 0x01], 1),                         // time series as a number
            (vec![0x0a, 0x02, 0x10, 0x01], 3),             // samples as a number
            (vec![0x0a, 0x04, 0x12, 0x02, 0x08, 0x01], 5), // a value as a number
        ] {
            let error = parse_v1(&body).unwrap_err();
            assert_eq!(error.code(), crate::error::ErrorCode::BadData);
            assert!(error.message().contains(&format!("at byte {at}:")), "{body:x?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body in vec(any::<u8>(), 0..300)) {
            if let Ok(batch) = parse_v1(&body) {
                prop_assert!(batch.series.is_sorted_by_key(|s| s.samples_end));
                let end = batch.series.last().map_or(0, |s| s.samples_end as usize);
                prop_assert_eq!(end, batch.samples.len());
            }
        }

        #[test]
        fn a_request_cut_short_is_refused_or_loses_whole_series(cut in 0usize..1000) {
            let one = series(&[labels(&[("__name__", "up"), ("job", "x")]), sample(1 << 40, 1.5)]);
            let body = one.repeat(10);
            let cut = cut % body.len();
            match parse_v1(&body[..cut]) {
                Ok(batch) => prop_assert_eq!(batch.series.len() * one.len(), cut),
                Err(_) => prop_assert!(!cut.is_multiple_of(one.len())),
            }
        }
    }
}
