//! The native histogram value: one sample that is a whole distribution.
//!
//! Buckets are exponential (schema -4 to 8: bucket `i` ends at `2^(i * 2^-schema)`) or end at
//! bounds of the sender's own (schema -53). Only populated stretches of buckets, *spans*, have
//! counts. Counts are integers or floats, and both are kept as they came: an integer histogram's
//! counts are absolute here, while wires carry the difference of neighbours
//! ([`Tally::from_deltas`] and [`Tally::deltas`]), which loses nothing in either direction.
//!
//! What is valid follows Prometheus 3.14, `model/histogram` (`Histogram.Validate`,
//! `FloatHistogram.Validate` and what they call in `generic.go`).
//!
//! Consecutive histograms of a series mostly share their [`Layout`], so it is behind an `Arc`.

mod reduce;

use crate::error::{Error, Result};
use crate::sample::{TimestampMs, is_stale};
use crate::sync::Arc;

/// The schema of histograms with bounds of their own.
pub const CUSTOM_SCHEMA: i32 = -53;
/// The coarsest exponential schema: a bucket is 65,536 times as wide as the one before.
pub const SCHEMA_MIN: i32 = -4;
/// The finest exponential schema: 256 buckets for each power of two.
pub const SCHEMA_MAX: i32 = 8;

/// The most buckets of a histogram. The finest schema has 256 for each power of two, of which a
/// double has 2,098: this is about all of them on both sides. It keeps a damaged length from being
/// believed.
pub const BUCKETS_MAX: u64 = 1 << 20;

/// A run of neighbouring buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// Of the first span: the index of its first bucket. Of a later one: how many buckets lie
    /// between it and the span before.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// What the sender knows of a counter reset between the histogram before and this one. The numbers
/// are those of remote write, and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum CounterReset {
    /// Nothing: compare the counts.
    #[default]
    Unknown = 0,
    /// There was one.
    Yes = 1,
    /// There was none.
    No = 2,
    /// A gauge histogram, which has none.
    Gauge = 3,
}

impl CounterReset {
    /// The hint of its number; `None` for a number that none has.
    pub fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Unknown),
            1 => Some(Self::Yes),
            2 => Some(Self::No),
            3 => Some(Self::Gauge),
            _ => None,
        }
    }
}

/// Which buckets a histogram has. Two layouts are equal when their floats are by bits.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// -4 to 8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// Observations of at most this magnitude are in the zero bucket.
    pub zero_threshold: f64,
    /// Spans of the buckets above zero, or of the custom buckets.
    pub positive: Vec<Span>,
    /// Spans of the buckets below zero.
    pub negative: Vec<Span>,
    /// Upper bounds of the custom buckets, ascending; the last bucket ends at infinity.
    pub bounds: Vec<f64>,
}

impl PartialEq for Layout {
    fn eq(&self, other: &Self) -> bool {
        self.schema == other.schema
            && self.zero_threshold.to_bits() == other.zero_threshold.to_bits()
            && self.positive == other.positive
            && self.negative == other.negative
            && same_bits(&self.bounds, &other.bounds)
    }
}

/// Whether two slices are equal by bits.
fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// Number of buckets of `spans`.
pub fn bucket_count(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

impl Layout {
    /// Whether the buckets end at bounds of the sender's own.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_SCHEMA
    }
}

/// The counts of a histogram, each absolute.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally<C> {
    /// All observations.
    pub count: C,
    /// Those in the zero bucket.
    pub zero: C,
    /// One for each bucket of the positive spans, ascending.
    pub positive: Vec<C>,
    /// One for each bucket of the negative spans, away from zero.
    pub negative: Vec<C>,
}

impl Tally<u64> {
    /// Counts of a wire that carries the first bucket of a side and then differences. Sums are
    /// modulo 2^64; a count below zero shows as one above `i64::MAX`.
    pub fn from_deltas(count: u64, zero: u64, positive: &[i64], negative: &[i64]) -> Self {
        Self { count, zero, positive: absolute(positive), negative: absolute(negative) }
    }

    /// The differences of `counts`, the inverse of [`Tally::from_deltas`] for one side.
    pub fn deltas(counts: &[u64]) -> impl Iterator<Item = i64> {
        let before = std::iter::once(0).chain(counts.iter().copied());
        counts.iter().zip(before).map(|(count, before)| count.wrapping_sub(before) as i64)
    }
}

fn absolute(deltas: &[i64]) -> Vec<u64> {
    let sum = |last: &mut u64, delta: &i64| {
        *last = last.wrapping_add(*delta as u64);
        Some(*last)
    };
    deltas.iter().scan(0, sum).collect()
}

/// The counts in the kind in which they came.
#[derive(Debug, Clone)]
pub enum Counts {
    /// Of an integer histogram.
    Integer(Tally<u64>),
    /// Of a float histogram.
    Float(Tally<f64>),
}

impl PartialEq for Counts {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => {
                same_bits(&[a.count, a.zero], &[b.count, b.zero])
                    && same_bits(&a.positive, &b.positive)
                    && same_bits(&a.negative, &b.negative)
            }
            _ => false,
        }
    }
}

/// One sample of a series that is a histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramSample {
    /// When.
    pub t: TimestampMs,
    /// What. Shared, because readers and writers hand it on.
    pub h: Arc<Histogram>,
}

/// A native histogram. Two are equal when all of their bits are.
#[derive(Debug, Clone)]
pub struct Histogram {
    /// Which buckets it has.
    pub layout: Arc<Layout>,
    /// What its sender knows of a counter reset.
    pub reset: CounterReset,
    /// Sum of all observations, by bits.
    pub sum: f64,
    /// How many observations each bucket has.
    pub counts: Counts,
}

impl PartialEq for Histogram {
    fn eq(&self, other: &Self) -> bool {
        self.sum.to_bits() == other.sum.to_bits()
            && self.reset == other.reset
            && self.counts == other.counts
            && (Arc::ptr_eq(&self.layout, &other.layout) || self.layout == other.layout)
    }
}

impl Histogram {
    /// A stale marker: "this series ended here". Integer histograms without observations whose sum
    /// is the stale NaN, as Prometheus writes them.
    pub fn stale() -> Self {
        Self {
            layout: Arc::default(),
            reset: CounterReset::Unknown,
            sum: f64::from_bits(crate::sample::STALE_BITS),
            counts: Counts::Integer(Tally::default()),
        }
    }

    /// Whether it is a stale marker, whatever else it holds.
    pub fn is_stale(&self) -> bool {
        is_stale(self.sum)
    }

    /// Whether its counts are floats.
    pub fn is_float(&self) -> bool {
        matches!(self.counts, Counts::Float(_))
    }

    /// Number of buckets on both sides.
    pub fn bucket_count(&self) -> usize {
        match &self.counts {
            Counts::Integer(tally) => tally.positive.len() + tally.negative.len(),
            Counts::Float(tally) => tally.positive.len() + tally.negative.len(),
        }
    }

    /// Bytes that it takes in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.bucket_count() * 8
    }

    /// Whether any of its floats is NaN or infinite; a stale marker is not.
    pub fn has_non_finite(&self) -> bool {
        if self.is_stale() {
            return false;
        }
        let counts = match &self.counts {
            Counts::Integer(_) => false,
            Counts::Float(tally) => {
                let sides = tally.positive.iter().chain(&tally.negative);
                sides.chain([&tally.count, &tally.zero]).any(|count| !count.is_finite())
            }
        };
        counts || !self.sum.is_finite()
    }

    /// Checks what every reader relies on: spans and counts fit together, nothing is below zero,
    /// an integer histogram's count is the sum of its buckets (at least that when its sum is NaN:
    /// NaN observations are in no bucket).
    ///
    /// # Errors
    /// `bad_data` with what is wrong.
    pub fn validate(&self) -> Result<()> {
        let layout = &*self.layout;
        if self.bucket_count() as u64 > BUCKETS_MAX {
            return Err(Error::bad_data(format!(
                "histogram: {} buckets; at most {BUCKETS_MAX} are stored",
                self.bucket_count()
            )));
        }
        match &self.counts {
            Counts::Integer(tally) => {
                check_layout(layout, tally, tally.zero == 0)?;
                check_integer_counts(tally, self.sum)
            }
            Counts::Float(tally) => {
                check_layout(layout, tally, tally.zero == 0.0)?;
                check_float_counts(tally)
            }
        }
    }
}

fn check_layout<C>(layout: &Layout, tally: &Tally<C>, zero_is_empty: bool) -> Result<()> {
    if layout.is_custom() {
        check_bounds(&layout.bounds)?;
        check_spans(
            "custom buckets",
            &layout.positive,
            tally.positive.len(),
            Offsets::NotBelowZero,
        )?;
        let reach: i64 =
            layout.positive.iter().map(|s| i64::from(s.length) + i64::from(s.offset)).sum();
        if (layout.bounds.len() as i64 + 1) < reach {
            return Err(Error::bad_data(format!(
                "histogram: {} custom bounds make {} buckets, but the spans reach bucket {reach}",
                layout.bounds.len(),
                layout.bounds.len() + 1
            )));
        }
        if !zero_is_empty || layout.zero_threshold != 0.0 {
            return Err(Error::bad_data("histogram: custom buckets with a zero bucket"));
        }
        if !layout.negative.is_empty() || !tally.negative.is_empty() {
            return Err(Error::bad_data("histogram: custom buckets with negative buckets"));
        }
        return Ok(());
    }
    if !(SCHEMA_MIN..=SCHEMA_MAX).contains(&layout.schema) {
        return Err(Error::bad_data(format!(
            "histogram: schema {}; want {SCHEMA_MIN} to {SCHEMA_MAX}, or {CUSTOM_SCHEMA} for \
             custom buckets",
            layout.schema
        )));
    }
    if !layout.bounds.is_empty() {
        return Err(Error::bad_data(format!(
            "histogram: custom bounds with the exponential schema {}",
            layout.schema
        )));
    }
    check_spans("positive buckets", &layout.positive, tally.positive.len(), Offsets::FirstAny)?;
    check_spans("negative buckets", &layout.negative, tally.negative.len(), Offsets::FirstAny)
}

fn check_bounds(bounds: &[f64]) -> Result<()> {
    if bounds.iter().any(|bound| bound.is_nan()) {
        return Err(Error::bad_data("histogram: a custom bound is NaN"));
    }
    if let Some(pair) = bounds.windows(2).find(|pair| pair[1] <= pair[0]) {
        return Err(Error::bad_data(format!(
            "histogram: custom bounds do not ascend: {} after {}",
            pair[1], pair[0]
        )));
    }
    if bounds.last() == Some(&f64::INFINITY) {
        return Err(Error::bad_data("histogram: the last custom bound is +Inf, which is implied"));
    }
    Ok(())
}

/// Which spans may have an offset below zero.
#[derive(Clone, Copy, PartialEq)]
enum Offsets {
    FirstAny,
    NotBelowZero,
}

fn check_spans(side: &str, spans: &[Span], counts: usize, offsets: Offsets) -> Result<()> {
    let from = usize::from(offsets == Offsets::FirstAny);
    if let Some(at) = spans.iter().skip(from).position(|span| span.offset < 0) {
        let (number, offset) = (from + at + 1, spans[from + at].offset);
        return Err(Error::bad_data(format!(
            "histogram: {side}: span {number} has offset {offset}, below 0"
        )));
    }
    let wanted = bucket_count(spans);
    if wanted != counts as u64 {
        return Err(Error::bad_data(format!(
            "histogram: {side}: the spans have {wanted} buckets, but there are {counts} counts"
        )));
    }
    Ok(())
}

fn below_zero(side: &str, at: usize, count: &dyn std::fmt::Display) -> Error {
    Error::bad_data(format!("histogram: {side}: bucket {} has count {count}, below 0", at + 1))
}

fn check_integer_counts(tally: &Tally<u64>, sum: f64) -> Result<()> {
    let mut total = tally.zero;
    for (side, counts) in
        [("positive buckets", &tally.positive), ("negative buckets", &tally.negative)]
    {
        for (at, count) in counts.iter().enumerate() {
            if *count > i64::MAX as u64 {
                return Err(below_zero(side, at, &(*count as i64)));
            }
            total = total.wrapping_add(*count);
        }
    }
    let fits = if sum.is_nan() { total <= tally.count } else { total == tally.count };
    if !fits {
        return Err(Error::bad_data(format!(
            "histogram: its buckets have {total} observations, its count is {}",
            tally.count
        )));
    }
    Ok(())
}

fn check_float_counts(tally: &Tally<f64>) -> Result<()> {
    for (side, counts) in
        [("positive buckets", &tally.positive), ("negative buckets", &tally.negative)]
    {
        if let Some(at) = counts.iter().position(|count| *count < 0.0) {
            return Err(below_zero(side, at, &counts[at]));
        }
    }
    if tally.zero < 0.0 || tally.count < 0.0 {
        return Err(Error::bad_data(format!(
            "histogram: count {} and zero count {}; neither may be below 0",
            tally.count, tally.zero
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    fn integer() -> Histogram {
        let layout = Layout {
            schema: 1,
            zero_threshold: 0.001,
            positive: vec![span(-2, 2), span(1, 1)],
            negative: vec![span(0, 2)],
            bounds: Vec::new(),
        };
        Histogram {
            layout: Arc::new(layout),
            reset: CounterReset::Unknown,
            sum: 18.4,
            counts: Counts::Integer(Tally::from_deltas(12, 2, &[1, 2, -1], &[3, -2])),
        }
    }

    fn changed(change: impl FnOnce(&mut Layout, &mut Tally<u64>)) -> Histogram {
        let mut histogram = integer();
        let mut layout = (*histogram.layout).clone();
        if let Counts::Integer(tally) = &mut histogram.counts {
            change(&mut layout, tally);
        }
        histogram.layout = Arc::new(layout);
        histogram
    }

    fn custom(bounds: &[f64], positive: Span, counts: Vec<f64>) -> Histogram {
        let layout = Layout {
            schema: CUSTOM_SCHEMA,
            positive: vec![positive],
            bounds: bounds.to_vec(),
            ..Layout::default()
        };
        let tally = Tally { count: 3.0, zero: 0.0, positive: counts, negative: Vec::new() };
        let reset = CounterReset::Gauge;
        Histogram { layout: Arc::new(layout), reset, sum: 1.0, counts: Counts::Float(tally) }
    }

    fn message(histogram: &Histogram) -> String {
        histogram.validate().unwrap_err().message().to_owned()
    }

    #[test]
    fn deltas_and_absolute_counts_are_two_forms_of_one_thing() {
        let deltas = [1, 2, -1, i64::MAX, i64::MIN, -7];
        let counts = Tally::from_deltas(0, 0, &deltas, &[]).positive;
        assert_eq!(&counts[..3], [1, 3, 2]);
        assert_eq!(Tally::deltas(&counts).collect::<Vec<_>>(), deltas);
    }

    #[test]
    fn sound_histograms_are_valid() {
        integer().validate().unwrap();
        Histogram::stale().validate().unwrap();
        assert!(Histogram::stale().is_stale());
        custom(&[1.0, 2.0], span(0, 3), vec![1.0, 0.0, 2.0]).validate().unwrap();
        let mut nan_observed = changed(|_, tally| tally.count = 15);
        nan_observed.sum = f64::NAN;
        nan_observed.validate().unwrap();
    }

    #[test]
    fn what_is_wrong_is_said() {
        let cases = [
            (changed(|l, _| l.schema = 9), "schema 9; want -4 to 8"),
            (changed(|l, _| l.positive[1].offset = -1), "span 2 has offset -1"),
            (changed(|l, _| l.negative[0].length = u32::MAX), "have 4294967295 buckets"),
            (changed(|_, t| t.positive[1] = -3i64 as u64), "bucket 2 has count -3, below 0"),
            (changed(|_, t| t.count = 13), "have 12 observations, its count is 13"),
            (changed(|l, _| l.bounds = vec![1.0]), "custom bounds with the exponential schema 1"),
            (custom(&[2.0, 1.0], span(0, 1), vec![3.0]), "do not ascend: 1 after 2"),
            (custom(&[f64::NAN], span(0, 1), vec![3.0]), "bound is NaN"),
            (custom(&[f64::INFINITY], span(0, 1), vec![3.0]), "+Inf"),
            (custom(&[1.0], span(1, 2), vec![1.0, 2.0]), "the spans reach bucket 3"),
            (custom(&[1.0], span(-1, 1), vec![3.0]), "span 1 has offset -1"),
            (custom(&[1.0], span(0, 1), vec![-3.0]), "bucket 1 has count -3"),
        ];
        for (histogram, want) in cases {
            let got = message(&histogram);
            assert!(got.contains(want), "{got:?} does not say {want:?}");
        }
    }

    #[test]
    fn equality_is_by_bits() {
        let (a, mut b) = (integer(), integer());
        assert_eq!(a, b);
        b.sum = f64::NAN;
        assert_ne!(a, b);
        assert_eq!(b, b.clone());
        let zero = custom(&[0.0], span(0, 1), vec![3.0]);
        assert_ne!(zero, custom(&[-0.0], span(0, 1), vec![3.0]));
        assert_ne!(changed(|l, _| l.zero_threshold = -0.001), a);
    }
}
