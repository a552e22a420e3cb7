//! The engine's own threads for work that nobody waits for.
//!
//! ```text
//! thread "background"
//!   flush.rs       the active generation ends, becomes blocks, and leaves the head
//!   checkpoint.rs  the head is written down, and the log before that goes
//!   retention.rs   blocks that are too old go
//! thread "compact-0"
//!   compact.rs     blocks are merged
//!   clean.rs       which of them are written anew without what is deleted or has expired in them
//!   pace.rs        its share of the processors, and its priority
//! thread "damage-0"
//!   damage.rs      blocks that readers find damaged are set aside
//! ```
//!
//! The first thread looks at each of its tasks in turn; none of them waits for long. What a task
//! notes as failed it tries again by itself.

mod checkpoint;
mod clean;
pub mod compact;
pub mod damage;
mod flush;
mod pace;
mod retention;

use std::time::Duration;

use crate::error::{Error, ErrorCode, Result};
use crate::refs::Position;
use crate::store::Store;
use crate::sync::channel::{Receiver, RecvTimeoutError, SendError, Sender};
use crate::sync::{Arc, channel, thread};
use checkpoint::Checkpoints;
use flush::FlushCycle;
use retention::Retention;

/// How often conditions are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Called once with the outcome of what was asked for.
pub type Answer = Box<dyn FnOnce(Result<()>) + Send>;

/// What others ask of the thread.
pub enum Command {
    /// Flush what is in the head now, and say when it is in blocks.
    Flush(Answer),
    /// Write the head down, and say when that is done.
    Checkpoint(Answer),
    /// End.
    Stop,
}

/// The loop of the thread.
struct Background {
    read_only: bool,
    commands: Receiver<Command>,
    flush: FlushCycle,
    checkpoints: Checkpoints,
    retention: Retention,
}

impl Background {
    /// Runs until told to stop, and writes the head down a last time.
    fn run(mut self) {
        loop {
            match self.commands.recv_timeout(TICK) {
                Ok(Command::Flush(answer)) => self.flush.ask(answer),
                Ok(Command::Checkpoint(answer)) => {
                    self.checkpoints.take_now(self.flush.active(), answer);
                }
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.flush.step();
            if !self.read_only {
                self.checkpoints.step(self.flush.active());
                self.retention.step();
            }
        }
        if !self.read_only {
            // Without it the next start has more log to read, and nothing else is lost.
            self.checkpoints.take_now(self.flush.active(), Box::new(drop));
        }
        self.flush.close();
    }
}

/// What the thread goes on from.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The log position up to which everything is in blocks.
    pub flushed: Position,
    /// The number of the next chunk file of the head.
    pub next_file: u64,
    /// Whether there is a checkpoint of what blocks have.
    pub stale_checkpoint: bool,
    /// Whether the log had something to replay.
    pub replayed: bool,
}

/// The handle that the engine keeps.
pub struct Handle {
    commands: Sender<Command>,
    thread: thread::JoinHandle<()>,
}

impl Handle {
    /// Starts the thread for a store that was found as `found`.
    ///
    /// # Errors
    /// `io` when the system refuses a thread.
    pub fn start(store: Arc<Store>, found: Found) -> Result<Self> {
        let flushed = found.flushed;
        let (commands, received) = channel::unbounded();
        let background = Background {
            read_only: store.options.read_only,
            commands: received,
            flush: FlushCycle::new(store.clone(), flushed),
            checkpoints: Checkpoints::new(store.clone(), &found),
            retention: Retention::new(store),
        };
        let thread = thread::Builder::new()
            .name("background".to_owned())
            .spawn(move || background.run())
            .map_err(|e| Error::new(ErrorCode::Io, format!("cannot start a thread: {e}")))?;
        Ok(Self { commands, thread })
    }

    /// Asks for something; the answer is called with `closed` when the thread has ended.
    pub fn ask(&self, command: Command) {
        let sent = self.commands.send(command);
        if let Err(SendError(Command::Flush(answer) | Command::Checkpoint(answer))) = sent {
            answer(Err(closing()));
        }
    }

    /// Stops the thread and waits for it.
    pub fn stop(self) {
        let _ = self.commands.send(Command::Stop);
        let _ = self.thread.join();
    }
}

fn closing() -> Error {
    Error::new(ErrorCode::Closed, "the engine is closing")
}
