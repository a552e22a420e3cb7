//! Where an engine lives on the real disk: what stays when it is closed and opened again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::options::Options;
use metricstor_engine::sample::STALE_BITS;

use super::write;

/// What the clock of a [`Fixture`] says.
pub const NOW_MS: i64 = 1_790_000_000_000;

const MINUTE_MS: i64 = 60_000;

/// A directory that is removed at the end, and a clock that stands still.
pub struct Fixture {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Fixture {
    /// An empty directory.
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), clock: Arc::new(ManualClock::new(NOW_MS)) }
    }

    /// The directory that engines are opened in.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// An engine with the options that nobody chose.
    pub fn open(&self) -> Engine {
        self.open_with(Options::new(self.path()))
    }

    /// An engine with other options.
    pub fn open_with(&self, options: Options) -> Engine {
        Engine::open_with(options, Arc::new(OsDisk), self.clock.clone()).unwrap()
    }
}

/// A directory for several stores and what leaves them, each under its name.
pub struct Dirs(tempfile::TempDir);

impl Dirs {
    /// An empty directory.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of `name`, which is not created.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// An engine on some disk, with the options that nobody chose.
pub fn open(disk: Arc<dyn Disk>, dir: &Path) -> Result<Engine> {
    Engine::open_with(Options::new(dir), disk, Arc::new(ManualClock::new(NOW_MS)))
}

/// An engine on the real disk.
pub fn open_os(dir: &Path) -> Engine {
    open(Arc::new(OsDisk), dir).unwrap()
}

/// Writes `count` series of 300 samples, among them every kind of special value.
pub fn fill(engine: &Engine, count: usize) {
    let special = [f64::NAN, f64::from_bits(STALE_BITS), -0.0, f64::INFINITY, f64::MIN_POSITIVE];
    for series in 0..count {
        let number = series.to_string();
        let labels = [("__name__", "m"), ("n", &*number)];
        let samples: Vec<(i64, f64)> = (0..300)
            .map(|i| (NOW_MS - (300 - i) * MINUTE_MS, special[(i % 7).min(4) as usize]))
            .collect();
        assert_eq!(write(engine, &[(&labels, &samples)]).unwrap().samples, 300);
    }
}

/// All files of a directory, those of the directories in it included.
pub fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files
}
