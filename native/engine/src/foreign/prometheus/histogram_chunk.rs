//! Chunks of native histograms, integer and float, with and without start timestamps, to read.
//!
//! Source: Prometheus 3.14, `tsdb/chunkenc/{histogram,float_histogram,histogram_meta}.go` and their
//! `_st` variants; what is said of counter resets follows `counterResetHint` in `histogram.go`.

use super::float_chunk::{FLOAT_HISTOGRAM, FLOAT_HISTOGRAM_ST, HISTOGRAM, HISTOGRAM_ST};
use super::varbit::{StartTimes, Window, varbit_int, varbit_uint, wrong};
use crate::codec::bits::BitReader;
use crate::error::Result;
use crate::histogram::{
    BUCKETS_MAX, CUSTOM_SCHEMA, CounterReset, Counts, Histogram, Layout, Span, Tally, bucket_count,
};
use crate::sample::{Times, TimestampMs, is_stale};
use crate::sync::Arc;

/// The bits of the third byte, or with start timestamps of the first, that say what kind of chunk
/// it is: all set, a gauge.
const GAUGE: u8 = 0b1100_0000;

/// Whether chunks of this encoding hold histograms.
pub fn is_histogram(encoding: u8) -> bool {
    matches!(encoding, HISTOGRAM | FLOAT_HISTOGRAM | HISTOGRAM_ST | FLOAT_HISTOGRAM_ST)
}

/// Appends the samples of a chunk of histograms.
///
/// # Errors
/// `corruption` for bytes that end early or cannot be.
pub fn decode(encoding: u8, data: &[u8], out: &mut Vec<(Times, Histogram)>) -> Result<()> {
    let (header, rest) = data.split_first_chunk::<3>().ok_or_else(|| wrong("it has no header"))?;
    let has_starts = matches!(encoding, HISTOGRAM_ST | FLOAT_HISTOGRAM_ST);
    let (flags, mut starts, upper) = if has_starts {
        (header[0], StartTimes::new(header[2]), header[0] & !GAUGE)
    } else {
        (header[2], StartTimes::new(0), header[0])
    };
    let count = usize::from(u16::from_be_bytes([upper, header[1]]));
    if count > rest.len() * 8 {
        return Err(wrong(&format!("{count} samples in {} bytes", rest.len())));
    }
    if count == 0 {
        return Ok(());
    }
    let mut bits = BitReader::new(rest);
    let layout = Arc::new(layout(&mut bits)?);
    let is_gauge = flags & GAUGE == GAUGE;
    let float = matches!(encoding, FLOAT_HISTOGRAM | FLOAT_HISTOGRAM_ST);
    let mut integer_state = Integers::new(&layout);
    let mut float_state = Floats::new(&layout);
    let mut previous = 0;
    for number in 0..count {
        let (t, sum, counts) = if float {
            float_state.next(number, &mut bits)?
        } else {
            integer_state.next(number, &mut bits)?
        };
        let start = starts.read(number, (previous, t), &mut bits)?;
        previous = t;
        if bits.overran() {
            return Err(wrong(&format!("its bytes end before its {count} samples")));
        }
        let reset = match number {
            _ if is_gauge => CounterReset::Gauge,
            0 => CounterReset::Unknown,
            _ => CounterReset::No,
        };
        let histogram = if is_stale(sum) {
            Histogram::stale()
        } else {
            Histogram { layout: layout.clone(), reset, sum, counts }
        };
        out.push((Times { t, start }, histogram));
    }
    Ok(())
}

/// What all histograms of a chunk have in common.
fn layout(bits: &mut BitReader<'_>) -> Result<Layout> {
    let zero_threshold = match bits.read(8) {
        0 => 0.0,
        255 => f64::from_bits(bits.read(64)),
        // A power of two: half of 2^(byte - 243).
        byte => f64::from_bits((byte + 1023 - 244) << 52),
    };
    let schema = varbit_int(bits);
    let schema = i32::try_from(schema).map_err(|_| wrong(&format!("schema {schema}")))?;
    let (positive, negative) = (spans(bits)?, spans(bits)?);
    let mut bounds = Vec::new();
    if schema == CUSTOM_SCHEMA {
        for _ in 0..counted(varbit_uint(bits), bits)? {
            bounds.push(match varbit_uint(bits) {
                0 => f64::from_bits(bits.read(64)),
                thousandths => (thousandths - 1) as f64 / 1000.0,
            });
        }
    }
    if bucket_count(&positive) + bucket_count(&negative) > BUCKETS_MAX {
        return Err(wrong("a histogram has too many buckets"));
    }
    Ok(Layout { schema, zero_threshold, positive, negative, bounds })
}

/// A number of things that follow, each of at least a bit.
fn counted(count: u64, bits: &BitReader<'_>) -> Result<u64> {
    if count > bits.bytes_left() as u64 * 8 {
        return Err(wrong(&format!("{count} spans or bounds in {} bytes", bits.bytes_left())));
    }
    Ok(count)
}

fn spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>> {
    let mut spans = Vec::new();
    for _ in 0..counted(varbit_uint(bits), bits)? {
        let (length, offset) = (varbit_uint(bits), varbit_int(bits));
        match (u32::try_from(length), i32::try_from(offset)) {
            (Ok(length), Ok(offset)) => spans.push(Span { offset, length }),
            _ => return Err(wrong(&format!("a span of {length} buckets at {offset}"))),
        }
    }
    Ok(spans)
}

/// Time, sum and counts of a sample.
type Sample = (TimestampMs, f64, Counts);

/// A number of which the difference of differences is written.
#[derive(Clone, Copy, Default)]
struct Moving {
    value: i64,
    delta: i64,
}

impl Moving {
    fn step(&mut self, bits: &mut BitReader<'_>) -> i64 {
        self.delta = self.delta.wrapping_add(varbit_int(bits));
        self.value = self.value.wrapping_add(self.delta);
        self.value
    }
}

/// The state of a chunk of integer histograms.
struct Integers {
    t: Moving,
    count: Moving,
    zero: Moving,
    sum: Xored,
    positive: Vec<Moving>,
    negative: Vec<Moving>,
}

impl Integers {
    fn new(layout: &Layout) -> Self {
        let buckets = |spans: &[Span]| vec![Moving::default(); bucket_count(spans) as usize];
        Self {
            t: Moving::default(),
            count: Moving::default(),
            zero: Moving::default(),
            sum: Xored::default(),
            positive: buckets(&layout.positive),
            negative: buckets(&layout.negative),
        }
    }

    fn next(&mut self, number: usize, bits: &mut BitReader<'_>) -> Result<Sample> {
        if number == 0 {
            self.t.value = varbit_int(bits);
            self.count.value = varbit_uint(bits) as i64;
            self.zero.value = varbit_uint(bits) as i64;
            self.sum.bits = bits.read(64);
            for bucket in self.positive.iter_mut().chain(&mut self.negative) {
                bucket.value = varbit_int(bits);
            }
        } else {
            self.t.step(bits);
            self.count.step(bits);
            self.zero.step(bits);
            self.sum.step(bits)?;
            if !is_stale(self.sum.value()) {
                for bucket in self.positive.iter_mut().chain(&mut self.negative) {
                    bucket.step(bits);
                }
            }
        }
        let deltas = |buckets: &[Moving]| buckets.iter().map(|b| b.value).collect::<Vec<_>>();
        let tally = Tally::from_deltas(
            self.count.value as u64,
            self.zero.value as u64,
            &deltas(&self.positive),
            &deltas(&self.negative),
        );
        Ok((self.t.value, self.sum.value(), Counts::Integer(tally)))
    }
}

/// A float of which the changed bits are written.
#[derive(Default)]
struct Xored {
    bits: u64,
    window: Window,
}

impl Xored {
    fn step(&mut self, bits: &mut BitReader<'_>) -> Result<()> {
        self.bits ^= self.window.read(bits)?;
        Ok(())
    }

    fn value(&self) -> f64 {
        f64::from_bits(self.bits)
    }
}

/// The state of a chunk of float histograms.
struct Floats {
    t: Moving,
    count: Xored,
    zero: Xored,
    sum: Xored,
    positive: Vec<Xored>,
    negative: Vec<Xored>,
}

impl Floats {
    fn new(layout: &Layout) -> Self {
        let buckets = |spans: &[Span]| (0..bucket_count(spans)).map(|_| Xored::default()).collect();
        Self {
            t: Moving::default(),
            count: Xored::default(),
            zero: Xored::default(),
            sum: Xored::default(),
            positive: buckets(&layout.positive),
            negative: buckets(&layout.negative),
        }
    }

    fn next(&mut self, number: usize, bits: &mut BitReader<'_>) -> Result<Sample> {
        if number == 0 {
            self.t.value = varbit_int(bits);
        } else {
            self.t.step(bits);
        }
        for field in [&mut self.count, &mut self.zero, &mut self.sum] {
            read_float(field, number, bits)?;
        }
        if number == 0 || !is_stale(self.sum.value()) {
            for bucket in self.positive.iter_mut().chain(&mut self.negative) {
                read_float(bucket, number, bits)?;
            }
        }
        let values = |buckets: &[Xored]| buckets.iter().map(Xored::value).collect();
        let tally = Tally {
            count: self.count.value(),
            zero: self.zero.value(),
            positive: values(&self.positive),
            negative: values(&self.negative),
        };
        Ok((self.t.value, self.sum.value(), Counts::Float(tally)))
    }
}

fn read_float(field: &mut Xored, number: usize, bits: &mut BitReader<'_>) -> Result<()> {
    if number == 0 {
        field.bits = bits.read(64);
        return Ok(());
    }
    field.step(bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(
            encoding in prop_oneof![Just(2u8), Just(3), Just(5), Just(6)],
            data in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut out = Vec::new();
            if decode(encoding, &data, &mut out).is_ok() {
                prop_assert!(out.len() <= data.len() * 8);
            }
        }
    }
}
