//! Verbs over directories, and those that move data through an open engine. Each runs on a thread
//! of its own and fulfils its promise with a report as JSON text.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use metricstor_engine::clock::{Clock, SystemClock};
use metricstor_engine::disk::os::OsDisk;
use metricstor_engine::disk::{DirLock, Disk};
use metricstor_engine::engine::SnapshotOf;
use metricstor_engine::error::{Error, Result as EngineResult};
use metricstor_engine::recover::Layout;
use metricstor_engine::refs::TenantId;
use metricstor_engine::transfer::ExportRequest;
use metricstor_engine::{backup, inspect, transfer};
use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;
use serde::Serialize;

use crate::error::Failure;
use crate::registry;
use crate::session::{JsMatcher, selectors, time};
use crate::settle::promise;

/// What a verb reports.
#[napi(object)]
pub struct TextAnswer {
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The report, else empty.
    pub text: String,
}

impl TextAnswer {
    fn new(result: EngineResult<String>) -> Self {
        match result {
            Ok(text) => Self { failure: None, text },
            Err(error) => Self { failure: Some(Failure::from(&error)), text: String::new() },
        }
    }
}

/// Runs `work` on a thread of its own; a panic becomes `internal`.
fn on_thread<'env, T: Serialize>(
    env: &'env Env,
    work: impl FnOnce() -> EngineResult<T> + Send + 'static,
) -> napi::Result<Object<'env>> {
    let (settle, promised) = promise::<TextAnswer>(env)?;
    std::thread::spawn(move || {
        let panicked = |_| Err(Error::internal("a tool panicked; this is a bug in metricstor"));
        let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked);
        let text = done.and_then(|report| {
            serde_json::to_string(&report).map_err(|cause| Error::internal(cause.to_string()))
        });
        settle.resolve(Box::new(move |_| Ok(TextAnswer::new(text))));
    });
    Ok(promised)
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk)
}

/// The blocks of a data directory.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn list_blocks(env: &Env, dir: String) -> napi::Result<Object<'_>> {
    on_thread(env, move || inspect::list(&OsDisk, Path::new(&dir)))
}

/// Compares a data directory with its checksums.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn verify_directory(env: &Env, dir: String) -> napi::Result<Object<'_>> {
    on_thread(env, move || inspect::verify(&disk(), Path::new(&dir)))
}

/// Counts what the blocks of a data directory hold.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn analyze_directory(env: &Env, dir: String, top: u32) -> napi::Result<Object<'_>> {
    on_thread(env, move || inspect::analyze(&disk(), Path::new(&dir), top as usize))
}

/// Brings a backup up to the blocks of a data directory that no engine has open; that of another
/// store only with `replace`.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn backup_directory(
    env: &Env,
    dir: String,
    target: String,
    replace: bool,
) -> napi::Result<Object<'_>> {
    let copy = if replace { backup::replace } else { backup::backup };
    on_thread(env, move || {
        let (dir, target) = (Path::new(&dir), Path::new(&target));
        // A snapshot has no log, and nobody changes it.
        let has_log = OsDisk.exists(&Layout::new(dir).wal);
        let lock: Option<Box<dyn DirLock>> =
            has_log.then(|| OsDisk.lock_to_read(dir)).transpose()?;
        let done = copy(&OsDisk, dir, target, SystemClock.now_ms());
        drop(lock);
        done
    })
}

/// Brings a backup up to an engine that only reads, as [`backup_directory`] does.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn backup_engine(
    env: &Env,
    handle: u32,
    target: String,
    replace: bool,
) -> napi::Result<Object<'_>> {
    on_thread(env, move || registry::engine(handle)?.backup(Path::new(&target), replace))
}

/// Makes a data directory of a backup.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn restore_directory(env: &Env, target: String, dir: String) -> napi::Result<Object<'_>> {
    on_thread(env, move || backup::restore(&OsDisk, Path::new(&target), Path::new(&dir)))
}

/// Imports a data directory of Prometheus.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn import_prometheus(env: &Env, handle: u32, dir: String) -> napi::Result<Object<'_>> {
    on_thread(env, move || {
        let engine = registry::engine(handle)?;
        transfer::import_prometheus(&engine, &OsDisk, Path::new(&dir), TenantId(0))
    })
}

/// Exports into blocks of Prometheus.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn export_prometheus(
    env: &Env,
    handle: u32,
    dir: String,
    from: Vec<Vec<JsMatcher>>,
    mint: f64,
    maxt: f64,
) -> napi::Result<Object<'_>> {
    on_thread(env, move || {
        let engine = registry::engine(handle)?;
        let request = export_request(&from, mint, maxt)?;
        let now_ms = SystemClock.now_ms();
        transfer::export_prometheus(&engine, &request, &disk(), Path::new(&dir), now_ms)
    })
}

/// What an export is asked for.
///
/// # Errors
/// `bad_data` for a matcher that is none.
pub fn export_request(
    from: &[Vec<JsMatcher>],
    mint: f64,
    maxt: f64,
) -> EngineResult<ExportRequest> {
    let range = metricstor_engine::sample::TimeRange::new(time(mint), time(maxt));
    Ok(ExportRequest { selectors: selectors(from)?, range })
}

/// Makes a snapshot; the text is its name, quoted.
#[napi(ts_return_type = "Promise<TextAnswer>")]
pub fn snapshot_engine(env: &Env, handle: u32, blocks_only: bool) -> napi::Result<Object<'_>> {
    let of = if blocks_only { SnapshotOf::Blocks } else { SnapshotOf::Everything };
    on_thread(env, move || {
        let (send, made) = std::sync::mpsc::channel();
        registry::engine(handle)?.snapshot(
            of,
            Box::new(move |result| {
                let _ = send.send(result);
            }),
        );
        made.recv().unwrap_or_else(|_| Err(Error::internal("a snapshot gave no answer")))
    })
}
