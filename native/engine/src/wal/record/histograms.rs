//! Records of native histogram samples: a section of its own, drawn in `FORMAT.md`.
//!
//! ```text
//! record  = svarint series - previous series, svarint time - previous time, flags u8
//!           [layout] counts sum
//! flags   = bits 0-1 counter-reset hint | bit 2: float counts | bit 3: the previous layout
//! layout  = svarint schema, float zero threshold, spans positive, spans negative,
//!           varint n, n floats: custom bounds
//! spans   = varint n, n times (svarint offset, varint length)
//! counts  = count, zero count, positive buckets, negative buckets
//! float   = varint of the bits with their bytes reversed: short for small integers
//! ```
//!
//! Integer counts are varints, buckets svarints of the difference from the bucket before, the first
//! of a side from 0; float counts are floats. The number of buckets is that of the spans.

use crate::codec::varint;
use crate::histogram::{
    BUCKETS_MAX, CounterReset, Counts, Histogram, Layout, Span, Tally, bucket_count,
};
use crate::refs::SeriesRef;
use crate::sample::TimestampMs;
use crate::sync::Arc;

const RESET_MASK: u8 = 0b11;
const FLOAT: u8 = 0b100;
const SAME_LAYOUT: u8 = 0b1000;

/// What a record leaves behind for the next; alike in writer and reader.
#[derive(Debug, Default)]
pub struct Previous {
    series: u32,
    t: TimestampMs,
    layout: Option<Arc<Layout>>,
}

/// Appends a record.
pub fn write(
    out: &mut Vec<u8>,
    previous: &mut Previous,
    series: SeriesRef,
    t: TimestampMs,
    h: &Histogram,
) {
    varint::write_signed(out, i64::from(series.0) - i64::from(previous.series));
    varint::write_signed(out, t.wrapping_sub(previous.t));
    let same_layout = previous.layout.as_ref().is_some_and(|layout| *layout == h.layout);
    out.push(
        h.reset as u8
            | if h.is_float() { FLOAT } else { 0 }
            | if same_layout { SAME_LAYOUT } else { 0 },
    );
    if !same_layout {
        write_layout(out, &h.layout);
    }
    match &h.counts {
        Counts::Integer(tally) => {
            varint::write(out, tally.count);
            varint::write(out, tally.zero);
            for side in [&tally.positive, &tally.negative] {
                Tally::deltas(side).for_each(|delta| varint::write_signed(out, delta));
            }
        }
        Counts::Float(tally) => {
            let sides = tally.positive.iter().chain(&tally.negative);
            [&tally.count, &tally.zero].into_iter().chain(sides).for_each(|v| write_float(out, *v));
        }
    }
    write_float(out, h.sum);
    *previous = Previous { series: series.0, t, layout: Some(Arc::clone(&h.layout)) };
}

/// A record that was read.
pub struct Record<'a> {
    /// Whose.
    pub series: SeriesRef,
    /// When.
    pub t: TimestampMs,
    /// What.
    pub h: Histogram,
    /// What follows it.
    pub rest: &'a [u8],
}

/// Reads a record; `None` for what no writer writes.
pub fn read<'a>(bytes: &'a [u8], previous: &mut Previous) -> Option<Record<'a>> {
    let (ahead, rest) = varint::read_signed(bytes)?;
    let series = u32::try_from(i64::from(previous.series).checked_add(ahead)?).ok()?;
    let (ahead, rest) = varint::read_signed(rest)?;
    let t = previous.t.wrapping_add(ahead);
    let (flags, mut rest) = rest.split_first()?;
    if flags & !(RESET_MASK | FLOAT | SAME_LAYOUT) != 0 {
        return None;
    }
    let layout = if flags & SAME_LAYOUT != 0 {
        previous.layout.take()?
    } else {
        Arc::new(read_layout(&mut rest)?)
    };
    let counts = if flags & FLOAT != 0 {
        Counts::Float(read_tally(&mut rest, &layout, read_float, |_, float| float)?)
    } else {
        let absolute = |last: &mut u64, word| {
            *last = last.wrapping_add(varint::unzigzag(word) as u64);
            *last
        };
        Counts::Integer(read_tally(&mut rest, &layout, read_varint, absolute)?)
    };
    let sum = read_float(&mut rest)?;
    let reset = CounterReset::from_number(u64::from(flags & RESET_MASK))?;
    *previous = Previous { series, t, layout: Some(Arc::clone(&layout)) };
    let h = Histogram { layout, reset, sum, counts };
    Some(Record { series: SeriesRef(series), t, h, rest })
}

/// Reads counts; `step` makes a bucket's count of what was read and the bucket before.
fn read_tally<C: Copy + Default>(
    rest: &mut &[u8],
    layout: &Layout,
    read: impl Fn(&mut &[u8]) -> Option<C>,
    step: impl Fn(&mut C, C) -> C,
) -> Option<Tally<C>> {
    let (count, zero) = (read(rest)?, read(rest)?);
    let mut tally = Tally { count, zero, ..Tally::default() };
    for (spans, side) in
        [(&layout.positive, &mut tally.positive), (&layout.negative, &mut tally.negative)]
    {
        // Every count takes a byte or more.
        let buckets = usize::try_from(bucket_count(spans)).ok().filter(|n| *n <= rest.len())?;
        side.reserve_exact(buckets);
        let mut last = C::default();
        for _ in 0..buckets {
            let word = read(rest)?;
            side.push(step(&mut last, word));
        }
    }
    Some(tally)
}

fn write_layout(out: &mut Vec<u8>, layout: &Layout) {
    varint::write_signed(out, i64::from(layout.schema));
    write_float(out, layout.zero_threshold);
    for spans in [&layout.positive, &layout.negative] {
        varint::write(out, spans.len() as u64);
        for span in spans {
            varint::write_signed(out, i64::from(span.offset));
            varint::write(out, u64::from(span.length));
        }
    }
    varint::write(out, layout.bounds.len() as u64);
    layout.bounds.iter().for_each(|bound| write_float(out, *bound));
}

fn read_layout(rest: &mut &[u8]) -> Option<Layout> {
    let schema = i32::try_from(varint::unzigzag(read_varint(rest)?)).ok()?;
    let zero_threshold = read_float(rest)?;
    let (positive, negative) = (read_spans(rest)?, read_spans(rest)?);
    let bounds = read_length(rest)?;
    let bounds = (0..bounds).map(|_| read_float(rest)).collect::<Option<_>>()?;
    let buckets = bucket_count(&positive).checked_add(bucket_count(&negative))?;
    let layout = Layout { schema, zero_threshold, positive, negative, bounds };
    (buckets <= BUCKETS_MAX).then_some(layout)
}

fn read_spans(rest: &mut &[u8]) -> Option<Vec<Span>> {
    let length = read_length(rest)?;
    let span = |_| {
        let offset = i32::try_from(varint::unzigzag(read_varint(rest)?)).ok()?;
        let length = u32::try_from(read_varint(rest)?).ok()?;
        Some(Span { offset, length })
    };
    (0..length).map(span).collect()
}

/// The length of a list whose elements take a byte or more each.
fn read_length(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(read_varint(rest)?).ok().filter(|length| *length <= rest.len())
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let (value, tail) = varint::read(rest)?;
    *rest = tail;
    Some(value)
}

fn write_float(out: &mut Vec<u8>, v: f64) {
    varint::write(out, v.to_bits().swap_bytes());
}

fn read_float(rest: &mut &[u8]) -> Option<f64> {
    Some(f64::from_bits(read_varint(rest)?.swap_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    type Sample = (u32, i64, Histogram);

    fn encode(samples: &[Sample]) -> Vec<u8> {
        let (mut out, mut previous) = (Vec::new(), Previous::default());
        for (series, t, h) in samples {
            write(&mut out, &mut previous, SeriesRef(*series), *t, h);
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Vec<Sample>> {
        let (mut out, mut previous, mut rest) = (Vec::new(), Previous::default(), bytes);
        while !rest.is_empty() {
            let record = read(rest, &mut previous)?;
            out.push((record.series.0, record.t, record.h));
            rest = record.rest;
        }
        Some(out)
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        vec((any::<i32>(), 0..6u32).prop_map(|(offset, length)| Span { offset, length }), 0..4)
    }

    fn floats(n: usize) -> impl Strategy<Value = Vec<f64>> {
        vec(any::<u64>().prop_map(f64::from_bits), n)
    }

    fn a_histogram() -> impl Strategy<Value = Histogram> {
        let layout = (any::<i32>(), floats(3), spans(), spans());
        layout.prop_flat_map(|(schema, bounds, positive, negative)| {
            let sides = [&positive, &negative].map(|spans| bucket_count(spans) as usize);
            let side = |n| vec(any::<u64>(), n);
            let integers = (any::<[u64; 2]>(), side(sides[0]), side(sides[1]));
            let integers = integers.prop_map(|([count, zero], positive, negative)| {
                Counts::Integer(Tally { count, zero, positive, negative })
            });
            let float = (floats(2), floats(sides[0]), floats(sides[1]));
            let float = float.prop_map(|(two, positive, negative)| {
                Counts::Float(Tally { count: two[0], zero: two[1], positive, negative })
            });
            let layout = Layout { schema, zero_threshold: bounds[0], positive, negative, bounds };
            let layout = Arc::new(layout);
            let sum = any::<u64>().prop_map(f64::from_bits);
            (prop_oneof![integers.boxed(), float.boxed()], 0..4u64, sum).prop_map(
                move |(counts, reset, sum)| {
                    let reset = CounterReset::from_number(reset).unwrap();
                    Histogram { layout: layout.clone(), reset, sum, counts }
                },
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_bit_for_bit(
            samples in vec((any::<u32>(), any::<i64>(), a_histogram()), 0..6),
        ) {
            let twice: Vec<Sample> =
                samples.into_iter().flat_map(|sample| [sample.clone(), sample]).collect();
            prop_assert_eq!(decode(&encode(&twice)).unwrap(), twice);
        }

        #[test]
        fn a_record_cut_short_is_refused(h in a_histogram(), cut in any::<prop::sample::Index>()) {
            let bytes = encode(&[(7, 1000, h)]);
            let cut = 1 + cut.index(bytes.len() - 1);
            if cut < bytes.len() {
                prop_assert!(decode(&bytes[..cut]).is_none());
            }
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let layout = Layout {
            schema: 3,
            zero_threshold: 0.5,
            positive: vec![Span { offset: -2, length: 2 }],
            ..Layout::default()
        };
        let h = Histogram {
            layout: Arc::new(layout),
            reset: CounterReset::Gauge,
            sum: 2.0,
            counts: Counts::Integer(Tally::from_deltas(6, 1, &[2, 1], &[])),
        };
        let bytes = encode(&[(7, 1000, h.clone()), (7, 1001, h)]);
        let float = |v: f64| {
            let mut out = Vec::new();
            write_float(&mut out, v);
            out
        };
        let (half, two) = (float(0.5), float(2.0));
        assert!(half.len() == 3 && two == [0x40]);
        let layout = [&[6][..], &half, &[1, 3, 2, 0, 0]].concat();
        let counts = [6, 1, 4, 2, 0x40];
        let first = [&[14, 0xd0, 0x0f, 3][..], &layout, &counts].concat();
        assert_eq!(bytes, [&first[..], &[0, 2, 0b1011], &counts].concat());
    }
}
