//! The engine's own threads for work that nobody waits for.
//!
//! ```text
//! thread "background"
//!   flush.rs      the active generation ends, becomes blocks, and leaves the head
//!   retention.rs  blocks that are too old go
//! thread "compact-0"
//!   compact.rs    blocks are merged
//!   clean.rs      which of them are written anew without what is deleted or has expired in them
//!   pace.rs       its share of the processors, and its priority
//! ```
//!
//! The first thread looks at each of its tasks in turn; none of them waits for long. What a task
//! notes as failed it tries again by itself.

mod clean;
pub mod compact;
mod flush;
mod pace;
mod retention;

use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::error::{Error, ErrorCode, Result};
use crate::refs::Position;
use crate::store::Store;
use crate::sync::Arc;
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
    /// End.
    Stop,
}

/// The loop of the thread.
struct Background {
    commands: Receiver<Command>,
    flush: FlushCycle,
    retention: Retention,
}

impl Background {
    /// Runs until told to stop.
    fn run(mut self) {
        loop {
            match self.commands.recv_timeout(TICK) {
                Ok(Command::Flush(answer)) => self.flush.ask(answer),
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.flush.step();
            self.retention.step();
        }
        self.flush.close();
    }
}

/// The handle that the engine keeps.
pub struct Handle {
    commands: Sender<Command>,
    thread: std::thread::JoinHandle<()>,
}

impl Handle {
    /// Starts the thread; `flushed` is the log position up to which everything is in blocks.
    ///
    /// # Errors
    /// `io` when the system refuses a thread.
    pub fn start(store: Arc<Store>, flushed: Position) -> Result<Self> {
        let (commands, received) = crossbeam_channel::unbounded();
        let background = Background {
            commands: received,
            flush: FlushCycle::new(store.clone(), flushed),
            retention: Retention::new(store),
        };
        let thread = std::thread::Builder::new()
            .name("background".to_owned())
            .spawn(move || background.run())
            .map_err(|e| Error::new(ErrorCode::Io, format!("cannot start a thread: {e}")))?;
        Ok(Self { commands, thread })
    }

    /// Asks for something; the answer is called with `closed` when the thread has ended.
    pub fn ask(&self, command: Command) {
        if let Err(crossbeam_channel::SendError(Command::Flush(answer))) =
            self.commands.send(command)
        {
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
