//! The chunk segments of a block: `chunks/000001` and on.
//!
//! A reference is the segment's place in the directory (upper four bytes) and the offset in it.

use std::path::{Path, PathBuf};

use super::bytes::Fields;
use crate::disk::{Disk, FileBytes};
use crate::error::{Error, Result};

/// The first four bytes of a segment.
pub const MAGIC: u32 = 0x85BD_40DD;
/// The only version.
pub const VERSION: u8 = 1;
/// Bytes before the first chunk.
pub const HEADER_BYTES: usize = 8;

/// A chunk as it is stored; its checksum was compared.
#[derive(Debug)]
pub struct RawChunk<'a> {
    /// How it is encoded.
    pub encoding: u8,
    /// Its bytes.
    pub data: &'a [u8],
}

/// The open segments of a block.
pub struct ChunkDir {
    dir: PathBuf,
    segments: Vec<(PathBuf, FileBytes)>,
}

impl ChunkDir {
    /// Maps the segments in `dir`.
    ///
    /// # Errors
    /// `corruption` for a file that is no segment; those of the disk.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let mut segments = Vec::new();
        for entry in disk.list(dir)? {
            if entry.is_dir || !entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
                continue;
            }
            let path = dir.join(&entry.name);
            let bytes = disk.map(&path)?;
            let mut header = Fields::new(&bytes, &path, 0);
            let (magic, version) = (header.u32()?, header.u8()?);
            if (magic, version) != (MAGIC, VERSION) {
                let text = format!(
                    "magic {magic:08x}, version {version}: want {MAGIC:08x}, version {VERSION}"
                );
                return Err(Error::corruption(&path, 0, text));
            }
            segments.push((path, bytes));
        }
        Ok(Self { dir: dir.to_path_buf(), segments })
    }

    /// The chunk at `reference`.
    ///
    /// # Errors
    /// `corruption`.
    pub fn get(&self, reference: u64) -> Result<RawChunk<'_>> {
        let (segment, offset) = ((reference >> 32) as usize, (reference & 0xFFFF_FFFF) as usize);
        let Some((path, bytes)) = self.segments.get(segment) else {
            let text = format!("segment {} of {}", segment + 1, self.segments.len());
            return Err(Error::corruption(&self.dir, 0, text));
        };
        let rest = bytes.get(offset..).unwrap_or_default();
        let mut fields = Fields::new(rest, path, offset.min(bytes.len()));
        let len = fields.size()?;
        let covered = fields.bytes(len.saturating_add(1))?;
        fields.checksum(covered)?;
        let (encoding, data) =
            covered.split_first().ok_or_else(|| Error::internal("a chunk of no bytes was read"))?;
        Ok(RawChunk { encoding: *encoding, data })
    }

    /// Where `reference` points, for errors.
    pub fn place(&self, reference: u64) -> (&Path, u64) {
        let path = self.segments.get((reference >> 32) as usize).map_or(&*self.dir, |s| &*s.0);
        (path, reference & 0xFFFF_FFFF)
    }
}
