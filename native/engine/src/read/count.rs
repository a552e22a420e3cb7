//! Counting what some selectors find, as a delete would take it.

use std::collections::HashSet;

use crate::error::Result;
use crate::index::matcher::Matcher;
use crate::read::selection::{Filled, Target};
use crate::read::session::Session;
use crate::sample::TimeRange;

/// Samples that are decoded at a time.
const BATCH_SAMPLES: usize = 64 << 10;
/// Series that are read at a time.
const BATCH_SERIES: usize = 512;

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Series with a sample in the range.
    pub series: u64,
    /// Their samples in the range.
    pub samples: u64,
}

/// Counts the series, each once, that satisfy one of `selectors` and have a sample in `range`, and
/// these samples. Reads them all.
///
/// # Errors
/// `canceled`, `corruption`.
pub fn count(
    session: &mut Session,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
) -> Result<Counted> {
    let (mut counted, mut seen) = (Counted::default(), HashSet::new());
    let (mut timestamps, mut values) = (vec![0.0; BATCH_SAMPLES], vec![0.0; BATCH_SAMPLES]);
    let mut offsets = vec![0u32; BATCH_SERIES + 1];
    for matchers in selectors {
        let mut selection = session.select(matchers.clone(), range)?;
        let mut first = 0;
        while first < selection.len() {
            let mut target =
                Target { timestamps: &mut timestamps, values: &mut values, offsets: &mut offsets };
            let read = match selection.read(first, &mut target)? {
                Filled::Series(read) => read,
                Filled::Needs(samples) => {
                    timestamps.resize(samples, 0.0);
                    values.resize(samples, 0.0);
                    continue;
                }
            };
            for (series, span) in (first..first + read).zip(offsets.windows(2)) {
                let samples = u64::from(span[1] - span[0]);
                if samples > 0 && seen.insert(selection.labels(series).to_vec()) {
                    counted.series += 1;
                    counted.samples += samples;
                }
            }
            first += read;
        }
    }
    Ok(counted)
}
