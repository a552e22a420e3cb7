use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::head::append::Addressed;
use crate::head::snapshot::HeadSource;
use crate::index::matcher::MatchOp;
use crate::labels::Labels;
use crate::merge::merge;
use crate::options::WriteLimits;
use crate::refs::{Generation, SHARD_COUNT, TenantId};
use crate::retention::RetentionPolicy;
use crate::run::{Run, RunSlice};
use crate::sample::TimeRange;
use crate::source::{Scope, SelectRequest, SeriesSource};

fn head() -> Arc<Head> {
    let forever = Arc::new(RetentionPolicy::uniform(i64::MAX));
    Arc::new(Head::new([7; 32], WriteLimits::default(), forever))
}

fn add(head: &Head, number: usize) -> SeriesRef {
    let number = number.to_string();
    let labels = Labels::from_pairs([("__name__", "up"), ("number", &*number)]).unwrap();
    let (series, new) = head.restore_series(TenantId(0), labels).unwrap();
    new.into_iter().for_each(|new| head.index_restored(&[new]));
    series
}

fn write(head: &Head, series: SeriesRef, t: i64, v: f64) {
    head.restore_samples(&vec![Addressed { series, t, v }].into());
}

/// All series, or those whose number matches.
fn tombstone(numbers: Option<&str>, range: TimeRange) -> Tombstone {
    let number = numbers.map(|numbers| Matcher::new("number", MatchOp::Regex, numbers).unwrap());
    let name = Matcher::new("__name__", MatchOp::Equal, "up").unwrap();
    let matchers = [name].into_iter().chain(number).collect();
    Tombstone { tenant: TenantId(0), matchers, range }
}

fn read(head: &Head, series: SeriesRef) -> BTreeMap<i64, u64> {
    let mut runs = Vec::new();
    let parts = head.runs(series, Generation(0), Generation(99), TimeRange::ALL);
    parts.decode(TimeRange::ALL, &mut runs).unwrap();
    let mut slices: Vec<RunSlice<'_>> = runs.iter().map(Run::as_slice).collect();
    let mut samples = BTreeMap::new();
    merge(&mut slices, |run| {
        samples.extend(run.timestamps.iter().copied().zip(run.values.iter().map(|v| v.to_bits())));
    });
    samples
}

/// The values of the label `number`, as somebody asks who names no series.
fn numbers(head: &Arc<Head>) -> BTreeSet<String> {
    let source = HeadSource::new(head.clone(), Generation(0), Generation(99));
    let scope = Scope { tenant: TenantId(0), matchers: Vec::new() };
    let request = SelectRequest { scope, matchers: Vec::new(), range: TimeRange::ALL };
    let mut values = BTreeSet::new();
    source.label_values("number", &request, &mut values).unwrap();
    values
}

#[derive(Debug, Clone)]
enum Step {
    Write { series: usize, t: i64, v: u64 },
    Delete { numbers: Option<&'static str>, mint: i64, maxt: i64 },
    Clean(usize),
    Capture,
    Rotate,
    Forget,
}

fn step() -> impl Strategy<Value = Step> {
    let numbers = prop_oneof![Just(None), Just(Some("1")), Just(Some("0|2"))];
    let write = |times| (0usize..4, times, 0u64..3);
    prop_oneof![
        30 => write(-300i64..300).prop_map(|(series, t, v)| Step::Write { series, t, v }),
        30 => write(300i64..3000).prop_map(|(series, t, v)| Step::Write { series, t, v }),
        8 => (numbers, -400i64..3000, 0i64..1500).prop_map(|(numbers, mint, width)| {
            Step::Delete { numbers, mint, maxt: mint + width }
        }),
        4 => (1usize..4).prop_map(Step::Clean),
        1 => Just(Step::Capture),
        1 => Just(Step::Rotate),
        1 => Just(Step::Forget),
    ]
}

/// A head, and what it has to hold: by generation and series, as a forgotten generation is.
struct Model {
    head: Arc<Head>,
    cleaner: Cleaner,
    series: Vec<SeriesRef>,
    frozen: Vec<BTreeMap<i64, u64>>,
    active: Vec<BTreeMap<i64, u64>>,
    is_frozen: bool,
}

impl Model {
    fn new() -> Self {
        let head = head();
        let series: Vec<SeriesRef> = (0..4).map(|number| add(&head, number)).collect();
        let empty = vec![BTreeMap::new(); series.len()];
        let (frozen, active) = (empty.clone(), empty);
        Self { head, cleaner: Cleaner::default(), series, frozen, active, is_frozen: false }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Write { series, t, v } => {
                write(&self.head, self.series[series], t, f64::from_bits(v));
                self.active[series].insert(t, v);
            }
            Step::Delete { numbers, mint, maxt } => {
                self.head.bury(&tombstone(numbers, TimeRange::new(mint, maxt))).unwrap();
                for number in 0..self.series.len() {
                    if numbers.is_none_or(|n| n.contains(&number.to_string())) {
                        self.frozen[number].retain(|t, _| *t < mint || *t > maxt);
                        self.active[number].retain(|t, _| *t < mint || *t > maxt);
                    }
                }
            }
            Step::Clean(steps) => {
                for _ in 0..steps {
                    self.cleaner.step(&self.head).unwrap();
                }
            }
            Step::Capture => {
                for shard in 0..SHARD_COUNT {
                    self.head.capture(shard, 0);
                }
                let waits =
                    |r: &SeriesRef| self.head.shards[r.shard()].slots.read().hidden(*r).count();
                assert!(self.series.iter().all(|series| waits(series) == 0));
            }
            // A series holds one generation beside the active one.
            Step::Rotate if !self.is_frozen => {
                self.head.rotate(self.head.generation().next());
                self.is_frozen = true;
                self.frozen = std::mem::replace(&mut self.active, vec![BTreeMap::new(); 4]);
            }
            Step::Forget if self.is_frozen => {
                let ended = Generation(self.head.generation().0 - 1);
                let dead = self.head.forget(ended);
                self.head.release(&dead);
                self.is_frozen = false;
                self.frozen = vec![BTreeMap::new(); 4];
                self.series = (0..4).map(|number| add(&self.head, number)).collect();
            }
            Step::Rotate | Step::Forget => {}
        }
    }

    fn check(&self) -> std::result::Result<(), TestCaseError> {
        let found = numbers(&self.head);
        for (number, series) in self.series.iter().enumerate() {
            let mut want = self.frozen[number].clone();
            want.extend(&self.active[number]);
            prop_assert_eq!(read(&self.head, *series), want.clone(), "series {}", number);
            prop_assert!(want.is_empty() || found.contains(&number.to_string()));
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn whenever_a_delete_is_carried_out_it_is_seen_at_once_and_later_writes_are_too(
        steps in prop::collection::vec(step(), 0..300)) {
        let mut model = Model::new();
        for step in &steps {
            model.take(step);
            model.check()?;
        }
        model.cleaner.finish(&model.head).unwrap();
        prop_assert_eq!(model.head.waiting_deletes(), 0);
        let found = numbers(&model.head);
        for (number, samples) in model.active.iter().enumerate() {
            let is_empty = samples.is_empty() && model.frozen[number].is_empty();
            // One that never had a sample is in the index here, which no write leaves behind.
            let had = model.head.shards[model.series[number].shard()].slots.read()
                .get(model.series[number].slot()).is_some_and(|series| series.emptied);
            prop_assert!(!(is_empty && had && found.contains(&number.to_string())));
        }
    }
}

#[test]
fn a_delete_touches_no_series_where_it_is_ordered_and_a_slice_at_a_time_later() {
    const SERIES: usize = 5000;
    let head = head();
    let series: Vec<SeriesRef> = (0..SERIES).map(|number| add(&head, number)).collect();
    for t in 0..3 {
        series.iter().for_each(|series| write(&head, *series, t * 1000, 1.0));
    }
    let deleted = || head.counters.deleted.load(Ordering::Relaxed);
    head.bury(&tombstone(None, TimeRange::new(500, 1500))).unwrap();
    assert_eq!(deleted(), 0, "what the log thread does");
    assert!(series.iter().all(|series| read(&head, *series).len() == 2), "seen at once");
    let mut cleaner = Cleaner::default();
    let mut most = 0;
    loop {
        let before = deleted();
        if !cleaner.step(&head).unwrap() {
            break;
        }
        most = most.max(deleted() - before);
        assert!(series.iter().step_by(617).all(|series| read(&head, *series).len() == 2));
    }
    assert_eq!((most, deleted()), (SLICE as u64, SERIES as u64), "one sample of each series");
    assert_eq!(head.waiting_deletes(), 0);
}

#[test]
fn series_of_which_nothing_is_left_are_not_found_from_the_delete_on() {
    let head = head();
    let series: Vec<SeriesRef> = (0..3).map(|number| add(&head, number)).collect();
    series.iter().for_each(|series| write(&head, *series, 1000, 1.0));
    head.bury(&tombstone(Some("0|1"), TimeRange::ALL)).unwrap();
    assert_eq!(numbers(&head), BTreeSet::from(["2".to_owned()]));
    write(&head, series[1], 500, 2.0);
    assert_eq!(numbers(&head), BTreeSet::from(["1".to_owned(), "2".to_owned()]));
    Cleaner::default().finish(&head).unwrap();
    assert_eq!(numbers(&head), BTreeSet::from(["1".to_owned(), "2".to_owned()]));
    assert_eq!(read(&head, series[1]), BTreeMap::from([(500, 2f64.to_bits())]));
}

#[test]
fn a_series_in_the_slot_of_one_that_ended_has_nothing_deleted() {
    let head = head();
    let ended = add(&head, 0);
    write(&head, ended, 1000, 1.0);
    head.rotate(Generation(2));
    head.bury(&tombstone(None, TimeRange::ALL)).unwrap();
    let dead = head.forget(Generation(1));
    head.release(&dead);
    assert!(dead.contains(ended.0));
    // Labels choose the shard, so some try takes the slot.
    let again = (1..10_000).map(|number| add(&head, number)).find(|series| *series == ended);
    let again = again.expect("a series takes the slot");
    write(&head, again, 2000, 2.0);
    write(&head, again, 900, 3.0);
    let want = BTreeMap::from([(900, 3f64.to_bits()), (2000, 2f64.to_bits())]);
    assert_eq!(read(&head, again), want);
    Cleaner::default().finish(&head).unwrap();
    assert_eq!(read(&head, again), want);
}
