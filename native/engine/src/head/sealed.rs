//! Full chunks of a series: on the heap when they are fresh, later in a chunk file.

use crate::chunk::{self, Encoding};
use crate::error::Result;
use crate::head::chunk_file::{ChunkFile, Place};
use crate::merge::Run;
use crate::sample::TimeRange;
use crate::sync::Arc;

/// An immutable chunk: 40 bytes here, and its bytes somewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SealedChunk {
    /// Times of its first and last sample.
    pub range: TimeRange,
    bytes: Bytes,
}

#[derive(Debug, Clone)]
enum Bytes {
    Heap { encoding: Encoding, bytes: Arc<[u8]> },
    File { encoding: Encoding, place: Place, file: Arc<ChunkFile> },
}

/// Where the bytes of a chunk are.
#[derive(Debug, Clone, Copy)]
pub enum Held<'a> {
    /// On the heap.
    Heap(&'a Arc<[u8]>),
    /// In a chunk file.
    File(&'a Arc<ChunkFile>, Place),
}

impl SealedChunk {
    /// A chunk on the heap.
    pub fn new(range: TimeRange, encoding: Encoding, bytes: impl Into<Arc<[u8]>>) -> Self {
        Self { range, bytes: Bytes::Heap { encoding, bytes: bytes.into() } }
    }

    /// A chunk in a file.
    pub fn in_file(
        range: TimeRange,
        encoding: Encoding,
        file: Arc<ChunkFile>,
        place: Place,
    ) -> Self {
        Self { range, bytes: Bytes::File { encoding, place, file } }
    }

    /// How it is encoded.
    pub fn encoding(&self) -> Encoding {
        match self.bytes {
            Bytes::Heap { encoding, .. } | Bytes::File { encoding, .. } => encoding,
        }
    }

    /// Where its bytes are.
    pub fn held(&self) -> Held<'_> {
        match &self.bytes {
            Bytes::Heap { bytes, .. } => Held::Heap(bytes),
            Bytes::File { place, file, .. } => Held::File(file, *place),
        }
    }

    /// Bytes of the chunk on the heap; 0 once it is in a file.
    pub fn heap_bytes(&self) -> usize {
        match &self.bytes {
            Bytes::Heap { bytes, .. } => bytes.len(),
            Bytes::File { .. } => 0,
        }
    }

    /// Appends the samples in `range` to `run`.
    ///
    /// # Errors
    /// `corruption` when the chunk is not what was written: in a file damage, in memory a bug.
    pub fn decode(&self, range: TimeRange, run: &mut Run) -> Result<()> {
        match &self.bytes {
            Bytes::Heap { encoding, bytes } => {
                chunk::decode(*encoding, bytes, range, &mut run.sink())
            }
            Bytes::File { encoding, place, file } => {
                let bytes = file.get(*encoding, *place)?;
                chunk::decode(*encoding, bytes, range, &mut run.sink())
                    .map_err(|error| file.at(error, *place))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_chunk_is_small() {
        assert_eq!(size_of::<SealedChunk>(), 40);
    }
}
