//! Memory over a day in which a tenth of 100,000 series is replaced each hour: what is allocated
//! and resident, and how large the indexes of the blocks are, after each hour and after most series
//! have ended; and the most that was resident at any moment.
//!
//! `cargo bench -p metricstor-engine --bench churn [-- SERIES [SCRAPES_AN_HOUR]]`, a few minutes.
//! Fails when memory does not come back. With another allocator: `LD_PRELOAD=libmimalloc.so …`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, or stops")]

#[path = "../tests/support/allocated.rs"]
mod allocated;
#[path = "../tests/support/churn.rs"]
mod churn;
#[path = "../tests/support/mod.rs"]
mod support;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use allocated::allocated;
use churn::Churn;

/// How much more may be allocated after any flush than after the one at four hours.
const GROWTH_MAX: f64 = 1.1;
/// What may be allocated and resident when a twentieth of the series is left, as parts of what was
/// at the end of the day. What is left lies on pages that it shared with what is gone.
const ALLOCATED_MAX: f64 = 0.25;
const RESIDENT_MAX: f64 = 0.75;

/// Memory that is no file's.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

fn day(series: usize, scrapes: i64, most: &AtomicUsize) {
    let mut churn = Churn::new(series);
    println!(
        "hour  series ever  in the head  allocated MB  resident MB  bytes a series  \
         indexes of blocks MB"
    );
    let line = |churn: &Churn, hour: &str, active: usize| {
        println!(
            "{hour:>4}  {:11}  {:11}  {:12.1}  {:11.1}  {:14.0}  {:20.1}",
            churn.created(),
            churn.series(),
            megabytes(allocated()),
            megabytes(resident()),
            allocated() as f64 / active as f64,
            megabytes(churn.index_bytes()),
        );
    };
    let mut begun = None;
    for hour in 1..=24 {
        churn.hours(1, scrapes);
        line(&churn, &hour.to_string(), series);
        if hour >= 4 && hour % 2 == 0 {
            let now = allocated() as f64;
            let begun = *begun.get_or_insert(now);
            assert!(now < begun * GROWTH_MAX, "{now} after {hour} hours, {begun} after four");
        }
    }
    let full = [allocated(), resident()];
    churn.shrink_to(series / 20);
    churn.hours(2, scrapes);
    line(&churn, "end", series / 20);
    let left = [allocated(), resident()];
    println!("at most {:.1} MB resident", megabytes(most.load(Ordering::Relaxed)));
    for (k, part) in [ALLOCATED_MAX, RESIDENT_MAX].into_iter().enumerate() {
        assert!((left[k] as f64) < full[k] as f64 * part, "{left:?} bytes are left of {full:?}");
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let series = numbers.first().copied().unwrap_or(100_000);
    let scrapes = numbers.get(1).map_or(12, |n| *n as i64);
    let (most, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let day = std::panic::catch_unwind(|| day(series, scrapes, &most));
        ended.store(true, Ordering::Relaxed);
        if let Err(cause) = day {
            std::panic::resume_unwind(cause);
        }
    });
}
