//! Which metrics, labels and values make the head large.
//!
//! Source of what is counted: Prometheus 3.14, `tsdb/index/postings.go` (`Stats`) and
//! `web/api/v1/api.go` (`serveTSDBStatus`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cancel::Cancel;
use crate::error::Result;
use crate::head::Head;
use crate::index::select::PostingsSource;
use crate::labels::METRIC_NAME;
use crate::refs::{SeriesRef, TenantId};
use crate::sample::TimeRange;

/// A name and how many or how much of something it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// The name.
    pub name: String,
    /// The number.
    pub value: u64,
}

/// The head of one tenant in numbers. Lists are descending, equal numbers ascending by name.
#[derive(Debug, Clone)]
pub struct Cardinality {
    /// Series.
    pub series: u64,
    /// Distinct pairs of label name and value.
    pub label_pairs: u64,
    /// Chunks in the head, open ones included.
    pub chunks: u64,
    /// Times of the first and the last sample in the head; empty when there is none.
    pub range: TimeRange,
    /// Metrics with the most series.
    pub series_by_metric: Vec<Ranked>,
    /// Labels with the most values.
    pub values_by_label: Vec<Ranked>,
    /// Labels whose name and values, written out for each series, have the most bytes.
    pub bytes_by_label: Vec<Ranked>,
    /// Pairs of name and value, as `name=value`, with the most series.
    pub series_by_pair: Vec<Ranked>,
}

/// Counts; the lists have `limit` entries at most.
///
/// Cost: a step for every value of every label, a label at a time, during which new series wait;
/// then a step for every series.
///
/// # Errors
/// `canceled`, `corruption`.
pub fn cardinality(
    head: &Head,
    tenant: TenantId,
    limit: usize,
    cancel: &Cancel,
) -> Result<Cardinality> {
    let [mut metrics, mut values, mut bytes, mut pairs] =
        std::array::from_fn(|_| Largest::new(limit));
    let mut out = Cardinality {
        series: 0,
        label_pairs: 0,
        chunks: 0,
        range: TimeRange::EMPTY,
        series_by_metric: Vec::new(),
        values_by_label: Vec::new(),
        bytes_by_label: Vec::new(),
        series_by_pair: Vec::new(),
    };
    let Some(index) = head.index(tenant) else { return Ok(out) };
    let mut names = std::collections::BTreeSet::new();
    index.read().label_names(None, &mut names);
    for name in names {
        cancel.check()?;
        let (mut of_name, mut size) = (0, 0);
        index.read().visit_values(&name, |value, series| {
            of_name += 1;
            size += encoded_bytes(&name, value) * series;
            pairs.offer(series, || format!("{name}={value}"));
            if name == METRIC_NAME {
                metrics.offer(series, || value.to_owned());
            }
        });
        out.label_pairs += of_name;
        values.offer(of_name, || name.clone());
        bytes.offer(size, || name.clone());
    }
    let all = index.read().all()?.into_owned();
    out.series = all.len();
    for series in &all {
        let (chunks, range) = head.extent(SeriesRef(series));
        out.chunks += chunks as u64;
        out.range.include_range(&range);
    }
    out.series_by_metric = metrics.finish();
    out.values_by_label = values.finish();
    out.bytes_by_label = bytes.finish();
    out.series_by_pair = pairs.finish();
    Ok(out)
}

/// Bytes of a label in Prometheus' memory: a length byte before each text, four before a long one.
fn encoded_bytes(name: &str, value: &str) -> u64 {
    let text = |len: usize| len as u64 + if len < 255 { 1 } else { 4 };
    text(name.len()) + text(value.len())
}

/// The entries with the largest numbers.
struct Largest {
    limit: usize,
    /// The smallest first.
    heap: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
}

impl Largest {
    fn new(limit: usize) -> Self {
        Self { limit, heap: BinaryHeap::new() }
    }

    /// The name is only made for an entry that may stay.
    fn offer(&mut self, value: u64, name: impl FnOnce() -> String) {
        if self.heap.len() >= self.limit
            && self.heap.peek().is_none_or(|Reverse((least, _))| value < *least)
        {
            return;
        }
        self.heap.push(Reverse((value, Reverse(name()))));
        if self.heap.len() > self.limit {
            self.heap.pop();
        }
    }

    fn finish(self) -> Vec<Ranked> {
        let sorted = self.heap.into_sorted_vec();
        sorted.into_iter().map(|Reverse((value, Reverse(name)))| Ranked { name, value }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_kept_and_sorted() {
        let mut largest = Largest::new(3);
        for (name, value) in [("a", 1), ("b", 5), ("e", 2), ("c", 2), ("d", 2), ("f", 0)] {
            largest.offer(value, || name.to_owned());
        }
        let got: Vec<_> = largest.finish().into_iter().map(|r| (r.name, r.value)).collect();
        assert_eq!(got, [("b", 5), ("c", 2), ("d", 2)].map(|(n, v)| (n.to_owned(), v)));
    }
}
