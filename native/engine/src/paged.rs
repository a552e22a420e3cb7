//! A list that grows by pages: nothing ever moves, and growing needs no second copy.
//!
//! The large tables of the head are such lists. As vectors they left behind, with each step of
//! growth, a hole in the heap of nearly their size: 200 bytes a series at a million series.

/// Elements of a page.
const PAGE: usize = 256;

/// A list of elements in pages of 256, all of which are there from the beginning of the page.
#[derive(Debug)]
pub struct Paged<T> {
    pages: Vec<Box<[T]>>,
    len: usize,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }
}

impl<T: Default> Paged<T> {
    /// The element at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        if index >= self.len {
            return None;
        }
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    /// The element at `index`.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len {
            return None;
        }
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }

    /// Puts `element` at `index`, with default elements before it where there is none yet.
    pub fn set(&mut self, index: usize, element: T) {
        self.len = self.len.max(index + 1);
        while self.pages.len() * PAGE < self.len {
            self.pages.push(std::iter::repeat_with(T::default).take(PAGE).collect());
        }
        self.pages[index / PAGE][index % PAGE] = element;
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory of the pages.
    pub fn heap_bytes(&self) -> usize {
        self.pages.len() * PAGE * size_of::<T>() + self.pages.capacity() * size_of::<Box<[T]>>()
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
        assert_eq!((list.get(4 * PAGE), list.get(5 * PAGE)), (Some(&0), Some(&1)));
        assert_eq!(list.get(5 * PAGE + 1), None);
        *list.get_mut(PAGE).unwrap() = 5;
        assert_eq!(list.get(PAGE), Some(&5));
    }
}
