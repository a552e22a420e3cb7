//! Starting again after a kill: how long an engine takes to open a directory whose writer died.
//!
//! `cargo bench -p metricstor-engine --bench start [-- SERIES SCRAPES]`; 100,000 series with 100
//! samples each unless said otherwise. Written 10 scrapes a request as `bench/restart.ts` does.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, or stops")]

#[path = "support/fleet.rs"]
mod fleet;
#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use metricstor_engine::engine::Engine;
use metricstor_engine::options::{Options, SyncPolicy};
use support::{stat, write};

/// Tells the program to write and die.
const WRITER: &str = "METRICSTOR_BENCH_WRITER";
const SCRAPES_A_REQUEST: usize = 10;
const REQUEST_SERIES: usize = 200;

fn options(dir: &Path) -> Options {
    let mut options = Options::new(dir);
    options.sync = SyncPolicy::Off;
    options
}

/// Writes all samples, and ends without a word to the engine.
fn write_and_die(dir: &Path, series: usize, scrapes: usize) -> ! {
    let engine = Engine::open(options(dir)).unwrap();
    let mut fleet = fleet::fleet(series, scrapes);
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    let later = now_ms - scrapes as i64 * 15_000 - fleet[0].1[0];
    fleet.iter_mut().for_each(|(_, times, _)| times.iter_mut().for_each(|t| *t += later));
    for first in (0..scrapes).step_by(SCRAPES_A_REQUEST) {
        let scrapes = first..scrapes.min(first + SCRAPES_A_REQUEST);
        for part in fleet.chunks(REQUEST_SERIES) {
            let labels: Vec<Vec<(&str, &str)>> =
                part.iter().map(|(labels, ..)| labels.iter().collect()).collect();
            let samples: Vec<Vec<(i64, f64)>> = part
                .iter()
                .map(|(_, times, values)| {
                    scrapes.clone().map(|at| (times[at], values[at])).collect()
                })
                .collect();
            let all: Vec<support::Series<'_>> =
                labels.iter().zip(&samples).map(|(l, s)| (&l[..], &s[..])).collect();
            write(&engine, &all).unwrap();
        }
    }
    println!(
        "{:.1} MB of log in place, {} checkpoints",
        stat(&engine, "walBytes") / 1e6,
        stat(&engine, "checkpoints")
    );
    std::process::exit(0)
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|a| a.parse().ok()).collect();
    let (series, scrapes) = match numbers[..] {
        [series, scrapes, ..] => (series, scrapes),
        _ => (100_000, 100),
    };
    if let Some(dir) = std::env::var_os(WRITER) {
        write_and_die(Path::new(&dir), series, scrapes);
    }
    let dir = tempfile::tempdir().unwrap();
    let written = Command::new(std::env::current_exe().unwrap())
        .args([series.to_string(), scrapes.to_string()])
        .env(WRITER, dir.path())
        .status();
    assert!(written.unwrap().success());
    let begun = Instant::now();
    let engine = Engine::open(options(dir.path())).unwrap();
    let took = begun.elapsed().as_secs_f64();
    let held = stat(&engine, "headSeries");
    println!("{series} series, {} samples: {took:.2} s, {held} series", series * scrapes);
}
