//! Float samples on their way to the head.

use crate::refs::{SHARD_COUNT, SeriesRef};
use crate::run::side_column;
use crate::sample::{NO_START, Times, TimestampMs};

/// A sample on its way to a series.
#[derive(Debug, Clone, Copy)]
pub struct Addressed {
    /// Whose.
    pub series: SeriesRef,
    /// When.
    pub t: TimestampMs,
    /// What.
    pub v: f64,
}

/// Samples, and their start timestamps in a side column as in `run.rs`.
#[derive(Debug, Default, Clone)]
pub struct Floats {
    samples: Vec<Addressed>,
    /// At most as long.
    starts: Vec<TimestampMs>,
}

impl From<Vec<Addressed>> for Floats {
    fn from(samples: Vec<Addressed>) -> Self {
        Self { samples, starts: Vec::new() }
    }
}

/// Samples of one shard.
pub(super) struct Group<'a> {
    samples: &'a [Addressed],
    starts: &'a [TimestampMs],
}

impl<'a> Group<'a> {
    pub(super) fn shard(&self) -> usize {
        self.samples[0].series.shard()
    }

    pub(super) fn len(&self) -> usize {
        self.samples.len()
    }

    /// Each sample with its times.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a Addressed, Times)> + use<'a> {
        let starts = self.starts;
        self.samples.iter().enumerate().map(move |(i, sample)| {
            let start = starts.get(i).copied().unwrap_or(NO_START);
            (sample, Times { t: sample.t, start })
        })
    }
}

impl Floats {
    /// Room for so many.
    pub fn with_capacity(samples: usize) -> Self {
        Self { samples: Vec::with_capacity(samples), starts: Vec::new() }
    }

    /// Adds a sample.
    #[inline]
    pub fn push(&mut self, sample: Addressed, start: TimestampMs) {
        if start != NO_START {
            self.starts.resize(self.samples.len(), NO_START);
            self.starts.push(start);
        }
        self.samples.push(sample);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Each sample with its times.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Addressed, Times)> {
        let Self { samples, starts } = self;
        Group { samples, starts }.iter()
    }

    /// Runs of one shard; one for each where [`Floats::by_shard`] made these.
    pub(super) fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        let groups = self.samples.chunk_by(|a, b| a.series.shard() == b.series.shard());
        groups.scan(0, |start, samples| {
            let span = *start..*start + samples.len();
            *start = span.end;
            Some(Group { samples, starts: side_column(&self.starts, span) })
        })
    }

    /// A stable counting sort, so that whoever appends them takes each shard's lock once.
    pub(super) fn by_shard(&self) -> Self {
        let mut next = [0usize; SHARD_COUNT + 1];
        for sample in &self.samples {
            next[sample.series.shard() + 1] += 1;
        }
        for i in 1..next.len() {
            next[i] += next[i - 1];
        }
        let mut grouped = self.samples.clone();
        let starts = if self.starts.is_empty() { 0 } else { grouped.len() };
        let mut starts = vec![NO_START; starts];
        for (i, sample) in self.samples.iter().enumerate() {
            let at = &mut next[sample.series.shard()];
            grouped[*at] = *sample;
            if let Some(start) = self.starts.get(i) {
                starts[*at] = *start;
            }
            *at += 1;
        }
        Self { samples: grouped, starts }
    }
}
