//! Engine callbacks to promises: the callback runs on an engine thread, the promise is settled on
//! the thread that owns it.

use metricstor_engine::error::Error;
use metricstor_engine::head::append::WriteOutcome;
use metricstor_engine::read::count::Counted;
use napi::bindgen_prelude::{Object, ToNapiValue};
use napi::{Env, JsDeferred};
use napi_derive::napi;

use crate::error::Failure;

/// Settles a promise, once.
pub type Settle<T> = JsDeferred<T, Box<dyn FnOnce(Env) -> napi::Result<T>>>;

/// A promise of `T` and what settles it.
pub fn promise<'env, T: ToNapiValue + 'static>(
    env: &'env Env,
) -> napi::Result<(Settle<T>, Object<'env>)> {
    env.create_deferred()
}

/// Samples that were refused for one reason.
#[napi(object)]
pub struct Rejection {
    /// The engine's code.
    pub code: String,
    /// How many.
    pub count: f64,
    /// A few sentences.
    pub examples: Vec<String>,
}

/// What became of a write; `failure` alone is set when it failed as a whole.
#[napi(object)]
pub struct WriteAnswer {
    /// Why the request failed as a whole.
    pub failure: Option<Failure>,
    /// Samples stored.
    pub samples: f64,
    /// Native histogram samples stored.
    pub histograms: f64,
    /// Exemplars stored, or there already.
    pub exemplars: f64,
    /// Samples that replaced another value.
    pub replaced: f64,
    /// What was refused.
    pub rejections: Vec<Rejection>,
    /// Exemplars dropped.
    pub dropped_exemplars: f64,
    /// Metadata entries dropped.
    pub dropped_metadata: f64,
}

impl WriteAnswer {
    /// Of an engine's answer.
    pub fn new(result: &Result<WriteOutcome, Error>) -> Self {
        let empty = WriteOutcome::default();
        let (outcome, failure) = match result {
            Ok(outcome) => (outcome, None),
            Err(error) => (&empty, Some(Failure::from(error))),
        };
        let rejections = outcome.rejections.iter().map(|r| Rejection {
            code: r.code.as_str().to_owned(),
            count: r.count as f64,
            examples: r.examples.clone(),
        });
        Self {
            failure,
            samples: outcome.samples as f64,
            histograms: outcome.histograms as f64,
            exemplars: outcome.exemplars as f64,
            replaced: outcome.replaced as f64,
            rejections: rejections.collect(),
            dropped_exemplars: outcome.dropped_exemplars as f64,
            dropped_metadata: outcome.dropped_metadata as f64,
        }
    }
}

/// What became of a call that has no result of its own.
#[napi(object)]
pub struct DoneAnswer {
    /// Why it failed.
    pub failure: Option<Failure>,
    /// The handle of an opened engine, else 0.
    pub handle: u32,
}

impl DoneAnswer {
    /// Of an engine's answer.
    pub fn new(result: &Result<u32, Error>) -> Self {
        match result {
            Ok(handle) => Self { failure: None, handle: *handle },
            Err(error) => Self { failure: Some(Failure::from(error)), handle: 0 },
        }
    }
}

/// What became of a delete, or what a dry run counted.
#[napi(object)]
pub struct DeleteAnswer {
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Series with a sample that would go; of a dry run only.
    pub series: f64,
    /// Samples that would go; of a dry run only.
    pub samples: f64,
}

impl DeleteAnswer {
    /// Of an engine's answer.
    pub fn new(result: &Result<Counted, Error>) -> Self {
        let counted = result.as_ref().copied().unwrap_or_default();
        Self {
            failure: result.as_ref().err().map(Failure::from),
            series: counted.series as f64,
            samples: counted.samples as f64,
        }
    }
}
