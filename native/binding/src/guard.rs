//! A panic in an exported function would abort the process. A reader's panic becomes `internal`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use metricstor_engine::error::{Error, Result as EngineResult};

use crate::error::{Result, to_js};

/// Runs `read`; an engine error or a panic becomes a JS error.
pub fn guarded<T>(read: impl FnOnce() -> EngineResult<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(to_js(&error)),
        Err(_) => Err(to_js(&Error::internal("a read panicked; this is a bug in metricstor"))),
    }
}
