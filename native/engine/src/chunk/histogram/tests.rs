use super::layout::COMMON_THRESHOLD;
use super::predict::read_number;
use super::*;
use crate::histogram::{CUSTOM_SCHEMA, Span};
use crate::run::Run;
use crate::sample::STALE_BITS;
use proptest::collection::vec;
use proptest::prelude::*;

type Sample = (TimestampMs, Arc<Histogram>);

fn encoded(samples: &[Sample]) -> (Encoding, Vec<u8>) {
    let encoding = encoding_of(&samples[0].1);
    let mut appender = Appender::new(encoding);
    for (t, h) in samples {
        assert!(appender.append(*t, h));
    }
    assert_eq!(appender.range(), Some(TimeRange::new(samples[0].0, samples[samples.len() - 1].0)));
    (encoding, appender.snapshot())
}

fn decoded(encoding: Encoding, bytes: &[u8], range: TimeRange) -> Result<Vec<Sample>> {
    let mut run = Run::default();
    decode(encoding, bytes, range, &mut run.sink())?;
    let Run { timestamps, values, histograms, starts } = run;
    assert!(values.len() == timestamps.len() && histograms.len() == timestamps.len());
    assert!(encoding.has_starts() || starts.is_empty());
    Ok(timestamps.into_iter().zip(histograms.into_iter().flatten()).collect())
}

fn a_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        (0..1000u32).prop_map(f64::from),
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::from_bits(STALE_BITS)),
        Just(-0.0),
    ]
}

fn spans() -> impl Strategy<Value = Vec<Span>> {
    vec((-20..20i32, 0..6u32).prop_map(|(offset, length)| Span { offset, length }), 0..5)
}

fn a_layout() -> impl Strategy<Value = Layout> {
    let threshold = prop_oneof![Just(0.0), Just(COMMON_THRESHOLD), a_float()];
    let schema = prop_oneof![-4..9i32, Just(CUSTOM_SCHEMA), any::<i32>()];
    let bounds = prop_oneof![Just(Vec::new()), vec(prop_oneof![a_float(), Just(0.005)], 0..6)];
    (schema, threshold, spans(), spans(), bounds).prop_map(
        |(schema, zero_threshold, positive, negative, bounds)| Layout {
            schema,
            zero_threshold,
            positive,
            negative,
            bounds,
        },
    )
}

/// Layouts that share schema and bounds, so that predictions are carried from one to the next.
fn related_layouts() -> impl Strategy<Value = Vec<Arc<Layout>>> {
    (a_layout(), vec((spans(), spans()), 1..4)).prop_map(|(first, others)| {
        let related = others
            .into_iter()
            .map(|(positive, negative)| Arc::new(Layout { positive, negative, ..first.clone() }));
        related.chain([Arc::new(first.clone())]).collect()
    })
}

fn reset() -> impl Strategy<Value = CounterReset> {
    (0..4u64).prop_map(|n| CounterReset::from_number(n).unwrap())
}

fn values<V: std::fmt::Debug + Clone + 'static>(
    value: &BoxedStrategy<V>,
    layout: &Layout,
) -> impl Strategy<Value = Tally<V>> + use<V> {
    let side = |spans: &[Span]| vec(value.clone(), bucket_count(spans) as usize);
    (value.clone(), value.clone(), side(&layout.positive), side(&layout.negative))
        .prop_map(|(count, zero, positive, negative)| Tally { count, zero, positive, negative })
}

fn samples_of(layouts: Vec<Arc<Layout>>, float: bool) -> impl Strategy<Value = Vec<Sample>> {
    let one = (0..layouts.len(), reset(), a_float(), 1i64..100_000).prop_flat_map(
        move |(n, reset, sum, delta)| {
            let layout = layouts[n].clone();
            let integer = prop_oneof![0..100u64, any::<u64>()].boxed();
            let counts = if float {
                values(&a_float().boxed(), &layout).prop_map(Counts::Float).boxed()
            } else {
                values(&integer, &layout).prop_map(Counts::Integer).boxed()
            };
            counts.prop_map(move |counts| {
                let layout = layout.clone();
                (delta, Arc::new(Histogram { layout, reset, sum, counts }))
            })
        },
    );
    (any::<i32>(), vec(one, 1..20)).prop_map(|(start, steps)| {
        let ascending = steps.into_iter().scan(i64::from(start), |t, (delta, h)| {
            *t += delta;
            Some((*t, h))
        });
        ascending.collect()
    })
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let layouts = prop_oneof![related_layouts(), vec(a_layout().prop_map(Arc::new), 1..4),];
    (layouts, any::<bool>()).prop_flat_map(|(layouts, float)| samples_of(layouts, float))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn histograms_of_any_layout_come_back_bit_for_bit(samples in samples()) {
        let (encoding, bytes) = encoded(&samples);
        prop_assert_eq!(decoded(encoding, &bytes, TimeRange::ALL).unwrap(), samples);
    }

    #[test]
    fn a_range_gives_what_lies_in_it(samples in samples(), a in any::<i32>(), b in any::<i32>()) {
        let (encoding, bytes) = encoded(&samples);
        let range = TimeRange::new(i64::from(a.min(b)), i64::from(a.max(b)));
        let inside: Vec<Sample> =
            samples.into_iter().filter(|(t, _)| range.contains(*t)).collect();
        prop_assert_eq!(decoded(encoding, &bytes, range).unwrap(), inside);
    }

    #[test]
    fn a_cut_chunk_is_refused(samples in samples(), cut in any::<prop::sample::Index>()) {
        let (encoding, bytes) = encoded(&samples);
        let cut = cut.index(bytes.len());
        prop_assert!(decoded(encoding, &bytes[..cut], TimeRange::ALL).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_decoded_or_refused(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decoded(Encoding::IntHistogram, &bytes, TimeRange::ALL);
        let _ = decoded(Encoding::FloatHistogram, &bytes, TimeRange::ALL);
    }

    #[test]
    fn numbers_of_every_width_come_back(numbers in vec((any::<i64>(), 0..64u32), 0..50)) {
        let numbers: Vec<i64> = numbers.into_iter().map(|(n, shift)| n >> shift).collect();
        let mut out = BitWriter::default();
        numbers.iter().for_each(|n| out.number(*n));
        let mut reader = BitReader::new(&out.bytes);
        for n in numbers {
            prop_assert_eq!(read_number(&mut reader), n);
        }
        prop_assert!(!reader.overran() && reader.bytes_left() == 0);
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let layout = Layout { positive: vec![Span { offset: 1, length: 2 }], ..Layout::default() };
    let layout = Arc::new(layout);
    let sample = |t, count, second| {
        let positive = vec![1, second];
        let counts = Counts::Integer(Tally { count, zero: 0, positive, negative: vec![] });
        let reset = CounterReset::Unknown;
        (t, Arc::new(Histogram { layout: layout.clone(), reset, sum: 0.5, counts }))
    };
    let (_, bytes) = encoded(&[sample(1000, 3, 2), sample(1010, 4, 3)]);
    let bits = [
        // Another layout: schema 0, threshold 0, one span of offset 1 and length 2, no others.
        "1 00 1  0 0  10001 10001 10010  0 0",
        // The time, three observations, none around zero, their sum, and the buckets.
        "11110 001111101000  10011 0  11 00010 001001 111111111  1 10001 10010",
        // Ten milliseconds later one more, in the second bucket.
        "0  110 001010  10001 0  0  1 0 10001",
    ];
    let bits: Vec<u8> = bits.concat().bytes().filter(|bit| *bit != b' ').collect();
    let of_byte = |byte: &[u8]| {
        let ones = byte.iter().enumerate().filter(|(_, bit)| **bit == b'1');
        ones.fold(0u8, |sum, (place, _)| sum | 0x80 >> place)
    };
    let want: Vec<u8> = bits.chunks(8).map(of_byte).collect();
    assert_eq!(bytes, [&[2][..], &want].concat());
}

#[test]
fn a_chunk_that_would_decode_to_much_more_is_refused() {
    // Ten samples of 2^18 buckets that are all predicted: a few bytes.
    let layout =
        Layout { positive: vec![Span { offset: 0, length: 1 << 18 }], ..Layout::default() };
    let tally = Tally { count: 0, zero: 0, positive: vec![0; 1 << 18], negative: vec![] };
    let counts = Counts::Integer(tally);
    let h = Histogram { layout: Arc::new(layout), counts, ..Histogram::stale() };
    let mut appender = Appender::new(Encoding::IntHistogram);
    let taken = (0..10).take_while(|t| appender.append(*t, &h)).count();
    assert_eq!(taken, 4);
    let mut forged = appender.snapshot();
    assert!(decoded(Encoding::IntHistogram, &forged, TimeRange::ALL).is_ok());
    forged[0] = 5;
    forged.extend_from_slice(&[0; 2]);
    let error = decoded(Encoding::IntHistogram, &forged, TimeRange::ALL).unwrap_err();
    assert!(error.message().contains("over 1048576 buckets"), "{error}");
}

#[test]
fn a_kind_of_counts_has_chunks_of_its_own() {
    let mut appender = Appender::new(Encoding::FloatHistogram);
    assert!(!appender.append(1, &Histogram::stale()));
    assert_eq!((appender.count(), appender.range()), (0, None));
}

#[test]
fn a_steady_histogram_takes_few_bytes() {
    let layout = Layout {
        schema: 3,
        zero_threshold: COMMON_THRESHOLD,
        positive: vec![Span { offset: -10, length: 40 }],
        ..Layout::default()
    };
    let layout = Arc::new(layout);
    let samples: Vec<Sample> = (0..120i64)
        .map(|n| {
            let positive: Vec<u64> = (0..40).map(|bucket| 1000 + bucket * n as u64).collect();
            let count = positive.iter().sum();
            let counts = Counts::Integer(Tally { count, zero: 0, positive, negative: vec![] });
            let sum = 1024.0 + n as f64;
            let reset = CounterReset::Unknown;
            (n * 15_000, Arc::new(Histogram { layout: layout.clone(), reset, sum, counts }))
        })
        .collect();
    let (_, bytes) = encoded(&samples);
    assert!(bytes.len() < 120 * 3 + 250, "{} bytes", bytes.len());
}

proptest! {
    #[test]
    fn start_timestamps_come_back_with_their_histograms(
        samples in vec((1..100_000i64, prop_oneof![3 => Just(1i64), 1 => any::<i64>()], any::<u16>()), 1..40),
        float in any::<bool>(),
    ) {
        let layout = Arc::new(Layout { zero_threshold: 0.5, ..Layout::default() });
        let (mut t, mut appender) = (0, None);
        let mut want = Vec::new();
        for (ahead, start, n) in samples {
            t += ahead;
            let n = u64::from(n);
            let counts = match float {
                false => Counts::Integer(Tally { count: n, zero: n, ..Tally::default() }),
                true => Counts::Float(Tally { count: n as f64, ..Tally::default() }),
            };
            let h = Histogram { layout: layout.clone(), counts, ..Histogram::stale() };
            let chunk = appender.get_or_insert_with(|| Appender::new(encoding_of(&h)));
            // The first start may be 0, and then the others need a chunk of their own.
            let start = if want.is_empty() && start == NO_START { 1 } else { start };
            let at = Times { t, start };
            prop_assert!(chunk.append(at, &h));
            prop_assert_eq!(chunk.last_start(), start);
            want.push((at, Arc::new(h)));
        }
        let chunk = appender.unwrap();
        prop_assert!(chunk.encoding().has_starts());
        let mut run = Run::default();
        decode(chunk.encoding(), &chunk.snapshot(), TimeRange::ALL, &mut run.sink()).unwrap();
        let run = run.as_slice();
        let got: Vec<_> =
            (0..run.values.len()).map(|i| (run.times_of(i), run.histogram(i).unwrap().clone())).collect();
        prop_assert_eq!(got, want);
    }
}
