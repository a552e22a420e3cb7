//! Native histograms as runs of doubles: the form in which they cross into JavaScript, in one
//! `Float64Array` for many, and come back to be printed.
//!
//! | element | what |
//! |---|---|
//! | 0 | schema |
//! | 1 | counter-reset hint: 0 unknown, 1 reset, 2 no reset, 3 gauge |
//! | 2, 3 | zero threshold, count of the zero bucket |
//! | 4, 5 | count, sum |
//! | 6, 7, 8 | numbers of positive spans p, of negative spans n, of custom bounds b |
//! | then | 2p: offset and length of each positive span; 2n: of each negative one |
//! | then | b: custom bounds, ascending |
//! | then | a count for each bucket of the positive spans, then of the negative ones |
//!
//! Laws: lengths are whole and at least 0; the run has exactly the length that these say. Counts of
//! integer histograms become doubles, as PromQL reckons with (Prometheus 3.14,
//! `model/histogram/histogram.go`, `ToFloat`); floats keep their bits.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::histogram::{CUSTOM_SCHEMA, Counts, Histogram};
use crate::read::exponential::upper_bound;

/// Elements before the spans.
const HEADER: usize = 9;

/// Elements that [`pack`] makes of `h`.
pub fn packed_len(h: &Histogram) -> usize {
    let layout = &*h.layout;
    let spans = layout.positive.len() + layout.negative.len();
    HEADER + 2 * spans + layout.bounds.len() + h.bucket_count()
}

/// Appends `h`.
pub fn pack(h: &Histogram, out: &mut Vec<f64>) {
    let layout = &*h.layout;
    let (count, zero) = match &h.counts {
        Counts::Integer(tally) => (tally.count as f64, tally.zero as f64),
        Counts::Float(tally) => (tally.count, tally.zero),
    };
    out.extend_from_slice(&[
        f64::from(layout.schema),
        f64::from(h.reset as u8),
        layout.zero_threshold,
        zero,
        count,
        h.sum,
        layout.positive.len() as f64,
        layout.negative.len() as f64,
        layout.bounds.len() as f64,
    ]);
    for span in layout.positive.iter().chain(&layout.negative) {
        out.extend_from_slice(&[f64::from(span.offset), f64::from(span.length)]);
    }
    out.extend_from_slice(&layout.bounds);
    match &h.counts {
        Counts::Integer(tally) => {
            out.extend(tally.positive.iter().chain(&tally.negative).map(|count| *count as f64));
        }
        Counts::Float(tally) => {
            out.extend_from_slice(&tally.positive);
            out.extend_from_slice(&tally.negative);
        }
    }
}

/// A packed histogram whose laws were checked.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    header: &'a [f64; HEADER],
    positive_spans: &'a [f64],
    negative_spans: &'a [f64],
    bounds: &'a [f64],
    positive: &'a [f64],
    negative: &'a [f64],
}

/// Some of the places of a column and the packed histograms there.
///
/// Laws: `offsets.len() == rows.len() + 1`; `rows` ascend strictly; histogram `k`, of place
/// `rows[k]`, is `packed[offsets[k]..offsets[k + 1]]`.
#[derive(Debug, Default, Clone)]
pub struct Histograms<'a> {
    rows: &'a [u32],
    histograms: Vec<Packed<'a>>,
}

impl<'a> Histograms<'a> {
    /// No histogram.
    pub const NONE: Self = Self { rows: &[], histograms: Vec::new() };

    /// Checks the laws.
    ///
    /// # Errors
    /// `internal` when they do not hold: a bug of the caller.
    pub fn new(rows: &'a [u32], offsets: &[u32], packed: &'a [f64]) -> Result<Self> {
        if offsets.len() != rows.len() + 1 || !rows.is_sorted_by(|a, b| a < b) {
            return Err(Error::internal("places of histograms do not ascend, or lack offsets"));
        }
        let run = |span: &[u32]| {
            let run = packed.get(span[0] as usize..span[1] as usize);
            Packed::new(run.ok_or_else(|| Error::internal("a packed histogram lies outside"))?)
        };
        let histograms = offsets.windows(2).map(run).collect::<Result<_>>()?;
        Ok(Self { rows, histograms })
    }

    /// All of them, to be taken by ascending place.
    pub fn all(&self) -> Rest<'_> {
        Rest { rows: self.rows, histograms: &self.histograms }
    }
}

/// Histograms that were not taken yet.
#[derive(Debug, Clone, Copy)]
pub struct Rest<'a> {
    rows: &'a [u32],
    histograms: &'a [Packed<'a>],
}

impl<'a> Rest<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes the next one if it is that of `place`. Places ascend from call to call.
    #[inline]
    pub fn take_at(&mut self, place: usize) -> Option<Packed<'a>> {
        if *self.rows.first()? as usize != place {
            return None;
        }
        let (first, rest) = self.histograms.split_first()?;
        (self.rows, self.histograms) = (&self.rows[1..], rest);
        Some(*first)
    }

    /// Takes those whose places lie in `span`; those before it go too.
    #[must_use]
    pub fn take_within(&mut self, span: &Range<usize>) -> Self {
        let start = self.rows.partition_point(|row| (*row as usize) < span.start);
        let end = self.rows.partition_point(|row| (*row as usize) < span.end);
        let own = Self { rows: &self.rows[start..end], histograms: &self.histograms[start..end] };
        (self.rows, self.histograms) = (&self.rows[end..], &self.histograms[end..]);
        own
    }
}

/// One bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Where it begins.
    pub lower: f64,
    /// Where it ends.
    pub upper: f64,
    /// Whether `lower` is inside.
    pub lower_inside: bool,
    /// Whether `upper` is inside.
    pub upper_inside: bool,
    /// Observations.
    pub count: f64,
}

impl<'a> Packed<'a> {
    /// Checks the laws.
    ///
    /// # Errors
    /// `internal` when they do not hold: a bug of the caller.
    pub fn new(run: &'a [f64]) -> Result<Self> {
        Self::parse(run).ok_or_else(|| Error::internal("a packed histogram breaks its laws"))
    }

    fn parse(run: &'a [f64]) -> Option<Self> {
        let (header, rest) = run.split_first_chunk::<HEADER>()?;
        let [positive, negative, bounds] = [header[6], header[7], header[8]].map(whole);
        let (positive_spans, rest) = rest.split_at_checked(positive?.checked_mul(2)?)?;
        let (negative_spans, rest) = rest.split_at_checked(negative?.checked_mul(2)?)?;
        let (bounds, rest) = rest.split_at_checked(bounds?)?;
        let buckets = |spans: &[f64]| {
            let lengths = spans.as_chunks::<2>().0.iter().map(|[_, length]| whole(*length));
            lengths.sum::<Option<usize>>()
        };
        let (positive, negative) = rest.split_at_checked(buckets(positive_spans)?)?;
        (negative.len() == buckets(negative_spans)?).then_some(Self {
            header,
            positive_spans,
            negative_spans,
            bounds,
            positive,
            negative,
        })
    }

    /// All observations.
    pub fn count(&self) -> f64 {
        self.header[4]
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.header[5]
    }

    /// The buckets from the lowest to the highest: negative ones, the zero bucket if it has an
    /// observation, positive ones.
    ///
    /// Source: Prometheus 3.14, `model/histogram/float_histogram.go`, `AllBucketIterator`.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        let [schema, _, threshold, zero, ..] = *self.header;
        let negative = Side { schema: schema as i32, bounds: self.bounds, positive: false };
        let positive = Side { positive: true, ..negative };
        let below: Vec<Bucket> = negative.buckets(self.negative_spans, self.negative).collect();
        let zero = Bucket {
            lower: -threshold,
            upper: threshold,
            lower_inside: true,
            upper_inside: true,
            count: zero,
        };
        let clip = move |mut bucket: Bucket| {
            if bucket.upper < 0.0 && bucket.upper > -threshold {
                bucket.upper = -threshold;
            } else if bucket.lower > 0.0 && bucket.lower < threshold {
                bucket.lower = threshold;
            }
            bucket
        };
        let above = positive.buckets(self.positive_spans, self.positive).map(clip);
        let zero = (zero.count > 0.0).then_some(zero);
        below.into_iter().rev().map(clip).chain(zero).chain(above)
    }
}

/// A length; `None` for what is none.
fn whole(length: f64) -> Option<usize> {
    let whole = length as usize;
    (whole as f64 == length && whole <= u32::MAX as usize).then_some(whole)
}

/// How the buckets of one side get their bounds.
#[derive(Clone, Copy)]
struct Side<'a> {
    schema: i32,
    bounds: &'a [f64],
    positive: bool,
}

impl<'a> Side<'a> {
    /// The buckets away from zero.
    fn buckets<'b>(
        self,
        spans: &'b [f64],
        counts: &'b [f64],
    ) -> impl Iterator<Item = Bucket> + use<'a, 'b> {
        let indexes = spans.as_chunks::<2>().0.iter().scan(0i64, |next, [offset, length]| {
            let start = next.saturating_add(*offset as i64);
            *next = start.saturating_add(*length as i64);
            Some(start..*next)
        });
        indexes.flatten().zip(counts).map(move |(index, count)| self.bucket(index, *count))
    }

    fn bucket(&self, index: i64, count: f64) -> Bucket {
        let (near, far) = (self.bound(index - 1), self.bound(index));
        let (lower, upper) = if self.positive { (near, far) } else { (-far, -near) };
        let custom = self.schema == CUSTOM_SCHEMA;
        Bucket {
            lower,
            upper,
            lower_inside: if custom { index == 0 } else { lower < 0.0 },
            upper_inside: custom || upper > 0.0,
            count,
        }
    }

    fn bound(&self, index: i64) -> f64 {
        if self.schema != CUSTOM_SCHEMA {
            return upper_bound(self.schema, index);
        }
        match usize::try_from(index) {
            Ok(index) => self.bounds.get(index).copied().unwrap_or(f64::INFINITY),
            Err(_) => f64::NEG_INFINITY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{CounterReset, Layout, Span, Tally};
    use std::sync::Arc;

    fn packed(layout: Layout, counts: Counts) -> Vec<f64> {
        let reset = CounterReset::Gauge;
        let h = Histogram { layout: Arc::new(layout), reset, sum: 1.5, counts };
        let mut out = Vec::new();
        pack(&h, &mut out);
        assert_eq!(out.len(), packed_len(&h));
        out
    }

    fn exponential() -> Vec<f64> {
        let layout = Layout {
            schema: 0,
            zero_threshold: 0.75,
            positive: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
            negative: vec![Span { offset: 1, length: 1 }],
            ..Layout::default()
        };
        packed(layout, Counts::Integer(Tally::from_deltas(9, 2, &[1, 1, 1], &[1])))
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let spans = [0.0, 2.0, 1.0, 1.0, 1.0, 1.0];
        let header = [0.0, 3.0, 0.75, 2.0, 9.0, 1.5, 2.0, 1.0, 0.0];
        assert_eq!(exponential(), [&header[..], &spans, &[1.0, 2.0, 3.0, 1.0]].concat());
    }

    #[test]
    fn buckets_come_from_the_lowest_to_the_highest() {
        let run = exponential();
        let buckets: Vec<_> = Packed::new(&run).unwrap().buckets().collect();
        let got: Vec<_> = buckets.iter().map(|b| (b.lower, b.upper, b.count)).collect();
        let want = [(-2.0, -1.0, 1.0), (-0.75, 0.75, 2.0), (0.75, 1.0, 1.0), (1.0, 2.0, 2.0)];
        assert_eq!(got, [&want[..], &[(4.0, 8.0, 3.0)]].concat());
        let inside: Vec<_> = buckets.iter().map(|b| (b.lower_inside, b.upper_inside)).collect();
        assert_eq!(inside[..3], [(true, false), (true, true), (false, true)]);
    }

    #[test]
    fn custom_buckets_reach_both_infinities() {
        let layout = Layout {
            schema: CUSTOM_SCHEMA,
            positive: vec![Span { offset: 0, length: 3 }],
            bounds: vec![0.5, 2.0],
            ..Layout::default()
        };
        let tally =
            Tally { count: 6.0, zero: 0.0, positive: vec![1.0, 2.0, 3.0], negative: vec![] };
        let run = packed(layout, Counts::Float(tally));
        let buckets: Vec<_> = Packed::new(&run).unwrap().buckets().collect();
        let bounds: Vec<_> = buckets.iter().map(|b| (b.lower, b.upper, b.lower_inside)).collect();
        let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(bounds, [(low, 0.5, true), (0.5, 2.0, false), (2.0, high, false)]);
    }

    #[test]
    fn runs_that_break_the_laws_are_refused() {
        let run = exponential();
        for len in 0..run.len() {
            assert!(Packed::new(&run[..len]).is_err(), "length {len}");
        }
        for (at, wrong) in [(6, -1.0), (6, 1e300), (7, 0.5), (8, f64::NAN), (10, 7.0), (12, 2.0)] {
            let mut broken = run.clone();
            broken[at] = wrong;
            assert!(Packed::new(&broken).is_err(), "element {at}");
        }
    }
}
