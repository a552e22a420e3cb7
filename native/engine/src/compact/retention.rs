//! Pure: descriptions of blocks and the clock to the blocks that have expired.

use ulid::Ulid;

use crate::block::meta::Meta;
use crate::sample::TimestampMs;

/// The blocks whose last sample is older than retention allows, in the order of `metas`.
///
/// Retention counts from the earlier of `now_ms` and the newest sample of all blocks: a clock that
/// runs ahead deletes nothing, nor do samples from a sender whose clock does.
pub fn expired(metas: &[&Meta], now_ms: TimestampMs, retention_ms: i64) -> Vec<Ulid> {
    let Some(newest) = metas.iter().map(|meta| meta.maxt).max() else { return Vec::new() };
    let oldest = newest.min(now_ms).saturating_sub(retention_ms);
    metas.iter().filter(|meta| meta.maxt < oldest).map(|meta| meta.ulid).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::meta::{Compaction, Counts, FlushPart, LogRange};
    use crate::refs::{Position, TenantId};
    use crate::sample::Window;

    fn meta(number: u128, mint: TimestampMs, maxt: TimestampMs) -> Meta {
        Meta {
            version: 1,
            ulid: Ulid(number),
            tenant: TenantId(0),
            mint,
            maxt,
            window: Window { start: mint, end: maxt.saturating_add(1) },
            counts: Counts::default(),
            log: LogRange { source: String::new(), from: Position(0), to: Position(0) },
            flush: FlushPart { part: 0, parts: 1 },
            compaction: Compaction { level: 1, sources: Vec::new() },
            files: Vec::new(),
        }
    }

    #[test]
    fn a_block_goes_once_all_of_it_is_too_old() {
        let blocks = [meta(1, 0, 99), meta(2, 50, 100), meta(3, 900, 1100)];
        let metas: Vec<&Meta> = blocks.iter().collect();
        assert_eq!(expired(&metas, 1100, 1000), [Ulid(1)]);
        assert_eq!(expired(&metas, 1099, 1000), []);
        assert_eq!(expired(&metas, 1100, 100), [Ulid(1), Ulid(2)]);
        assert_eq!(expired(&[], 1100, 100), []);
    }

    #[test]
    fn a_wrong_clock_deletes_nothing() {
        let blocks = [meta(1, 0, 99), meta(2, 900, 1100)];
        let metas: Vec<&Meta> = blocks.iter().collect();
        assert_eq!(expired(&metas, i64::MAX, 1001), [], "clock ahead");
        assert_eq!(expired(&metas, i64::MIN, 10), [], "clock behind");
        let ahead = [meta(1, 0, 99), meta(2, 900, i64::MAX)];
        let metas: Vec<&Meta> = ahead.iter().collect();
        assert_eq!(expired(&metas, 500, 1000), [], "a sender's clock ahead");
    }
}
