//! Reading: result columns, and what is made of them.

pub mod cancel;
pub mod json;
pub mod label_order;
pub mod selection;
pub mod session;
pub mod view;

/// Label sets as ids of a query's dictionary.
///
/// `offsets.len() == len() + 1`, ascending; set `i` is `ids[offsets[i] .. offsets[i + 1])`: name,
/// value, name, value …, names ascending bytewise, no empty value.
#[derive(Debug, Clone, Copy)]
pub struct LabelIds<'a> {
    /// The ids of all sets, one after the other.
    pub ids: &'a [u32],
    /// Where each set begins, and where the last one ends.
    pub offsets: &'a [u32],
}

impl<'a> LabelIds<'a> {
    /// Number of label sets.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// Whether there is no label set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ids of set `index`; empty where the offsets do not keep their promise.
    pub fn get(&self, index: usize) -> &'a [u32] {
        span(self.offsets, index).and_then(|span| self.ids.get(span)).unwrap_or_default()
    }
}

/// What `offsets` give to entry `index`.
fn span(offsets: &[u32], index: usize) -> Option<std::ops::Range<usize>> {
    let [start, end] = offsets.get(index..)?.first_chunk()?;
    Some(*start as usize..*end as usize)
}
