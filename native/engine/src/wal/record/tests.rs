use super::*;
use crate::sample::STALE_BITS;
use proptest::prelude::*;

type Series = (u32, u32, Vec<u8>);
/// Series, times, value.
type Sample = (u32, Times, u64);

#[derive(Default)]
struct Seen {
    series: Vec<Series>,
    samples: Vec<Sample>,
    histograms: Vec<(u32, Times, Histogram)>,
    exemplars: Vec<TimestampMs>,
    families: Vec<Vec<u8>>,
    tombstones: Vec<Vec<u8>>,
}

impl RecordVisitor for Seen {
    fn series(&mut self, series: SeriesRef, tenant: TenantId, canonical: &[u8]) -> Result<()> {
        assert!(self.samples.is_empty(), "series come first");
        self.series.push((series.0, tenant.0, canonical.to_vec()));
        Ok(())
    }

    fn sample(&mut self, series: SeriesRef, at: Times, v: f64) -> Result<()> {
        assert!(self.histograms.is_empty(), "floats come before histograms");
        self.samples.push((series.0, at, v.to_bits()));
        Ok(())
    }

    fn histogram(&mut self, series: SeriesRef, at: Times, h: Histogram) -> Result<()> {
        self.histograms.push((series.0, at, h));
        Ok(())
    }

    fn exemplar(&mut self, exemplar: ExemplarRecord<'_>) -> Result<()> {
        self.exemplars.push(exemplar.t);
        Ok(())
    }

    fn metadata(&mut self, metadata: MetadataRecord<'_>) -> Result<()> {
        self.families.push(metadata.family.to_vec());
        Ok(())
    }

    fn tombstone(&mut self, encoded: &[u8]) -> Result<()> {
        self.tombstones.push(encoded.to_vec());
        Ok(())
    }
}

fn encode(series: &[Series], samples: &[Sample]) -> Vec<u8> {
    let mut encoder = BatchEncoder::with_capacity(0);
    for (series, at, bits) in samples {
        encoder.sample(SeriesRef(*series), *at, f64::from_bits(*bits));
    }
    for (series, tenant, labels) in series {
        encoder.series(SeriesRef(*series), TenantId(*tenant), labels);
    }
    let most = encoder.len();
    let payload = encoder.finish();
    assert!(payload.len() <= most);
    payload
}

fn decoded(payload: &[u8]) -> Result<Seen> {
    let mut seen = Seen::default();
    decode(payload, &mut seen).map(|()| seen)
}

fn value_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<i32>().prop_map(|v| f64::from(v).to_bits()),
        Just(STALE_BITS),
        Just((-0.0f64).to_bits()),
        Just(0),
        Just(f64::INFINITY.to_bits()),
    ]
}

fn a_series_ref() -> impl Strategy<Value = u32> {
    prop_oneof![any::<u32>(), 0u32..300, Just(u32::MAX)]
}

fn some_times() -> impl Strategy<Value = Times> {
    let start = prop_oneof![4 => Just(0), 2 => 5i64..7, 1 => any::<i64>()];
    (prop_oneof![any::<i64>(), 0i64..3], start).prop_map(|(t, start)| Times { t, start })
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_bit_for_bit(
        series in prop::collection::vec(
            (a_series_ref(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8),
        samples in prop::collection::vec(
            (a_series_ref(), some_times(), value_bits()), 0..60),
    ) {
        let seen = decoded(&encode(&series, &samples)).unwrap();
        prop_assert_eq!(seen.series, series);
        prop_assert_eq!(seen.samples, samples);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decoded(&bytes);
    }
}

#[test]
fn the_layout_is_the_documented_one() {
    let samples = [(7, 1000, 1.5f64), (39, 1000, 0.0), (39, 1001, -2.0), (3, 1001, 1.0)];
    let samples = samples.map(|(series, t, v)| (series, t.into(), v.to_bits()));
    let payload = encode(&[(7, 2, b"ab".to_vec()), (39, 0, b"".to_vec())], &samples);
    let series = [1, 8, 0, 0, 0, 14, 2, 2, b'a', b'b', 64, 0, 0];
    let first = [0b0000_0010, 14, 0xd0, 0x0f, 0x3f, 0xf8];
    let others = [0b0101_0000, 0b1110_0001, 2, 0xc0, 0b0001_0010, 71, 0x3f, 0xf0];
    let header = [2, 14, 0, 0, 0];
    assert_eq!(payload, [&series[..], &header, &first, &others].concat());
}

#[test]
fn histograms_have_a_section_of_their_own() {
    for (series, samples) in [(0, 0), (0, 2), (1, 0), (2, 3)] {
        let mut encoder = BatchEncoder::with_capacity(0);
        encoder.histogram(SeriesRef(5), 7, &Histogram::stale());
        (0..samples).for_each(|t| encoder.sample(SeriesRef(5), t, 1.0));
        (0..series).for_each(|n| encoder.series(SeriesRef(n), TenantId(0), b"labels"));
        let len = encoder.len();
        let payload = encoder.finish();
        assert_eq!(payload.len(), len);
        let seen = decoded(&payload).unwrap();
        let counts = (seen.series.len(), seen.samples.len());
        assert_eq!(counts, (series as usize, samples as usize));
        assert_eq!(seen.histograms, [(5, 7.into(), Histogram::stale())]);
        assert!(decoded(&payload[..payload.len() - 1]).is_err());
    }
}

#[test]
fn a_cut_payload_is_an_error() {
    let payload =
        encode(&[(7, 0, b"labels".to_vec())], &[(7, 1000.into(), 1), (23, 1000.into(), 2)]);
    let series_end = SECTION_HEADER_BYTES + 9;
    for len in (1..payload.len()).filter(|len| *len != series_end) {
        assert!(decoded(&payload[..len]).is_err(), "length {len}");
    }
}

#[test]
fn an_unknown_kind_is_an_error_that_names_it() {
    for (kind, name) in [(0u8, "0"), (200, "200")] {
        let error = decoded(&[kind, 0, 0, 0, 0]).err().unwrap();
        assert_eq!(error.code(), ErrorCode::Corruption);
        assert!(error.message().contains(&format!("record kind {name}")), "{error}");
    }
}

#[test]
fn exemplars_and_metadata_follow_the_samples() {
    let mut payload = encode(&[], &[(7, 1000.into(), 1)]);
    let mut exemplars = exemplars::ExemplarEncoder::default();
    let tenant = TenantId(0);
    let (series, labels, v) = (&b"s"[..], &b""[..], 1.0);
    exemplars.add(&ExemplarRecord { tenant, series, labels, t: 5, v });
    let mut metadata = metadata::MetadataEncoder::default();
    metadata.append_to(&mut payload);
    let family = &b"up"[..];
    metadata.add(&MetadataRecord { tenant, kind: 2, family, unit: b"", help: b"" });
    exemplars.append_to(&mut payload);
    metadata.append_to(&mut payload);
    let seen = decoded(&payload).unwrap();
    assert_eq!((seen.samples.len(), seen.exemplars), (1, vec![5]));
    assert_eq!(seen.families, [b"up"]);
}

#[test]
fn a_steady_request_takes_few_bytes() {
    let samples: Vec<Sample> = (0..2000)
        .map(|i| (i % 16 + (i / 16) * 16, 1_700_000_000_000.into(), f64::from(i).to_bits()))
        .collect();
    let mut by_shard = samples;
    by_shard.sort_by_key(|s| (s.0 % 16, s.0));
    let payload = encode(&[], &by_shard);
    assert!(payload.len() < 2000 * 4, "{} bytes", payload.len());
}

#[test]
fn start_timestamps_go_before_what_they_belong_to() {
    let mut encoder = BatchEncoder::with_capacity(0);
    encoder.sample(SeriesRef(5), Times { t: 7, start: 3 }, 0.0);
    encoder.histogram(SeriesRef(5), Times { t: 8, start: 4 }, &Histogram::stale());
    let payload = encoder.finish();
    assert_eq!(payload[..7], [7, 2, 0, 0, 0, 3, 6]);
    assert_eq!(payload[7], 2);
    let seen = decoded(&payload).unwrap();
    assert_eq!(seen.samples, [(5, Times { t: 7, start: 3 }, 0)]);
    assert_eq!(seen.histograms[0].1, Times { t: 8, start: 4 });
    let starts = &payload[..7];
    for tail in [&[][..], &[4, 0, 0, 0, 0], &[7, 0, 0, 0, 0], &[2, 0, 0, 0, 0]] {
        assert!(decoded(&[starts, tail].concat()).is_err(), "{tail:?}");
    }
}
