//! Torn ends, damage, gaps, versions and cuts, as a start finds them.

use super::*;
use crate::disk::WriteFile;
use crate::disk::faulty::Fault;

/// Three segments of synced groups; not closed, so the last group has no proof.
fn three_segments() -> (FaultyDisk, Vec<SegmentFile>, Vec<(u64, Position)>) {
    let disk = disk();
    let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
    for _ in 0..7 {
        rig.group(&[900, 30, 1100]);
    }
    let segments = rig.ledger.segments.lock().clone();
    assert_eq!(segments.len(), 3);
    (disk, segments, rig.answers.logged())
}

fn refusal(disk: &FaultyDisk) -> Error {
    replay_ids(disk, Position(0)).expect_err("the replay must refuse")
}

/// Overwrites the end of a file: keeps `len` bytes and appends `bytes`.
fn rewrite(disk: &FaultyDisk, path: &Path, len: usize, bytes: &[u8]) {
    let mut content = disk.read(path).unwrap();
    content.truncate(len);
    content.extend_from_slice(bytes);
    disk.remove_file(path).unwrap();
    let mut file: Box<dyn WriteFile> = disk.create(path).unwrap();
    file.write(&content).unwrap();
    file.sync().unwrap();
}

#[test]
fn every_frame_comes_back_with_its_position() {
    let (disk, _, logged) = three_segments();
    let (found, positions, recovered) = replay_ids(&disk, Position(0)).unwrap();
    let found: Vec<_> = found.into_iter().zip(positions).collect();
    assert_eq!(found, logged);
    assert_eq!((recovered.frames, recovered.torn_bytes), (21, 0));
}

#[test]
fn only_frames_that_end_past_the_wanted_position_are_visited() {
    let (disk, _, logged) = three_segments();
    for (index, (_, end)) in logged.iter().enumerate() {
        let found = replay_ids(&disk.kill(), *end).unwrap().0;
        assert_eq!(found.len(), logged.len() - index - 1);
    }
}

#[test]
fn an_absent_directory_is_an_empty_log_that_goes_on_where_it_is_told() {
    let disk = FaultyDisk::new();
    let (found, _, recovered) = replay_ids(&disk, Position(777)).unwrap();
    assert_eq!((found.len(), recovered.end), (0, Position(777)));
    let wal =
        Wal::open(Arc::new(disk.clone()), options(SyncPolicy::Always), &recovered, Generation(0))
            .unwrap();
    let answers = Answers::default();
    wal.submit(Generation(0), answers.entry(0, 10)).unwrap();
    wal.close().unwrap();
    assert_eq!(replay_ids(&disk.crash(1), Position(777)).unwrap().0, [0]);
}

#[test]
fn a_changed_bit_anywhere_before_the_last_group_is_refused_with_its_place() {
    let (disk, segments, logged) = three_segments();
    let last_group = logged[logged.len() - 4].1.0;
    for file in &segments {
        let path = file.path(dir());
        let mut offset = 0;
        while offset < file.bytes && file.start + offset < last_group {
            disk.corrupt(&path, offset as usize, 0x10).unwrap();
            let error = refusal(&disk);
            assert_eq!(error.code(), ErrorCode::Corruption, "{path:?}, offset {offset}");
            let place = error.place().unwrap();
            assert_eq!(place.file, path, "offset {offset}: {error}");
            assert!(place.offset.unwrap() <= offset.max(60), "offset {offset}: {error}");
            disk.corrupt(&path, offset as usize, 0x10).unwrap();
            offset += 7;
        }
    }
    assert_eq!(ids(&disk).len(), logged.len());
}

#[test]
fn after_a_clean_close_every_frame_is_proven() {
    let disk = disk();
    let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
    rig.group(&[100, 50]);
    let end = rig.answers.logged()[1].1.0;
    rig.log.close().unwrap();
    let path = segment::path(dir(), 0);
    for offset in segment::HEADER_BYTES..end {
        disk.corrupt(&path, offset as usize, 1).unwrap();
        assert_eq!(refusal(&disk).code(), ErrorCode::Corruption, "offset {offset}");
        disk.corrupt(&path, offset as usize, 1).unwrap();
    }
    let before = disk.list(dir()).unwrap();
    assert_eq!(ids(&disk), [0, 1]);
    assert_eq!(disk.list(dir()).unwrap(), before, "nothing to log anew");
}

#[test]
fn a_torn_end_is_cut_and_counted_wherever_it_is_torn() {
    let (disk, segments, logged) = three_segments();
    let (last, before_last) = (logged[20].1.0, logged[19].1.0);
    let file = segments[2];
    for keep in (before_last..last).step_by(13) {
        for garbage in [&[][..], &[0; 600][..], &[0xa5; 40][..]] {
            let disk = disk.kill();
            rewrite(&disk, &file.path(dir()), (keep - file.start) as usize, garbage);
            let (found, _, recovered) = replay_ids(&disk, Position(0)).unwrap();
            assert_eq!(found.len(), 20, "{keep}");
            let torn = keep - before_last + garbage.len() as u64;
            assert_eq!(recovered.torn_bytes, torn, "{keep}");
            let again = replay_ids(&disk, Position(0)).unwrap();
            assert_eq!((again.0.len(), again.2.torn_bytes), (20, 0), "{keep}");
        }
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_refused() {
    let (disk, segments, _) = three_segments();
    for file in &segments[..2] {
        let disk = disk.kill();
        disk.remove_file(&file.path(dir())).unwrap();
        let error = refusal(&disk);
        assert_eq!(error.code(), ErrorCode::Corruption);
        assert_eq!(error.place().unwrap().file, file.path(dir()));
    }
}

#[test]
fn a_segment_that_ends_too_early_is_refused() {
    let (disk, segments, _) = three_segments();
    disk.truncate(&segments[0].path(dir()), segments[0].bytes - 1).unwrap();
    assert_eq!(refusal(&disk).code(), ErrorCode::Corruption);
}

#[test]
fn the_header_of_an_empty_segment_proves_what_came_before_it() {
    let (disk, segments, logged) = three_segments();
    drop(Rig::open(&disk, SyncPolicy::Always).unwrap());
    let newest = segment::list(&disk, dir()).unwrap();
    assert_eq!(newest.last().unwrap().bytes, segment::HEADER_BYTES);
    // The last group was logged anew, so its second copy is the one that counts.
    let copy = newest[newest.len() - 2];
    for (file, refused) in [(copy, true), (segments[2], false)] {
        disk.corrupt(&file.path(dir()), file.bytes as usize - 1, 1).unwrap();
        let replayed = replay_ids(&disk.kill(), Position(0));
        assert_eq!(replayed.as_ref().is_err_and(|e| e.code() == ErrorCode::Corruption), refused);
        disk.corrupt(&file.path(dir()), file.bytes as usize - 1, 1).unwrap();
    }
    assert_eq!(ids(&disk).len(), logged.len());
}

#[test]
fn an_unknown_version_is_refused_by_name() {
    let (disk, segments, _) = three_segments();
    let path = segments[2].path(dir());
    disk.corrupt(&path, 8, 0x03).unwrap();
    let error = refusal(&disk);
    assert!(error.message().contains("log format version 2"), "{error}");
}

#[test]
fn an_error_of_the_visitor_gets_the_place_of_the_frame() {
    let (disk, segments, _) = three_segments();
    let mut seen = 0;
    let error = replay(&disk, dir(), Position(0), &mut |_, _| {
        seen += 1;
        if seen < 10 { Ok(()) } else { Err(Error::bad_data("unknown series")) }
    })
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::BadData);
    let place = error.place().unwrap();
    assert_eq!(place.file, segments[1].path(dir()));
    assert!(place.offset.is_some());
}

#[test]
fn data_of_a_failed_sync_that_is_only_cached_becomes_durable_before_it_counts() {
    let disk = disk();
    let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
    rig.group(&[10]);
    disk.fail_in(1, Fault::Io);
    rig.group(&[2000]);
    assert_eq!(rig.answers.codes(), [(1, ErrorCode::Io)]);
    drop(rig);
    // The process is killed; the next one still finds the frame in the cache, and uses it.
    let disk = disk.kill();
    let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
    rig.next_id = 2;
    rig.group(&[10]);
    drop(rig);
    for seed in 0..30 {
        assert_eq!(ids(&disk.crash(seed)), [0, 1, 2], "seed {seed}");
    }
}

#[test]
fn repeated_starts_without_writes_do_not_fill_the_directory() {
    let (disk, _, logged) = three_segments();
    assert_eq!(ids(&disk).len(), logged.len());
    let after_first = disk.list(dir()).unwrap().len();
    for _ in 0..5 {
        assert_eq!(ids(&disk).len(), logged.len());
    }
    assert_eq!(disk.list(dir()).unwrap().len(), after_first);
}

#[test]
fn a_large_unproven_log_is_synced_where_it_is() {
    let disk = disk();
    let mut rig = Rig::open(&disk, SyncPolicy::Off).unwrap();
    for _ in 0..17 {
        rig.group(&[4 << 20]);
    }
    drop(rig);
    let files = disk.list(dir()).unwrap().len();
    assert_eq!(ids(&disk).len(), 17);
    assert_eq!(disk.list(dir()).unwrap().len(), files);
    assert_eq!(ids(&disk.crash(1)).len(), 17);
}

#[test]
fn a_payload_that_looks_like_a_frame_does_not_turn_a_torn_end_into_damage() {
    let disk = disk();
    let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
    rig.group(&[10]);
    // What a client could send if it knew everything but the salt.
    let mut hostile = vec![0; 64];
    crate::codec::frame::write(&mut hostile, 0, 300, b"x");
    let done = Box::new(|_| {});
    rig.log.run(vec![Item::Entry(Entry { payload: hostile, done })]);
    let end = rig.answers.logged()[0].1.0;
    drop(rig);
    disk.corrupt(&segment::path(dir(), 0), end as usize + 4, 1).unwrap();
    assert_eq!(ids(&disk), [0]);
}

#[test]
fn a_cut_removes_whole_segments_and_survives_its_own_interruption() {
    for call in 0..12 {
        let disk = disk();
        let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
        for _ in 0..4 {
            rig.group(&[3000, 2000, 500]);
        }
        let mark = rig.mark();
        rig.log.run(vec![mark]);
        let mark = rig.mark_positions()[0];
        rig.group(&[100]);
        disk.fail_in(call, Fault::PowerLoss);
        let cut = rig.cut(&disk, mark);
        drop(rig);
        for seed in 0..6 {
            let after = disk.crash(seed);
            // The block holds what is below the mark; also when the block is gone, from 0.
            assert_eq!(replay_ids(&after, mark).unwrap().0, [12], "call {call}, seed {seed}");
            let all = replay_ids(&after, Position(0)).unwrap().0;
            assert!(all == [12] || all.len() == 13, "call {call}, seed {seed}: {all:?}");
            assert!(cut.is_err() || all == [12], "call {call}, seed {seed}");
            // The answer agrees with what a replay does, whichever segments are still there.
            let first = first_position(&after, dir()).unwrap().unwrap();
            assert_eq!(first >= mark, all == [12], "call {call}, seed {seed}");
        }
    }
}

#[test]
fn a_cut_never_removes_the_newest_segment() {
    let disk = disk();
    let mut rig = Rig::open(&disk, SyncPolicy::Always).unwrap();
    rig.group(&[100]);
    rig.cut(&disk, Position(u64::MAX)).unwrap();
    assert_eq!(ids(&disk.kill()), [0]);
    rig.group(&[5980]);
    let end = rig.answers.logged()[0].1;
    rig.cut(&disk, Position(end.0 - 1)).unwrap();
    assert_eq!(ids(&disk.kill()), [0, 1], "the cut is inside of the first segment");
    rig.cut(&disk, end).unwrap();
    assert_eq!(ids(&disk.kill()), [1]);
}
