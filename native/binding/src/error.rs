//! Engine errors to JS errors. A synchronous call throws an error whose `code` is the engine's
//! code; a promise is *fulfilled* with a [`Failure`], which the façade turns into the same error,
//! because a promise that the add-on rejects carries no code of ours.

use metricstor_engine::error::Error;
use napi_derive::napi;

/// The result of a synchronous call. The macro of napi-rs knows results by this name.
pub type Result<T> = std::result::Result<T, napi::Error<String>>;

/// Makes an error whose `code` is the engine's.
pub fn to_js(error: &Error) -> napi::Error<String> {
    napi::Error::new(error.code().as_str().to_owned(), error.to_string())
}

/// An engine error as data.
#[napi(object)]
pub struct Failure {
    /// The engine's code.
    pub code: String,
    /// The sentence, with file and offset where it has them.
    pub message: String,
    /// The file of a corruption.
    pub file: Option<String>,
    /// The offset of a corruption.
    pub offset: Option<f64>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code().as_str().to_owned(),
            message: error.to_string(),
            file: error.place().map(|p| p.file.display().to_string()),
            offset: error.place().and_then(|p| p.offset).map(|o| o as f64),
        }
    }
}
