//! A checkpoint into the head: its slices are taken by several threads, the labels of its series go
//! to the one thread that builds the index.

use std::num::NonZeroU32;

use super::replay::Indexing;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::head::checkpoint::Checkpoint;
use crate::refs::SeriesRef;
use crate::sync::channel::Sender;
use crate::sync::{AtomicUsize, Ordering, thread};

/// Series refs in a page of [`Refs`].
const PAGE: usize = 4096;

/// What the series of a log are called in the head now, by what the log calls them.
#[derive(Default)]
pub(super) struct Refs {
    /// Refs are dense, so this is a plain table, in pages because a damaged one may not be. Kept
    /// plus 1.
    pages: Vec<Option<Box<[Option<NonZeroU32>; PAGE]>>>,
}

impl Refs {
    /// What the head calls `logged`.
    pub(super) fn get(&self, logged: SeriesRef) -> Option<SeriesRef> {
        let (page, at) = place(logged);
        let number = self.pages.get(page)?.as_ref()?[at]?;
        Some(SeriesRef(number.get() - 1))
    }

    /// All of them: what the log calls a series, and what the head does.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SeriesRef, SeriesRef)> {
        self.pages.iter().enumerate().flat_map(|(number, page)| {
            page.iter().flat_map(move |page| {
                page.iter().enumerate().filter_map(move |(at, now)| {
                    let logged = SeriesRef((number * PAGE + at) as u32);
                    Some((logged, SeriesRef(now.as_ref()?.get() - 1)))
                })
            })
        })
    }

    /// Replaces what `logged` was.
    pub(super) fn set(&mut self, logged: SeriesRef, now: SeriesRef) {
        let (page, at) = place(logged);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, || None);
        }
        let page = self.pages[page].get_or_insert_with(|| Box::new([None; PAGE]));
        page[at] = NonZeroU32::new(now.0.wrapping_add(1));
    }
}

fn place(series: SeriesRef) -> (usize, usize) {
    (series.0 as usize / PAGE, series.0 as usize % PAGE)
}

/// Puts all of a checkpoint into the head, with `threads` threads.
///
/// # Errors
/// `corruption`; `limit_exceeded` when the head is full.
pub(super) fn load(
    head: &Head,
    checkpoint: &Checkpoint,
    threads: usize,
    index: &Sender<Indexing>,
) -> Result<Refs> {
    let next = AtomicUsize::new(0);
    let load_some = || -> Result<Vec<(SeriesRef, SeriesRef)>> {
        let mut refs = Vec::new();
        loop {
            let slice = next.fetch_add(1, Ordering::Relaxed);
            if slice >= checkpoint.slices() {
                return Ok(refs);
            }
            let mut unindexed = Vec::new();
            checkpoint.read_slice(slice, &mut |restored| {
                let logged = restored.series;
                let (series, new) = head.restore_checkpointed(restored)?;
                refs.push((logged, series));
                unindexed.extend(new);
                Ok(())
            })?;
            // The receiver ends only after all senders.
            let _ = index.send(Indexing::Series(unindexed));
        }
    };
    let loaded: Vec<Result<Vec<_>>> = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(load_some)).collect();
        let mut loaded = vec![load_some()];
        loaded.extend(others.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err(Error::internal("a thread of the start panicked")))
        }));
        loaded
    });
    let mut refs = Refs::default();
    for some in loaded {
        some?.into_iter().for_each(|(logged, now)| refs.set(logged, now));
    }
    head.restore_counters(&checkpoint.info());
    Ok(refs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_mean_what_was_set_last() {
        let mut refs = Refs::default();
        let far = SeriesRef(5_000_000);
        assert_eq!(refs.get(far), None);
        refs.set(far, SeriesRef(0));
        refs.set(SeriesRef(3), SeriesRef(4));
        assert_eq!(refs.get(far), Some(SeriesRef(0)));
        refs.set(far, SeriesRef(9));
        assert_eq!(refs.get(far), Some(SeriesRef(9)));
        assert_eq!(refs.get(SeriesRef(3)), Some(SeriesRef(4)));
        assert_eq!(refs.get(SeriesRef(4)), None);
    }
}
