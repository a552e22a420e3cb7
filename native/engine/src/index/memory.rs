//! The head's index of one tenant: labels by series, series by label.
//!
//! A series' row is the number of its schema (its label names) and one symbol a value. The head
//! keeps the index behind a lock.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::index::matcher::Matcher;
use crate::index::postings::Postings;
use crate::index::select::PostingsSource;
use crate::index::symbols::Symbols;
use crate::labels::Labels;
use crate::refs::SeriesRef;

/// The series that have a label, and by value which.
#[derive(Default)]
struct Name {
    all: RoaringBitmap,
    values: HashMap<u32, Postings>,
}

/// See the page above.
#[derive(Default)]
pub struct MemoryIndex {
    symbols: Symbols,
    all: RoaringBitmap,
    names: HashMap<u32, Name>,
    /// By slot of a series: schema number, then one value symbol for each name of the schema.
    rows: HashMap<u32, Box<[u32]>>,
    schemas: Vec<Box<[u32]>>,
    schema_numbers: HashMap<Box<[u32]>, u32>,
}

impl MemoryIndex {
    /// Adds a series; nothing happens when it is there.
    pub fn insert(&mut self, series: SeriesRef, labels: &Labels) {
        if !self.all.insert(series.0) {
            return;
        }
        let (mut names, mut row) = (Vec::new(), vec![0u32]);
        for (name, value) in labels.iter() {
            // A name is held by its schema for ever: there are few, and they come back.
            let known = self.symbols.get(name);
            let name = known.unwrap_or_else(|| self.symbols.intern(name));
            let value = self.symbols.intern(value);
            let entry = self.names.entry(name).or_default();
            entry.all.insert(series.0);
            entry
                .values
                .entry(value)
                .and_modify(|postings| postings.insert(series.0))
                .or_insert(Postings::One(series.0));
            names.push(name);
            row.push(value);
        }
        row[0] = self.schema(names);
        self.rows.insert(series.0, row.into_boxed_slice());
    }

    fn schema(&mut self, names: Vec<u32>) -> u32 {
        let names = names.into_boxed_slice();
        if let Some(number) = self.schema_numbers.get(&names) {
            return *number;
        }
        for name in &names {
            let text = self.symbols.text(*name).to_owned();
            self.symbols.intern(&text);
        }
        let number = self.schemas.len() as u32;
        self.schemas.push(names.clone());
        self.schema_numbers.insert(names, number);
        number
    }

    /// Takes series away.
    pub fn remove_all(&mut self, gone: &RoaringBitmap) {
        let gone = gone & &self.all;
        if gone.is_empty() {
            return;
        }
        let mut touched: BTreeSet<(u32, u32)> = BTreeSet::new();
        for series in &gone {
            let Some(row) = self.rows.remove(&series) else { continue };
            let names = &self.schemas[row[0] as usize];
            touched.extend(names.iter().copied().zip(row[1..].iter().copied()));
            for value in &row[1..] {
                self.symbols.release(*value);
            }
        }
        for (name, value) in touched {
            let Some(entry) = self.names.get_mut(&name) else { continue };
            if entry.values.get_mut(&value).is_some_and(|postings| postings.remove_all(&gone)) {
                entry.values.remove(&value);
            }
        }
        self.names.retain(|_, name| {
            name.all -= &gone;
            !name.values.is_empty()
        });
        self.all -= gone;
    }

    /// Appends the labels of a series as symbols, names ascending; nothing for an unknown series.
    pub fn labels(&self, series: SeriesRef, out: &mut Vec<(u32, u32)>) {
        if let Some(row) = self.rows.get(&series.0) {
            let names = &self.schemas[row[0] as usize];
            out.extend(names.iter().copied().zip(row[1..].iter().copied()));
        }
    }

    /// Text of the symbols.
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// All series.
    pub fn series(&self) -> &RoaringBitmap {
        &self.all
    }

    /// Adds the label names of the series `within`, or of all.
    pub fn label_names(&self, within: Option<&RoaringBitmap>, out: &mut BTreeSet<String>) {
        for (name, entry) in &self.names {
            if within.is_none_or(|w| !entry.all.is_disjoint(w)) {
                out.insert(self.symbols.text(*name).to_owned());
            }
        }
    }

    /// Adds the values that the label `name` has in the series `within`, or in all.
    pub fn label_values(
        &self,
        name: &str,
        within: Option<&RoaringBitmap>,
        out: &mut BTreeSet<String>,
    ) {
        let Some(entry) = self.name(name) else { return };
        for (value, postings) in &entry.values {
            if within.is_none_or(|w| postings.intersects(w)) {
                out.insert(self.symbols.text(*value).to_owned());
            }
        }
    }

    fn name(&self, name: &str) -> Option<&Name> {
        self.names.get(&self.symbols.get(name)?)
    }
}

impl PostingsSource for MemoryIndex {
    fn all(&self) -> Result<Cow<'_, RoaringBitmap>> {
        Ok(Cow::Borrowed(&self.all))
    }

    fn value(&self, name: &str, value: &str) -> Result<Option<Cow<'_, RoaringBitmap>>> {
        let found = self.name(name).and_then(|n| n.values.get(&self.symbols.get(value)?));
        Ok(found.map(|postings| match postings {
            Postings::One(only) => Cow::Owned(RoaringBitmap::from_iter([*only])),
            Postings::Many(all) => Cow::Borrowed(&**all),
        }))
    }

    fn matching(&self, matcher: &Matcher) -> Result<RoaringBitmap> {
        let mut found = RoaringBitmap::new();
        if let Some(entry) = self.name(matcher.name()) {
            for (value, postings) in &entry.values {
                if matcher.matches(self.symbols.text(*value)) {
                    postings.add_to(&mut found);
                }
            }
        }
        Ok(found)
    }

    fn named(&self, name: &str) -> Result<Cow<'_, RoaringBitmap>> {
        Ok(self.name(name).map_or_else(Cow::default, |n| Cow::Borrowed(&n.all)))
    }
}
