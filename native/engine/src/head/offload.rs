//! Full chunks leave the heap: those of the active generation are written to chunk files, and their
//! series point there from then on.
//!
//! A chunk stays where it is until the file that holds it is durable and mapped. Readers that hold
//! the chunk on the heap go on with it.

use std::path::Path;

use crate::chunk::Encoding;
use crate::disk::Disk;
use crate::error::Result;
use crate::head::Head;
use crate::head::chunk_file::{ChunkFile, ChunkFileWriter, Place};
use crate::head::sealed::{Held, SealedChunk};
use crate::refs::SHARD_COUNT;
use crate::sync::{Arc, Ordering};

/// Slots that are looked at under one lock.
const SLICE_SLOTS: usize = 2048;
/// Bytes of chunks after which a file is finished: what is in memory twice for a moment.
const FILE_BYTES: u64 = 64 << 20;

/// A chunk on the heap.
struct OnHeap {
    slot: usize,
    encoding: Encoding,
    bytes: Arc<[u8]>,
}

/// A chunk that was written to the file in the making.
struct Moved {
    shard: usize,
    slot: usize,
    bytes: Arc<[u8]>,
    place: Place,
}

/// The file in the making and what is in it.
struct Filling {
    writer: ChunkFileWriter,
    number: u64,
    moved: Vec<Moved>,
}

/// Moves all full chunks of the active generation that are on the heap into chunk files in `dir`,
/// numbered from `next` on, and moves `next` past them. Returns how many bytes left the heap.
///
/// # Errors
/// Those of the disk; what was not moved stays in memory.
pub fn offload(head: &Head, disk: &dyn Disk, dir: &Path, next: &mut u64) -> Result<u64> {
    let mut filling: Option<Filling> = None;
    let mut left = 0;
    for shard in 0..SHARD_COUNT {
        for first in (0..).step_by(SLICE_SLOTS) {
            let Some(found) = heap_chunks(head, shard, first) else { break };
            for OnHeap { slot, encoding, bytes } in found {
                let file = match &mut filling {
                    Some(file) => file,
                    None => filling.insert(Filling {
                        writer: ChunkFileWriter::create(disk, dir, *next)?,
                        number: std::mem::replace(next, *next + 1),
                        moved: Vec::new(),
                    }),
                };
                let place = file.writer.add(encoding, &bytes)?;
                file.moved.push(Moved { shard, slot, bytes, place });
            }
            if let Some(full) = filling.take_if(|file| file.writer.len() >= FILE_BYTES) {
                left += install(head, disk, full)?;
            }
        }
    }
    match filling {
        Some(last) => Ok(left + install(head, disk, last)?),
        None => Ok(left),
    }
}

/// The full chunks on the heap in a run of slots; `None` past the last slot.
fn heap_chunks(head: &Head, shard: usize, first: usize) -> Option<Vec<OnHeap>> {
    let slots = head.shards[shard].slots.read();
    let end = slots.len().min(first + SLICE_SLOTS);
    let mut found = Vec::new();
    for slot in (first < end).then_some(first..end)? {
        let active = slots.get(slot).filter(|series| series.generation() == head.generation());
        let Some(parts) = active.map(|series| series.parts()) else { continue };
        for chunk in parts.all_sealed() {
            if let Held::Heap(bytes) = chunk.held() {
                found.push(OnHeap { slot, encoding: chunk.encoding(), bytes: bytes.clone() });
            }
        }
    }
    Some(found)
}

/// Publishes the file and lets the series point into it. A series that meanwhile ended or began
/// another generation keeps what it has.
fn install(head: &Head, disk: &dyn Disk, full: Filling) -> Result<u64> {
    let file: Arc<ChunkFile> = full.writer.publish(disk, full.number)?;
    let mut left = 0;
    for slice in full.moved.chunk_by(|a, b| a.shard == b.shard && a.slot / 256 == b.slot / 256) {
        let mut slots = head.shards[slice[0].shard].slots.write();
        for moved in slice {
            let Some(series) = slots.get_mut(moved.slot) else { continue };
            for chunk in series.sealed_mut() {
                if matches!(chunk.held(), Held::Heap(bytes) if Arc::ptr_eq(bytes, &moved.bytes)) {
                    let (range, encoding) = (chunk.range, chunk.encoding());
                    *chunk = SealedChunk::in_file(range, encoding, file.clone(), moved.place);
                    left += moved.bytes.len() as u64;
                }
            }
        }
    }
    let counter = &head.counters.bytes;
    let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |bytes| {
        Some(bytes.saturating_sub(left))
    });
    Ok(left)
}
