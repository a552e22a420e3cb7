//! The head at a million series: 100 metrics of 10,000 hosts, 9 labels of about 200 bytes, written
//! as agents do, 2,000 samples a request.
//!
//! `cargo bench -p metricstor-engine --bench head [-- SERIES]`. Prints, after some scrapes, the
//! bytes a series that the allocator gave out, those that are resident, and the time a sample took.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a report of measurements")]

#[path = "../tests/support/allocated.rs"]
mod allocated;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use allocated::allocated;
use metricstor_engine::head::Head;
use metricstor_engine::head::append::Prepared;
use metricstor_engine::labels::Labels;
use metricstor_engine::options::WriteLimits;
use metricstor_engine::refs::TenantId;
use metricstor_engine::retention::RetentionPolicy;
use metricstor_engine::sample::Sample;
use metricstor_engine::wire::{WireBatch, WireSeries};

const METRICS: u32 = 100;
const BATCH: usize = 2000;
const START_MS: i64 = 1_790_000_000_000;
const REPORTS: [u32; 4] = [1, 2, 8, 20];

fn labels(series: u32) -> Labels {
    let (host, metric) = (series / METRICS, series % METRICS);
    Labels::from_pairs([
        ("__name__", &*format!("node_subsystem_{metric:03}_operations_total")),
        ("cluster", if host % 3 == 0 { "production-a" } else { "production-b" }),
        ("env", "production"),
        ("instance", &format!("host-{host:05}.eu-{}.example.com:9100", host % 7)),
        ("job", "integrations/node_exporter"),
        ("mode", &format!("mode-{}", metric % 8)),
        ("pod", &format!("node-exporter-{:08x}", host.wrapping_mul(0x9E37_79B9))),
        ("team", &format!("team-of-{}", host % 50)),
        ("zone", &format!("eu-central-{}", host % 15)),
    ])
    .unwrap()
}

/// Counters with integer steps, gauges with two decimals, constants: a third each.
fn value(series: u32, scrape: u32) -> f64 {
    let step = (series ^ scrape.wrapping_mul(0x9E37_79B9)).wrapping_mul(0x85EB_CA6B) >> 20;
    match series % 3 {
        0 => f64::from(series % 1000 + scrape * 20 + step % 40),
        1 => f64::from(step) / 100.0,
        _ => 1.0,
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn main() {
    let series: u32 = std::env::args().filter_map(|a| a.parse().ok()).next().unwrap_or(1_000_000);
    let (empty, resident) = (allocated(), resident_bytes());
    let head =
        Head::new([7; 32], WriteLimits::default(), Arc::new(RetentionPolicy::uniform(i64::MAX)));
    println!("scrapes  allocated  resident  index  ns a sample   (bytes a series)");
    for scrape in 0..REPORTS[REPORTS.len() - 1] {
        let spent = write_scrape(&head, series, scrape);
        if REPORTS.contains(&(scrape + 1)) {
            let a_series = |bytes: usize| bytes as f64 / f64::from(series);
            let index = head.index(TenantId(0)).map_or(0, |index| index.read().bytes());
            println!(
                "{:7}  {:9.1}  {:8.1}  {:5.1}  {:11.1}",
                scrape + 1,
                a_series(allocated() - empty),
                a_series(resident_bytes().saturating_sub(resident)),
                a_series(index),
                spent.as_nanos() as f64 / f64::from(series)
            );
        }
    }
}

/// Writes one sample of every series; requests are prepared on this thread and applied on another,
/// as the log does. Returns the time that both took.
fn write_scrape(head: &Head, series: u32, scrape: u32) -> Duration {
    let t = START_MS + i64::from(scrape) * 15_000;
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel::<Prepared>(4);
        let log = scope.spawn(move || {
            let mut spent = Duration::ZERO;
            for prepared in receive {
                let begun = Instant::now();
                head.apply(prepared);
                spent += begun.elapsed();
            }
            spent
        });
        let mut spent = Duration::ZERO;
        for first in (0..series).step_by(BATCH) {
            let of_batch: Vec<Labels> =
                (first..series.min(first + BATCH as u32)).map(labels).collect();
            let samples = (first..).take(of_batch.len());
            let wire = |(labels, samples_end): (&'_ Labels, u32)| WireSeries {
                labels: Cow::Owned(labels.as_bytes().to_vec()),
                samples_end,
                histograms_end: 0,
                exemplars_end: 0,
            };
            let batch = WireBatch {
                series: of_batch.iter().zip(1..).map(wire).collect(),
                samples: samples.map(|s| Sample { t, v: value(s, scrape) }).collect(),
                ..WireBatch::default()
            };
            let begun = Instant::now();
            let prepared = head.prepare(&batch, TenantId(0), head.generation(), t).unwrap();
            spent += begun.elapsed();
            send.send(prepared).unwrap();
        }
        drop(send);
        spent + log.join().unwrap()
    })
}
