//! Which labels a series has: the way from a series' number to its label ids.
//!
//! Series of one metric, and mostly of one exporter, have the same label names. A *schema* holds
//! such a list of names once; a series is a row of value ids in its schema's table, which is 1 to
//! 4 bytes a label, and 8 bytes to find the row.

use hashbrown::HashTable;
use roaring::RoaringBitmap;

use super::rows::{Row, Rows};
use crate::index::postings::bitmap_bytes;

/// Series numbers in a page of places: a tenant with few series pays for few pages, and one with
/// all of them an eighth of a byte a series for the pages' addresses.
const PAGE_SERIES: usize = 64;

/// Rows below which freed ones are not worth moving the others for.
const MIN_COMPACT_ROWS: u32 = 1024;

/// Where the labels of a series are.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) schema: u32,
    row: u32,
}

/// A place that holds no series.
const NOWHERE: Place = Place { schema: u32::MAX, row: 0 };

/// One label name of a schema.
#[derive(Clone, Copy)]
pub(super) struct Column {
    /// Its symbol.
    pub(super) symbol: u32,
    /// Its number in the index of names.
    pub(super) name: u32,
}

/// A list of label names and the series that have exactly these.
pub(super) struct Schema {
    /// The names' texts, which find the schema.
    key: Box<[u8]>,
    /// Names ascending by text.
    pub(super) columns: Box<[Column]>,
    pub(super) series: RoaringBitmap,
    /// The ids of the values, by column.
    rows: Rows,
}

/// All schemas and places of an index.
#[derive(Default)]
pub(super) struct SeriesTable {
    pages: Vec<Option<Box<[Place; PAGE_SERIES]>>>,
    schemas: Vec<Option<Schema>>,
    free_schemas: Vec<u32>,
    by_key: HashTable<u32>,
}

impl SeriesTable {
    /// The schema with this key.
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<u32> {
        self.by_key.find(hash, |id| self.schema(*id).is_some_and(|s| *s.key == *key)).copied()
    }

    /// Adds a schema that [`SeriesTable::find`] did not find. `rehash` is the hash of a key.
    pub(super) fn add_schema(
        &mut self,
        hash: u64,
        key: &[u8],
        columns: Box<[Column]>,
        rehash: impl Fn(&[u8]) -> u64,
    ) -> u32 {
        let schema = Schema {
            key: key.into(),
            rows: Rows::new(columns.len()),
            columns,
            series: RoaringBitmap::new(),
        };
        let id = self.free_schemas.pop().unwrap_or_else(|| {
            self.schemas.push(None);
            self.schemas.len() as u32 - 1
        });
        self.schemas[id as usize] = Some(schema);
        let schemas = &self.schemas;
        self.by_key.insert_unique(hash, id, |id| {
            schemas[*id as usize].as_ref().map_or(0, |schema| rehash(&schema.key))
        });
        id
    }

    /// Forgets a schema without series. Returns what it was.
    pub(super) fn remove_schema(&mut self, id: u32, hash: impl Fn(&[u8]) -> u64) -> Option<Schema> {
        let schema = self.schemas.get_mut(id as usize)?.take()?;
        if let Ok(entry) = self.by_key.find_entry(hash(&schema.key), |other| *other == id) {
            entry.remove();
        }
        self.free_schemas.push(id);
        Some(schema)
    }

    pub(super) fn schema(&self, id: u32) -> Option<&Schema> {
        self.schemas.get(id as usize)?.as_ref()
    }

    /// All schemas with their ids.
    pub(super) fn schemas(&self) -> impl Iterator<Item = (u32, &Schema)> {
        let schemas = self.schemas.iter().enumerate();
        schemas.filter_map(|(id, schema)| Some((id as u32, schema.as_ref()?)))
    }

    /// Adds a series that is not there, with one value for each column of its schema.
    pub(super) fn insert(&mut self, series: u32, schema_id: u32, values: &[u32]) {
        let Some(schema) = &mut self.schemas[schema_id as usize] else { return };
        schema.series.insert(series);
        let row = schema.rows.add(values);
        *place_mut(&mut self.pages, series) = Place { schema: schema_id, row };
    }

    pub(super) fn place(&self, series: u32) -> Option<Place> {
        let (page, index) = page_of(series);
        let place = self.pages.get(page)?.as_ref()?[index];
        (place.schema != NOWHERE.schema).then_some(place)
    }

    /// The schema of a series and its values.
    pub(super) fn get(&self, series: u32) -> Option<(&Schema, Row<'_>)> {
        let place = self.place(series)?;
        let schema = self.schema(place.schema)?;
        Some((schema, schema.rows.get(place.row)))
    }

    /// Takes out those series of a schema that are among `gone`. Returns whether it has none left.
    pub(super) fn remove_all(&mut self, schema_id: u32, gone: &RoaringBitmap) -> bool {
        let Some(schema) = self.schemas.get_mut(schema_id as usize).and_then(Option::as_mut) else {
            return false;
        };
        let mut last = None;
        for series in &schema.series & gone {
            let place = place_mut(&mut self.pages, series);
            schema.rows.remove(place.row);
            *place = NOWHERE;
            let page = page_of(series).0;
            if last.is_some_and(|last| last != page) {
                drop_if_empty(&mut self.pages, last);
            }
            last = Some(page);
        }
        drop_if_empty(&mut self.pages, last);
        schema.series -= gone;
        let rows = &schema.rows;
        if rows.len() >= MIN_COMPACT_ROWS && rows.live() < rows.len() / 2 {
            compact(schema, &mut self.pages);
        }
        schema.series.is_empty()
    }

    /// Bytes of memory it holds, about. Cost: one step a schema and page.
    pub(super) fn bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count() * size_of::<[Place; PAGE_SERIES]>()
            + self.pages.capacity() * size_of::<usize>();
        let schema = |schema: &Schema| {
            schema.key.len()
                + size_of_val(&*schema.columns)
                + schema.rows.heap_bytes()
                + bitmap_bytes(&schema.series)
        };
        pages
            + self.schemas.capacity() * size_of::<Option<Schema>>()
            + self.schemas.iter().flatten().map(schema).sum::<usize>()
            + self.by_key.allocation_size()
    }
}

/// Writes the rows in use to a table of their size.
fn compact(schema: &mut Schema, pages: &mut Vec<Option<Box<[Place; PAGE_SERIES]>>>) {
    let mut rows = Rows::new(schema.columns.len());
    let mut numbers = Vec::new();
    for series in &schema.series {
        let place = place_mut(pages, series);
        numbers.clear();
        numbers.extend(schema.rows.get(place.row).iter());
        place.row = rows.add(&numbers);
    }
    schema.rows = rows;
}

/// Gives a page without a series back.
fn drop_if_empty(pages: &mut [Option<Box<[Place; PAGE_SERIES]>>], page: Option<usize>) {
    if let Some(page) = page.and_then(|page| pages.get_mut(page)) {
        page.take_if(|places| places.iter().all(|place| place.schema == NOWHERE.schema));
    }
}

fn page_of(series: u32) -> (usize, usize) {
    (series as usize / PAGE_SERIES, series as usize % PAGE_SERIES)
}

fn place_mut(pages: &mut Vec<Option<Box<[Place; PAGE_SERIES]>>>, series: u32) -> &mut Place {
    let (page, index) = page_of(series);
    if page >= pages.len() {
        pages.resize_with(page + 1, || None);
    }
    &mut pages[page].get_or_insert_with(|| Box::new([NOWHERE; PAGE_SERIES]))[index]
}
