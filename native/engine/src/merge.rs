//! Merging sorted runs of one series: last write wins.
//!
//! Runs are given oldest write first. Where two runs hold the same timestamp, the later run's value
//! stays. Almost always the runs do not overlap in time and are only put one after the other.

use crate::sample::TimestampMs;

pub use crate::run::{Run, RunSlice};

/// Calls `emit` with the pieces of the merge of `runs` in ascending time and returns how many
/// samples were replaced by one with other bits.
///
/// Disjoint runs cost one call each; overlapping ones one call per sample.
pub fn merge(runs: &mut Vec<RunSlice<'_>>, mut emit: impl FnMut(RunSlice<'_>)) -> u64 {
    runs.retain(|run| !run.timestamps.is_empty());
    let disjoint = |pair: &[RunSlice<'_>]| pair[0].timestamps.last() < pair[1].timestamps.first();
    if !runs.windows(2).all(disjoint) {
        // Rank before sorting is age; a stable sort by first time keeps ties in age order.
        let mut sorted = runs.clone();
        sorted.sort_by_key(|run| run.timestamps[0]);
        if !sorted.windows(2).all(disjoint) {
            return merge_overlapping(runs, emit);
        }
        *runs = sorted;
    }
    for run in runs.iter() {
        emit(*run);
    }
    0
}

/// Repeatedly takes the smallest head; among equal ones the youngest run's. The number of runs is
/// small (late chunks of one series), so a scan beats a heap.
fn merge_overlapping(runs: &[RunSlice<'_>], mut emit: impl FnMut(RunSlice<'_>)) -> u64 {
    if runs.len() > 8 {
        return merge_many(runs, emit);
    }
    let mut at = vec![0usize; runs.len()];
    let mut replaced = 0;
    loop {
        let next =
            runs.iter().zip(&at).filter_map(|(run, i)| run.timestamps.get(*i)).min().copied();
        let Some(t) = next else { return replaced };
        let mut winner: Option<(usize, usize)> = None;
        for (r, run) in runs.iter().enumerate() {
            if run.timestamps.get(at[r]) == Some(&t) {
                if let Some((w, i)) = winner
                    && !runs[w].same_value(i, run, at[r])
                {
                    replaced += 1;
                }
                winner = Some((r, at[r]));
                at[r] += 1;
            }
        }
        if let Some((r, i)) = winner {
            emit(runs[r].slice(i..i + 1));
        }
    }
}

/// Many runs (a series that was backfilled in random order): sort all samples by time, age second.
fn merge_many(runs: &[RunSlice<'_>], mut emit: impl FnMut(RunSlice<'_>)) -> u64 {
    let mut all: Vec<(TimestampMs, u32, u32)> = Vec::new();
    for (r, run) in runs.iter().enumerate() {
        all.extend(run.timestamps.iter().enumerate().map(|(i, t)| (*t, r as u32, i as u32)));
    }
    all.sort_unstable();
    let mut replaced = 0;
    for (k, (t, r, i)) in all.iter().enumerate() {
        let (run, i) = (runs[*r as usize], *i as usize);
        match all.get(k + 1) {
            Some((next, r2, i2)) if next == t => {
                let younger = &runs[*r2 as usize];
                replaced += u64::from(!younger.same_value(*i2 as usize, &run, i));
            }
            _ => emit(run.slice(i..i + 1)),
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// A histogram for 0, a start timestamp for 1, so that all kinds replace each other.
    fn run_of(samples: &BTreeMap<i64, u8>) -> Run {
        let mut run = Run::default();
        for (t, v) in samples {
            if *v == 0 {
                run.histograms.resize(run.timestamps.len(), None);
                let h = Histogram { sum: 2.0, ..Histogram::stale() };
                run.histograms.push(Some(Arc::new(h)));
            }
            if *v == 1 {
                run.starts.resize(run.timestamps.len(), 0);
                run.starts.push(9);
            }
            run.timestamps.push(*t);
            run.values.push(f64::from(*v).max(2.0));
        }
        run
    }

    proptest! {
        #[test]
        fn the_last_write_wins(runs in proptest::collection::vec(
            proptest::collection::btree_map(-50i64..50, 0u8..4, 0..20), 0..12)) {
            let owned: Vec<Run> = runs.iter().map(run_of).collect();
            let mut slices: Vec<RunSlice<'_>> = owned.iter().map(Run::as_slice).collect();
            let mut model = BTreeMap::new();
            let mut want_replaced = 0;
            for run in &runs {
                for (t, v) in run {
                    want_replaced += u64::from(model.insert(*t, *v).is_some_and(|old| old != *v));
                }
            }
            let mut got = Vec::new();
            let replaced = merge(&mut slices, |run| {
                for (i, t) in run.timestamps.iter().enumerate() {
                    let v = match run.histogram(i) {
                        Some(_) => 0,
                        None if run.start(i) == 9 => 1,
                        None => run.values[i] as u8,
                    };
                    got.push((*t, v));
                }
            });
            prop_assert_eq!(got, model.into_iter().collect::<Vec<_>>());
            prop_assert_eq!(replaced, want_replaced);
        }
    }
}
