//! The head's symbols: each text once, counted, forgotten with its last use.
//!
//! Texts lie one after the other in pages; a symbol is where its text lies and how often it is
//! used. Released text leaves a hole. Once half of a page is holes, the rest of it moves to the
//! open page and its memory is returned, so the holes never take more than the texts and no call
//! moves more than one page.
//!
//! Costs 20 bytes a symbol beside the text, and 5 to 10 in the table. Not thread-safe: the owner
//! locks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::BuildHasher;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64_with_secret;

/// Bytes of a page: what one call may have to move. A longer text has a page of its own.
const PAGE_BYTES: usize = 64 << 10;

/// Marks a free slot.
const NO_PAGE: u32 = u32::MAX;

/// Length of the hash's secret: XXH3's default.
const SECRET_BYTES: usize = 192;

/// Interned, counted text. Ids count up from 0; after its last release an id is given out again,
/// the lowest first.
pub struct Symbols {
    /// By id.
    slots: Vec<Slot>,
    /// Free ids, the lowest on top: so the last slots come free and go. Among them may be ids whose
    /// slots are gone; none is left when there are new slots.
    free: BinaryHeap<Reverse<u32>>,
    /// Symbols in use.
    live: usize,
    pages: Vec<Page>,
    /// Pages without memory.
    free_pages: Vec<u32>,
    /// The page that new text goes to.
    open: u32,
    table: HashTable<u32>,
    /// Keeps senders from aiming at one bucket.
    secret: Box<[u8; SECRET_BYTES]>,
}

/// Where the text of a symbol lies.
#[derive(Clone, Copy)]
struct Slot {
    page: u32,
    start: u32,
    len: u32,
    uses: u32,
}

/// The slot of an id that is not in use.
const FREE: Slot = Slot { page: NO_PAGE, start: 0, len: 0, uses: 0 };

#[derive(Default)]
struct Page {
    text: String,
    /// The ids whose text was put here, in order; those that left since are among them.
    ids: Vec<u32>,
    /// What of [`Page::used`] belongs to texts that left.
    holes: usize,
}

impl Page {
    /// Bytes in use, holes included.
    fn used(&self) -> usize {
        self.text.len() + self.ids.len() * size_of::<u32>()
    }

    fn is_mostly_holes(&self) -> bool {
        self.holes * 2 > self.used()
    }
}

impl Default for Symbols {
    fn default() -> Self {
        let random = std::hash::RandomState::new();
        let mut secret = Box::new([0; SECRET_BYTES]);
        for (i, piece) in secret.chunks_exact_mut(8).enumerate() {
            piece.copy_from_slice(&random.hash_one(i).to_le_bytes());
        }
        Self {
            slots: Vec::new(),
            free: BinaryHeap::new(),
            live: 0,
            pages: vec![Page::default()],
            free_pages: Vec::new(),
            open: 0,
            table: HashTable::new(),
            secret,
        }
    }
}

impl Symbols {
    /// The id of `text`, with one use more. At most 2^32 - 1 symbols, of 4 GiB each.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hash(text.as_bytes());
        self.intern_hashed(hash, text)
    }

    /// [`Symbols::intern`] of a text whose [`Symbols::hash`] is known.
    pub(super) fn intern_hashed(&mut self, hash: u64, text: &str) -> u32 {
        let (slots, pages) = (&self.slots, &self.pages);
        if let Some(id) = self.table.find(hash, |id| text_at(slots, pages, *id) == text) {
            let id = *id;
            self.slots[id as usize].uses += 1;
            return id;
        }
        let id = self.new_id();
        let (page, start) = self.put(id, text);
        self.slots[id as usize] = Slot { page, start, len: text.len() as u32, uses: 1 };
        let (slots, pages, secret) = (&self.slots, &self.pages, &self.secret);
        let rehash = |id: &u32| hash_with(secret, text_at(slots, pages, *id).as_bytes());
        self.table.insert_unique(hash, id, rehash);
        id
    }

    /// Takes one use of `id` back; its text is forgotten with the last one. An id that is not in
    /// use stays as it is.
    pub fn release(&mut self, id: u32) {
        let Some(slot) = self.slots.get_mut(id as usize).filter(|slot| slot.uses > 0) else {
            return;
        };
        slot.uses -= 1;
        if slot.uses > 0 {
            return;
        }
        let Slot { page, len, .. } = *slot;
        let hash = self.hash(self.text(id).as_bytes());
        if let Ok(entry) = self.table.find_entry(hash, |other| *other == id) {
            entry.remove();
        }
        self.slots[id as usize] = FREE;
        self.free.push(Reverse(id));
        self.live -= 1;
        self.pages[page as usize].holes += len as usize + size_of::<u32>();
        if page != self.open && self.pages[page as usize].is_mostly_holes() {
            self.vacate(page);
        }
        if self.live < self.table.capacity() / 8 {
            let (slots, pages, secret) = (&self.slots, &self.pages, &self.secret);
            let rehash = |id: &u32| hash_with(secret, text_at(slots, pages, *id).as_bytes());
            self.table.shrink_to(self.live * 2, rehash);
        }
        self.drop_free_slots();
    }

    /// The id of `text`, if it is in use.
    pub fn get(&self, text: &str) -> Option<u32> {
        self.table.find(self.hash(text.as_bytes()), |id| self.text(*id) == text).copied()
    }

    /// The text of `id`; empty for an id that is not in use.
    pub fn text(&self, id: u32) -> &str {
        text_at(&self.slots, &self.pages, id)
    }

    /// Number of symbols in use.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory it holds, about. Cost: one step a page.
    pub fn bytes(&self) -> usize {
        let page = |page: &Page| {
            page.text.capacity() + page.ids.capacity() * size_of::<u32>() + size_of::<Page>()
        };
        self.pages.iter().map(page).sum::<usize>()
            + self.slots.capacity() * size_of::<Slot>()
            + self.free.capacity() * size_of::<u32>()
            + self.table.allocation_size()
    }

    /// The hash of `text` in this interner, for tables that are keyed by the same text.
    pub(super) fn hash(&self, text: &[u8]) -> u64 {
        hash_with(&self.secret, text)
    }

    /// An id that is not in use.
    fn new_id(&mut self) -> u32 {
        self.live += 1;
        while let Some(Reverse(id)) = self.free.pop() {
            if self.slots.get(id as usize).is_some_and(|slot| slot.uses == 0) {
                return id;
            }
        }
        self.slots.push(FREE);
        self.slots.len() as u32 - 1
    }

    /// Drops the free slots behind the last id in use.
    fn drop_free_slots(&mut self) {
        while self.slots.pop_if(|slot| slot.uses == 0).is_some() {}
        if self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        if self.free.len() > self.slots.len() * 2 {
            let end = self.slots.len() as u32;
            self.free.retain(|Reverse(id)| *id < end);
            self.free.shrink_to(self.free.len() * 2);
        }
    }

    /// Puts `text` on the open page, or on a new one. Returns page and offset.
    fn put(&mut self, id: u32, text: &str) -> (u32, u32) {
        loop {
            let page = &mut self.pages[self.open as usize];
            if page.ids.is_empty() || page.used() + text.len() <= PAGE_BYTES {
                let start = page.text.len() as u32;
                page.text.push_str(text);
                page.ids.push(id);
                return (self.open, start);
            }
            let full = self.open;
            self.open = self.new_page();
            if self.pages[full as usize].is_mostly_holes() {
                // At most half a page moves to a page that is empty, so this ends here.
                self.vacate(full);
            }
        }
    }

    fn new_page(&mut self) -> u32 {
        self.free_pages.pop().unwrap_or_else(|| {
            self.pages.push(Page::default());
            self.pages.len() as u32 - 1
        })
    }

    /// Moves the texts that are in use from `from` to the open page and frees its memory.
    fn vacate(&mut self, from: u32) {
        let page = std::mem::take(&mut self.pages[from as usize]);
        for id in page.ids {
            // Released, or released and given out again with a text elsewhere.
            let placed = self.slots.get(id as usize).filter(|slot| slot.page == from);
            let Some(Slot { start, len, .. }) = placed.copied() else { continue };
            let (start, end) = (start as usize, start as usize + len as usize);
            let (at, start) = self.put(id, &page.text[start..end]);
            let slot = &mut self.slots[id as usize];
            (slot.page, slot.start) = (at, start);
        }
        self.free_pages.push(from);
    }
}

fn text_at<'a>(slots: &[Slot], pages: &'a [Page], id: u32) -> &'a str {
    let Some(slot) = slots.get(id as usize) else { return "" };
    let Some(page) = pages.get(slot.page as usize) else { return "" };
    &page.text[slot.start as usize..slot.start as usize + slot.len as usize]
}

fn hash_with(secret: &[u8; SECRET_BYTES], text: &[u8]) -> u64 {
    xxh3_64_with_secret(text, secret)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn ids_are_used_again_after_the_last_release() {
        let mut symbols = Symbols::default();
        let a = symbols.intern("a");
        assert_eq!((symbols.intern("a"), symbols.len()), (a, 1));
        symbols.release(a);
        assert_eq!((symbols.get("a"), symbols.text(a)), (Some(a), "a"));
        symbols.release(a);
        assert_eq!((symbols.get("a"), symbols.text(a), symbols.len()), (None, "", 0));
        symbols.release(a);
        assert_eq!((symbols.intern("b"), symbols.intern("c")), (a, a + 1));
    }

    #[test]
    fn texts_that_come_and_go_leave_no_memory_behind() {
        let mut symbols = Symbols::default();
        let kept: Vec<u32> = (0..100).map(|i| symbols.intern(&format!("kept {i}"))).collect();
        for i in 0..200_000 {
            let id = symbols.intern(&format!("a text of some length that nobody keeps {i}"));
            symbols.release(id);
        }
        assert!(symbols.bytes() < 4 * PAGE_BYTES, "{} bytes", symbols.bytes());
        let many: Vec<u32> =
            (0..200_000).map(|i| symbols.intern(&format!("{i} of many"))).collect();
        many.into_iter().for_each(|id| symbols.release(id));
        assert!(symbols.bytes() < 4 * PAGE_BYTES, "{} bytes", symbols.bytes());
        for (i, id) in kept.iter().enumerate() {
            assert_eq!(symbols.text(*id), format!("kept {i}"));
        }
    }

    #[test]
    fn a_text_longer_than_a_page_is_a_symbol_like_any_other() {
        let mut symbols = Symbols::default();
        let long = "é".repeat(PAGE_BYTES);
        let ids = [symbols.intern("a"), symbols.intern(&long), symbols.intern("b")];
        assert_eq!(ids.map(|id| symbols.text(id)), ["a", &long, "b"]);
        symbols.release(ids[1]);
        assert_eq!(ids.map(|id| symbols.text(id)), ["a", "", "b"]);
        assert!(symbols.bytes() < 4 * PAGE_BYTES);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn symbols_behave_like_a_counted_map(
            steps in prop::collection::vec((any::<bool>(), 0usize..60, 0usize..9000), 0..2000),
        ) {
            let mut symbols = Symbols::default();
            let mut model: BTreeMap<String, (u32, u32)> = BTreeMap::new();
            for (intern, number, len) in steps {
                let text = format!("{number}{}", "x".repeat(if number % 2 == 0 { len } else { 0 }));
                if intern {
                    let id = symbols.intern(&text);
                    let entry = model.entry(text).or_insert((id, 0));
                    prop_assert_eq!(entry.0, id);
                    entry.1 += 1;
                } else if let Some((text, (id, uses))) = model.iter().nth(number % model.len().max(1)) {
                    let (text, id, uses) = (text.clone(), *id, *uses);
                    symbols.release(id);
                    if uses == 1 {
                        model.remove(&text);
                    } else {
                        model.insert(text, (id, uses - 1));
                    }
                }
                prop_assert_eq!(symbols.len(), model.len());
            }
            for (text, (id, _)) in &model {
                prop_assert_eq!(symbols.text(*id), text);
                prop_assert_eq!(symbols.get(text), Some(*id));
            }
            let text_bytes: usize = model.keys().map(String::len).sum();
            prop_assert!(symbols.bytes() < 4 * text_bytes + 8 * PAGE_BYTES);
        }
    }
}
