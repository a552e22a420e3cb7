//! Targets for files of a data directory: the checkpoint of the head and its chunk files, chunks
//! of a block, exemplars and metadata, and what is small.

use std::path::Path;
use std::sync::Arc;

use metricstor_engine::backup;
use metricstor_engine::block::meta::Meta;
use metricstor_engine::block::{Block, CHUNKS_FILE, INDEX_FILE, META_FILE};
use metricstor_engine::codec::checksum::accepting_any;
use metricstor_engine::disk::Disk;
use metricstor_engine::disk::faulty::FaultyDisk;
use metricstor_engine::head::Head;
use metricstor_engine::head::append::Addressed;
use metricstor_engine::head::checkpoint::Checkpoint;
use metricstor_engine::head::saved::SavedFiles;
use metricstor_engine::options::WriteLimits;
use metricstor_engine::recover::Layout;
use metricstor_engine::refs::Generation;
use metricstor_engine::retention::RetentionPolicy;
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::{Columns, Scope, SelectRequest, SeriesSource};
use metricstor_engine::wal;

use super::{parts, put, sealed};

/// A file of a block of the fixture.
macro_rules! of_block {
    ($name:literal) => {
        include_bytes!(concat!("../../engine/tests/fixtures/directory-v2/blocks/", $name))
    };
}

/// Description and index of a block of Gorilla chunks and of a cold one; both have histograms.
const BLOCKS: [(&[u8], &[u8]); 2] = [
    (
        of_block!("01M3250V00BGHXFXNEH78Y4MD4/meta.json"),
        of_block!("01M3250V00BGHXFXNEH78Y4MD4/index"),
    ),
    (
        of_block!("01M3250V00197BHHT2JVQD7B1K/meta.json"),
        of_block!("01M3250V00197BHHT2JVQD7B1K/index"),
    ),
];

/// Series of a block that are read at a time.
const SERIES_MAX: u32 = 64;

fn empty_head() -> Head {
    let limits = WriteLimits { max_exemplars: 64, max_metadata: 64, ..WriteLimits::default() };
    Head::new([7; 32], limits, Arc::new(RetentionPolicy::uniform(i64::MAX)))
}

/// A checkpoint and a chunk file that it may name: loaded into a head, read, and written behind.
pub fn checkpoint(data: &[u8]) {
    let (disk, dir) = (FaultyDisk::new(), Path::new("/head"));
    disk.create_dir(dir).unwrap();
    let [checkpoint, chunks] = parts(data);
    put(&disk, &dir.join("checkpoint"), checkpoint);
    put(&disk, &dir.join("00000000000000000001.chunks"), chunks);
    accepting_any(|| {
        let Ok(Some(mut checkpoint)) = Checkpoint::open(&disk, dir) else { return };
        if checkpoint.open_files(&disk, dir).is_err() {
            return;
        }
        let head = empty_head();
        let mut found = Vec::new();
        for slice in 0..checkpoint.slices().min(1024) {
            let _ = checkpoint.read_slice(slice, &mut |restored| {
                let _ = checkpoint.covers(restored.series);
                let (series, new) = head.restore_checkpointed(restored)?;
                head.index_restored(&new.into_iter().collect::<Vec<_>>());
                found.push(series);
                Ok(())
            });
        }
        for series in found {
            let sample = Addressed { series, t: 1_790_000_000_000, v: 1.5 };
            head.restore_samples(&vec![sample].into());
            let (generation, mut runs) = (Generation(9), Vec::new());
            let all = head.runs(series, Generation(0), generation, TimeRange::ALL);
            let _ = all.decode(TimeRange::ALL, &mut runs);
        }
    });
}

/// The chunk file of a block under the index of another, which the first byte chooses; every series
/// is read, several at a time and alone. Only the chunk file may be refused: were it the directory
/// or the index, no chunk would ever be read.
pub fn block_chunks(data: &[u8]) {
    let Some((which, chunks)) = data.split_first() else { return };
    let (meta, index) = BLOCKS[usize::from(*which) % BLOCKS.len()];
    let mut meta = Meta::decode(Path::new(META_FILE), meta).unwrap();
    let (disk, dir) = (FaultyDisk::new(), Path::new("/").join(meta.ulid.to_string()));
    disk.create_dir(&dir).unwrap();
    for file in meta.files.iter_mut().filter(|file| file.name == CHUNKS_FILE) {
        file.bytes = chunks.len() as u64;
    }
    put(&disk, &dir.join(META_FILE), meta.encode().unwrap().as_bytes());
    put(&disk, &dir.join(INDEX_FILE), index);
    put(&disk, &dir.join(CHUNKS_FILE), chunks);
    accepting_any(|| {
        let block = match Block::open(Arc::new(disk), &dir) {
            Ok(block) => block,
            Err(error) => return assert!(error.to_string().contains(CHUNKS_FILE), "{error}"),
        };
        let _ = (block.verify(), block.parts());
        let (scope, matchers, range) = (Scope::default(), Vec::new(), TimeRange::ALL);
        let request = SelectRequest { scope, matchers, range };
        let Ok(mut selection) = block.select(&request) else { return };
        let all: Vec<u32> = (0..(selection.len() as u32).min(SERIES_MAX)).collect();
        let mut columns = Columns::default();
        let _ = selection.read(&all, TimeRange::ALL, &mut columns);
        for one in all {
            columns.clear();
            if selection.read(&[one], TimeRange::new(0, 1 << 40), &mut columns).is_ok() {
                assert_eq!(columns.timestamps.len(), columns.values.len());
            }
        }
    });
}

/// The files of exemplars and metadata.
pub fn saved_files(data: &[u8]) {
    let (disk, root) = (FaultyDisk::new(), Path::new("/"));
    let [exemplars, metadata] = parts(data);
    for (name, content) in [("exemplars", exemplars), ("metadata", metadata)] {
        if !content.is_empty() {
            put(&disk, &root.join(name), content);
        }
    }
    accepting_any(|| {
        let head = empty_head();
        if SavedFiles::new(root).restore(&disk, &head).is_err() {
            return;
        }
        let (written, again) = (SavedFiles::new(Path::new("/again")), empty_head());
        disk.create_dir(Path::new("/again")).unwrap();
        written.save(&disk, &head).unwrap();
        written.restore(&disk, &again).unwrap();
        assert_eq!(again.exemplars().counts().0, head.exemplars().counts().0);
        assert_eq!(again.metadata().len(), head.metadata().len());
    });
}

/// The version of the directory, the cut mark of the log, the manifest of a backup.
pub fn small_files(data: &[u8]) {
    let (disk, root) = (FaultyDisk::new(), Path::new("/data"));
    let layout = Layout::new(root);
    let [format, cut, manifest] = parts(data);
    for dir in [root, &layout.wal, Path::new("/backup")] {
        disk.create_dir(dir).unwrap();
    }
    put(&disk, &layout.format_file(), format);
    let _ = layout.read_format(&disk);
    put(&disk, &layout.wal.join("cut"), cut);
    let _ = accepting_any(|| wal::first_position(&disk, &layout.wal));
    put(&disk, &Path::new("/backup").join(backup::MANIFEST_FILE), sealed(manifest).as_bytes());
    let _ = backup::restore(&disk, Path::new("/backup"), Path::new("/restored"));
}
