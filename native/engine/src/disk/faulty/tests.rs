//! That the test disk is as unkind as it says.

use super::*;

fn write(disk: &FaultyDisk, path: &str, bytes: &[u8]) -> Box<dyn WriteFile> {
    let mut file = disk.create(Path::new(path)).unwrap();
    file.write(bytes).unwrap();
    file
}

#[test]
fn a_crash_keeps_any_subset_of_unsynced_sectors() {
    let disk = FaultyDisk::new();
    let mut file = write(&disk, "/a", &[1; SECTOR]);
    file.sync().unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    file.write(&[2; 3 * SECTOR]).unwrap();
    let mut seen = HashSet::new();
    for seed in 0..200 {
        let after = disk.crash(seed).read(Path::new("/a")).unwrap();
        assert_eq!(after[..SECTOR], [1; SECTOR]);
        seen.insert(after.chunks(SECTOR).skip(1).map(|s| s[0]).collect::<Vec<_>>());
    }
    assert!(seen.contains(&vec![]), "all lost");
    assert!(seen.contains(&vec![0, 0, 2]), "a hole");
    assert!(seen.contains(&vec![2, 2, 2]), "all kept");
}

#[test]
fn a_name_is_durable_only_after_its_directory_was_synced() {
    let disk = FaultyDisk::new();
    write(&disk, "/a", b"x").sync().unwrap();
    let survives = |disk: &FaultyDisk| {
        (0..50).filter(|seed| disk.crash(*seed).exists(Path::new("/a"))).count()
    };
    assert!((1..50).contains(&survives(&disk)));
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(survives(&disk), 50);
    disk.remove_file(Path::new("/a")).unwrap();
    assert!((1..50).contains(&survives(&disk)));
}

#[test]
fn a_sync_after_a_failed_one_does_not_bring_the_data_back() {
    let disk = FaultyDisk::new();
    let mut file = write(&disk, "/a", &[3; SECTOR]);
    disk.sync_dir(Path::new("/")).unwrap();
    disk.fail_in(0, Fault::Io);
    assert_eq!(file.sync().unwrap_err().code(), ErrorCode::Io);
    file.write(&[4; SECTOR]).unwrap();
    file.sync().unwrap();
    assert_eq!(disk.read(Path::new("/a")).unwrap()[..SECTOR], [3; SECTOR], "still cached");
    let first = |seed| disk.crash(seed).read(Path::new("/a")).unwrap()[0];
    assert!((0..50).any(|seed| first(seed) == 0));
    assert!((0..50).all(|seed| disk.crash(seed).read(Path::new("/a")).unwrap()[SECTOR] == 4));
}

#[test]
fn calls_fail_where_planned_and_all_after_a_power_loss() {
    let disk = FaultyDisk::new();
    disk.fail_in(1, Fault::DiskFull);
    let mut file = disk.create(Path::new("/a")).unwrap();
    assert_eq!(file.write(b"1234").unwrap_err().code(), ErrorCode::DiskFull);
    assert_eq!(disk.read(Path::new("/a")).unwrap(), b"12");
    disk.fail_in(0, Fault::PowerLoss);
    assert!(disk.list(Path::new("/")).is_err());
    assert!(file.sync().is_err());
    assert!(disk.kill().list(Path::new("/")).is_ok());
}

#[test]
fn the_next_call_that_names_a_file_fails_and_no_other() {
    let disk = FaultyDisk::new();
    disk.fail_at("b");
    drop(disk.create(Path::new("/a")).unwrap());
    assert_eq!(disk.rename(Path::new("/b"), Path::new("/c")).unwrap_err().code(), ErrorCode::Io);
    drop(disk.create(Path::new("/b")).unwrap());
    disk.fail_at("b");
    disk.clear_faults();
    assert!(disk.read(Path::new("/b")).is_ok());
}

#[test]
fn a_full_disk_takes_what_fits() {
    let disk = FaultyDisk::new();
    disk.set_capacity(Some(3));
    let mut file = disk.create(Path::new("/a")).unwrap();
    assert_eq!(file.write(b"12345").unwrap_err().code(), ErrorCode::DiskFull);
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 0);
    disk.remove_file(Path::new("/a")).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/")).unwrap(), 3);
}

#[test]
fn a_directory_is_taken_once() {
    let disk = FaultyDisk::new();
    let lock = disk.lock(Path::new("/")).unwrap();
    assert_eq!(disk.lock(Path::new("/")).err().unwrap().code(), ErrorCode::ReadOnly);
    drop(lock);
    disk.lock(Path::new("/")).unwrap();
}
