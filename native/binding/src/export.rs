//! An export as text, piece by piece: each is made when it is asked for, on the export's own
//! thread, so that the reader's pace is the export's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};

use metricstor_engine::error::{Error, ErrorCode, Result as EngineResult};
use metricstor_engine::source::Scope;
use metricstor_engine::transfer::JsonExport;
use napi::Env;
use napi::bindgen_prelude::{Buffer, Object};
use napi_derive::napi;

use crate::error::{Failure, Result};
use crate::guard::guarded;
use crate::registry;
use crate::session::JsMatcher;
use crate::settle::{Settle, promise};
use crate::tools::export_request;

/// The next text of an export.
#[napi(object)]
pub struct PieceAnswer {
    /// Why there is none.
    pub failure: Option<Failure>,
    /// Whole lines; empty at the end.
    pub text: Buffer,
}

/// See the page above.
#[napi(js_name = "JsonExport")]
pub struct JsJsonExport {
    asked: Option<Sender<Settle<PieceAnswer>>>,
}

#[napi]
impl JsJsonExport {
    /// An export of the series that satisfy one of the selectors, of their samples in the range;
    /// the cancel token ends it early.
    #[napi(constructor)]
    pub fn new(
        handle: u32,
        from: Vec<Vec<JsMatcher>>,
        mint: f64,
        maxt: f64,
        token: u32,
    ) -> Result<Self> {
        guarded(|| {
            let request = export_request(&from, mint, maxt)?;
            let session =
                registry::engine(handle)?.session(Scope::default(), registry::cancel(token));
            let (asked, questions) = channel::<Settle<PieceAnswer>>();
            std::thread::spawn(move || {
                let mut export = None;
                let mut session = Some(session);
                for settle in questions {
                    let piece = piece(|| {
                        if let Some(session) = session.take() {
                            export = Some(JsonExport::new(session, &request)?);
                        }
                        let mut text = Vec::new();
                        if let Some(export) = &mut export {
                            export.next_piece(&mut text)?;
                        }
                        Ok(text)
                    });
                    settle.resolve(Box::new(move |_| Ok(answer(piece))));
                }
            });
            Ok(Self { asked: Some(asked) })
        })
    }

    /// The next piece.
    #[napi(ts_return_type = "Promise<PieceAnswer>")]
    pub fn next<'env>(&self, env: &'env Env) -> napi::Result<Object<'env>> {
        let (settle, promised) = promise::<PieceAnswer>(env)?;
        let refused = match &self.asked {
            Some(asked) => asked.send(settle).err().map(|back| back.0),
            None => Some(settle),
        };
        if let Some(settle) = refused {
            let closed = Error::new(ErrorCode::Closed, "the export is closed");
            settle.resolve(Box::new(move |_| Ok(answer(Err(closed)))));
        }
        Ok(promised)
    }

    /// Ends it and lets go of what it holds.
    #[napi]
    pub fn close(&mut self) {
        self.asked = None;
    }
}

fn piece(make: impl FnOnce() -> EngineResult<Vec<u8>>) -> EngineResult<Vec<u8>> {
    catch_unwind(AssertUnwindSafe(make))
        .unwrap_or_else(|_| Err(Error::internal("an export panicked; this is a bug in metricstor")))
}

fn answer(piece: EngineResult<Vec<u8>>) -> PieceAnswer {
    match piece {
        Ok(text) => PieceAnswer { failure: None, text: text.into() },
        Err(error) => PieceAnswer { failure: Some(Failure::from(&error)), text: Vec::new().into() },
    }
}
