use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::foreign::prometheus::histogram_chunk::decode;
use crate::histogram::bucket_count;

/// Splits as an export does and reads every chunk back.
fn round_trip(samples: &[(TimestampMs, Histogram)]) -> Vec<Vec<(TimestampMs, Histogram)>> {
    let mut chunks: Vec<HistogramChunk> = Vec::new();
    for (t, h) in samples {
        match chunks.last_mut().filter(|chunk| chunk.takes(h)) {
            Some(chunk) => chunk.append(*t, h),
            None => chunks.push(HistogramChunk::new(*t, h)),
        }
    }
    let read = |chunk: HistogramChunk| {
        let (times, encoding) = (chunk.times(), chunk.encoding());
        let mut out = Vec::new();
        decode(encoding, &chunk.finish(), &mut out).unwrap();
        let out: Vec<_> = out.into_iter().map(|(at, h)| (at.t, h)).collect();
        assert_eq!(times, (out[0].0, out[out.len() - 1].0));
        out
    };
    chunks.into_iter().map(read).collect()
}

/// What Prometheus' format keeps: of the hints that of gauges, of a stale marker that it is one.
fn kept(h: &Histogram) -> Histogram {
    if h.is_stale() {
        return Histogram::stale();
    }
    let gauge = h.reset == CounterReset::Gauge;
    Histogram { reset: if gauge { h.reset } else { CounterReset::Unknown }, ..h.clone() }
}

fn layouts() -> impl Strategy<Value = Layout> {
    let spans =
        || vec((-9..90i32, 0..5u32).prop_map(|(offset, length)| Span { offset, length }), 0..3);
    let threshold = prop_oneof![
        Just(0.0),
        Just(2f64.powi(-128)),
        Just(2f64.powi(-243)),
        Just(2f64.powi(-244)),
        Just(2f64.powi(10)),
        Just(2048.0),
        Just(f64::MIN_POSITIVE / 2.0),
        any::<f64>(),
    ];
    let bound = prop_oneof![(0..40_000_000u32).prop_map(|n| f64::from(n) / 1000.0), any::<f64>()];
    let exponential = (threshold, -4..9i32, spans(), spans()).prop_map(
        |(zero_threshold, schema, positive, negative)| Layout {
            schema,
            zero_threshold,
            positive,
            negative,
            ..Layout::default()
        },
    );
    let custom = (spans(), vec(bound, 0..5)).prop_map(|(positive, bounds)| Layout {
        schema: CUSTOM_SCHEMA,
        positive,
        bounds,
        ..Layout::default()
    });
    prop_oneof![exponential, custom]
}

fn histograms(layout: Arc<Layout>) -> impl Strategy<Value = Histogram> {
    let sides = [&layout.positive, &layout.negative].map(|spans| bucket_count(spans) as usize);
    let integers = (any::<[u64; 2]>(), vec(any::<u64>(), sides[0]), vec(any::<u64>(), sides[1]))
        .prop_map(|([count, zero], positive, negative)| {
            Counts::Integer(Tally { count, zero, positive, negative })
        });
    let float = any::<u64>().prop_map(f64::from_bits).boxed();
    let floats = (float.clone(), float.clone(), vec(float.clone(), sides[0]), vec(float, sides[1]))
        .prop_map(|(count, zero, positive, negative)| {
            Counts::Float(Tally { count, zero, positive, negative })
        });
    let sum = prop_oneof![4 => any::<u64>().prop_map(f64::from_bits), 1 => Just(stale_sum())];
    (prop_oneof![integers, floats], 0..4u64, sum).prop_map(move |(counts, reset, sum)| Histogram {
        layout: Arc::clone(&layout),
        reset: CounterReset::from_number(reset).unwrap(),
        sum,
        counts,
    })
}

fn stale_sum() -> f64 {
    Histogram::stale().sum
}

fn counter(count: u64, buckets: [u64; 2]) -> Histogram {
    let positive = vec![Span { offset: 0, length: 2 }];
    let layout = Layout { schema: 2, positive, ..Layout::default() };
    let tally = Tally { count, zero: 0, positive: buckets.to_vec(), negative: Vec::new() };
    let counts = Counts::Integer(tally);
    Histogram { layout: Arc::new(layout), reset: CounterReset::Unknown, sum: 1.5, counts }
}

fn lengths(samples: &[Histogram]) -> Vec<usize> {
    let samples: Vec<_> = (0i64..).zip(samples.iter().cloned()).collect();
    round_trip(&samples).iter().map(Vec::len).collect()
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        first in -(1i64 << 53)..1i64 << 53,
        samples in layouts().prop_flat_map(|layout| {
            let layout = Arc::new(layout);
            vec((1..1i64 << 40, histograms(layout)), 1..12)
        }),
    ) {
        let mut t = first;
        let next = |(delta, h)| {
            t += delta;
            (t, h)
        };
        let samples: Vec<(TimestampMs, Histogram)> = samples.into_iter().map(next).collect();
        let read = round_trip(&samples);
        let mut got = read.concat();
        for (_, h) in &mut got {
            h.reset = kept(h).reset;
            if h.reset == CounterReset::No {
                h.reset = CounterReset::Unknown;
            }
        }
        let want: Vec<_> = samples.iter().map(|(t, h)| (*t, kept(h))).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn counters_that_grow_share_a_chunk(
        steps in vec([0..50u64, 0..50u64], 1..100),
        gauge in any::<bool>(),
    ) {
        let (mut a, mut b) = (0, 0);
        let mut next = |[x, y]: [u64; 2]| {
            (a, b) = (a + x, b + y);
            let mut h = counter(a + b, [a, b]);
            if gauge { h.reset = CounterReset::Gauge; }
            h
        };
        let samples: Vec<Histogram> = steps.into_iter().map(&mut next).collect();
        prop_assert_eq!(lengths(&samples), [samples.len()]);
    }
}

#[test]
fn a_chunk_ends_at_a_reset_a_stale_marker_and_120_histograms() {
    let grown = [counter(2, [1, 1]), counter(3, [1, 2])];
    assert_eq!(lengths(&grown), [2]);
    let lost = [counter(2, [1, 1]), counter(3, [0, 3]), counter(4, [0, 4])];
    assert_eq!(lengths(&lost), [1, 2], "one bucket fell");
    let told = Histogram { reset: CounterReset::Yes, ..counter(3, [1, 2]) };
    assert_eq!(lengths(&[counter(2, [1, 1]), told]), [1, 1]);
    let stale = Histogram::stale();
    let ended = [counter(2, [1, 1]), stale.clone(), stale, counter(3, [1, 2])];
    assert_eq!(lengths(&ended), [3, 1]);
    assert_eq!(lengths(&vec![counter(2, [1, 1]); 300]), [120, 120, 60]);
}
