//! The log into the head, in a pipeline: this thread reads frames and finds series, several append
//! samples, one builds the index.
//!
//! A series' samples always go to the same thread, that of its shard, in the order of the log: so
//! the replay gives the same bits as the writes did. A delete waits until all that was written
//! before it is in the head.

use std::path::Path;

use roaring::RoaringBitmap;

use super::load::{Refs, load};
use crate::block::tombstones::TombstoneList;
use crate::disk::Disk;
use crate::error::{Error, ErrorCode, Result};
use crate::head::Head;
use crate::head::append::{Addressed, Floats};
use crate::head::checkpoint::Checkpoint;
use crate::head::histograms;
use crate::head::restore::Unindexed;
use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::refs::{Position, SeriesRef, TenantId};
use crate::sample::{Times, TimestampMs};
use crate::sync::channel::{Receiver, Sender, bounded};
use crate::sync::{Arc, thread};
use crate::tombstone::Tombstone;
use crate::wal::record::exemplars::ExemplarRecord;
use crate::wal::record::metadata::MetadataRecord;
use crate::wal::record::{self, RecordVisitor};
use crate::wal::{self, Recovered};

/// Samples that are handed over at once: enough for each shard's lock to be worth its while.
const BATCH_SAMPLES: usize = 16 << 10;
/// Histograms that are handed over at once.
const BATCH_HISTOGRAMS: usize = 1024;
/// Series that are handed over at once.
const BATCH_SERIES: usize = 1024;
/// Batches that may wait for a thread.
const WAITING: usize = 8;

/// What is replayed, and into what.
pub(super) struct Replay<'a> {
    /// The disk.
    pub(super) disk: &'a dyn Disk,
    /// The directory of the log.
    pub(super) wal: &'a Path,
    /// Where it goes.
    pub(super) head: &'a Head,
    /// How many threads append.
    pub(super) threads: usize,
    /// What the file of tombstones says.
    pub(super) saved: &'a Arc<TombstoneList>,
}

impl Replay<'_> {
    /// Loads the checkpoint, and then replays the log from its position, or from `flushed`. Returns
    /// also the tombstones of file and log.
    ///
    /// # Errors
    /// `corruption` with file and offset, `limit_exceeded`, and those of the disk.
    pub(super) fn run(
        &self,
        checkpoint: Option<&Checkpoint>,
        flushed: Position,
    ) -> Result<(Recovered, Arc<TombstoneList>)> {
        let head = self.head;
        thread::scope(|scope| {
            // The senders go at the end of this closure, before the threads are waited for.
            let (index, to_index) = bounded::<Indexing>(WAITING);
            scope.spawn(move || {
                to_index.iter().for_each(|step| match step {
                    Indexing::Series(batch) => head.index_restored(&batch),
                    Indexing::Done(tell) => drop(tell),
                });
            });
            let refs = match checkpoint {
                Some(checkpoint) => load(head, checkpoint, self.threads, &index)?,
                None => Refs::default(),
            };
            let append = |batches: Receiver<Batch>| {
                batches.iter().for_each(|batch| match batch {
                    Batch::Floats(samples) => head.restore_samples(&samples),
                    Batch::Histograms(samples) => head.restore_histograms(&samples),
                    Batch::Done(tell) => drop(tell),
                });
            };
            let mut appenders = Vec::new();
            for _ in 0..self.threads {
                let (send, receive) = bounded(WAITING);
                scope.spawn(move || append(receive));
                appenders.push(Appender {
                    send,
                    floats: Floats::default(),
                    histograms: Vec::new(),
                });
            }
            let from = checkpoint.map_or(flushed, |checkpoint| checkpoint.info().replay_from);
            let covered = checkpoint.map(|c| (c, c.info().covered_to));
            let mut replayer = Replayer {
                head,
                refs,
                covered,
                end: from,
                appenders,
                index,
                unindexed: Vec::new(),
                deletes: Vec::new(),
                tombstones: self.saved.clone(),
            };
            let mut log = wal::replay(self.disk, self.wal, from, &mut |end, payload| {
                replayer.end = end;
                record::decode(payload, &mut replayer)?;
                replayer.end_frame();
                Ok(())
            })?;
            let tombstones = replayer.finish(self.saved)?;
            if let Some((_, covered_to)) = covered {
                // A slice would be taken to hold what is written at positions that it knows.
                log.end = log.end.max(covered_to);
            }
            Ok((log, tombstones))
        })
    }
}

/// Samples of one kind, in the order of the log.
enum Batch {
    Floats(Floats),
    Histograms(Vec<histograms::Addressed>),
    /// Dropped when all before it is in the head.
    Done(Sender<()>),
}

/// A thread that appends the samples of some shards. One of its lists is empty, so that floats and
/// histograms of a series stay in order.
struct Appender {
    send: Sender<Batch>,
    floats: Floats,
    histograms: Vec<histograms::Addressed>,
}

impl Appender {
    #[inline]
    fn float(&mut self, sample: Addressed, start: TimestampMs) {
        if !self.histograms.is_empty() || self.floats.len() >= BATCH_SAMPLES {
            self.flush();
        }
        self.floats.push(sample, start);
    }

    fn histogram(&mut self, sample: histograms::Addressed) {
        if !self.floats.is_empty() || self.histograms.len() >= BATCH_HISTOGRAMS {
            self.flush();
        }
        self.histograms.push(sample);
    }

    fn flush(&mut self) {
        let batch = if self.histograms.is_empty() {
            Batch::Floats(std::mem::take(&mut self.floats))
        } else {
            Batch::Histograms(std::mem::take(&mut self.histograms))
        };
        // The receiver ends only after the sender.
        let _ = self.send.send(batch);
    }
}

/// Takes the records of the log apart.
struct Replayer<'a> {
    head: &'a Head,
    refs: Refs,
    /// The checkpoint that was loaded, and the position past which it holds nothing.
    covered: Option<(&'a Checkpoint, Position)>,
    /// Where the frame ends.
    end: Position,
    appenders: Vec<Appender>,
    index: Sender<Indexing>,
    unindexed: Vec<Unindexed>,
    /// The tombstones of the frame.
    deletes: Vec<Arc<Tombstone>>,
    /// Those of the file and of all frames so far.
    tombstones: Arc<TombstoneList>,
}

impl Replayer<'_> {
    /// Whether the checkpoint has what this frame says of a series.
    #[inline]
    fn is_covered(&self, series: SeriesRef) -> bool {
        self.covered.is_some_and(|(checkpoint, covered_to)| {
            self.end <= covered_to && self.end <= checkpoint.covers(series)
        })
    }

    /// The series that the log means by `series`.
    #[inline]
    fn known(&self, series: SeriesRef) -> Result<SeriesRef> {
        self.refs.get(series).ok_or_else(|| {
            Error::new(
                ErrorCode::Corruption,
                format!("the log has a sample of series {} before its definition", series.0),
            )
        })
    }

    /// The thread of a series.
    #[inline]
    fn appender(&mut self, series: SeriesRef) -> &mut Appender {
        let threads = self.appenders.len();
        &mut self.appenders[series.shard() % threads]
    }

    fn end_frame(&mut self) {
        let deletes = std::mem::take(&mut self.deletes);
        if !deletes.is_empty() && !self.tombstones.has(self.end) {
            self.tombstones = Arc::new(self.tombstones.with(self.end, &deletes));
        }
    }

    /// Hands over what is left, and returns the tombstones of file and log.
    fn finish(mut self, saved: &TombstoneList) -> Result<Arc<TombstoneList>> {
        // Under a policy that acknowledges before the sync the log may have lost a delete whose
        // file is durable. What is left of the log was all written before it.
        let last = self.end;
        for placed in saved.iter().filter(|placed| placed.position > last) {
            self.end = placed.position;
            self.delete(&placed.tombstone)?;
        }
        self.hand_over();
        Ok(self.tombstones)
    }

    /// Gives the threads what waits for them.
    fn hand_over(&mut self) {
        self.appenders.iter_mut().for_each(Appender::flush);
        // The receiver ends only after all senders.
        let _ = self.index.send(Indexing::Series(std::mem::take(&mut self.unindexed)));
    }

    /// Waits until the head and its index have all that was read so far.
    fn settle(&mut self) {
        self.hand_over();
        let (tell, done) = bounded::<()>(0);
        let _ = self.index.send(Indexing::Done(tell.clone()));
        for appender in &self.appenders {
            let _ = appender.send.send(Batch::Done(tell.clone()));
        }
        drop(tell);
        // Nothing is ever sent: this ends when the last thread has dropped its sender.
        let _ = done.recv();
    }

    /// Deletes what was written before position `end`. What the checkpoint has of later ones, it
    /// has without what this deletes.
    fn delete(&mut self, tombstone: &Tombstone) -> Result<()> {
        self.settle();
        let mut spared = RoaringBitmap::new();
        if self.covered.is_some_and(|(_, covered_to)| self.end <= covered_to) {
            for (logged, now) in self.refs.iter() {
                if self.is_covered(logged) {
                    spared.insert(now.0);
                }
            }
        }
        self.head.delete(tombstone, &spared)
    }
}

/// Work of the thread that builds the index.
pub(super) enum Indexing {
    Series(Vec<Unindexed>),
    /// Dropped when all before it is in the index.
    Done(Sender<()>),
}

impl RecordVisitor for Replayer<'_> {
    fn series(&mut self, series: SeriesRef, tenant: TenantId, canonical: &[u8]) -> Result<()> {
        if self.is_covered(series) {
            return Ok(());
        }
        let labels = Labels::from_canonical(canonical)?;
        let (restored, new) = self.head.restore_series(tenant, labels)?;
        self.refs.set(series, restored);
        self.unindexed.extend(new);
        if self.unindexed.len() >= BATCH_SERIES {
            let batch = std::mem::take(&mut self.unindexed);
            let _ = self.index.send(Indexing::Series(batch));
        }
        Ok(())
    }

    #[inline]
    fn sample(&mut self, series: SeriesRef, at: Times, v: f64) -> Result<()> {
        if self.is_covered(series) {
            return Ok(());
        }
        let series = self.known(series)?;
        self.appender(series).float(Addressed { series, t: at.t, v }, at.start);
        Ok(())
    }

    fn histogram(&mut self, series: SeriesRef, at: Times, h: Histogram) -> Result<()> {
        if self.is_covered(series) {
            return Ok(());
        }
        let series = self.known(series)?;
        let h = Arc::new(h);
        self.appender(series).histogram(histograms::Addressed { series, at, h });
        Ok(())
    }

    fn tombstone(&mut self, encoded: &[u8]) -> Result<()> {
        let tombstone = Tombstone::decode(encoded)?;
        self.delete(&tombstone)?;
        self.deletes.push(Arc::new(tombstone));
        Ok(())
    }

    fn exemplar(&mut self, exemplar: ExemplarRecord<'_>) -> Result<()> {
        self.head.exemplars().restore(&exemplar)
    }

    fn metadata(&mut self, metadata: MetadataRecord<'_>) -> Result<()> {
        self.head.metadata().restore(&metadata)
    }
}
