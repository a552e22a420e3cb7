//! A selection: the series that a selector found, merged over head and blocks.
//!
//! Equal label sets of different sources become one series. Samples are decoded in groups of whole
//! series, source by source, and put together per series; where two sources hold the same time, the
//! later write wins, which is the order of the sources.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::cancel::Cancel;
use crate::dictionary::Dictionary;
use crate::error::Result;
use crate::histogram::Histogram;
use crate::label_order::{LabelIds, sort_order};
use crate::read::reader::{Layout, Origin, Reader};
use crate::read::threads::Helpers;
use crate::run::Needs;
use crate::sample::{NO_START, TimeRange, TimestampMs};
use crate::source::{Columns, SourceSelection};
use crate::sync::Arc;

/// Samples that one group should decode to, about: 4 MiB of columns, which stay in the cache.
const GROUP_SAMPLES: usize = 256 << 10;
/// Most series of a group.
const GROUP_SERIES: usize = 512;

/// Samples of some series that were decoded and not yet all handed out.
#[derive(Default)]
struct Group {
    /// The first series of the group, and the first one after it.
    first: usize,
    end: usize,
    columns: Columns,
}

/// See the page above.
pub struct Selection {
    ids: Vec<u32>,
    offsets: Vec<u32>,
    layout: Layout,
    reader: Reader,
    group: Group,
    /// How many series the next group takes.
    group_series: usize,
    /// The same of the chunks in which windows are evaluated, once it is known.
    pub(super) chunk_series: Option<usize>,
    pub(super) helpers: Helpers,
    /// The histograms among the samples that the last read copied, with their places.
    histograms: Vec<(u32, Arc<Histogram>)>,
    /// The start timestamps of these samples; see [`Selection::starts`].
    starts: Vec<TimestampMs>,
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// That many series were copied.
    Series(usize),
    /// Not even the first one fits: it has that many samples.
    Needs(usize),
}

/// Columns of the caller, as f64 milliseconds and values.
pub struct Target<'a> {
    /// Milliseconds.
    pub timestamps: &'a mut [f64],
    /// Values; the same length.
    pub values: &'a mut [f64],
    /// At least one more than the number of series that is wanted.
    pub offsets: &'a mut [u32],
}

impl Selection {
    /// Joins the selections of all sources, oldest write first.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn new(
        mut parts: Vec<Box<dyn SourceSelection>>,
        range: TimeRange,
        dictionary: &mut Dictionary,
        cancel: Cancel,
    ) -> Result<Self> {
        let hasher = RandomState::new();
        let mut table: HashTable<u32> = HashTable::new();
        let (mut ids, mut offsets) = (Vec::<u32>::new(), vec![0u32]);
        let mut places: Vec<(u32, Origin)> = Vec::new();
        for (source, part) in parts.iter_mut().enumerate() {
            for local in 0..part.len() {
                if local % 4096 == 0 {
                    cancel.check()?;
                }
                let start = ids.len();
                part.labels(local, dictionary, &mut ids)?;
                if ids.len() == start {
                    continue;
                }
                let span = |i: u32| offsets[i as usize] as usize..offsets[i as usize + 1] as usize;
                let hash = hasher.hash_one(&ids[start..]);
                let known = table.find(hash, |i| ids[span(*i)] == ids[start..]).copied();
                let series = if let Some(series) = known {
                    ids.truncate(start);
                    series
                } else {
                    let series = offsets.len() as u32 - 1;
                    table.insert_unique(hash, series, |i| hasher.hash_one(&ids[span(*i)]));
                    offsets.push(ids.len() as u32);
                    series
                };
                let origin = Origin { source: source as u32, local: local as u32 };
                places.push((series, origin));
            }
        }
        let (ids, offsets) = in_order(dictionary, ids, offsets, &mut places);
        let layout = Layout::new(range, cancel, &places, offsets.len() - 1);
        Ok(Self {
            ids,
            offsets,
            layout,
            reader: Reader::new(parts),
            group: Group::default(),
            group_series: 8,
            chunk_series: None,
            helpers: Helpers::default(),
            histograms: Vec::new(),
            starts: Vec::new(),
        })
    }

    /// The same, with the help of threads for evaluating windows.
    #[must_use]
    pub fn with_helpers(mut self, helpers: Helpers) -> Self {
        self.helpers = helpers;
        self
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Label ids of all series: see [`Selection::label_offsets`].
    pub fn label_ids(&self) -> &[u32] {
        &self.ids
    }

    /// Series `i` owns `[offsets[i], offsets[i + 1])` of the ids.
    pub fn label_offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// Label ids of series `i`.
    pub fn labels(&self, i: usize) -> &[u32] {
        &self.ids[self.offsets[i] as usize..self.offsets[i + 1] as usize]
    }

    /// The samples of the last [`Selection::read`] that are histograms: their places in the
    /// columns, ascending, and what they are. The value column has their sums.
    pub fn histograms(&self) -> &[(u32, Arc<Histogram>)] {
        &self.histograms
    }

    /// The start timestamps of the samples of the last [`Selection::read`]: at most as many, and
    /// what is missing is [`NO_START`].
    pub fn starts(&self) -> &[TimestampMs] {
        &self.starts
    }

    /// Copies the samples of whole series from `first` on, as many as fit.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub fn read(&mut self, first: usize, target: &mut Target<'_>) -> Result<Filled> {
        let most = (self.len() - first.min(self.len())).min(target.offsets.len().saturating_sub(1));
        let room = target.timestamps.len().min(target.values.len());
        self.histograms.clear();
        self.starts.clear();
        let (mut done, mut filled) = (0, 0);
        if let Some(zero) = target.offsets.first_mut() {
            *zero = 0;
        }
        while done < most {
            let series = first + done;
            if !(self.group.first..self.group.end).contains(&series) {
                self.decode_group(series)?;
            }
            let run = self.group.columns.run(series - self.group.first);
            let (ts, vs) = (run.timestamps, run.values);
            if ts.len() > room - filled {
                if done == 0 {
                    return Ok(Filled::Needs(ts.len()));
                }
                break;
            }
            let span = filled..filled + ts.len();
            for (to, from) in target.timestamps[span.clone()].iter_mut().zip(ts) {
                *to = *from as f64;
            }
            target.values[span.clone()].copy_from_slice(vs);
            for (row, h) in span.clone().zip(run.histograms) {
                self.histograms.extend(h.as_ref().map(|h| (row as u32, Arc::clone(h))));
            }
            if !run.starts.is_empty() {
                self.starts.resize(filled, NO_START);
                self.starts.extend_from_slice(run.starts);
            }
            filled = span.end;
            done += 1;
            target.offsets[done] = filled as u32;
        }
        Ok(Filled::Series(done))
    }

    /// What decoding needs.
    pub(super) fn reading(&mut self) -> (&Layout, &mut Reader) {
        (&self.layout, &mut self.reader)
    }

    /// Decodes the group that begins at series `first`.
    fn decode_group(&mut self, first: usize) -> Result<()> {
        let end = (first + self.group_series).min(self.len());
        self.reader.decode(&self.layout, (first, end), Needs::Values)?;
        let group = &mut self.group;
        group.columns.clear();
        (group.first, group.end) = (first, end);
        self.reader.for_each(&self.layout, first, end, |samples| {
            group.columns.extend(samples);
            group.columns.end_series();
            true
        });
        let samples = self.group.columns.timestamps.len();
        let per_series = (samples / (end - first)).max(1);
        self.group_series = (GROUP_SAMPLES / per_series).clamp(1, GROUP_SERIES);
        Ok(())
    }
}

/// Brings the series into label order, which is the order that PromQL's `limitk`, and ties of
/// `topk`, go by.
fn in_order(
    dictionary: &Dictionary,
    ids: Vec<u32>,
    offsets: Vec<u32>,
    places: &mut [(u32, Origin)],
) -> (Vec<u32>, Vec<u32>) {
    let order = sort_order(dictionary, LabelIds { ids: &ids, offsets: &offsets });
    if order.is_sorted() {
        return (ids, offsets);
    }
    let mut place_of = vec![0u32; order.len()];
    let (mut sorted_ids, mut sorted_offsets) = (Vec::with_capacity(ids.len()), vec![0u32]);
    for (place, series) in order.iter().enumerate() {
        let at = *series as usize;
        place_of[at] = place as u32;
        sorted_ids.extend_from_slice(&ids[offsets[at] as usize..offsets[at + 1] as usize]);
        sorted_offsets.push(sorted_ids.len() as u32);
    }
    for (series, _) in places {
        *series = place_of[*series as usize];
    }
    (sorted_ids, sorted_offsets)
}
