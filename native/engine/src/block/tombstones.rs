//! The deletes that blocks are read with, and the file that keeps them: `blocks/tombstones`.
//!
//! A tombstone concerns every block whose log ends at or before its own position, unless the block
//! was rewritten since: a write after a delete is visible, and a generation that ended before the
//! delete and is flushed later is concerned all the same.
//!
//! The log says first that something is deleted. The file says it for as long as blocks need it,
//! which may be much longer than the log is kept: it holds every tombstone before the end of the
//! log of the newest block, as whoever publishes blocks sees to it. It is replaced as a whole
//! (`disk/publish.rs`), and drawn in `FORMAT.md`, "Tombstones".

use std::path::{Path, PathBuf};

use super::meta::Meta;
use crate::codec::{checksum, varint};
use crate::disk::{Disk, publish};
use crate::error::{Error, ErrorCode, Result};
use crate::refs::Position;
use crate::sync::Arc;
use crate::tombstone::Tombstone;

/// The file's name, in the directory of all blocks.
pub const TOMBSTONES_FILE: &str = "tombstones";
/// How it begins.
const MAGIC: [u8; 8] = *b"MSTRtomb";
/// The version of the file that this build writes and the newest that it reads.
const VERSION: u32 = 1;
/// Bytes before the first tombstone: magic, version, count.
const HEADER_BYTES: usize = 16;

/// A tombstone and where the log has it.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The end of its record: what was logged up to here is deleted.
    pub position: Position,
    /// What is deleted.
    pub tombstone: Arc<Tombstone>,
}

impl Placed {
    /// Whether it may concern the samples of a block.
    pub fn concerns(&self, meta: &Meta) -> bool {
        meta.log.to <= self.position
            && meta.tombstones_applied < self.position
            && meta.tenant == self.tombstone.tenant
            && meta.range().overlaps(&self.tombstone.range)
    }
}

/// Tombstones in the order of the log.
#[derive(Debug, Clone, Default)]
pub struct TombstoneList(Vec<Placed>);

impl TombstoneList {
    /// The tombstones, ascending by position.
    pub fn iter(&self) -> impl Iterator<Item = &Placed> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The position of the newest; 0 when there is none. A block that is written from sources that
    /// leave out what this list says has it as its [`Meta::tombstones_applied`].
    pub fn newest(&self) -> Position {
        self.0.last().map_or(Position(0), |last| last.position)
    }

    /// Whether a record that ends at `position` is in the list.
    pub fn has(&self, position: Position) -> bool {
        self.0.binary_search_by_key(&position, |placed| placed.position).is_ok()
    }

    /// The list with the tombstones of one more record.
    #[must_use]
    pub fn with(&self, position: Position, tombstones: &[Arc<Tombstone>]) -> Self {
        let at = self.0.partition_point(|placed| placed.position <= position);
        let added = tombstones.iter().map(|t| Placed { position, tombstone: t.clone() });
        let mut list = self.0.clone();
        list.splice(at..at, added);
        Self(list)
    }

    /// The list without those that no block needs any more; `None` when all are needed.
    ///
    /// Only to be asked when every generation that ended is in a block.
    pub fn needed_by(&self, blocks: &[&Meta]) -> Option<Self> {
        let needed = |placed: &&Placed| blocks.iter().any(|meta| placed.concerns(meta));
        let kept: Vec<Placed> = self.0.iter().filter(needed).cloned().collect();
        (kept.len() < self.0.len()).then_some(Self(kept))
    }

    /// Reads the file in `blocks_dir`; no file is an empty list.
    ///
    /// # Errors
    /// `corruption` with file and offset; those of the disk.
    pub fn read(disk: &dyn Disk, blocks_dir: &Path) -> Result<Self> {
        let path = path(blocks_dir);
        match disk.read(&path) {
            Err(error) if error.code() == ErrorCode::NotFound => Ok(Self::default()),
            bytes => decode(&path, &bytes?),
        }
    }

    /// Makes the list durable in `blocks_dir`.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn publish(&self, disk: &dyn Disk, blocks_dir: &Path) -> Result<()> {
        publish::publish_file(disk, &path(blocks_dir), &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        let mut encoded = Vec::new();
        for placed in &self.0 {
            encoded.clear();
            placed.tombstone.encode(&mut encoded);
            out.extend_from_slice(&placed.position.0.to_le_bytes());
            varint::write(&mut out, encoded.len() as u64);
            out.extend_from_slice(&encoded);
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

fn path(blocks_dir: &Path) -> PathBuf {
    blocks_dir.join(TOMBSTONES_FILE)
}

fn decode(path: &Path, bytes: &[u8]) -> Result<TombstoneList> {
    let wrong = |offset: usize, what: String| Error::corruption(path, offset as u64, what);
    let Some((content, crc)) = bytes.split_last_chunk::<4>() else {
        return Err(wrong(0, format!("tombstones: {} bytes are no file", bytes.len())));
    };
    let Some((header, mut rest)) = content.split_first_chunk::<HEADER_BYTES>() else {
        return Err(wrong(0, format!("tombstones: {} bytes are no file", bytes.len())));
    };
    if header[..8] != MAGIC {
        return Err(wrong(0, "tombstones: the file begins like something else".to_owned()));
    }
    let number =
        |at: usize| header[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let (version, count) = (number(8), number(12));
    if version == 0 || version > VERSION {
        let text = format!("tombstones version {version} is needed, this build knows {VERSION}");
        return Err(wrong(8, text));
    }
    let (got, want) = (crc32c::crc32c(content), u32::from_le_bytes(*crc));
    if !checksum::matches(got, want) {
        let text = format!("tombstones checksum: got {got:08x}, want {want:08x}");
        return Err(wrong(content.len(), text));
    }
    let mut list: Vec<Placed> = Vec::new();
    for _ in 0..count {
        let offset = content.len() - rest.len();
        let (position, encoded, tail) =
            one(rest).ok_or_else(|| wrong(offset, "a tombstone is cut short".to_owned()))?;
        if list.last().is_some_and(|last| last.position > position) {
            return Err(wrong(offset, "tombstones are not in the order of the log".to_owned()));
        }
        let tombstone =
            Tombstone::decode(encoded).map_err(|error| error.at(path, Some(offset as u64)))?;
        list.push(Placed { position, tombstone: Arc::new(tombstone) });
        rest = tail;
    }
    if rest.is_empty() {
        return Ok(TombstoneList(list));
    }
    Err(wrong(content.len() - rest.len(), format!("{} bytes follow the last one", rest.len())))
}

fn one(bytes: &[u8]) -> Option<(Position, &[u8], &[u8])> {
    let (position, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = varint::read(rest)?;
    let (encoded, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((Position(u64::from_le_bytes(*position)), encoded, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::faulty::FaultyDisk;
    use crate::index::matcher::{MatchOp, Matcher};
    use crate::refs::TenantId;
    use crate::sample::TimeRange;

    fn tombstone(value: &str, mint: i64, maxt: i64) -> Arc<Tombstone> {
        Arc::new(Tombstone {
            tenant: TenantId(0),
            matchers: vec![Matcher::new("job", MatchOp::Regex, value).unwrap()],
            range: TimeRange::new(mint, maxt),
        })
    }

    fn list() -> TombstoneList {
        TombstoneList::default()
            .with(Position(70), &[tombstone("b", 0, 9)])
            .with(Position(1 << 40), &[tombstone("c", 5, i64::MAX), tombstone("d|e", 5, 6)])
            .with(Position(7), &[tombstone("a", i64::MIN, 3)])
    }

    fn shown(list: &TombstoneList) -> Vec<(u64, String, TimeRange)> {
        list.iter()
            .map(|p| (p.position.0, p.tombstone.matchers[0].to_string(), p.tombstone.range))
            .collect()
    }

    #[test]
    fn the_list_comes_back_in_the_order_of_the_log() {
        let (disk, dir) = (FaultyDisk::new(), Path::new("/"));
        assert!(TombstoneList::read(&disk, dir).unwrap().is_empty());
        list().publish(&disk, dir).unwrap();
        let back = TombstoneList::read(&disk, dir).unwrap();
        assert_eq!(shown(&back), shown(&list()));
        let positions: Vec<u64> = back.iter().map(|p| p.position.0).collect();
        assert_eq!(positions, [7, 70, 1 << 40, 1 << 40]);
        assert_eq!(back.newest(), Position(1 << 40));
        assert!(back.has(Position(70)) && !back.has(Position(71)));
    }

    #[test]
    fn every_changed_or_missing_byte_is_noticed() {
        let bytes = list().encode();
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            let error = decode(Path::new("t"), &bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corruption, "byte {at}");
            assert!(decode(Path::new("t"), &bytes[..at]).is_err(), "length {at}");
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let one = TombstoneList::default().with(Position(258), &[tombstone("b", -1, 2)]);
        let bytes = one.encode();
        let (content, _) = bytes.split_at(bytes.len() - 4);
        let want = [
            &b"MSTRtomb"[..],
            &[1, 0, 0, 0, 1, 0, 0, 0],
            &[2, 1, 0, 0, 0, 0, 0, 0, 11],
            &[0, 1, 4, 1, 2, 3, b'j', b'o', b'b', 1, b'b'],
        ];
        assert_eq!(content, want.concat());
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = list().encode();
        bytes[8] = 9;
        let error = decode(Path::new("t"), &bytes).unwrap_err();
        assert!(error.message().contains("version 9 is needed"), "{error}");
    }
}
