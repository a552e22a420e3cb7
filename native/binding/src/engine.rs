//! The verbs of an engine. Opening, writing, flushing and closing give promises and run on threads
//! of the engine; the rest is synchronous and short.

use std::sync::Arc;

use metricstor_engine::changes::Changed;
use metricstor_engine::commit::{Answer, WireFormat, WriteRequest};
use metricstor_engine::engine::Engine;
use metricstor_engine::error::{Error, ErrorCode};
use metricstor_engine::options::{
    MatcherOptions, Options, RetentionOptions, RuleOptions, SyncPolicy, WriteLimits,
};
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::TIMESTAMP_LIMIT;
use metricstor_engine::wire::compression::BodyEncoding;
use napi::Env;
use napi::bindgen_prelude::{Buffer, Object};
use napi_derive::napi;

use crate::error::{Result, to_js};
use crate::registry;
use crate::session::JsMatcher;
use crate::settle::{DoneAnswer, WriteAnswer, promise};

/// Series that are kept for a time of their own.
#[napi(object)]
pub struct RetentionRule {
    /// All must match.
    pub matchers: Vec<JsMatcher>,
    /// How long, in milliseconds.
    pub keep_ms: f64,
}

impl RetentionRule {
    fn engine_options(self) -> RuleOptions {
        let matchers = self
            .matchers
            .into_iter()
            .map(|JsMatcher { name, op, value }| MatcherOptions { name, op, value });
        RuleOptions { matchers: matchers.collect(), keep_ms: self.keep_ms as i64 }
    }
}

/// Options of an engine; see `native/engine/src/options.rs` for units and reasons.
#[napi(object)]
pub struct OpenOptions {
    /// The data directory.
    pub dir: String,
    /// Only read it; what would be changed stays in memory.
    pub read_only: Option<bool>,
    /// -1 always, 0 off, otherwise the interval in milliseconds.
    pub sync_interval_ms: f64,
    /// Retention.
    pub retention_ms: f64,
    /// Bytes of blocks and log past which the oldest blocks go; 0 means no limit.
    pub retention_bytes: f64,
    /// Series with a retention of their own; the first rule that matches counts.
    pub retention_rules: Vec<RetentionRule>,
    /// Decoded request size.
    pub max_request_bytes: f64,
    /// How far ahead of the clock.
    pub max_future_ms: f64,
    /// Refuse NaN and infinities.
    pub reject_non_finite: bool,
    /// Type and unit of remote_write 2.0 as labels.
    pub type_and_unit_labels: bool,
    /// Labels per series.
    pub max_labels_per_series: f64,
    /// Bytes of a label name.
    pub max_label_name_bytes: f64,
    /// Bytes of a label value.
    pub max_label_value_bytes: f64,
    /// Series in the head; 0 means no limit.
    pub max_series: f64,
    /// Exemplars that are kept.
    pub max_exemplars: f64,
    /// Metric families whose metadata is kept.
    pub max_metadata: f64,
    /// Width of a block.
    pub block_range_ms: f64,
    /// Slack after a window.
    pub flush_slack_ms: f64,
    /// Least samples of a flush.
    pub flush_min_samples: f64,
    /// Least age of a flush.
    pub flush_min_age_ms: f64,
    /// Chunk bytes that force a flush.
    pub head_max_bytes: f64,
    /// Log bytes that force a flush.
    pub wal_max_bytes: f64,
    /// Size of a segment.
    pub wal_segment_bytes: f64,
    /// How often the head is written down.
    pub checkpoint_interval_ms: f64,
    /// Log bytes after which it is.
    pub checkpoint_log_bytes: f64,
    /// Bytes that may wait for the log.
    pub write_queue_bytes: f64,
    /// Share of the processors that compaction takes.
    pub compact_cpu_share: f64,
    /// Bytes of blocks that are merged at a time.
    pub compact_max_bytes: f64,
    /// Threads that help with large queries.
    pub query_helpers: u32,
}

impl OpenOptions {
    fn engine_options(self) -> Options {
        let defaults = Options::new(self.dir);
        Options {
            read_only: self.read_only.unwrap_or(false),
            sync: match self.sync_interval_ms {
                ms if ms < 0.0 => SyncPolicy::Always,
                0.0 => SyncPolicy::Off,
                ms => SyncPolicy::IntervalMs(ms as u64),
            },
            retention_ms: self.retention_ms as i64,
            retention: RetentionOptions {
                size_bytes: self.retention_bytes as u64,
                rules: self
                    .retention_rules
                    .into_iter()
                    .map(RetentionRule::engine_options)
                    .collect(),
            },
            write: WriteLimits {
                max_request_bytes: self.max_request_bytes as usize,
                max_future_ms: self.max_future_ms as i64,
                reject_non_finite: self.reject_non_finite,
                type_and_unit_labels: self.type_and_unit_labels,
                max_labels_per_series: self.max_labels_per_series as usize,
                max_label_name_bytes: self.max_label_name_bytes as usize,
                max_label_value_bytes: self.max_label_value_bytes as usize,
                max_series: self.max_series as usize,
                max_exemplars: self.max_exemplars as usize,
                max_metadata: self.max_metadata as usize,
            },
            block_range_ms: self.block_range_ms as i64,
            flush_slack_ms: self.flush_slack_ms as i64,
            flush_min_samples: self.flush_min_samples as u64,
            flush_min_age_ms: self.flush_min_age_ms as i64,
            head_max_bytes: self.head_max_bytes as u64,
            wal_max_bytes: self.wal_max_bytes as u64,
            wal_segment_bytes: self.wal_segment_bytes as u64,
            checkpoint_interval_ms: self.checkpoint_interval_ms as i64,
            checkpoint_log_bytes: self.checkpoint_log_bytes as u64,
            write_queue_bytes: self.write_queue_bytes as u64,
            compact_cpu_share: self.compact_cpu_share,
            compact_max_bytes: self.compact_max_bytes as u64,
            query_helpers: self.query_helpers as usize,
            ..defaults
        }
    }
}

/// Opens a data directory on a thread of its own; fulfilled with a handle.
#[napi(ts_return_type = "Promise<DoneAnswer>")]
pub fn open_engine(env: &Env, options: OpenOptions) -> napi::Result<Object<'_>> {
    let (settle, promised) = promise::<DoneAnswer>(env)?;
    let options = options.engine_options();
    std::thread::spawn(move || {
        let opened = Engine::open(options).map(|engine| registry::add_engine(Arc::new(engine)));
        settle.resolve(Box::new(move |_| Ok(DoneAnswer::new(&opened))));
    });
    Ok(promised)
}

/// Writes a request body, which JavaScript leaves alone until the promise is settled.
/// `format` is `remote-write-1`, `remote-write-2` or `json-lines`, whose first line has the number
/// `first_line`; `encoding` is `identity`, `snappy` or `zstd`.
#[napi(ts_return_type = "Promise<WriteAnswer>")]
pub fn write<'env>(
    env: &'env Env,
    handle: u32,
    body: Buffer,
    format: String,
    encoding: String,
    tenant: u32,
    first_line: f64,
) -> napi::Result<Object<'env>> {
    let (settle, promised) = promise::<WriteAnswer>(env)?;
    let answer: Answer = Box::new(move |result| {
        settle.resolve(Box::new(move |_| Ok(WriteAnswer::new(&result))));
    });
    match (registry::engine(handle), request(body, (&format, &encoding), tenant, first_line)) {
        (Ok(engine), Ok(request)) => engine.write(request, answer),
        (Err(error), _) | (_, Err(error)) => answer(Err(error)),
    }
    Ok(promised)
}

fn request(
    body: Buffer,
    (format, encoding): (&str, &str),
    tenant: u32,
    first_line: f64,
) -> std::result::Result<WriteRequest, Error> {
    let encoding = match encoding {
        "identity" => BodyEncoding::Identity,
        "snappy" => BodyEncoding::Snappy,
        "zstd" => BodyEncoding::Zstd,
        other => return Err(unknown("encoding", other)),
    };
    let format = match format {
        "remote-write-1" => WireFormat::RemoteWrite1,
        "remote-write-2" => WireFormat::RemoteWrite2,
        "json-lines" => WireFormat::JsonLines { first_line: first_line as u64 },
        other => return Err(unknown("format", other)),
    };
    Ok(WriteRequest { body: Box::new(body), encoding, format, tenant: TenantId(tenant) })
}

fn unknown(what: &str, got: &str) -> Error {
    Error::new(ErrorCode::Internal, format!("unknown {what} {got:?}"))
}

/// Called once with what became of a call that has no result of its own.
pub type TaskAnswer = Box<dyn FnOnce(std::result::Result<(), Error>) + Send>;

/// Makes blocks of what the head holds.
#[napi(ts_return_type = "Promise<DoneAnswer>")]
pub fn flush_engine(env: &Env, handle: u32) -> napi::Result<Object<'_>> {
    ask(env, handle, |engine, answer| engine.flush(answer))
}

/// Merges the blocks that may be merged.
#[napi(ts_return_type = "Promise<DoneAnswer>")]
pub fn compact_engine(env: &Env, handle: u32) -> napi::Result<Object<'_>> {
    ask(env, handle, |engine, answer| engine.compact(answer))
}

/// Asks an engine for something that one of its threads does.
pub fn ask(
    env: &Env,
    handle: u32,
    verb: impl FnOnce(&Engine, TaskAnswer),
) -> napi::Result<Object<'_>> {
    let (settle, promised) = promise::<DoneAnswer>(env)?;
    let answer: TaskAnswer = Box::new(move |result| {
        settle.resolve(Box::new(move |_| Ok(DoneAnswer::new(&result.map(|()| 0)))));
    });
    match registry::engine(handle) {
        Ok(engine) => verb(&engine, answer),
        Err(error) => answer(Err(error)),
    }
    Ok(promised)
}

/// Closes an engine on a thread of its own: waits for what was accepted.
#[napi(ts_return_type = "Promise<DoneAnswer>")]
pub fn close_engine(env: &Env, handle: u32) -> napi::Result<Object<'_>> {
    let (settle, promised) = promise::<DoneAnswer>(env)?;
    std::thread::spawn(move || {
        let closed = registry::engine(handle).and_then(|engine| {
            registry::remove_engine(handle);
            engine.close().map(|()| 0)
        });
        settle.resolve(Box::new(move |_| Ok(DoneAnswer::new(&closed))));
    });
    Ok(promised)
}

/// One number of the engine's statistics.
#[napi(object)]
pub struct Stat {
    /// Its stable name.
    pub name: String,
    /// Its value now.
    pub value: f64,
}

/// This moment's numbers of an engine.
#[napi]
pub fn engine_stats(handle: u32) -> Result<Vec<Stat>> {
    let engine = registry::engine(handle).map_err(|e| to_js(&e))?;
    let stats = engine.stats().into_iter();
    Ok(stats.map(|(name, value)| Stat { name: name.to_owned(), value }).collect())
}

/// What may have changed since a version.
#[napi(object)]
pub struct JsChanged {
    /// The version now.
    pub version: f64,
    /// Samples of this time and later may be others, in milliseconds; infinite when none are.
    pub written_from: f64,
    /// Samples of this time and earlier may be gone; negative infinity when none are.
    pub expired_to: f64,
}

/// What may have changed in an engine since `version`.
#[napi]
pub fn changed_since(handle: u32, version: f64) -> Result<JsChanged> {
    let engine = registry::engine(handle).map_err(|e| to_js(&e))?;
    let Changed { version, written_from, expired_to } = engine.changed_since(version as u64);
    let beyond = |t: i64| t.unsigned_abs() >= TIMESTAMP_LIMIT.unsigned_abs();
    let bound = |t: i64| if beyond(t) { t.signum() as f64 * f64::INFINITY } else { t as f64 };
    let (written_from, expired_to) = (bound(written_from), bound(expired_to));
    Ok(JsChanged { version: version as f64, written_from, expired_to })
}

/// The last failure of background work.
#[napi]
pub fn engine_failure(handle: u32) -> Result<Option<String>> {
    Ok(registry::engine(handle).map_err(|e| to_js(&e))?.last_failure())
}

/// Sentences about the blocks that were set aside since the last call.
#[napi]
pub fn newly_quarantined(handle: u32) -> Result<Vec<String>> {
    Ok(registry::engine(handle).map_err(|e| to_js(&e))?.newly_quarantined())
}

/// A sentence about what the start cut off the end of the log, if it did.
#[napi]
pub fn torn_end(handle: u32) -> Result<Option<String>> {
    Ok(registry::engine(handle).map_err(|e| to_js(&e))?.torn_end().map(str::to_owned))
}

/// A token that cancels the sessions opened with it, from any thread.
#[napi]
pub fn open_cancel_token() -> u32 {
    registry::add_cancel()
}

/// Cancels.
#[napi]
pub fn cancel(token: u32) {
    registry::cancel(token).cancel();
}

/// Forgets a token.
#[napi]
pub fn close_cancel_token(token: u32) {
    registry::remove_cancel(token);
}
