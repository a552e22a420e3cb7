//! Deleting: promises that are settled from threads of the engine.

use metricstor_engine::deletes::{DeleteAnswer as EngineDeleteAnswer, DeleteRequest, Mode};
use metricstor_engine::error::Result as EngineResult;
use metricstor_engine::index::matcher::Matcher;
use metricstor_engine::refs::TenantId;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;
use napi::Env;
use napi::bindgen_prelude::Object;
use napi_derive::napi;

use crate::engine::ask;
use crate::registry;
use crate::session::{JsMatcher, matchers, time};
use crate::settle::{DeleteAnswer, promise};

/// What is to be deleted.
#[napi(object)]
pub struct JsDeleteRequest {
    /// The tenant.
    pub tenant: u32,
    /// Matchers that every series must satisfy.
    pub scope: Vec<JsMatcher>,
    /// Series that satisfy one of these.
    pub selectors: Vec<Vec<JsMatcher>>,
    /// Milliseconds, inclusive.
    pub mint: f64,
    /// Milliseconds, inclusive.
    pub maxt: f64,
    /// Only count.
    pub dry_run: bool,
}

impl JsDeleteRequest {
    fn engine_request(&self) -> EngineResult<DeleteRequest> {
        let selectors: EngineResult<Vec<Vec<Matcher>>> =
            self.selectors.iter().map(|selector| matchers(selector)).collect();
        Ok(DeleteRequest {
            scope: Scope { tenant: TenantId(self.tenant), matchers: matchers(&self.scope)? },
            selectors: selectors?,
            range: TimeRange::new(time(self.mint), time(self.maxt)),
        })
    }
}

/// Deletes, or counts what would go.
#[napi(ts_return_type = "Promise<DeleteAnswer>")]
pub fn delete_series<'env>(
    env: &'env Env,
    handle: u32,
    request: JsDeleteRequest,
) -> napi::Result<Object<'env>> {
    let (settle, promised) = promise::<DeleteAnswer>(env)?;
    let answer: EngineDeleteAnswer = Box::new(move |result| {
        settle.resolve(Box::new(move |_| Ok(DeleteAnswer::new(&result))));
    });
    let mode = if request.dry_run { Mode::DryRun } else { Mode::Delete };
    match (registry::engine(handle), request.engine_request()) {
        (Ok(engine), Ok(request)) => engine.delete(request, mode, answer),
        (Err(error), _) | (_, Err(error)) => answer(Err(error)),
    }
    Ok(promised)
}

/// Writes the blocks anew in which something is deleted.
#[napi(ts_return_type = "Promise<DoneAnswer>")]
pub fn clean_tombstones(env: &Env, handle: u32) -> napi::Result<Object<'_>> {
    ask(env, handle, |engine, answer| engine.clean_tombstones(answer))
}
