//! Deleted ranges of a block: `tombstones`, series references with inclusive ranges of time.

use std::collections::HashMap;
use std::path::Path;

use super::bytes::Fields;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::sample::TimeRange;

const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;
/// Magic and version; the checksum covers what follows them.
const HEADER_BYTES: usize = 5;
const CRC_BYTES: usize = 4;

/// The deleted ranges of each series.
#[derive(Debug, Default)]
pub struct Tombstones(HashMap<u64, Vec<TimeRange>>);

impl Tombstones {
    /// Reads the file at `path`; a block without one has no tombstone.
    ///
    /// # Errors
    /// `corruption`; those of the disk.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Self> {
        if !disk.exists(path) {
            return Ok(Self::default());
        }
        let bytes = disk.read(path)?;
        let Some(end) = bytes.len().checked_sub(CRC_BYTES).filter(|end| *end >= HEADER_BYTES)
        else {
            let text = format!("{} bytes, want at least 9", bytes.len());
            return Err(Error::corruption(path, 0, text));
        };
        let mut fields = Fields::new(&bytes[..end], path, 0);
        let (magic, version) = (fields.u32()?, fields.u8()?);
        if (magic, version) != (MAGIC, VERSION) {
            let text = format!(
                "magic {magic:08x}, version {version}: want {MAGIC:08x}, version {VERSION}"
            );
            return Err(Error::corruption(path, 0, text));
        }
        Fields::new(&bytes[end..], path, end).checksum(&bytes[HEADER_BYTES..end])?;
        let mut ranges: HashMap<u64, Vec<TimeRange>> = HashMap::new();
        while !fields.is_empty() {
            let series = fields.uvarint()?;
            let range = TimeRange::new(fields.varint()?, fields.varint()?);
            ranges.entry(series).or_default().push(range);
        }
        Ok(Self(ranges))
    }

    /// The deleted ranges of the series with this reference.
    pub fn of(&self, series: u64) -> &[TimeRange] {
        self.0.get(&series).map_or(&[], Vec::as_slice)
    }
}
