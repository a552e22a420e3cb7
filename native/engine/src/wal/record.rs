//! Records: what the payload of a frame says.
//!
//! A payload is a run of sections, each of one kind: `u8 kind | u32 length | content`. Series come
//! before the samples that use them. `FORMAT.md` draws the contents. A sample is a token byte, the
//! step from the previous sample's series and time where the token does not say them, and the high
//! bytes of its value that are not zero: integers and short decimals in binary take two to four
//! bytes instead of eight, and a request that repeats the order of earlier ones needs no more than
//! the token for its series. The other kinds have files of their own.

pub mod exemplars;
pub mod histograms;
pub mod metadata;
pub mod starts;
pub mod tombstones;

use self::exemplars::ExemplarRecord;
use self::metadata::MetadataRecord;
use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::histogram::Histogram;
use crate::refs::{SHARD_COUNT, SeriesRef, TenantId};
use crate::sample::{Times, TimestampMs};

/// The kinds of records. The numbers are on disk. Those that are not written yet have their numbers
/// so that a reader can name what it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// Series and their labels.
    Series = 1,
    /// Float samples.
    Samples = 2,
    /// Native histogram samples.
    Histograms = 3,
    /// Exemplars.
    Exemplars = 4,
    /// Type, unit and help of metrics.
    Metadata = 5,
    /// Deleted ranges.
    Tombstones = 6,
    /// Start timestamps of the samples or histograms of the next section.
    Starts = 7,
}

impl RecordKind {
    /// What the kind of a number is called, for messages about records that cannot be read.
    fn name(number: u8) -> &'static str {
        match number {
            1 => "series",
            2 => "samples",
            3 => "histograms",
            4 => "exemplars",
            5 => "metadata",
            6 => "tombstones",
            7 => "start timestamps",
            _ => "no name yet",
        }
    }
}

/// Bytes before a section's content.
const SECTION_HEADER_BYTES: usize = 5;
/// Room that one sample may need: token, series, time, value are at most 1 + 5 + 10 + 8.
const SAMPLE_ROOM: usize = 32;

/// The token's bits: how many bytes of the value follow.
const VALUE_BYTES_MASK: u8 = 0x0f;
/// The token's bit for "the same time as the previous sample".
const SAME_TIME: u8 = 0x10;
/// Where the token's series step begins.
const STEP_SHIFT: u32 = 5;
/// Series step: a signed varint follows.
const STEP_EXPLICIT: u8 = 0;
/// The largest series step in the token: so many slots ahead in the same shard.
const STEP_MAX: u32 = 6;
/// Series step: the same series.
const STEP_SAME: u8 = 7;

/// Encodes one request: series and samples in any order, joined by [`BatchEncoder::finish`].
pub struct BatchEncoder {
    /// The series section, its header included; empty while there is no series.
    series: Vec<u8>,
    last_defined: u32,
    /// The samples section in `samples[..end]`, its header included; the rest is room.
    samples: Vec<u8>,
    end: usize,
    last_series: u32,
    last_t: TimestampMs,
    /// The histograms section, its header included; empty while there is none.
    histograms: Vec<u8>,
    last_histogram: histograms::Previous,
    /// Of the samples.
    starts: starts::Writer,
    /// Of the histograms.
    histogram_starts: starts::Writer,
}

impl BatchEncoder {
    /// An encoder with room for about `bytes` of samples; 12 a sample are plenty.
    pub fn with_capacity(bytes: usize) -> Self {
        Self {
            series: Vec::new(),
            last_defined: 0,
            samples: vec![0; bytes + SECTION_HEADER_BYTES + SAMPLE_ROOM],
            end: SECTION_HEADER_BYTES,
            last_series: 0,
            last_t: 0,
            histograms: Vec::new(),
            last_histogram: histograms::Previous::default(),
            starts: starts::Writer::default(),
            histogram_starts: starts::Writer::default(),
        }
    }

    /// Defines a series: `canonical` is the canonical encoding of its labels (`labels.rs`).
    pub fn series(&mut self, series: SeriesRef, tenant: TenantId, canonical: &[u8]) {
        if self.series.is_empty() {
            self.series.extend_from_slice(&[0; SECTION_HEADER_BYTES]);
        }
        varint::write_signed(&mut self.series, step(self.last_defined, series.0));
        varint::write(&mut self.series, u64::from(tenant.0));
        varint::write(&mut self.series, canonical.len() as u64);
        self.series.extend_from_slice(canonical);
        self.last_defined = series.0;
    }

    /// Adds a sample. Cheapest when samples of one time are together and series ascend.
    #[inline]
    pub fn sample(&mut self, series: SeriesRef, at: impl Into<Times>, v: f64) {
        let Times { t, start } = at.into();
        self.starts.push(start);
        if self.samples.len() - self.end < SAMPLE_ROOM {
            self.grow();
        }
        let Some(room) = self.samples[self.end..].first_chunk_mut::<SAMPLE_ROOM>() else {
            return; // Not reached: there is room by the lines above.
        };
        let mut used = 1;
        let ahead = series.0.wrapping_sub(self.last_series);
        let step_code = if ahead == 0 {
            STEP_SAME
        } else if ahead.is_multiple_of(SHARD_COUNT as u32)
            && ahead <= STEP_MAX * SHARD_COUNT as u32
            && series.0 > self.last_series
        {
            (ahead / SHARD_COUNT as u32) as u8
        } else {
            used = put(room, used, varint::zigzag(step(self.last_series, series.0)));
            STEP_EXPLICIT
        };
        let mut token = step_code << STEP_SHIFT;
        if t == self.last_t {
            token |= SAME_TIME;
        } else {
            used = put(room, used, varint::zigzag(t.wrapping_sub(self.last_t)));
        }
        let bits = v.to_bits();
        // Zero has 64 trailing zeros, so no byte at all.
        let value_bytes = 8 - (bits.trailing_zeros() / 8) as usize;
        room[used..used + 8].copy_from_slice(&bits.to_be_bytes());
        room[0] = token | value_bytes as u8;
        self.end += used + value_bytes;
        self.last_series = series.0;
        self.last_t = t;
    }

    /// Adds a native histogram sample. Cheapest when histograms of one layout are together.
    pub fn histogram(&mut self, series: SeriesRef, at: impl Into<Times>, h: &Histogram) {
        let Times { t, start } = at.into();
        self.histogram_starts.push(start);
        if self.histograms.is_empty() {
            self.histograms.extend_from_slice(&[0; SECTION_HEADER_BYTES]);
        }
        histograms::write(&mut self.histograms, &mut self.last_histogram, series, t, h);
    }

    #[cold]
    fn grow(&mut self) {
        self.samples.resize(self.samples.len() * 2 + SAMPLE_ROOM, 0);
    }

    /// Bytes that [`BatchEncoder::finish`] makes, about: start timestamps at most.
    pub fn len(&self) -> usize {
        let samples = if self.has_samples() { self.end } else { 0 };
        let starts = self.starts.len() + self.histogram_starts.len();
        self.series.len() + samples + self.histograms.len() + starts
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The payload: all series, then all samples, then all histograms, each in the order in which
    /// they were added. Empty when nothing was.
    pub fn finish(mut self) -> Vec<u8> {
        if self.has_samples() {
            self.samples.truncate(self.end);
            close_section(&mut self.samples, RecordKind::Samples);
        } else {
            self.samples.clear();
        }
        self.starts.finish();
        self.histogram_starts.finish();
        let mut payload = self.series;
        if !payload.is_empty() {
            close_section(&mut payload, RecordKind::Series);
        }
        append_section(&mut payload, RecordKind::Starts, &self.starts.content);
        if payload.is_empty() {
            payload = self.samples;
        } else {
            payload.extend_from_slice(&self.samples);
        }
        if !self.histograms.is_empty() {
            close_section(&mut self.histograms, RecordKind::Histograms);
            append_section(&mut payload, RecordKind::Starts, &self.histogram_starts.content);
            payload.extend_from_slice(&self.histograms);
        }
        payload
    }

    fn has_samples(&self) -> bool {
        self.end > SECTION_HEADER_BYTES
    }
}

fn step(from: u32, to: u32) -> i64 {
    i64::from(to) - i64::from(from)
}

/// Writes a varint at `at` and returns where it ends.
#[inline]
fn put(room: &mut [u8; SAMPLE_ROOM], mut at: usize, mut value: u64) -> usize {
    while value >= 0x80 {
        room[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    room[at] = value as u8;
    at + 1
}

/// Fills in the header that `section` has room for. A section past 4 GiB would get a wrong length,
/// and the log refuses a payload of that size.
fn close_section(section: &mut [u8], kind: RecordKind) {
    let length = (section.len() - SECTION_HEADER_BYTES) as u32;
    section[0] = kind as u8;
    section[1..SECTION_HEADER_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// Appends a section with `content` to a payload, unless it is empty.
fn append_section(payload: &mut Vec<u8>, kind: RecordKind, content: &[u8]) {
    if !content.is_empty() {
        let start = payload.len();
        payload.extend_from_slice(&[0; SECTION_HEADER_BYTES]);
        payload.extend_from_slice(content);
        close_section(&mut payload[start..], kind);
    }
}

/// What [`decode`] calls, in the order of the payload. An error ends the decoding.
pub trait RecordVisitor {
    /// A series is defined; `canonical` is the canonical encoding of its labels, unchecked.
    ///
    /// # Errors
    /// What the visitor finds wrong with it.
    fn series(&mut self, series: SeriesRef, tenant: TenantId, canonical: &[u8]) -> Result<()>;

    /// A sample.
    ///
    /// # Errors
    /// What the visitor finds wrong with it, such as a series that was not defined.
    fn sample(&mut self, series: SeriesRef, at: Times, v: f64) -> Result<()>;

    /// A native histogram sample.
    ///
    /// # Errors
    /// What the visitor finds wrong with it.
    fn histogram(&mut self, series: SeriesRef, at: Times, h: Histogram) -> Result<()>;

    /// An exemplar.
    ///
    /// # Errors
    /// What the visitor finds wrong with it.
    fn exemplar(&mut self, exemplar: ExemplarRecord<'_>) -> Result<()>;

    /// What a metric is.
    ///
    /// # Errors
    /// What the visitor finds wrong with it.
    fn metadata(&mut self, metadata: MetadataRecord<'_>) -> Result<()>;

    /// A delete of what was written before; `encoded` is a tombstone (`tombstone.rs`), unchecked.
    ///
    /// # Errors
    /// What the visitor finds wrong with it.
    fn tombstone(&mut self, encoded: &[u8]) -> Result<()>;
}

/// Reads a payload.
///
/// # Errors
/// `corruption`, without a place, for a record kind that this version does not know (never skipped)
/// and for content that no encoder writes; otherwise what the visitor returns.
pub fn decode<V: RecordVisitor + ?Sized>(payload: &[u8], visitor: &mut V) -> Result<()> {
    let mut rest = payload;
    // Of the next section.
    let mut starts = starts::Reader::default();
    while let [kind, tail @ ..] = rest {
        let split = tail.split_first_chunk::<4>().and_then(|(length, content)| {
            content.split_at_checked(u32::from_le_bytes(*length) as usize)
        });
        let Some((content, next)) = split else {
            return Err(broken("a section is longer than its frame"));
        };
        let is_samples =
            *kind == RecordKind::Samples as u8 || *kind == RecordKind::Histograms as u8;
        if !is_samples && !starts.is_done() {
            return Err(broken("start timestamps are followed by no samples"));
        }
        match *kind {
            kind if kind == RecordKind::Series as u8 => decode_series(content, visitor)?,
            kind if kind == RecordKind::Starts as u8 => starts = starts::Reader::new(content),
            kind if kind == RecordKind::Samples as u8 => {
                decode_samples(content, &mut starts, visitor)?;
            }
            kind if kind == RecordKind::Tombstones as u8 => {
                tombstones::decode(content, |encoded| visitor.tombstone(encoded))?
            }
            kind if kind == RecordKind::Histograms as u8 => {
                decode_histograms(content, &mut starts, visitor)?;
            }
            kind if kind == RecordKind::Exemplars as u8 => {
                exemplars::decode(content, |exemplar| visitor.exemplar(exemplar))?;
            }
            kind if kind == RecordKind::Metadata as u8 => {
                metadata::decode(content, |metadata| visitor.metadata(metadata))?;
            }
            other => {
                let name = RecordKind::name(other);
                return Err(broken(format!(
                    "record kind {other} ({name}) is unknown to this version (knows: 1 to 7); \
                     a newer version of metricstor has written this log"
                )));
            }
        }
        rest = next;
        if is_samples && !starts.is_done() {
            return Err(broken("there are more start timestamps than samples"));
        }
    }
    if starts.is_done() {
        return Ok(());
    }
    Err(broken("start timestamps are followed by no samples"))
}

fn broken(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Corruption, message)
}

fn decode_series<V: RecordVisitor + ?Sized>(content: &[u8], visitor: &mut V) -> Result<()> {
    let mut rest = content;
    let mut last = 0u32;
    while !rest.is_empty() {
        let (series, tenant, canonical, tail) =
            one_series(rest, last).ok_or_else(|| broken("a series record is malformed"))?;
        visitor.series(series, tenant, canonical)?;
        last = series.0;
        rest = tail;
    }
    Ok(())
}

fn one_series(bytes: &[u8], last: u32) -> Option<(SeriesRef, TenantId, &[u8], &[u8])> {
    let (ahead, rest) = varint::read_signed(bytes)?;
    let (tenant, rest) = varint::read(rest)?;
    let (length, rest) = varint::read(rest)?;
    let (canonical, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((SeriesRef(moved(last, ahead)?), TenantId(u32::try_from(tenant).ok()?), canonical, rest))
}

fn decode_samples<V: RecordVisitor + ?Sized>(
    content: &[u8],
    starts: &mut starts::Reader<'_>,
    visitor: &mut V,
) -> Result<()> {
    let mut rest = content;
    let (mut series, mut t) = (0u32, 0i64);
    while !rest.is_empty() {
        let (value, tail) = one_sample(rest, &mut series, &mut t)
            .ok_or_else(|| broken("a sample record is malformed"))?;
        let start = starts.take().ok_or_else(bad_start)?;
        visitor.sample(SeriesRef(series), Times { t, start }, value)?;
        rest = tail;
    }
    Ok(())
}

#[cold]
fn bad_start() -> Error {
    broken("a start timestamp is malformed")
}

fn decode_histograms<V: RecordVisitor + ?Sized>(
    content: &[u8],
    starts: &mut starts::Reader<'_>,
    visitor: &mut V,
) -> Result<()> {
    let (mut rest, mut previous) = (content, histograms::Previous::default());
    while !rest.is_empty() {
        let record = histograms::read(rest, &mut previous)
            .ok_or_else(|| broken("a histogram record is malformed"))?;
        let start = starts.take().ok_or_else(bad_start)?;
        visitor.histogram(record.series, Times { t: record.t, start }, record.h)?;
        rest = record.rest;
    }
    Ok(())
}

#[inline]
fn one_sample<'a>(
    bytes: &'a [u8],
    series: &mut u32,
    t: &mut TimestampMs,
) -> Option<(f64, &'a [u8])> {
    let (token, mut rest) = bytes.split_first()?;
    match token >> STEP_SHIFT {
        STEP_SAME => {}
        STEP_EXPLICIT => {
            let (ahead, tail) = varint::read_signed(rest)?;
            *series = moved(*series, ahead)?;
            rest = tail;
        }
        slots => *series = series.checked_add(u32::from(slots) * SHARD_COUNT as u32)?,
    }
    if token & SAME_TIME == 0 {
        let (ahead, tail) = varint::read_signed(rest)?;
        *t = t.wrapping_add(ahead);
        rest = tail;
    }
    let value_bytes = (token & VALUE_BYTES_MASK) as usize;
    if value_bytes > 8 {
        return None;
    }
    let bits = match rest.first_chunk::<8>() {
        // Eight bytes at once, and those of the next sample masked out.
        Some(bytes) => {
            u64::from_be_bytes(*bytes) & !u64::MAX.checked_shr(value_bytes as u32 * 8).unwrap_or(0)
        }
        None => {
            let mut padded = [0; 8];
            padded[..value_bytes].copy_from_slice(rest.get(..value_bytes)?);
            u64::from_be_bytes(padded)
        }
    };
    Some((f64::from_bits(bits), &rest[value_bytes..]))
}

fn moved(from: u32, ahead: i64) -> Option<u32> {
    u32::try_from(i64::from(from).checked_add(ahead)?).ok()
}

#[cfg(test)]
mod tests;
