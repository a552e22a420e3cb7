//! A fleet whose series are replaced as hours pass, in an engine whose clock is moved by hand.
//! For a test and a bench.
#![allow(dead_code, reason = "each user takes a part")]

use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::options::{Options, SyncPolicy};
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::source::Scope;

use crate::support::{self, checkpoint, compact, stat, wait_until, write};

const HOUR_MS: i64 = 3_600_000;
/// Aligned to the windows of blocks.
const START_MS: i64 = 1_820 * 512 * HOUR_MS;
const REQUEST_SERIES: usize = 500;
const METRICS: usize = 100;

/// An engine and those who write to it.
pub struct Churn {
    engine: Engine,
    clock: Arc<ManualClock>,
    now_ms: i64,
    hour: usize,
    active: usize,
    /// How often each tenth of the fleet was replaced.
    births: [usize; 10],
    dir: tempfile::TempDir,
}

impl Churn {
    /// A fleet of `active` series in an empty engine.
    pub fn new(active: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START_MS));
        let mut options = Options::new(dir.path());
        options.sync = SyncPolicy::Off;
        // All in its place below: so every run does the same.
        options.flush_slack_ms = i64::MAX;
        options.checkpoint_interval_ms = i64::MAX;
        options.compact_cpu_share = 0.0;
        let engine = Engine::open_with(options, Arc::new(OsDisk), clock.clone()).unwrap();
        Self { engine, clock, now_ms: START_MS, hour: 0, active, births: [0; 10], dir }
    }

    /// Has all but the first `active` series end.
    pub fn shrink_to(&mut self, active: usize) {
        self.active = active;
    }

    /// Lets hours pass, with so many scrapes in each. Each hour begins with a tenth of the series
    /// replaced and ends with a checkpoint; every other one with a flush, while which one more
    /// scrape is written, and with a merge.
    pub fn hours(&mut self, hours: usize, scrapes: i64) {
        for _ in 0..hours {
            self.births[self.hour % 10] += usize::from(self.hour > 0);
            for _ in 0..scrapes {
                self.scrape(HOUR_MS / scrapes);
            }
            checkpoint(&self.engine).unwrap();
            self.hour += 1;
            if self.hour.is_multiple_of(2) {
                self.flush();
                compact(&self.engine).unwrap();
            }
        }
    }

    /// A flush beside which writes go on: the generation leaves the head when nobody reads it.
    fn flush(&mut self) {
        let reader = self.engine.session(Scope::default(), Cancel::default());
        support::flush(&self.engine).unwrap();
        self.scrape(1_000);
        drop(reader);
        wait_until("the series that ended are gone", || self.series() == self.active);
        // The first is answered before the thread goes on with its other work, the second behind.
        checkpoint(&self.engine).unwrap();
        checkpoint(&self.engine).unwrap();
    }

    fn scrape(&mut self, later_ms: i64) {
        self.now_ms += later_ms;
        self.clock.set(self.now_ms);
        for first in (0..self.active).step_by(REQUEST_SERIES) {
            self.request(first..self.active.min(first + REQUEST_SERIES));
        }
    }

    fn request(&self, series: std::ops::Range<usize>) {
        let text: Vec<[String; 6]> = series.clone().map(|n| self.texts(n)).collect();
        let labels: Vec<[(&str, &str); 9]> = text.iter().map(labels).collect();
        let samples: Vec<[(i64, f64); 1]> =
            series.map(|n| [(self.now_ms, (n * 7 % 1000) as f64 + self.hour as f64)]).collect();
        let all: Vec<support::Series<'_>> =
            labels.iter().zip(&samples).map(|(l, s)| (&l[..], &s[..])).collect();
        write(&self.engine, &all).unwrap();
    }

    /// The values that differ: those of one pod change when it is replaced.
    fn texts(&self, series: usize) -> [String; 6] {
        let (host, metric) = (series / METRICS, series % METRICS);
        let birth = self.births[host % 10];
        [
            format!("node_subsystem_{metric:03}_operations_total"),
            format!("10.{birth}.{}.{}:9100", host / 250, host % 250),
            format!("mode-{}", metric % 8),
            format!("node-exporter-{:08x}-{birth}", host.wrapping_mul(0x9E37_79B9) as u32),
            format!("team-of-{}", host % 50),
            format!("eu-central-{}", host % 15),
        ]
    }

    /// Series in the head.
    pub fn series(&self) -> usize {
        stat(&self.engine, "headSeries") as usize
    }

    /// Series that were ever in it.
    pub fn created(&self) -> usize {
        stat(&self.engine, "seriesCreated") as usize
    }

    /// Bytes of the blocks' indexes on disk.
    pub fn index_bytes(&self) -> usize {
        let blocks = std::fs::read_dir(self.dir.path().join("blocks")).unwrap();
        let index = |block: std::io::Result<std::fs::DirEntry>| {
            std::fs::metadata(block.unwrap().path().join("index")).map_or(0, |file| file.len())
        };
        blocks.map(index).sum::<u64>() as usize
    }

    /// What the engine says its head takes.
    pub fn head_bytes(&self) -> usize {
        self.engine.head_bytes() as usize
    }
}

fn labels(text: &[String; 6]) -> [(&str, &str); 9] {
    let [name, instance, mode, pod, team, zone] = text;
    [
        ("__name__", name),
        ("cluster", "production-a"),
        ("env", "production"),
        ("instance", instance),
        ("job", "integrations/node_exporter"),
        ("mode", mode),
        ("pod", pod),
        ("team", team),
        ("zone", zone),
    ]
}
