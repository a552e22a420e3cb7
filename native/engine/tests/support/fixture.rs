//! Where an engine lives on the real disk: what stays when it is closed and opened again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::engine::Engine;
use metricstor_engine::options::Options;

/// What the clock of a [`Fixture`] says.
pub const NOW_MS: i64 = 1_790_000_000_000;

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
