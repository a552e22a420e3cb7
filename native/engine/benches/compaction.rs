//! What merging blocks costs: how often a byte is written and how much disk is taken meanwhile,
//! over a simulated month; and how long writes take beside it.
//!
//! `cargo bench -p metricstor-engine --bench compaction`, some minutes

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, or stops")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::options::{Options, SyncPolicy};
use support::{flush, stat, write};

const HOUR_MS: i64 = 3_600_000;
const STEP_MS: i64 = 15_000;
/// Aligned to every window of the ladder that a month reaches.
const START_MS: i64 = 1_820 * 512 * HOUR_MS;

/// A fleet: constant, counting and varying series in equal parts.
struct Fleet {
    names: Vec<String>,
    noise: u64,
}

impl Fleet {
    fn new(series: usize) -> Self {
        Self { names: (0..series).map(|n| format!("instance-{n:06}:9100")).collect(), noise: 1 }
    }

    fn noise(&mut self) -> u64 {
        self.noise =
            self.noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        self.noise >> 33
    }

    fn value(&mut self, series: usize, t: i64) -> f64 {
        let steps = (t - START_MS) / STEP_MS;
        match series % 3 {
            0 => series as f64,
            1 => (steps * 7 + (self.noise() % 20) as i64) as f64,
            _ => (self.noise() % 10_000) as f64 / 100.0,
        }
    }

    /// One request: for some series their samples from `start` on.
    fn write(&mut self, engine: &Engine, series: std::ops::Range<usize>, start: i64, steps: i64) {
        let samples: Vec<Vec<(i64, f64)>> = series
            .clone()
            .map(|n| {
                let times = (0..steps).map(|i| start + i * STEP_MS);
                times.map(|t| (t, self.value(n, t))).collect()
            })
            .collect();
        let labels: Vec<[(&str, &str); 3]> = series
            .map(|n| [("__name__", "load"), ("instance", &*self.names[n]), ("job", "node")])
            .collect();
        let request: Vec<support::Series<'_>> =
            labels.iter().zip(&samples).map(|(l, s)| (&l[..], &s[..])).collect();
        write(engine, &request).unwrap();
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_below(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Waits until nothing has been merged for some looks in a row.
fn settle(engine: &Engine) {
    let (mut quiet, mut known) = (0, -1.0);
    while quiet < 4 {
        std::thread::sleep(Duration::from_millis(5));
        let done = stat(engine, "compactions");
        quiet =
            if done == known && stat(engine, "compactionBytesNow") == 0.0 { quiet + 1 } else { 0 };
        known = done;
    }
}

/// A month of 300 series every 15 s; with `late`, each hour brings a tenth of the series again for
/// an hour up to five days back.
fn month(late: bool) {
    const SERIES: usize = 300;
    const HOURS: i64 = 30 * 24;
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_MS));
    let mut options = Options::new(dir.path());
    options.sync = SyncPolicy::Off;
    options.retention_ms = 365 * 24 * HOUR_MS;
    (options.compact_cpu_share, options.compact_interval_ms) = (1.0, 5);
    let engine = Engine::open_with(options, Arc::new(OsDisk), clock.clone()).unwrap();
    let (peak, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let watch = {
        let (peak, ended, blocks) = (peak.clone(), ended.clone(), dir.path().join("blocks"));
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                peak.fetch_max(bytes_below(&blocks), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        })
    };
    let (mut fleet, mut beside, mut most_blocks) = (Fleet::new(SERIES), 0u64, 0.0f64);
    for hour in 0..HOURS {
        let start = START_MS + hour * HOUR_MS;
        clock.set(start + HOUR_MS);
        for part in 0..10 {
            fleet.write(&engine, part * SERIES / 10..(part + 1) * SERIES / 10, start, 240);
        }
        if late && hour > 0 {
            let back = (fleet.noise() % 120).min(hour as u64) as i64;
            fleet.write(&engine, 0..SERIES / 10, start - back * HOUR_MS, 240);
        }
        if hour % 2 == 1 {
            peak.store(0, Ordering::Relaxed);
            flush(&engine).unwrap();
            settle(&engine);
            let held = stat(&engine, "blockBytes") as u64;
            beside = beside.max(peak.load(Ordering::Relaxed).saturating_sub(held));
            most_blocks = most_blocks.max(stat(&engine, "blocks"));
        }
    }
    ended.store(true, Ordering::Relaxed);
    watch.join().unwrap();
    let (flushed, written) = (stat(&engine, "flushBytes"), stat(&engine, "compactionBytesWritten"));
    let held = stat(&engine, "blockBytes");
    println!(
        "month, {}: {:.1} MB flushed, {:.1} MB merged, written {:.2} times; {} blocks at the end, \
         {most_blocks} at most; {:.1} MB held, {:.1} MB beside it at most ({:.0} %)",
        if late { "with late samples" } else { "in order" },
        flushed / 1e6,
        written / 1e6,
        1.0 + written / flushed,
        stat(&engine, "blocks"),
        held / 1e6,
        beside as f64 / 1e6,
        100.0 * beside as f64 / held,
    );
}

fn quantiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |q: f64| times[((times.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
    let count = times.len();
    format!("{count} writes, p50 {:.2} ms, p99 {:.2} ms, most {:.2} ms", at(0.5), at(0.99), at(1.0))
}

/// Writes of 1,000 samples, one after the other, without and with a merge beside them.
fn latencies() {
    const SERIES: usize = 20_000;
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(START_MS));
    let open = |share: f64, sync: SyncPolicy| {
        let mut options = Options::new(dir.path());
        (options.sync, options.compact_cpu_share, options.compact_interval_ms) = (sync, share, 5);
        Engine::open_with(options, Arc::new(OsDisk), clock.clone()).unwrap()
    };
    let engine = open(0.0, SyncPolicy::Off);
    let mut fleet = Fleet::new(SERIES);
    for window in 0..4 {
        let start = START_MS + window * 2 * HOUR_MS;
        clock.set(start + 2 * HOUR_MS);
        for part in 0..100 {
            fleet.write(&engine, part * SERIES / 100..(part + 1) * SERIES / 100, start, 480);
        }
        flush(&engine).unwrap();
    }
    engine.close().unwrap();
    // The window of the first eight hours is settled a block range past its end, and no wider one
    // is: their four blocks are merged, and nothing else.
    let mut now_ms = START_MS + 10 * HOUR_MS;
    for (what, share) in [("alone", 0.0), ("beside a merge at a quarter", 0.25)] {
        let engine = open(share, SyncPolicy::Always);
        let started = Instant::now();
        let mut times = Vec::new();
        loop {
            now_ms += STEP_MS;
            clock.set(now_ms);
            let at = Instant::now();
            fleet.write(&engine, 0..1000, now_ms, 1);
            times.push(at.elapsed());
            let merged = share == 0.0 || stat(&engine, "compactions") > 0.0;
            if started.elapsed() > Duration::from_secs(3) && merged {
                break;
            }
        }
        println!("{what}, {:.1} s: {}", started.elapsed().as_secs_f64(), quantiles(times));
        engine.close().unwrap();
    }
}

fn main() {
    month(false);
    month(true);
    latencies();
}
