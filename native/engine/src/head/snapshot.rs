//! What a reader sees of the head: a span of generations of one tenant, as a source of series.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use crate::dictionary::Dictionary;
use crate::error::Result;
use crate::head::Head;
use crate::index::memory::MemoryIndex;
use crate::index::select::select;
use crate::merge::{Run, RunSlice, merge};
use crate::refs::{Generation, SeriesRef, TenantId};
use crate::sample::TimeRange;
use crate::source::{Columns, SelectRequest, SeriesSource, SourceSelection};
use crate::sync::{Arc, RwLock};

/// Generations `from..=to` of the head. Which samples it shows is fixed by the generations, and
/// grows only by what is applied to generation `to`.
pub struct HeadSource {
    head: Arc<Head>,
    from: Generation,
    to: Generation,
}

impl HeadSource {
    /// Generations `from..=to`.
    pub fn new(head: Arc<Head>, from: Generation, to: Generation) -> Self {
        Self { head, from, to }
    }

    /// All series of a tenant that hold a sample of these generations.
    ///
    /// # Errors
    /// `corruption` when the index does not hold what it promises.
    pub fn all(&self, tenant: TenantId) -> Result<HeadSelection> {
        let index = self.head.index(tenant).unwrap_or_default();
        let all = select(&*index.read(), &[])?;
        let series = all
            .iter()
            .map(SeriesRef)
            .filter(|r| !self.head.runs(*r, self.from, self.to, TimeRange::ALL).is_empty())
            .collect();
        Ok(self.selection(index, series))
    }

    fn selection(&self, index: Arc<RwLock<MemoryIndex>>, series: Vec<SeriesRef>) -> HeadSelection {
        HeadSelection {
            head: self.head.clone(),
            from: self.from,
            to: self.to,
            index,
            series: series.into(),
            symbols: Vec::new(),
            replaced: 0,
        }
    }

    fn postings(
        &self,
        index: &RwLock<MemoryIndex>,
        request: &SelectRequest,
    ) -> Result<RoaringBitmap> {
        let matchers: Vec<_> = request.all_matchers().collect();
        let found = select(&*index.read(), &matchers)?;
        // Series are locked before their index.
        Ok(self.head.without_emptied(found))
    }

    /// The series that a label query is about; `None` means all that the index has.
    fn within(
        &self,
        index: &RwLock<MemoryIndex>,
        request: &SelectRequest,
    ) -> Result<Option<RoaringBitmap>> {
        let all = request.all_matchers().next().is_none() && !self.head.has_emptied();
        if all { Ok(None) } else { self.postings(index, request).map(Some) }
    }
}

impl SeriesSource for HeadSource {
    fn time_range(&self) -> TimeRange {
        TimeRange::ALL
    }

    fn select(self: Arc<Self>, request: &SelectRequest) -> Result<Box<dyn SourceSelection>> {
        let Some(index) = self.head.index(request.scope.tenant) else {
            return Ok(Box::new(self.selection(Arc::default(), Vec::new())));
        };
        let found = self.postings(&index, request)?;
        Ok(Box::new(self.selection(index, found.iter().map(SeriesRef).collect())))
    }

    fn label_names(&self, request: &SelectRequest, out: &mut BTreeSet<String>) -> Result<()> {
        if let Some(index) = self.head.index(request.scope.tenant) {
            let within = self.within(&index, request)?;
            index.read().label_names(within.as_ref(), out);
        }
        Ok(())
    }

    fn label_values(
        &self,
        name: &str,
        request: &SelectRequest,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        if let Some(index) = self.head.index(request.scope.tenant) {
            let within = self.within(&index, request)?;
            index.read().label_values(name, within.as_ref(), out);
        }
        Ok(())
    }
}

/// Series that were found in the head.
pub struct HeadSelection {
    head: Arc<Head>,
    from: Generation,
    to: Generation,
    index: Arc<RwLock<MemoryIndex>>,
    series: Arc<[SeriesRef]>,
    symbols: Vec<(u32, u32)>,
    replaced: u64,
}

impl HeadSelection {
    /// Samples that the reads so far found replaced by a later write.
    pub fn replaced(&self) -> u64 {
        self.replaced
    }
}

impl SourceSelection for HeadSelection {
    fn len(&self) -> usize {
        self.series.len()
    }

    /// A series that left the index meanwhile had no sample any more: it yields no label.
    fn labels(
        &mut self,
        index: usize,
        dictionary: &mut Dictionary,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let memory = self.index.read();
        self.symbols.clear();
        memory.labels(self.series[index], &mut self.symbols);
        for (name, value) in &self.symbols {
            out.push(dictionary.intern(memory.symbols().text(*name)));
            out.push(dictionary.intern(memory.symbols().text(*value)));
        }
        Ok(())
    }

    fn read(&mut self, which: &[u32], range: TimeRange, out: &mut Columns) -> Result<()> {
        let mut runs: Vec<Run> = Vec::new();
        for index in which {
            let r = self.series[*index as usize];
            runs.clear();
            self.head.runs(r, self.from, self.to, range).decode(range, &mut runs)?;
            let mut slices: Vec<RunSlice<'_>> = runs.iter().map(Run::as_slice).collect();
            self.replaced += merge(&mut slices, |run| out.extend(&run));
            out.end_series();
        }
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn SourceSelection>> {
        Some(Box::new(Self {
            head: self.head.clone(),
            from: self.from,
            to: self.to,
            index: self.index.clone(),
            series: self.series.clone(),
            symbols: Vec::new(),
            replaced: 0,
        }))
    }
}
