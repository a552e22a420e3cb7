use super::*;
use crate::index::matcher::MatchOp;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn new(series: &str, t: i64, v: f64, trace: &str) -> NewExemplar {
    let exemplar = Exemplar { t, v, labels: labels(&[("trace_id", trace)]) };
    NewExemplar { tenant: TenantId(0), series: labels(&[("__name__", series)]), exemplar }
}

type Seen = (String, Vec<(i64, u64, String)>);

fn seen(exemplars: &Exemplars, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<Seen> {
    let found = exemplars.select(&Scope::default(), selectors, range);
    let plain = |e: &Exemplar| (e.t, e.v.to_bits(), e.labels.get("trace_id").unwrap().to_owned());
    found
        .iter()
        .map(|s| {
            (s.series.get("__name__").unwrap().to_owned(), s.exemplars.iter().map(plain).collect())
        })
        .collect()
}

fn everything() -> Vec<Vec<Matcher>> {
    vec![vec![]]
}

#[test]
fn those_of_a_series_ascend_and_others_are_known_or_late() {
    let ring = Exemplars::new(10);
    assert_eq!(ring.add([new("a", 5, 1.0, "x")]), 0);
    for (t, v, trace, expected) in [
        (5, 1.0, "x", Judgement::Known),
        (4, 9.0, "x", Judgement::Late(5)),
        (5, 0.5, "x", Judgement::Late(5)),
        (5, 1.0, "w", Judgement::Late(5)),
        (5, 1.0, "y", Judgement::Store),
        (5, 2.0, "a", Judgement::Store),
        (6, -1.0, "a", Judgement::Store),
    ] {
        assert_eq!(ring.judge(&new("a", t, v, trace)), expected, "{t} {v} {trace}");
    }
    assert_eq!(ring.judge(&new("b", 4, 0.0, "x")), Judgement::Store);
    assert_eq!(ring.add([new("a", 4, 1.0, "late"), new("a", 5, 1.0, "x")]), 1);
    assert_eq!(ring.counts(), (1, 1));
}

#[test]
fn a_ring_without_places_stores_nothing() {
    let ring = Exemplars::new(0);
    assert_eq!(ring.judge(&new("a", 1, 1.0, "x")), Judgement::Off);
    ring.add([new("a", 1, 1.0, "x")]);
    assert!(seen(&ring, &everything(), TimeRange::ALL).is_empty());
}

#[test]
fn selectors_ranges_and_scopes_choose() {
    let ring = Exemplars::new(10);
    ring.add([new("a", 1, 1.0, "x"), new("b", 2, 2.0, "y"), new("a", 3, 3.0, "z")]);
    let named = |name: &str| vec![Matcher::new("__name__", MatchOp::Equal, name).unwrap()];
    let names = |found: Vec<Seen>| found.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(seen(&ring, &everything(), TimeRange::ALL)), ["a", "b"]);
    assert_eq!(names(seen(&ring, &[], TimeRange::ALL)), [] as [&str; 0]);
    assert_eq!(names(seen(&ring, &[named("b"), named("c")], TimeRange::ALL)), ["b"]);
    assert_eq!(seen(&ring, &[named("a")], TimeRange::new(2, 3))[0].1.len(), 1);
    assert_eq!(names(seen(&ring, &everything(), TimeRange::new(2, 2))), ["b"]);
    let confined = Scope { tenant: TenantId(0), matchers: named("a") };
    assert_eq!(ring.select(&confined, &everything(), TimeRange::ALL).len(), 1);
    let stranger = Scope { tenant: TenantId(1), matchers: Vec::new() };
    assert!(ring.select(&stranger, &everything(), TimeRange::ALL).is_empty());
}

#[test]
fn records_bring_a_ring_back() {
    let ring = Exemplars::new(4);
    let all = [("a", 1), ("b", 2), ("a", 3), ("c", 4), ("b", 5), ("a", 6)];
    ring.add(all.map(|(name, t)| new(name, t, f64::NAN, "x")));
    let restored = Exemplars::new(4);
    let records = ring.records();
    for _ in 0..2 {
        // A second time changes nothing.
        crate::wal::record::exemplars::decode(&records, |record| restored.restore(&record))
            .unwrap();
        let everything = everything();
        let expected = seen(&ring, &everything, TimeRange::ALL);
        assert_eq!(seen(&restored, &everything, TimeRange::ALL), expected);
        assert_eq!(restored.records(), records);
    }
}

proptest! {
    #[test]
    fn the_ring_holds_what_was_added_last(
        max in 1usize..8,
        writes in vec((0u8..4, 0i64..20, 0u8..2), 0..80),
    ) {
        let ring = Exemplars::new(max);
        let mut model: VecDeque<(u8, i64, u64)> = VecDeque::new();
        for (series, t, v) in writes {
            ring.add([new(&series.to_string(), t, f64::from(v), "x")]);
            let bits = f64::from(v).to_bits();
            let newest = model.iter().filter(|m| m.0 == series).map(|m| (m.1, m.2)).max();
            if newest.is_none_or(|newest| (t, bits) > newest) {
                model.push_back((series, t, bits));
                if model.len() > max {
                    model.pop_front();
                }
            }
        }
        let mut expected: BTreeMap<String, Vec<(i64, u64, String)>> = BTreeMap::new();
        for (series, t, v) in &model {
            expected.entry(series.to_string()).or_default().push((*t, *v, "x".to_owned()));
        }
        let expected: Vec<Seen> = expected.into_iter().collect();
        prop_assert_eq!(seen(&ring, &everything(), TimeRange::ALL), expected);
        prop_assert_eq!(ring.counts().0, model.len());
    }
}
