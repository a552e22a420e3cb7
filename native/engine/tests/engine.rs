//! The engine as its caller sees it: what was answered is read back, through flush and restart.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails by panicking")]

mod support;

use metricstor_engine::engine::Engine;
use metricstor_engine::error::ErrorCode;
use metricstor_engine::index::matcher::{MatchOp, Matcher};
use metricstor_engine::options::Options;
use metricstor_engine::sample::{STALE_BITS, TimeRange};
use support::fixture::{Fixture, NOW_MS};
use support::{all, bits, flush, read, write};

const HOUR_MS: i64 = 3_600_000;

const A: &[(&str, &str)] = &[("__name__", "m"), ("l", "a")];
const B: &[(&str, &str)] = &[("__name__", "m"), ("l", "b")];

#[test]
fn every_bit_comes_back_before_and_after_flush_and_restart() {
    let fixture = Fixture::new();
    let odd = [
        (NOW_MS - 5000, f64::from_bits(STALE_BITS)),
        (NOW_MS - 4000, f64::from_bits(0x7ff8_dead_beef_0001)),
        (NOW_MS - 3000, -0.0),
        (NOW_MS - 2000, f64::NEG_INFINITY),
        (NOW_MS - 1000, 5e-324),
    ];
    let want = vec![("__name__=m,l=a".to_owned(), bits(&odd))];
    let engine = fixture.open();
    assert_eq!(write(&engine, &[(A, &odd)]).unwrap().samples, 5);
    assert_eq!(all(&engine), want);
    engine.close().unwrap();
    let engine = fixture.open();
    assert_eq!(all(&engine), want, "after a restart that replays the log");
    flush(&engine).unwrap();
    assert_eq!(all(&engine), want, "from a block");
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), want, "from a block after a restart");
}

#[test]
fn the_last_write_wins_across_head_and_blocks() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let t = NOW_MS - HOUR_MS;
    write(&engine, &[(A, &[(t, 1.0), (t + 1000, 1.0), (t + 2000, 1.0)])]).unwrap();
    write(&engine, &[(A, &[(t, 2.0)])]).unwrap();
    flush(&engine).unwrap();
    write(&engine, &[(A, &[(t + 1000, 3.0)]), (B, &[(t, 9.0)])]).unwrap();
    let want = vec![
        ("__name__=m,l=a".to_owned(), bits(&[(t, 2.0), (t + 1000, 3.0), (t + 2000, 1.0)])),
        ("__name__=m,l=b".to_owned(), bits(&[(t, 9.0)])),
    ];
    assert_eq!(all(&engine), want);
    flush(&engine).unwrap();
    assert_eq!(all(&engine), want);
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), want);
}

#[test]
fn labels_in_another_order_are_the_same_series() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let reversed: &[(&str, &str)] = &[("l", "a"), ("empty", ""), ("__name__", "m")];
    write(&engine, &[(A, &[(NOW_MS, 1.0)])]).unwrap();
    write(&engine, &[(reversed, &[(NOW_MS + 1, 2.0)])]).unwrap();
    write(&engine, &[(reversed, &[(NOW_MS + 2, 3.0)])]).unwrap();
    flush(&engine).unwrap();
    write(&engine, &[(reversed, &[(NOW_MS + 3, 4.0)])]).unwrap();
    engine.close().unwrap();
    let engine = fixture.open();
    let want = bits(&[(NOW_MS, 1.0), (NOW_MS + 1, 2.0), (NOW_MS + 2, 3.0), (NOW_MS + 3, 4.0)]);
    assert_eq!(all(&engine), [("__name__=m,l=a".to_owned(), want)]);
}

#[test]
fn good_samples_of_a_bad_request_are_stored_and_the_bad_ones_named() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let samples = [(NOW_MS - 16 * 24 * HOUR_MS, 1.0), (NOW_MS, 2.0), (NOW_MS + HOUR_MS, 3.0)];
    let nameless: &[(&str, &str)] = &[("l", "a")];
    let twice: &[(&str, &str)] = &[("__name__", "m"), ("l", "a"), ("l", "b")];
    let outcome = write(
        &engine,
        &[
            (A, &samples),
            (nameless, &[(NOW_MS, 1.0)]),
            (twice, &[(NOW_MS, 1.0), (NOW_MS + 1, 1.0)]),
        ],
    )
    .unwrap();
    assert_eq!(outcome.samples, 1);
    let rejected =
        |code| outcome.rejections.iter().filter(|r| r.code == code).map(|r| r.count).sum::<u64>();
    assert_eq!(rejected(ErrorCode::TooOld), 1);
    assert_eq!(rejected(ErrorCode::TooFarAhead), 1);
    assert_eq!(rejected(ErrorCode::BadData), 3);
    assert_eq!(all(&engine), [("__name__=m,l=a".to_owned(), bits(&[(NOW_MS, 2.0)]))]);
}

#[test]
fn selecting_in_a_range_gives_its_samples_only() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let samples: Vec<(i64, f64)> = (0..1000).map(|i| (NOW_MS - i * 15_000, i as f64)).collect();
    for sample in &samples {
        write(&engine, &[(A, &[*sample])]).unwrap();
    }
    let range = TimeRange::new(NOW_MS - 300_000, NOW_MS - 100_000);
    let by_label = || vec![Matcher::new("l", MatchOp::Regex, "a|x").unwrap()];
    let mut want = bits(&samples);
    want.retain(|(t, _)| range.contains(*t));
    want.reverse();
    assert_eq!(read(&engine, by_label(), range)[0].1, want);
    flush(&engine).unwrap();
    assert_eq!(read(&engine, by_label(), range)[0].1, want);
    assert!(
        read(&engine, vec![Matcher::new("l", MatchOp::NotEqual, "a").unwrap()], range).is_empty()
    );
}

#[test]
fn a_second_engine_on_the_directory_is_refused() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    let again = Engine::open(Options::new(fixture.path()));
    assert_eq!(again.err().map(|e| e.code()), Some(ErrorCode::ReadOnly));
    engine.close().unwrap();
    assert!(Engine::open(Options::new(fixture.path())).is_ok());
}

#[test]
fn series_that_ended_leave_the_head_and_stay_readable() {
    let fixture = Fixture::new();
    let engine = fixture.open();
    write(&engine, &[(A, &[(NOW_MS, 1.0)])]).unwrap();
    flush(&engine).unwrap();
    let head_series = || engine.stats().iter().find(|(n, _)| *n == "headSeries").unwrap().1;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while head_series() > 0.0 {
        assert!(std::time::Instant::now() < deadline, "the series is still in the head");
        std::thread::yield_now();
    }
    write(&engine, &[(B, &[(NOW_MS, 2.0)])]).unwrap();
    write(&engine, &[(A, &[(NOW_MS + 1, 3.0)])]).unwrap();
    let want = vec![
        ("__name__=m,l=a".to_owned(), bits(&[(NOW_MS, 1.0), (NOW_MS + 1, 3.0)])),
        ("__name__=m,l=b".to_owned(), bits(&[(NOW_MS, 2.0)])),
    ];
    assert_eq!(all(&engine), want);
    engine.close().unwrap();
    assert_eq!(all(&fixture.open()), want);
}
