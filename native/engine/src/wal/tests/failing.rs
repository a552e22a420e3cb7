//! What the log does when the disk fails, call by call.

use super::*;
use crate::disk::faulty::Fault;

fn rig(policy: SyncPolicy) -> (FaultyDisk, Rig) {
    let disk = disk();
    let rig = Rig::open(&disk, policy).unwrap();
    (disk, rig)
}

fn segment_names(disk: &FaultyDisk) -> Vec<String> {
    disk.list(dir()).unwrap().into_iter().map(|entry| entry.name).collect()
}

#[test]
fn a_failed_write_fails_its_group_and_the_next_group_gets_a_new_segment() {
    let (disk, mut rig) = rig(SyncPolicy::Always);
    rig.group(&[10, 10]);
    disk.fail_in(0, Fault::Io);
    rig.group(&[600, 600]);
    rig.group(&[10]);
    assert_eq!(rig.answers.logged_ids(), [0, 1, 4]);
    assert_eq!(rig.answers.codes(), [(2, ErrorCode::Io), (3, ErrorCode::Io)]);
    assert_eq!(segment_names(&disk).len(), 2);
    assert_eq!(rig.ledger.stats(0).failures, 1);
    let segments = segment::list(&disk, dir()).unwrap();
    assert!(segments[0].end() <= segments[1].start, "no position is used twice: {segments:?}");
    drop(rig);
    assert_eq!(ids(&disk), [0, 1, 4]);
}

#[test]
fn a_segment_is_never_written_again_after_a_failed_sync() {
    let (disk, mut rig) = rig(SyncPolicy::Always);
    rig.group(&[10]);
    let old = disk.list(dir()).unwrap()[0].clone();
    disk.fail_in(1, Fault::Io);
    rig.group(&[600]);
    let failed = disk.list(dir()).unwrap()[0].len;
    assert!(failed > old.len, "the write went through, the sync did not");
    rig.group(&[10]);
    rig.group(&[10]);
    assert_eq!(disk.list(dir()).unwrap()[0].len, failed);
    assert_eq!(rig.answers.codes(), [(1, ErrorCode::Io)]);
    drop(rig);
    for seed in 0..20 {
        assert_eq!(ids(&disk.crash(seed)), [0, 2, 3], "seed {seed}");
    }
}

#[test]
fn a_full_disk_is_one_attempt_a_group_until_there_is_room() {
    let (disk, mut rig) = rig(SyncPolicy::Always);
    rig.group(&[10]);
    disk.set_capacity(Some(0));
    rig.group(&[500]);
    let mut calls = disk.calls();
    for _ in 0..3 {
        rig.group(&[500, 500]);
        // Create, write, and clear away: twice, as the file may be under either name.
        assert!(disk.calls() - calls <= 4, "{} calls", disk.calls() - calls);
        calls = disk.calls();
    }
    assert_eq!(segment_names(&disk).len(), 1, "attempts leave no files");
    assert!(rig.answers.codes().iter().all(|(_, code)| *code == ErrorCode::DiskFull));
    assert_eq!(rig.answers.codes().len(), 7);
    disk.set_capacity(None);
    rig.group(&[500]);
    assert_eq!(rig.answers.logged_ids(), [0, 8]);
    drop(rig);
    assert_eq!(ids(&disk.crash(1)), [0, 8]);
}

#[test]
fn what_was_answered_and_not_synced_is_logged_anew_before_anything_else() {
    let (disk, mut rig) = rig(INTERVAL);
    rig.group(&[10, 20]);
    rig.log.sync_if_due(later());
    rig.group(&[700, 30]);
    disk.fail_in(0, Fault::Io);
    rig.group(&[40]);
    assert_eq!(rig.answers.logged_ids(), [0, 1, 2, 3]);
    rig.group(&[50]);
    assert_eq!(rig.answers.codes(), [(4, ErrorCode::Io)]);
    drop(rig);
    let (found, positions, _) = replay_ids(&disk, Position(0)).unwrap();
    assert_eq!(found, [0, 1, 2, 3, 5]);
    assert!(positions.is_sorted());
    // The new segment appeared with them, so they are durable although no interval has passed.
    for seed in 0..20 {
        let found = ids(&disk.crash(seed));
        assert_eq!(found[..4], [0, 1, 2, 3], "seed {seed}");
    }
}

#[test]
fn a_failed_interval_sync_is_followed_by_one_attempt_an_interval() {
    let (disk, mut rig) = rig(INTERVAL);
    rig.group(&[600]);
    disk.fail_in(0, Fault::Io);
    rig.log.sync_if_due(later());
    assert_eq!(rig.ledger.stats(0).failures, 1);
    let calls = disk.calls();
    rig.log.sync_if_due(Instant::now());
    assert_eq!(disk.calls(), calls, "not due yet");
    rig.log.sync_if_due(later() + std::time::Duration::from_secs(2));
    for seed in 0..20 {
        assert_eq!(ids(&disk.crash(seed)), [0], "seed {seed}");
    }
}

#[test]
fn too_much_unsynced_data_is_synced_before_the_interval() {
    let (disk, mut rig) = rig(INTERVAL);
    let before = rig.ledger.stats(0).fsyncs;
    rig.log = Log::new(
        Arc::new(disk.clone()),
        WalOptions { segment_bytes: 1 << 30, ..options(INTERVAL) },
        Arc::clone(&rig.ledger),
        replay_ids(&disk, Position(0)).unwrap().2.tail,
        1 << 20,
    );
    for _ in 0..17 {
        rig.group(&[4 << 20]);
    }
    // One for the new segment, one for the bound.
    assert_eq!(rig.ledger.stats(0).fsyncs - before, 2);
}

#[test]
fn policy_off_repeats_nothing_and_keeps_what_was_written() {
    let (disk, mut rig) = rig(SyncPolicy::Off);
    rig.group(&[10, 700]);
    disk.fail_in(0, Fault::DiskFull);
    rig.group(&[30]);
    rig.group(&[40]);
    assert_eq!(rig.answers.codes(), [(2, ErrorCode::DiskFull)]);
    assert_eq!(rig.answers.logged_ids(), [0, 1, 3]);
    drop(rig);
    assert_eq!(ids(&disk.kill()), [0, 1, 3]);
    for seed in 0..50 {
        let found = ids(&disk.crash(seed));
        assert!([0, 1, 3].starts_with(&found), "seed {seed}: {found:?}");
    }
}

#[test]
fn entries_behind_a_failure_fail_up_to_the_next_mark() {
    let (disk, mut rig) = rig(SyncPolicy::Always);
    disk.fail_in(0, Fault::Io);
    let mut group = vec![rig.entry(5990), rig.entry(10), rig.mark()];
    group.push(rig.entry(20));
    rig.log.run(group);
    assert_eq!(rig.answers.codes(), [(0, ErrorCode::Io), (1, ErrorCode::Io)]);
    assert_eq!(rig.answers.logged_ids(), [2]);
    assert_eq!(rig.mark_positions().len(), 1);
}

#[test]
fn a_mark_waits_for_a_segment_and_nothing_passes_it() {
    let (disk, mut rig) = rig(INTERVAL);
    rig.group(&[10]);
    disk.set_capacity(Some(0));
    let mut group = vec![rig.entry(20), rig.mark()];
    group.push(rig.entry(30));
    rig.log.run(group);
    rig.group(&[40]);
    assert!(rig.marks.lock().is_empty());
    disk.set_capacity(None);
    rig.group(&[50]);
    let mark = rig.mark_positions()[0];
    assert_eq!(rig.answers.logged_ids(), [0, 4]);
    let last = rig.answers.logged()[1].1;
    assert!(last > mark);
    drop(rig);
    assert_eq!(ids(&disk), [0, 4]);
    assert_eq!(replay_ids(&disk, mark).unwrap().0, [4], "0 was repeated before the mark");
}

#[test]
fn closing_answers_the_marks_that_still_wait() {
    let (disk, mut rig) = rig(SyncPolicy::Always);
    rig.group(&[10]);
    disk.set_capacity(Some(0));
    let mark = rig.mark();
    rig.log.run(vec![mark]);
    let marks = Arc::clone(&rig.marks);
    assert_eq!(rig.log.close().unwrap_err().code(), ErrorCode::DiskFull);
    assert_eq!(marks.lock()[0].as_ref().unwrap_err().code(), ErrorCode::DiskFull);
}

#[test]
fn a_mark_in_an_empty_segment_needs_no_other() {
    let (disk, mut rig) = rig(SyncPolicy::Always);
    let group = vec![rig.mark(), rig.mark()];
    rig.log.run(group);
    assert_eq!(segment_names(&disk).len(), 1);
    rig.group(&[10]);
    let group = vec![rig.mark()];
    rig.log.run(group);
    let (marks, end) = (rig.mark_positions(), rig.answers.logged()[0].1);
    assert!(marks[0] == marks[1] && marks[1] < end && end <= marks[2], "{marks:?}, {end:?}");
    assert_eq!(segment_names(&disk).len(), 2);
}

#[test]
fn the_log_opens_on_a_full_disk_and_goes_on_when_there_is_room() {
    let disk = disk();
    let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
    rig.group(&[10, 20]);
    drop(rig);
    disk.set_capacity(Some(0));
    let (_, _, recovered) = replay_ids(&disk, Position(0)).unwrap();
    let wal =
        Wal::open(Arc::new(disk.clone()), options(SyncPolicy::Always), &recovered, Generation(1))
            .unwrap();
    let answers = Answers::default();
    let (tell, told) = std::sync::mpsc::channel();
    for id in 2..4 {
        let Entry { payload, done } = answers.entry(id, 100);
        let tell = tell.clone();
        let done = Box::new(move |answer| {
            done(answer);
            tell.send(()).unwrap();
        });
        wal.submit(Generation(1), Entry { payload, done }).unwrap();
        told.recv().unwrap();
        disk.set_capacity(None);
    }
    assert_eq!(answers.codes(), [(2, ErrorCode::DiskFull)]);
    drop(wal);
    assert_eq!(ids(&disk.crash(5)), [0, 1, 3]);
}
