//! Gorilla chunks: delta-of-delta timestamps and XOR values, one bit each for a regular, unchanged
//! sample.
//!
//! Source: Pelkonen et al., "Gorilla: A Fast, Scalable, In-Memory Time Series Database", VLDB 2015,
//! §4.1. The classes of the timestamps differ from the paper's: they are made for milliseconds.
//!
//! ```text
//! chunk   = varint(count) samples
//! samples = zigzag varint(first time) 64 bits of the first value, then per sample: time value
//! time    = 0                          the delta is the previous one (before the second: 0)
//!         | 10    7 bits               delta - previous delta, two's complement: jitter
//!         | 110   14 bits              a few seconds: a changed interval
//!         | 1110  17 bits              a minute: first deltas, missed scrapes
//!         | 11110 32 bits              24 days: gaps
//!         | 11111 64 bits              anything, modulo 2^64
//! value   = 0                          the bits of the previous value
//!         | 10 bits                    XOR with the previous value, in its window
//!         | 11 5 bits 6 bits bits      leading zeros of a new window, its width (0 means 64), XOR
//! ```
//!
//! Bits go into bytes from the most significant; the last byte is filled with zeros, and nothing
//! follows. All arithmetic is modulo 2^64, so every ascending sequence of `i64` and every `f64`
//! come back by their bits.

mod starts;

use self::starts::StartDecoder;
pub use self::starts::decode_starts;
use crate::chunk::Encoding;
use crate::codec::bits::{self, BitReader, PEEK_BITS};
use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::run::Sink;
use crate::sample::{NO_START, TimeRange, Times, TimestampMs};

/// Widths of the timestamp classes behind the prefixes `10` to `11111`.
const TIME_WIDTHS: [u32; 5] = [7, 14, 17, 32, 64];
/// Bits of a new window's description: leading zeros and width.
const WINDOW_BITS: u32 = 5 + 6;
/// The most leading zeros that 5 bits say.
const LEADING_MAX: u32 = 31;
/// Fewest bits a sample takes after the first: one for the time, one for the value.
const SAMPLE_BITS_MIN: usize = 2;
/// The buffer of an open chunk has a multiple of this many bytes and [`HEAP_BYTES`] fewer: what
/// common allocators give out anyway. A million of them are in memory, so it grows by one step at a
/// time, or by an eighth when that is more.
const STEP_BYTES: usize = 16;
/// What allocators keep beside each piece of memory.
const HEAP_BYTES: usize = 8;
/// The most bytes of the first sample: its time, its value, its start.
const FIRST_BYTES_MAX: usize = 2 * varint::MAX_LEN + 8;

/// An open chunk: 48 bytes and what it has encoded so far. Can be read at any moment.
#[derive(Debug, Clone, Default)]
pub struct Appender {
    /// `samples` of the format in `bytes[..len]`, complete at every moment; the rest is room. What
    /// comes before them in a chunk with start timestamps, `starts.rs` says.
    bytes: Box<[u8]>,
    last_time: TimestampMs,
    /// Modulo 2^64.
    last_delta: u64,
    last_bits: u64,
    len: u32,
    count: u16,
    /// Leading zeros of the window in the upper bits, in the lower 3 the unused bits of the last
    /// byte.
    leading_free: u8,
    /// Bits of an XOR that are written, after the leading zeros; 0 when there is no window yet. The
    /// upper bit is that of `starts.rs`.
    width: u8,
}

/// Bits to be written, as the low ones of a number.
#[derive(Clone, Copy)]
struct Code {
    bits: u128,
    width: u32,
}

impl Code {
    #[inline(always)]
    fn new(bits: u64, width: u32) -> Self {
        Self { bits: u128::from(bits), width }
    }

    #[inline(always)]
    fn then(self, next: Self) -> Self {
        Self { bits: self.bits << next.width | next.bits, width: self.width + next.width }
    }
}

impl Appender {
    /// An empty chunk. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with a chunk that [`Appender::snapshot`] gave: what is appended from now on makes
    /// the bytes that the first appender would have made.
    ///
    /// # Errors
    /// As [`decode`].
    pub fn resume(encoding: Encoding, chunk: &[u8]) -> Result<Self> {
        let (header, samples) = split(chunk)?;
        let has_starts = encoding.has_starts();
        let count = u16::try_from(header.count)
            .map_err(|_| corruption(&format!("an open one of {} samples", header.count)))?;
        if count == 0 {
            let empty = samples.is_empty().then(Self::new);
            return empty.ok_or_else(|| corruption("bytes follow a count of 0"));
        }
        let (decoder, start) = if has_starts {
            let mut decoder = StartDecoder::new(samples)?;
            (1..count).for_each(|_| decoder.advance());
            (decoder.samples, decoder.start)
        } else {
            let mut decoder = Decoder::new(samples)?;
            (1..count).for_each(|_| decoder.advance());
            (decoder, NO_START)
        };
        decoder.check(true)?;
        let free = decoder.reader.bits_left_in_byte();
        let mut appender = Self::default();
        if has_starts {
            appender.begin_starts();
            appender.set_last_start(start);
        }
        appender.last_time = decoder.time;
        appender.last_delta = decoder.delta;
        appender.last_bits = decoder.value;
        appender.count = count;
        appender.leading_free = (decoder.leading as u8) << 3 | free;
        appender.set_window_width(decoder.width as u8);
        appender.reserve(samples.len());
        let start = appender.len as usize;
        let end = start + samples.len();
        appender.bytes[start..end].copy_from_slice(samples);
        appender.len = end as u32;
        // Appending goes on in these bits.
        appender.bytes[end - 1] &= u8::MAX << free;
        Ok(appender)
    }

    /// Appends a sample. The caller sees to it that its time is past [`Appender::last_time`], that
    /// its start is one that [`Appender::takes`], and that there are at most 65,535; a chunk that
    /// breaks the first is refused by [`decode`].
    pub fn append(&mut self, at: impl Into<Times>, v: f64) {
        let Times { t, start } = at.into();
        debug_assert!(self.takes(start), "a start {start} in a chunk without");
        debug_assert!(self.last_time().is_none_or(|last| t > last), "{t} is not past the last");
        let value = v.to_bits();
        if self.count == 0 {
            let mut first = Vec::with_capacity(FIRST_BYTES_MAX);
            varint::write_signed(&mut first, t);
            first.extend_from_slice(&value.to_be_bytes());
            if start != NO_START || self.has_starts() {
                self.begin_starts();
                self.set_last_start(start);
                varint::write_signed(&mut first, start);
            }
            self.reserve(first.len());
            let from = self.len as usize;
            self.bytes[from..from + first.len()].copy_from_slice(&first);
            self.len += first.len() as u32;
        } else {
            let time = self.encode_time(t);
            let value = self.encode_value(value);
            // One push where both fit: all but a gap of weeks.
            if time.width + value.width <= bits::PUSH_BITS_MAX {
                self.push(time.then(value));
            } else {
                self.push(time);
                self.push(value);
            }
            if self.has_starts() {
                self.push_start(start);
            }
        }
        self.last_time = t;
        self.last_bits = value;
        self.count += 1;
    }

    /// Makes room for `more` bytes.
    #[inline]
    fn reserve(&mut self, more: usize) {
        let wanted = self.len as usize + more;
        if wanted > self.bytes.len() {
            self.grow(wanted);
        }
    }

    #[cold]
    fn grow(&mut self, wanted: usize) {
        let wanted = wanted.max(self.bytes.len() + self.bytes.len() / 8);
        let room = (wanted + HEAP_BYTES).next_multiple_of(STEP_BYTES) - HEAP_BYTES;
        let mut bytes = std::mem::take(&mut self.bytes).into_vec();
        bytes.reserve_exact(room - bytes.len());
        bytes.resize(room, 0);
        self.bytes = bytes.into_boxed_slice();
    }

    #[inline]
    fn push(&mut self, code: Code) {
        let free = self.leading_free & 7;
        self.reserve(bits::grown_by(free, code.width));
        let len = self.len as usize;
        let (len, free) = bits::put(&mut self.bytes, len, free, code.bits, code.width);
        self.len = len as u32;
        self.leading_free = self.leading_free & !7 | free;
    }

    fn written(&self) -> &[u8] {
        &self.bytes[self.prefix()..self.len as usize]
    }

    fn encode_time(&mut self, t: TimestampMs) -> Code {
        let delta = t.wrapping_sub(self.last_time) as u64;
        let change = delta.wrapping_sub(self.last_delta) as i64;
        self.last_delta = delta;
        if change == 0 {
            return Code::new(0, 1);
        }
        // Bits that two's complement needs: the significant ones of the magnitude and a sign.
        let needed = 65 - (change ^ (change >> 63)).leading_zeros();
        match TIME_WIDTHS.iter().position(|width| needed <= *width) {
            Some(class @ 0..4) => {
                let width = TIME_WIDTHS[class];
                let ones = class as u32 + 1;
                let prefix = Code::new(((1 << ones) - 1) << 1, ones + 1);
                prefix.then(Code::new(change as u64 & ((1 << width) - 1), width))
            }
            _ => Code::new(0b11111, 5).then(Code::new(change as u64, 64)),
        }
    }

    fn encode_value(&mut self, value: u64) -> Code {
        let xor = value ^ self.last_bits;
        if xor == 0 {
            return Code::new(0, 1);
        }
        let leading = xor.leading_zeros().min(LEADING_MAX);
        let trailing = xor.trailing_zeros();
        let width = 64 - leading - trailing;
        let (old_leading, old_width) =
            (u32::from(self.leading_free >> 3), u32::from(self.window_width()));
        let fits = old_width > 0
            && leading >= old_leading
            && trailing >= 64 - old_leading - old_width
            // One wide XOR must not make all that follow wide: a new window pays for itself.
            && old_width <= width + WINDOW_BITS;
        if fits {
            Code::new(0b10, 2).then(Code::new(xor >> (64 - old_leading - old_width), old_width))
        } else {
            self.leading_free = (leading as u8) << 3 | self.leading_free & 7;
            self.set_window_width(width as u8);
            let header = 0b11 << 5 | u64::from(leading);
            Code::new(header << 6 | u64::from(width % 64), 2 + WINDOW_BITS)
                .then(Code::new(xor >> trailing, width))
        }
    }

    /// Number of samples.
    pub fn count(&self) -> u32 {
        u32::from(self.count)
    }

    /// The time of the first sample; read from the encoding, so that a million series do not each
    /// keep it.
    pub fn first_time(&self) -> Option<TimestampMs> {
        varint::read_signed(self.written()).map(|(t, _)| t)
    }

    /// The time of the last sample.
    pub fn last_time(&self) -> Option<TimestampMs> {
        (self.count > 0).then_some(self.last_time)
    }

    /// The value of the last sample; 0 when there is none.
    pub fn last_value(&self) -> f64 {
        f64::from_bits(self.last_bits)
    }

    /// Bytes that [`Appender::finish`] would return.
    pub fn bytes_len(&self) -> usize {
        varint::len(u64::from(self.count)) + self.written().len()
    }

    /// Bytes of memory it holds beside itself.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The chunk, in exactly the memory it needs.
    pub fn finish(self) -> Box<[u8]> {
        self.snapshot().into_boxed_slice()
    }

    /// The chunk as it is now; appending goes on afterwards.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut chunk = Vec::with_capacity(self.bytes_len());
        varint::write(&mut chunk, u64::from(self.count));
        chunk.extend_from_slice(self.written());
        chunk
    }

    /// Decodes the samples in `range` and appends them to both columns, without a copy of the
    /// chunk.
    ///
    /// # Errors
    /// As [`decode`]; only after times that did not ascend were appended.
    pub fn decode_open(&self, range: TimeRange, sink: &mut Sink<'_>) -> Result<()> {
        if self.has_starts() {
            return starts::decode_samples(self.count(), self.written(), range, sink);
        }
        let Sink { timestamps, values, .. } = sink;
        decode_samples(self.count as usize, self.written(), range, timestamps, values)
    }
}

/// What a chunk says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of samples; no more than the chunk's bytes can hold.
    pub count: u32,
}

/// Reads the header of a chunk.
///
/// # Errors
/// `corruption` when there is none or the chunk is too short for it.
pub fn header(bytes: &[u8]) -> Result<Header> {
    split(bytes).map(|(header, _)| header)
}

fn split(bytes: &[u8]) -> Result<(Header, &[u8])> {
    let (count, samples) =
        varint::read(bytes).ok_or_else(|| corruption("it has no sample count"))?;
    let most = samples.len() * 8 / SAMPLE_BITS_MIN;
    match u32::try_from(count) {
        Ok(count) if count as usize <= most => Ok((Header { count }, samples)),
        _ => Err(corruption(&format!(
            "it claims {count} samples in {} bytes, which hold {most} at most",
            samples.len()
        ))),
    }
}

fn corruption(what: &str) -> Error {
    Error::new(ErrorCode::Corruption, format!("bad Gorilla chunk: {what}"))
}

/// Decodes the samples of a chunk that lie in `range` and appends them to both columns, in
/// ascending time. Costs 4 to 9 ns for each sample up to the end of `range`.
///
/// # Errors
/// `corruption` when the bytes end early, go on after the last sample, or times do not ascend; the
/// columns are then as they were. What lies after `range` is not looked at.
pub fn decode(
    bytes: &[u8],
    range: TimeRange,
    timestamps: &mut Vec<TimestampMs>,
    values: &mut Vec<f64>,
) -> Result<()> {
    let (header, samples) = split(bytes)?;
    decode_samples(header.count as usize, samples, range, timestamps, values)
}

fn decode_samples(
    count: usize,
    samples: &[u8],
    range: TimeRange,
    timestamps: &mut Vec<TimestampMs>,
    values: &mut Vec<f64>,
) -> Result<()> {
    if count == 0 {
        return match samples.len() {
            0 => Ok(()),
            more => Err(corruption(&format!("{more} bytes follow a count of 0"))),
        };
    }
    let mut decoder = Decoder::new(samples)?;
    let mut left = count - 1;
    while decoder.time < range.mint && left > 0 {
        decoder.advance();
        left -= 1;
    }
    let (t_start, v_start) = (timestamps.len(), values.len());
    if range.contains(decoder.time) {
        // Filling memory that exists already is faster than pushing: no capacity check a sample.
        timestamps.resize(t_start + 1 + left, 0);
        values.resize(v_start + 1 + left, 0.0);
        let (ts, vs) = (&mut timestamps[t_start..], &mut values[v_start..]);
        let filled = decoder.fill(range.maxt, ts, vs);
        timestamps.truncate(t_start + filled);
        values.truncate(v_start + filled);
        left -= filled - 1;
    }
    decoder.check(left == 0).inspect_err(|_| {
        timestamps.truncate(t_start);
        values.truncate(v_start);
    })
}

/// Time and value bits of the first sample, and what follows them.
fn first_sample(samples: &[u8]) -> Result<(TimestampMs, u64, &[u8])> {
    let first = varint::read_signed(samples).and_then(|(time, rest)| {
        let (value, rest) = rest.split_first_chunk()?;
        Some((time, u64::from_be_bytes(*value), rest))
    });
    first.ok_or_else(|| {
        let bytes = samples.len();
        corruption(&format!("it ends in its first sample, after {bytes} bytes"))
    })
}

/// The samples of a chunk, one after the other.
struct Decoder<'a> {
    reader: BitReader<'a>,
    /// The current sample.
    time: TimestampMs,
    value: u64,
    delta: u64,
    leading: u32,
    /// Width of the window; 0 when there is none.
    width: u32,
    /// Whether every time so far was past the one before.
    ascending: bool,
}

impl<'a> Decoder<'a> {
    /// A decoder that stands on the first sample.
    fn new(samples: &'a [u8]) -> Result<Self> {
        let (time, value, rest) = first_sample(samples)?;
        Ok(Self::after(time, value, rest))
    }

    /// A decoder that stands on a first sample, and what follows it.
    fn after(time: TimestampMs, value: u64, rest: &'a [u8]) -> Self {
        let reader = BitReader::new(rest);
        Self { reader, time, value, delta: 0, leading: 0, width: 0, ascending: true }
    }

    /// Writes the current sample and the following ones, up to `maxt` or the end of the columns,
    /// and returns how many.
    #[inline(always)]
    fn fill(&mut self, maxt: TimestampMs, ts: &mut [TimestampMs], vs: &mut [f64]) -> usize {
        let len = ts.len();
        for (i, (t, v)) in ts.iter_mut().zip(vs).enumerate() {
            if i > 0 {
                self.advance();
                if self.time > maxt {
                    return i;
                }
            }
            *t = self.time;
            *v = f64::from_bits(self.value);
        }
        len
    }

    /// Moves to the next sample. Past the end it finds zeros, which are valid; see
    /// [`Decoder::check`].
    #[inline(always)]
    fn advance(&mut self) {
        let mut word = self.reader.peek();
        if word >> 62 == 0 {
            // Said apart because a predicted branch, unlike the class below, is no latency.
            self.step();
            return self.reader.skip(2);
        }
        let ones = (!word).leading_zeros();
        let time_bits = match ones {
            0 => 1,
            class @ 1..=4 => {
                let width = TIME_WIDTHS[class as usize - 1];
                let change = (word << (class + 1)) as i64 >> (64 - width);
                self.delta = self.delta.wrapping_add(change as u64);
                class + 1 + width
            }
            _ => {
                self.reader.skip(5);
                self.delta = self.delta.wrapping_add(self.reader.read(64));
                word = self.reader.peek();
                0
            }
        };
        self.step();

        // At least 57 - 37 bits are left of the word, enough for the description of a window.
        word <<= time_bits;
        if word >> 63 == 0 {
            return self.reader.skip(time_bits + 1);
        }
        let mut used = time_bits + 2;
        if word >> 62 == 0b11 {
            self.leading = (word >> 57) as u32 & 31;
            self.width = match (word >> 51) as u32 & 63 {
                0 => 64,
                width => width,
            };
            word <<= WINDOW_BITS;
            used += WINDOW_BITS;
        }
        word <<= 2;
        let end = self.leading + self.width;
        if self.width == 0 || end > 64 {
            // No encoder writes this. The chunk is condemned, decoding goes on to its end.
            self.ascending = false;
            return self.reader.skip(used);
        }
        let xor = if used + self.width <= PEEK_BITS {
            self.reader.skip(used + self.width);
            word >> (64 - self.width)
        } else {
            self.reader.skip(used);
            self.reader.read(self.width)
        };
        self.value ^= xor << (64 - end);
    }

    #[inline(always)]
    fn step(&mut self) {
        let time = self.time.wrapping_add(self.delta as i64);
        self.ascending &= time > self.time;
        self.time = time;
    }

    /// Whether what was decoded is what an encoder wrote; `complete` when it was all.
    fn check(&self, complete: bool) -> Result<()> {
        if self.reader.overran() {
            return Err(corruption("it ends in the middle of a sample"));
        }
        if !self.ascending {
            return Err(corruption("its times do not ascend, or a value has no window"));
        }
        match self.reader.bytes_left() {
            more if complete && more > 0 => {
                Err(corruption(&format!("{more} bytes follow its last sample")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
