//! The `Histogram` message, which both versions of remote_write share: a native histogram sample.
//!
//! Source of the schema: Prometheus 3.14, `prompb/types.proto` and
//! `prompb/io/prometheus/write/v2/types.proto` (`Histogram`, `BucketSpan`; the field numbers below;
//! 2.0 added the start timestamp). Which counts of a message count follows `prompb/codec.go`
//! (`IsFloatHistogram`, `ToIntHistogram`, `ToFloatHistogram`). Whether the histogram makes sense is
//! for [`Histogram::validate`] to say.

use crate::codec::varint::unzigzag;
use crate::error::Result;
use crate::histogram::{CounterReset, Counts, Histogram, Layout, Span, Tally};
use crate::sample::TimestampMs;
use crate::sync::Arc;
use crate::wire::protobuf::{Message, bytes_tag, fixed64_tag, varint_tag};

const COUNT_INT: u64 = varint_tag(1);
const COUNT_FLOAT: u64 = fixed64_tag(2);
const SUM: u64 = fixed64_tag(3);
const SCHEMA: u64 = varint_tag(4);
const ZERO_THRESHOLD: u64 = fixed64_tag(5);
const ZERO_COUNT_INT: u64 = varint_tag(6);
const ZERO_COUNT_FLOAT: u64 = fixed64_tag(7);
const NEGATIVE_SPANS: u64 = bytes_tag(8);
const NEGATIVE_DELTAS: u64 = bytes_tag(9);
const NEGATIVE_DELTA: u64 = varint_tag(9);
const NEGATIVE_COUNTS: u64 = bytes_tag(10);
const NEGATIVE_COUNT: u64 = fixed64_tag(10);
const POSITIVE_SPANS: u64 = bytes_tag(11);
const POSITIVE_DELTAS: u64 = bytes_tag(12);
const POSITIVE_DELTA: u64 = varint_tag(12);
const POSITIVE_COUNTS: u64 = bytes_tag(13);
const POSITIVE_COUNT: u64 = fixed64_tag(13);
const RESET_HINT: u64 = varint_tag(14);
const TIMESTAMP: u64 = varint_tag(15);
const CUSTOM_VALUES: u64 = bytes_tag(16);
const CUSTOM_VALUE: u64 = fixed64_tag(16);
const START_TIMESTAMP: u64 = varint_tag(17);
const SPAN_OFFSET: u64 = varint_tag(1);
const SPAN_LENGTH: u64 = varint_tag(2);

/// A native histogram sample.
#[derive(Debug, Clone, PartialEq)]
pub struct WireHistogram {
    /// When.
    pub t: TimestampMs,
    /// When it began to count; 0 when that was not said.
    pub start_t: TimestampMs,
    /// What; not validated yet.
    pub value: Histogram,
}

/// A message as it was read, before it is known which of its counts count.
#[derive(Default)]
struct Fields {
    t: TimestampMs,
    start_t: TimestampMs,
    reset: CounterReset,
    sum: f64,
    /// The last of the two wins, as in a `oneof`.
    float: bool,
    integer: Tally<u64>,
    floats: Tally<f64>,
    positive_deltas: Vec<i64>,
    negative_deltas: Vec<i64>,
    layout: Layout,
}

/// Parses a message. A layout equal to that of `last`, the histogram before it in the request, is
/// shared with it.
///
/// # Errors
/// `bad_data` with the offset in the body when it is no such message.
pub fn parse_histogram(
    mut message: Message<'_>,
    last: Option<&WireHistogram>,
) -> Result<WireHistogram> {
    let mut fields = Fields::default();
    while let Some(tag) = message.next_tag()? {
        match tag {
            COUNT_INT => {
                fields.integer.count = message.varint()?;
                fields.float = false;
            }
            COUNT_FLOAT => {
                fields.floats.count = double(&mut message)?;
                fields.float = true;
            }
            SUM => fields.sum = double(&mut message)?,
            RESET_HINT => {
                fields.reset = CounterReset::from_number(message.varint()?).unwrap_or_default();
            }
            TIMESTAMP => fields.t = message.varint()? as i64,
            START_TIMESTAMP => fields.start_t = message.varint()? as i64,
            other => fields.buckets(other, &mut message)?,
        }
    }
    Ok(fields.finish(last))
}

impl Fields {
    /// A field of the layout or of the buckets.
    fn buckets(&mut self, tag: u64, message: &mut Message<'_>) -> Result<()> {
        let Self { layout, integer, floats, positive_deltas, negative_deltas, .. } = self;
        match tag {
            SCHEMA => layout.schema = unzigzag(message.varint()?) as i32,
            ZERO_THRESHOLD => layout.zero_threshold = double(message)?,
            ZERO_COUNT_INT => integer.zero = message.varint()?,
            ZERO_COUNT_FLOAT => floats.zero = double(message)?,
            NEGATIVE_SPANS => layout.negative.push(parse_span(message.message()?)?),
            NEGATIVE_DELTAS => deltas(message.message()?, negative_deltas)?,
            NEGATIVE_DELTA => negative_deltas.push(unzigzag(message.varint()?)),
            NEGATIVE_COUNTS => doubles(message.message()?, &mut floats.negative)?,
            NEGATIVE_COUNT => floats.negative.push(double(message)?),
            POSITIVE_SPANS => layout.positive.push(parse_span(message.message()?)?),
            POSITIVE_DELTAS => deltas(message.message()?, positive_deltas)?,
            POSITIVE_DELTA => positive_deltas.push(unzigzag(message.varint()?)),
            POSITIVE_COUNTS => doubles(message.message()?, &mut floats.positive)?,
            POSITIVE_COUNT => floats.positive.push(double(message)?),
            CUSTOM_VALUES => doubles(message.message()?, &mut layout.bounds)?,
            CUSTOM_VALUE => layout.bounds.push(double(message)?),
            other => message.skip(other, 17)?,
        }
        Ok(())
    }

    fn finish(self, last: Option<&WireHistogram>) -> WireHistogram {
        let Self { t, start_t, reset, sum, float, integer, floats, layout, .. } = self;
        let counts = if float {
            Counts::Float(floats)
        } else {
            let (positive, negative) = (&self.positive_deltas, &self.negative_deltas);
            Counts::Integer(Tally::from_deltas(integer.count, integer.zero, positive, negative))
        };
        let layout = match last {
            Some(last) if *last.value.layout == layout => last.value.layout.clone(),
            _ => Arc::new(layout),
        };
        WireHistogram { t, start_t, value: Histogram { layout, reset, sum, counts } }
    }
}

fn double(message: &mut Message<'_>) -> Result<f64> {
    message.fixed64().map(f64::from_bits)
}

fn doubles(mut packed: Message<'_>, out: &mut Vec<f64>) -> Result<()> {
    while !packed.is_empty() {
        out.push(double(&mut packed)?);
    }
    Ok(())
}

fn deltas(mut packed: Message<'_>, out: &mut Vec<i64>) -> Result<()> {
    while !packed.is_empty() {
        out.push(unzigzag(packed.varint()?));
    }
    Ok(())
}

fn parse_span(mut message: Message<'_>) -> Result<Span> {
    let mut span = Span::default();
    while let Some(tag) = message.next_tag()? {
        match tag {
            SPAN_OFFSET => span.offset = unzigzag(message.varint()?) as i32,
            SPAN_LENGTH => span.length = message.varint()? as u32,
            other => message.skip(other, 2)?,
        }
    }
    Ok(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::varint;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn field(number: u64, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        varint::write(&mut out, bytes_tag(number));
        varint::write(&mut out, content.len() as u64);
        out.extend_from_slice(content);
        out
    }

    fn number(tag: u64, value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        varint::write(&mut out, tag);
        varint::write(&mut out, value);
        out
    }

    fn float(tag: u64, value: f64) -> Vec<u8> {
        let mut out = Vec::new();
        varint::write(&mut out, tag);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
        out
    }

    fn zigzags(values: &[i64]) -> Vec<u8> {
        let mut out = Vec::new();
        values.iter().for_each(|v| varint::write_signed(&mut out, *v));
        out
    }

    fn span(offset: i64, length: u64) -> Vec<u8> {
        [number(SPAN_OFFSET, varint::zigzag(offset)), number(SPAN_LENGTH, length)].concat()
    }

    fn parse(parts: &[Vec<u8>]) -> WireHistogram {
        parse_histogram(Message::new(&parts.concat()), None).unwrap()
    }

    fn integer_parts() -> Vec<Vec<u8>> {
        vec![
            number(COUNT_INT, 12),
            float(SUM, 18.4),
            number(SCHEMA, varint::zigzag(-1)),
            float(ZERO_THRESHOLD, 0.001),
            number(ZERO_COUNT_INT, 2),
            field(8, &span(0, 1)),
            field(9, &zigzags(&[1])),
            field(11, &span(-3, 2)),
            field(11, &span(1, 2)),
            field(12, &zigzags(&[1, 1, -1, 4])),
            number(RESET_HINT, 2),
            number(TIMESTAMP, 1_700_000_000_000),
            number(START_TIMESTAMP, 1_600_000_000_000),
        ]
    }

    #[test]
    fn an_integer_histogram_has_absolute_counts() {
        let got = parse(&integer_parts());
        assert_eq!((got.t, got.start_t), (1_700_000_000_000, 1_600_000_000_000));
        let layout = Layout {
            schema: -1,
            zero_threshold: 0.001,
            positive: vec![Span { offset: -3, length: 2 }, Span { offset: 1, length: 2 }],
            negative: vec![Span { offset: 0, length: 1 }],
            bounds: Vec::new(),
        };
        let tally = Tally { count: 12, zero: 2, positive: vec![1, 2, 1, 5], negative: vec![1] };
        let want = Histogram {
            layout: Arc::new(layout),
            reset: CounterReset::No,
            sum: 18.4,
            counts: Counts::Integer(tally),
        };
        assert_eq!(got.value, want);
        got.value.validate().unwrap();
    }

    #[test]
    fn a_float_histogram_with_custom_buckets_is_understood() {
        let bits = |values: &[f64]| -> Vec<u8> {
            values.iter().flat_map(|v| v.to_bits().to_le_bytes()).collect()
        };
        let got = parse(&[
            number(COUNT_INT, 1),
            float(COUNT_FLOAT, 3.5),
            number(SCHEMA, varint::zigzag(-53)),
            field(11, &span(0, 3)),
            field(13, &bits(&[1.0, 0.5])),
            float(POSITIVE_COUNT, 2.0),
            field(16, &bits(&[0.5, 1.0])),
            number(RESET_HINT, 9),
        ]);
        let Counts::Float(tally) = &got.value.counts else { panic!("want floats: {got:?}") };
        assert_eq!((tally.count, &tally.positive[..]), (3.5, &[1.0, 0.5, 2.0][..]));
        assert_eq!(got.value.layout.bounds, [0.5, 1.0]);
        assert_eq!(got.value.reset, CounterReset::Unknown);
        got.value.validate().unwrap();
    }

    #[test]
    fn lists_may_come_one_by_one() {
        let mut parts = integer_parts();
        parts[9] = [1, 1, -1, 4]
            .iter()
            .flat_map(|delta| number(POSITIVE_DELTA, varint::zigzag(*delta)))
            .collect();
        assert_eq!(parse(&parts), parse(&integer_parts()));
    }

    #[test]
    fn the_last_kind_of_count_wins() {
        let got = parse(&[float(COUNT_FLOAT, 1.0), number(COUNT_INT, 0)]);
        assert!(!got.value.is_float());
        assert!(parse(&[number(COUNT_INT, 5), float(COUNT_FLOAT, 0.0)]).value.is_float());
    }

    #[test]
    fn equal_layouts_are_shared() {
        let body = integer_parts().concat();
        let first = parse_histogram(Message::new(&body), None).unwrap();
        let second = parse_histogram(Message::new(&body), Some(&first)).unwrap();
        assert!(Arc::ptr_eq(&first.value.layout, &second.value.layout));
        let mut other = integer_parts();
        other[3] = float(ZERO_THRESHOLD, 0.002);
        let third = parse_histogram(Message::new(&other.concat()), Some(&first)).unwrap();
        assert!(!Arc::ptr_eq(&first.value.layout, &third.value.layout));
    }

    #[test]
    fn a_message_cut_short_is_refused_or_loses_whole_fields() {
        let parts = integer_parts();
        let body = parts.concat();
        let ends: Vec<usize> = parts
            .iter()
            .scan(0, |end, part| {
                *end += part.len();
                Some(*end)
            })
            .collect();
        for cut in 1..body.len() {
            let got = parse_histogram(Message::new(&body[..cut]), None);
            assert_eq!(got.is_ok(), ends.contains(&cut), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(body in vec(any::<u8>(), 0..200)) {
            if let Ok(histogram) = parse_histogram(Message::new(&body), None) {
                let _ = histogram.value.validate();
            }
        }
    }
}
