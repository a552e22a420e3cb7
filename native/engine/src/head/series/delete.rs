//! Deleting a range of a series: what lies inside leaves memory at once.
//!
//! A chunk that lies wholly outside stays as it is, where it is; one inside or across the edge is
//! decoded, and what stays of it is built anew on the heap. With late samples everything that stays
//! is merged into one run: otherwise a later write could land in order before a late sample that is
//! older than it and would lose against it.

use super::{Contents, SealedChunk, Series, sealed};
use crate::chunk::gorilla;
use crate::error::Result;
use crate::merge::merge;
use crate::refs::Generation;
use crate::run::{Run, RunSlice};
use crate::sample::TimeRange;

/// What a delete took out of a series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Samples of the generation that is being written.
    pub active_samples: u64,
    /// Bytes of chunks of that generation.
    pub active_bytes: u64,
    /// Samples of the generation before.
    pub frozen_samples: u64,
    /// Whether the series had samples and has none any more.
    pub emptied: bool,
}

impl Deleted {
    /// Adds what another delete took out of the same series.
    pub fn add(&mut self, other: Self) {
        self.active_samples += other.active_samples;
        self.active_bytes += other.active_bytes;
        self.frozen_samples += other.frozen_samples;
        self.emptied |= other.emptied;
    }
}

impl Series {
    /// Drops the samples in `range` from all generations; `active` is the one being written.
    ///
    /// # Errors
    /// `corruption` when a chunk is not what was written: in a chunk file damage, in memory a bug.
    /// The series is then as it was, or short of one generation's samples in the range.
    pub fn delete(&mut self, range: TimeRange, active: Generation) -> Result<Deleted> {
        let mut deleted = Deleted::default();
        let was_empty = self.is_empty();
        let mut contents = self.take();
        let before = contents.heap_bytes();
        let dropped = contents.delete(range);
        if self.generation == active {
            deleted.active_samples = *dropped.as_ref().unwrap_or(&0);
            deleted.active_bytes = before.saturating_sub(contents.heap_bytes());
        } else {
            deleted.frozen_samples = *dropped.as_ref().unwrap_or(&0);
        }
        self.put(contents);
        dropped?;
        if let Some(rest) = &mut self.rest {
            if let Some(frozen) = &mut rest.frozen {
                deleted.frozen_samples += frozen.contents.delete(range)?;
            }
            rest.frozen.take_if(|frozen| frozen.contents.is_empty());
        }
        self.drop_empty_rest();
        deleted.emptied = !was_empty && self.is_empty();
        Ok(deleted)
    }
}

impl Contents {
    fn is_empty(&self) -> bool {
        self.parts().newest().is_none()
    }

    fn heap_bytes(&self) -> u64 {
        let sealed: usize = self.sealed.iter().map(SealedChunk::heap_bytes).sum();
        (self.open.heap_bytes() + sealed) as u64
    }

    /// Drops the samples in `range` and returns how many there were, replaced ones included.
    fn delete(&mut self, range: TimeRange) -> Result<u64> {
        if self.late.is_some() {
            return self.rebuild_without(range);
        }
        let mut dropped = 0;
        let mut sealed_chunks = Vec::with_capacity(self.sealed.len());
        for chunk in &self.sealed {
            if chunk.range.overlaps(&range) {
                let (kept, gone) = without(chunk, range)?;
                sealed_chunks.extend(kept);
                dropped += gone;
            } else {
                sealed_chunks.push(chunk.clone());
            }
        }
        dropped += self.delete_from_open(range)?;
        self.sealed = sealed_chunks;
        Ok(dropped)
    }

    fn delete_from_open(&mut self, range: TimeRange) -> Result<u64> {
        let (Some(first), Some(last)) = (self.open.first_time(), self.open.last_time()) else {
            return Ok(0);
        };
        if !TimeRange::new(first, last).overlaps(&range) {
            return Ok(0);
        }
        let mut kept = Run::default();
        for piece in outside(range) {
            self.open.decode_open(piece, &mut kept.sink())?;
        }
        let before = self.open.count();
        self.open = chunk_of(&kept);
        Ok(u64::from(before - self.open.count()))
    }

    /// Merges all that lies outside of `range` into one run, which becomes the content; returns how
    /// many samples lay inside.
    fn rebuild_without(&mut self, range: TimeRange) -> Result<u64> {
        let inside: usize = self.decoded(range)?.iter().map(|run| run.timestamps.len()).sum();
        if inside == 0 {
            return Ok(0);
        }
        let mut runs: Vec<Run> = Vec::new();
        for piece in outside(range) {
            runs.extend(self.decoded(piece)?);
        }
        let (mut rebuilt, generation) = (Series::default(), Generation::default());
        let mut slices: Vec<RunSlice<'_>> = runs.iter().map(Run::as_slice).collect();
        merge(&mut slices, |run| {
            for (i, v) in run.values.iter().enumerate() {
                let at = run.times_of(i);
                match run.histogram(i) {
                    Some(histogram) => rebuilt.append_histogram(generation, at, histogram),
                    None => rebuilt.append(generation, at, *v),
                };
            }
        });
        *self = rebuilt.take();
        Ok(inside as u64)
    }

    /// What lies in `range`, oldest write first.
    fn decoded(&self, range: TimeRange) -> Result<Vec<Run>> {
        let (mut parts, mut runs) = (Vec::new(), Vec::new());
        self.parts().collect(range, &mut parts);
        super::Runs::within(range, parts).decode(range, &mut runs)?;
        Ok(runs)
    }
}

/// What is not in `range`: up to two ranges, ascending.
fn outside(range: TimeRange) -> impl Iterator<Item = TimeRange> {
    TimeRange::ALL.without(&range).into_iter().flatten()
}

/// The chunk without the samples in `range`, `None` when nothing stays; and how many those were.
fn without(chunk: &SealedChunk, range: TimeRange) -> Result<(Option<SealedChunk>, u64)> {
    let (mut kept, mut gone) = (Run::default(), Run::default());
    chunk.decode(range, &mut gone)?;
    for piece in chunk.range.without(&range).into_iter().flatten() {
        chunk.decode(piece, &mut kept)?;
    }
    let stays = sealed(chunk_of(&kept));
    Ok((stays, gone.timestamps.len() as u64))
}

/// A chunk of a run of floats.
fn chunk_of(run: &Run) -> gorilla::Appender {
    let run = run.as_slice();
    let has_starts = run.has_starts();
    let mut appender =
        if has_starts { gorilla::Appender::with_starts() } else { gorilla::Appender::new() };
    for (i, v) in run.values.iter().enumerate() {
        appender.append(run.times_of(i), *v);
    }
    appender
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Histogram;
    use crate::sample::Times;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn read(series: &Series) -> Vec<(i64, (u64, i64))> {
        let mut runs = Vec::new();
        let parts = series.runs(Generation(0), Generation(9), TimeRange::ALL);
        parts.decode(TimeRange::ALL, &mut runs).unwrap();
        let mut slices: Vec<RunSlice<'_>> = runs.iter().map(Run::as_slice).collect();
        let mut out = Vec::new();
        merge(&mut slices, |run| {
            let said = (0..run.values.len()).map(|i| (run.values[i].to_bits(), run.start(i)));
            out.extend(run.timestamps.iter().copied().zip(said));
        });
        out
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(i64, u64, i64),
        Delete(i64, i64),
        Freeze,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            40 => (-300i64..300, 0u64..3, Just(0)).prop_map(|(t, v, s)| Step::Write(t, v, s)),
            20 => (300i64..4000, 0u64..3, 0i64..3).prop_map(|(t, v, s)| Step::Write(t, v, s)),
            3 => (-400i64..4000, 0i64..900).prop_map(|(a, n)| Step::Delete(a, a + n)),
            1 => Just(Step::Freeze),
        ]
    }

    proptest! {
        #[test]
        fn writes_and_deletes_in_any_order_are_those_of_a_sorted_map(
            steps in prop::collection::vec(step(), 0..900)) {
            let (mut series, mut model) = (Series::default(), BTreeMap::new());
            let mut generation = Generation(1);
            for step in steps {
                match step {
                    Step::Write(t, v, start) => {
                        series.append(generation, Times { t, start }, f64::from_bits(v));
                        model.insert(t, (v, start));
                    }
                    Step::Delete(a, b) => {
                        let had = !model.is_empty();
                        let deleted = series.delete(TimeRange::new(a, b), generation).unwrap();
                        model.retain(|t, _| *t < a || *t > b);
                        prop_assert_eq!(series.is_empty(), model.is_empty());
                        prop_assert_eq!(deleted.emptied, had && model.is_empty());
                    }
                    Step::Freeze if generation == Generation(1) => generation = Generation(2),
                    Step::Freeze => {}
                }
            }
            prop_assert_eq!(read(&series), model.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_write_after_a_delete_wins_over_an_older_late_sample() {
        let mut series = Series::default();
        for (t, v) in [(10, 1.0), (20, 2.0), (30, 3.0), (25, 4.0)] {
            series.append(Generation(1), t, v);
        }
        series.delete(TimeRange::new(30, 30), Generation(1)).unwrap();
        series.append(Generation(1), 25, 5.0);
        let want = [(10, 1f64), (20, 2.0), (25, 5.0)].map(|(t, v)| (t, (v.to_bits(), 0)));
        assert_eq!(read(&series), want);
    }

    #[test]
    fn histograms_inside_go_and_those_outside_stay_what_they_are() {
        let (mut series, stale) = (Series::default(), Arc::new(Histogram::stale()));
        for t in 0..300 {
            if t % 3 == 0 {
                series.append_histogram(Generation(1), t, &stale);
            } else {
                series.append(Generation(1), t, t as f64);
            }
        }
        let deleted = series.delete(TimeRange::new(100, 249), Generation(1)).unwrap();
        assert_eq!((deleted.active_samples, deleted.emptied), (150, false));
        let mut runs = Vec::new();
        let parts = series.runs(Generation(1), Generation(1), TimeRange::ALL);
        parts.decode(TimeRange::ALL, &mut runs).unwrap();
        let mut slices: Vec<RunSlice<'_>> = runs.iter().map(Run::as_slice).collect();
        let mut kinds = Vec::new();
        merge(&mut slices, |run| {
            kinds.extend(
                (0..run.timestamps.len()).map(|i| (run.timestamps[i], run.histogram(i).is_some())),
            );
        });
        let want: Vec<_> = (0..100).chain(250..300).map(|t| (t, t % 3 == 0)).collect();
        assert_eq!(kinds, want);
        assert!(series.delete(TimeRange::ALL, Generation(1)).unwrap().emptied);
    }

    #[test]
    fn a_delete_counts_what_it_took_by_generation() {
        let mut series = Series::default();
        for t in 0..200 {
            series.append(Generation(1), t, 0.0);
        }
        for t in 200..250 {
            series.append(Generation(2), t, 0.0);
        }
        let deleted = series.delete(TimeRange::new(150, 209), Generation(2)).unwrap();
        assert_eq!((deleted.frozen_samples, deleted.active_samples), (50, 10));
        assert!(!deleted.emptied);
        let rest = series.delete(TimeRange::ALL, Generation(2)).unwrap();
        assert_eq!((rest.frozen_samples, rest.active_samples, rest.emptied), (150, 40, true));
        assert!(rest.active_bytes > 0, "a chunk built anew may take as much, none takes nothing");
    }
}
