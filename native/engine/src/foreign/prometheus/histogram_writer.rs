//! Chunks of native histograms, to write: `HISTOGRAM` and `FLOAT_HISTOGRAM`.
//!
//! All histograms of a chunk have one layout, and of counters none counts less than the one before:
//! readers take that for granted behind the first sample. Where a histogram does not fit, the
//! chunk ends; so a bucket that appears costs a chunk, where Prometheus encodes the chunk anew.
//! A stale marker fits everywhere, and nothing but stale markers fits behind it.
//!
//! Source: Prometheus 3.14, `tsdb/chunkenc/{histogram,float_histogram,histogram_meta}.go`
//! (`appendHistogram`, `appendable`, `writeHistogramChunkLayout`).

use super::float_chunk::{CHUNK_SAMPLES, FLOAT_HISTOGRAM, HISTOGRAM};
use super::varbit_writer::{Out, WriteWindow};
use crate::histogram::{CUSTOM_SCHEMA, CounterReset, Counts, Histogram, Layout, Span, Tally};
use crate::sample::TimestampMs;
use crate::sync::Arc;

/// The upper bits of the third byte: what is known of the chunk's first histogram.
const RESET: u8 = 0b1000_0000;
/// All histograms are gauges.
const GAUGE: u8 = 0b1100_0000;
/// Bytes before the layout: the count, and what is known.
const HEADER_BYTES: usize = 3;
/// The biggest thousandths of a custom bound that are written as such.
const THOUSANDTHS_MAX: f64 = 33_554_430.0;

/// A number of which the difference of differences is written.
#[derive(Clone, Copy, Default)]
struct Moving {
    value: i64,
    delta: i64,
}

impl Moving {
    fn write(&mut self, value: i64, out: &mut Out) {
        let delta = value.wrapping_sub(self.value);
        out.signed(delta.wrapping_sub(self.delta));
        *self = Self { value, delta };
    }
}

/// A float of which the changed bits are written.
#[derive(Clone, Copy, Default)]
struct Xored {
    bits: u64,
    window: WriteWindow,
}

impl Xored {
    fn write(&mut self, value: f64, out: &mut Out) {
        self.window.write(value.to_bits() ^ self.bits, out);
        self.bits = value.to_bits();
    }

    fn write_first(&mut self, value: f64, out: &mut Out) {
        self.bits = value.to_bits();
        out.push(self.bits, 64);
    }
}

/// What the histogram before left behind, by kind.
enum State {
    Integer { count: Moving, zero: Moving, buckets: Vec<Moving>, last: Tally<u64> },
    Float { count: Xored, zero: Xored, buckets: Vec<Xored>, last: Tally<f64> },
}

/// An open chunk of at least one histogram.
pub struct HistogramChunk {
    out: Out,
    samples: u16,
    layout: Arc<Layout>,
    gauge: bool,
    ended: bool,
    first: TimestampMs,
    t: Moving,
    sum: Xored,
    state: State,
}

impl HistogramChunk {
    /// A chunk that begins with `h`.
    pub fn new(t: TimestampMs, h: &Histogram) -> Self {
        let stale = Histogram::stale();
        let h = if h.is_stale() { &stale } else { h };
        let gauge = h.reset == CounterReset::Gauge;
        let known = match h.reset {
            CounterReset::Gauge => GAUGE,
            CounterReset::Yes => RESET,
            CounterReset::Unknown | CounterReset::No => 0,
        };
        let mut out = Out::default();
        (0..HEADER_BYTES - 1).for_each(|_| out.push(0, 8));
        out.push(u64::from(known), 8);
        write_layout(&h.layout, &mut out);
        out.signed(t);
        let mut sum = Xored::default();
        let state = match &h.counts {
            Counts::Integer(tally) => first_integers(tally, h.sum, &mut sum, &mut out),
            Counts::Float(tally) => first_floats(tally, h.sum, &mut sum, &mut out),
        };
        let layout = Arc::clone(&h.layout);
        let (ended, t) = (h.is_stale(), Moving { value: t, delta: 0 });
        Self { out, samples: 1, layout, gauge, ended, first: t.value, t, sum, state }
    }

    /// Whether `h` may follow.
    pub fn takes(&self, h: &Histogram) -> bool {
        if usize::from(self.samples) >= CHUNK_SAMPLES {
            return false;
        }
        if h.is_stale() {
            return true;
        }
        let same_layout = Arc::ptr_eq(&self.layout, &h.layout) || self.layout == h.layout;
        if self.ended || !same_layout || self.gauge != (h.reset == CounterReset::Gauge) {
            return false;
        }
        match (&self.state, &h.counts) {
            (State::Integer { last, .. }, Counts::Integer(now)) => {
                self.gauge || h.reset != CounterReset::Yes && grows(last, now)
            }
            (State::Float { last, .. }, Counts::Float(now)) => {
                self.gauge || h.reset != CounterReset::Yes && grows(last, now)
            }
            _ => false,
        }
    }

    /// Appends what [`HistogramChunk::takes`].
    pub fn append(&mut self, t: TimestampMs, h: &Histogram) {
        let out = &mut self.out;
        self.t.write(t, out);
        self.samples += 1;
        self.ended = h.is_stale();
        match (&mut self.state, &h.counts) {
            _ if h.is_stale() => {
                // Neither number moves, in either kind: an integer's difference of differences is
                // 0, and so is a float's XOR.
                out.push(0, 1);
                out.push(0, 1);
                self.sum.write(h.sum, out);
            }
            (State::Integer { count, zero, buckets, last }, Counts::Integer(tally)) => {
                count.write(tally.count as i64, out);
                zero.write(tally.zero as i64, out);
                self.sum.write(h.sum, out);
                let deltas = Tally::deltas(&tally.positive).chain(Tally::deltas(&tally.negative));
                buckets.iter_mut().zip(deltas).for_each(|(bucket, d)| bucket.write(d, out));
                last.clone_from(tally);
            }
            (State::Float { count, zero, buckets, last }, Counts::Float(tally)) => {
                count.write(tally.count, out);
                zero.write(tally.zero, out);
                self.sum.write(h.sum, out);
                let values = tally.positive.iter().chain(&tally.negative);
                buckets.iter_mut().zip(values).for_each(|(bucket, v)| bucket.write(*v, out));
                last.clone_from(tally);
            }
            // Not reached: such a histogram is not taken.
            _ => {}
        }
    }

    /// How it is encoded.
    pub fn encoding(&self) -> u8 {
        match self.state {
            State::Integer { .. } => HISTOGRAM,
            State::Float { .. } => FLOAT_HISTOGRAM,
        }
    }

    /// The times of the first and the last sample.
    pub fn times(&self) -> (TimestampMs, TimestampMs) {
        (self.first, self.t.value)
    }

    /// Its bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = self.out.bytes;
        bytes[..2].copy_from_slice(&self.samples.to_be_bytes());
        bytes
    }
}

/// Whether nothing counts less in `now` than in `last`, which have one layout. A NaN grows out of
/// nothing.
fn grows<C: PartialOrd>(last: &Tally<C>, now: &Tally<C>) -> bool {
    let side = |last: &[C], now: &[C]| last.iter().zip(now).all(|(last, now)| last <= now);
    last.count <= now.count
        && last.zero <= now.zero
        && side(&last.positive, &now.positive)
        && side(&last.negative, &now.negative)
}

fn first_integers(tally: &Tally<u64>, h_sum: f64, sum: &mut Xored, out: &mut Out) -> State {
    let moving = |value: i64| Moving { value, delta: 0 };
    out.unsigned(tally.count);
    out.unsigned(tally.zero);
    sum.write_first(h_sum, out);
    let deltas = Tally::deltas(&tally.positive).chain(Tally::deltas(&tally.negative));
    let write = |delta| {
        out.signed(delta);
        moving(delta)
    };
    let buckets = deltas.map(write).collect();
    let (count, zero) = (moving(tally.count as i64), moving(tally.zero as i64));
    State::Integer { count, zero, buckets, last: tally.clone() }
}

fn first_floats(tally: &Tally<f64>, h_sum: f64, sum: &mut Xored, out: &mut Out) -> State {
    let (mut count, mut zero) = (Xored::default(), Xored::default());
    count.write_first(tally.count, out);
    zero.write_first(tally.zero, out);
    sum.write_first(h_sum, out);
    let mut buckets = vec![Xored::default(); tally.positive.len() + tally.negative.len()];
    let values = tally.positive.iter().chain(&tally.negative);
    buckets.iter_mut().zip(values).for_each(|(bucket, v)| bucket.write_first(*v, out));
    State::Float { count, zero, buckets, last: tally.clone() }
}

/// The counterpart of `histogram_chunk::layout`.
fn write_layout(layout: &Layout, out: &mut Out) {
    write_threshold(layout.zero_threshold, out);
    out.signed(i64::from(layout.schema));
    write_spans(&layout.positive, out);
    write_spans(&layout.negative, out);
    if layout.schema == CUSTOM_SCHEMA {
        out.unsigned(layout.bounds.len() as u64);
        layout.bounds.iter().for_each(|bound| write_bound(*bound, out));
    }
}

/// A power of two from 2^-243 to 2^10 is a byte, its exponent; another one follows 255.
fn write_threshold(threshold: f64, out: &mut Out) {
    let bits = threshold.to_bits();
    let is_power = bits & ((1 << 52) - 1) == 0;
    match bits >> 52 {
        0 if bits == 0 => out.push(0, 8),
        exponent @ 780..=1033 if is_power => out.push(exponent - 779, 8),
        _ => {
            out.push(255, 8);
            out.push(bits, 64);
        }
    }
}

fn write_spans(spans: &[Span], out: &mut Out) {
    out.unsigned(spans.len() as u64);
    for span in spans {
        out.unsigned(u64::from(span.length));
        out.signed(i64::from(span.offset));
    }
}

/// Thousandths and one more where that is the bound, else a zero and the bound.
fn write_bound(bound: f64, out: &mut Out) {
    let thousandths = (bound * 1000.0).round();
    let fits = bound.is_sign_positive() && thousandths <= THOUSANDTHS_MAX;
    if fits && (thousandths / 1000.0).to_bits() == bound.to_bits() {
        return out.unsigned(thousandths as u64 + 1);
    }
    out.push(0, 1);
    out.push(bound.to_bits(), 64);
}

#[cfg(test)]
mod tests;
