//! The engine against a sorted map: random operations, and after them the same answers.
//!
//! Floats and histograms are written, rewritten and backfilled, ranges deleted; the head is flushed
//! and written down, blocks are merged and cleaned, each waited for or met at work by whatever
//! comes next; the clock moves and samples expire; the engine is closed, killed, or loses power.
//!
//! `METRICSTOR_MODEL_RUNS=1000 METRICSTOR_MODEL_SEED=1` runs more, from a seed on. Without them
//! some runs are the same every time and some are new; the seed is printed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]
#![allow(clippy::print_stdout, reason = "the seed is printed")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use metricstor_engine::background::Answer;
use metricstor_engine::clock::ManualClock;
use metricstor_engine::deletes::Mode;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{ErrorCode, Result};
use metricstor_engine::options::{MatcherOptions, Options, RetentionOptions, RuleOptions};
use metricstor_engine::read::count::Counted;
use metricstor_engine::sample::{STALE_BITS, TimeRange};
use support::random::Random;
use support::values::{self, Sample, Value, custom, float, integer, stale};
use support::{checkpoint, clean, compact, delete, flush, like, stat};

const NOW_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// How long samples are kept.
const KEEP_MS: i64 = 36 * HOUR_MS;
/// How long those of the series are kept whose name begins with an "s".
const KEEP_SHORT_MS: i64 = 6 * HOUR_MS;
const SERIES: [&str; 8] = ["n0", "n1", "n2", "n3", "n4", "s0", "s1", "s2"];
/// Always has the newest sample of all, so that expiry counts from the clock.
const PULSE: &str = "pulse";
const STEPS: usize = 120;

fn options(seed: u64) -> Options {
    let short =
        MatcherOptions { name: "series".to_owned(), op: "=~".to_owned(), value: "s.*".to_owned() };
    let rules = vec![RuleOptions { matchers: vec![short], keep_ms: KEEP_SHORT_MS }];
    Options {
        retention_ms: KEEP_MS,
        retention: RetentionOptions { size_bytes: 0, rules },
        retention_interval_ms: 20,
        block_range_ms: 10 * MINUTE_MS,
        flush_min_samples: 200,
        wal_segment_bytes: 2048,
        checkpoint_log_bytes: 8192,
        compact_interval_ms: 5,
        // Every other run, blocks are also merged by themselves.
        compact_cpu_share: if seed.is_multiple_of(2) { 1.0 } else { 0.0 },
        ..Options::new(Path::new("/data"))
    }
}

/// What was acknowledged of a sample since it was last deleted, oldest first.
type History = Vec<Value>;

/// What the engine must answer.
struct Model {
    series: BTreeMap<&'static str, BTreeMap<i64, History>>,
    now_ms: i64,
}

impl Model {
    /// The oldest time that is kept of a series.
    fn cutoff(&self, series: &str) -> i64 {
        self.now_ms - if series.starts_with('s') { KEEP_SHORT_MS } else { KEEP_MS }
    }

    fn written(&mut self, series: &'static str, samples: &[Sample]) {
        let known = self.series.entry(series).or_default();
        for (t, value) in samples {
            known.entry(*t).or_default().push(value.clone());
        }
    }

    fn deleted(&mut self, series: &[&str], range: TimeRange) {
        for (_, samples) in self.series.iter_mut().filter(|(name, _)| series.contains(name)) {
            samples.retain(|t, _| !range.contains(*t));
        }
    }

    /// What a delete would take, if no part of it is expiring.
    fn counted(&self, series: &[&str], range: TimeRange) -> Option<Counted> {
        let mut counted = Counted::default();
        for (name, samples) in self.series.iter().filter(|(name, _)| series.contains(name)) {
            if range.maxt < range.mint {
                break;
            }
            let mut within = samples.range(range.mint..=range.maxt);
            if within.clone().any(|(t, _)| *t < self.cutoff(name)) {
                return None;
            }
            counted.series += u64::from(within.clone().next().is_some());
            counted.samples += within.by_ref().count() as u64;
        }
        Some(counted)
    }

    /// Every sample that is kept must be there as it was last written. One that has expired may be
    /// there, as it was ever written, until its block goes.
    fn check(&self, engine: &Engine, series: &[&str], range: TimeRange, context: &str) {
        let matchers = vec![like("series", &series.join("|"))];
        let found: BTreeMap<String, BTreeMap<i64, Value>> = values::read(engine, matchers, range)
            .into_iter()
            .map(|(labels, samples)| {
                let count = samples.len();
                let samples: BTreeMap<_, _> = samples.into_iter().collect();
                assert_eq!(samples.len(), count, "{context}: {labels} has a time twice");
                (labels, samples)
            })
            .collect();
        let none = BTreeMap::new();
        for name in series {
            let labels = format!("__name__=m,series={name}");
            let found = found.get(&labels).unwrap_or(&none);
            let empty = BTreeMap::new();
            let known = self.series.get(name).unwrap_or(&empty);
            let kept = known.iter().filter(|(t, _)| range.contains(**t));
            for (t, history) in kept.filter(|(t, _)| **t >= self.cutoff(name)) {
                let (got, want) = (found.get(t), history.last());
                assert_eq!(got, want, "{context}: {name} at {t} ({} kinds)", history.len());
            }
            for (t, got) in found {
                let known = known.get(t).is_some_and(|history| history.contains(got));
                assert!(known && range.contains(*t), "{context}: {name} at {t} is {got:?}");
            }
        }
        let beyond = found.keys().find(|labels| {
            let name = labels.strip_prefix("__name__=m,series=");
            name.is_none_or(|name| !series.contains(&name))
        });
        assert_eq!(beyond, None, "{context}: not asked for");
    }
}

/// An engine that lives and dies, and what it must answer.
struct Run {
    seed: u64,
    random: Random,
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    engine: Engine,
    model: Model,
    answered: Sender<Result<()>>,
    answers: Receiver<Result<()>>,
    /// What was done, for whoever looks for the reason of a failure.
    done: Vec<String>,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.done.join("\n"));
        }
    }
}

fn open(disk: &FaultyDisk, clock: &Arc<ManualClock>, seed: u64) -> Engine {
    let opened = Engine::open_with(options(seed), Arc::new(disk.clone()), clock.clone());
    opened.unwrap_or_else(|error| panic!("seed {seed}: {error}"))
}

impl Run {
    fn new(seed: u64) -> Self {
        let (disk, clock) = (FaultyDisk::new(), Arc::new(ManualClock::new(NOW_MS)));
        let engine = open(&disk, &clock, seed);
        let (answered, answers) = channel();
        let model = Model { series: BTreeMap::new(), now_ms: NOW_MS };
        let (random, done) = (Random(seed), Vec::new());
        let mut run = Self { seed, random, disk, clock, engine, model, answered, answers, done };
        run.write(PULSE, &[(NOW_MS, float(0.0))]);
        run
    }

    fn write(&mut self, series: &'static str, samples: &[Sample]) {
        let mut labels = [("__name__", "m"), ("series", series)];
        if self.random.one_in(8) {
            labels.reverse();
        }
        let outcome = values::write(&self.engine, &labels, samples).unwrap();
        let cutoff = self.model.cutoff(series);
        let kept: Vec<Sample> = samples.iter().filter(|(t, _)| *t >= cutoff).cloned().collect();
        let refused: u64 = outcome.rejections.iter().map(|refused| refused.count).sum();
        let stored = outcome.samples + outcome.histograms;
        let want = (kept.len() as u64, (samples.len() - kept.len()) as u64);
        assert_eq!((stored, refused), want, "seed {}: {outcome:?}", self.seed);
        self.model.written(series, &kept);
        let times: Vec<i64> = kept.iter().map(|(t, _)| *t).collect();
        self.done.push(format!("write {series} {times:?}"));
    }

    /// Mostly recent, sometimes anywhere that is kept, and a little before.
    fn time(&mut self) -> i64 {
        let back = if self.random.one_in(4) { 40 * HOUR_MS } else { 30 * MINUTE_MS };
        self.model.now_ms - self.random.below(back as u64) as i64
    }

    fn range(&mut self) -> TimeRange {
        if self.random.one_in(6) {
            return TimeRange::ALL;
        }
        let (a, b) = (self.time(), self.time());
        TimeRange::new(a.min(b), a.max(b))
    }

    fn some_series(&mut self) -> Vec<&'static str> {
        let mut some: Vec<_> = SERIES.into_iter().filter(|_| self.random.one_in(3)).collect();
        some.push(SERIES[self.random.below(SERIES.len() as u64) as usize]);
        some
    }

    fn value(&mut self) -> Value {
        let n = self.random.below(1000);
        match self.random.below(12) {
            0 => integer(n, 3 + (n % 3) as u32),
            1 => custom(n as f64),
            2 if n < 300 => stale(),
            3 if n < 300 => float(f64::from_bits(STALE_BITS)),
            _ => float(n as f64 / 8.0),
        }
    }

    fn write_some(&mut self) {
        let series = SERIES[self.random.below(SERIES.len() as u64) as usize];
        // A long run fills chunks.
        let count = if self.random.one_in(6) { 150 } else { 1 + self.random.below(20) };
        let samples: BTreeMap<i64, Value> =
            (0..count).map(|_| (self.time(), self.value())).collect();
        self.write(series, &samples.into_iter().collect::<Vec<_>>());
    }

    fn delete_some(&mut self) {
        let (series, range) = (self.some_series(), self.range());
        let matchers = || vec![like("series", &series.join("|"))];
        if self.random.one_in(3) {
            let counted = delete(&self.engine, matchers(), range, Mode::DryRun).unwrap();
            if let Some(want) = self.model.counted(&series, range) {
                assert_eq!(counted, want, "seed {}: {series:?} {range:?}", self.seed);
            }
        }
        delete(&self.engine, matchers(), range, Mode::Delete).unwrap();
        self.model.deleted(&series, range);
        self.done.push(format!("delete {series:?} {range:?}"));
    }

    /// Asks for something without waiting: what comes next meets it at work.
    fn start(&mut self) {
        let answered = self.answered.clone();
        let answer: Answer = Box::new(move |outcome| {
            let _ = answered.send(outcome);
        });
        let what = self.random.below(4);
        self.done
            .push(format!("start {}", ["flush", "compact", "clean", "checkpoint"][what as usize]));
        match what {
            0 => self.engine.flush(answer),
            1 => self.engine.compact(answer),
            2 => self.engine.clean_tombstones(answer),
            _ => self.engine.checkpoint(answer),
        }
    }

    fn advance(&mut self) {
        self.model.now_ms += self.random.below(4 * HOUR_MS as u64) as i64;
        self.clock.set(self.model.now_ms);
        self.done.push(format!("clock at {}", self.model.now_ms));
        let pulse = (self.model.now_ms, float(self.model.now_ms as f64));
        self.write(PULSE, &[pulse]);
    }

    fn restart(&mut self) {
        let how = self.random.below(3);
        self.done.push(format!("restart {}", ["closed", "killed", "without power"][how as usize]));
        let disk = match how {
            0 => {
                self.engine.close().unwrap();
                self.disk.clone()
            }
            1 => self.disk.kill(),
            _ => self.disk.crash(self.random.below(1 << 32)),
        };
        let again = open(&disk, &self.clock, self.seed);
        (self.disk, self.engine) = (disk, again);
    }

    fn step(&mut self, step: usize) {
        let context = format!("seed {}, step {step}", self.seed);
        let what = self.random.below(24);
        self.done.push(format!("step {step}: {what}"));
        match what {
            0..8 => self.write_some(),
            8 => flush(&self.engine).unwrap(),
            9 => compact(&self.engine).unwrap(),
            10 => clean(&self.engine).unwrap(),
            11 => checkpoint(&self.engine).unwrap(),
            12..16 => self.start(),
            16 | 17 => self.delete_some(),
            18 => self.advance(),
            19 => self.restart(),
            20 | 21 => {
                let (series, range) = (self.some_series(), self.range());
                self.model.check(&self.engine, &series, range, &context);
            }
            _ => self.check_all(&context),
        }
    }

    fn check_all(&self, context: &str) {
        self.model.check(&self.engine, &SERIES, TimeRange::ALL, context);
    }

    fn run(mut self) {
        (0..STEPS).for_each(|step| self.step(step));
        let context = format!("seed {}, at the end", self.seed);
        self.check_all(&context);
        flush(&self.engine).unwrap();
        clean(&self.engine).unwrap();
        compact(&self.engine).unwrap();
        self.check_all(&format!("{context}, all in blocks"));
        assert_eq!(stat(&self.engine, "blocksQuarantined"), 0.0, "{context}");
        assert_eq!(self.engine.last_failure(), None, "{context}");
        self.engine.close().unwrap();
        self.engine = open(&self.disk, &self.clock, self.seed);
        self.check_all(&format!("{context}, after a restart"));
        for outcome in self.answers.try_iter() {
            // An engine that closed before it was done says so.
            let closed = outcome.as_ref().is_err_and(|e| e.code() == ErrorCode::Closed);
            assert!(outcome.is_ok() || closed, "{context}: {outcome:?}");
        }
    }
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[test]
fn whatever_happens_when_the_answers_are_those_of_a_sorted_map() {
    let runs = number_from("METRICSTOR_MODEL_RUNS").unwrap_or(24);
    let of_now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let first = number_from("METRICSTOR_MODEL_SEED").unwrap_or_else(of_now);
    println!("model: seeds {first} to {}", first + runs - 1);
    (first..first + runs).for_each(|seed| Run::new(seed).run());
}

#[test]
fn whatever_happened_once_the_answers_are_those_of_a_sorted_map() {
    (0..24).for_each(|seed| Run::new(seed).run());
}
