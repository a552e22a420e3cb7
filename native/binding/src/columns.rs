//! Label tables and results as typed arrays.

use metricstor_engine::error::{Error, Result};
use metricstor_engine::label_order::LabelIds;
use napi::bindgen_prelude::Uint32Array;
use napi_derive::napi;

/// Label sets that leave the engine.
#[napi(object)]
pub struct SeriesSets {
    /// Name, value, … ids.
    pub ids: Uint32Array,
    /// Series `i` owns `[offsets[i], offsets[i + 1])`.
    pub offsets: Uint32Array,
    /// Whether a limit left some out.
    pub truncated: bool,
}

/// Checks that `offsets` ascend from 0 to at most `len`.
///
/// # Errors
/// `internal` when they do not: a bug of the caller.
pub fn check_offsets(what: &str, offsets: &[u32], len: usize) -> Result<()> {
    let ascending = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
    match (offsets.first(), offsets.last()) {
        (Some(0), Some(last)) if ascending && *last as usize <= len => Ok(()),
        _ => Err(Error::internal(format!("{what}: offsets do not ascend from 0 to at most {len}"))),
    }
}

/// A checked label table.
///
/// # Errors
/// `internal` when ids and offsets do not fit together.
pub fn label_ids<'a>(ids: &'a [u32], offsets: &'a [u32]) -> Result<LabelIds<'a>> {
    check_offsets("labels", offsets, ids.len())?;
    if offsets.iter().any(|offset| offset % 2 != 0) {
        return Err(Error::internal("labels: an offset splits a pair"));
    }
    Ok(LabelIds { ids, offsets })
}

/// The addresses that a typed array covers.
pub fn bytes_of<T>(array: &[T]) -> std::ops::Range<usize> {
    let range = array.as_ptr_range();
    range.start as usize..range.end as usize
}

/// Checks that arrays which are written at once share no memory.
///
/// # Errors
/// `internal` when they do: a bug of the caller.
pub fn check_apart(spans: [std::ops::Range<usize>; 3]) -> Result<()> {
    for (i, a) in spans.iter().enumerate() {
        for b in &spans[i + 1..] {
            if a.start < b.end && b.start < a.end {
                return Err(Error::internal("the columns of a batch share memory"));
            }
        }
    }
    Ok(())
}
