//! A native histogram as a JSON object: what `wire/json_lines/histogram.rs` reads, drawn there.

use super::{integer, is_odd_nan, list};
use crate::histogram::{CounterReset, Counts, Histogram, Span, Tally};
use crate::wire::json_lines::histogram::{NAN_PREFIX, RESET_HINTS};

/// Appends `h`.
pub fn object(out: &mut Vec<u8>, h: &Histogram) {
    let layout = &*h.layout;
    out.extend_from_slice(br#"{"schema":"#);
    integer(out, layout.schema);
    member(out, "zero_threshold");
    float(out, layout.zero_threshold);
    member(out, "sum");
    float(out, h.sum);
    match &h.counts {
        Counts::Integer(tally) => tally_members(out, h, tally, integer),
        Counts::Float(tally) => {
            member(out, "float");
            out.extend_from_slice(b"true");
            tally_members(out, h, tally, float);
        }
    }
    if !layout.bounds.is_empty() {
        member(out, "custom_values");
        list(out, &layout.bounds, |out, bound| float(out, *bound));
    }
    if h.reset != CounterReset::Unknown {
        member(out, "counter_reset_hint");
        out.push(b'"');
        out.extend_from_slice(RESET_HINTS[h.reset as usize].as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

fn member(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

fn tally_members<C: Copy>(
    out: &mut Vec<u8>,
    h: &Histogram,
    tally: &Tally<C>,
    write: impl Fn(&mut Vec<u8>, C),
) {
    member(out, "count");
    write(out, tally.count);
    member(out, "zero_count");
    write(out, tally.zero);
    let mut side = |spans: &[Span], counts: &[C], names: [&str; 2]| {
        if spans.is_empty() {
            return;
        }
        member(out, names[0]);
        list(out, spans, |out, span| {
            out.push(b'[');
            integer(out, span.offset);
            out.push(b',');
            integer(out, span.length);
            out.push(b']');
        });
        member(out, names[1]);
        list(out, counts, |out, count| write(out, *count));
    };
    let layout = &*h.layout;
    side(&layout.positive, &tally.positive, ["positive_spans", "positive_buckets"]);
    side(&layout.negative, &tally.negative, ["negative_spans", "negative_buckets"]);
}

fn float(out: &mut Vec<u8>, value: f64) {
    if is_odd_nan(value) {
        let bits = value.to_bits();
        return out.extend_from_slice(format!("\"{NAN_PREFIX}{bits:016x}\"").as_bytes());
    }
    super::float(out, value);
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::dictionary::Dictionary;
    use crate::histogram::{Layout, bucket_count};
    use crate::run::Run;
    use crate::sync::Arc;
    use crate::wire::json_lines::parse;

    fn histograms() -> impl Strategy<Value = Histogram> {
        let spans = || {
            let span = (any::<i32>(), 0..5u32);
            vec(span.prop_map(|(offset, length)| Span { offset, length }), 0..3)
        };
        let float = || any::<u64>().prop_map(f64::from_bits);
        let layout = (any::<i32>(), float(), spans(), spans(), vec(float(), 0..4)).prop_map(
            |(schema, zero_threshold, positive, negative, bounds)| Layout {
                schema,
                zero_threshold,
                positive,
                negative,
                bounds,
            },
        );
        let counts = |layout: &Layout| {
            let sides = [&layout.positive, &layout.negative].map(|s| bucket_count(s) as usize);
            let words =
                (any::<[u64; 2]>(), vec(any::<u64>(), sides[0]), vec(any::<u64>(), sides[1]));
            (words, any::<bool>()).prop_map(|(([count, zero], positive, negative), is_float)| {
                if !is_float {
                    return Counts::Integer(Tally { count, zero, positive, negative });
                }
                let floats = |words: Vec<u64>| words.into_iter().map(f64::from_bits).collect();
                let (positive, negative) = (floats(positive), floats(negative));
                let [count, zero] = [count, zero].map(f64::from_bits);
                Counts::Float(Tally { count, zero, positive, negative })
            })
        };
        let all = layout.prop_flat_map(move |layout| {
            (counts(&layout), 0..4u64, float(), Just(Arc::new(layout)))
        });
        all.prop_map(|(counts, reset, sum, layout)| {
            let reset = CounterReset::from_number(reset).unwrap();
            Histogram { layout, reset, sum, counts }
        })
    }

    proptest! {
        #[test]
        fn histograms_and_floats_are_read_back_bit_for_bit(
            samples in vec((prop::option::of(histograms()), any::<u64>()), 1..8),
            starts in vec(prop_oneof![Just(0i64), any::<i64>()], 1..8),
        ) {
            let mut run = Run { starts, ..Run::default() };
            run.starts.truncate(samples.len());
            let starts = run.starts.clone();
            for (t, (h, bits)) in (0i64..).zip(&samples) {
                run.timestamps.push(t);
                run.values.push(h.as_ref().map_or(f64::from_bits(*bits), |h| h.sum));
                run.histograms.push(h.clone().map(Arc::new));
            }
            let mut dictionary = Dictionary::default();
            let ids = ["__name__", "h"].map(|text| dictionary.intern(text));
            let mut text = Vec::new();
            super::super::series(&mut text, &dictionary, &ids, &run.as_slice());
            let batch = parse(&text, 1).unwrap();
            prop_assert!(batch.refusals.is_empty(), "{:?}", batch.refusals);
            let floats = batch.samples.iter().enumerate();
            let floats = floats.map(|(i, s)| (s.t, batch.start_of(i), Err(s.v.to_bits())));
            let mut got: Vec<_> = floats.collect();
            got.extend(batch.histograms.iter().map(|h| (h.t, h.start_t, Ok(h.value.clone()))));
            got.sort_by_key(|(t, ..)| *t);
            let start = |t: i64| starts.get(t as usize).copied().unwrap_or(0);
            let want = (0i64..).zip(samples).map(|(t, (h, bits))| (t, start(t), h.ok_or(bits)));
            prop_assert_eq!(got, want.collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_object_is_the_documented_one() {
        let layout = Layout {
            schema: 3,
            zero_threshold: 0.001,
            positive: vec![Span { offset: -3, length: 2 }],
            ..Layout::default()
        };
        let tally = Tally { count: 6, zero: 2, positive: vec![1, 3], negative: Vec::new() };
        let counts = Counts::Integer(tally);
        let reset = CounterReset::Gauge;
        let h = Histogram { layout: Arc::new(layout), reset, sum: 18.4, counts };
        let mut out = Vec::new();
        object(&mut out, &h);
        let want = concat!(
            r#"{"schema":3,"zero_threshold":0.001,"sum":18.4,"count":6,"zero_count":2,"#,
            r#""positive_spans":[[-3,2]],"positive_buckets":[1,3],"counter_reset_hint":"gauge"}"#
        );
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
