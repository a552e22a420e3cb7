//! A table of numbers by row and column, each column as narrow as its largest number.
//!
//! Symbols are numbered as they come, so the labels with few values have small numbers: nine labels
//! of an ordinary fleet take 13 bytes instead of 36.

/// Rows in a page: growing moves no more than these.
const PAGE_ROWS: usize = 1024;

/// A table whose columns widen as larger numbers come.
pub(super) struct Rows {
    /// Bytes of a number in each column, 1 to 4.
    widths: Box<[u8]>,
    /// Their sum.
    stride: usize,
    /// Rows in order, numbers little-endian; all pages but the last are full.
    pages: Vec<Vec<u8>>,
    rows: u32,
    free: Vec<u32>,
}

/// One row.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    widths: &'a [u8],
    bytes: &'a [u8],
}

impl Row<'_> {
    /// The numbers, column by column.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + use<'_> {
        let mut rest = self.bytes;
        self.widths.iter().map(move |width| {
            let (number, tail) = rest.split_at(usize::from(*width));
            rest = tail;
            let mut four = [0; 4];
            four[..number.len()].copy_from_slice(number);
            u32::from_le_bytes(four)
        })
    }
}

fn width_of(number: u32) -> u8 {
    4 - ((number | 1).leading_zeros() / 8) as u8
}

impl Rows {
    /// A table without rows.
    pub(super) fn new(columns: usize) -> Self {
        let widths = vec![1; columns].into();
        Self { widths, stride: columns, pages: Vec::new(), rows: 0, free: Vec::new() }
    }

    /// Adds a row of as many numbers as there are columns, and returns which it is.
    ///
    /// Cost: when a column widens, a copy of the table; three times a column at most.
    pub(super) fn add(&mut self, numbers: &[u32]) -> u32 {
        let fits = |(number, width): (&u32, &u8)| width_of(*number) <= *width;
        if !numbers.iter().zip(&self.widths).all(fits) {
            self.widen(numbers);
        }
        let Some(row) = self.free.pop() else {
            self.push(numbers.iter().copied());
            return self.rows - 1;
        };
        let start = row as usize % PAGE_ROWS * self.stride;
        let mut room = &mut self.pages[row as usize / PAGE_ROWS][start..start + self.stride];
        for (number, width) in numbers.iter().zip(&self.widths) {
            let (place, rest) = room.split_at_mut(usize::from(*width));
            place.copy_from_slice(&number.to_le_bytes()[..place.len()]);
            room = rest;
        }
        row
    }

    fn push(&mut self, numbers: impl Iterator<Item = u32>) {
        if (self.rows as usize).is_multiple_of(PAGE_ROWS) {
            self.pages.push(Vec::new());
        }
        let page = &mut self.pages[self.rows as usize / PAGE_ROWS];
        if page.capacity() - page.len() < self.stride {
            // Most schemas have few series, so not even a page is taken at once.
            let more = (page.len() / 2).max(4 * self.stride);
            page.reserve_exact(more.min(PAGE_ROWS * self.stride - page.len()));
        }
        for (number, width) in numbers.zip(&self.widths) {
            page.extend_from_slice(&number.to_le_bytes()[..usize::from(*width)]);
        }
        self.rows += 1;
    }

    /// Makes columns wide enough for `numbers`.
    fn widen(&mut self, numbers: &[u32]) {
        let widest = |(width, number): (&u8, &u32)| (*width).max(width_of(*number));
        let mut wide = Self::new(self.widths.len());
        wide.widths = self.widths.iter().zip(numbers).map(widest).collect();
        wide.stride = wide.widths.iter().map(|width| usize::from(*width)).sum();
        for row in 0..self.rows {
            if (row as usize).is_multiple_of(PAGE_ROWS) && row > 0 {
                self.pages[row as usize / PAGE_ROWS - 1] = Vec::new();
            }
            wide.push(self.get(row).iter());
        }
        wide.free = std::mem::take(&mut self.free);
        *self = wide;
    }

    /// A row that was added.
    pub(super) fn get(&self, row: u32) -> Row<'_> {
        let start = row as usize % PAGE_ROWS * self.stride;
        let page = &self.pages[row as usize / PAGE_ROWS];
        Row { widths: &self.widths, bytes: &page[start..start + self.stride] }
    }

    /// Lets a row be used again.
    pub(super) fn remove(&mut self, row: u32) {
        self.free.push(row);
    }

    /// Rows, those that were removed included.
    pub(super) fn len(&self) -> u32 {
        self.rows
    }

    /// Rows in use.
    pub(super) fn live(&self) -> u32 {
        self.rows - self.free.len() as u32
    }

    /// Bytes of memory it holds beside itself.
    pub(super) fn heap_bytes(&self) -> usize {
        let pages: usize = self.pages.iter().map(|page| page.capacity() + size_of_val(page)).sum();
        self.widths.len() + pages + self.free.capacity() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_width_holds_its_number() {
        let cases = [(0, 1), (255, 1), (256, 2), (65_535, 2), (65_536, 3), (1 << 24, 4)];
        for (number, width) in cases {
            assert_eq!(width_of(number), width, "{number}");
        }
        assert_eq!(width_of(u32::MAX), 4);
    }

    proptest! {
        #[test]
        fn rows_keep_their_numbers_while_columns_widen(
            rows in prop::collection::vec((prop::array::uniform3(any::<u32>()), 0u32..32), 1..60),
            removed in any::<prop::sample::Index>(),
        ) {
            let narrow = |(numbers, shift): ([u32; 3], u32)| numbers.map(|n| n >> shift);
            let mut rows: Vec<[u32; 3]> = rows.into_iter().map(narrow).collect();
            let mut table = Rows::new(3);
            for (at, row) in (0u32..).zip(&rows) {
                prop_assert_eq!(table.add(row), at);
            }
            let at = removed.index(rows.len());
            table.remove(at as u32);
            prop_assert_eq!(table.live() as usize, rows.len() - 1);
            rows[at] = [1, u32::MAX, 7];
            prop_assert_eq!(table.add(&rows[at]), at as u32);
            for (at, row) in (0u32..).zip(&rows) {
                prop_assert_eq!(&table.get(at).iter().collect::<Vec<_>>(), row);
            }
        }
    }
}
