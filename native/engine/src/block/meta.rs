//! `meta.json`: what a block is, what its files are, and which part of the log it holds.
//!
//! Small, readable by people, and checked like every other file: its last member is the CRC32C of
//! all that stands before it. Drawn in `FORMAT.md`, "Blocks".

use std::path::Path;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::disk::sections::FileSummary;
use crate::error::{Error, Result};
use crate::refs::{Position, TenantId};
use crate::sample::{TimeRange, TimestampMs, Window};

/// The version of `meta.json`, and with it of the block, that this build writes and the newest that
/// it reads. [`Meta::tombstones_applied`] is known since version 2.
pub const META_VERSION: u32 = 2;

/// What stands between the JSON that is checked and the checksum.
const CHECKSUM_KEY: &str = ",\n  \"checksum\": \"crc32c:";
/// What stands after the checksum's eight digits.
const CHECKSUM_END: &str = "\"\n}\n";

/// A block's description.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// The version of what follows: at most [`META_VERSION`].
    pub version: u32,
    /// The block's name, which is its directory's.
    #[serde(with = "ulid_text")]
    pub ulid: Ulid,
    /// Whose series it holds.
    #[serde(with = "TenantDef")]
    pub tenant: TenantId,
    /// Time of its first sample.
    pub mint: TimestampMs,
    /// Time of its last sample.
    pub maxt: TimestampMs,
    /// The aligned window that its samples were chosen by.
    #[serde(with = "WindowDef")]
    pub window: Window,
    /// What it holds.
    pub counts: Counts,
    /// Which part of the log it holds.
    pub log: LogRange,
    /// Its place among the blocks of one flush.
    pub flush: FlushPart,
    /// How it was made of other blocks.
    pub compaction: Compaction,
    /// What tombstones at or before this log position delete is not in the block; 0 when it was
    /// written without a look at any. Since version 2.
    #[serde(
        rename = "tombstonesApplied",
        default,
        skip_serializing_if = "is_start",
        with = "PositionDef"
    )]
    pub tombstones_applied: Position,
    /// Its files, `meta.json` apart, by name.
    pub files: Vec<FileEntry>,
}

/// Counts over a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Series.
    pub series: u64,
    /// Samples of all series.
    pub samples: u64,
    /// Chunks of all series.
    pub chunks: u64,
}

/// The half-open range of log positions whose samples (of the block's window) a block holds. It
/// orders overlapping blocks, of which the later wins, and lets replay skip what is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogRange {
    /// Which log the positions belong to.
    pub source: String,
    /// The first position inside.
    #[serde(with = "PositionDef")]
    pub from: Position,
    /// The first position after.
    #[serde(with = "PositionDef")]
    pub to: Position,
}

/// Which of the blocks of a flush this is: a flush is complete when all are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlushPart {
    /// Counts from 0.
    pub part: u32,
    /// How many blocks the flush made.
    pub parts: u32,
}

/// The history of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compaction {
    /// 1 for a flushed block, one more than the greatest of its sources for a merged one.
    pub level: u32,
    /// The blocks it replaces; empty for a flushed block.
    #[serde(with = "ulid_texts")]
    pub sources: Vec<Ulid>,
}

/// A file of a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Its name in the block's directory.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// CRC32C of all of it, as eight hexadecimal digits.
    #[serde(with = "crc_text")]
    pub crc32c: u32,
}

impl FileEntry {
    /// Compares what was read from `path` with the file that this is of.
    ///
    /// # Errors
    /// `corruption` that says what differs.
    pub fn check(&self, path: &Path, content: &[u8]) -> Result<()> {
        let (bytes, crc32c) = (content.len() as u64, crc32c::crc32c(content));
        if (bytes, crc32c) == (self.bytes, self.crc32c) {
            return Ok(());
        }
        let text = format!(
            "{bytes} bytes with checksum {crc32c:08x}, want {} with {:08x}",
            self.bytes, self.crc32c
        );
        Err(Error::corruption(path, 0, text))
    }
}

/// What the maker of a block knows and its writer does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaSeed {
    /// See [`Meta::tenant`].
    pub tenant: TenantId,
    /// See [`Meta::window`]. Every sample lies inside.
    pub window: Window,
    /// See [`Meta::log`].
    pub log: LogRange,
    /// See [`Meta::flush`].
    pub flush: FlushPart,
    /// See [`Meta::compaction`].
    pub compaction: Compaction,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl Meta {
    /// The times of the first and the last sample.
    pub fn range(&self) -> TimeRange {
        TimeRange::new(self.mint, self.maxt)
    }

    /// Orders blocks by their writes: where two have a sample of a series at one time, that of the
    /// greater one is the last write.
    ///
    /// Blocks of one flush end at the same position and share no instant. A merged block may end
    /// there too; it holds the first of them by time, so that the others still come after it.
    pub fn write_order(&self) -> (Position, TimestampMs) {
        (self.log.to, self.window.start)
    }

    /// Whether a flush wrote it, in Gorilla chunks: every other block was written in cold ones.
    pub fn is_flushed(&self) -> bool {
        self.compaction.sources.is_empty()
    }

    /// Bytes of its files, `meta.json` apart.
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Length and checksum of one of the block's files.
    pub fn file(&self, name: &str) -> Option<FileSummary> {
        let entry = self.files.iter().find(|entry| entry.name == name)?;
        Some(FileSummary { bytes: entry.bytes, crc32c: entry.crc32c })
    }

    /// The text of `meta.json`.
    ///
    /// # Errors
    /// `internal` when it cannot be made.
    pub fn encode(&self) -> Result<String> {
        let failed = |what: String| Error::internal(format!("meta.json cannot be written: {what}"));
        let json = serde_json::to_string_pretty(self).map_err(|cause| failed(cause.to_string()))?;
        seal(&json).ok_or_else(|| failed("no closing brace".to_owned()))
    }

    /// Reads the text of `meta.json`; `path` is for errors.
    ///
    /// # Errors
    /// `corruption` for text that is not what was written, and for a version that this build does
    /// not know, which is named.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let json = unseal(path, bytes)?;
        let malformed =
            |cause: serde_json::Error| Error::corruption(path, 0, format!("meta.json: {cause}"));
        let Versioned { version } = serde_json::from_str(&json).map_err(malformed)?;
        if version > META_VERSION {
            let message = format!(
                "block format version {version} is needed, this build knows {META_VERSION}"
            );
            return Err(Error::newer_format(message).at(path, Some(0)));
        }
        if version == 0 {
            return Err(Error::corruption(path, 0, "block format version 0, want at least 1"));
        }
        serde_json::from_str(&json).map_err(malformed)
    }
}

/// Adds its checksum, as last member, to an object that was printed over several lines; `None` when
/// it was not.
pub fn seal(json: &str) -> Option<String> {
    let open = json.strip_suffix("\n}")?;
    let crc = crc32c::crc32c(open.as_bytes());
    Some(format!("{open}{CHECKSUM_KEY}{crc:08x}{CHECKSUM_END}"))
}

/// Compares the checksum that [`seal`] added and returns the object without it.
///
/// # Errors
/// `corruption` when it is not there or another; `path` is for the error.
pub fn unseal(path: &Path, bytes: &[u8]) -> Result<String> {
    let (open, want) = split_checksum(bytes).ok_or_else(|| {
        Error::corruption(path, bytes.len() as u64, "the file does not end in its checksum")
    })?;
    let got = format!("{:08x}", crc32c::crc32c(open.as_bytes()));
    if got != want {
        let message = format!("the file has checksum {got}, want {want}");
        return Err(Error::corruption(path, 0, message));
    }
    Ok(format!("{open}\n}}"))
}

/// Splits the text into what the checksum covers and the checksum's digits.
fn split_checksum(bytes: &[u8]) -> Option<(&str, &str)> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix(CHECKSUM_END)?;
    let (open, digits) = text.split_at_checked(text.len().checked_sub(8)?)?;
    Some((open.strip_suffix(CHECKSUM_KEY)?, digits))
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Window", deny_unknown_fields)]
struct WindowDef {
    start: TimestampMs,
    end: TimestampMs,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Position")]
struct PositionDef(u64);

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_start(position: &Position) -> bool {
    *position == Position(0)
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TenantId")]
struct TenantDef(u32);

/// A ULID as its 26 characters.
mod ulid_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use ulid::Ulid;

    pub fn serialize<S: Serializer>(ulid: &Ulid, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(ulid)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Ulid, D::Error> {
        parse(&String::deserialize(from)?)
    }

    pub fn parse<E: Error>(text: &str) -> Result<Ulid, E> {
        Ulid::from_string(text).map_err(|cause| E::custom(format!("ULID {text:?}: {cause}")))
    }
}

/// A list of ULIDs.
mod ulid_texts {
    use serde::{Deserialize, Deserializer, Serializer};
    use ulid::Ulid;

    pub fn serialize<S: Serializer>(ulids: &[Ulid], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(ulids.iter().map(Ulid::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Ulid>, D::Error> {
        Vec::<String>::deserialize(from)?.iter().map(|text| super::ulid_text::parse(text)).collect()
    }
}

/// A checksum as eight hexadecimal digits.
mod crc_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(crc: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{crc:08x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        let text = String::deserialize(from)?;
        u32::from_str_radix(&text, 16)
            .map_err(|cause| D::Error::custom(format!("checksum {text:?}: {cause}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn meta() -> Meta {
        Meta {
            version: META_VERSION,
            ulid: Ulid::from_parts(1, 2),
            tenant: TenantId(0),
            mint: -5,
            maxt: 7_199_999,
            window: Window { start: -7_200_000, end: 7_200_000 },
            counts: Counts { series: 1, samples: 2, chunks: 1 },
            log: LogRange { source: "log".to_owned(), from: Position(3), to: Position(u64::MAX) },
            flush: FlushPart { part: 0, parts: 1 },
            compaction: Compaction { level: 2, sources: vec![Ulid::from_parts(9, 9)] },
            tombstones_applied: Position(77),
            files: vec![FileEntry { name: "index".to_owned(), bytes: 1, crc32c: 0x0a }],
        }
    }

    fn decode(text: &str) -> Result<Meta> {
        Meta::decode(Path::new("meta.json"), text.as_bytes())
    }

    #[test]
    fn it_reads_what_it_wrote_and_is_json() {
        let text = meta().encode().unwrap();
        assert_eq!(decode(&text).unwrap(), meta());
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["log"]["to"], u64::MAX);
        assert_eq!(json["files"][0]["crc32c"], "0000000a");
    }

    #[test]
    fn a_block_written_without_tombstones_says_nothing_of_them() {
        let plain = Meta { tombstones_applied: Position(0), ..meta() };
        let text = plain.encode().unwrap();
        assert!(!text.contains("tombstonesApplied"), "{text}");
        assert_eq!(decode(&text).unwrap(), plain);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let text = meta().encode().unwrap();
        for at in 0..text.len() {
            let mut bad = text.clone().into_bytes();
            bad[at] ^= 0x20;
            let error = Meta::decode(Path::new("meta.json"), &bad).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corruption, "byte {at}");
        }
    }

    #[test]
    fn a_newer_version_is_named_whatever_else_it_says() {
        let mut newer = meta();
        newer.version = 7;
        let error = decode(&newer.encode().unwrap()).unwrap_err();
        assert!(error.message().contains("version 7 is needed"), "{error}");
    }
}
