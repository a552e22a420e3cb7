//! Decodes series of a selection, source by source, and puts each together.
//!
//! A reader belongs to one thread; a selection makes more of them for the threads that help it.

use crate::cancel::Cancel;
use crate::error::Result;
use crate::merge::{RunSlice, merge};
use crate::run::Needs;
use crate::sample::TimeRange;
use crate::source::{Columns, SourceSelection};

/// Where a series of the selection is in a source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) source: u32,
    pub(super) local: u32,
}

/// Where the samples of all series of a selection are.
pub(super) struct Layout {
    pub(super) range: TimeRange,
    pub(super) cancel: Cancel,
    origins: Vec<Origin>,
    /// `origins` of series `i` are `[offsets[i], offsets[i + 1])`, oldest write first.
    offsets: Vec<u32>,
}

impl Layout {
    /// Groups origins by series, keeping the order of the sources.
    pub(super) fn new(
        range: TimeRange,
        cancel: Cancel,
        places: &[(u32, Origin)],
        series: usize,
    ) -> Self {
        let mut offsets = vec![0u32; series + 1];
        for (s, _) in places {
            offsets[*s as usize + 1] += 1;
        }
        for i in 0..series {
            offsets[i + 1] += offsets[i];
        }
        let mut next = offsets.clone();
        let mut origins = vec![Origin { source: 0, local: 0 }; places.len()];
        for (s, origin) in places {
            let at = &mut next[*s as usize];
            origins[*at as usize] = *origin;
            *at += 1;
        }
        Self { range, cancel, origins, offsets }
    }

    /// Where the series from `first` to before `end` are.
    fn of(&self, first: usize, end: usize) -> &[Origin] {
        &self.origins[self.offsets[first] as usize..self.offsets[end] as usize]
    }
}

/// See the page above.
pub(super) struct Reader {
    parts: Vec<Box<dyn SourceSelection>>,
    /// Of each part, what was decoded last.
    decoded: Vec<Columns>,
    wanted: Vec<Vec<u32>>,
    merged: Columns,
}

impl Reader {
    pub(super) fn new(parts: Vec<Box<dyn SourceSelection>>) -> Self {
        let decoded = parts.iter().map(|_| Columns::default()).collect();
        let wanted = vec![Vec::new(); parts.len()];
        Self { parts, decoded, wanted, merged: Columns::default() }
    }

    /// Another reader of the same series; `None` where a source does not have one.
    pub(super) fn fork(&self) -> Option<Self> {
        Some(Self::new(self.parts.iter().map(|part| part.fork()).collect::<Option<_>>()?))
    }

    /// Decodes the series from `first` to before `end`, as far as `needs` says.
    ///
    /// # Errors
    /// `canceled`, `corruption`.
    pub(super) fn decode(
        &mut self,
        layout: &Layout,
        (first, end): (usize, usize),
        needs: Needs,
    ) -> Result<()> {
        layout.cancel.check()?;
        self.wanted.iter_mut().for_each(Vec::clear);
        for origin in layout.of(first, end) {
            self.wanted[origin.source as usize].push(origin.local);
        }
        let parts = self.parts.iter_mut().zip(&mut self.decoded).zip(&self.wanted);
        for ((part, decoded), wanted) in parts {
            decoded.clear();
            decoded.needs = needs;
            if !wanted.is_empty() {
                part.read(wanted, layout.range, decoded)?;
            }
        }
        Ok(())
    }

    /// Calls `each` with the samples of the series that were decoded last, which `first` and `end`
    /// name again, until it says no.
    pub(super) fn for_each(
        &mut self,
        layout: &Layout,
        first: usize,
        end: usize,
        mut each: impl FnMut(&RunSlice<'_>) -> bool,
    ) {
        let Self { decoded, merged, .. } = self;
        let mut cursor = vec![0usize; decoded.len()];
        let mut runs: Vec<RunSlice<'_>> = Vec::new();
        for series in first..end {
            runs.clear();
            for origin in layout.of(series, series + 1) {
                let source = origin.source as usize;
                let run = decoded[source].run(cursor[source]);
                cursor[source] += 1;
                if !run.timestamps.is_empty() {
                    runs.push(run);
                }
            }
            let goes_on = match &runs[..] {
                [] => each(&RunSlice::default()),
                // Most series are in one source: nothing is copied.
                [run] => each(run),
                _ => {
                    merged.clear();
                    merge(&mut runs, |run| merged.extend(&run));
                    merged.end_series();
                    each(&merged.run(0))
                }
            };
            if !goes_on {
                return;
            }
        }
    }
}
