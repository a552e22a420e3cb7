//! Long noisy columns: pco's bins and tabled asymmetric numeral systems.
//!
//! Source: the pco format, version 4.1, "wrapped": one chunk of one page. The two bytes of its
//! version are not stored; the codec's number stands for them.
//!
//! The library checks its input, but trusts it with memory: dictionaries and look-back windows of
//! 2^24 entries. Neither is written here, and both are refused before they are made.

use pco::data_types::Number;
use pco::metadata::DeltaEncoding;
use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DecompressorScratch, DeltaSpec, ModeSpec};

use super::corruption;
use crate::error::{Error, Result};

/// What a pco file of this version begins with.
const VERSION: [u8; 2] = [4, 1];
/// The number of the mode with a dictionary, in the low four bits of a chunk.
const DICTIONARY_MODE: u8 = 4;
/// Effort: above it nothing is gained on columns of a thousand values.
const LEVEL: usize = 8;
/// Shorter columns are smaller without: bins cost some twenty bytes to describe.
pub(super) const COUNT_MIN: usize = 48;

/// Appends `numbers`; false, with `out` as it was, if the library declines.
pub(super) fn encode<T: Number>(
    numbers: &[T],
    mode: ModeSpec,
    delta: DeltaSpec,
    out: &mut Vec<u8>,
) -> bool {
    let start = out.len();
    let config = ChunkConfig::default()
        .with_compression_level(LEVEL)
        .with_mode_spec(mode)
        .with_delta_spec(delta);
    let written =
        FileCompressor::default().chunk_compressor(numbers, &config).and_then(|mut chunk| {
            chunk.write_meta(&mut *out)?;
            chunk.write_page(0, &mut *out)?;
            Ok(())
        });
    if written.is_err() {
        out.truncate(start);
    }
    written.is_ok()
}

/// Fills `out` from all of `bytes`.
pub(super) fn decode<T: Number>(
    bytes: &[u8],
    scratch: &mut DecompressorScratch,
    out: &mut [T],
) -> Result<()> {
    let refused = |cause: pco::errors::PcoError| bad(&cause.to_string());
    if bytes.first().is_none_or(|byte| byte & 15 == DICTIONARY_MODE) {
        return Err(bad("it has a dictionary"));
    }
    let (file, _) = FileDecompressor::new(&VERSION[..]).map_err(refused)?;
    let (chunk, rest) = file.chunk_decompressor::<T, _>(bytes).map_err(refused)?;
    if !matches!(
        chunk.meta().delta_encoding,
        DeltaEncoding::NoOp | DeltaEncoding::Consecutive { .. }
    ) {
        return Err(bad("it looks back"));
    }
    let mut page =
        chunk.page_decompressor_with_scratch(rest, out.len(), scratch).map_err(refused)?;
    let progress = page.read(out).map_err(refused)?;
    if progress.n_processed != out.len() || !page.into_src().is_empty() {
        return Err(bad("its length is not that of its values"));
    }
    Ok(())
}

fn bad(what: &str) -> Error {
    corruption(&format!("pco: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_writes_the_version_that_is_read() {
        let mut header = Vec::new();
        FileCompressor::default().write_header(&mut header).unwrap();
        assert_eq!(header, VERSION);
    }
}
