//! The series of one label value. Most values of a high-cardinality label have a single series,
//! which costs no bitmap.

use roaring::RoaringBitmap;

/// A set of series.
#[derive(Debug, Clone)]
pub enum Postings {
    /// One series.
    One(u32),
    /// Any number.
    Many(Box<RoaringBitmap>),
}

impl Postings {
    /// Adds a series.
    pub fn insert(&mut self, series: u32) {
        match self {
            Self::One(only) if *only == series => {}
            Self::One(only) => {
                *self = Self::Many(Box::new(RoaringBitmap::from_iter([*only, series])))
            }
            Self::Many(all) => {
                all.insert(series);
            }
        }
    }

    /// Takes series away; returns whether none is left.
    pub fn remove_all(&mut self, gone: &RoaringBitmap) -> bool {
        match self {
            Self::One(only) => gone.contains(*only),
            Self::Many(all) => {
                **all -= gone;
                all.is_empty()
            }
        }
    }

    /// Adds all to `out`.
    pub fn add_to(&self, out: &mut RoaringBitmap) {
        match self {
            Self::One(only) => {
                out.insert(*only);
            }
            Self::Many(all) => *out |= &**all,
        }
    }

    /// Whether a series of `within` is here.
    pub fn intersects(&self, within: &RoaringBitmap) -> bool {
        match self {
            Self::One(only) => within.contains(*only),
            Self::Many(all) => !all.is_disjoint(within),
        }
    }
}
