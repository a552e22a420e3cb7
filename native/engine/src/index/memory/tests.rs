//! The index and selection against a plain list of label sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::index::matcher::MatchOp;
use crate::index::select::select;

type Model = BTreeMap<u32, Labels>;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

fn matcher(name: &str, op: MatchOp, value: &str) -> Matcher {
    Matcher::new(name, op, value).unwrap()
}

fn fill(sets: &[Labels]) -> MemoryIndex {
    let mut index = MemoryIndex::new();
    for (i, set) in sets.iter().enumerate() {
        index.insert(SeriesRef(i as u32), set);
    }
    index
}

/// What the index says the labels of a series are.
fn labels_in(index: &MemoryIndex, series: u32) -> Option<Labels> {
    let mut ids = Vec::new();
    index.labels(SeriesRef(series), &mut ids);
    let text = |id: u32| index.symbols().text(id);
    let pairs: Vec<(&str, &str)> = ids.iter().map(|(n, v)| (text(*n), text(*v))).collect();
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "{pairs:?}");
    index.contains(SeriesRef(series)).then(|| Labels::from_pairs(pairs).unwrap())
}

fn check(index: &MemoryIndex, model: &Model, matchers: &[Matcher]) {
    assert_eq!(index.len(), model.len());
    for series in 0..400 {
        assert_eq!(labels_in(index, series).as_ref(), model.get(&series));
    }
    let (mut got, mut want) = (BTreeSet::new(), BTreeSet::new());
    index.label_names(None, &mut got);
    want.extend(model.values().flat_map(|l| l.iter().map(|(n, _)| n.to_owned())));
    assert_eq!(got, want);
    let texts: BTreeSet<&str> =
        model.values().flat_map(|l| l.iter()).flat_map(|(n, v)| [n, v]).collect();
    assert_eq!(index.symbols().len(), texts.len(), "each text is one symbol, none is left over");

    let refs: Vec<&Matcher> = matchers.iter().collect();
    let selected = select(index, &refs).unwrap();
    let accepted = |l: &Labels| matchers.iter().all(|m| m.matches(l.get(m.name()).unwrap_or("")));
    let expected: Vec<u32> = model.iter().filter(|(_, l)| accepted(l)).map(|(s, _)| *s).collect();
    assert_eq!(selected.iter().collect::<Vec<u32>>(), expected, "{matchers:?}");

    for name in ["__name__", "a", "b", "none"] {
        let (mut got, mut want) = (BTreeSet::new(), BTreeSet::new());
        index.label_values(name, Some(&selected), &mut got);
        want.extend(expected.iter().filter_map(|s| model[s].get(name)).map(str::to_owned));
        assert_eq!(got, want, "values of {name} within {matchers:?}");
    }
    let (mut got, mut want) = (BTreeSet::new(), BTreeSet::new());
    index.label_names(Some(&selected), &mut got);
    want.extend(expected.iter().flat_map(|s| model[s].iter().map(|(n, _)| n.to_owned())));
    assert_eq!(got, want, "names within {matchers:?}");
}

#[test]
fn a_label_that_is_absent_counts_as_empty() {
    let index = fill(&[labels(&[("a", "1")]), labels(&[("b", "1")]), labels(&[])]);
    let selected = |name, op, value: &str| {
        select(&index, &[&matcher(name, op, value)]).unwrap().iter().collect::<Vec<u32>>()
    };
    assert_eq!(selected("a", MatchOp::NotEqual, "x"), [0, 1, 2]);
    assert_eq!(selected("a", MatchOp::NotEqual, "1"), [1, 2]);
    assert_eq!(selected("a", MatchOp::Equal, ""), [1, 2]);
    assert_eq!(selected("a", MatchOp::NotEqual, ""), [0]);
    assert_eq!(selected("z", MatchOp::Equal, ""), [0, 1, 2]);
    assert_eq!(selected("a", MatchOp::Regex, "1|"), [0, 1, 2]);
    assert_eq!(selected("a", MatchOp::Regex, "2|"), [1, 2]);
    assert_eq!(selected("a", MatchOp::Regex, ".+"), [0]);
    assert_eq!(selected("a", MatchOp::NotRegex, ".+"), [1, 2]);
    assert_eq!(selected("a", MatchOp::NotRegex, "x|"), [0]);
    assert_eq!(selected("a", MatchOp::NotRegex, ".*"), [0; 0]);
    assert_eq!(select(&index, &[]).unwrap().len(), 3);
}

#[test]
fn a_series_keeps_the_labels_it_came_with() {
    let mut index = fill(&[labels(&[("a", "1")])]);
    index.insert(SeriesRef(0), &labels(&[("a", "2")]));
    assert_eq!(labels_in(&index, 0), Some(labels(&[("a", "1")])));
    index.remove(SeriesRef(0));
    index.remove(SeriesRef(0));
    index.insert(SeriesRef(0), &labels(&[("a", "2")]));
    assert_eq!(labels_in(&index, 0), Some(labels(&[("a", "2")])));
    assert_eq!(index.len(), 1);
}

#[test]
fn memory_comes_back_when_series_go() {
    let mut index = MemoryIndex::new();
    let label_set = |i: u32| {
        let (id, shared) = (format!("id-{i}"), format!("shared-{}", i % 10));
        labels(&[("__name__", "m"), ("id", &id), ("shared", &shared)])
    };
    for i in 0..20_000 {
        index.insert(SeriesRef(i), &label_set(i));
    }
    let full = index.bytes();
    index.remove_all(&(1_000..20_000).collect());
    assert!(index.bytes() < full / 2, "{} of {full} bytes are left", index.bytes());
    for i in 0..1_000 {
        assert_eq!(labels_in(&index, i), Some(label_set(i)));
    }
    index.remove_all(&(0..20_000).collect());
    assert_eq!((index.len(), index.symbols().len()), (0, 0));
    let mut names = BTreeSet::new();
    index.label_names(None, &mut names);
    assert!(names.is_empty());
}

fn any_labels() -> impl Strategy<Value = Labels> {
    let value = prop::sample::select(vec!["1", "2", "3", "10", "a", "a\nb", "b", "node-1"]);
    let name = prop::sample::select(vec!["__name__", "a", "b", "c", "1", "é"]);
    prop::collection::btree_map(name, value, 0..5)
        .prop_map(|pairs| Labels::from_pairs(pairs).unwrap())
}

fn any_matcher() -> impl Strategy<Value = Matcher> {
    let name = prop::sample::select(vec!["__name__", "a", "b", "c", "none"]);
    let op = prop::sample::select(vec![
        MatchOp::Equal,
        MatchOp::NotEqual,
        MatchOp::Regex,
        MatchOp::NotRegex,
    ]);
    let value = prop::sample::select(vec![
        "", "1", "2", "zz", "1|2|10", "a|", "|", ".*", ".+", "1.*", "1.+", ".*1", "[a-c]|3",
        "[^1]+", "node-.*", "(?i)A", "a.b", "[0-9]*", "x+",
    ]);
    (name, op, value).prop_map(|(name, op, value)| matcher(name, op, value))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn selection_agrees_with_looking_at_every_series(
        sets in prop::collection::vec(any_labels(), 1..300),
        gone in prop::collection::vec(0u32..400, 0..20),
        gone_at_once in prop::collection::btree_set(0u32..400, 0..350),
        again in prop::collection::vec((0u32..400, any_labels()), 0..50),
        matchers in prop::collection::vec(prop::collection::vec(any_matcher(), 0..4), 4),
    ) {
        let mut model: Model = sets.iter().cloned().enumerate().map(|(i, l)| (i as u32, l)).collect();
        let mut index = fill(&sets);
        check(&index, &model, &matchers[0]);
        for series in gone {
            index.remove(SeriesRef(series));
            model.remove(&series);
        }
        check(&index, &model, &matchers[1]);
        index.remove_all(&gone_at_once.iter().copied().collect());
        model.retain(|series, _| !gone_at_once.contains(series));
        check(&index, &model, &matchers[2]);
        for (series, set) in again {
            index.insert(SeriesRef(series), &set);
            model.entry(series).or_insert(set);
        }
        check(&index, &model, &matchers[3]);
    }
}
