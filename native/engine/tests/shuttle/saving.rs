//! What several threads make durable at once, without the rest of an engine: the file of tombstones
//! says in the end what the view says, and a log that was closed is durable and left alone.

use std::path::{Path, PathBuf};

use metricstor_engine::block::tombstones::TombstoneList;
use metricstor_engine::clock::ManualClock;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::head::Head;
use metricstor_engine::options::{Options, SyncPolicy};
use metricstor_engine::read::view::View;
use metricstor_engine::recover::{Layout, create_durably};
use metricstor_engine::refs::{Generation, Position, TenantId};
use metricstor_engine::retention::RetentionPolicy;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::stats::Counters;
use metricstor_engine::store::Store;
use metricstor_engine::sync::{
    Arc, ArcSwap, AtomicBool, AtomicU64, Mutex, Ordering, random, thread,
};
use metricstor_engine::tombstone::Tombstone;
use metricstor_engine::wal::{Entry, Wal, WalOptions, replay};

use crate::explore::{explore, pause};
use crate::publishing::NOW_MS;
use crate::support::like;

const GENERATION: Generation = Generation(1);

fn wal_dir() -> PathBuf {
    PathBuf::from("/data/wal")
}

/// The payloads that the log of a disk has.
fn logged(disk: &FaultyDisk) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut visit = |_, payload: &[u8]| {
        found.push(payload.to_vec());
        Ok(())
    };
    replay(disk, &wal_dir(), Position(0), &mut visit).unwrap();
    found
}

fn open_wal(disk: &FaultyDisk, sync: SyncPolicy) -> Wal {
    let options =
        WalOptions { dir: wal_dir(), sync, segment_bytes: 512, queue_bytes: u64::from(u32::MAX) };
    create_durably(disk, &wal_dir()).unwrap();
    let recovered = replay(disk, &wal_dir(), Position(0), &mut |_, _| Ok(())).unwrap();
    Wal::open(Arc::new(disk.clone()), options, &recovered, GENERATION).unwrap()
}

/// A store without blocks and without threads but that of its log.
fn open_store(disk: &FaultyDisk) -> Store {
    let options = Options::new(Path::new("/data"));
    let layout = Layout::new(&options.dir);
    layout.prepare(disk).unwrap();
    let retention = Arc::new(RetentionPolicy::uniform(options.retention_ms));
    Store {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(ManualClock::new(NOW_MS)),
        head: Arc::new(Head::new([0; 32], options.write, retention.clone())),
        wal: Arc::new(open_wal(disk, SyncPolicy::Off)),
        view: ArcSwap::from_pointee(View::new(GENERATION, GENERATION)),
        saved_tombstones: Mutex::default(),
        retention,
        replaced: Mutex::default(),
        removal: Mutex::default(),
        counters: Counters::default(),
        last_failure: Mutex::default(),
        quarantined: Mutex::default(),
        layout,
        options,
    }
}

/// What a delete does when its record is logged.
fn bury(store: &Store, position: Position) {
    let tombstone = Arc::new(Tombstone {
        tenant: TenantId(0),
        matchers: vec![like("job", "a")],
        range: TimeRange::ALL,
    });
    store.replace_view(|view| {
        let with_this = view.tombstones.with(position, &[tombstone]);
        view.with_tombstones(Arc::new(with_this))
    });
    store.save_tombstones().unwrap();
}

#[test]
fn a_saved_tombstone_stays_saved_whoever_else_saves() {
    explore(100, || {
        let disk = FaultyDisk::new();
        let store = open_store(&disk);
        let done = AtomicBool::new(false);
        let is_saved = |position: u64| {
            let file = TombstoneList::read(&disk, &store.layout.blocks).unwrap();
            (1..=position).all(|saved| file.has(Position(saved)))
        };
        thread::scope(|scope| {
            // A flush, a checkpoint, and whoever forgets what is not needed any more.
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        store.save_tombstones().unwrap();
                        shuttle::thread::yield_now();
                    }
                });
            }
            for position in 1..5 {
                bury(&store, Position(position));
                for _ in 0..8 {
                    assert!(is_saved(position), "all up to {position} were saved");
                    shuttle::thread::yield_now();
                }
            }
            done.store(true, Ordering::SeqCst);
        });
        assert!(is_saved(4), "the last to save had an older list");
    });
}

#[test]
fn a_closed_log_has_answered_is_durable_and_is_left_alone() {
    explore(60, || {
        let disk = FaultyDisk::new();
        let policies = [SyncPolicy::Always, SyncPolicy::IntervalMs(1000), SyncPolicy::Off];
        let wal = open_wal(&disk, policies[random() as usize % policies.len()]);
        let (taken, answered) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        thread::scope(|scope| {
            for writer in 0..3u8 {
                let (wal, taken, answered) = (&wal, &taken, &answered);
                scope.spawn(move || {
                    for n in 0..5 {
                        let answered = answered.clone();
                        let done = Box::new(move |logged: Result<_, _>| {
                            assert!(logged.is_ok());
                            answered.fetch_add(1, Ordering::SeqCst);
                        });
                        let entry = Entry { payload: vec![writer, n], done };
                        if wal.submit(GENERATION, entry).is_ok() {
                            taken.fetch_add(1, Ordering::SeqCst);
                        }
                    }
                });
            }
            pause();
            wal.close().unwrap();
            // Somebody else may open the directory from here on.
            let (before, calls) = (answered.load(Ordering::SeqCst), disk.calls());
            let found = logged(&disk.crash(random())).len() as u64;
            pause();
            assert_eq!(disk.calls(), calls, "nobody touches it any more");
            assert_eq!(found, before, "what was answered is durable, and nothing else is there");
            assert_eq!(answered.load(Ordering::SeqCst), before, "nobody is answered later");
        });
        assert_eq!(taken.into_inner(), answered.load(Ordering::SeqCst), "all are answered");
    });
}
