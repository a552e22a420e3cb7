//! Deleting series, or a range of them.
//!
//! ```text
//! thread "deletes"   asks the log for a record of its tombstones
//! log thread         at the record's place: blocks and head hide them               apply()
//! thread "deletes"   the file of tombstones is replaced, then the answer
//!                    the head drops what is hidden, a slice of series at a time
//! ```
//!
//! The record's position P orders the delete among the writes: what was logged before it is
//! deleted, what comes after it is visible. A delete is one record, so it happens as a whole: once
//! the record is durable every start finds it, in the log or, when blocks let the start skip that
//! part of the log, in the file (`Store::save_tombstones`).
//!
//! One thread serves one delete at a time; a bounded number waits.

use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::{Error, ErrorCode, Result};
use crate::head::delete::Cleaner;
use crate::index::matcher::Matcher;
use crate::read::count::{Counted, count};
use crate::read::session::Session;
use crate::refs::Position;
use crate::sample::TimeRange;
use crate::source::Scope;
use crate::store::Store;
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use crate::sync::{Arc, Instant, Ordering, channel, thread};
use crate::tombstone::{MATCHERS_MAX, Tombstone};
use crate::wal::record::tombstones;
use crate::wal::{Entry, Refused};

/// Requests that may wait.
const WAITING_MAX: usize = 64;
/// Tombstones that may wait for their blocks to be written anew. Each costs every reader of a block
/// that it concerns a look; past it, cleaning is due.
const TOMBSTONES_MAX: usize = 10_000;
/// Deletes that the head may hide at a time: each costs every read and write of a series a look,
/// about 50 ns. A further one waits until some are carried out.
const HIDDEN_MAX: usize = 16;
/// How often a delete is submitted anew because a generation ended meanwhile.
const ATTEMPTS: usize = 8;

/// What is to be deleted.
#[derive(Debug, Clone)]
pub struct DeleteRequest {
    /// Who asks: only series of this scope are concerned.
    pub scope: Scope,
    /// Series that satisfy all matchers of one of these.
    pub selectors: Vec<Vec<Matcher>>,
    /// The time whose samples go.
    pub range: TimeRange,
}

/// Called once with what became of a delete.
pub type DeleteAnswer = Box<dyn FnOnce(Result<Counted>) + Send>;

/// Whether a request is to be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Delete. What is counted is 0.
    Delete,
    /// Only count what would go.
    DryRun,
}

struct Job {
    request: DeleteRequest,
    mode: Mode,
    answer: DeleteAnswer,
}

/// The handle that the engine keeps.
pub struct Deletes {
    jobs: Sender<Job>,
    cancel: Cancel,
    thread: thread::JoinHandle<()>,
}

impl Deletes {
    /// Starts the thread.
    ///
    /// # Errors
    /// `io` when the system refuses a thread.
    pub fn start(store: Arc<Store>) -> Result<Self> {
        let (jobs, received) = channel::bounded(WAITING_MAX);
        let cancel = Cancel::default();
        let canceled = cancel.clone();
        let thread = thread::Builder::new()
            .name("deletes".to_owned())
            .spawn(move || serve(&store, &received, &canceled))
            .map_err(|e| Error::new(ErrorCode::Io, format!("cannot start a thread: {e}")))?;
        Ok(Self { jobs, cancel, thread })
    }

    /// Takes a request; `answer` is called once. `Ok` means: durable, and to be seen by every query
    /// that begins now.
    pub fn ask(&self, request: DeleteRequest, mode: Mode, answer: DeleteAnswer) {
        match self.jobs.try_send(Job { request, mode, answer }) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => {
                let text = "too many deletes are waiting";
                (job.answer)(Err(Error::new(ErrorCode::Overloaded, text)));
            }
            Err(TrySendError::Disconnected(job)) => (job.answer)(Err(closed())),
        }
    }

    /// Finishes what was asked for, counting apart, and ends the thread.
    pub fn stop(self) {
        self.cancel.cancel();
        drop(self.jobs);
        let _ = self.thread.join();
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::Closed, "the engine is closing")
}

/// Answers what is asked and, while nothing is, carries out in the head what was deleted, half of
/// the time at most: writes wait for a slice, and a processor is not taken from them.
fn serve(store: &Arc<Store>, jobs: &Receiver<Job>, cancel: &Cancel) {
    let mut cleaner = Cleaner::default();
    let mut pause = Some(Duration::ZERO);
    loop {
        let job = match pause {
            Some(pause) => jobs.recv_timeout(pause),
            None => jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match job {
            Ok(Job { request, mode, answer }) => {
                answer(match mode {
                    Mode::Delete => delete(store, &request).map(|()| Counted::default()),
                    Mode::DryRun => dry_run(store, request, cancel.clone()),
                });
                pause = Some(Duration::ZERO);
            }
            Err(RecvTimeoutError::Timeout) => pause = clean(store, &mut cleaner),
            // The last checkpoint carries out what is left.
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Carries out a slice; returns how long to leave the others alone, `None` when nothing is left.
fn clean(store: &Store, cleaner: &mut Cleaner) -> Option<Duration> {
    let begun = Instant::now();
    let more = cleaner.step(&store.head).unwrap_or_else(|error| {
        store.note_failure(&error);
        true
    });
    more.then(|| begun.elapsed())
}

/// What a delete would take now.
fn dry_run(store: &Store, request: DeleteRequest, cancel: Cancel) -> Result<Counted> {
    let view = store.view.load_full();
    let mut session = Session::new(store.head.clone(), view, request.scope, cancel);
    count(&mut session, &request.selectors, request.range)
}

fn delete(store: &Arc<Store>, request: &DeleteRequest) -> Result<()> {
    let tombstones = tombstones_of(request)?;
    if tombstones.is_empty() {
        return Ok(());
    }
    let waiting = store.view.load().tombstones.len();
    if waiting + tombstones.len() > TOMBSTONES_MAX {
        let text = format!(
            "{waiting} deletes wait for their blocks to be written anew, at most {TOMBSTONES_MAX} \
             may: clean_tombstones does it now"
        );
        return Err(Error::new(ErrorCode::LimitExceeded, text));
    }
    let mut cleaner = Cleaner::default();
    let most = HIDDEN_MAX.saturating_sub(tombstones.len());
    while store.head.waiting_deletes() > most {
        clean(store, &mut cleaner);
    }
    log(store, &tombstones)?;
    store.save_tombstones()?;
    store.counters.deletes.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

fn tombstones_of(request: &DeleteRequest) -> Result<Vec<Arc<Tombstone>>> {
    if request.range.is_empty() {
        return Ok(Vec::new());
    }
    let mut tombstones = Vec::new();
    for selector in &request.selectors {
        let matchers: Vec<_> = selector.iter().chain(&request.scope.matchers).cloned().collect();
        if matchers.len() > MATCHERS_MAX {
            let text =
                format!("{} matchers in one selector, want at most {MATCHERS_MAX}", matchers.len());
            return Err(Error::new(ErrorCode::LimitExceeded, text));
        }
        let tenant = request.scope.tenant;
        tombstones.push(Arc::new(Tombstone { tenant, matchers, range: request.range }));
    }
    Ok(tombstones)
}

/// Logs and applies; returns when both are done.
fn log(store: &Arc<Store>, tombstones: &[Arc<Tombstone>]) -> Result<()> {
    let encoded: Vec<Vec<u8>> = tombstones
        .iter()
        .map(|tombstone| {
            let mut bytes = Vec::new();
            tombstone.encode(&mut bytes);
            bytes
        })
        .collect();
    let (send, applied) = channel::bounded(1);
    let (owned, to) = (tombstones.to_vec(), store.clone());
    let done = Box::new(move |logged: Result<Position>| {
        // Whoever asked waits for it.
        let _ = send.send(logged.and_then(|position| apply(&to, position, &owned)));
    });
    let payload = tombstones::encode(encoded.iter().map(Vec::as_slice));
    let mut entry = Entry { payload, done };
    for _ in 0..ATTEMPTS {
        // A tombstone names no series by its ref, so it is right in any generation.
        entry = match store.wal.submit(store.wal.generation(), entry) {
            Ok(()) => return applied.recv().unwrap_or_else(|_| Err(closed())),
            Err(Refused::Stale(back)) => back,
            Err(Refused::Full(_)) => {
                let text = "the write queue is full: the disk is slower than the writers";
                return Err(Error::new(ErrorCode::Overloaded, text));
            }
            Err(Refused::Closed(_)) => return Err(closed()),
        };
    }
    Err(Error::new(ErrorCode::Overloaded, "the log rotates too fast for this delete"))
}

/// On the log thread, at the place of the record: neither costs much time, so that a query is
/// likely to see all of the delete or nothing.
fn apply(store: &Store, position: Position, tombstones: &[Arc<Tombstone>]) -> Result<()> {
    store.replace_view(|view| {
        let with_these = view.tombstones.with(position, tombstones);
        view.with_tombstones(Arc::new(with_these))
    });
    let buried = tombstones.iter().try_for_each(|tombstone| store.head.bury(tombstone));
    for tombstone in tombstones {
        store.head.changes().wrote(tombstone.range.mint);
    }
    buried
}
