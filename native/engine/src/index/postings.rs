//! Postings: sets of series numbers, and what is done with them.
//!
//! A label value of one series is the ordinary case (host names, ids) and a bitmap of one number
//! takes 200 bytes, so a [`Posting`] grows from a number to a short list to a bitmap.

use std::borrow::Cow;

use roaring::{MultiOps, RoaringBitmap};

/// Length up to which a posting is a plain list: 4 bytes a series. A bitmap begins at 184 bytes
/// for each run of 65,536 numbers that it touches, and takes 2 bytes a series from there on.
const MAX_LIST: usize = 128;

/// Length at which a bitmap becomes a list again; well below [`MAX_LIST`], so that a series that
/// comes and goes does not convert it each time.
const MIN_BITMAP: u64 = 64;

/// The series that carry one label. Never empty in an index.
#[derive(Debug, Clone, PartialEq)]
pub enum Posting {
    /// One series.
    One(u32),
    /// Several; boxed, so that the ordinary case stays 16 bytes.
    Several(Box<Several>),
}

/// The series of a posting that has, or had, more than one.
#[derive(Debug, Clone, PartialEq)]
pub enum Several {
    /// Ascending, no number twice.
    List(Vec<u32>),
    /// For long postings.
    Bitmap(RoaringBitmap),
}

impl Posting {
    /// Adds a series; no change if it is there.
    pub fn insert(&mut self, series: u32) {
        match self {
            Self::One(only) if *only == series => {}
            Self::One(only) => {
                let pair = vec![series.min(*only), series.max(*only)];
                *self = Self::Several(Box::new(Several::List(pair)));
            }
            Self::Several(several) => several.insert(series),
        }
    }

    /// Takes a series out. Returns whether the posting is empty now; it must be dropped then.
    pub fn remove(&mut self, series: u32) -> bool {
        match self {
            Self::One(only) => *only == series,
            Self::Several(several) => {
                several.remove(series);
                self.settle()
            }
        }
    }

    /// Takes all of `gone` out. Returns whether the posting is empty now; it must be dropped then.
    pub fn remove_all(&mut self, gone: &RoaringBitmap) -> bool {
        match self {
            Self::One(only) => gone.contains(*only),
            Self::Several(several) => {
                several.remove_all(gone);
                self.settle()
            }
        }
    }

    /// Brings a list that shrank to its size; returns whether it is empty.
    fn settle(&mut self) -> bool {
        if let Self::Several(several) = self
            && let Several::List(list) = &mut **several
        {
            match list[..] {
                [] => return true,
                [only] => *self = Self::One(only),
                _ if list.capacity() > list.len() * 2 => list.shrink_to_fit(),
                _ => {}
            }
        }
        false
    }

    /// Whether it shares a series with `other`.
    pub fn intersects(&self, other: &RoaringBitmap) -> bool {
        match self {
            Self::One(only) => other.contains(*only),
            Self::Several(several) => match &**several {
                Several::List(list) => list.iter().any(|series| other.contains(*series)),
                Several::Bitmap(bitmap) => !bitmap.is_disjoint(other),
            },
        }
    }

    /// The posting as a bitmap, borrowed where it is one.
    pub fn as_bitmap(&self) -> Cow<'_, RoaringBitmap> {
        match self {
            Self::One(only) => Cow::Owned(RoaringBitmap::from([*only])),
            Self::Several(several) => match &**several {
                Several::List(list) => Cow::Owned(bitmap_of_sorted(list)),
                Several::Bitmap(bitmap) => Cow::Borrowed(bitmap),
            },
        }
    }

    /// Number of series; never 0.
    #[expect(clippy::len_without_is_empty, reason = "a posting without series does not exist")]
    pub fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Several(several) => match &**several {
                Several::List(list) => list.len() as u64,
                Several::Bitmap(bitmap) => bitmap.len(),
            },
        }
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Several(several) => {
                size_of::<Several>()
                    + match &**several {
                        Several::List(list) => list.capacity() * size_of::<u32>(),
                        Several::Bitmap(bitmap) => bitmap_bytes(bitmap),
                    }
            }
        }
    }
}

impl Several {
    fn insert(&mut self, series: u32) {
        match self {
            Self::Bitmap(bitmap) => {
                bitmap.insert(series);
            }
            Self::List(list) => {
                if list.len() == list.capacity() {
                    // Doubling would leave a quarter of most lists unused.
                    list.reserve_exact(2 + list.len() / 4);
                }
                // New series have new, higher numbers: the end is the ordinary place.
                if list.last().is_none_or(|last| *last < series) {
                    list.push(series);
                } else if let Err(place) = list.binary_search(&series) {
                    list.insert(place, series);
                }
                if list.len() > MAX_LIST {
                    *self = Self::Bitmap(bitmap_of_sorted(list));
                }
            }
        }
    }

    fn remove(&mut self, series: u32) {
        match self {
            Self::List(list) => {
                if let Ok(place) = list.binary_search(&series) {
                    list.remove(place);
                }
            }
            Self::Bitmap(bitmap) => {
                bitmap.remove(series);
                self.shrink();
            }
        }
    }

    fn remove_all(&mut self, gone: &RoaringBitmap) {
        match self {
            Self::List(list) => list.retain(|series| !gone.contains(*series)),
            Self::Bitmap(bitmap) => {
                *bitmap -= gone;
                self.shrink();
            }
        }
    }

    fn shrink(&mut self) {
        if let Self::Bitmap(bitmap) = self
            && bitmap.len() < MIN_BITMAP
        {
            *self = Self::List(bitmap.iter().collect());
        }
    }
}

/// Bytes of memory of a bitmap, about: its serialized size has the payload, each container adds a
/// header and an allocation.
pub fn bitmap_bytes(bitmap: &RoaringBitmap) -> usize {
    const CONTAINER_BYTES: usize = 48;
    let containers = bitmap.statistics().n_containers as usize;
    bitmap.serialized_size() + containers * CONTAINER_BYTES
}

/// Gathers postings and unites them at once, which is cheaper than one after the other.
#[derive(Default)]
pub struct Union<'a> {
    /// Of short postings, in any order.
    numbers: Vec<u32>,
    bitmaps: Vec<Cow<'a, RoaringBitmap>>,
}

impl<'a> Union<'a> {
    /// Adds a posting.
    pub fn add(&mut self, posting: &'a Posting) {
        match posting {
            Posting::One(only) => self.numbers.push(*only),
            Posting::Several(several) => match &**several {
                Several::List(list) => self.numbers.extend_from_slice(list),
                Several::Bitmap(bitmap) => self.bitmaps.push(Cow::Borrowed(bitmap)),
            },
        }
    }

    /// Adds a bitmap.
    pub fn add_bitmap(&mut self, bitmap: Cow<'a, RoaringBitmap>) {
        // Short postings look like this from outside.
        if bitmap.len() <= MAX_LIST as u64 {
            self.numbers.extend(bitmap.iter());
        } else {
            self.bitmaps.push(bitmap);
        }
    }

    /// All that was added.
    pub fn finish(mut self) -> RoaringBitmap {
        let numbers = bitmap_of(self.numbers);
        match self.bitmaps.len() {
            0 => numbers,
            1 if numbers.is_empty() => self.bitmaps.pop().map(Cow::into_owned).unwrap_or_default(),
            _ => {
                let mut sets: Vec<&RoaringBitmap> = vec![&numbers];
                sets.extend(self.bitmaps.iter().map(Cow::as_ref));
                sets.union()
            }
        }
    }
}

/// A bitmap of numbers in any order. Many close numbers are not sorted but marked, which takes a
/// bit for each number up to the highest.
fn bitmap_of(mut numbers: Vec<u32>) -> RoaringBitmap {
    let words = numbers.iter().max().map_or(0, |max| *max as usize / 64 + 1);
    if words > numbers.len() {
        numbers.sort_unstable();
        return bitmap_of_sorted(&numbers);
    }
    let mut marks = vec![0u8; words * 8];
    for number in numbers {
        marks[number as usize / 8] |= 1 << (number % 8);
    }
    RoaringBitmap::from_lsb0_bytes(0, &marks)
}

/// A bitmap of ascending numbers.
fn bitmap_of_sorted(numbers: &[u32]) -> RoaringBitmap {
    // Appending is cheaper than inserting, and refuses only numbers that descend or repeat.
    RoaringBitmap::from_sorted_iter(numbers.iter().copied())
        .unwrap_or_else(|_| numbers.iter().copied().collect())
}

/// Intersects a list of sets, the smallest first, so that no step costs more than the smallest
/// set; `None` for an empty list.
pub fn intersect<'a>(mut sets: Vec<Cow<'a, RoaringBitmap>>) -> Option<Cow<'a, RoaringBitmap>> {
    sets.sort_by_key(|set| set.len());
    let mut sets = sets.into_iter();
    let mut result = sets.next()?;
    for set in sets {
        if result.is_empty() {
            break;
        }
        result = intersect_two(result, &set);
    }
    Some(result)
}

/// Intersects in place where the left side is owned.
pub fn intersect_two<'a>(
    left: Cow<'a, RoaringBitmap>,
    right: &RoaringBitmap,
) -> Cow<'a, RoaringBitmap> {
    Cow::Owned(match left {
        Cow::Borrowed(left) => left & right,
        Cow::Owned(left) => left & right,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_ordinary_posting_is_small() {
        assert_eq!(size_of::<Posting>(), 16);
    }

    proptest! {
        #[test]
        fn a_posting_is_a_set_whatever_its_form(
            first in 0u32..2000,
            steps in prop::collection::vec((any::<bool>(), 0u32..2000), 0..600),
            gone in prop::collection::btree_set(0u32..2000, 0..1500),
        ) {
            let mut model = BTreeSet::from([first]);
            let mut posting = Posting::One(first);
            for (insert, series) in steps {
                if insert {
                    posting.insert(series);
                    model.insert(series);
                } else {
                    model.remove(&series);
                    let empty = posting.remove(series);
                    prop_assert_eq!(empty, model.is_empty());
                    if empty {
                        posting = Posting::One(series);
                        model.insert(series);
                    }
                }
            }
            let all: Vec<u32> = posting.as_bitmap().iter().collect();
            prop_assert!(all.iter().eq(&model));
            let gone: RoaringBitmap = gone.into_iter().collect();
            prop_assert_eq!(posting.intersects(&gone), model.iter().any(|s| gone.contains(*s)));
            model.retain(|series| !gone.contains(*series));
            prop_assert_eq!(posting.remove_all(&gone), model.is_empty());
            if !model.is_empty() {
                let left: Vec<u32> = posting.as_bitmap().iter().collect();
                prop_assert!(left.iter().eq(&model));
            }
        }

        #[test]
        fn a_union_holds_what_was_added(
            sets in prop::collection::vec(prop::collection::btree_set(0u32..200_000, 1..300), 0..8),
        ) {
            let postings: Vec<Posting> = sets.iter().map(|set| {
                let mut numbers = set.iter();
                let mut posting = Posting::One(*numbers.next().unwrap());
                numbers.for_each(|n| posting.insert(*n));
                posting
            }).collect();
            let (mut direct, mut bitmaps) = (Union::default(), Union::default());
            for posting in &postings {
                direct.add(posting);
                bitmaps.add_bitmap(posting.as_bitmap());
            }
            let want: RoaringBitmap = sets.iter().flatten().copied().collect();
            prop_assert_eq!(&direct.finish(), &want);
            prop_assert_eq!(&bitmaps.finish(), &want);
            let all = intersect(postings.iter().map(Posting::as_bitmap).collect());
            let common = sets.iter().cloned().reduce(|a, b| &a & &b);
            prop_assert_eq!(all.map(|a| a.iter().collect()), common);
        }
    }
}
