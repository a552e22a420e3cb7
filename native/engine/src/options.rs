//! Every option and every limit of the engine, in one place, each with unit and reason.

use std::path::PathBuf;

use crate::sync::thread;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After the log's fsync. Nothing acknowledged is lost, whatever happens. The default.
    Always,
    /// After the log's write; an fsync follows at this interval. A power loss may take that long.
    IntervalMs(u64),
    /// After the log's write; the operating system decides when it reaches the disk. A killed
    /// process loses nothing, a power loss may.
    Off,
}

/// Limits on what a write may bring. Zero means "no limit" where the field says so.
#[derive(Debug, Clone, Copy)]
pub struct WriteLimits {
    /// Decoded request size in bytes; checked before unpacking where the format allows.
    pub max_request_bytes: usize,
    /// How far ahead of the clock a sample may be, in milliseconds.
    pub max_future_ms: i64,
    /// Refuse NaN (other than the stale marker) and infinities.
    pub reject_non_finite: bool,
    /// Store the type and unit that remote_write 2.0 says of a series as its labels.
    pub type_and_unit_labels: bool,
    /// Labels per series, the metric name included.
    pub max_labels_per_series: usize,
    /// Bytes of a label name.
    pub max_label_name_bytes: usize,
    /// Bytes of a label value.
    pub max_label_value_bytes: usize,
    /// Series in the head, all tenants together; 0 means no limit.
    pub max_series: usize,
    /// Exemplars that are kept, the newest, all tenants together; 0 keeps none.
    pub max_exemplars: usize,
    /// Metric families whose metadata is kept, all tenants together; 0 keeps none.
    pub max_metadata: usize,
}

impl Default for WriteLimits {
    fn default() -> Self {
        Self {
            max_request_bytes: 10 << 20,
            max_future_ms: 10 * 60 * 1000,
            reject_non_finite: false,
            type_and_unit_labels: false,
            // Prometheus has no cap; these only keep a broken client from one absurd series.
            max_labels_per_series: 256,
            max_label_name_bytes: 4 << 10,
            max_label_value_bytes: 64 << 10,
            max_series: 0,
            // About 200 bytes each: 20 MB, and Prometheus' own default.
            max_exemplars: 100_000,
            max_metadata: 100_000,
        }
    }
}

/// A condition on a label as text; the operator as PromQL writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatcherOptions {
    /// Label name.
    pub name: String,
    /// `=`, `!=`, `=~` or `!~`.
    pub op: String,
    /// Text or pattern.
    pub value: String,
}

/// Series that are kept for a time of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleOptions {
    /// All must match.
    pub matchers: Vec<MatcherOptions>,
    /// How long their samples are kept, in milliseconds.
    pub keep_ms: i64,
}

/// What is dropped beyond [`Options::retention_ms`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionOptions {
    /// Bytes of blocks and log past which the oldest blocks go; 0 means no limit. The log is then
    /// flushed at a quarter of it, whatever [`Options::wal_max_bytes`] says.
    pub size_bytes: u64,
    /// Rules of which the first that a series satisfies counts in place of `retention_ms`.
    pub rules: Vec<RuleOptions>,
}

/// How an engine is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data directory; created when it does not exist.
    pub dir: PathBuf,
    /// The directory is only read, by an engine that refuses writes: what it has to change there
    /// stays in memory and is gone when it closes. Nothing is flushed or merged unasked.
    pub read_only: bool,
    /// When a write is acknowledged.
    pub sync: SyncPolicy,
    /// Samples older than this are refused and dropped, in milliseconds.
    pub retention_ms: i64,
    /// Retention by size and of some series.
    pub retention: RetentionOptions,
    /// Limits on writes.
    pub write: WriteLimits,
    /// Width of the blocks that recent data is flushed into, in milliseconds. Two hours, as
    /// Prometheus: small enough to keep the head small, large enough for 480 samples a series at
    /// 15 s.
    pub block_range_ms: i64,
    /// A head generation is flushed once its newest sample is this far past the end of its window,
    /// so that stragglers of the old window still land in its block.
    pub flush_slack_ms: i64,
    /// A generation that crossed its window is flushed only when it holds at least this many
    /// samples or is [`Options::flush_min_age_ms`] old: a fast backfill of one series makes tens of
    /// blocks, not thousands.
    pub flush_min_samples: u64,
    /// See [`Options::flush_min_samples`]; wall time in milliseconds.
    pub flush_min_age_ms: i64,
    /// A generation is flushed when its chunks take this many bytes of memory, whatever its window.
    pub head_max_bytes: u64,
    /// A generation is flushed when its log takes this many bytes on disk.
    pub wal_max_bytes: u64,
    /// How often the head is written down, in milliseconds of the clock, so that a start has that
    /// much log to read at most.
    pub checkpoint_interval_ms: i64,
    /// The head is also written down when so many bytes were logged since the last time, or so many
    /// samples that reading them again takes longer: a second or two of replay.
    pub checkpoint_log_bytes: u64,
    /// Size in bytes at which a log segment is full. The log is cut by whole segments, so a start
    /// may read one in vain.
    pub wal_segment_bytes: u64,
    /// Bytes of prepared but not yet logged writes; past it a write gets `overloaded`.
    pub write_queue_bytes: u64,
    /// How often retention looks for blocks to drop, in milliseconds.
    pub retention_interval_ms: u64,
    /// The share of all processors that compaction takes, from 0 to 1; with 0 blocks are merged
    /// only when somebody asks for it.
    pub compact_cpu_share: f64,
    /// How often compaction looks for blocks to merge while there is nothing to do, in
    /// milliseconds.
    pub compact_interval_ms: u64,
    /// Most bytes of the blocks that are merged at a time, and so of disk that a merge takes beside
    /// them until they go. Never more than half of what is free.
    pub compact_max_bytes: u64,
    /// Threads, of all queries together, that help with large ones; each query has its own besides.
    pub query_helpers: usize,
}

impl Options {
    /// The defaults for `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        const HOUR_MS: i64 = 3_600_000;
        Self {
            dir: dir.into(),
            read_only: false,
            sync: SyncPolicy::Always,
            retention_ms: 15 * 24 * HOUR_MS,
            retention: RetentionOptions::default(),
            write: WriteLimits::default(),
            block_range_ms: 2 * HOUR_MS,
            flush_slack_ms: 60_000,
            flush_min_samples: 100_000,
            flush_min_age_ms: 60_000,
            head_max_bytes: 2 << 30,
            wal_max_bytes: 4 << 30,
            checkpoint_interval_ms: 300_000,
            checkpoint_log_bytes: 256 << 20,
            wal_segment_bytes: 32 << 20,
            write_queue_bytes: 128 << 20,
            retention_interval_ms: 60_000,
            compact_cpu_share: 0.25,
            compact_interval_ms: 1000,
            compact_max_bytes: 64 << 30,
            query_helpers: thread::available_parallelism().map_or(0, |cores| cores.get() - 1),
        }
    }
}
