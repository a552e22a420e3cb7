//! Reads a checkpoint: everything small when it is opened, the slices when they are asked for, by
//! any number of threads.

use std::ops::Range;
use std::path::Path;

use super::contents::{Cursor, Files, malformed, read};
use super::{CHECKPOINT_KIND, Info, path, section};
use crate::codec::checksum;
use crate::disk::Disk;
use crate::disk::sections::{SectionFile, u32_at, u64_at};
use crate::error::{Error, ErrorCode, Result};
use crate::head::chunk_file::ChunkFile;
use crate::head::series::Contents;
use crate::labels::{Labels, encode_pair};
use crate::refs::{Position, SHARD_COUNT, SeriesRef, TenantId};
use crate::run::Run;
use crate::sample::TimeRange;

/// Bytes of a slice in the table.
const SLICE_BYTES: usize = 40;
/// Bytes of the info section.
const INFO_BYTES: usize = 56;

/// A series of a checkpoint.
#[derive(Debug)]
pub struct RestoredSeries {
    /// What the log calls it.
    pub series: SeriesRef,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its labels.
    pub labels: Labels,
    pub(in crate::head) contents: Contents,
}

impl RestoredSeries {
    /// Decodes all of its chunks.
    ///
    /// # Errors
    /// `corruption`, for one in a file with its place.
    pub fn verify(&self) -> Result<()> {
        let parts = self.contents.parts();
        parts.all_sealed().try_for_each(|chunk| chunk.decode(TimeRange::ALL, &mut Run::default()))
    }
}

#[derive(Debug)]
struct Slice {
    shard: usize,
    first_slot: usize,
    position: Position,
    /// In the section of series.
    range: Range<usize>,
    count: u32,
    crc: u32,
}

/// An open checkpoint.
pub struct Checkpoint {
    file: SectionFile,
    info: Info,
    slices: Vec<Slice>,
    slice_slots: usize,
    /// By shard, then by slot / `slice_slots`.
    positions: Vec<Vec<Position>>,
    texts: String,
    /// Where each text ends in `texts`.
    ends: Vec<usize>,
    files: Files,
    numbers: Vec<u64>,
}

impl Checkpoint {
    /// Opens the checkpoint of the head's directory `dir`, if there is one.
    ///
    /// # Errors
    /// `corruption` with file and offset; those of the disk.
    pub fn open(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>> {
        let path = path(dir);
        if !disk.exists(&path) {
            return Ok(None);
        }
        let file = SectionFile::open(disk, &path, CHECKPOINT_KIND)?;
        for name in [section::SYMBOLS, section::SLICES, section::FILES, section::INFO] {
            file.verify_section(name)?;
        }
        let (info, symbols, slice_slots) = read_info(&file)?;
        let (texts, ends) = read_symbols(&file, symbols)?;
        let slices = read_slices(&file)?;
        let mut positions = vec![Vec::new(); SHARD_COUNT];
        for slice in &slices {
            let of_shard: &mut Vec<Position> = &mut positions[slice.shard];
            let at = slice.first_slot / slice_slots;
            if at >= of_shard.len() {
                of_shard.resize(at + 1, Position(0));
            }
            of_shard[at] = slice.position;
        }
        let numbers: Vec<u64> =
            file.section(section::FILES)?.chunks_exact(8).map(|n| u64_at(n, 0)).collect();
        Ok(Some(Self {
            file,
            info,
            slices,
            slice_slots,
            positions,
            texts,
            ends,
            files: Files::new(),
            numbers,
        }))
    }

    /// Opens the chunk files that it names, which [`Checkpoint::read_slice`] needs.
    ///
    /// # Errors
    /// `corruption` for one that is damaged or missing.
    pub fn open_files(&mut self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        for number in &self.numbers {
            let file = ChunkFile::open(disk, dir, *number).map_err(|error| match error.code() {
                ErrorCode::NotFound => self.file.damaged(
                    self.file.len() as usize,
                    format!("the checkpoint needs chunk file {number}, which is missing"),
                ),
                _ => error,
            })?;
            self.files.insert(*number, file);
        }
        Ok(())
    }

    /// What it is of.
    pub fn info(&self) -> Info {
        self.info
    }

    /// The numbers of the chunk files that it needs.
    pub fn files(&self) -> &[u64] {
        &self.numbers
    }

    /// Number of slices.
    pub fn slices(&self) -> usize {
        self.slices.len()
    }

    /// The log position up to which it holds what was written to a series.
    pub fn covers(&self, series: SeriesRef) -> Position {
        let of_shard = &self.positions[series.shard()];
        of_shard.get(series.slot() / self.slice_slots).copied().unwrap_or_default()
    }

    /// Calls `visit` for each series of a slice, slots ascending.
    ///
    /// # Errors
    /// `corruption` with file and offset; whatever `visit` returns.
    pub fn read_slice(
        &self,
        number: usize,
        visit: &mut dyn FnMut(RestoredSeries) -> Result<()>,
    ) -> Result<()> {
        let Some(slice) = self.slices.get(number) else { return Ok(()) };
        let start = self.file.range(section::SERIES)?.start + slice.range.start;
        let bytes = &self.file.section(section::SERIES)?[slice.range.clone()];
        let got = crc32c::crc32c(bytes);
        if !checksum::matches(got, slice.crc) {
            let want = slice.crc;
            let message =
                format!("a slice of the checkpoint has checksum {got:08x}, want {want:08x}");
            return Err(self.file.damaged(start, message));
        }
        let mut rest = Cursor { bytes };
        let mut canonical = Vec::new();
        for _ in 0..slice.count {
            let offset = start + bytes.len() - rest.bytes.len();
            let series = self.one(slice, &mut rest, &mut canonical).map_err(|error| {
                if error.place().is_some() {
                    error
                } else {
                    error.at(self.file.path(), Some(offset as u64))
                }
            })?;
            visit(series)?;
        }
        if rest.bytes.is_empty() {
            return Ok(());
        }
        Err(self.file.damaged(start, "a slice of the checkpoint goes on after its last series"))
    }

    fn one(
        &self,
        slice: &Slice,
        rest: &mut Cursor<'_>,
        canonical: &mut Vec<u8>,
    ) -> Result<RestoredSeries> {
        let slot = slice.first_slot + rest.number()? as usize;
        let series = SeriesRef::pack(slice.shard, slot).ok_or_else(malformed)?;
        let tenant = TenantId(rest.number()?);
        canonical.clear();
        for _ in 0..rest.varint()? {
            let (name, value) = (rest.number()?, rest.number()?);
            encode_pair(canonical, self.text(name)?, self.text(value)?);
        }
        let labels = Labels::from_canonical(canonical).map_err(|_| malformed())?;
        let len = rest.varint()?;
        let contents = read(rest.take(len)?, &self.files)?;
        Ok(RestoredSeries { series, tenant, labels, contents })
    }

    fn text(&self, number: u32) -> Result<&str> {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(Some(0), |n| self.ends.get(n).copied());
        let end = self.ends.get(number).copied();
        start.zip(end).and_then(|(start, end)| self.texts.get(start..end)).ok_or_else(malformed)
    }
}

fn read_info(file: &SectionFile) -> Result<(Info, u32, usize)> {
    let at = file.range(section::INFO)?.start;
    let bytes = file.section(section::INFO)?;
    if bytes.len() != INFO_BYTES {
        let message = format!("info of {} bytes, want {INFO_BYTES}", bytes.len());
        return Err(file.damaged(at, message));
    }
    let info = Info {
        from: Position(u64_at(bytes, 0)),
        replay_from: Position(u64_at(bytes, 8)),
        covered_to: Position(u64_at(bytes, 16)),
        newest: u64_at(bytes, 24) as i64,
        first_newest: u64_at(bytes, 32) as i64,
        samples: u64_at(bytes, 40),
    };
    let (symbols, slice_slots) = (u32_at(bytes, 48), u32_at(bytes, 52) as usize);
    if info.from > info.covered_to || info.replay_from > info.covered_to || slice_slots == 0 {
        return Err(file.damaged(at, format!("the checkpoint contradicts itself: {info:?}")));
    }
    Ok((info, symbols, slice_slots))
}

/// All texts in a row and where each ends.
fn read_symbols(file: &SectionFile, count: u32) -> Result<(String, Vec<usize>)> {
    let at = file.range(section::SYMBOLS)?.start;
    let bytes = file.section(section::SYMBOLS)?;
    let mut rest = Cursor { bytes };
    let mut texts = String::with_capacity(bytes.len());
    let mut ends = Vec::with_capacity((count as usize).min(bytes.len()));
    for number in 0..count {
        let offset = at + bytes.len() - rest.bytes.len();
        let text = rest.varint().and_then(|len| rest.take(len)).ok();
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        let text = text.ok_or_else(|| file.damaged(offset, format!("text {number} is no text")))?;
        texts.push_str(text);
        ends.push(texts.len());
    }
    if rest.bytes.is_empty() {
        return Ok((texts, ends));
    }
    Err(file.damaged(at, format!("more texts than the {count} of the info")))
}

fn read_slices(file: &SectionFile) -> Result<Vec<Slice>> {
    let at = file.range(section::SLICES)?.start;
    let end = file.range(section::SERIES)?.len();
    let table = file.section(section::SLICES)?;
    let damaged = |at: usize, what: &str| -> Error { file.damaged(at, what) };
    if !table.len().is_multiple_of(SLICE_BYTES) {
        return Err(damaged(at, "the table of slices ends inside an entry"));
    }
    let mut slices = Vec::new();
    for (i, entry) in table.chunks_exact(SLICE_BYTES).enumerate() {
        let start = usize::try_from(u64_at(entry, 16)).ok();
        let len = usize::try_from(u64_at(entry, 24)).ok();
        let range = start.zip(len).and_then(|(start, len)| Some(start..start.checked_add(len)?));
        let shard = u32_at(entry, 0) as usize;
        let slice =
            range.filter(|range| range.end <= end && shard < SHARD_COUNT).map(|range| Slice {
                shard,
                first_slot: u32_at(entry, 4) as usize,
                position: Position(u64_at(entry, 8)),
                range,
                count: u32_at(entry, 32),
                crc: u32_at(entry, 36),
            });
        // A slot has 28 bits: a larger one would make the table of positions large as well.
        let slice = slice.filter(|slice| SeriesRef::pack(slice.shard, slice.first_slot).is_some());
        slices.push(
            slice.ok_or_else(|| {
                damaged(at + i * SLICE_BYTES, "a slice lies outside the checkpoint")
            })?,
        );
    }
    Ok(slices)
}
