//! Interned label text of the head. Each symbol counts its users and leaves with the last.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

/// Text by small number; numbers are used again.
pub struct Symbols {
    texts: Vec<Symbol>,
    free: Vec<u32>,
    table: HashTable<u32>,
    hasher: RandomState,
    text_bytes: usize,
}

#[derive(Debug, Default)]
struct Symbol {
    text: Box<str>,
    users: u32,
}

impl Default for Symbols {
    fn default() -> Self {
        Self {
            texts: Vec::new(),
            free: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::new(),
            text_bytes: 0,
        }
    }
}

impl Symbols {
    /// The number of `text`, which gets one more user.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let texts = &mut self.texts;
        if let Some(id) = self.table.find(hash, |id| &*texts[*id as usize].text == text) {
            texts[*id as usize].users += 1;
            return *id;
        }
        let symbol = Symbol { text: text.into(), users: 1 };
        self.text_bytes += text.len();
        let id = match self.free.pop() {
            Some(id) => {
                texts[id as usize] = symbol;
                id
            }
            None => {
                texts.push(symbol);
                texts.len() as u32 - 1
            }
        };
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.table.insert_unique(hash, id, |id| hasher.hash_one(&*texts[*id as usize].text));
        id
    }

    /// Takes one user away.
    pub fn release(&mut self, id: u32) {
        let symbol = &mut self.texts[id as usize];
        symbol.users -= 1;
        if symbol.users == 0 {
            let text = std::mem::take(&mut symbol.text);
            self.text_bytes -= text.len();
            let hash = self.hasher.hash_one(&*text);
            if let Ok(entry) = self.table.find_entry(hash, |other| *other == id) {
                entry.remove();
            }
            self.free.push(id);
        }
    }

    /// The number of `text`, if it has one.
    pub fn get(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.table.find(hash, |id| &*self.texts[*id as usize].text == text).copied()
    }

    /// The text of a number that is in use.
    pub fn text(&self, id: u32) -> &str {
        &self.texts[id as usize].text
    }

    /// How many texts are interned.
    pub fn len(&self) -> usize {
        self.texts.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> usize {
        self.text_bytes
            + self.texts.capacity() * size_of::<Symbol>()
            + self.table.capacity() * 5
            + self.free.capacity() * 4
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_leaves_with_its_last_user() {
        let mut symbols = Symbols::default();
        let (a, b) = (symbols.intern("a"), symbols.intern("b"));
        assert_eq!(symbols.intern("a"), a);
        symbols.release(a);
        assert_eq!(symbols.get("a"), Some(a));
        symbols.release(a);
        assert_eq!((symbols.get("a"), symbols.len()), (None, 1));
        assert_eq!(symbols.intern("c"), a);
        assert_eq!((symbols.text(a), symbols.text(b)), ("c", "b"));
    }
}
