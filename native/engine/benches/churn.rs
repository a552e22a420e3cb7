//! Memory over a day in which a tenth of 100,000 series is replaced each hour: what is allocated
//! and what is resident after each flush, and after most series have ended.
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

use allocated::allocated;
use churn::Churn;

/// How much larger the head may be after a day than after four hours.
const GROWTH_MAX: f64 = 1.1;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let series = numbers.first().copied().unwrap_or(100_000);
    let scrapes = numbers.get(1).map_or(12, |n| *n as i64);
    let mut churn = Churn::new(series);
    println!("hours  series ever  allocated  resident  (bytes a series that is active)");
    let mut begun = None;
    for hours in (2..=24).step_by(2) {
        churn.hours(2, scrapes);
        let a_series = |bytes: usize| bytes as f64 / series as f64;
        let (now, resident) = (a_series(allocated()), a_series(resident()));
        println!("{hours:5}  {:11}  {now:9.1}  {resident:8.1}", churn.created());
        if hours >= 4 {
            let begun = *begun.get_or_insert(now);
            assert!(now < begun * GROWTH_MAX, "{now} after {hours} hours, {begun} after four");
        }
    }
    churn.shrink_to(series / 20);
    churn.hours(2, scrapes);
    let (allocated, resident) = (allocated() as f64 / 1e6, resident() as f64 / 1e6);
    println!("a twentieth left: {allocated:.1} MB allocated, {resident:.1} MB resident");
}
