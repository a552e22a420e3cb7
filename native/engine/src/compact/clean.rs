//! Writes one block anew without what is deleted in it, so that its space comes back.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use ulid::Ulid;

use crate::block::meta::{Compaction, MetaSeed};
use crate::block::{Block, BlockWriter};
use crate::dictionary::Dictionary;
use crate::disk::{Disk, require_room};
use crate::error::Result;
use crate::label_order::{LabelIds, sort_order};
use crate::labels::Labels;
use crate::refs::Position;
use crate::sample::{TimeRange, TimestampMs};
use crate::source::{Columns, Scope, SelectRequest, SeriesSource};
use crate::sync::Arc;

/// What is to be written anew, and where to.
pub struct Clean {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory of all blocks.
    pub blocks_dir: PathBuf,
    /// The block.
    pub block: Arc<Block>,
    /// The block as readers see it: what is deleted in it is left out.
    pub source: Arc<dyn SeriesSource>,
    /// The newest tombstone that `source` knows.
    pub applied: Position,
    /// Milliseconds since the epoch, for the name of the new block.
    pub now_ms: TimestampMs,
}

impl Clean {
    /// Writes and publishes the block that replaces the old one, which it names as its source;
    /// `None` when nothing of it is left. The old one is the caller's to remove.
    ///
    /// # Errors
    /// `disk_full` before anything is written when there is no room for another block of that size;
    /// `corruption`, `io`.
    pub fn run(&self) -> Result<Option<Arc<Block>>> {
        require_room(&*self.disk, &self.blocks_dir, self.block.bytes())?;
        let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(self.now_ms).unwrap_or(0));
        let name = Ulid::from_datetime(now);
        let mut writer = BlockWriter::create(self.disk.clone(), &self.blocks_dir, name)?
            .without_tombstones_to(self.applied);
        self.copy(&mut writer)?;
        if writer.counts().samples == 0 {
            writer.abandon()?;
            return Ok(None);
        }
        let old = self.block.meta();
        let finished = writer.finish(MetaSeed {
            tenant: old.tenant,
            window: old.window,
            log: old.log.clone(),
            flush: old.flush,
            compaction: Compaction { level: old.compaction.level, sources: vec![old.ulid] },
        })?;
        let published = finished.publish()?;
        Block::open(self.disk.clone(), &self.blocks_dir.join(published.to_string())).map(Some)
    }

    fn copy(&self, writer: &mut BlockWriter) -> Result<()> {
        let request = SelectRequest {
            scope: Scope { tenant: self.block.meta().tenant, matchers: Vec::new() },
            matchers: Vec::new(),
            range: TimeRange::ALL,
        };
        let mut selection = self.source.clone().select(&request)?;
        let mut dictionary = Dictionary::default();
        let (mut ids, mut offsets) = (Vec::new(), vec![0u32]);
        for i in 0..selection.len() {
            selection.labels(i, &mut dictionary, &mut ids)?;
            offsets.push(ids.len() as u32);
        }
        let mut columns = Columns::default();
        for i in sort_order(&dictionary, LabelIds { ids: &ids, offsets: &offsets }) {
            let span = offsets[i as usize] as usize..offsets[i as usize + 1] as usize;
            let pairs = ids[span].chunks_exact(2);
            let labels =
                Labels::from_pairs(pairs.map(|p| (dictionary.text(p[0]), dictionary.text(p[1]))))?;
            columns.clear();
            selection.read(&[i], TimeRange::ALL, &mut columns)?;
            writer.add_series(&labels, &columns.timestamps, &columns.values)?;
        }
        Ok(())
    }
}
