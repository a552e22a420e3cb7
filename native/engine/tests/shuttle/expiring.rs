//! Retention beside writers, readers, flush and compaction: what it keeps is there at every moment,
//! what it does not goes, and comes back in no block.

use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::options::{MatcherOptions, Options, RetentionOptions, RuleOptions};
use metricstor_engine::sync::thread;

use crate::book::Book;
use crate::explore::{explore, pause};
use crate::publishing::{MINUTE_MS, NOW_MS, beside_reader, options};
use crate::support::{all, checkpoint, compact, flush, stat};

/// How far the clock moves: an hour's retention then ends 40 minutes before [`NOW_MS`].
const LATER_MS: i64 = 20 * MINUTE_MS;
const KEEP_MS: i64 = 60 * MINUTE_MS;
/// Minutes before [`NOW_MS`], in two blocks that go and in one that stays.
const OLD: [i64; 4] = [57, 55, 50, 46];
const KEPT: [i64; 2] = [39, 35];

fn minutes_ago(minutes: i64) -> i64 {
    NOW_MS - minutes * MINUTE_MS
}

fn retain(keep_ms: i64, rules: Vec<RuleOptions>) -> Options {
    let retention = RetentionOptions { size_bytes: 0, rules };
    Options { retention_ms: keep_ms, retention, retention_interval_ms: 1, ..options() }
}

/// Some blocks; then, beside a reader, time goes on, writers write and `work` is done.
struct Scene {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    book: Book,
    engine: Engine,
    options: Options,
}

impl Scene {
    fn new(options: Options, series: &[&str]) -> Self {
        let (disk, clock) = (FaultyDisk::new(), Arc::new(ManualClock::new(NOW_MS)));
        let engine =
            Engine::open_with(options.clone(), Arc::new(disk.clone()), clock.clone()).unwrap();
        let scene = Self { disk, clock, book: Book::default(), engine, options };
        for name in series {
            for minute in OLD.into_iter().chain(KEPT) {
                scene.book.write(&scene.engine, name, &[(minutes_ago(minute), 1.0)]).unwrap();
            }
        }
        flush(&scene.engine).unwrap();
        assert_eq!(stat(&scene.engine, "blocks"), 3.0);
        scene
    }

    /// `expiring` loses what is old.
    fn play(&self, expiring: &[&str], work: impl Fn() + Sync) {
        thread::scope(|scope| {
            scope.spawn(|| {
                pause();
                self.clock.set(NOW_MS + LATER_MS);
                self.book.expire(expiring, NOW_MS + LATER_MS - KEEP_MS);
                for n in 0..6 {
                    let samples = [(NOW_MS + LATER_MS - n * MINUTE_MS, n as f64)];
                    self.book.write(&self.engine, "new", &samples).unwrap();
                }
            });
            beside_reader(&self.engine, &self.book, work);
        });
    }

    /// Waits until the background has done something.
    fn wait_until(&self, done: impl Fn() -> bool) {
        while !done() {
            checkpoint(&self.engine).unwrap();
            self.book.check(&self.engine);
            // A scheduler that keeps to one thread would keep to this one.
            shuttle::thread::yield_now();
        }
    }

    /// Compares what is there, and there after another start, with a number of samples.
    fn end_with(self, samples: usize) {
        assert_eq!(self.book.check(&self.engine), samples);
        let found = all(&self.engine);
        let left = self.disk.kill();
        drop(self.engine);
        let again = Engine::open_with(self.options, Arc::new(left), self.clock).unwrap();
        assert_eq!(all(&again), found, "another start finds the same");
    }
}

#[test]
fn blocks_that_are_too_old_go_beside_a_reader_and_a_flush_and_nothing_else_does() {
    explore(30, || {
        let scene = Scene::new(retain(KEEP_MS, Vec::new()), &["a"]);
        scene.play(&["a"], || (0..2).for_each(|_| flush(&scene.engine).unwrap()));
        scene.wait_until(|| stat(&scene.engine, "blocksDropped") == 2.0);
        scene.end_with(KEPT.len() + 6);
    });
}

#[test]
fn what_a_rule_keeps_for_less_time_leaves_blocks_beside_a_reader_a_flush_and_a_merge() {
    explore(15, || {
        let matchers = vec![MatcherOptions {
            name: "series".to_owned(),
            op: "=".to_owned(),
            value: "short".to_owned(),
        }];
        let rule = RuleOptions { matchers, keep_ms: KEEP_MS };
        let mut options = retain(100 * KEEP_MS, vec![rule]);
        (options.compact_cpu_share, options.compact_interval_ms) = (1.0, 1);
        let scene = Scene::new(options, &["short", "long"]);
        scene.play(&["short"], || {
            flush(&scene.engine).unwrap();
            compact(&scene.engine).unwrap();
            flush(&scene.engine).unwrap();
        });
        let wanted = OLD.len() + 2 * KEPT.len() + 6;
        scene.wait_until(|| {
            all(&scene.engine).iter().map(|(_, s)| s.len()).sum::<usize>() == wanted
        });
        scene.end_with(wanted);
    });
}
