//! What an engine tells about itself: numbers only, each named once.

use crate::sync::{AtomicU64, Ordering};

/// Counters of the background work.
#[derive(Debug, Default)]
pub struct Counters {
    /// Flushes that published.
    pub flushes: AtomicU64,
    /// Flushes that failed; they are tried again.
    pub flush_failures: AtomicU64,
    /// Bytes of the blocks that flushes made.
    pub flush_bytes: AtomicU64,
    /// Merges of blocks that published.
    pub compactions: AtomicU64,
    /// Merges that failed; they are tried again.
    pub compaction_failures: AtomicU64,
    /// Bytes of the blocks that merges replaced.
    pub compaction_bytes_read: AtomicU64,
    /// Bytes of the blocks that merges made.
    pub compaction_bytes_written: AtomicU64,
    /// Bytes of the blocks that are being merged now, and so the most that the new one takes beside
    /// them.
    pub compaction_bytes_now: AtomicU64,
    /// Damaged blocks that were set aside and are still there.
    pub blocks_quarantined: AtomicU64,
    /// Samples that a flush found replaced by a later write.
    pub replaced_in_flush: AtomicU64,
    /// Blocks dropped by retention.
    pub blocks_dropped: AtomicU64,
    /// Blocks written anew without what was deleted or had expired in them.
    pub blocks_cleaned: AtomicU64,
    /// Deletes that were acknowledged.
    pub deletes: AtomicU64,
    /// Checkpoints of the head.
    pub checkpoints: AtomicU64,
    /// Checkpoints that failed; they are tried again.
    pub checkpoint_failures: AtomicU64,
    /// Bytes of full chunks that left the heap for chunk files.
    pub chunk_bytes_offloaded: AtomicU64,
    /// Bytes of checkpoint and chunk files on disk.
    pub head_file_bytes: AtomicU64,
    /// Bytes of a torn log tail that recovery cut.
    pub torn_bytes: AtomicU64,
}

/// One moment's numbers, by stable name.
pub type Stats = Vec<(&'static str, f64)>;

/// Appends the counters of the background work.
pub fn counter_stats(counters: &Counters, out: &mut Stats) {
    let get = |c: &AtomicU64| c.load(Ordering::Relaxed) as f64;
    out.push(("flushes", get(&counters.flushes)));
    out.push(("flushFailures", get(&counters.flush_failures)));
    out.push(("flushBytes", get(&counters.flush_bytes)));
    out.push(("compactions", get(&counters.compactions)));
    out.push(("compactionFailures", get(&counters.compaction_failures)));
    out.push(("compactionBytesRead", get(&counters.compaction_bytes_read)));
    out.push(("compactionBytesWritten", get(&counters.compaction_bytes_written)));
    out.push(("compactionBytesNow", get(&counters.compaction_bytes_now)));
    out.push(("blocksQuarantined", get(&counters.blocks_quarantined)));
    out.push(("samplesReplacedInFlush", get(&counters.replaced_in_flush)));
    out.push(("blocksDropped", get(&counters.blocks_dropped)));
    out.push(("blocksCleaned", get(&counters.blocks_cleaned)));
    out.push(("deletes", get(&counters.deletes)));
    out.push(("checkpoints", get(&counters.checkpoints)));
    out.push(("checkpointFailures", get(&counters.checkpoint_failures)));
    out.push(("chunkBytesOffloaded", get(&counters.chunk_bytes_offloaded)));
    out.push(("headFileBytes", get(&counters.head_file_bytes)));
    out.push(("tornBytes", get(&counters.torn_bytes)));
}
