//! Writes blocks for benches.

use std::path::Path;
use std::sync::Arc;

use metricstor_engine::block::meta::{Compaction, FlushPart, LogRange, MetaSeed};
use metricstor_engine::block::{Block, BlockWriter};
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::labels::Labels;
use metricstor_engine::refs::{Position, TenantId};
use metricstor_engine::sample::Window;
use ulid::Ulid;

/// Labels, times and values of a series.
pub type Series = (Labels, Vec<i64>, Vec<f64>);

/// How a block is written.
#[derive(Clone, Copy)]
pub enum Kind {
    /// As a flush writes it.
    Recent,
    /// As a compaction writes it.
    Cold,
}

/// Writes `series`, which ascend by labels, into a block of its own over `window`.
pub fn write(dir: &Path, ulid: Ulid, kind: Kind, window: Window, series: &[Series]) -> Arc<Block> {
    let mut writer = BlockWriter::create(Arc::new(OsDisk), dir, ulid).unwrap();
    if matches!(kind, Kind::Cold) {
        writer = writer.cold(window);
    }
    for (labels, timestamps, values) in series {
        writer.add_series(labels, timestamps, values).unwrap();
    }
    let seed = MetaSeed {
        tenant: TenantId(0),
        window,
        log: LogRange { source: "bench".to_owned(), from: Position(0), to: Position(1) },
        flush: FlushPart { part: 0, parts: 1 },
        compaction: Compaction { level: 1, sources: Vec::new() },
    };
    let ulid = writer.finish(seed).unwrap().publish().unwrap();
    Block::open(Arc::new(OsDisk), &dir.join(ulid.to_string())).unwrap()
}
