//! Start timestamps of samples: a section before that of the samples or histograms which they
//! belong to, and none where no sample says one. Those of one process mostly began together, so
//! samples that follow each other and say the same make a run.
//!
//! ```text
//! record = varint(2 * samples + said) [svarint(start - the start said before, or 0)]
//! ```
//!
//! Samples behind the last run say none.

use super::SECTION_HEADER_BYTES;
use crate::codec::varint;
use crate::sample::{NO_START, TimestampMs};

/// Gathers the start timestamps of a section.
#[derive(Debug, Default)]
pub struct Writer {
    /// The runs that have ended.
    pub(super) content: Vec<u8>,
    /// The start that was said last.
    said: TimestampMs,
    /// The current run: its start and its samples.
    start: TimestampMs,
    samples: u64,
}

impl Writer {
    /// Adds that of the next sample.
    #[inline]
    pub fn push(&mut self, start: TimestampMs) {
        if start != self.start {
            self.end_run(start);
        }
        self.samples += 1;
    }

    #[cold]
    fn end_run(&mut self, next: TimestampMs) {
        let said = self.start != NO_START;
        if self.samples > 0 {
            varint::write(&mut self.content, self.samples * 2 + u64::from(said));
            if said {
                varint::write_signed(&mut self.content, self.start.wrapping_sub(self.said));
                self.said = self.start;
            }
        }
        (self.start, self.samples) = (next, 0);
    }

    /// Ends the last run, after which nothing is pushed.
    pub fn finish(&mut self) {
        if self.start != NO_START {
            self.end_run(NO_START);
        }
    }

    /// Bytes of the section at most, its header included; 0 when there will be none.
    pub fn len(&self) -> usize {
        let open = if self.start == NO_START { 0 } else { 2 * varint::MAX_LEN };
        match self.content.len() + open {
            0 => 0,
            content => SECTION_HEADER_BYTES + content,
        }
    }

    /// Whether no start was said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads a section, sample by sample.
#[derive(Debug, Default)]
pub struct Reader<'a> {
    rest: &'a [u8],
    said: TimestampMs,
    start: TimestampMs,
    /// Samples of the current run that were not read.
    left: u64,
}

impl<'a> Reader<'a> {
    /// Of the content of a section; empty for a section that is not there.
    pub fn new(rest: &'a [u8]) -> Self {
        Self { rest, ..Self::default() }
    }

    /// That of the next sample; `None` for what no writer writes.
    #[inline]
    pub fn take(&mut self) -> Option<TimestampMs> {
        if self.left == 0 {
            if self.rest.is_empty() {
                return Some(NO_START);
            }
            self.begin_run()?;
        }
        self.left -= 1;
        Some(self.start)
    }

    fn begin_run(&mut self) -> Option<()> {
        let (head, rest) = varint::read(self.rest)?;
        (self.left, self.start, self.rest) = (head / 2, NO_START, rest);
        if head % 2 == 1 {
            let (ahead, rest) = varint::read_signed(rest)?;
            self.said = self.said.wrapping_add(ahead);
            (self.start, self.rest) = (self.said, rest);
        }
        (self.left > 0).then_some(())
    }

    /// Whether all of it was read.
    pub fn is_done(&self) -> bool {
        self.rest.is_empty() && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(starts: &[i64]) -> Vec<u8> {
        let mut writer = Writer::default();
        starts.iter().for_each(|start| writer.push(*start));
        let most = writer.len();
        writer.finish();
        assert!(writer.content.len() <= most && writer.content.is_empty() == (most == 0));
        writer.content
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            runs in prop::collection::vec((prop_oneof![Just(0), any::<i64>()], 1usize..5), 0..20),
        ) {
            let starts: Vec<i64> = runs.iter().flat_map(|(s, n)| vec![*s; *n]).collect();
            let content = written(&starts);
            let mut reader = Reader::new(&content);
            for start in &starts {
                prop_assert_eq!(reader.take(), Some(*start));
            }
            prop_assert!(reader.is_done());
            prop_assert_eq!(reader.take(), Some(NO_START));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut reader = Reader::new(&bytes);
            for _ in 0..100 {
                if reader.take().is_none() {
                    break;
                }
            }
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        assert_eq!(written(&[0, 0, 0]), [] as [u8; 0]);
        assert_eq!(written(&[5, 5, 0, 5, 6, 0]), [5, 10, 2, 3, 0, 3, 2]);
    }
}
