//! The order of label sets in results.
//!
//! Follows Prometheus 3.14, `model/labels`, `Compare`: by pairs, name before value, bytewise; a set
//! that begins another comes first.

use crate::dictionary::Dictionary;

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
pub fn span(offsets: &[u32], index: usize) -> Option<std::ops::Range<usize>> {
    let [start, end] = offsets.get(index..)?.first_chunk()?;
    Some(*start as usize..*end as usize)
}

/// The indexes of the label sets in ascending order; equal sets keep theirs.
///
/// Each distinct text is compared with others once, to give it a rank; the sets are then sorted by
/// their ranks, which are numbers.
pub fn sort_order(dictionary: &Dictionary, labels: LabelIds<'_>) -> Vec<u32> {
    // An id that was never given out is the empty text, as in the dictionary.
    let known = |id: &u32| Some(*id as usize).filter(|id| *id < dictionary.len()).unwrap_or(0);
    let mut used = vec![false; dictionary.len()];
    for id in labels.ids {
        used[known(id)] = true;
    }
    let mut by_text: Vec<u32> =
        (0..dictionary.len() as u32).filter(|id| used[*id as usize]).collect();
    by_text.sort_unstable_by_key(|id| dictionary.text(*id).as_bytes());
    let mut rank_of_id = vec![0; dictionary.len()];
    for (rank, id) in (0u32..).zip(by_text) {
        rank_of_id[id as usize] = rank;
    }
    let ranks: Vec<u32> = labels.ids.iter().map(|id| rank_of_id[known(id)]).collect();
    let ranked = LabelIds { ids: &ranks, offsets: labels.offsets };
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    order.sort_by_key(|index| ranked.get(*index as usize));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_order_is_that_of_the_labels(
            sets in vec(btree_map("[ab]{1,2}|é|\u{1F600}", "[a-c]{1,2}|é|\u{1F600}", 0..4), 0..20),
        ) {
            let mut dictionary = Dictionary::default();
            let (mut ids, mut offsets) = (Vec::new(), vec![0]);
            for set in &sets {
                ids.extend(set.iter().flat_map(|(n, v)| [n, v]).map(|t| dictionary.intern(t)));
                offsets.push(ids.len() as u32);
            }
            let labels: Vec<Labels> = sets
                .iter()
                .map(|s| Labels::from_pairs(s.iter().map(|(n, v)| (&**n, &**v))).unwrap())
                .collect();
            let mut expected: Vec<u32> = (0..sets.len() as u32).collect();
            expected.sort_by_key(|i| &labels[*i as usize]);
            let order = sort_order(&dictionary, LabelIds { ids: &ids, offsets: &offsets });
            prop_assert_eq!(order, expected);
        }
    }

    #[test]
    fn no_label_sets_have_no_order() {
        let dictionary = Dictionary::default();
        assert!(sort_order(&dictionary, LabelIds { ids: &[], offsets: &[] }).is_empty());
        assert_eq!(sort_order(&dictionary, LabelIds { ids: &[], offsets: &[0, 0, 0] }), [0, 1]);
    }
}
