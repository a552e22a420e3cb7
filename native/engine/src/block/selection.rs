//! Reading a block through the seam of `source.rs`: matchers to series, series to ids and columns.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use super::Block;
use super::columns::{ColumnReader, LastFrame};
use crate::chunk::Encoding;
use crate::dictionary::Dictionary;
use crate::error::{Error, Result};
use crate::index::file::{Piece, SchemaName, SeriesWalk};
use crate::index::matcher::Matcher;
use crate::index::select::{PostingsSource, select};
use crate::sample::TimeRange;
use crate::source::{Columns, SelectRequest, SeriesSource, SourceSelection};
use crate::sync::Arc;

/// Samples of a column, about: the index does not say how many it has.
const COLUMN_WEIGHT: u64 = 512;
/// Memory of a histogram sample, as a multiple of a float's: a few hundred bytes to 16.
const HISTOGRAM_WEIGHT: u64 = 32;

impl Block {
    /// The series that satisfy the request and have a piece that overlaps its range.
    pub(super) fn matching(&self, request: &SelectRequest) -> Result<RoaringBitmap> {
        if !self.concerns(request) {
            return Ok(RoaringBitmap::new());
        }
        let matchers: Vec<&Matcher> = request.all_matchers().collect();
        let mut found = select(&self.index, &matchers)?;
        let all = self.meta.range();
        if request.range.mint <= all.mint && all.maxt <= request.range.maxt {
            return Ok(found);
        }
        let (mut outside, mut walk) = (Vec::new(), SeriesWalk::default());
        for number in &found {
            if !self.has_piece_in(&mut walk, number, request.range)? {
                outside.push(number);
            }
        }
        // Ascending, so this never fails; an error would say that the bitmap does not ascend.
        let outside = RoaringBitmap::from_sorted_iter(outside)
            .map_err(|cause| Error::internal(cause.to_string()))?;
        found -= outside;
        Ok(found)
    }

    pub(super) fn has_piece_in(
        &self,
        walk: &mut SeriesWalk,
        number: u32,
        range: TimeRange,
    ) -> Result<bool> {
        for piece in self.index.series_from(walk, number)?.pieces() {
            let piece = piece.ok_or_else(|| self.malformed(number))?;
            let (held, _) = self.promise(&piece)?;
            if held.overlaps(&range) {
                return Ok(true);
            }
            if held.mint > range.maxt {
                break;
            }
        }
        Ok(false)
    }

    /// Adds the label names of the series `found`.
    pub(super) fn names_of(&self, found: &RoaringBitmap, out: &mut BTreeSet<String>) -> Result<()> {
        let (mut schemas, mut walk) = (BTreeSet::new(), SeriesWalk::default());
        for number in found {
            schemas.insert(self.index.series_from(&mut walk, number)?.schema);
        }
        let (mut names, mut schema_names) = (RoaringBitmap::new(), Vec::new());
        for schema in schemas {
            self.index.schema(schema, &mut schema_names)?;
            names.extend(schema_names.iter().map(|name| name.name));
        }
        out.extend(names.iter().map(|name| self.index.name(name).to_owned()));
        Ok(())
    }

    /// Adds the values that label `name` has in the series `found`.
    pub(super) fn values_of(
        &self,
        name: &str,
        mut found: RoaringBitmap,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        let pairs = self.index.pairs_of(name);
        found &= &*self.index.named(name)?;
        // Few values: ask each for its series. Few series: ask each for its value.
        if pairs.len() as u64 <= found.len() {
            return self.index.for_each_value_among(pairs, &found, |value| {
                out.insert(value.to_owned());
            });
        }
        let (mut held, mut schema) = (RoaringBitmap::new(), Vec::new());
        let mut walk = SeriesWalk::default();
        for number in &found {
            let entry = self.index.series_from(&mut walk, number)?;
            self.index.schema(entry.schema, &mut schema)?;
            held.extend(entry.pairs(&schema).flatten().filter(|pair| pairs.contains(pair)));
        }
        let mut text = String::new();
        for pair in &held {
            self.index.value_of(pair, &mut text)?;
            out.insert(text.clone());
        }
        Ok(())
    }

    /// Whether the block can hold anything for the request.
    pub(super) fn concerns(&self, request: &SelectRequest) -> bool {
        request.scope.tenant == self.meta.tenant
            && !request.range.is_empty()
            && request.range.overlaps(&self.meta.range())
    }
}

impl SeriesSource for Block {
    fn time_range(&self) -> TimeRange {
        self.meta.range()
    }

    fn select(self: Arc<Self>, request: &SelectRequest) -> Result<Box<dyn SourceSelection>> {
        let series = self.matching(request)?.into_iter().collect();
        Ok(Box::new(BlockSelection::new(self, series)))
    }

    /// Without matchers the names of all series, also of those without a sample in the range: to
    /// know better would cost a look at every series.
    fn label_names(&self, request: &SelectRequest, out: &mut BTreeSet<String>) -> Result<()> {
        if !self.concerns(request) {
            return Ok(());
        }
        if request.all_matchers().next().is_none() {
            out.extend(self.index.names().map(str::to_owned));
            return Ok(());
        }
        self.names_of(&self.matching(request)?, out)
    }

    /// Without matchers the values of all series, as [`SeriesSource::label_names`] here.
    fn label_values(
        &self,
        name: &str,
        request: &SelectRequest,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        if !self.concerns(request) {
            return Ok(());
        }
        if request.all_matchers().next().is_none() {
            let pairs = self.index.pairs_of(name);
            return self.index.for_each_value(pairs, |_, value| {
                out.insert(value.to_owned());
                Ok(())
            });
        }
        self.values_of(name, self.matching(request)?, out)
    }
}

/// The series of a block that satisfied a request.
///
/// A selection is used with one dictionary: it remembers the ids that it was given.
pub(super) struct BlockSelection {
    block: Arc<Block>,
    /// Their numbers, ascending.
    series: Arc<[u32]>,
    /// For each pair of the block its value's id, or 0 where it was not needed yet: a value is
    /// never empty, and 0 is the empty text. Zeroed memory costs nothing until it is touched.
    ids: Vec<u32>,
    /// The schema of the series before; neighbours mostly share it.
    schema: Option<u64>,
    schema_names: Vec<SchemaName>,
    /// The ids of the names of that schema.
    name_ids: Vec<u32>,
    text: String,
    walk: SeriesWalk,
    /// The same for [`SourceSelection::read_weight`].
    weighing: SeriesWalk,
    reader: ColumnReader,
}

impl BlockSelection {
    /// The series of these numbers, which ascend.
    pub(super) fn new(block: Arc<Block>, series: Arc<[u32]>) -> Self {
        Self {
            block,
            series,
            ids: Vec::new(),
            schema: None,
            schema_names: Vec::new(),
            name_ids: Vec::new(),
            text: String::new(),
            walk: SeriesWalk::default(),
            weighing: SeriesWalk::default(),
            reader: ColumnReader::default(),
        }
    }

    /// The same series, with memory of its own.
    pub(super) fn again(&self) -> Self {
        Self::new(Arc::clone(&self.block), Arc::clone(&self.series))
    }

    fn number(&self, index: usize) -> Result<u32> {
        self.series.get(index).copied().ok_or_else(|| {
            Error::internal(format!("series {index} of a selection of {}", self.series.len()))
        })
    }

    fn use_schema(&mut self, schema: u64, dictionary: &mut Dictionary) -> Result<()> {
        if self.schema.replace(schema) == Some(schema) {
            return Ok(());
        }
        let index = &self.block.index;
        self.name_ids.clear();
        if let Err(error) = index.schema(schema, &mut self.schema_names) {
            self.schema = None;
            return Err(error);
        }
        let names = self.schema_names.iter().map(|name| index.name(name.name));
        self.name_ids.extend(names.map(|name| dictionary.intern(name)));
        Ok(())
    }
}

impl SourceSelection for BlockSelection {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(
        &mut self,
        index: usize,
        dictionary: &mut Dictionary,
        out: &mut Vec<u32>,
    ) -> Result<()> {
        let number = self.number(index)?;
        if self.ids.is_empty() {
            self.ids = vec![0; self.block.index.pair_count() as usize];
        }
        let block = Arc::clone(&self.block);
        let entry = block.index.series_from(&mut self.walk, number)?;
        self.use_schema(entry.schema, dictionary)?;
        for (name, pair) in self.name_ids.iter().zip(entry.pairs(&self.schema_names)) {
            let pair = pair.ok_or_else(|| {
                block.index.damaged(format!("the labels of series {number} are malformed"))
            })?;
            let id = &mut self.ids[pair as usize];
            if *id == 0 {
                block.index.value_of(pair, &mut self.text)?;
                *id = dictionary.intern(&self.text);
            }
            out.extend([*name, *id]);
        }
        Ok(())
    }

    fn read_weight(&mut self, index: usize) -> Option<u64> {
        let number = *self.series.get(index)?;
        let entry = self.block.index.series_from(&mut self.weighing, number).ok()?;
        entry.pieces().try_fold(0, |sum, piece| {
            let weight = match piece? {
                Piece::Column(_) => COLUMN_WEIGHT,
                Piece::Chunk(chunk) if Encoding::from_byte(chunk.encoding).ok()?.is_histogram() => {
                    u64::from(chunk.samples) * HISTOGRAM_WEIGHT
                }
                Piece::Chunk(chunk) => u64::from(chunk.samples),
            };
            Some(sum + weight)
        })
    }

    fn read(&mut self, which: &[u32], range: TimeRange, out: &mut Columns) -> Result<()> {
        let block = Arc::clone(&self.block);
        let (mut last_frame, mut walk) = (LastFrame::default(), SeriesWalk::default());
        for index in which {
            let number = self.number(*index as usize)?;
            for piece in block.index.series_from(&mut walk, number)?.pieces() {
                let piece = piece.ok_or_else(|| block.malformed(number))?;
                block.read_piece(&piece, range, (&mut self.reader, &mut last_frame), out)?;
            }
            out.end_series();
        }
        Ok(())
    }

    fn fork(&self) -> Option<Box<dyn SourceSelection>> {
        Some(Box::new(self.again()))
    }
}
