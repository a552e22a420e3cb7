use super::*;
use crate::run::Run;
use crate::sample::{STALE_BITS, Sample};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

fn encode(samples: &[Sample]) -> Appender {
    let mut chunk = Appender::new();
    for s in samples {
        chunk.append(s.t, s.v);
    }
    chunk
}

fn columns(ts: &[i64], vs: &[f64]) -> Vec<Sample> {
    assert_eq!(ts.len(), vs.len());
    ts.iter().zip(vs).map(|(t, v)| Sample { t: *t, v: *v }).collect()
}

fn decoded(bytes: &[u8], range: TimeRange) -> Result<Vec<Sample>> {
    let (mut ts, mut vs) = (Vec::new(), Vec::new());
    decode(bytes, range, &mut ts, &mut vs).map(|()| columns(&ts, &vs))
}

/// Values by bits: any at all, those with a meaning of their own, and small steps as exporters
/// make.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        prop_oneof![
            Just(STALE_BITS),
            Just(0),
            Just(1 << 63),
            Just(1),
            Just(u64::MAX),
            Just(f64::NAN.to_bits()),
            Just(f64::INFINITY.to_bits()),
            Just(f64::NEG_INFINITY.to_bits()),
        ]
        .prop_map(f64::from_bits),
        (0..5i32).prop_map(f64::from),
        (0..1000i32).prop_map(|i| f64::from(i) / 10.0),
    ]
}

/// Ascending times: scrapes with jitter and gaps, or anything with the extremes.
fn times() -> impl Strategy<Value = Vec<i64>> {
    let scrapes = (any::<i32>(), vec(prop_oneof![14_990..15_010i64, 1..1i64 << 40], 0..300))
        .prop_map(|(start, deltas)| {
            let mut t = i64::from(start);
            deltas
                .iter()
                .map(|d| {
                    t += d;
                    t
                })
                .collect()
        });
    let any_time = prop_oneof![any::<i64>(), -3..3i64, Just(i64::MIN), Just(i64::MAX)];
    prop_oneof![scrapes, btree_set(any_time, 0..50).prop_map(|set| set.into_iter().collect())]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    times().prop_flat_map(|times| {
        vec(value(), times.len()).prop_map(move |values| columns(&times, &values))
    })
}

proptest! {
    #[test]
    fn samples_come_back_by_their_bits(samples in samples()) {
        let chunk = encode(&samples);
        prop_assert_eq!(chunk.count() as usize, samples.len());
        prop_assert_eq!(chunk.first_time(), samples.first().map(|s| s.t));
        prop_assert_eq!(chunk.last_time(), samples.last().map(|s| s.t));
        if let Some(last) = samples.last() {
            prop_assert_eq!(chunk.last_value().to_bits(), last.v.to_bits());
        }
        let (len, snapshot) = (chunk.bytes_len(), chunk.snapshot());
        let bytes = chunk.finish();
        prop_assert_eq!(bytes.len(), len);
        prop_assert_eq!(&bytes[..], &snapshot[..]);
        prop_assert_eq!(header(&bytes).unwrap().count as usize, samples.len());
        prop_assert_eq!(decoded(&bytes, TimeRange::ALL).unwrap(), samples);
    }

    #[test]
    fn a_resumed_chunk_goes_on_with_the_same_bytes(
        samples in samples(),
        at in any::<prop::sample::Index>(),
    ) {
        let (before, after) = samples.split_at(at.index(samples.len() + 1));
        let mut resumed = Appender::resume(Encoding::Gorilla, &encode(before).finish()).unwrap();
        for s in after {
            resumed.append(s.t, s.v);
        }
        let whole = encode(&samples);
        prop_assert_eq!(resumed.last_time(), whole.last_time());
        prop_assert_eq!(resumed.finish(), whole.finish());
    }

    #[test]
    fn a_range_gives_the_samples_inside_after_what_the_columns_had(
        samples in samples(),
        ends in any::<(prop::sample::Index, prop::sample::Index)>(),
        offsets in (-1..=1i64, -1..=1i64),
    ) {
        prop_assume!(!samples.is_empty());
        let range = TimeRange::new(
            samples[ends.0.index(samples.len())].t.saturating_add(offsets.0),
            samples[ends.1.index(samples.len())].t.saturating_add(offsets.1),
        );
        let mut expected = vec![Sample { t: 7, v: 7.0 }];
        expected.extend(samples.iter().filter(|s| range.contains(s.t)));

        let chunk = encode(&samples);
        let mut run = Run { timestamps: vec![7], values: vec![7.0], ..Run::default() };
        chunk.decode_open(range, &mut run.sink()).unwrap();
        prop_assert_eq!(columns(&run.timestamps, &run.values), expected.clone());

        let (mut ts, mut vs) = (vec![7], vec![7.0]);
        decode(&chunk.finish(), range, &mut ts, &mut vs).unwrap();
        prop_assert_eq!(columns(&ts, &vs), expected);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused_without_a_trace(
        bytes in vec(any::<u8>(), 0..200),
        count in 0..400u64,
    ) {
        let mut with_count = Vec::new();
        varint::write(&mut with_count, count);
        with_count.extend_from_slice(&bytes);
        for bytes in [bytes, with_count] {
            let (mut ts, mut vs) = (vec![7], vec![7.0]);
            match decode(&bytes, TimeRange::ALL, &mut ts, &mut vs) {
                Ok(()) => prop_assert!(ts[1..].windows(2).all(|w| w[0] < w[1])),
                Err(e) => {
                    prop_assert_eq!(e.code(), ErrorCode::Corruption);
                    prop_assert_eq!((ts.len(), vs.len()), (1, 1));
                }
            }
            prop_assert!(ts.len() <= 1 + bytes.len() * 4);
        }
    }

    #[test]
    fn a_chunk_that_lost_or_gained_bytes_is_refused(
        samples in samples(),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = encode(&samples).finish();
        let cut = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(decoded(cut, TimeRange::ALL).unwrap_err().code(), ErrorCode::Corruption);
        let longer = [&bytes[..], &[0]].concat();
        prop_assert_eq!(decoded(&longer, TimeRange::ALL).unwrap_err().code(), ErrorCode::Corruption);
    }
}

#[test]
fn regular_unchanged_samples_cost_two_bits() {
    let samples: Vec<_> = (0..802).map(|i| Sample { t: i * 15_000, v: 1.5 }).collect();
    // Count 2, first time 1, first value 8, then 22 bits for the second sample and 2 for each more.
    assert_eq!(encode(&samples).finish().len(), 2 + 1 + 8 + (22 + 800 * 2_usize).div_ceil(8));
}

#[test]
fn one_wild_value_does_not_widen_those_after_it() {
    let values = |wild: f64| {
        let mut samples: Vec<_> =
            (0..200).map(|i| Sample { t: i * 15_000, v: (i % 2) as f64 + 8.0 }).collect();
        samples[100].v = wild;
        encode(&samples).bytes_len()
    };
    assert!(values(0.1) < values(8.0) + 40);
}

#[test]
fn a_claimed_count_is_bounded_by_the_bytes() {
    let mut bytes = Vec::new();
    varint::write(&mut bytes, u64::from(u32::MAX));
    bytes.extend_from_slice(&[0; 100]);
    assert_eq!(header(&bytes).unwrap_err().code(), ErrorCode::Corruption);
    assert!(header(&[]).is_err());
}

#[test]
fn times_that_do_not_ascend_are_refused() {
    // Two samples; the second repeats the first: a delta change of 0, an unchanged value.
    let mut bytes = vec![2, 0];
    bytes.extend_from_slice(&[0; 8]);
    bytes.push(0);
    let error = decoded(&bytes, TimeRange::ALL).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corruption);
}

#[test]
fn an_open_chunk_stays_small() {
    assert_eq!(size_of::<Appender>(), 48);
    let mut chunk = Appender::new();
    assert_eq!(chunk.heap_bytes(), 0);
    for i in 0..480 {
        chunk.append(i * 15_000, f64::from(i as i32).sqrt());
        let len = chunk.written().len();
        assert!(chunk.heap_bytes() < len + STEP_BYTES + len / 8);
    }
}

/// Samples of a chunk with start timestamps: each keeps the one before, says the time of the sample
/// before, or anything.
fn started() -> impl Strategy<Value = Vec<(Times, u64)>> {
    let start = prop_oneof![
        6 => Just(None),
        2 => Just(Some(None)),
        1 => (0i64..50).prop_map(|n| Some(Some(n))),
        1 => any::<i64>().prop_map(|n| Some(Some(n))),
    ];
    (times(), vec((start, any::<u64>()), 200)).prop_map(|(times, parts)| {
        let (mut start, mut before) = (NO_START, 77);
        let next = |(t, (said, bits)): (i64, (Option<Option<i64>>, u64))| {
            start = said.map_or(start, |said| said.unwrap_or(before));
            before = t;
            (Times { t, start }, bits)
        };
        times.into_iter().zip(parts).map(next).collect()
    })
}

fn encode_started(samples: &[(Times, u64)]) -> Appender {
    let mut chunk = Appender::with_starts();
    samples.iter().for_each(|(at, bits)| chunk.append(*at, f64::from_bits(*bits)));
    chunk
}

fn read_started(run: &Run) -> Vec<(Times, u64)> {
    let run = run.as_slice();
    (0..run.values.len()).map(|i| (run.times_of(i), run.values[i].to_bits())).collect()
}

proptest! {
    #[test]
    fn start_timestamps_come_back_with_their_samples(
        samples in started(),
        ends in any::<(prop::sample::Index, prop::sample::Index)>(),
    ) {
        let chunk = encode_started(&samples);
        prop_assert!(chunk.encoding() == Encoding::GorillaStarts);
        prop_assert_eq!(chunk.first_time(), samples.first().map(|(at, _)| at.t));
        prop_assert_eq!(chunk.last_start(), samples.last().map_or(NO_START, |(at, _)| at.start));
        prop_assert_eq!(chunk.bytes_len(), chunk.snapshot().len());
        let at = |index: prop::sample::Index| {
            samples.get(index.index(samples.len().max(1))).map_or(0, |(at, _)| at.t)
        };
        for range in [TimeRange::ALL, TimeRange::new(at(ends.0), at(ends.1))] {
            let inside: Vec<_> =
                samples.iter().filter(|(at, _)| range.contains(at.t)).copied().collect();
            let mut run = Run::default();
            decode_starts(&chunk.snapshot(), range, &mut run.sink()).unwrap();
            prop_assert_eq!(read_started(&run), inside.clone());
            let mut run = Run::default();
            chunk.decode_open(range, &mut run.sink()).unwrap();
            prop_assert_eq!(read_started(&run), inside);
        }
    }

    #[test]
    fn a_resumed_chunk_with_starts_goes_on_with_the_same_bytes(
        samples in started(),
        at in any::<prop::sample::Index>(),
    ) {
        let (before, after) = samples.split_at(at.index(samples.len() + 1));
        prop_assume!(!before.is_empty());
        let bytes = encode_started(before).finish();
        let mut resumed = Appender::resume(Encoding::GorillaStarts, &bytes).unwrap();
        after.iter().for_each(|(at, bits)| resumed.append(*at, f64::from_bits(*bits)));
        prop_assert_eq!(resumed.finish(), encode_started(&samples).finish());
    }

    #[test]
    fn any_bytes_with_starts_are_decoded_or_refused_without_a_trace(
        bytes in vec(any::<u8>(), 0..200),
        count in 0..400u64,
    ) {
        let mut with_count = Vec::new();
        varint::write(&mut with_count, count);
        with_count.extend_from_slice(&bytes);
        for bytes in [bytes, with_count] {
            let mut run = Run { timestamps: vec![7], values: vec![7.0], ..Run::default() };
            if decode_starts(&bytes, TimeRange::ALL, &mut run.sink()).is_err() {
                prop_assert_eq!((run.timestamps, run.values), (vec![7], vec![7.0]));
            }
        }
    }
}

#[test]
fn a_start_that_stays_takes_a_bit() {
    let (mut plain, mut started) = (Appender::new(), Appender::new());
    for i in 0..120 {
        plain.append(i * 15_000, i as f64);
        started.append(Times { t: i * 15_000, start: -5 }, i as f64);
    }
    let more = started.bytes_len() - plain.bytes_len();
    assert!(more <= 1 + 120 / 8 + 1, "{more} bytes more");
}
