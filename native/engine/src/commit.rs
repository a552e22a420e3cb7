//! The one function that defines a write: prepare, log, apply.
//!
//! ```text
//! write thread   decompress, decode, prepare            head/append.rs
//! log thread     write frames, one fsync for all        wal/
//! log thread     apply in log order, answer             head/append.rs
//! ```
//!
//! With `wal.sync: always` nothing is applied, and so nothing can be read, before it is on disk.

use crate::clock::Clock;
use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::append::{Prepared, WriteOutcome};
use crate::refs::TenantId;
use crate::sync::Arc;
use crate::wal::{Entry, Refused, Wal};
use crate::wire::compression::{BodyEncoding, decompress};
use crate::wire::remote_write_2::ParseOptions;
use crate::wire::{WireBatch, json_lines, remote_write, remote_write_2};

/// How often a write is prepared anew because the head's generation ended meanwhile. Generations
/// last minutes at least, so the second time all but always succeeds.
const ATTEMPTS: usize = 8;
/// How many times the size of a request its labels may take where it names them by number. Seven is
/// usual: 250 bytes a series, of which 36 are on the wire.
const LABELS_PER_REQUEST: usize = 16;

/// How a request body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireFormat {
    /// Prometheus remote_write 1.0.
    RemoteWrite1,
    /// Prometheus remote_write 2.0.
    RemoteWrite2,
    /// JSON lines.
    JsonLines {
        /// The number of the first line, for refusals.
        first_line: u64,
    },
}

/// A write as it came in.
pub struct WriteRequest {
    /// The body, still compressed.
    pub body: Box<dyn AsRef<[u8]> + Send>,
    /// How it is compressed.
    pub encoding: BodyEncoding,
    /// What it is.
    pub format: WireFormat,
    /// Whose series it brings.
    pub tenant: TenantId,
}

/// Called once with what became of a write, on some engine thread; must not block.
pub type Answer = Box<dyn FnOnce(Result<WriteOutcome>) + Send>;

/// What a write passes through.
pub struct Commit {
    /// Where it is applied.
    pub head: Arc<Head>,
    /// Where it is logged.
    pub wal: Arc<Wal>,
    /// The time it is judged by.
    pub clock: Arc<dyn Clock>,
    /// Most bytes of a decoded body.
    pub max_request_bytes: usize,
    /// See [`ParseOptions`].
    pub type_and_unit_labels: bool,
}

impl Commit {
    /// Decodes, prepares and submits a write; `answer` is called when it is durable as the sync
    /// policy says and readable, or has failed. `arena` is room for labels, kept by the caller.
    pub fn write(&self, request: &WriteRequest, arena: &mut Vec<u8>, answer: Answer) {
        let body = (*request.body).as_ref();
        let decoded = match decompress(request.encoding, body, self.max_request_bytes) {
            Ok(decoded) => decoded,
            Err(error) => return answer(Err(error)),
        };
        let parsed = match request.format {
            WireFormat::RemoteWrite1 => remote_write::parse_v1(&decoded),
            WireFormat::RemoteWrite2 => {
                let options = ParseOptions {
                    max_arena_bytes: self.max_request_bytes.saturating_mul(LABELS_PER_REQUEST),
                    type_and_unit_labels: self.type_and_unit_labels,
                };
                remote_write_2::parse_v2(&decoded, arena, options)
            }
            WireFormat::JsonLines { first_line } => json_lines::parse(&decoded, first_line),
        };
        match parsed {
            Ok(batch) => self.write_batch(&batch, request.tenant, answer),
            Err(error) => answer(Err(error)),
        }
    }

    /// Prepares and submits a decoded write.
    pub fn write_batch(&self, batch: &WireBatch<'_>, tenant: TenantId, answer: Answer) {
        let mut answer = answer;
        for _ in 0..ATTEMPTS {
            let generation = self.wal.generation();
            let now_ms = self.clock.now_ms();
            let prepared = match self.head.prepare(batch, tenant, generation, now_ms) {
                Ok(prepared) => prepared,
                Err(error) => return answer(Err(error)),
            };
            match self.submit(prepared, answer) {
                Ok(()) => return,
                Err(back) => answer = back,
            }
        }
        answer(Err(Error::new(ErrorCode::Overloaded, "the log rotates too fast for this write")));
    }

    /// Hands a prepared write to the log; gives the answer back when it must be prepared anew.
    fn submit(&self, prepared: Prepared, answer: Answer) -> std::result::Result<(), Answer> {
        if prepared.payload.is_empty() {
            self.head.counters().note(&prepared.outcome);
            answer(Ok(prepared.outcome));
            return Ok(());
        }
        let Prepared { generation, .. } = prepared;
        let mut prepared = prepared;
        let payload = std::mem::take(&mut prepared.payload);
        // The answer must survive a refusal, which gives the entry back with its callback.
        let slot = Arc::new(crate::sync::Mutex::new(Some(answer)));
        let (head, taken) = (self.head.clone(), slot.clone());
        let done = Box::new(move |logged: Result<_>| {
            let Some(answer) = taken.lock().take() else { return };
            let applied = logged.map(|_| head.apply(prepared));
            if let Ok(outcome) = &applied {
                head.counters().note(outcome);
            }
            answer(applied);
        });
        let refused = match self.wal.submit(generation, Entry { payload, done }) {
            Ok(()) => return Ok(()),
            Err(refused) => refused,
        };
        let Some(answer) = slot.lock().take() else { return Ok(()) };
        match refused {
            Refused::Stale(_) => return Err(answer),
            Refused::Full(_) => answer(Err(Error::new(
                ErrorCode::Overloaded,
                "the write queue is full: the disk is slower than the writers",
            ))),
            Refused::Closed(_) => {
                answer(Err(Error::new(ErrorCode::Closed, "the engine is closing")))
            }
        }
        Ok(())
    }
}
