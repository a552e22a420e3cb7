//! Snapshots: data directories of hard links in the store's own.

use std::path::{Path, PathBuf};

use crate::block;
use crate::disk::Disk;
use crate::disk::publish::{self, publish_dir, publish_file, temp_path};
use crate::error::{Error, ErrorCode, Result};
use crate::recover::{Layout, create_durably};
use crate::sample::TimestampMs;
use crate::store::Store;
use crate::sync::Arc;

/// The directory of snapshots in a data directory.
pub const SNAPSHOTS_DIR: &str = "snapshots";
/// How often a snapshot begins anew because a block went while it was linked; retention and
/// compaction take blocks minutes apart.
const SNAPSHOT_ATTEMPTS: usize = 8;

/// The name of a snapshot, as Prometheus gives it: the time, and something that no other has.
pub fn snapshot_name(now_ms: TimestampMs, random: u64) -> String {
    let (days, ms) = (now_ms.div_euclid(86_400_000), now_ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{random:016x}")
}

/// The date of a day since the epoch in the proleptic Gregorian calendar. Years begin in March
/// here, so that the leap day is the last one, and repeat after 400.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    /// Days from the first of March in the year 0 to the epoch.
    const EPOCH: i64 = 719_468;
    let shifted = days + EPOCH;
    let era = shifted.div_euclid(DAYS_OF_400_YEARS);
    let day_of_era = shifted.rem_euclid(DAYS_OF_400_YEARS);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Links the published blocks of the store as of one instant into `snapshots/<name>`, which appears
/// whole and durable, and returns its directory. Samples that are in the head alone are not in it;
/// exemplars and metadata are.
///
/// # Errors
/// Those of the disk; `overloaded` when blocks kept going while they were linked.
pub fn snapshot(store: &Store, name: &str) -> Result<PathBuf> {
    let disk = &*store.disk;
    let snapshots = store.layout.root.join(SNAPSHOTS_DIR);
    create_durably(disk, &snapshots)?;
    let dir = snapshots.join(name);
    let temp = temp_path(&dir);
    for _ in 0..SNAPSHOT_ATTEMPTS {
        let view = store.view.load_full();
        let linked = link_blocks(disk, &view.blocks, &temp).and_then(|()| {
            let layout = Layout::new(&temp);
            // With it the identity: this is the same store.
            publish_file(disk, &layout.format_file(), &disk.read(&store.layout.format_file())?)?;
            if !view.tombstones.is_empty() {
                view.tombstones.publish(disk, &layout.blocks)?;
            }
            layout.saved.save(disk, &store.head)?;
            publish_dir(disk, &temp, &dir)
        });
        match linked {
            Ok(()) => return Ok(dir),
            Err(error) => {
                // A sweep at the next start removes what cannot be removed now.
                let _ = disk.remove_dir(&temp);
                if error.code() != ErrorCode::NotFound {
                    return Err(error);
                }
            }
        }
    }
    Err(Error::new(ErrorCode::Overloaded, "blocks kept going while a snapshot linked them"))
}

fn link_blocks(disk: &dyn Disk, blocks: &[Arc<block::Block>], to: &Path) -> Result<()> {
    let blocks_dir = Layout::new(to).blocks;
    disk.create_dir(&blocks_dir)?;
    for block in blocks {
        let dir = blocks_dir.join(block.meta().ulid.to_string());
        disk.create_dir(&dir)?;
        for entry in disk.list(block.dir())? {
            disk.hard_link(&block.dir().join(&entry.name), &dir.join(&entry.name))?;
        }
    }
    Ok(())
}

/// Removes what crashes left of snapshots that were being made.
///
/// # Errors
/// Those of the disk.
pub fn sweep_snapshots(disk: &dyn Disk, layout: &Layout) -> Result<()> {
    let snapshots = layout.root.join(SNAPSHOTS_DIR);
    if disk.exists(&snapshots) {
        publish::sweep(disk, &snapshots)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_its_time() {
        assert_eq!(snapshot_name(0, 1), "19700101T000000Z-0000000000000001");
        assert_eq!(snapshot_name(951_827_696_789, 255), "20000229T123456Z-00000000000000ff");
        assert_eq!(snapshot_name(-1, 0), "19691231T235959Z-0000000000000000");
    }

    #[test]
    fn days_have_their_dates() {
        for (days, want) in [
            (0, (1970, 1, 1)),
            (-1, (1969, 12, 31)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (19_782, (2024, 2, 29)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(civil(days), want, "day {days}");
        }
    }
}
