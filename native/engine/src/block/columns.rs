//! Reads columns: decodes what is wanted of them, and each timeline once for many.
//!
//! A reader belongs to one selection and one thread. It keeps the timelines that it decoded last,
//! since the next series of the same target wants the same ones, and remembers which frame it
//! checked last, since neighbours lie in one.

use super::chunks::ChunkFile;
use super::frames::{Frame, Timeline};
use crate::chunk::dense::{self, Scratch};
use crate::error::{Error, Result};
use crate::index::file::ColumnRef;
use crate::run::Needs;
use crate::sample::{NO_START, TimeRange, TimestampMs};
use crate::source::Columns;

/// Decoded timelines that are kept: at a thousand samples each, 2 MiB.
const TIMELINES_KEPT: usize = 256;

/// See the page above.
#[derive(Debug, Default)]
pub(super) struct ColumnReader {
    /// A timeline is kept in the slot of its number's remainder.
    kept: Vec<Option<Kept>>,
    scratch: Scratch,
}

#[derive(Debug)]
struct Kept {
    timeline: Timeline,
    times: Vec<TimestampMs>,
}

/// The frame that was checked last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastFrame<'a>(Option<(u32, Frame<'a>)>);

impl ColumnReader {
    /// Appends the samples of `column` in `range`.
    ///
    /// # Errors
    /// `corruption`.
    pub(super) fn read<'a>(
        &mut self,
        (file, last): (&'a ChunkFile, &mut LastFrame<'a>),
        column: ColumnRef,
        range: TimeRange,
        out: &mut Columns,
    ) -> Result<()> {
        let timeline = file.timeline(column.timeline)?;
        if !timeline.range.overlaps(&range) {
            return Ok(());
        }
        let Self { kept, scratch } = self;
        let times = times_of(kept, file, &timeline, scratch)?;
        let start = times.partition_point(|t| *t < range.mint);
        let end = times.partition_point(|t| *t <= range.maxt);
        if start == end {
            return Ok(());
        }
        let frame = match last.0 {
            Some((number, frame)) if number == column.frame => frame,
            _ => {
                let frame = file.frame(column.frame)?;
                last.0 = Some((column.frame, frame));
                frame
            }
        };
        let damaged = |what: &str| file.damaged_column(column, what);
        let bytes = frame.column(column.column).ok_or_else(|| damaged("there is none"))?;
        let wrong = |cause: Error| damaged(cause.message());
        let (starts, bytes) = dense::split_starts(bytes).map_err(wrong)?;
        let before = out.values.len();
        out.values.resize(before + end - start, 0.0);
        let decode = match out.needs {
            Needs::Values => dense::decode_part,
            Needs::Staleness => dense::decode_staleness,
        };
        let mut decoded = decode(bytes, scratch, (times.len(), start), &mut out.values[before..]);
        if let (Ok(()), Some(bytes)) = (&decoded, starts) {
            let mut column = vec![NO_START; times.len()];
            decoded = dense::decode_starts(bytes, scratch, &mut column);
            out.starts.resize(before, NO_START);
            out.starts.extend_from_slice(&column[start..end]);
        }
        if let Err(cause) = decoded {
            out.values.truncate(before);
            out.starts.truncate(before);
            return Err(wrong(cause));
        }
        out.timestamps.extend_from_slice(&times[start..end]);
        Ok(())
    }
}

/// The times of a timeline, decoded unless they are kept.
fn times_of<'a>(
    kept: &'a mut Vec<Option<Kept>>,
    file: &ChunkFile,
    timeline: &Timeline,
    scratch: &mut Scratch,
) -> Result<&'a [TimestampMs]> {
    if kept.is_empty() {
        kept.resize_with(TIMELINES_KEPT, || None);
    }
    let slot = &mut kept[timeline.number() as usize % TIMELINES_KEPT];
    let known = slot.as_ref().is_some_and(|kept| kept.timeline == *timeline);
    if !known {
        let mut times = slot.take().map(|kept| kept.times).unwrap_or_default();
        file.times(timeline, scratch, &mut times)?;
        *slot = Some(Kept { timeline: *timeline, times });
    }
    Ok(slot.as_ref().map_or(&[], |kept| &kept.times))
}
