//! The samples of one series as bytes of a checkpoint, and back.
//!
//! ```text
//! contents = chunks(in order) open chunks(late) samples(late) histograms?
//! chunks   = varint(count) chunk*
//! chunk    = encoding u8, svarint(mint - maxt before, or 0) varint(maxt - mint)
//!            varint(length * 2 + in a file) ( varint(file) varint(offset) | bytes )
//! open     = varint(length) ( encoding u8, bytes )?
//! samples  = varint(count) ( svarint(time - time before, or 0) value u64 )*
//! histograms = chunks(in order) chunks(none, or the open one) chunks(late)
//!            chunks(late samples, one each)
//! ```

use std::collections::HashMap;

use crate::chunk::{Encoding, gorilla, histogram};
use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::head::chunk_file::{ChunkFile, Place};
use crate::head::histograms::{self, Histograms, Value};
use crate::head::sealed::{Held, SealedChunk};
use crate::head::series::{Contents, Late, Parts};
use crate::run::Run;
use crate::sample::{Sample, TimeRange, Times};
use crate::sync::Arc;

/// Chunk files by number.
pub(super) type Files = HashMap<u64, Arc<ChunkFile>>;

/// Appends what `parts` holds.
pub(super) fn write(parts: &Parts<'_>, out: &mut Vec<u8>) {
    write_chunks(parts.sealed, out);
    if parts.open.count() == 0 {
        varint::write(out, 0);
    } else {
        let chunk = parts.open.snapshot();
        varint::write(out, chunk.len() as u64);
        out.push(parts.open.encoding() as u8);
        out.extend_from_slice(&chunk);
    }
    write_chunks(parts.late.map_or(&[], |late| &late.sealed), out);
    let buffer = parts.late.map_or(&[][..], |late| &late.buffer);
    varint::write(out, buffer.len() as u64);
    let mut before = 0i64;
    for sample in buffer {
        varint::write_signed(out, sample.t.wrapping_sub(before));
        out.extend_from_slice(&sample.v.to_bits().to_le_bytes());
        before = sample.t;
    }
    if let Some(histograms) = parts.late.and_then(|late| late.histograms.as_deref()) {
        write_histograms(histograms, out);
    }
}

fn write_histograms(histograms: &Histograms, out: &mut Vec<u8>) {
    write_chunks(&histograms.sealed, out);
    let open = histograms.open.as_ref().and_then(histograms::sealed);
    write_chunks(open.as_slice(), out);
    write_chunks(&histograms.late, out);
    let single = |(at, value): &(Times, Value)| match value {
        Value::Float(v) => {
            let mut chunk = gorilla::Appender::new();
            chunk.append(*at, *v);
            let range = TimeRange::new(at.t, at.t);
            Some(SealedChunk::new(range, chunk.encoding(), chunk.finish()))
        }
        Value::Histogram(h) => {
            let mut chunk = histogram::Appender::new(histogram::encoding_of(h));
            chunk.append(*at, h);
            histograms::sealed(&chunk)
        }
    };
    write_chunks(&histograms.buffer.iter().filter_map(single).collect::<Vec<_>>(), out);
}

fn write_chunks(chunks: &[SealedChunk], out: &mut Vec<u8>) {
    varint::write(out, chunks.len() as u64);
    let mut before = 0i64;
    for chunk in chunks {
        let TimeRange { mint, maxt } = chunk.range;
        out.push(chunk.encoding() as u8);
        varint::write_signed(out, mint.wrapping_sub(before));
        varint::write(out, maxt.wrapping_sub(mint) as u64);
        match chunk.held() {
            Held::Heap(bytes) => {
                varint::write(out, (bytes.len() as u64) << 1);
                out.extend_from_slice(bytes);
            }
            Held::File(file, place) => {
                varint::write(out, u64::from(place.len) << 1 | 1);
                varint::write(out, file.number());
                varint::write(out, u64::from(place.offset));
            }
        }
        before = maxt;
    }
}

/// Reads what [`write`] made of a series, all of `bytes`.
///
/// # Errors
/// `corruption`, without a place, for anything else.
pub(super) fn read(bytes: &[u8], files: &Files) -> Result<Contents> {
    let mut rest = Cursor { bytes };
    let sealed = rest.chunks(files)?;
    let open = match rest.varint()? {
        0 => gorilla::Appender::new(),
        len => match Encoding::from_byte(rest.byte()?)? {
            encoding if encoding.is_histogram() => return Err(malformed()),
            encoding => gorilla::Appender::resume(encoding, rest.take(len)?)?,
        },
    };
    let mut late = Late { sealed: rest.chunks(files)?, ..Late::default() };
    let mut t = 0i64;
    for _ in 0..rest.varint()? {
        t = t.wrapping_add(rest.signed()?);
        let ascending = late.buffer.last().is_none_or(|last: &Sample| last.t < t);
        if !ascending {
            return Err(malformed());
        }
        late.buffer.push(Sample { t, v: f64::from_bits(rest.u64()?) });
    }
    if !rest.bytes.is_empty() {
        late.histograms = Some(Box::new(read_histograms(&mut rest, files)?));
    }
    if !rest.bytes.is_empty() {
        return Err(malformed());
    }
    let is_late = !late.sealed.is_empty() || !late.buffer.is_empty() || late.histograms.is_some();
    Ok(Contents { open, sealed, late: is_late.then(|| Box::new(late)) })
}

fn read_histograms(rest: &mut Cursor<'_>, files: &Files) -> Result<Histograms> {
    let mut histograms = Histograms { sealed: rest.chunks(files)?, ..Histograms::default() };
    for open in rest.chunks(files)? {
        let (run, encoding) = (decoded(&open)?, open.encoding());
        if !encoding.is_histogram() || histograms.open.is_some() {
            return Err(malformed());
        }
        // The appender's state follows from what was appended.
        let mut appender = histogram::Appender::new(encoding);
        let run = run.as_slice();
        for (i, h) in run.histograms.iter().flatten().enumerate() {
            appender.append(run.times_of(i), h);
            histograms.last = Some(Arc::clone(h));
        }
        histograms.open = Some(appender);
    }
    histograms.late = rest.chunks(files)?;
    for single in rest.chunks(files)? {
        let run = decoded(&single)?;
        let &[t] = &run.timestamps[..] else { return Err(malformed()) };
        let at = run.as_slice().times_of(0);
        let ascending = histograms.buffer.last().is_none_or(|last| last.0.t < t);
        if !ascending {
            return Err(malformed());
        }
        let value = run.histograms.into_iter().flatten().next().map(Value::Histogram);
        let float = run.values.first().copied().unwrap_or_default();
        histograms.buffer.push((at, value.unwrap_or(Value::Float(float))));
    }
    Ok(histograms)
}

fn decoded(chunk: &SealedChunk) -> Result<Run> {
    let mut run = Run::default();
    chunk.decode(TimeRange::ALL, &mut run)?;
    Ok(run)
}

/// The error for bytes that no writer makes.
pub(super) fn malformed() -> Error {
    Error::new(ErrorCode::Corruption, "a series of the checkpoint is malformed")
}

/// What is still to be read.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn varint(&mut self) -> Result<u64> {
        let (value, rest) = varint::read(self.bytes).ok_or_else(malformed)?;
        self.bytes = rest;
        Ok(value)
    }

    pub(super) fn number(&mut self) -> Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| malformed())
    }

    fn signed(&mut self) -> Result<i64> {
        self.varint().map(varint::unzigzag)
    }

    fn byte(&mut self) -> Result<u8> {
        let (byte, rest) = self.bytes.split_first().ok_or_else(malformed)?;
        self.bytes = rest;
        Ok(*byte)
    }

    fn u64(&mut self) -> Result<u64> {
        let (bytes, rest) = self.bytes.split_first_chunk().ok_or_else(malformed)?;
        self.bytes = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    pub(super) fn take(&mut self, len: u64) -> Result<&'a [u8]> {
        let len = usize::try_from(len).map_err(|_| malformed())?;
        let (bytes, rest) = self.bytes.split_at_checked(len).ok_or_else(malformed)?;
        self.bytes = rest;
        Ok(bytes)
    }

    fn chunks(&mut self, files: &Files) -> Result<Vec<SealedChunk>> {
        let count = self.varint()?;
        // A chunk takes four bytes at least, so the count cannot ask for much.
        let mut chunks = Vec::with_capacity((count as usize).min(self.bytes.len() / 4));
        let mut before = 0i64;
        for _ in 0..count {
            let encoding = Encoding::from_byte(self.byte()?)?;
            let mint = before.wrapping_add(self.signed()?);
            let maxt = mint.wrapping_add(self.varint()? as i64);
            let range = TimeRange::new(mint, maxt);
            if range.is_empty() {
                return Err(malformed());
            }
            let len_and_place = self.varint()?;
            let len = len_and_place >> 1;
            chunks.push(if len_and_place & 1 == 0 {
                SealedChunk::new(range, encoding, self.take(len)?)
            } else {
                let file = files.get(&self.varint()?).ok_or_else(malformed)?;
                let place = Place {
                    offset: self.number()?,
                    len: u32::try_from(len).map_err(|_| malformed())?,
                };
                if !file.contains(place) {
                    return Err(malformed());
                }
                SealedChunk::in_file(range, encoding, file.clone(), place)
            });
            before = maxt;
        }
        Ok(chunks)
    }
}
