//! A block without what is deleted in it: by tombstones, and by a retention of its own.
//!
//! Blocks never change, so readers leave out what is not to be seen: queries, and whoever rewrites
//! the block, which brings the space back. Nothing is filtered after it was decoded: a series with
//! deleted ranges is only asked for the ranges between them. So this works for any kind of sample.
//!
//! Which series a tombstone finds in a block is looked up when the block is first read, once:
//! a [`Hidden`] is kept for as long as the block and the tombstone are.
//!
//! A series is found by a selection while it keeps a chunk that overlaps what is asked and not
//! hidden. A chunk may reach across the edge of a deleted range and have no sample left, so a
//! series may be found and read as empty; Prometheus' tombstones behave alike. Label names and
//! values that are asked for without a matcher are those of all series but the ones of which
//! nothing is left, which are looked up once; Prometheus has those of deleted series until it
//! rewrites the block.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use super::Block;
use super::selection::BlockSelection;
use super::tombstones::Placed;
use crate::dictionary::Dictionary;
use crate::error::Result;
use crate::index::file::SeriesWalk;
use crate::index::matcher::Matcher;
use crate::index::select::select;
use crate::retention::{Horizon, RetentionPolicy};
use crate::sample::TimeRange;
use crate::source::{Columns, SelectRequest, SeriesSource, SourceSelection};
use crate::sync::{Arc, OnceLock};

/// A tombstone in one block.
#[derive(Debug)]
struct Grave {
    placed: Placed,
    /// The series that its matchers find, once somebody asked.
    series: OnceLock<RoaringBitmap>,
}

/// The series of one block by the rule of retention that they are under.
#[derive(Debug, Default)]
struct Classes(OnceLock<Vec<RoaringBitmap>>);

/// A block as readers see it. Immutable, apart from look-ups that are remembered.
pub struct HiddenBlock {
    block: Arc<Block>,
    graves: Vec<Arc<Grave>>,
    /// Series of which the graves leave nothing, once somebody asked.
    gone: Arc<OnceLock<RoaringBitmap>>,
    classes: Arc<Classes>,
    horizon: Option<Arc<Horizon>>,
}

/// What a series of the block has hidden, as the index of a list of kept ranges.
struct Kept {
    /// For each series of the selection the number of its list; 0 means that all is kept.
    list_of: Vec<u32>,
    /// Ranges that are kept, ascending and apart; the first list is not used.
    lists: Vec<Vec<TimeRange>>,
}

impl HiddenBlock {
    /// The block as a source from which `tombstones` and what `horizon` says has expired are left
    /// out. `before` is the same block seen with other tombstones or another horizon.
    pub fn new(
        block: Arc<Block>,
        tombstones: impl Iterator<Item = Placed>,
        horizon: Option<Arc<Horizon>>,
        before: Option<&Self>,
    ) -> Self {
        let known = |placed: &Placed| {
            let mut graves = before.iter().flat_map(|before| &before.graves);
            graves.find(|g| Arc::ptr_eq(&g.placed.tombstone, &placed.tombstone)).cloned()
        };
        let bury = |placed: Placed| {
            known(&placed).unwrap_or_else(|| Arc::new(Grave { placed, series: OnceLock::new() }))
        };
        let concerning = tombstones.filter(|placed| placed.concerns(block.meta()));
        let graves: Vec<Arc<Grave>> = concerning.map(bury).collect();
        let same_graves = |before: &&Self| {
            let pairs = before.graves.iter().zip(&graves);
            before.graves.len() == graves.len() && pairs.into_iter().all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let gone = before.filter(same_graves).map_or_else(Arc::default, |b| b.gone.clone());
        let same_rules = |before: &&Self| match (&before.horizon, &horizon) {
            (Some(old), Some(new)) => Arc::ptr_eq(old.policy(), new.policy()),
            _ => false,
        };
        let classes = before.filter(same_rules).map_or_else(Arc::default, |b| b.classes.clone());
        Self { block, graves, gone, classes, horizon }
    }

    /// The block itself.
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// Whether nothing can be hidden: then the block may be read as it is.
    pub fn is_transparent(&self) -> bool {
        self.graves.is_empty() && self.expired_before().is_none()
    }

    /// The horizon, when it hides some of the block's time for some series.
    fn expired_before(&self) -> Option<&Horizon> {
        let horizon = self.horizon.as_deref()?;
        (horizon.latest_cutoff() > self.block.meta().mint).then_some(horizon)
    }

    /// Whether series of the block are under rule `class` of the retention; the last class is that
    /// of the series under no rule.
    ///
    /// # Errors
    /// `corruption`.
    pub fn has_class(&self, class: usize) -> Result<bool> {
        let Some(horizon) = &self.horizon else { return Ok(false) };
        let classes = self.classes(horizon.policy())?;
        Ok(classes.get(class).is_some_and(|series| !series.is_empty()))
    }

    fn classes(&self, policy: &RetentionPolicy) -> Result<&Vec<RoaringBitmap>> {
        if let Some(known) = self.classes.0.get() {
            return Ok(known);
        }
        let index = &self.block.index;
        let mut rest = select(index, &[])?;
        let mut classes = Vec::new();
        for rule in policy.rules() {
            let matchers: Vec<&Matcher> = rule.matchers.iter().collect();
            let mut found = select(index, &matchers)?;
            found &= &rest;
            rest -= &found;
            classes.push(found);
        }
        classes.push(rest);
        Ok(self.classes.0.get_or_init(|| classes))
    }

    /// Every set of series with what is hidden of it, as far as it overlaps `range`.
    fn hidden(&self, range: TimeRange) -> Result<Vec<(TimeRange, &RoaringBitmap)>> {
        let mut hidden = Vec::new();
        for grave in &self.graves {
            if grave.placed.tombstone.range.overlaps(&range) {
                hidden.push((grave.placed.tombstone.range, grave.series(&self.block)?));
            }
        }
        if let Some(horizon) = self.expired_before() {
            for (class, series) in self.classes(horizon.policy())?.iter().enumerate() {
                let expired = horizon.expired(class);
                if expired.overlaps(&range) && !series.is_empty() {
                    hidden.push((expired, series));
                }
            }
        }
        Ok(hidden)
    }

    /// Series of which tombstones leave no chunk or column.
    fn gone(&self) -> Result<&RoaringBitmap> {
        if let Some(known) = self.gone.get() {
            return Ok(known);
        }
        let range = self.block.meta().range();
        let mut touched = RoaringBitmap::new();
        for grave in &self.graves {
            touched |= grave.series(&self.block)?;
        }
        let (mut gone, mut walk) = (RoaringBitmap::new(), SeriesWalk::default());
        for number in &touched {
            if !self.keeps_a_piece(&mut walk, number, &self.left_of(number, range)?)? {
                gone.insert(number);
            }
        }
        Ok(self.gone.get_or_init(|| gone))
    }

    /// What tombstones leave of `range` in a series.
    fn left_of(&self, number: u32, range: TimeRange) -> Result<Vec<TimeRange>> {
        let mut deleted = Vec::new();
        for grave in &self.graves {
            if grave.series(&self.block)?.contains(number) {
                deleted.push(grave.placed.tombstone.range);
            }
        }
        Ok(range.without_all(deleted.into_iter()))
    }

    /// All series but those of which nothing is left; `None` when that is all.
    fn remaining(&self) -> Result<Option<RoaringBitmap>> {
        let mut hidden = self.gone()?.clone();
        if let Some(horizon) = self.expired_before() {
            let over = |class: usize| horizon.cutoff(class) > self.block.meta().maxt;
            for (class, series) in self.classes(horizon.policy())?.iter().enumerate() {
                if over(class) {
                    hidden |= series;
                }
            }
        }
        if hidden.is_empty() {
            return Ok(None);
        }
        Ok(Some(select(&self.block.index, &[])? - hidden))
    }

    /// How many series tombstones take samples from, and how many samples. Reads these.
    ///
    /// # Errors
    /// `corruption`.
    pub fn count_deleted(&self) -> Result<(u64, u64)> {
        let range = self.block.meta().range();
        let mut touched = RoaringBitmap::new();
        for grave in &self.graves {
            touched |= grave.series(&self.block)?;
        }
        let (mut series, mut samples) = (0, 0);
        let mut selection = BlockSelection::new(self.block.clone(), touched.iter().collect());
        let mut columns = Columns::default();
        for (index, number) in touched.iter().enumerate() {
            let kept = self.left_of(number, range)?;
            columns.clear();
            for deleted in range.without_all(kept.into_iter()) {
                selection.read(&[index as u32], deleted, &mut columns)?;
            }
            series += u64::from(!columns.timestamps.is_empty());
            samples += columns.timestamps.len() as u64;
        }
        Ok((series, samples))
    }

    /// The series that satisfy the request and keep a chunk or column in its range, and what they
    /// keep.
    fn visible(&self, request: &SelectRequest) -> Result<(RoaringBitmap, Kept)> {
        let mut found = self.block.matching(request)?;
        let range = request.range.intersect(&self.block.meta().range());
        let hidden = self.hidden(range)?;
        let mut touched = RoaringBitmap::new();
        for (_, series) in &hidden {
            touched |= *series;
        }
        touched &= &found;
        let mut kept = Kept { list_of: Vec::new(), lists: vec![Vec::new()] };
        if touched.is_empty() {
            return Ok((found, kept));
        }
        let (mut kept_of, mut walk) = (Vec::<(u32, u32)>::new(), SeriesWalk::default());
        for number in &touched {
            let ranges = hidden.iter().filter(|(_, s)| s.contains(number)).map(|(r, _)| *r);
            let list = range.without_all(ranges);
            if self.keeps_a_piece(&mut walk, number, &list)? {
                kept_of.push((number, kept.number_of(list)));
            } else {
                found.remove(number);
            }
        }
        let mut touched = kept_of.into_iter().peekable();
        let lists = found.iter().map(|number| {
            touched.next_if(|(touched, _)| *touched == number).map_or(0, |(_, list)| list)
        });
        kept.list_of = lists.collect();
        Ok((found, kept))
    }

    fn keeps_a_piece(
        &self,
        walk: &mut SeriesWalk,
        number: u32,
        kept: &[TimeRange],
    ) -> Result<bool> {
        for range in kept {
            if self.block.has_piece_in(walk, number, *range)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Grave {
    fn series(&self, block: &Block) -> Result<&RoaringBitmap> {
        if let Some(known) = self.series.get() {
            return Ok(known);
        }
        let matchers: Vec<&Matcher> = self.placed.tombstone.matchers.iter().collect();
        let found = select(&block.index, &matchers)?;
        Ok(self.series.get_or_init(|| found))
    }
}

impl Kept {
    /// Neighbours mostly keep the same, so the last list is looked at first, and alone.
    fn number_of(&mut self, list: Vec<TimeRange>) -> u32 {
        if self.lists.len() == 1 || self.lists.last() != Some(&list) {
            self.lists.push(list);
        }
        self.lists.len() as u32 - 1
    }

    fn list(&self, index: u32) -> Option<(u32, &[TimeRange])> {
        let number = self.list_of.get(index as usize).copied().filter(|n| *n > 0)?;
        Some((number, self.lists.get(number as usize).map_or(&[], Vec::as_slice)))
    }
}

impl SeriesSource for HiddenBlock {
    fn time_range(&self) -> TimeRange {
        self.block.time_range()
    }

    fn select(self: Arc<Self>, request: &SelectRequest) -> Result<Box<dyn SourceSelection>> {
        let (found, kept) = self.visible(request)?;
        let inner = BlockSelection::new(self.block.clone(), found.into_iter().collect());
        if kept.list_of.is_empty() {
            return Ok(Box::new(inner));
        }
        Ok(Box::new(HiddenSelection { inner, kept: Arc::new(kept) }))
    }

    fn label_names(&self, request: &SelectRequest, out: &mut BTreeSet<String>) -> Result<()> {
        if request.all_matchers().next().is_some() {
            return self.block.names_of(&self.visible(request)?.0, out);
        }
        match self.remaining()? {
            None => self.block.label_names(request, out),
            Some(left) if self.block.concerns(request) => self.block.names_of(&left, out),
            Some(_) => Ok(()),
        }
    }

    fn label_values(
        &self,
        name: &str,
        request: &SelectRequest,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        if request.all_matchers().next().is_some() {
            return self.block.values_of(name, self.visible(request)?.0, out);
        }
        match self.remaining()? {
            None => self.block.label_values(name, request, out),
            Some(left) if self.block.concerns(request) => self.block.values_of(name, left, out),
            Some(_) => Ok(()),
        }
    }
}

/// Series of a block of which some are read with gaps.
struct HiddenSelection {
    inner: BlockSelection,
    kept: Arc<Kept>,
}

impl SourceSelection for HiddenSelection {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn labels(
        &mut self,
        index: usize,
        dictionary: &mut Dictionary,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        self.inner.labels(index, dictionary, out)
    }

    /// What is hidden is counted, too: it is only for sizing.
    fn read_weight(&mut self, index: usize) -> Option<u64> {
        self.inner.read_weight(index)
    }

    /// Neighbours in `which` that keep the same are read by one call of the block.
    fn read(&mut self, which: &[u32], range: TimeRange, out: &mut Columns) -> Result<()> {
        let mut rest = which;
        while let Some(first) = rest.first() {
            let list = self.kept.list(*first);
            let number = list.map(|(number, _)| number);
            let same = |index: &&u32| self.kept.list(**index).map(|(n, _)| n) == number;
            let (run, tail) = rest.split_at(rest.iter().take_while(same).count());
            rest = tail;
            match list {
                None => self.inner.read(run, range, out)?,
                Some((_, kept)) => {
                    let pieces: Vec<TimeRange> = kept
                        .iter()
                        .map(|piece| piece.intersect(&range))
                        .filter(|piece| !piece.is_empty())
                        .collect();
                    read_pieces(&mut self.inner, run, &pieces, out)?;
                }
            }
        }
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn SourceSelection>> {
        Some(Box::new(Self { inner: self.inner.again(), kept: Arc::clone(&self.kept) }))
    }
}

/// Reads the series `which` over several ranges; the pieces of a series become one series.
fn read_pieces(
    inner: &mut BlockSelection,
    which: &[u32],
    pieces: &[TimeRange],
    out: &mut Columns,
) -> Result<()> {
    if let [piece] = pieces {
        return inner.read(which, *piece, out);
    }
    for index in which {
        let ended = out.offsets.len();
        for piece in pieces {
            inner.read(std::slice::from_ref(index), *piece, out)?;
        }
        out.offsets.truncate(ended);
        out.end_series();
    }
    Ok(())
}
