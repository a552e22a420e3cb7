use super::*;
use crate::disk::os::OsDisk;
use crate::disk::publish::{publish_dir, publish_file, temp_path};

/// A directory with the file `a`, and `d/b` below it, and an overlay over it.
fn over() -> (tempfile::TempDir, OverlayDisk) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a"), "below").unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    std::fs::write(dir.path().join("d/b"), "deep").unwrap();
    let disk = OverlayDisk::new(Arc::new(OsDisk), dir.path());
    (dir, disk)
}

fn names(disk: &dyn Disk, dir: &Path) -> Vec<(String, u64)> {
    disk.list(dir).unwrap().into_iter().map(|entry| (entry.name, entry.len)).collect()
}

fn named(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(name, len)| ((*name).to_owned(), *len)).collect()
}

#[test]
fn what_is_written_is_read_and_leaves_the_disk_below_as_it_is() {
    let (dir, disk) = over();
    let root = dir.path();
    publish_file(&disk, &root.join("new"), b"seven b").unwrap();
    publish_file(&disk, &root.join("a"), b"above").unwrap();
    disk.truncate(&root.join("d/b"), 2).unwrap();
    disk.create_dir(&root.join("x/y")).unwrap();
    assert_eq!(names(&disk, root), named(&[("a", 5), ("d", 0), ("new", 7), ("x", 0)]));
    assert_eq!(disk.read(&root.join("a")).unwrap(), b"above");
    assert_eq!(&*disk.map(&root.join("d/b")).unwrap(), b"de");
    disk.remove_file(&root.join("a")).unwrap();
    assert!(!disk.exists(&root.join("a")));
    assert_eq!(disk.read(&root.join("a")).unwrap_err().code(), ErrorCode::NotFound);
    assert_eq!(names(&OsDisk, root), named(&[("a", 5), ("d", 0)]));
    assert_eq!(OsDisk.read(&root.join("a")).unwrap(), b"below");
    assert_eq!(OsDisk.read(&root.join("d/b")).unwrap(), b"deep");
}

#[test]
fn a_directory_made_anew_has_nothing_of_the_one_below() {
    let (dir, disk) = over();
    let d = dir.path().join("d");
    disk.remove_dir(&d).unwrap();
    assert_eq!(disk.list(&d).unwrap_err().code(), ErrorCode::NotFound);
    assert!(!disk.exists(&d.join("b")));
    disk.create_dir(&d).unwrap();
    assert_eq!(names(&disk, &d), []);
    drop(disk.create(&d.join("b")).unwrap());
    assert_eq!(disk.create(&d.join("b")).err().unwrap().code(), ErrorCode::Io);
    assert_eq!(names(&disk, &d), named(&[("b", 0)]));
}

#[test]
fn names_move_with_what_is_below_them() {
    let (dir, disk) = over();
    let root = dir.path();
    disk.create_dir(&root.join("e")).unwrap();
    disk.rename(&root.join("d"), &root.join("e/f")).unwrap();
    assert!(!disk.exists(&root.join("d")));
    assert_eq!(disk.read(&root.join("e/f/b")).unwrap(), b"deep");
    disk.hard_link(&root.join("a"), &root.join("link")).unwrap();
    assert_eq!(
        disk.hard_link(&root.join("a"), &root.join("link")).unwrap_err().code(),
        ErrorCode::Io
    );
    disk.remove_file(&root.join("a")).unwrap();
    assert_eq!(disk.read(&root.join("link")).unwrap(), b"below");
    let (temp, target) = (temp_path(&root.join("g")), root.join("g"));
    disk.create_dir(&temp.join("h")).unwrap();
    disk.create(&temp.join("h/i")).unwrap().write(b"new").unwrap();
    publish_dir(&disk, &temp, &target).unwrap();
    assert_eq!(disk.read(&target.join("h/i")).unwrap(), b"new");
    assert!(!disk.exists(&temp));
    assert_eq!(names(&OsDisk, root), named(&[("a", 5), ("d", 0)]));
}

#[test]
fn what_lies_elsewhere_is_written_and_nothing_crosses() {
    let (dir, disk) = over();
    let other = tempfile::tempdir().unwrap();
    publish_file(&disk, &other.path().join("copy"), b"real").unwrap();
    assert_eq!(OsDisk.read(&other.path().join("copy")).unwrap(), b"real");
    let crossing = disk.rename(&dir.path().join("a"), &other.path().join("a")).unwrap_err();
    assert_eq!(crossing.code(), ErrorCode::ReadOnly);
    assert!(disk.exists(&dir.path().join("a")));
}
