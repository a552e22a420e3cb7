//! Tests of the whole log, on the disk that forgets. Those that need an exact order of calls drive
//! the log without its thread.

mod crashing;
mod failing;
mod replaying;
mod threaded;

use std::path::Path;
use std::time::Instant;

use super::log_thread::{Ledger, Log};
use super::queue::{Item, Mark};
use super::*;
use crate::disk::faulty::FaultyDisk;

fn dir() -> &'static Path {
    Path::new("/data/wal")
}

fn options(sync: SyncPolicy) -> WalOptions {
    WalOptions { dir: dir().to_path_buf(), sync, segment_bytes: 6000, queue_bytes: 1 << 20 }
}

const INTERVAL: SyncPolicy = SyncPolicy::IntervalMs(1000);

/// A payload that says which it is, in a way that damage shows.
fn payload(id: u64, bytes: usize) -> Vec<u8> {
    let mut payload = id.to_le_bytes().to_vec();
    payload.extend((8..bytes).map(|i| (id as usize * 31 + i) as u8));
    payload
}

/// A disk with a durable `/data/wal`.
fn disk() -> FaultyDisk {
    let disk = FaultyDisk::new();
    disk.create_dir(dir()).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/data")).unwrap();
    disk
}

type Answer = (u64, Result<Position>);
type MarkAnswer = Result<(Generation, Position)>;

/// What was answered, in the order of the answers.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Vec<Answer>>>);

impl Answers {
    fn entry(&self, id: u64, bytes: usize) -> Entry {
        let answers = self.clone();
        let done = Box::new(move |answer| answers.0.lock().push((id, answer)));
        Entry { payload: payload(id, bytes), done }
    }

    fn all(&self) -> Vec<Answer> {
        self.0.lock().clone()
    }

    /// The entries that were answered with success, and where they end.
    fn logged(&self) -> Vec<(u64, Position)> {
        self.all().into_iter().filter_map(|(id, answer)| Some((id, answer.ok()?))).collect()
    }

    fn logged_ids(&self) -> Vec<u64> {
        self.logged().iter().map(|(id, _)| *id).collect()
    }

    fn codes(&self) -> Vec<(u64, ErrorCode)> {
        let failed = |(id, answer): Answer| Some((id, answer.err()?.code()));
        self.all().into_iter().filter_map(failed).collect()
    }
}

/// Replays from `from` and returns the ids with their positions.
fn replay_ids(disk: &FaultyDisk, from: Position) -> Result<(Vec<u64>, Vec<Position>, Recovered)> {
    let (mut ids, mut positions) = (Vec::new(), Vec::new());
    let recovered = replay(disk, dir(), from, &mut |position, bytes| {
        let id = u64::from_le_bytes(*bytes.first_chunk().unwrap());
        assert_eq!(bytes, payload(id, bytes.len()), "payload of {id}");
        ids.push(id);
        positions.push(position);
        Ok(())
    })?;
    Ok((ids, positions, recovered))
}

fn ids(disk: &FaultyDisk) -> Vec<u64> {
    replay_ids(disk, Position(0)).unwrap().0
}

/// A log without its thread.
struct Rig {
    log: Log,
    ledger: Arc<Ledger>,
    answers: Answers,
    marks: Arc<Mutex<Vec<MarkAnswer>>>,
    next_id: u64,
}

impl Rig {
    /// Replays and opens as [`Wal::open`] does.
    fn open(disk: &FaultyDisk, policy: SyncPolicy) -> Result<Self> {
        let recovered = replay_ids(disk, Position(0))?.2;
        publish::sweep(disk, dir())?;
        let ledger = Arc::new(Ledger::default());
        ledger.segments.lock().clone_from(&recovered.segments);
        let mut log = Log::new(
            Arc::new(disk.clone()),
            options(policy),
            Arc::clone(&ledger),
            recovered.tail,
            recovered.end.0,
        );
        log.open_segment()?;
        let (answers, marks) = (Answers::default(), Arc::default());
        Ok(Self { log, ledger, answers, marks, next_id: 0 })
    }

    fn entry(&mut self, bytes: usize) -> Item {
        let id = self.next_id;
        self.next_id += 1;
        Item::Entry(self.answers.entry(id, bytes))
    }

    fn mark(&self) -> Item {
        let marks = Arc::clone(&self.marks);
        let at = Box::new(move |mark| marks.lock().push(mark));
        Item::Mark(Mark { generation: Generation(7), at })
    }

    /// Logs one group of entries of these sizes.
    fn group(&mut self, sizes: &[usize]) {
        let group = sizes.iter().map(|bytes| self.entry(*bytes)).collect();
        self.log.run(group);
    }

    fn cut(&self, disk: &FaultyDisk, below: Position) -> Result<()> {
        cut::remove_below(disk, dir(), &self.ledger.segments, below.0)
    }

    fn mark_positions(&self) -> Vec<Position> {
        self.marks.lock().iter().filter_map(|m| m.as_ref().ok().map(|(_, p)| *p)).collect()
    }
}

fn later() -> Instant {
    Instant::now() + std::time::Duration::from_secs(3600)
}
