//! A list that grows by pages: nothing ever moves, growing needs no second copy, and a page that
//! nobody needs any more goes back to the allocator.
//!
//! The large tables of the head are such lists. As vectors they left behind, with each step of
//! growth, a hole in the heap of nearly their size: 200 bytes a series at a million series.

/// Elements of a page.
pub const PAGE: usize = 64;

/// A list of elements in pages of [`PAGE`], all of which are there from the beginning of the page.
#[derive(Debug)]
pub struct Paged<T> {
    /// Nothing in place of a page without an element that was put there.
    pages: Vec<Option<Box<[T]>>>,
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T: Default> Paged<T> {
    /// The element at `index`; `None` past the end and in a page that is not there.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        self.pages.get(index / PAGE)?.as_ref()?.get(index % PAGE)
    }

    /// The element at `index`; as [`Paged::get`].
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        self.pages.get_mut(index / PAGE)?.as_mut()?.get_mut(index % PAGE)
    }

    /// Puts `element` at `index`. The others of its page are default elements if it is new.
    pub fn set(&mut self, index: usize, element: T) {
        self.len = self.len.max(index + 1);
        if index / PAGE >= self.pages.len() {
            self.pages.resize_with(index / PAGE + 1, || None);
        }
        let page = self.pages[index / PAGE]
            .get_or_insert_with(|| std::iter::repeat_with(T::default).take(PAGE).collect());
        page[index % PAGE] = element;
    }

    /// Drops every page that `keep` does not want, by its number: the elements from [`PAGE`] times
    /// that on. The list ends with the last that is left.
    pub fn retain_pages(&mut self, mut keep: impl FnMut(usize) -> bool) {
        for (number, page) in self.pages.iter_mut().enumerate() {
            page.take_if(|_| !keep(number));
        }
        let kept = self.pages.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        self.pages.truncate(kept);
        self.pages.shrink_to(kept * 2);
        self.len = self.len.min(kept * PAGE);
    }

    /// Number of elements up to the last that was put anywhere.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory of the pages.
    pub fn heap_bytes(&self) -> usize {
        self.pages.iter().flatten().count() * PAGE * size_of::<T>()
            + self.pages.capacity() * size_of::<Option<Box<[T]>>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_stay_where_they_were_put() {
        let mut list = Paged::default();
        for i in 0..3 * PAGE + 7 {
            list.set(i, i);
        }
        list.set(5 * PAGE, 1);
        list.set(3, 99);
        assert_eq!((list.len(), list.get(3), list.get(4)), (5 * PAGE + 1, Some(&99), Some(&4)));
        assert_eq!((list.get(4 * PAGE), list.get(5 * PAGE)), (None, Some(&1)));
        assert_eq!(list.get(5 * PAGE + 1), None);
        *list.get_mut(PAGE).unwrap() = 5;
        assert_eq!(list.get(PAGE), Some(&5));
    }

    #[test]
    fn pages_that_are_not_kept_give_their_memory_back() {
        let mut list = Paged::default();
        for i in 0..6 * PAGE + 1 {
            list.set(i, i);
        }
        let full = list.heap_bytes();
        list.retain_pages(|page| page == 1 || page == 3);
        assert_eq!((list.len(), list.get(0)), (4 * PAGE, None));
        assert_eq!((list.get(PAGE), list.get(2 * PAGE)), (Some(&PAGE), None));
        assert_eq!((list.get(4 * PAGE - 1), list.get(4 * PAGE)), (Some(&(4 * PAGE - 1)), None));
        assert!(list.heap_bytes() < full / 2, "{} of {full}", list.heap_bytes());
        list.set(2 * PAGE + 1, 7);
        assert_eq!((list.get(2 * PAGE), list.get(2 * PAGE + 1)), (Some(&0), Some(&7)));
        list.retain_pages(|_| false);
        assert!(list.is_empty());
    }
}
