//! Records of Prometheus' logs: series, samples, histograms, tombstones; the rest is counted.
//!
//! Source: Prometheus 3.14, `tsdb/record/record.go`.

use super::bytes::Fields;
use super::log::Place;
use crate::error::Result;
use crate::histogram::{CUSTOM_SCHEMA, CounterReset, Counts, Histogram, Layout, Span, Tally};
use crate::labels::encode_pair;
use crate::sample::{NO_START, TimeRange, Times, TimestampMs, is_stale};
use crate::sync::Arc;

const SERIES: u8 = 1;
const SAMPLES: u8 = 2;
const TOMBSTONES: u8 = 3;
const EXEMPLARS: u8 = 4;
const MMAP_MARKERS: u8 = 5;
const METADATA: u8 = 6;
const HISTOGRAMS: u8 = 7;
const FLOAT_HISTOGRAMS: u8 = 8;
const CUSTOM_HISTOGRAMS: u8 = 9;
const CUSTOM_FLOAT_HISTOGRAMS: u8 = 10;
const SAMPLES_V2: u8 = 11;
const HISTOGRAMS_V2: u8 = 12;
const FLOAT_HISTOGRAMS_V2: u8 = 13;

/// Markers of start timestamps: none; that of the sample before; else one of its own follows.
const NO_START_MARKER: u8 = 0;
const SAME_START: u8 = 1;

/// Takes what records hold.
pub trait Visitor {
    /// From here on `series` means these labels (in canonical encoding).
    fn series(&mut self, series: u64, labels: &[u8]) -> Result<()>;
    /// A float sample.
    fn sample(&mut self, series: u64, at: Times, v: f64) -> Result<()>;
    /// What was logged of `series` in `range` so far is deleted.
    fn tombstone(&mut self, series: u64, range: TimeRange) -> Result<()>;
    /// A native histogram sample, not validated.
    fn histogram(&mut self, series: u64, at: Times, h: Histogram) -> Result<()>;
    /// An exemplar.
    fn exemplar(&mut self);
    /// A metadata entry.
    fn metadata(&mut self);
}

/// Hands the contents of a record to `to`.
///
/// # Errors
/// `corruption` for a record that is malformed or of an unknown kind; those of `to`.
pub fn decode(record: &[u8], place: &Place<'_>, to: &mut dyn Visitor) -> Result<()> {
    let mut fields = Fields::new(record, place.path, place.offset.saturating_sub(record.len()));
    match fields.u8()? {
        SERIES => series(fields, to),
        SAMPLES => samples(fields, to),
        SAMPLES_V2 => samples_v2(fields, to),
        TOMBSTONES => {
            while !fields.is_empty() {
                let series = fields.u64()?;
                to.tombstone(series, TimeRange::new(fields.varint()?, fields.varint()?))?;
            }
            Ok(())
        }
        EXEMPLARS => exemplars(fields, to),
        METADATA => metadata(fields, to),
        // Which samples are in chunk files besides: they are in the log all the same.
        MMAP_MARKERS => Ok(()),
        HISTOGRAMS | CUSTOM_HISTOGRAMS => histograms(fields, Kind::Integer, to),
        FLOAT_HISTOGRAMS | CUSTOM_FLOAT_HISTOGRAMS => histograms(fields, Kind::Float, to),
        HISTOGRAMS_V2 => histograms_v2(fields, Kind::Integer, to),
        FLOAT_HISTOGRAMS_V2 => histograms_v2(fields, Kind::Float, to),
        other => Err(fields.wrong(format!("a record of unknown kind {other}"))),
    }
}

fn series(mut fields: Fields<'_>, to: &mut dyn Visitor) -> Result<()> {
    let mut labels = Vec::new();
    while !fields.is_empty() {
        let series = fields.u64()?;
        labels.clear();
        for _ in 0..fields.uvarint()? {
            encode_pair(&mut labels, fields.text()?, fields.text()?);
        }
        to.series(series, &labels)?;
    }
    Ok(())
}

/// The reference and the time from which those of a record are counted.
fn base(fields: &mut Fields<'_>) -> Result<(u64, i64)> {
    Ok((fields.u64()?, fields.u64()? as i64))
}

fn samples(mut fields: Fields<'_>, to: &mut dyn Visitor) -> Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    let (first, t0) = base(&mut fields)?;
    while !fields.is_empty() {
        let series = first.wrapping_add_signed(fields.varint()?);
        let t = t0.wrapping_add(fields.varint()?);
        to.sample(series, t.into(), fields.f64()?)?;
    }
    Ok(())
}

/// What precedes each sample of the records of version 2.
#[derive(Default)]
struct Heads {
    begun: bool,
    series: i64,
    t0: i64,
    start: TimestampMs,
    start0: TimestampMs,
}

impl Heads {
    fn next(&mut self, fields: &mut Fields<'_>) -> Result<(u64, Times)> {
        self.series = self.series.wrapping_add(fields.varint()?);
        let t = self.t0.wrapping_add(fields.varint()?);
        if self.begun {
            self.start = match fields.u8()? {
                NO_START_MARKER => NO_START,
                SAME_START => self.start,
                _ => self.start0.wrapping_add(fields.varint()?),
            };
        } else {
            (self.begun, self.t0) = (true, t);
            self.start0 = fields.varint()?;
            self.start = self.start0;
        }
        Ok((self.series as u64, Times { t, start: self.start }))
    }
}

fn samples_v2(mut fields: Fields<'_>, to: &mut dyn Visitor) -> Result<()> {
    let mut heads = Heads::default();
    while !fields.is_empty() {
        let (series, at) = heads.next(&mut fields)?;
        to.sample(series, at, fields.f64()?)?;
    }
    Ok(())
}

fn exemplars(mut fields: Fields<'_>, to: &mut dyn Visitor) -> Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    base(&mut fields)?;
    while !fields.is_empty() {
        fields.varint()?;
        fields.varint()?;
        fields.f64()?;
        for _ in 0..fields.uvarint()? {
            fields.text()?;
            fields.text()?;
        }
        to.exemplar();
    }
    Ok(())
}

fn metadata(mut fields: Fields<'_>, to: &mut dyn Visitor) -> Result<()> {
    while !fields.is_empty() {
        fields.uvarint()?;
        fields.u8()?;
        for _ in 0..fields.uvarint()? {
            fields.text()?;
            fields.text()?;
        }
        to.metadata();
    }
    Ok(())
}

/// How the counts of a histogram are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Float,
}

fn histograms(mut fields: Fields<'_>, kind: Kind, to: &mut dyn Visitor) -> Result<()> {
    if fields.is_empty() {
        return Ok(());
    }
    let (first, t0) = base(&mut fields)?;
    while !fields.is_empty() {
        let series = first.wrapping_add_signed(fields.varint()?);
        let t = t0.wrapping_add(fields.varint()?);
        to.histogram(series, t.into(), histogram(&mut fields, kind)?)?;
    }
    Ok(())
}

fn histograms_v2(mut fields: Fields<'_>, kind: Kind, to: &mut dyn Visitor) -> Result<()> {
    let mut heads = Heads::default();
    while !fields.is_empty() {
        let (series, at) = heads.next(&mut fields)?;
        to.histogram(series, at, histogram(&mut fields, kind)?)?;
    }
    Ok(())
}

fn histogram(fields: &mut Fields<'_>, kind: Kind) -> Result<Histogram> {
    let hint = u64::from(fields.u8()?);
    let reset = CounterReset::from_number(hint)
        .ok_or_else(|| fields.wrong(format!("counter reset hint {hint}")))?;
    let schema = fields.varint()?;
    let mut layout = Layout {
        schema: i32::try_from(schema).map_err(|_| fields.wrong(format!("schema {schema}")))?,
        zero_threshold: fields.f64()?,
        ..Layout::default()
    };
    let counts = match kind {
        Kind::Integer => {
            let (zero, count, sum) = (fields.uvarint()?, fields.uvarint()?, fields.f64()?);
            (layout.positive, layout.negative) = (spans(fields)?, spans(fields)?);
            let (positive, negative) =
                (list(fields, Fields::varint)?, list(fields, Fields::varint)?);
            (sum, Counts::Integer(Tally::from_deltas(count, zero, &positive, &negative)))
        }
        Kind::Float => {
            let (zero, count, sum) = (fields.f64()?, fields.f64()?, fields.f64()?);
            (layout.positive, layout.negative) = (spans(fields)?, spans(fields)?);
            let (positive, negative) = (list(fields, Fields::f64)?, list(fields, Fields::f64)?);
            (sum, Counts::Float(Tally { count, zero, positive, negative }))
        }
    };
    if layout.schema == CUSTOM_SCHEMA {
        layout.bounds = list(fields, Fields::f64)?;
    }
    let (sum, counts) = counts;
    if is_stale(sum) {
        return Ok(Histogram::stale());
    }
    Ok(Histogram { layout: Arc::new(layout), reset, sum, counts })
}

/// A number of things with their number before them. Each takes a byte at least, so no more memory
/// is taken than there are bytes.
fn list<'a, T>(
    fields: &mut Fields<'a>,
    mut read: impl FnMut(&mut Fields<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = fields.uvarint()?;
    (0..count).map(|_| read(fields)).collect()
}

fn spans(fields: &mut Fields<'_>) -> Result<Vec<Span>> {
    list(fields, |fields| {
        let (offset, length) = (fields.varint()?, fields.uvarint()?);
        match (i32::try_from(offset), u32::try_from(length)) {
            (Ok(offset), Ok(length)) => Ok(Span { offset, length }),
            _ => Err(fields.wrong(format!("a span of {length} buckets at {offset}"))),
        }
    })
}
