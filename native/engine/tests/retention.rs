//! Retention by rules and by size, as readers and writers see it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::path::Path;
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::ErrorCode;
use metricstor_engine::options::{MatcherOptions, Options, RetentionOptions, RuleOptions};
use support::{all, bits, checkpoint, flush, stat, wait_until, write};

const NOW_MS: i64 = 1_790_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

const SHORT: &[(&str, &str)] = &[("__name__", "debug"), ("host", "a")];
const LONG: &[(&str, &str)] = &[("__name__", "bill"), ("host", "a")];
const PLAIN: &[(&str, &str)] = &[("__name__", "up"), ("host", "a")];

fn options() -> Options {
    let rule = |value: &str, keep_ms| RuleOptions {
        matchers: vec![MatcherOptions {
            name: "__name__".to_owned(),
            op: "=~".to_owned(),
            value: value.to_owned(),
        }],
        keep_ms,
    };
    Options {
        retention_ms: 10 * DAY_MS,
        retention: RetentionOptions {
            size_bytes: 0,
            rules: vec![rule("deb.*", 2 * DAY_MS), rule("bill", 100 * DAY_MS)],
        },
        retention_interval_ms: 1,
        ..Options::new(Path::new("/data"))
    }
}

fn open(disk: &FaultyDisk, clock: &Arc<ManualClock>, options: Options) -> Engine {
    Engine::open_with(options, Arc::new(disk.clone()), clock.clone()).unwrap()
}

fn names(engine: &Engine) -> Vec<String> {
    all(engine).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_write_is_held_against_the_retention_of_its_own_series() {
    let clock = Arc::new(ManualClock::new(NOW_MS));
    let engine = open(&FaultyDisk::new(), &clock, options());
    let days_ago = |days: i64| (NOW_MS - days * DAY_MS, 1.0);
    write(&engine, &[(PLAIN, &[days_ago(0)])]).unwrap();
    let reversed: &[(&str, &str)] = &[("host", "a"), ("__name__", "debug")];
    for (series, days, accepted) in [
        (SHORT, 1, true),
        (SHORT, 3, false),
        (reversed, 3, false),
        (PLAIN, 3, true),
        (PLAIN, 11, false),
        (LONG, 99, true),
        (LONG, 101, false),
    ] {
        let outcome = write(&engine, &[(series, &[days_ago(days)])]).unwrap();
        assert_eq!(outcome.samples == 1, accepted, "{series:?}, {days} days ago");
        let refused = outcome.rejections.iter().map(|r| (r.code, r.count)).collect::<Vec<_>>();
        let want = if accepted { vec![] } else { vec![(ErrorCode::TooOld, 1)] };
        assert_eq!(refused, want, "{series:?}, {days} days ago");
    }
}

#[test]
fn what_has_expired_is_hidden_leaves_the_disk_and_a_longer_rule_keeps_the_rest() {
    let (disk, clock) = (FaultyDisk::new(), Arc::new(ManualClock::new(NOW_MS)));
    let engine = open(&disk, &clock, options());
    let old: Vec<(i64, f64)> =
        (0..500).map(|i| (NOW_MS - DAY_MS + i * 1000, (i as f64).sqrt())).collect();
    for series in [SHORT, LONG, PLAIN] {
        write(&engine, &[(series, &old)]).unwrap();
    }
    flush(&engine).unwrap();
    assert_eq!(names(&engine).len(), 3);
    let full = stat(&engine, "blockBytes");

    clock.set(NOW_MS + 3 * DAY_MS);
    write(&engine, &[(PLAIN, &[(NOW_MS + 3 * DAY_MS, 1.0)])]).unwrap();
    wait_until("the short rule has expired", || names(&engine).len() == 2);
    wait_until("its space is back", || stat(&engine, "blockBytes") < full * 0.8);
    assert_eq!(all(&engine)[0], ("__name__=bill,host=a".to_owned(), bits(&old)));
    assert_eq!(stat(&engine, "blocks"), 1.0);

    clock.set(NOW_MS + 20 * DAY_MS);
    write(&engine, &[(SHORT, &[(NOW_MS + 20 * DAY_MS, 1.0)])]).unwrap();
    // Also the sample in the head: its window is over, so it is flushed.
    let left = ["__name__=bill,host=a", "__name__=debug,host=a"];
    wait_until("the default has expired", || names(&engine) == left);
    assert_eq!(all(&engine)[0].1, bits(&old));
    engine.close().unwrap();

    let engine = open(&disk, &clock, options());
    assert_eq!(names(&engine), left, "after a restart");
    clock.set(NOW_MS + 120 * DAY_MS);
    write(&engine, &[(SHORT, &[(NOW_MS + 120 * DAY_MS, 1.0)])]).unwrap();
    wait_until("the longest rule has expired", || {
        all(&engine).iter().map(|(_, samples)| samples.len()).eq([1])
    });
}

#[test]
fn the_oldest_blocks_go_when_blocks_and_log_are_too_large() {
    let (disk, clock) = (FaultyDisk::new(), Arc::new(ManualClock::new(NOW_MS)));
    let by_size = |size_bytes| Options {
        retention: RetentionOptions { size_bytes, rules: Vec::new() },
        retention_interval_ms: 1,
        ..Options::new(Path::new("/data"))
    };
    let engine = open(&disk, &clock, by_size(0));
    for hours in [30, 20, 10, 0] {
        let samples: Vec<(i64, f64)> =
            (0..2000).map(|i| (NOW_MS - hours * HOUR_MS - i * 100, (i as f64).sqrt())).collect();
        write(&engine, &[(PLAIN, &samples)]).unwrap();
        flush(&engine).unwrap();
    }
    let (blocks, bytes) = (stat(&engine, "blocks"), stat(&engine, "blockBytes"));
    assert!(blocks >= 4.0, "{blocks} blocks");
    engine.close().unwrap();

    let engine = open(&disk, &clock, by_size((bytes * 0.6) as u64));
    wait_until("blocks are gone", || stat(&engine, "blockBytes") <= bytes * 0.6);
    let newest = all(&engine)[0].1.iter().map(|(t, _)| *t).max();
    let oldest = all(&engine)[0].1.iter().map(|(t, _)| *t).min();
    assert_eq!(newest, Some(NOW_MS));
    assert!(oldest > Some(NOW_MS - 25 * HOUR_MS), "{oldest:?}");
    engine.close().unwrap();

    let engine = open(&disk, &clock, by_size(1));
    wait_until("only the newest window is left", || {
        all(&engine)[0].1.iter().all(|(t, _)| *t > NOW_MS - 3 * HOUR_MS)
    });
}

#[test]
fn of_rules_that_overlap_the_first_counts_for_writes_readers_and_blocks() {
    let (disk, clock) = (FaultyDisk::new(), Arc::new(ManualClock::new(NOW_MS)));
    let mut options = options();
    options.retention.rules.push(RuleOptions {
        matchers: vec![MatcherOptions {
            name: "host".to_owned(),
            op: "=".to_owned(),
            value: "a".to_owned(),
        }],
        keep_ms: 50 * DAY_MS,
    });
    let engine = open(&disk, &clock, options);
    let elsewhere: &[(&str, &str)] = &[("__name__", "up"), ("host", "b")];
    write(&engine, &[(PLAIN, &[(NOW_MS, 1.0)])]).unwrap();
    for (series, days, accepted) in [
        (SHORT, 3, 0),
        (LONG, 60, 1),
        (PLAIN, 49, 1),
        (PLAIN, 51, 0),
        (elsewhere, 9, 1),
        (elsewhere, 11, 0),
    ] {
        let outcome = write(&engine, &[(series, &[(NOW_MS - days * DAY_MS, 1.0)])]).unwrap();
        assert_eq!(outcome.samples, accepted, "{series:?}, {days} days ago");
    }
    flush(&engine).unwrap();
    write(&engine, &[(SHORT, &[(NOW_MS, 1.0)])]).unwrap();
    clock.set(NOW_MS + 3 * DAY_MS);
    write(&engine, &[(PLAIN, &[(NOW_MS + 3 * DAY_MS, 1.0)])]).unwrap();
    flush(&engine).unwrap();
    // Two of host a are under the rule of their name, the third under that of the host.
    let left = ["__name__=bill,host=a", "__name__=up,host=a"];
    wait_until("the short rule and the default have expired", || names(&engine) == left);
    assert_eq!(all(&engine)[1].1.len(), 2, "49 days have become 52");
}

#[test]
fn a_clock_that_runs_ahead_or_behind_deletes_nothing() {
    let (disk, clock) = (FaultyDisk::new(), Arc::new(ManualClock::new(NOW_MS)));
    let options = || Options {
        retention_ms: 10 * DAY_MS,
        retention_interval_ms: 1,
        ..Options::new(Path::new("/data"))
    };
    let engine = open(&disk, &clock, options());
    let samples: Vec<(i64, f64)> = (0..9).map(|day| (NOW_MS - day * DAY_MS, 1.0)).collect();
    write(&engine, &[(PLAIN, &samples)]).unwrap();
    flush(&engine).unwrap();
    engine.close().unwrap();
    for wrong in [NOW_MS + 4000 * DAY_MS, NOW_MS - 4000 * DAY_MS] {
        clock.set(wrong);
        let engine = open(&disk, &clock, options());
        // A sample as old as the store keeps is not too old, whatever the clock says.
        let outcome = write(&engine, &[(SHORT, &[(NOW_MS - 9 * DAY_MS, 1.0)])]).unwrap();
        let is_ahead = wrong > NOW_MS;
        assert_eq!(outcome.samples, u64::from(is_ahead), "{:?}", outcome.rejections);
        flush(&engine).unwrap();
        assert_eq!(all(&engine).last().map(|(_, held)| held.len()), Some(9), "clock at {wrong}");
        engine.close().unwrap();
    }
    clock.set(NOW_MS);
    let engine = open(&disk, &clock, options());
    assert_eq!(names(&engine).len(), 2);
    // Once samples of the new time come, time has passed.
    clock.set(NOW_MS + 8 * DAY_MS);
    write(&engine, &[(PLAIN, &[(NOW_MS + 8 * DAY_MS, 1.0)])]).unwrap();
    wait_until("old samples are gone", || {
        all(&engine).iter().flat_map(|(_, held)| held).all(|(t, _)| *t >= NOW_MS - 3 * DAY_MS)
    });
}

#[test]
fn the_files_of_the_head_count_for_the_size_and_make_room_for_themselves() {
    let (disk, clock) = (FaultyDisk::new(), Arc::new(ManualClock::new(NOW_MS)));
    let options = Options {
        retention: RetentionOptions { size_bytes: 400_000, rules: Vec::new() },
        retention_interval_ms: 1,
        ..Options::new(Path::new("/data"))
    };
    let engine = open(&disk, &clock, options);
    let samples = |from: i64| -> Vec<(i64, f64)> {
        let noise = |i: i64| (i as f64).sqrt().sin();
        (from..from + 1000).map(|i| (NOW_MS - 3_000_000 + i * 100, noise(i))).collect()
    };
    write(&engine, &[(PLAIN, &samples(0))]).unwrap();
    checkpoint(&engine).unwrap();
    let small = stat(&engine, "headFileBytes");
    assert!(small > 1000.0 && stat(&engine, "blocks") == 0.0, "{small} bytes, a block already");
    // A quarter of the size: the head becomes a block, and its files go.
    let mut from = 1000;
    wait_until("the head is flushed for the size of its files", || {
        write(&engine, &[(PLAIN, &samples(from))]).unwrap();
        from += 1000;
        checkpoint(&engine).unwrap();
        stat(&engine, "blocks") > 0.0
    });
    wait_until("its files are gone", || stat(&engine, "headFileBytes") < 100_000.0);
}
