//! Chunks of native histograms, integer and float.
//!
//! ```text
//! chunk  = varint(count) sample*            bits from the most significant, as in gorilla.rs
//! sample = change time [start] count zero sum buckets
//! change = 0                                layout and counter-reset hint are the previous ones
//!        | 1 2 bits: hint, 0                a new hint
//!        | 1 2 bits: hint, 1 layout         a new hint and layout; the first sample has this
//! layout = number(schema) threshold spans(positive) spans(negative)
//!          number(bounds) bound*
//! threshold = 0 (0) | 10 (2^-128, what client libraries use) | 11 64 bits
//! spans  = number(n) (number(offset) number(length))*
//! bound  = 0 number(thousandths) | 1 64 bits
//! time   = number(delta - previous delta), all modulo 2^64
//! start  = the same; in the encodings with start timestamps
//! count, zero: integer, as time; float, as a value of gorilla.rs; sum: as the latter
//! buckets = 0                               each is what its prediction says
//!         | 1 bucket*                       positive ones, then negative ones; as count
//! number = 0 (0) | 10 3 bits | 110 6 | 1110 9 | 11110 12 | 111110 18 | 1111110 25
//!        | 11111110 56 | 11111111 64        two's complement
//! ```
//!
//! The predictions follow Prometheus 3.14, `tsdb/docs/format/chunks.md` ("Histogram chunk data"),
//! for absolute counts instead of differences of neighbouring buckets. What differs: a layout that
//! changes, as it does whenever an observation is the first of its bucket, is written into the
//! chunk, and a bucket that both layouts have keeps its prediction; so a histogram comes back with
//! the very spans it came with, and a chunk need not end. The same for the hint of each sample.
//!
//! After the first sample of a chunk every delta counts as 0, and so does that of a bucket which a
//! layout with another schema or other bounds brings.

mod layout;
mod predict;

use crate::chunk::Encoding;
use crate::codec::bits::BitReader;
use crate::codec::varint;
use crate::error::{Error, ErrorCode, Result};
use crate::histogram::{
    BUCKETS_MAX, CounterReset, Counts, Histogram, Layout, Span, Tally, bucket_count,
};
use crate::run::Sink;
use crate::sample::{NO_START, TimeRange, Times, TimestampMs};
use crate::sync::Arc;

use layout::{read_layout, write_layout};
use predict::{BitWriter, Even, Predictor, Xor};

/// Fewest bits of a sample: one for each of its parts.
const SAMPLE_BITS_MIN: usize = 6;

/// The counts of a histogram over the samples of a chunk.
#[derive(Debug, Clone, Default)]
struct Fields<P> {
    count: P,
    zero: P,
    /// Positive buckets, then negative ones.
    buckets: Vec<P>,
}

impl<P: Predictor> Fields<P> {
    /// Gives the buckets of `new` the predictions of those that `old` had too.
    fn change_layout(&mut self, old: &Layout, new: &Layout) {
        let total = bucket_count(&new.positive) + bucket_count(&new.negative);
        let same_buckets = old.schema == new.schema
            && old.bounds.len() == new.bounds.len()
            && old.bounds.iter().zip(&new.bounds).all(|(a, b)| a.to_bits() == b.to_bits());
        if !same_buckets {
            self.buckets = vec![P::default(); total as usize];
            return;
        }
        let (positive, negative) =
            self.buckets.split_at((bucket_count(&old.positive) as usize).min(self.buckets.len()));
        let mut buckets = Vec::with_capacity(total as usize);
        carry(positive, &old.positive, &new.positive, &mut buckets);
        carry(negative, &old.negative, &new.negative, &mut buckets);
        self.buckets = buckets;
    }

    fn write_counts(&mut self, out: &mut BitWriter, tally: &Tally<P::Value>) {
        self.count.write(out, tally.count);
        self.zero.write(out, tally.zero);
    }

    fn write_buckets(&mut self, out: &mut BitWriter, tally: &Tally<P::Value>) {
        let values = || tally.positive.iter().chain(&tally.negative);
        let predicted = self.buckets.iter().zip(values()).all(|(bucket, v)| bucket.predicts(*v));
        out.push(u64::from(!predicted), 1);
        for (bucket, value) in self.buckets.iter_mut().zip(values()) {
            if predicted {
                bucket.step();
            } else {
                bucket.write(out, *value);
            }
        }
    }

    fn read_buckets(
        &mut self,
        reader: &mut BitReader<'_>,
        tally: &mut Tally<P::Value>,
        split: u64,
    ) {
        let written = reader.read(1) == 1;
        let (positive, negative) = self.buckets.split_at_mut(split as usize);
        for (buckets, values) in [(positive, &mut tally.positive), (negative, &mut tally.negative)]
        {
            values.extend(
                buckets.iter_mut().map(
                    |bucket| {
                        if written { bucket.read(reader) } else { bucket.step() }
                    },
                ),
            );
        }
    }

    fn settle(&mut self) {
        self.count.settle();
        self.zero.settle();
        self.buckets.iter_mut().for_each(P::settle);
    }
}

/// The absolute index of each bucket of `spans`.
fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> {
    let runs = spans.iter().scan(0i64, |next, span| {
        let start = next.wrapping_add(i64::from(span.offset));
        *next = start.wrapping_add(i64::from(span.length));
        Some(start..*next)
    });
    runs.flatten()
}

fn carry<P: Predictor>(from: &[P], old: &[Span], new: &[Span], to: &mut Vec<P>) {
    let mut known = indexes(old).zip(from).peekable();
    for index in indexes(new) {
        while known.next_if(|(at, _)| *at < index).is_some() {}
        let found = known.next_if(|(at, _)| *at == index);
        to.push(found.map_or_else(P::default, |(_, predictor)| predictor.clone()));
    }
}

#[derive(Debug, Clone)]
enum Numbers {
    Integer(Fields<Even>),
    Float(Fields<Xor>),
}

/// What the samples before leave behind for the next one; alike in encoder and decoder.
#[derive(Debug, Clone)]
struct State {
    time: Even,
    /// Start timestamps; only of encodings that have them.
    start: Even,
    reset: CounterReset,
    layout: Arc<Layout>,
    sum: Xor,
    numbers: Numbers,
}

impl State {
    fn new(encoding: Encoding) -> Self {
        let numbers = match encoding {
            Encoding::FloatHistogram | Encoding::FloatHistogramStarts => {
                Numbers::Float(Fields::default())
            }
            _ => Numbers::Integer(Fields::default()),
        };
        let reset = CounterReset::Unknown;
        let (time, start) = (Even::default(), Even::default());
        Self { time, start, reset, layout: Arc::default(), sum: Xor::default(), numbers }
    }

    fn change_layout(&mut self, new: Arc<Layout>) {
        match &mut self.numbers {
            Numbers::Integer(fields) => fields.change_layout(&self.layout, &new),
            Numbers::Float(fields) => fields.change_layout(&self.layout, &new),
        }
        self.layout = new;
    }

    fn settle(&mut self) {
        self.time.settle();
        self.start.settle();
        match &mut self.numbers {
            Numbers::Integer(fields) => fields.settle(),
            Numbers::Float(fields) => fields.settle(),
        }
    }
}

/// The encoding of chunks that hold histograms of the kind of `h` without start timestamps.
pub fn encoding_of(h: &Histogram) -> Encoding {
    match h.counts {
        Counts::Integer(_) => Encoding::IntHistogram,
        Counts::Float(_) => Encoding::FloatHistogram,
    }
}

/// An open chunk. Can be read at any moment.
#[derive(Debug, Clone)]
pub struct Appender {
    encoding: Encoding,
    out: BitWriter,
    count: u32,
    /// Buckets of all samples.
    buckets: u64,
    first_time: TimestampMs,
    state: State,
}

impl Appender {
    /// An empty chunk for histograms of one kind: the encoding of [`encoding_of`], or that with
    /// start timestamps.
    pub fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            out: BitWriter::default(),
            count: 0,
            buckets: 0,
            first_time: 0,
            state: State::new(encoding),
        }
    }

    /// The encoding of the chunk.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether `h` may be appended: it is of the chunk's kind, `start` needs no other encoding
    /// (an empty chunk may still change to one), and all samples together have at most
    /// [`BUCKETS_MAX`] buckets, which bounds what a chunk of few bytes decodes to.
    pub fn takes(&self, h: &Histogram, start: TimestampMs) -> bool {
        let kind = encoding_of(h);
        let starts_fit = start == NO_START || self.count == 0 || self.encoding.has_starts();
        (kind == self.encoding || kind.with_starts() == self.encoding)
            && starts_fit
            && self.buckets + h.bucket_count() as u64 <= BUCKETS_MAX
    }

    /// Appends a sample and says whether it could: see [`Appender::takes`]. The caller sees to it
    /// that `t` is past [`Appender::last_time`] and that `h` is valid.
    pub fn append(&mut self, at: impl Into<Times>, h: &Histogram) -> bool {
        let Times { t, start } = at.into();
        if !self.takes(h, start) {
            return false;
        }
        if start != NO_START {
            self.encoding = self.encoding.with_starts();
        }
        self.buckets += h.bucket_count() as u64;
        let (out, state) = (&mut self.out, &mut self.state);
        let same_layout = Arc::ptr_eq(&h.layout, &state.layout) || h.layout == state.layout;
        if self.count > 0 && same_layout && h.reset == state.reset {
            out.push(0, 1);
        } else {
            let new_layout = self.count == 0 || !same_layout;
            out.push(1 << 3 | (h.reset as u64) << 1 | u64::from(new_layout), 4);
            state.reset = h.reset;
            if new_layout {
                write_layout(out, &h.layout);
                state.change_layout(Arc::clone(&h.layout));
            }
        }
        state.time.write(out, t as u64);
        if self.encoding.has_starts() {
            state.start.write(out, start as u64);
        }
        match (&mut state.numbers, &h.counts) {
            (Numbers::Integer(fields), Counts::Integer(tally)) => {
                fields.write_counts(out, tally);
                state.sum.write(out, h.sum);
                fields.write_buckets(out, tally);
            }
            (Numbers::Float(fields), Counts::Float(tally)) => {
                fields.write_counts(out, tally);
                state.sum.write(out, h.sum);
                fields.write_buckets(out, tally);
            }
            // Not reached: the encoding is the kind's, by the lines above.
            _ => return false,
        }
        if self.count == 0 {
            self.first_time = t;
            state.settle();
        }
        self.count += 1;
        true
    }

    /// Number of samples.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The times of the first and the last sample.
    pub fn range(&self) -> Option<TimeRange> {
        (self.count > 0).then(|| TimeRange::new(self.first_time, self.state.time.value as i64))
    }

    /// The time of the last sample.
    pub fn last_time(&self) -> Option<TimestampMs> {
        self.range().map(|range| range.maxt)
    }

    /// The start of the last sample; [`NO_START`] when there is none.
    pub fn last_start(&self) -> TimestampMs {
        self.state.start.value as TimestampMs
    }

    /// Bytes that [`Appender::snapshot`] would return.
    pub fn bytes_len(&self) -> usize {
        varint::len(u64::from(self.count)) + self.out.bytes.len()
    }

    /// The chunk as it is now; appending goes on afterwards.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut chunk = Vec::with_capacity(self.bytes_len());
        varint::write(&mut chunk, u64::from(self.count));
        chunk.extend_from_slice(&self.out.bytes);
        chunk
    }
}

/// Decodes the samples of a chunk that lie in `range`, in ascending time.
///
/// # Errors
/// `corruption` when the bytes end early or hold what no encoder writes.
pub fn decode(
    encoding: Encoding,
    bytes: &[u8],
    range: TimeRange,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let (count, rest) =
        varint::read(bytes).ok_or_else(|| corruption("it has no number of samples"))?;
    if count > (rest.len() * 8 / SAMPLE_BITS_MIN) as u64 {
        return Err(corruption(format!("{count} samples in {} bytes", rest.len())));
    }
    let mut reader = BitReader::new(rest);
    let mut state = State::new(encoding);
    let mut last = None;
    let mut buckets = 0;
    for n in 0..count {
        read_change(&mut reader, &mut state, n == 0)?;
        buckets += bucket_count(&state.layout.positive) + bucket_count(&state.layout.negative);
        if buckets > BUCKETS_MAX {
            return Err(corruption(format!("its samples have over {BUCKETS_MAX} buckets")));
        }
        let t = state.time.read(&mut reader) as i64;
        let start =
            if encoding.has_starts() { state.start.read(&mut reader) as i64 } else { NO_START };
        let counts = read_counts(&mut reader, &mut state);
        if n == 0 {
            state.settle();
        }
        if reader.overran() {
            return Err(corruption("it ends in the middle of a sample"));
        }
        if last.is_some_and(|last| t <= last) {
            return Err(corruption("its times do not ascend"));
        }
        last = Some(t);
        if t > range.maxt {
            return Ok(());
        }
        if range.contains(t) {
            let (layout, reset) = (Arc::clone(&state.layout), state.reset);
            let sum = state.sum.step();
            let h = Histogram { layout, reset, sum, counts };
            sink.histogram(Times { t, start }, Arc::new(h));
        }
    }
    match reader.bytes_left() {
        0 => Ok(()),
        more => Err(corruption(format!("{more} bytes follow its last sample"))),
    }
}

fn read_change(reader: &mut BitReader<'_>, state: &mut State, first: bool) -> Result<()> {
    if reader.read(1) == 0 {
        return if first { Err(corruption("it has no layout")) } else { Ok(()) };
    }
    let reset = CounterReset::from_number(reader.read(2));
    state.reset = reset.ok_or_else(|| corruption("a hint that none has"))?;
    if reader.read(1) == 1 {
        let layout = read_layout(reader).ok_or_else(|| corruption("a layout is malformed"))?;
        state.change_layout(Arc::new(layout));
    } else if first {
        return Err(corruption("it has no layout"));
    }
    Ok(())
}

fn read_counts(reader: &mut BitReader<'_>, state: &mut State) -> Counts {
    let split = bucket_count(&state.layout.positive);
    match &mut state.numbers {
        Numbers::Integer(fields) => {
            let (count, zero) = (fields.count.read(reader), fields.zero.read(reader));
            let mut tally = Tally { count, zero, ..Tally::default() };
            state.sum.read(reader);
            fields.read_buckets(reader, &mut tally, split);
            Counts::Integer(tally)
        }
        Numbers::Float(fields) => {
            let (count, zero) = (fields.count.read(reader), fields.zero.read(reader));
            let mut tally = Tally { count, zero, ..Tally::default() };
            state.sum.read(reader);
            fields.read_buckets(reader, &mut tally, split);
            Counts::Float(tally)
        }
    }
}

fn corruption(message: impl Into<String>) -> Error {
    Error::new(ErrorCode::Corruption, format!("a histogram chunk: {}", message.into()))
}

#[cfg(test)]
mod tests;
