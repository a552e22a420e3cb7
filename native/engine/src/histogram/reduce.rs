//! Histograms of a finer resolution than is stored: neighbouring buckets become one.
//!
//! Schemas 9 to 52 are reserved by Prometheus, which accepts them and stores schema 8.
//! Source: Prometheus 3.14, `storage/remote/write_handler.go` (`remoteWriteAppenderV2`) and
//! `model/histogram/generic.go` (`reduceResolution`, `targetIdx`).

use super::{
    BUCKETS_MAX, Counts, Histogram, Layout, Offsets, SCHEMA_MAX, Span, Tally, check_spans,
};
use crate::error::Result;
use crate::sync::Arc;

/// The finest schema that a sender may use.
const SCHEMA_MAX_RESERVED: i32 = 52;

impl Histogram {
    /// The histogram at the finest schema that is stored, if its own is finer than that and one
    /// that is known; `None` for every other.
    ///
    /// # Errors
    /// `bad_data` when spans and counts do not fit together.
    pub fn reduced(&self) -> Result<Option<Self>> {
        let layout = &*self.layout;
        let finer = SCHEMA_MAX + 1..=SCHEMA_MAX_RESERVED;
        // Past the most buckets `validate` has its say.
        if !finer.contains(&layout.schema) || self.bucket_count() as u64 > BUCKETS_MAX {
            return Ok(None);
        }
        let by = (layout.schema - SCHEMA_MAX) as u32;
        let mut reduced = Layout { schema: SCHEMA_MAX, ..layout.clone() };
        let counts = match &self.counts {
            Counts::Integer(tally) => {
                Counts::Integer(reduce(layout, tally, by, u64::wrapping_add, &mut reduced)?)
            }
            Counts::Float(tally) => {
                Counts::Float(reduce(layout, tally, by, |a, b| a + b, &mut reduced)?)
            }
        };
        Ok(Some(Self { layout: Arc::new(reduced), counts, ..*self }))
    }
}

fn reduce<C: Copy>(
    layout: &Layout,
    tally: &Tally<C>,
    by: u32,
    add: impl Fn(C, C) -> C,
    reduced: &mut Layout,
) -> Result<Tally<C>> {
    check_spans("positive buckets", &layout.positive, tally.positive.len(), Offsets::FirstAny)?;
    check_spans("negative buckets", &layout.negative, tally.negative.len(), Offsets::FirstAny)?;
    let positive = reduce_side(&layout.positive, &tally.positive, by, &add);
    let negative = reduce_side(&layout.negative, &tally.negative, by, &add);
    (reduced.positive, reduced.negative) = (positive.0, negative.0);
    let Tally { count, zero, .. } = *tally;
    Ok(Tally { count, zero, positive: positive.1, negative: negative.1 })
}

/// The spans and counts of a side whose buckets are `2^by` times as wide. Offsets were checked:
/// indexes ascend.
fn reduce_side<C: Copy>(
    spans: &[Span],
    counts: &[C],
    by: u32,
    add: impl Fn(C, C) -> C,
) -> (Vec<Span>, Vec<C>) {
    let (mut to, mut merged): (Vec<Span>, Vec<C>) = (Vec::new(), Vec::new());
    let (mut next, mut last) = (0i64, None);
    let mut counts = counts.iter();
    for span in spans {
        next += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            // Bucket `i` ends at `2^(i × 2^-schema)`, so index 1 is the first of a wider bucket 1.
            let index = ((next - 1) >> by) + 1;
            next += 1;
            match (last.map(|last: i64| index - last), to.last_mut(), merged.last_mut()) {
                (Some(0), _, Some(sum)) => *sum = add(*sum, *count),
                (Some(1), Some(span), _) => {
                    span.length += 1;
                    merged.push(*count);
                }
                (ahead, ..) => {
                    // An index of the wider schema is smaller than one of 32 bits.
                    let offset = ahead.map_or(index, |ahead| ahead - 1) as i32;
                    to.push(Span { offset, length: 1 });
                    merged.push(*count);
                }
            }
            last = Some(index);
        }
    }
    (to, merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::CounterReset;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    fn histogram(schema: i32, positive: Vec<Span>, counts: Vec<u64>) -> Histogram {
        let negative = vec![span(0, 1)];
        let layout = Layout { schema, positive, negative, ..Layout::default() };
        let count = 1 + counts.iter().sum::<u64>();
        let tally = Tally { count, zero: 0, positive: counts, negative: vec![1] };
        let counts = Counts::Integer(tally);
        Histogram { layout: Arc::new(layout), reset: CounterReset::No, sum: 3.5, counts }
    }

    #[test]
    fn neighbouring_buckets_become_one() {
        // Indexes -1 to 4, 7 and 9 become 0, 0, 1, 1, 2, 2, 4 and 5.
        let spans = vec![span(-1, 6), span(2, 1), span(1, 1)];
        let fine = histogram(9, spans, vec![1, 2, 4, 8, 16, 32, 64, 128]);
        let got = fine.reduced().unwrap().unwrap();
        let want = histogram(8, vec![span(0, 3), span(1, 2)], vec![3, 12, 48, 64, 128]);
        assert_eq!(got, want);
        got.validate().unwrap();
        let finest = histogram(52, vec![span(i32::MIN, 1)], vec![5]);
        let got = finest.reduced().unwrap().unwrap();
        assert_eq!(got.layout.positive, [span(0, 1)], "-2^31 - 1 over 2^44, rounded down, and 1");
    }

    #[test]
    fn what_is_stored_as_it_is_stays() {
        for schema in [-53, -9, -4, 8, 53] {
            assert!(histogram(schema, vec![span(0, 1)], vec![1]).reduced().unwrap().is_none());
        }
    }

    #[test]
    fn spans_that_do_not_fit_are_refused() {
        assert!(histogram(9, vec![span(0, 2)], vec![1]).reduced().is_err());
        assert!(histogram(9, vec![span(0, 1), span(-1, 1)], vec![1, 1]).reduced().is_err());
    }
}
