//! The head's index: the series of one tenant by label, and their labels.
//!
//! A label name has a table of its values, found by text, each with the series that carry it. The
//! way back, from a series to its labels, is [`series_table`]. Every (name, value) pair holds one
//! use of the value's symbol, every name one of its own.
//!
//! About 45 bytes a series, at a million series of nine labels. Not thread-safe: the head
//! keeps it behind a lock; readers need no more than `&self`.

mod rows;
mod series_table;

use std::borrow::Cow;
use std::collections::BTreeSet;

use hashbrown::hash_table::Entry;
use hashbrown::{HashMap, HashTable};
use roaring::{MultiOps, RoaringBitmap};

use self::series_table::{Column, SeriesTable};
use crate::error::Result;
use crate::index::matcher::Matcher;
use crate::index::postings::{Posting, Union, bitmap_bytes};
use crate::index::select::PostingsSource;
use crate::index::symbols::Symbols;
use crate::labels::Labels;
use crate::refs::SeriesRef;

/// Ends a label name in a schema's key; no UTF-8 text holds it.
const END_OF_NAME: u8 = 0xFF;

/// When more than one series in this many goes, sweeping over all postings costs less than finding
/// those of each series.
const SWEEP_FRACTION: u64 = 16;

/// Labels that are gathered without growing a list; most series have fewer.
const ORDINARY_LABELS: usize = 16;

/// The series of one tenant by label.
#[derive(Default)]
pub struct MemoryIndex {
    symbols: Symbols,
    all: RoaringBitmap,
    series: SeriesTable,
    names: Vec<Option<Name>>,
    free_names: Vec<u32>,
    /// Symbol of a name to its place in `names`.
    name_of_symbol: HashMap<u32, u32>,
    /// Kept for their memory.
    key: Vec<u8>,
    row: Vec<u32>,
}

/// A label name and its values.
struct Name {
    symbol: u32,
    /// The schemas that have the name.
    schemas: Vec<u32>,
    /// Hashed by the value's text.
    values: HashTable<Value>,
}

/// A value of one label name.
struct Value {
    symbol: u32,
    posting: Posting,
}

impl MemoryIndex {
    /// An index without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series. A series that is there keeps the labels it has.
    ///
    /// Cost: about a microsecond for nine labels.
    pub fn insert(&mut self, series: SeriesRef, labels: &Labels) {
        if !self.all.insert(series.0) {
            return;
        }
        let mut pairs = Vec::with_capacity(ORDINARY_LABELS);
        pairs.extend(labels.iter());
        let schema_id = self.schema_of(&pairs);
        let Some(schema) = self.series.schema(schema_id) else { return };
        self.row.clear();
        for (column, (_, text)) in schema.columns.iter().zip(&pairs) {
            let Some(name) = &mut self.names[column.name as usize] else { continue };
            let symbols = &self.symbols;
            let hash = symbols.hash(text.as_bytes());
            let same = |value: &Value| symbols.text(value.symbol) == *text;
            let rehash = |value: &Value| symbols.hash(symbols.text(value.symbol).as_bytes());
            let symbol = match name.values.entry(hash, same, rehash) {
                Entry::Occupied(mut found) => {
                    let value = found.get_mut();
                    value.posting.insert(series.0);
                    value.symbol
                }
                Entry::Vacant(vacant) => {
                    let symbol = self.symbols.intern_hashed(hash, text);
                    vacant.insert(Value { symbol, posting: Posting::One(series.0) });
                    symbol
                }
            };
            self.row.push(symbol);
        }
        self.series.insert(series.0, schema_id, &self.row);
    }

    /// Takes a series out; no change if it is not there.
    pub fn remove(&mut self, series: SeriesRef) {
        self.remove_all(&RoaringBitmap::from([series.0]));
    }

    /// Takes series out; those that are not there are ignored.
    ///
    /// Cost: about a microsecond a series, or one step for each value of a label that the schemas
    /// of `gone` have, whichever is less. A caller who holds a lock that writers need takes some
    /// ten thousand series at a time.
    pub fn remove_all(&mut self, gone: &RoaringBitmap) {
        let gone = &self.all & gone;
        if gone.is_empty() {
            return;
        }
        let schemas: Vec<u32> = self
            .series
            .schemas()
            .filter(|(_, schema)| !schema.series.is_disjoint(&gone))
            .map(|(id, _)| id)
            .collect();
        if gone.len() < self.all.len() / SWEEP_FRACTION {
            gone.iter().for_each(|series| self.remove_postings(series));
        } else {
            self.sweep_postings(&schemas, &gone);
        }
        self.shrink_values(&schemas);
        self.all -= &gone;
        for schema in schemas {
            if self.series.remove_all(schema, &gone) {
                self.remove_schema(schema);
            }
        }
    }

    /// Appends the labels of a series as ids of [`MemoryIndex::symbols`], (name, value), names
    /// ascending by text. Appends nothing for a series that is not there.
    pub fn labels(&self, series: SeriesRef, out: &mut Vec<(u32, u32)>) {
        if let Some((schema, row)) = self.series.get(series.0) {
            out.extend(schema.columns.iter().map(|column| column.symbol).zip(row.iter()));
        }
    }

    /// The texts of the ids that [`MemoryIndex::labels`] gives.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// Number of series.
    pub fn len(&self) -> usize {
        self.all.len() as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether a series is there.
    pub fn contains(&self, series: SeriesRef) -> bool {
        self.all.contains(series.0)
    }

    /// Bytes of memory it holds, about. Cost: one step for each value of each label.
    pub fn bytes(&self) -> usize {
        let name = |name: &Name| {
            name.schemas.capacity() * size_of::<u32>()
                + name.values.allocation_size()
                + name.values.iter().map(|value| value.posting.heap_bytes()).sum::<usize>()
        };
        self.symbols.bytes()
            + bitmap_bytes(&self.all)
            + self.series.bytes()
            + self.names.capacity() * size_of::<Option<Name>>()
            + self.names.iter().flatten().map(name).sum::<usize>()
            + self.name_of_symbol.allocation_size()
    }

    /// Adds the label names of the series `within`, or of all.
    pub fn label_names(&self, within: Option<&RoaringBitmap>, out: &mut BTreeSet<String>) {
        let mut found = BTreeSet::new();
        for (_, schema) in self.series.schemas() {
            if within.is_none_or(|within| !schema.series.is_disjoint(within)) {
                found.extend(schema.columns.iter().map(|column| column.symbol));
            }
        }
        out.extend(found.into_iter().map(|symbol| self.symbols.text(symbol).to_owned()));
    }

    /// Adds the values that label `name` has in the series `within`, or in all.
    pub fn label_values(
        &self,
        name: &str,
        within: Option<&RoaringBitmap>,
        out: &mut BTreeSet<String>,
    ) {
        let Some(name) = self.name(name) else { return };
        let mut add = |symbol: u32| {
            out.insert(self.symbols.text(symbol).to_owned());
        };
        match within {
            Some(within) if within.len() < name.values.len() as u64 => {
                let symbols = within.iter().filter_map(|series| self.value_of(series, name.symbol));
                symbols.collect::<BTreeSet<u32>>().into_iter().for_each(&mut add);
            }
            _ => {
                for value in &name.values {
                    if within.is_none_or(|within| value.posting.intersects(within)) {
                        add(value.symbol);
                    }
                }
            }
        }
    }

    /// Calls `visit` with each value of label `name` and the number of series that have it.
    pub fn visit_values(&self, name: &str, mut visit: impl FnMut(&str, u64)) {
        let Some(name) = self.name(name) else { return };
        for value in &name.values {
            visit(self.symbols.text(value.symbol), value.posting.len());
        }
    }

    /// The schema with the names of `pairs`, added if it is new.
    fn schema_of(&mut self, pairs: &[(&str, &str)]) -> u32 {
        self.key.clear();
        for (name, _) in pairs {
            self.key.extend_from_slice(name.as_bytes());
            self.key.push(END_OF_NAME);
        }
        let hash = self.symbols.hash(&self.key);
        if let Some(schema) = self.series.find(hash, &self.key) {
            return schema;
        }
        let columns: Box<[Column]> = pairs.iter().map(|(name, _)| self.column(name)).collect();
        let names: Vec<u32> = columns.iter().map(|column| column.name).collect();
        let symbols = &self.symbols;
        let schema = self.series.add_schema(hash, &self.key, columns, |key| symbols.hash(key));
        for name in names {
            if let Some(name) = &mut self.names[name as usize] {
                name.schemas.push(schema);
            }
        }
        schema
    }

    /// The column of a label name, which is added if it is new.
    fn column(&mut self, text: &str) -> Column {
        let known = self.symbols.get(text);
        if let Some((symbol, name)) = known.and_then(|s| self.name_of_symbol.get_key_value(&s)) {
            return Column { symbol: *symbol, name: *name };
        }
        let symbol = self.symbols.intern(text);
        let name = self.free_names.pop().unwrap_or_else(|| {
            self.names.push(None);
            self.names.len() as u32 - 1
        });
        self.names[name as usize] =
            Some(Name { symbol, schemas: Vec::new(), values: HashTable::new() });
        self.name_of_symbol.insert(symbol, name);
        Column { symbol, name }
    }

    /// Forgets a schema, and the names that no other schema has.
    fn remove_schema(&mut self, id: u32) {
        let symbols = &self.symbols;
        let Some(schema) = self.series.remove_schema(id, |key| symbols.hash(key)) else { return };
        for column in &schema.columns {
            let slot = &mut self.names[column.name as usize];
            let Some(name) = slot else { continue };
            name.schemas.retain(|other| *other != id);
            if name.schemas.is_empty() {
                *slot = None;
                self.free_names.push(column.name);
                self.name_of_symbol.remove(&column.symbol);
                self.symbols.release(column.symbol);
            }
        }
    }

    /// Takes one series out of the postings of its labels.
    fn remove_postings(&mut self, series: u32) {
        let Some((schema, row)) = self.series.get(series) else { return };
        for (column, symbol) in schema.columns.iter().zip(row.iter()) {
            let Some(name) = &mut self.names[column.name as usize] else { continue };
            let hash = self.symbols.hash(self.symbols.text(symbol).as_bytes());
            let found = name.values.find_entry(hash, |value| value.symbol == symbol);
            let Ok(mut found) = found else { continue };
            if found.get_mut().posting.remove(series) {
                found.remove();
                self.symbols.release(symbol);
            }
        }
    }

    /// Takes `gone` out of the postings of all names that `schemas` have.
    fn sweep_postings(&mut self, schemas: &[u32], gone: &RoaringBitmap) {
        for name in self.names_of(schemas) {
            let Some(name) = &mut self.names[name as usize] else { continue };
            let mut released = Vec::new();
            name.values.retain(|value| {
                let empty = value.posting.remove_all(gone);
                if empty {
                    released.push(value.symbol);
                }
                !empty
            });
            released.into_iter().for_each(|symbol| self.symbols.release(symbol));
        }
    }

    /// The label names that `schemas` have.
    fn names_of(&self, schemas: &[u32]) -> BTreeSet<u32> {
        let columns = schemas.iter().filter_map(|id| self.series.schema(*id));
        columns.flat_map(|schema| schema.columns.iter().map(|column| column.name)).collect()
    }

    /// Brings tables of values that lost most of them to their size.
    fn shrink_values(&mut self, schemas: &[u32]) {
        for name in self.names_of(schemas) {
            let Some(Name { values, .. }) = &mut self.names[name as usize] else { continue };
            if values.len() < values.capacity() / 4 {
                let symbols = &self.symbols;
                values.shrink_to(values.len() * 2, |value| {
                    symbols.hash(symbols.text(value.symbol).as_bytes())
                });
            }
        }
    }

    fn name(&self, text: &str) -> Option<&Name> {
        let symbol = self.symbols.get(text)?;
        self.names[*self.name_of_symbol.get(&symbol)? as usize].as_ref()
    }

    /// The value that the label with the symbol `name` has in a series.
    fn value_of(&self, series: u32, name: u32) -> Option<u32> {
        let (schema, row) = self.series.get(series)?;
        let column = schema.columns.iter().position(|column| column.symbol == name)?;
        row.iter().nth(column)
    }
}

impl PostingsSource for MemoryIndex {
    fn all(&self) -> Result<Cow<'_, RoaringBitmap>> {
        Ok(Cow::Borrowed(&self.all))
    }

    fn value(&self, name: &str, value: &str) -> Result<Option<Cow<'_, RoaringBitmap>>> {
        let Some(name) = self.name(name) else { return Ok(None) };
        let hash = self.symbols.hash(value.as_bytes());
        let found = name.values.find(hash, |other| self.symbols.text(other.symbol) == value);
        Ok(found.map(|value| value.posting.as_bitmap()))
    }

    fn matching(&self, matcher: &Matcher) -> Result<RoaringBitmap> {
        let Some(name) = self.name(matcher.name()) else { return Ok(RoaringBitmap::new()) };
        let mut union = Union::default();
        for value in &name.values {
            if matcher.matches(self.symbols.text(value.symbol)) {
                union.add(&value.posting);
            }
        }
        Ok(union.finish())
    }

    fn matching_within(&self, matcher: &Matcher, within: &RoaringBitmap) -> Result<RoaringBitmap> {
        let Some(name) = self.name(matcher.name()) else { return Ok(RoaringBitmap::new()) };
        if within.len() >= name.values.len() as u64 {
            return self.matching(matcher);
        }
        let accepted = within.iter().filter(|series| {
            let value = self.value_of(*series, name.symbol);
            value.is_some_and(|symbol| matcher.matches(self.symbols.text(symbol)))
        });
        Ok(accepted.collect())
    }

    fn named(&self, name: &str) -> Result<Cow<'_, RoaringBitmap>> {
        let Some(name) = self.name(name) else { return Ok(Cow::default()) };
        let mut schemas = name.schemas.iter().filter_map(|id| self.series.schema(*id));
        Ok(match name.schemas.len() {
            1 => schemas.next().map(|schema| Cow::Borrowed(&schema.series)).unwrap_or_default(),
            _ => {
                let series: Vec<&RoaringBitmap> = schemas.map(|schema| &schema.series).collect();
                Cow::Owned(series.union())
            }
        })
    }
}

#[cfg(test)]
mod tests;
