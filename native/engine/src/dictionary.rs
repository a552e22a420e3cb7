//! The dictionary of one query: label text to small ids and back.
//!
//! Labels leave the engine as pairs of ids, so that grouping and joining compare numbers. An id is
//! valid as long as its dictionary and means the same text in every source that was selected with
//! it. Equal text has equal ids.

use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Interned text of one query. Ids count up from 0; 0 is always the empty text.
pub struct Dictionary {
    /// All texts, one after the other.
    arena: String,
    /// `ends[i]` is where text `i` ends in the arena.
    ends: Vec<u32>,
    table: HashTable<u32>,
    hasher: std::hash::RandomState,
}

impl Default for Dictionary {
    fn default() -> Self {
        let mut dictionary = Self {
            arena: String::new(),
            ends: Vec::new(),
            table: HashTable::new(),
            hasher: std::hash::RandomState::new(),
        };
        dictionary.intern("");
        dictionary
    }
}

impl Dictionary {
    /// The id of `text`, given out now if it is new. At most 4 GiB of distinct text.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let (arena, ends, hasher) = (&self.arena, &self.ends, &self.hasher);
        let slice = |id: u32| text_at(arena, ends, id);
        if let Some(id) = self.table.find(hash, |id| slice(*id) == text) {
            return *id;
        }
        let id = self.ends.len() as u32;
        self.table.insert_unique(hash, id, |id| hasher.hash_one(slice(*id)));
        self.arena.push_str(text);
        self.ends.push(self.arena.len() as u32);
        id
    }

    /// The text of `id`; empty for an id that was never given out.
    pub fn text(&self, id: u32) -> &str {
        text_at(&self.arena, &self.ends, id)
    }

    /// How many ids were given out.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no id was given out; never true, as the empty text is always there.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of memory it holds, about.
    pub fn bytes(&self) -> usize {
        self.arena.capacity() + self.ends.capacity() * 4 + self.table.capacity() * 5
    }
}

fn text_at<'a>(arena: &'a str, ends: &[u32], id: u32) -> &'a str {
    let index = id as usize;
    let Some(end) = ends.get(index) else { return "" };
    let start = if index == 0 { 0 } else { ends[index - 1] };
    &arena[start as usize..*end as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_has_equal_ids() {
        let mut d = Dictionary::default();
        let ids: Vec<u32> = ["a", "b", "a", "", "b"].iter().map(|t| d.intern(t)).collect();
        assert_eq!(ids, [1, 2, 1, 0, 2]);
        assert_eq!(
            ["a", "b", ""].map(|t| d.intern(t)).map(|i| d.text(i).to_owned()),
            ["a", "b", ""]
        );
        assert_eq!(d.text(99), "");
    }
}
