//! The head: all series that were written lately, with their newest samples, in memory.
//!
//! ```text
//! append.rs      prepare(batch): look up or reserve series, judge every sample; apply: cannot fail
//! series.rs      one series: open chunk, sealed chunks, late samples, per generation
//! histograms.rs  the histograms of one series, and of a write
//! sealed.rs      full chunks, on the heap or in a file
//! shard.rs       labels hash to series, and the series by slot
//! delete.rs      deleted ranges leave memory; series without a sample left are not found any more
//! pending.rs     deletes that wait for it, and what they hide meanwhile
//! tally.rs       what appending did, counted
//! snapshot.rs    what a reader sees: the head as a SeriesSource over a span of generations
//! exemplars.rs   a ring of the newest exemplars
//! metadata.rs    what metrics are
//! saved.rs       these two past a cut of the log
//! chunk_file.rs  files of full chunks
//! offload.rs     moves full chunks into them
//! checkpoint/    series and open chunks to a file and back
//! restore.rs     what a start puts back
//! ```
//!
//! Samples belong to a *generation*: everything between two rotations of the log. A rotation is a
//! point in the log's order, so a generation holds exactly the samples between two log positions,
//! and freezing it costs nothing: a series moves its older data aside when it is next written.
//!
//! Locks, in this order: shard map, shard slots, index of a tenant, the emptied series; exemplars
//! and metadata have one each, held alone. Only the log thread applies, so batches apply in log
//! order; prepare runs on any number of threads.

pub mod append;
pub mod checkpoint;
pub mod chunk_file;
pub mod delete;
pub mod exemplars;
mod floats;
pub mod histograms;
pub mod metadata;
pub mod offload;
mod pending;
pub mod restore;
pub mod saved;
pub mod sealed;
pub mod series;
pub mod shard;
pub mod snapshot;
mod tally;

use std::collections::HashMap;

use roaring::RoaringBitmap;

use crate::changes::Changes;
use crate::error::ErrorCode;
use crate::index::memory::MemoryIndex;
use crate::labels::LabelsHasher;
use crate::options::WriteLimits;
use crate::refs::{Generation, SHARD_COUNT, SeriesRef, TenantId};
use crate::retention::{Horizon, RetentionPolicy};
use crate::sample::TimestampMs;
use crate::stats::Stats;
use crate::sync::{Arc, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, RwLock};
use append::WriteOutcome;
use exemplars::Exemplars;
use metadata::MetadataTable;
use shard::Shard;

/// Memory of a series beyond its chunks, in bytes: struct, map entry and index entry, about. Only
/// for the decision when a generation is large enough to be flushed.
const SERIES_BYTES: u64 = 170;

/// Series that leave an index under one lock, for which writes of new series wait: about 10 ms.
const INDEX_SLICE: usize = 10_000;

/// What the head counts, all since the process started unless said otherwise.
#[derive(Debug, Default)]
pub struct HeadCounters {
    /// Samples of the active generation.
    pub samples: AtomicU64,
    /// Bytes of chunks of the active generation, about.
    pub bytes: AtomicU64,
    /// Newest sample time of the active generation; `i64::MIN` when empty.
    pub newest: AtomicI64,
    /// Newest sample time of the active generation when it got its first samples: the window that
    /// its data belongs to; `i64::MAX` when empty.
    pub first_newest: AtomicI64,
    /// Newest sample time of all.
    pub newest_ever: AtomicI64,
    /// Series, all tenants.
    pub series: AtomicUsize,
    /// Series created.
    pub series_created: AtomicU64,
    /// Series removed.
    pub series_removed: AtomicU64,
    /// Samples applied.
    pub applied: AtomicU64,
    /// Those of them that were histograms.
    pub histograms: AtomicU64,
    /// Samples that were behind their series' newest.
    pub late: AtomicU64,
    /// Samples that replaced another value, as far as that was seen without decoding.
    pub replaced: AtomicU64,
    /// Samples that were there already.
    pub duplicates: AtomicU64,
    /// Samples that deletes took out of the head.
    pub deleted: AtomicU64,
    /// Series in which a delete failed: they are damaged.
    pub delete_failures: AtomicU64,
    /// Samples refused, by reason: `bad_data`, `too_old`, `too_far_ahead`, `limit_exceeded`.
    pub rejected: [AtomicU64; 4],
    /// Exemplars dropped.
    pub exemplars_dropped: AtomicU64,
    /// Metadata entries dropped.
    pub metadata_dropped: AtomicU64,
}

/// The reasons that [`HeadCounters::rejected`] counts.
const REJECTIONS: [(ErrorCode, &str); 4] = [
    (ErrorCode::BadData, "rejectedBadData"),
    (ErrorCode::TooOld, "rejectedTooOld"),
    (ErrorCode::TooFarAhead, "rejectedTooFarAhead"),
    (ErrorCode::LimitExceeded, "rejectedLimit"),
];

impl HeadCounters {
    /// Appends the counters by their stable names.
    pub fn report(&self, out: &mut Stats) {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed) as f64;
        out.push(("headSeries", self.series.load(Ordering::Relaxed) as f64));
        out.push(("headSamples", get(&self.samples)));
        out.push(("seriesCreated", get(&self.series_created)));
        out.push(("seriesRemoved", get(&self.series_removed)));
        out.push(("samplesAppended", get(&self.applied)));
        out.push(("histogramsAppended", get(&self.histograms)));
        out.push(("samplesLate", get(&self.late)));
        out.push(("samplesReplaced", get(&self.replaced)));
        out.push(("samplesDuplicate", get(&self.duplicates)));
        out.push(("headSamplesDeleted", get(&self.deleted)));
        out.push(("headDeleteFailures", get(&self.delete_failures)));
        out.extend(REJECTIONS.iter().zip(&self.rejected).map(|((_, name), c)| (*name, get(c))));
        out.push(("exemplarsDropped", get(&self.exemplars_dropped)));
        out.push(("metadataDropped", get(&self.metadata_dropped)));
    }

    /// Counts what a finished write refused and dropped.
    pub fn note(&self, outcome: &WriteOutcome) {
        for rejection in &outcome.rejections {
            let at = REJECTIONS.iter().position(|(code, _)| *code == rejection.code);
            if let Some(counter) = at.and_then(|at| self.rejected.get(at)) {
                counter.fetch_add(rejection.count, Ordering::Relaxed);
            }
        }
        self.exemplars_dropped.fetch_add(outcome.dropped_exemplars, Ordering::Relaxed);
        self.metadata_dropped.fetch_add(outcome.dropped_metadata, Ordering::Relaxed);
    }
}

/// The head.
pub struct Head {
    shards: Vec<Shard>,
    indexes: RwLock<HashMap<TenantId, Arc<RwLock<MemoryIndex>>>>,
    hasher: LabelsHasher,
    limits: WriteLimits,
    retention: Arc<RetentionPolicy>,
    generation: AtomicU32,
    /// Series that a delete left without a sample, until one is written or they are forgotten: the
    /// index still has them.
    emptied: RwLock<RoaringBitmap>,
    /// Numbers the deletes that were taken note of.
    buried: AtomicU64,
    counters: HeadCounters,
    changes: Changes,
    exemplars: Exemplars,
    metadata: MetadataTable,
}

impl Head {
    /// An empty head; `seed` keys the series map.
    pub fn new(seed: [u8; 32], limits: WriteLimits, retention: Arc<RetentionPolicy>) -> Self {
        let counters = HeadCounters::default();
        counters.newest.store(i64::MIN, Ordering::Relaxed);
        counters.newest_ever.store(i64::MIN, Ordering::Relaxed);
        counters.first_newest.store(i64::MAX, Ordering::Relaxed);
        Self {
            shards: (0..SHARD_COUNT).map(|_| Shard::default()).collect(),
            indexes: RwLock::default(),
            hasher: LabelsHasher::new(seed),
            limits,
            retention,
            generation: AtomicU32::new(1),
            emptied: RwLock::default(),
            buried: AtomicU64::new(0),
            counters,
            changes: Changes::default(),
            exemplars: Exemplars::new(limits.max_exemplars),
            metadata: MetadataTable::new(limits.max_metadata),
        }
    }

    /// The generation that is being written.
    pub fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Acquire))
    }

    /// Begins the next generation; called on the thread that applies.
    pub fn rotate(&self, next: Generation) {
        self.generation.store(next.0, Ordering::Release);
        self.counters.samples.store(0, Ordering::Relaxed);
        self.counters.bytes.store(0, Ordering::Relaxed);
        self.counters.newest.store(i64::MIN, Ordering::Relaxed);
        self.counters.first_newest.store(i64::MAX, Ordering::Relaxed);
    }

    /// Counters.
    pub fn counters(&self) -> &HeadCounters {
        &self.counters
    }

    /// What of the past may have changed, here and in blocks.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// The newest exemplars.
    pub fn exemplars(&self) -> &Exemplars {
        &self.exemplars
    }

    /// What metrics are.
    pub fn metadata(&self) -> &MetadataTable {
        &self.metadata
    }

    /// Bytes of memory, about.
    pub fn bytes(&self) -> u64 {
        self.counters.bytes.load(Ordering::Relaxed)
            + self.counters.series.load(Ordering::Relaxed) as u64 * SERIES_BYTES
    }

    /// Notes a sample time seen elsewhere (in a block), for retention.
    pub fn saw_time(&self, t: TimestampMs) {
        self.counters.newest_ever.fetch_max(t, Ordering::Relaxed);
    }

    /// What has expired now: retention counts from the earlier of the clock and the newest sample.
    pub fn horizon(&self, now_ms: TimestampMs) -> Horizon {
        let newest = self.counters.newest_ever.load(Ordering::Relaxed);
        let reference = if newest == i64::MIN { now_ms } else { now_ms.min(newest) };
        Horizon::new(self.retention.clone(), reference)
    }

    /// The index of a tenant, if it ever wrote.
    pub fn index(&self, tenant: TenantId) -> Option<Arc<RwLock<MemoryIndex>>> {
        self.indexes.read().get(&tenant).cloned()
    }

    /// The tenants that ever wrote.
    pub fn tenants(&self) -> Vec<TenantId> {
        let mut tenants: Vec<_> = self.indexes.read().keys().copied().collect();
        tenants.sort_unstable();
        tenants
    }

    fn index_for_write(&self, tenant: TenantId) -> Arc<RwLock<MemoryIndex>> {
        if let Some(index) = self.index(tenant) {
            return index;
        }
        self.indexes.write().entry(tenant).or_default().clone()
    }

    /// Drops what generations up to `generation` hold, and takes the series that hold nothing any
    /// more out of map and index. Their slots come back and are to be given to [`Head::release`]
    /// once no reader that may have found them is left.
    ///
    /// Nobody may read those generations any more. A write cannot hold such a series: one that
    /// looked it up since the generation after them began left its stamp, and an earlier one was
    /// applied or refused at the rotation.
    pub fn forget(&self, generation: Generation) -> RoaringBitmap {
        /// Series visited under one lock: about 50 µs.
        const SLICE: usize = 2048;
        let mut dead = RoaringBitmap::new();
        for (number, shard) in self.shards.iter().enumerate() {
            let mut from = 0;
            loop {
                let mut slots = shard.slots.write();
                let to = (from + SLICE).min(slots.len());
                for slot in from..to {
                    let Some(series) = slots.get_mut(slot) else { continue };
                    series.forget(generation);
                    if series.used
                        && series.is_empty()
                        && let Some(r) = SeriesRef::pack(number, slot)
                    {
                        dead.insert(r.0);
                    }
                }
                from = to;
                if from >= slots.len() {
                    break;
                }
            }
        }
        self.unlink(&mut dead, generation.next());
        dead
    }

    /// Takes the series of `dead` that no write has seen since generation `since` began out of the
    /// maps and indexes; the others leave `dead`.
    fn unlink(&self, dead: &mut RoaringBitmap, since: Generation) {
        {
            // All maps at once: an alias in one shard leads to a series of another. A write waits
            // for about 10 ms at a million series, once a generation.
            let mut maps: Vec<_> = self.shards.iter().map(|shard| shard.map.lock()).collect();
            for (shard, map) in maps.iter().enumerate() {
                map.seen_since(shard, since, |r| {
                    dead.remove(r.0);
                });
            }
            for (shard, map) in maps.iter_mut().enumerate() {
                map.remove(shard, |r| dead.contains(r.0));
            }
        }
        let indexes: Vec<_> = self.indexes.read().values().cloned().collect();
        for slice in slices(dead, INDEX_SLICE) {
            indexes.iter().for_each(|index| index.write().remove_all(&slice));
        }
        *self.emptied.write() -= &*dead;
        self.counters.series.fetch_sub(dead.len() as usize, Ordering::Relaxed);
        self.counters.series_removed.fetch_add(dead.len(), Ordering::Relaxed);
    }

    /// Lets the slots of series that [`Head::forget`] returned be used again.
    pub fn release(&self, dead: &RoaringBitmap) {
        for (number, shard) in self.shards.iter().enumerate() {
            let slots: Vec<u32> = dead
                .iter()
                .filter(|r| SeriesRef(*r).shard() == number)
                .map(|r| SeriesRef(r).slot() as u32)
                .collect();
            shard.slots.write().release(&slots);
        }
    }
}

/// The numbers of `all` in sets of `size` at most.
fn slices(all: &RoaringBitmap, size: usize) -> impl Iterator<Item = RoaringBitmap> {
    let mut rest = all.iter();
    std::iter::from_fn(move || {
        let slice: RoaringBitmap = rest.by_ref().take(size).collect();
        (!slice.is_empty()).then_some(slice)
    })
}
