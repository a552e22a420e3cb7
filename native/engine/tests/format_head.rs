//! Checkpoints and chunk files stay readable: the committed ones of every format version are read,
//! and the newest version is written again and compared byte for byte.
//!
//! When a format changes, its version does too, a new fixture is written with
//! `METRICSTOR_WRITE_FIXTURE=1`, and the old one stays.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::head::Head;
use metricstor_engine::head::append::Addressed;
use metricstor_engine::head::checkpoint::{Checkpoint, CheckpointWriter, Info, SLICE_SLOTS};
use metricstor_engine::head::histograms;
use metricstor_engine::head::offload::offload;
use metricstor_engine::histogram::{Counts, Histogram, Layout, Tally};
use metricstor_engine::labels::Labels;
use metricstor_engine::options::WriteLimits;
use metricstor_engine::refs::{Generation, Position, SHARD_COUNT, SeriesRef, TenantId};
use metricstor_engine::retention::RetentionPolicy;
use metricstor_engine::sample::{STALE_BITS, TimeRange};

const FILES: [&str; 2] = ["checkpoint", "00000000000000000001.chunks"];

type Samples = Vec<(i64, u64, Option<Arc<Histogram>>)>;
type Content = BTreeMap<(u32, String), Vec<Samples>>;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/head-v1")
}

fn head(seed: u8) -> Head {
    Head::new([seed; 32], WriteLimits::default(), Arc::new(RetentionPolicy::uniform(i64::MAX)))
}

fn a_histogram(n: u64) -> Arc<Histogram> {
    let counts = match n / 100 {
        0 => Counts::Integer(Tally { count: n, zero: n, ..Tally::default() }),
        _ => Counts::Float(Tally { count: n as f64, zero: n as f64, ..Tally::default() }),
    };
    let layout = Arc::new(Layout { zero_threshold: 0.5, ..Layout::default() });
    Arc::new(Histogram { layout, counts, ..Histogram::stale() })
}

fn add(head: &Head, series: SeriesRef, samples: impl IntoIterator<Item = (i64, u64)>) {
    let samples: Vec<Addressed> = samples
        .into_iter()
        .map(|(t, bits)| Addressed { series, t, v: f64::from_bits(bits) })
        .collect();
    head.restore_samples(&samples.into());
}

/// Series that touch every part of the format: full chunks in a file and inline, open ones, late
/// samples in chunks and not, two tenants, and values that only their bits tell apart.
fn fill(head: &Head, dir: Option<&Path>) {
    let series: Vec<SeriesRef> = (0..9u32)
        .map(|i| {
            let host = format!("host-{i}");
            let labels = Labels::from_pairs([("__name__", "ключ"), ("host", &*host)]).unwrap();
            let (series, new) = head.restore_series(TenantId(i / 6), labels).unwrap();
            head.index_restored(&new.into_iter().collect::<Vec<_>>());
            series
        })
        .collect();
    let value = |n: i64| (n as f64 / 4.0).to_bits();
    for (i, r) in (0i64..).zip(&series) {
        add(head, *r, (0..i * 40).map(|n| (n * 15_000 - 100_000, value(n * i))));
        add(head, *r, (0..i * 30).map(|n| (n * 7_001 - 150_000, value(n))));
    }
    if let Some(dir) = dir {
        assert!(offload(head, &OsDisk, dir, &mut 1).unwrap() > 0);
    }
    for (i, r) in (0i64..).zip(&series) {
        add(head, *r, (0..i * 20).map(|n| (10_000_000 + n * 1_000, value(-n))));
    }
    let histograms: Vec<histograms::Addressed> = (1..150u64)
        .map(|n| (if n % 10 == 0 { n - 9 } else { n + 3 }, n))
        .map(|(t, n)| histograms::Addressed {
            series: series[4],
            at: (90_000_000 + t as i64).into(),
            h: a_histogram(n),
        })
        .collect();
    head.restore_histograms(&histograms);
    add(head, series[4], [(90_000_002, 7)]);
    let special = [STALE_BITS, (-0.0f64).to_bits(), f64::INFINITY.to_bits(), 1];
    add(head, series[0], special.iter().zip(0..).map(|(bits, t)| (t, *bits)));
}

fn write(dir: &Path) {
    let head = head(1);
    fill(&head, Some(dir));
    let mut writer = CheckpointWriter::create(&head, &OsDisk, dir).unwrap();
    for shard in 0..SHARD_COUNT {
        for first in (0..).step_by(SLICE_SLOTS) {
            let Some(captured) = head.capture(shard, first) else { break };
            writer.add(Some(&captured), Position(4096 + shard as u64)).unwrap();
        }
    }
    writer.publish(info()).unwrap();
}

fn info() -> Info {
    Info {
        from: Position(77),
        replay_from: Position(0),
        covered_to: Position(0),
        newest: 10_179_000,
        first_newest: -1,
        samples: 2522,
    }
}

/// What the head holds of each series, run by run.
fn content(
    head: &Head,
    series: impl IntoIterator<Item = (TenantId, SeriesRef, String)>,
) -> Content {
    let mut content = Content::new();
    for (tenant, r, labels) in series {
        let mut runs = Vec::new();
        let all = TimeRange::ALL;
        head.runs(r, Generation(0), Generation(9), all).decode(all, &mut runs).unwrap();
        let bits = runs.iter().map(|run| {
            let all = run.timestamps.iter().zip(&run.values).enumerate();
            let histogram = |i: usize| run.histograms.get(i).cloned().flatten();
            all.map(|(i, (t, v))| (*t, v.to_bits(), histogram(i))).collect()
        });
        content.insert((tenant.0, labels), bits.collect());
    }
    content
}

#[test]
fn a_checkpoint_of_version_1_is_read() {
    let mut checkpoint = Checkpoint::open(&OsDisk, &fixture()).unwrap().unwrap();
    checkpoint.open_files(&OsDisk, &fixture()).unwrap();
    assert_eq!(checkpoint.files(), [1]);
    let got = checkpoint.info();
    let positions = Position(4096)..=Position(4096 + SHARD_COUNT as u64 - 1);
    assert!(positions.contains(&got.replay_from) && positions.contains(&got.covered_to));
    let Info { replay_from, covered_to, .. } = got;
    assert_eq!(got, Info { replay_from, covered_to, ..info() });
    let (restored, mut found) = (head(2), Vec::new());
    for slice in 0..checkpoint.slices() {
        checkpoint
            .read_slice(slice, &mut |series| {
                let (tenant, labels) = (series.tenant, series.labels.to_string());
                found.push((tenant, restored.restore_checkpointed(series)?.0, labels));
                Ok(())
            })
            .unwrap();
    }
    let got = content(&restored, found);
    let written = head(3);
    fill(&written, None);
    let series = (0..9u32).map(|i| {
        let host = format!("host-{i}");
        let labels = Labels::from_pairs([("__name__", "ключ"), ("host", &*host)]).unwrap();
        let text = labels.to_string();
        let tenant = TenantId(i / 6);
        (tenant, written.restore_series(tenant, labels).unwrap().0, text)
    });
    let want = content(&written, series.collect::<Vec<_>>());
    assert_eq!(got.len(), 9);
    assert_eq!(got, want);
}

#[test]
fn the_same_head_is_written_as_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    for name in FILES {
        let read = |dir: &Path| std::fs::read(dir.join(name)).unwrap();
        let same = read(dir.path()) == read(&fixture());
        assert!(same, "{name} differs from the committed fixture of its version");
    }
}

/// After a change of format, `METRICSTOR_WRITE_FIXTURE=1` makes this write the newest fixture.
#[test]
fn the_fixture_is_written_only_when_asked_for() {
    if std::env::var_os("METRICSTOR_WRITE_FIXTURE").is_some() {
        std::fs::create_dir_all(fixture()).unwrap();
        for name in FILES {
            let _ = std::fs::remove_file(fixture().join(name));
        }
        write(&fixture());
    }
    FILES.iter().for_each(|name| assert!(fixture().join(name).is_file()));
}
