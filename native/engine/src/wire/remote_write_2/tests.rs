use super::*;
use crate::codec::varint;
use proptest::collection::vec;
use proptest::prelude::*;

fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, bytes_tag(number));
    varint::write(&mut out, content.len() as u64);
    out.extend_from_slice(content);
    out
}

fn number(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, varint_tag(number));
    varint::write(&mut out, value);
    out
}

fn double(number: u64, value: f64) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write(&mut out, fixed64_tag(number));
    out.extend_from_slice(&value.to_bits().to_le_bytes());
    out
}

fn symbols(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| bytes(4, text.as_bytes())).collect()
}

fn refs(numbers: &[u64]) -> Vec<u8> {
    let mut packed = Vec::new();
    numbers.iter().for_each(|n| varint::write(&mut packed, *n));
    bytes(1, &packed)
}

fn sample(t: i64, v: f64) -> Vec<u8> {
    bytes(2, &[double(1, v), number(2, t as u64)].concat())
}

fn series(parts: &[Vec<u8>]) -> Vec<u8> {
    bytes(5, &parts.concat())
}

fn encoded(pairs: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    pairs.iter().for_each(|(name, value)| encode_pair(&mut out, name, value));
    out
}

const ROOM: ParseOptions = ParseOptions { max_arena_bytes: 1 << 20, type_and_unit_labels: false };

/// Parses and hands the batch to `check`, which may not keep it.
fn with_batch<T>(body: &[u8], check: impl FnOnce(&WireBatch<'_>) -> T) -> T {
    check(&parse_v2(body, &mut Vec::new(), ROOM).unwrap())
}

fn table() -> Vec<u8> {
    symbols(&["", "__name__", "up", "job", "x", "trace_id", "4bf9", "Is it?", "state"])
}

#[test]
fn labels_are_those_of_version_1() {
    let body = [
        table(),
        series(&[refs(&[1, 2, 3, 4]), sample(1_700_000_000_000, 1.5), sample(-5, 2.5)]),
        series(&[number(1, 1), number(1, 2), sample(7, 0.0)]),
    ]
    .concat();
    with_batch(&body, |batch| {
        assert_eq!(batch.series[0].labels, encoded(&[("__name__", "up"), ("job", "x")]));
        assert_eq!(batch.series[1].labels, encoded(&[("__name__", "up")]));
        let expected = [(1_700_000_000_000, 1.5), (-5, 2.5), (7, 0.0)];
        assert_eq!(batch.samples, expected.map(|(t, v)| Sample { t, v }));
        assert_eq!(batch.spans(1).samples, 2..3);
        assert!(batch.refusals.is_empty());
    });
}

#[test]
fn symbols_may_come_last() {
    let body = [series(&[refs(&[1, 2]), sample(1, 1.0)]), table()].concat();
    with_batch(&body, |batch| {
        assert_eq!(batch.series[0].labels, encoded(&[("__name__", "up")]));
    });
}

#[test]
fn exemplars_and_histograms_follow_their_series() {
    let exemplar = bytes(4, &[refs(&[5, 6]), double(2, 0.25), number(3, 9)].concat());
    let histogram = bytes(3, &[number(1, 3), number(15, 8), number(17, 1)].concat());
    let body = [
        table(),
        series(&[refs(&[1, 2]), sample(1, 1.0)]),
        series(&[refs(&[1, 2]), exemplar.clone(), histogram, exemplar]),
    ]
    .concat();
    with_batch(&body, |batch| {
        let spans = batch.spans(1);
        assert_eq!((spans.histograms, spans.exemplars), (0..1, 0..2));
        assert_eq!((batch.histograms[0].t, batch.histograms[0].start_t), (8, 1));
        let WireExemplar { labels, t, v } = &batch.exemplars[1];
        assert_eq!((&labels[..], *t, *v), (&encoded(&[("trace_id", "4bf9")])[..], 9, 0.25));
        assert_eq!(batch.late_exemplars, LateExemplars::Refuse);
    });
}

#[test]
fn start_timestamps_stay_with_their_samples() {
    let started = |t: i64, start: i64| {
        bytes(2, &[double(1, 1.0), number(2, t as u64), number(3, start as u64)].concat())
    };
    let body = [
        table(),
        series(&[refs(&[1, 2]), sample(1, 1.0), started(2, 7)]),
        // There is no symbol 99: refused with its start timestamp.
        series(&[refs(&[1, 99]), started(3, 8)]),
        series(&[refs(&[1, 2]), sample(4, 1.0), started(5, -9), sample(6, 1.0)]),
    ]
    .concat();
    with_batch(&body, |batch| {
        let starts = |(i, sample): (usize, &Sample)| (sample.t, batch.start_of(i));
        let got: Vec<_> = batch.samples.iter().enumerate().map(starts).collect();
        assert_eq!(got, [(1, 0), (2, 7), (4, 0), (5, -9), (6, 0)]);
    });
}

#[test]
fn a_series_may_have_exemplars_alone() {
    let body = [table(), series(&[refs(&[1, 2]), bytes(4, &refs(&[5, 6]))])].concat();
    with_batch(&body, |batch| {
        assert_eq!((batch.series.len(), batch.exemplars.len()), (1, 1));
        assert!(batch.refusals.is_empty());
    });
}

#[test]
fn metadata_is_that_of_the_family() {
    let about = |kind: u64| bytes(5, &[number(1, kind), number(3, 7), number(4, 8)].concat());
    let table = symbols(&["", "__name__", "rpc_bucket", "rpc_sum", "", "", "", "How long.", "s"]);
    let body = [
        table,
        series(&[refs(&[1, 2]), sample(1, 1.0), about(3)]),
        series(&[refs(&[1, 3]), sample(1, 1.0), about(3)]),
        series(&[refs(&[1, 3]), sample(1, 1.0), about(1)]),
        series(&[refs(&[1, 3]), sample(1, 1.0), bytes(5, b"")]),
    ]
    .concat();
    with_batch(&body, |batch| {
        let seen: Vec<_> = batch.metadata.iter().map(|m| (m.family, m.kind)).collect();
        let expected: [(&[u8], _); 2] =
            [(b"rpc", MetricType::Histogram), (b"rpc_sum", MetricType::Counter)];
        assert_eq!(seen, expected);
        assert_eq!(
            (batch.metadata[0].help, batch.metadata[0].unit),
            (&b"How long."[..], &b"s"[..])
        );
    });
}

#[test]
fn type_and_unit_become_labels_where_that_is_wanted() {
    let texts = ["", "__name__", "up", "__type__", "mine", "job", "x", "s", "A", "__unit__"];
    let about = |kind: u64, unit: u64| bytes(5, &[number(1, kind), number(4, unit)].concat());
    let body = [
        symbols(&texts),
        series(&[refs(&[1, 2, 5, 6]), sample(1, 1.0), about(1, 7)]),
        series(&[refs(&[8, 6, 1, 2, 3, 4]), sample(1, 1.0), about(4, 0)]),
        series(&[refs(&[1, 2, 3, 4, 9, 4]), sample(1, 1.0), about(0, 7)]),
        series(&[refs(&[1, 2, 3, 4]), sample(1, 1.0), about(0, 0)]),
        series(&[refs(&[1, 2]), sample(1, 1.0), about(7, 0)]),
    ]
    .concat();
    let seen = |options| {
        let mut arena = Vec::new();
        let batch = parse_v2(&body, &mut arena, options).unwrap();
        batch.series.iter().map(|one| one.labels.to_vec()).collect::<Vec<_>>()
    };
    let name = ("__name__", "up");
    let wanted: [&[(&str, &str)]; 5] = [
        &[name, ("__type__", "counter"), ("__unit__", "s"), ("job", "x")],
        &[("A", "x"), name, ("__type__", "gaugehistogram")],
        &[name, ("__unit__", "s")],
        &[name, ("__type__", "mine")],
        &[name, ("__type__", "stateset")],
    ];
    assert_eq!(
        seen(ParseOptions { type_and_unit_labels: true, ..ROOM }),
        wanted.map(encoded),
        "as they are said"
    );
    assert_eq!(seen(ROOM)[0], encoded(&[name, ("job", "x")]));
    assert_eq!(seen(ROOM)[1], encoded(&[("A", "x"), name, ("__type__", "mine")]));
}

#[test]
fn what_cannot_be_understood_is_refused_and_the_rest_kept() {
    let lost = bytes(4, &refs(&[5, 99]));
    let body = [
        table(),
        series(&[refs(&[1, 2, 3]), sample(1, 1.0), sample(2, 1.0)]),
        series(&[refs(&[1, 77]), sample(1, 1.0), bytes(4, &refs(&[5, 6]))]),
        series(&[refs(&[1, 2]), bytes(4, &refs(&[5, 99]))]),
        series(&[refs(&[1, 2]), sample(1, 1.0), bytes(5, &number(3, 12))]),
        series(&[refs(&[1, 2]), sample(3, 3.0), lost, bytes(4, &refs(&[5, 6]))]),
    ]
    .concat();
    with_batch(&body, |batch| {
        assert_eq!(batch.series.len(), 1);
        assert_eq!(batch.samples, [Sample { t: 3, v: 3.0 }]);
        assert_eq!(batch.exemplars.len(), 1);
        assert_eq!(batch.exemplars[0].labels, encoded(&[("trace_id", "4bf9")]));
        let refusals: Vec<_> =
            batch.refusals.iter().map(|r| (r.error.message().to_owned(), r.count)).collect();
        let expected = [
            ("labels are pairs of symbols, got 3 numbers", 2),
            ("there is no symbol 77, the request has 9", 1),
            ("an exemplar: there is no symbol 99, the request has 9", 1),
            (
                "a series must have a sample, a histogram or an exemplar, got none: \
              {__name__=\"up\"}",
                1,
            ),
            ("there is no symbol 12, the request has 9", 1),
            ("an exemplar: there is no symbol 99, the request has 9", 1),
        ];
        assert_eq!(refusals, expected.map(|(text, count)| (text.to_owned(), count)));
    });
}

#[test]
fn refusals_are_bounded_and_counted() {
    let body = series(&[refs(&[1, 2]), sample(1, 1.0)]).repeat(100);
    with_batch(&body, |batch| {
        assert_eq!(batch.refusals.len(), REFUSALS_MAX);
        assert_eq!(batch.refusals.iter().map(|r| r.count).sum::<u64>(), 100);
    });
}

#[test]
fn a_large_symbol_cannot_be_multiplied_without_end() {
    let text = "x".repeat(1000);
    let one = series(&[refs(&[0, 1]), sample(1, 1.0)]);
    let body = [symbols(&["a", &text]), one.repeat(100)].concat();
    let mut arena = Vec::new();
    let error =
        parse_v2(&body, &mut arena, ParseOptions { max_arena_bytes: 50_000, ..ROOM }).unwrap_err();
    assert_eq!(error.code(), ErrorCode::TooLarge);
    assert!(error.message().contains("50000"), "{error}");
    assert!(arena.len() <= 60_000);
}

#[test]
fn an_empty_body_and_one_of_version_1_have_no_series() {
    with_batch(&[], |batch| assert!(batch.series.is_empty() && batch.refusals.is_empty()));
    let version_1 = [bytes(1, b"series"), bytes(3, b"metadata")].concat();
    with_batch(&version_1, |batch| assert!(batch.series.is_empty() && batch.refusals.is_empty()));
}

#[test]
fn malformed_messages_are_bad_data() {
    for body in [
        b"not protobuf at all".to_vec(),
        vec![0x2a, 5, 0x0a],                     // a series longer than the body
        series(&[bytes(1, &[0x80])]),            // a number that does not end
        series(&[bytes(2, &[0x09, 1])]),         // a value of one byte
        bytes(4, b"")[..1].to_vec(),             // a symbol without a length
        series(&[bytes(5, &bytes(1, b"type"))]), // a type as text
    ] {
        let error = parse_v2(&body, &mut Vec::new(), ROOM).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadData, "{body:x?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(body in vec(any::<u8>(), 0..300)) {
        let mut arena = Vec::new();
        if let Ok(batch) = parse_v2(&body, &mut arena, ROOM) {
            let end = batch.series.len().checked_sub(1).map(|last| batch.spans(last));
            prop_assert_eq!(end.map_or(0, |end| end.samples.end), batch.samples.len());
        }
    }

    #[test]
    fn any_series_are_parsed_or_refused(parts in vec(vec(any::<u8>(), 0..60), 0..6)) {
        let body: Vec<u8> = parts.iter().flat_map(|part| bytes(5, part)).collect();
        let _ = parse_v2(&[table(), body].concat(), &mut Vec::new(), ROOM);
    }
}
