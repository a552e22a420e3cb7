//! Pure: descriptions of blocks, a horizon and sizes to the blocks that go.

use ulid::Ulid;

use crate::block::meta::Meta;
use crate::error::Result;
use crate::retention::Horizon;

/// Whether block `.0` (as an index) has series of class `.1`: a look into its index.
pub trait Holds: FnMut(usize, usize) -> Result<bool> {}
impl<F: FnMut(usize, usize) -> Result<bool>> Holds for F {}

/// The blocks of which everything has expired, in the order of `metas`.
///
/// A block goes once its last sample is older than retention allows for each class of series that
/// it has. So a rule that keeps some series longer keeps their blocks alive; one that keeps them
/// shorter removes a block early only when it has no others.
///
/// # Errors
/// Those of `holds`.
pub fn expired(metas: &[&Meta], horizon: &Horizon, mut holds: impl Holds) -> Result<Vec<Ulid>> {
    let mut gone = Vec::new();
    for (block, meta) in metas.iter().enumerate() {
        let mut alive = meta.maxt >= horizon.latest_cutoff();
        if !alive && meta.maxt >= horizon.earliest_cutoff() {
            for class in (0..horizon.policy().classes()).filter(|c| !is_over(meta, horizon, *c)) {
                alive = alive || holds(block, class)?;
            }
        }
        if !alive {
            gone.push(meta.ulid);
        }
    }
    Ok(gone)
}

/// The first block that lives on while all that it has of some class has expired, as an index:
/// writing it anew brings space back, and it is not found for that class again.
///
/// # Errors
/// Those of `holds`.
pub fn to_rewrite(
    metas: &[&Meta],
    horizon: &Horizon,
    mut holds: impl Holds,
) -> Result<Option<usize>> {
    for (block, meta) in metas.iter().enumerate() {
        for class in (0..horizon.policy().classes()).filter(|c| is_over(meta, horizon, *c)) {
            if holds(block, class)? {
                return Ok(Some(block));
            }
        }
    }
    Ok(None)
}

fn is_over(meta: &Meta, horizon: &Horizon, class: usize) -> bool {
    horizon.cutoff(class) > meta.maxt
}

/// The blocks that must go so that blocks of these sizes and what is `beside` them (log, checkpoint
/// and chunk files of the head, as Prometheus counts) are at most `limit` bytes, the one with the
/// oldest last sample first. The blocks of the newest window stay, whatever the limit, and so does
/// what is beside them: a limit that these alone exceed is exceeded.
pub fn oversized(blocks: &[(&Meta, u64)], beside: u64, limit: u64) -> Vec<Ulid> {
    let newest = blocks.iter().map(|(meta, _)| meta.window.end).max();
    let mut total = blocks.iter().fold(beside, |sum, (_, bytes)| sum.saturating_add(*bytes));
    let mut oldest_first: Vec<&(&Meta, u64)> =
        blocks.iter().filter(|(meta, _)| Some(meta.window.end) != newest).collect();
    oldest_first.sort_by_key(|(meta, _)| (meta.maxt, meta.log.to));
    let mut gone = Vec::new();
    for (meta, bytes) in oldest_first {
        if total <= limit {
            break;
        }
        total = total.saturating_sub(*bytes);
        gone.push(meta.ulid);
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::meta::{Compaction, Counts, FlushPart, LogRange};
    use crate::options::{MatcherOptions, RetentionOptions, RuleOptions};
    use crate::refs::{Position, TenantId};
    use crate::retention::RetentionPolicy;
    use crate::sample::{TimestampMs, Window};
    use crate::sync::Arc;

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
            tombstones_applied: Position(0),
            files: Vec::new(),
        }
    }

    /// The default, and two rules: 50 ms for class 0, 2000 ms for class 1.
    fn horizon(keep_ms: i64, rules: &[i64], reference: TimestampMs) -> Horizon {
        let rule = |keep_ms: &i64| RuleOptions {
            matchers: vec![MatcherOptions {
                name: "a".to_owned(),
                op: "=".to_owned(),
                value: keep_ms.to_string(),
            }],
            keep_ms: *keep_ms,
        };
        let options = RetentionOptions { size_bytes: 0, rules: rules.iter().map(rule).collect() };
        Horizon::new(Arc::new(RetentionPolicy::new(keep_ms, &options).unwrap()), reference)
    }

    fn never(_: usize, _: usize) -> Result<bool> {
        panic!("no look into a block is needed")
    }

    #[test]
    fn a_block_goes_once_all_of_it_is_too_old() {
        let blocks = [meta(1, 0, 99), meta(2, 50, 100), meta(3, 900, 1100)];
        let metas: Vec<&Meta> = blocks.iter().collect();
        let gone =
            |reference, keep| expired(&metas, &horizon(keep, &[], reference), never).unwrap();
        assert_eq!(gone(1100, 1000), [Ulid(1)]);
        assert_eq!(gone(1099, 1000), []);
        assert_eq!(gone(1100, 100), [Ulid(1), Ulid(2)]);
        assert_eq!(gone(i64::MIN, 10), []);
    }

    #[test]
    fn a_longer_rule_keeps_the_blocks_that_have_its_series() {
        let blocks = [meta(1, 0, 99), meta(2, 0, 99), meta(3, 0, 1500)];
        let metas: Vec<&Meta> = blocks.iter().collect();
        let holds = |block, class| Ok(class == 2 || (block == 1 && class == 1));
        let gone = |reference| expired(&metas, &horizon(1000, &[50, 2000], reference), holds);
        assert_eq!(gone(1099).unwrap(), [], "the default keeps what is there");
        assert_eq!(gone(1100).unwrap(), [Ulid(1)], "block 2 has series of the longer rule");
        assert_eq!(gone(2100).unwrap(), [Ulid(1), Ulid(2)], "nothing keeps it any more");
    }

    #[test]
    fn a_shorter_rule_removes_a_block_early_only_when_it_has_no_others() {
        let blocks = [meta(1, 0, 99), meta(2, 0, 99)];
        let metas: Vec<&Meta> = blocks.iter().collect();
        let holds = |block, class| Ok(class == 0 || block == 1);
        let gone = expired(&metas, &horizon(1000, &[50], 200), holds).unwrap();
        assert_eq!(gone, [Ulid(1)]);
    }

    #[test]
    fn a_block_with_a_class_that_is_over_is_written_anew_once() {
        let blocks = [meta(1, 0, 140), meta(2, 0, 99)];
        let metas: Vec<&Meta> = blocks.iter().collect();
        let horizon = horizon(1000, &[50], 180);
        let found = to_rewrite(&metas, &horizon, |_, class| Ok(class == 0)).unwrap();
        assert_eq!(found, Some(1), "block 1 still has time that the rule keeps");
        assert_eq!(to_rewrite(&metas, &horizon, |_, class| Ok(class == 1)).unwrap(), None);
    }

    #[test]
    fn the_oldest_blocks_go_until_the_rest_fits() {
        let blocks = [meta(1, 0, 99), meta(2, 50, 150), meta(3, 100, 199), meta(4, 150, 199)];
        let sizes: Vec<(&Meta, u64)> = blocks.iter().map(|meta| (meta, 10)).collect();
        assert_eq!(oversized(&sizes, 5, 45), []);
        assert_eq!(oversized(&sizes, 5, 44), [Ulid(1)]);
        assert_eq!(oversized(&sizes, 5, 25), [Ulid(1), Ulid(2)]);
        assert_eq!(oversized(&sizes, 500, 25), [Ulid(1), Ulid(2)], "the newest window stays");
        assert_eq!(oversized(&[], 500, 25), []);
    }
}
