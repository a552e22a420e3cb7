//! The log with its thread and with many writers.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::disk::os::OsDisk;

const PATIENCE: Duration = Duration::from_secs(20);

fn open(disk: &FaultyDisk, options: WalOptions, generation: u32) -> Wal {
    let recovered = replay_ids(disk, Position(0)).unwrap().2;
    Wal::open(Arc::new(disk.clone()), options, &recovered, Generation(generation)).unwrap()
}

/// An entry that keeps the log thread in its callback until the sender is dropped or sends.
fn blocker(wal: &Wal) -> mpsc::Sender<()> {
    let (entered, inside) = mpsc::channel();
    let (release, wait) = mpsc::channel::<()>();
    let done = Box::new(move |_: Result<Position>| {
        entered.send(()).unwrap();
        let _ = wait.recv_timeout(PATIENCE);
    });
    let entry = Entry { payload: payload(u64::MAX, 8), done };
    wal.submit(wal.generation(), entry).unwrap();
    inside.recv_timeout(PATIENCE).unwrap();
    release
}

#[test]
fn everything_that_waits_shares_one_sync() {
    let disk = disk();
    let wal = open(&disk, WalOptions { segment_bytes: 1 << 20, ..options(SyncPolicy::Always) }, 0);
    let answers = Answers::default();
    let release = blocker(&wal);
    let before = wal.stats();
    for id in 0..100 {
        wal.submit(Generation(0), answers.entry(id, 50)).unwrap();
    }
    assert_eq!(wal.stats().queue_bytes, 100 * 50 + 8);
    drop(release);
    wal.close().unwrap();
    let after = wal.stats();
    assert_eq!(after.fsyncs - before.fsyncs, 1);
    assert_eq!(after.frames - before.frames, 100);
    assert_eq!(after.queue_bytes, 0);
    assert_eq!(answers.logged_ids(), (0..100).collect::<Vec<_>>());
}

#[test]
fn many_writers_and_rotations_keep_one_order() {
    let disk = disk();
    let wal = Arc::new(open(&disk, options(SyncPolicy::Always), 3));
    let marks = Arc::new(Mutex::new(Vec::new()));
    // Generation and end of every entry, in the order of the answers.
    let ends = Arc::new(Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            let (wal, ends) = (&wal, &ends);
            scope.spawn(move || {
                for i in 0..250 {
                    let id = writer * 1000 + i;
                    loop {
                        let generation = wal.generation();
                        let ends = Arc::clone(ends);
                        let done = Box::new(move |answer: Result<Position>| {
                            ends.lock().push((generation, id, answer.unwrap()));
                        });
                        match wal.submit(generation, Entry { payload: payload(id, 60), done }) {
                            Ok(()) => break,
                            Err(Refused::Stale(_)) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
        for _ in 0..20 {
            let marks = Arc::clone(&marks);
            wal.rotate(Box::new(move |mark| marks.lock().push(mark.unwrap()))).unwrap();
            std::thread::yield_now();
        }
    });
    wal.close().unwrap();
    let (marks, ends) = (marks.lock().clone(), ends.lock().clone());
    assert_eq!(marks.len(), 20);
    assert!(marks.is_sorted());
    for (generation, id, end) in &ends {
        for (begun, mark) in &marks {
            let before = end <= mark;
            assert_eq!(before, generation < begun, "{id} of {generation:?} at {end:?}, {mark:?}");
        }
    }
    let (found, positions, _) = replay_ids(&disk, Position(0)).unwrap();
    assert_eq!(found, ends.iter().map(|e| e.1).collect::<Vec<_>>());
    assert_eq!(positions, ends.iter().map(|e| e.2).collect::<Vec<_>>());
}

#[test]
fn an_entry_of_an_older_generation_comes_back() {
    let disk = disk();
    let wal = open(&disk, options(SyncPolicy::Always), 0);
    let release = blocker(&wal);
    wal.rotate(Box::new(|_| {})).unwrap();
    assert_eq!(wal.generation(), Generation(1));
    let answers = Answers::default();
    let stale = wal.submit(Generation(0), answers.entry(5, 30)).unwrap_err();
    assert!(matches!(&stale, Refused::Stale(entry) if entry.payload == payload(5, 30)));
    drop(release);
    wal.close().unwrap();
    assert!(answers.all().is_empty());
}

#[test]
fn a_full_queue_refuses_but_never_a_single_entry() {
    let disk = disk();
    let wal = open(&disk, WalOptions { queue_bytes: 1000, ..options(SyncPolicy::Always) }, 0);
    let answers = Answers::default();
    let release = blocker(&wal);
    wal.submit(Generation(0), answers.entry(0, 900)).unwrap();
    let full = wal.submit(Generation(0), answers.entry(1, 900)).unwrap_err();
    assert!(matches!(full, Refused::Full(_)), "{full:?}");
    drop(release);
    let deadline = Instant::now() + PATIENCE;
    while wal.stats().queue_bytes > 0 {
        assert!(Instant::now() < deadline, "the queue never empties");
        std::thread::yield_now();
    }
    wal.submit(Generation(0), answers.entry(2, 5000)).unwrap();
    wal.close().unwrap();
    assert_eq!(answers.logged_ids(), [0, 2]);
}

#[test]
fn closing_logs_what_waits_and_refuses_the_rest() {
    for policy in [SyncPolicy::Always, SyncPolicy::IntervalMs(3_600_000), SyncPolicy::Off] {
        let disk = disk();
        let wal = open(&disk, options(policy), 0);
        let answers = Answers::default();
        for id in 0..10 {
            wal.submit(Generation(0), answers.entry(id, 40)).unwrap();
        }
        wal.close().unwrap();
        wal.close().unwrap();
        let refused = wal.submit(Generation(0), answers.entry(10, 40)).unwrap_err();
        assert!(matches!(refused, Refused::Closed(_)), "{refused:?}");
        let error = wal.rotate(Box::new(|_| {})).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Closed);
        assert_eq!(answers.logged().len(), 10, "{policy:?}");
        assert_eq!(ids(&disk.crash(9)).len(), 10, "{policy:?}: closing syncs");
    }
}

#[test]
fn closing_from_a_callback_is_refused_instead_of_waiting_for_ever() {
    let disk = disk();
    let wal = Arc::new(open(&disk, options(SyncPolicy::Always), 0));
    let (tell, told) = mpsc::channel();
    let inner = Arc::clone(&wal);
    let done = Box::new(move |_: Result<Position>| tell.send(inner.close()).unwrap());
    wal.submit(Generation(0), Entry { payload: payload(0, 8), done }).unwrap();
    let error = told.recv_timeout(PATIENCE).unwrap().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Internal);
    wal.close().unwrap();
}

#[test]
fn the_interval_syncs_without_further_writes() {
    let disk = disk();
    let wal = open(&disk, options(SyncPolicy::IntervalMs(1)), 0);
    let before = wal.stats().fsyncs;
    wal.submit(Generation(0), Answers::default().entry(0, 2000)).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while wal.stats().fsyncs == before {
        assert!(Instant::now() < deadline, "no sync");
        std::thread::yield_now();
    }
    assert_eq!(ids(&disk.crash(4)), [0]);
}

#[test]
fn the_machine_s_disk_keeps_the_log_over_starts_rotations_and_cuts() {
    let temp = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let options = WalOptions { dir: temp.path().join("wal"), ..options(SyncPolicy::Always) };
    let mut from = Position(0);
    for start in 0..3u64 {
        let mut found = Vec::new();
        let recovered = replay(&*disk, &options.dir, from, &mut |_, payload| {
            found.push(u64::from_le_bytes(*payload.first_chunk().unwrap()));
            Ok(())
        })
        .unwrap();
        let wanted: Vec<u64> = if start == 0 { vec![] } else { vec![start * 100 - 1] };
        assert_eq!(found, wanted);
        let wal = Wal::open(Arc::clone(&disk), options.clone(), &recovered, Generation(0)).unwrap();
        let answers = Answers::default();
        for id in 0..99 {
            wal.submit(Generation(0), answers.entry(start * 100 + id, 300)).unwrap();
        }
        let (tell, told) = mpsc::channel();
        wal.rotate(Box::new(move |mark| tell.send(mark).unwrap())).unwrap();
        wal.submit(Generation(1), answers.entry(start * 100 + 99, 300)).unwrap();
        from = told.recv_timeout(PATIENCE).unwrap().unwrap().1;
        let before = wal.bytes();
        wal.cut(from).unwrap();
        wal.close().unwrap();
        assert_eq!(answers.logged().len(), 100);
        assert!(wal.bytes() < before && wal.bytes() < 1000, "{} bytes", wal.bytes());
        let on_disk: u64 =
            segment::list(&*disk, &options.dir).unwrap().iter().map(|s| s.bytes).sum();
        assert!(on_disk >= wal.bytes());
    }
}
