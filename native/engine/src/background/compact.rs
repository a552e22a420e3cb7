//! Compaction on its own thread: plans, rewrites, publishes, and removes what was replaced.
//!
//! By itself it merges what pays, within its share of the processors, and writes blocks anew of
//! which a part has expired (`clean.rs`). Asked, it merges all that may be merged, or writes all
//! blocks anew in which something is deleted, as fast as it can. What is deleted is left out of
//! whatever it writes.
//!
//! A merged block is published first: it names its sources, so that a start which finds it with one
//! of them drops that one. Then one replacement of the view exchanges it for them, and then they go
//! from the disk; readers of older views keep them open. Until they are gone no other job begins:
//! nothing would name them any more once their block was merged itself.
//!
//! A source that turns out to be damaged is set aside, and planning goes on without it. Other
//! failures are noted and tried again, later each time.

use std::time::{Duration, UNIX_EPOCH};

use ulid::Ulid;

use super::pace::{Pace, lower_priority};
use super::{Answer, clean, closing, damage};
use crate::allocator;
use crate::block::meta::{Meta, MetaSeed};
use crate::block::{self, Block, quarantine};
use crate::compact::plan::{Rules, Urgency, next_job};
use crate::compact::rewrite::{Rewrite, Rewritten, cleaned_seed, merged_seed};
use crate::disk::require_room;
use crate::error::{Error, ErrorCode, Result};
use crate::read::view::View;
use crate::refs::Position;
use crate::source::SeriesSource;
use crate::store::Store;
use crate::sync::channel::{Receiver, RecvTimeoutError, Sender};
use crate::sync::{Arc, Instant, Ordering, channel, thread};

/// Pause after a failure; twice as long after each further one.
const RETRY: Duration = Duration::from_secs(2);
/// The longest pause after failures.
const RETRY_MAX: Duration = Duration::from_secs(300);

/// What the thread can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Merge all that may be merged.
    Compact,
    /// Write all blocks anew in which something is deleted.
    Clean,
}

enum Command {
    Do(Task, Answer),
    Stop,
}

/// A block that is to be made of others.
struct Plan {
    seed: MetaSeed,
    blocks: Vec<Arc<Block>>,
    /// The blocks without what is deleted in them.
    sources: Vec<Arc<dyn SeriesSource>>,
    /// The newest tombstone that `sources` know.
    tombstones_applied: Position,
}

impl Plan {
    fn new(view: &View, blocks: Vec<Arc<Block>>, seed: MetaSeed) -> Self {
        let sources = blocks.iter().map(|block| view.source_of(block)).collect();
        Self { seed, blocks, sources, tombstones_applied: view.tombstones.newest() }
    }
}

/// What became of a look for something to merge.
enum Step {
    /// There was nothing.
    Nothing,
    /// Some blocks are one now, or were gone.
    Merged,
    /// A block was damaged, and is in quarantine.
    SetAside(Error),
}

/// Whom the thread listens to.
struct Desk {
    commands: Receiver<Command>,
    waiting: Vec<(Task, Answer)>,
    stopped: bool,
}

impl Desk {
    /// Listens for as long as `wait` says, or until somebody asks for something.
    fn listen(&mut self, wait: Duration) {
        if self.stopped {
            return;
        }
        match self.commands.recv_timeout(wait) {
            Ok(Command::Do(task, answer)) => self.waiting.push((task, answer)),
            Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => self.stopped = true,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The loop of the thread.
struct Compactor {
    store: Arc<Store>,
    desk: Desk,
    pace: Pace,
    /// Blocks that were replaced, or not published for certain, and are still on disk.
    doomed: Vec<Ulid>,
    failures: u32,
    retry_at: Instant,
}

impl Compactor {
    fn run(mut self) {
        lower_priority();
        let pause = Duration::from_millis(self.store.options.compact_interval_ms);
        let mut idle = true;
        while !self.desk.stopped {
            if self.desk.waiting.is_empty() {
                self.desk.listen(if idle { pause } else { Duration::ZERO });
            }
            let asked = std::mem::take(&mut self.desk.waiting);
            if !asked.is_empty() {
                let mut outcomes = Vec::new();
                for wanted in [Task::Clean, Task::Compact] {
                    if asked.iter().any(|(task, _)| *task == wanted) {
                        outcomes.push((wanted, self.do_all(wanted)));
                    }
                }
                for (task, answer) in asked {
                    let done = outcomes.iter().find(|(wanted, _)| *wanted == task);
                    answer(done.map_or(Ok(()), |(_, outcome)| outcome.clone()));
                }
            } else if self.store.options.compact_cpu_share > 0.0 && self.retry_at <= Instant::now()
            {
                // What failed is noted, and tried again.
                let done = self.step(Compactor::next_by_itself, Urgency::Thrifty);
                idle = !matches!(done, Ok(Step::Merged | Step::SetAside(_)));
            } else {
                idle = true;
            }
        }
        self.desk.waiting.into_iter().for_each(|(_, answer)| answer(Err(closing())));
    }

    /// Works until nothing is left to do. A damaged block is set aside on the way, and its error
    /// returned at the end.
    fn do_all(&mut self, task: Task) -> Result<()> {
        // What is deleted later is for those who ask later.
        let up_to = self.store.view.load().tombstones.newest();
        let next = |compactor: &Self| match task {
            Task::Compact => compactor.next_merge(Urgency::Full),
            Task::Clean => compactor.next_clean(up_to),
        };
        let mut outcome = Ok(());
        loop {
            match self.step(next, Urgency::Full)? {
                Step::Merged => {}
                Step::SetAside(error) => outcome = Err(error),
                Step::Nothing => break,
            }
        }
        self.store.drop_spent_tombstones();
        outcome
    }

    /// Does one job, and keeps the books.
    fn step(
        &mut self,
        next: impl Fn(&Self) -> Result<Option<Plan>>,
        urgency: Urgency,
    ) -> Result<Step> {
        let outcome = self.remove_doomed().and_then(|()| match next(self)? {
            Some(plan) => self.rewrite(plan, urgency),
            None => Ok(Step::Nothing),
        });
        self.store.counters.compaction_bytes_now.store(0, Ordering::Relaxed);
        match &outcome {
            Ok(Step::SetAside(_)) => self.count_failure(),
            Ok(_) => self.failures = 0,
            Err(error) if error.code() == ErrorCode::Closed => {}
            Err(error) => {
                self.note_failure(error);
                let pause = RETRY.saturating_mul(1 << self.failures.min(16)).min(RETRY_MAX);
                self.retry_at = Instant::now() + pause;
                self.failures += 1;
            }
        }
        outcome
    }

    fn count_failure(&self) {
        self.store.counters.compaction_failures.fetch_add(1, Ordering::Relaxed);
    }

    fn note_failure(&self, error: &Error) {
        self.count_failure();
        self.store.note_failure(error);
    }

    /// What pays without being asked for.
    fn next_by_itself(&self) -> Result<Option<Plan>> {
        if let Some(merge) = self.next_merge(Urgency::Thrifty)? {
            return Ok(Some(merge));
        }
        let view = self.store.view.load_full();
        self.clean(&view, clean::with_expired(&view)?)
    }

    fn next_clean(&self, up_to: Position) -> Result<Option<Plan>> {
        let view = self.store.view.load_full();
        self.clean(&view, clean::with_tombstones(&view, up_to))
    }

    fn clean(&self, view: &View, block: Option<Arc<Block>>) -> Result<Option<Plan>> {
        let Some(block) = block else { return Ok(None) };
        require_room(&*self.store.disk, &self.store.layout.blocks, block.bytes())?;
        let seed = cleaned_seed(block.meta());
        Ok(Some(Plan::new(view, vec![block], seed)))
    }

    /// Plans by the view of this moment. The view itself is let go: who holds one holds the head
    /// generations that it shows.
    fn next_merge(&self, urgency: Urgency) -> Result<Option<Plan>> {
        let store = &self.store;
        let view = store.view.load_full();
        let metas: Vec<&Meta> = view.blocks.iter().map(|block| block.meta()).collect();
        let mut rules = Rules {
            block_range_ms: store.options.block_range_ms,
            retention_ms: store.options.retention_ms,
            newest: store.head.counters().newest_ever.load(Ordering::Relaxed),
            urgency,
            max_bytes: store.options.compact_max_bytes,
        };
        if next_job(&metas, &rules).is_none() {
            return Ok(None);
        }
        rules.max_bytes = rules.max_bytes.min(store.disk.free_bytes(&store.layout.blocks)? / 2);
        let Some(job) = next_job(&metas, &rules) else { return Ok(None) };
        let find = |ulid: &Ulid| view.blocks.iter().find(|block| block.meta().ulid == *ulid);
        let blocks: Vec<Arc<Block>> = job.sources.iter().filter_map(find).cloned().collect();
        let metas: Vec<&Meta> = blocks.iter().map(|block| block.meta()).collect();
        let seed = merged_seed(&metas, job.window)?;
        Ok(Some(Plan::new(&view, blocks, seed)))
    }

    fn rewrite(&mut self, plan: Plan, urgency: Urgency) -> Result<Step> {
        let Plan { seed, blocks, sources, tombstones_applied } = plan;
        let bytes = blocks.iter().map(|block| block.bytes()).sum();
        self.store.counters.compaction_bytes_now.store(bytes, Ordering::Relaxed);
        let rewrite = Rewrite {
            disk: self.store.disk.clone(),
            blocks_dir: self.store.layout.blocks.clone(),
            ulid: self.ulid(),
            seed,
            tombstones_applied,
            sources,
        };
        let (desk, pace) = (&mut self.desk, &mut self.pace);
        let rewritten = rewrite.run(&mut || {
            // Who waits for it is not to wait for others' sake.
            let hurried = urgency == Urgency::Full || !desk.waiting.is_empty();
            let owed = pace.owed();
            desk.listen(if hurried { Duration::ZERO } else { owed });
            if desk.stopped { Err(closing()) } else { Ok(()) }
        });
        let done = match rewritten {
            Ok(rewritten) => self.replace(&blocks, rewritten).map(|()| Step::Merged),
            Err(error) => self.set_aside(&blocks, error),
        };
        allocator::give_back();
        done
    }

    /// Exchanges the sources for what they became, unless one of them is gone from the store.
    fn replace(&mut self, sources: &[Arc<Block>], rewritten: Rewritten) -> Result<()> {
        let store = self.store.clone();
        let replaced: Vec<Ulid> = sources.iter().map(|block| block.meta().ulid).collect();
        {
            let _alone = store.removal.lock();
            let view = store.view.load_full();
            let is_there = |ulid: &Ulid| view.blocks.iter().any(|b| b.meta().ulid == *ulid);
            if !replaced.iter().all(is_there) {
                return Ok(());
            }
            drop(view);
            let merged = match rewritten.block {
                None => None,
                Some(finished) => {
                    let ulid = finished.meta().ulid;
                    let opened = finished.publish().and_then(|ulid| {
                        Block::open(store.disk.clone(), &store.layout.blocks.join(ulid.to_string()))
                    });
                    // It may be visible although its publication failed.
                    Some(opened.inspect_err(|_| self.doomed.push(ulid))?)
                }
            };
            if let Some(merged) = &merged {
                store
                    .counters
                    .compaction_bytes_written
                    .fetch_add(merged.bytes(), Ordering::Relaxed);
            }
            store.replace_view(|view| {
                let view = view.without(&replaced);
                let blocks = view.blocks.iter().cloned().chain(merged).collect();
                view.with_blocks(blocks)
            });
        }
        let read = sources.iter().map(|block| block.bytes()).sum();
        store.counters.compaction_bytes_read.fetch_add(read, Ordering::Relaxed);
        let counters = &store.counters;
        let done = if sources.len() > 1 { &counters.compactions } else { &counters.blocks_cleaned };
        done.fetch_add(1, Ordering::Relaxed);
        self.doomed.extend(replaced);
        self.remove_doomed()
    }

    /// Removes, durably, what must not be there when the next job begins.
    fn remove_doomed(&mut self) -> Result<()> {
        let (disk, dir) = (&*self.store.disk, &self.store.layout.blocks);
        while let Some(ulid) = self.doomed.last() {
            if disk.exists(&dir.join(ulid.to_string())) {
                block::remove(disk, dir, *ulid)?;
            } else {
                // An earlier attempt came this far, and a power loss must not undo it.
                disk.sync_dir(dir)?;
            }
            self.doomed.pop();
        }
        Ok(())
    }

    /// Takes the source that `error` says is damaged out of the store.
    ///
    /// # Errors
    /// `error`, when it says something else; those of the disk.
    fn set_aside(&self, sources: &[Arc<Block>], error: Error) -> Result<Step> {
        let file = error.place().map(|place| place.file.clone()).unwrap_or_default();
        let damaged = sources.iter().find(|block| file.starts_with(block.dir()));
        let Some(block) = damaged.filter(|_| quarantine::is_damage(&error)) else {
            return Err(error);
        };
        let was_there = damage::set_aside(&self.store, block, &error)?;
        Ok(if was_there { Step::SetAside(error) } else { Step::Merged })
    }

    fn ulid(&self) -> Ulid {
        let now_ms = u64::try_from(self.store.clock.now_ms()).unwrap_or(0);
        Ulid::from_datetime(UNIX_EPOCH + Duration::from_millis(now_ms))
    }
}

/// The handle that the engine keeps.
pub struct CompactThread {
    commands: Sender<Command>,
    thread: thread::JoinHandle<()>,
}

impl CompactThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// `io` when the system refuses a thread.
    pub fn start(store: Arc<Store>) -> Result<Self> {
        let (commands, received) = channel::unbounded();
        let thread = thread::Builder::new()
            .name("compact-0".to_owned())
            .spawn(move || {
                let share = store.options.compact_cpu_share;
                let desk = Desk { commands: received, waiting: Vec::new(), stopped: false };
                // Made here: it measures the thread that makes it.
                let (pace, retry_at) = (Pace::new(share), Instant::now());
                let doomed = Vec::new();
                Compactor { store, desk, pace, doomed, failures: 0, retry_at }.run();
            })
            .map_err(|e| Error::new(ErrorCode::Io, format!("cannot start a thread: {e}")))?;
        Ok(Self { commands, thread })
    }

    /// Has a task done; the answer is called when it is, and with `closed` when the thread ends
    /// before.
    pub fn ask(&self, task: Task, answer: Answer) {
        let refused = self.commands.send(Command::Do(task, answer));
        if let Err(channel::SendError(Command::Do(_, answer))) = refused {
            answer(Err(closing()));
        }
    }

    /// Tells the thread to end; a job that it is at ends within some ten milliseconds, or when the
    /// disk has synced what it is finishing.
    pub fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
    }

    /// Waits for its end.
    pub fn join(self) {
        let _ = self.thread.join();
    }
}
