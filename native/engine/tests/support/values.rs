//! Samples of either kind: requests with native histograms in, floats and histograms out.

use std::sync::Arc;

use metricstor_engine::codec::varint;
use metricstor_engine::commit::WireFormat;
use metricstor_engine::engine::Engine;
use metricstor_engine::error::Result;
use metricstor_engine::head::append::WriteOutcome;
use metricstor_engine::histogram::{
    CUSTOM_SCHEMA, CounterReset, Counts, Histogram, Layout, Span, Tally,
};
use metricstor_engine::index::matcher::Matcher;
use metricstor_engine::read::cancel::Cancel;
use metricstor_engine::read::selection::{Filled, Target};
use metricstor_engine::sample::TimeRange;
use metricstor_engine::source::Scope;

use super::protobuf::{bytes, double, labels, number, sample};
use super::write_body;

/// Most samples of a series that [`read`] has room for.
const SERIES_SAMPLES_MAX: usize = 1 << 16;

/// A float by its bits, or a histogram.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Float(u64),
    Histogram(Histogram),
}

/// A sample.
pub type Sample = (i64, Value);

fn packed_doubles(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn packed_deltas(counts: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    Tally::deltas(counts).for_each(|delta| varint::write_signed(&mut out, delta));
    out
}

/// A `Histogram` message of remote_write 1.0.
fn message(t: i64, h: &Histogram) -> Vec<u8> {
    let mut out = Vec::new();
    match &h.counts {
        Counts::Integer(tally) => {
            out.extend(number(1, tally.count));
            out.extend(number(6, tally.zero));
            out.extend(bytes(9, &packed_deltas(&tally.negative)));
            out.extend(bytes(12, &packed_deltas(&tally.positive)));
        }
        Counts::Float(tally) => {
            out.extend(double(2, tally.count));
            out.extend(double(7, tally.zero));
            out.extend(bytes(10, &packed_doubles(&tally.negative)));
            out.extend(bytes(13, &packed_doubles(&tally.positive)));
        }
    }
    out.extend(double(3, h.sum));
    out.extend(number(4, varint::zigzag(i64::from(h.layout.schema))));
    out.extend(double(5, h.layout.zero_threshold));
    for (side, spans) in [(8, &h.layout.negative), (11, &h.layout.positive)] {
        for span in spans {
            let offset = number(1, varint::zigzag(i64::from(span.offset)));
            out.extend(bytes(side, &[offset, number(2, u64::from(span.length))].concat()));
        }
    }
    out.extend(number(14, h.reset as u64));
    out.extend(number(15, t as u64));
    out.extend(bytes(16, &packed_doubles(&h.layout.bounds)));
    out
}

/// Writes samples of one series and waits for the answer.
pub fn write(engine: &Engine, pairs: &[(&str, &str)], samples: &[Sample]) -> Result<WriteOutcome> {
    let mut series = labels(pairs);
    for (t, value) in samples {
        match value {
            Value::Float(bits) => series.extend(sample(*t, f64::from_bits(*bits))),
            Value::Histogram(h) => series.extend(bytes(4, &message(*t, h))),
        }
    }
    write_body(engine, WireFormat::RemoteWrite1, bytes(1, &series))
}

/// The samples of `range` of every series that matches, by labels as text.
pub fn read(
    engine: &Engine,
    matchers: Vec<Matcher>,
    range: TimeRange,
) -> Vec<(String, Vec<Sample>)> {
    let mut session = engine.session(Scope::default(), Cancel::default());
    let mut selection = session.select(matchers, range).unwrap();
    let mut ts = vec![0.0; SERIES_SAMPLES_MAX];
    let (mut vs, mut offsets) = (ts.clone(), vec![0u32; 2]);
    let mut out = Vec::new();
    for series in 0..selection.len() {
        let mut target = Target { timestamps: &mut ts, values: &mut vs, offsets: &mut offsets };
        assert_eq!(selection.read(series, &mut target).unwrap(), Filled::Series(1));
        let count = offsets[1] as usize;
        let mut samples: Vec<Sample> =
            (0..count).map(|i| (ts[i] as i64, Value::Float(vs[i].to_bits()))).collect();
        for (row, h) in selection.histograms() {
            let sample = &mut samples[*row as usize];
            assert_eq!(sample.1, Value::Float(h.sum.to_bits()), "the value column has the sum");
            sample.1 = Value::Histogram((**h).clone());
        }
        let text = |id: &u32| session.dictionary.text(*id).to_owned();
        let ids = selection.labels(series);
        let pairs = ids.chunks(2).map(|pair| format!("{}={}", text(&pair[0]), text(&pair[1])));
        out.push((pairs.collect::<Vec<_>>().join(","), samples));
    }
    out
}

/// A histogram.
pub fn histogram(layout: Layout, reset: CounterReset, sum: f64, counts: Counts) -> Value {
    Value::Histogram(Histogram { layout: Arc::new(layout), reset, sum, counts })
}

/// An integer histogram whose `buckets` buckets grow with `n`.
pub fn integer(n: u64, buckets: u32) -> Value {
    let layout = Layout {
        schema: 3,
        zero_threshold: 2.938_735_877_055_719e-39,
        positive: vec![Span { offset: -4, length: buckets }, Span { offset: 2, length: 1 }],
        negative: vec![Span { offset: 0, length: 1 }],
        ..Layout::default()
    };
    let positive: Vec<u64> = (0..=u64::from(buckets)).map(|bucket| n * (bucket % 3 + 1)).collect();
    let tally =
        Tally { count: positive.iter().sum::<u64>() + 2 * n, zero: n, positive, negative: vec![n] };
    histogram(layout, CounterReset::Unknown, n as f64 * 0.1, Counts::Integer(tally))
}

/// A float histogram of custom buckets.
pub fn custom(n: f64) -> Value {
    let layout = Layout {
        schema: CUSTOM_SCHEMA,
        positive: vec![Span { offset: 1, length: 2 }],
        bounds: vec![0.005, 0.1, 2.5],
        ..Layout::default()
    };
    let tally =
        Tally { count: 3.0 * n, zero: 0.0, positive: vec![n, 2.0 * n], negative: Vec::new() };
    histogram(layout, CounterReset::Gauge, -n, Counts::Float(tally))
}

/// A float.
pub fn float(v: f64) -> Value {
    Value::Float(v.to_bits())
}

/// The histogram that says that a series ended.
pub fn stale() -> Value {
    Value::Histogram(Histogram::stale())
}
