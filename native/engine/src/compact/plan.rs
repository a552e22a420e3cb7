//! Pure: times to the windows that samples are flushed into, and descriptions of blocks to what is
//! merged next.
//!
//! The widths of windows are a ladder: the block range times a power of four, at most 31 days and
//! a tenth of retention. A window is *settled* once the newest sample is a block range past its
//! end: what is written to it then is late. Late samples are flushed into the widest settled window
//! around them at once, so that a year of backfill makes tens of blocks and not thousands;
//! compaction brings what was flushed earlier, and narrower, into the same windows. Not before they
//! are settled, even when all that may be done is asked for: what is asked most is the newest, and
//! of a narrow block less is read.
//!
//! Blocks of one tenant whose widest settled window is the same form a group. Groups share no
//! instant, so the blocks of a group that are neighbours in the order of their writes can be merged
//! without regard to others, and the last write still wins. Widths that changed with the
//! configuration do not nest; a job that would then reorder two writes is not planned.
//!
//! A flush writes Gorilla chunks, a merge the denser cold ones. So that a block with nothing to be
//! merged with becomes dense too, it is rewritten alone, once, when its window is as wide as
//! windows get and settled; when all that may be done is asked for, every block is.

use std::collections::BTreeMap;

use ulid::Ulid;

use crate::block::meta::Meta;
use crate::refs::TenantId;
use crate::sample::{TimestampMs, Window};

/// How much wider the windows of a step of the ladder are than those of the step below.
const LEVEL_FACTOR: i64 = 4;
/// The widest window, 31 days: a block is dropped whole, so what it holds beyond retention stays.
const WIDTH_MS_MAX: i64 = 31 * 24 * 3_600_000;
/// The widest window as a part of retention: a tenth, so that dropping whole blocks keeps at most
/// that much too long.
const RETENTION_PARTS: i64 = 10;
/// Most blocks of a job. Each costs its open files and 4 bytes for each of its label pairs.
pub const INPUTS_MAX: usize = 32;
/// Fewest blocks of one window that are worth rewriting: with four of a size a sample is rewritten
/// once for every fourfold growth of its window, and a window keeps at most three of each size.
const INPUTS_MIN: usize = 4;

/// The widths of windows, ascending; never empty.
fn ladder(block_range_ms: i64, retention_ms: i64) -> impl Iterator<Item = i64> {
    let widest = (retention_ms / RETENTION_PARTS).min(WIDTH_MS_MAX);
    std::iter::successors(Some(block_range_ms.max(1)), move |width| {
        width.checked_mul(LEVEL_FACTOR).filter(|wider| *wider <= widest)
    })
}

/// Whether a window ends a block range before `newest`, or earlier.
fn is_settled(window: Window, newest: TimestampMs, block_range_ms: i64) -> bool {
    window.end <= newest.saturating_sub(block_range_ms)
}

/// The window that a sample at `t` is flushed into when the newest sample is at `newest`: the
/// widest settled one around `t`; recent samples get one of `block_range_ms`.
///
/// Law: for one `newest`, two windows are equal or share no instant. For the windows of all widths
/// nest, and which one is taken depends on nothing but the window and `newest`. (At the ends of
/// `i64`, windows are cut off; `i64::MAX` itself lies in none.)
pub fn flush_window(
    t: TimestampMs,
    newest: TimestampMs,
    block_range_ms: i64,
    retention_ms: i64,
) -> Window {
    let mut chosen = Window::aligned(t, block_range_ms.max(1));
    for width in ladder(block_range_ms, retention_ms).skip(1) {
        let window = Window::aligned(t, width);
        if is_settled(window, newest, block_range_ms) {
            chosen = window;
        }
    }
    chosen
}

/// How much is merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// What pays: a sample is rewritten when its window widens, and then once for every fourfold
    /// growth of what the window holds.
    Thrifty,
    /// Whatever may be merged.
    Full,
}

/// What planning goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Width of a block of recent data.
    pub block_range_ms: i64,
    /// Retention.
    pub retention_ms: i64,
    /// The newest sample of the store.
    pub newest: TimestampMs,
    /// How much is merged.
    pub urgency: Urgency,
    /// Most bytes of the blocks of one job, and so of disk that it takes meanwhile.
    pub max_bytes: u64,
}

/// Blocks to rewrite as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Whose they are.
    pub tenant: TenantId,
    /// The window of the block that they become.
    pub window: Window,
    /// The blocks, oldest write first; a single one when it is only to become dense.
    pub sources: Vec<Ulid>,
    /// Bytes of their files.
    pub bytes: u64,
}

/// What to rewrite next: the job that costs least for each block that it makes superfluous, then
/// the oldest block that is to become dense alone, or `None` when nothing is left to do. Doing what
/// it says, again and again, comes to an end, as every job leaves fewer blocks or fewer flushed
/// ones.
pub fn next_job(metas: &[&Meta], rules: &Rules) -> Option<Job> {
    let mut groups: BTreeMap<_, Vec<&Meta>> = BTreeMap::new();
    for meta in metas {
        let key = (meta.tenant, &meta.log.source, rules.window(meta.window));
        groups.entry(key).or_default().push(meta);
    }
    let mut best: Option<(Run<'_>, Window)> = None;
    let mut lone: Option<(Run<'_>, Window)> = None;
    for ((_, _, window), mut group) in groups {
        group.sort_by_key(|meta| meta.write_order());
        if lone.is_none() {
            lone = rules.lone_run(window, &group, metas).map(|run| (run, window));
        }
        let run = rules.best_run(window, &group, metas);
        if let Some(run) = run
            && best.as_ref().is_none_or(|(known, _)| run.costs_less_than(known))
        {
            best = Some((run, window));
        }
    }
    let (run, window) = best.or(lone)?;
    let tenant = run.blocks.first()?.tenant;
    let sources = run.blocks.iter().map(|meta| meta.ulid).collect();
    Some(Job { tenant, window, sources, bytes: run.bytes })
}

/// Neighbours of a group.
struct Run<'a> {
    blocks: Vec<&'a Meta>,
    bytes: u64,
}

impl Run<'_> {
    /// Whether it rewrites fewer bytes for each block that goes.
    fn costs_less_than(&self, other: &Self) -> bool {
        let gone = |run: &Self| run.blocks.len() as u128 - 1;
        u128::from(self.bytes) * gone(other) < u128::from(other.bytes) * gone(self)
    }
}

impl Rules {
    fn is_settled(&self, window: Window) -> bool {
        is_settled(window, self.newest, self.block_range_ms)
    }

    /// The window that a block with this window belongs into now: the widest settled one around it,
    /// or one of the block range, or its own.
    fn window(&self, own: Window) -> Window {
        let mut chosen = own;
        for (step, width) in ladder(self.block_range_ms, self.retention_ms).enumerate() {
            let window = Window::aligned(own.start, width);
            let fits = window.start <= own.start && own.end <= window.end;
            if fits && (step == 0 || self.is_settled(window)) {
                chosen = window;
            }
        }
        chosen
    }

    /// The run of `group`, which is in the order of writes, that is merged into `window` first.
    fn best_run<'a>(&self, window: Window, group: &[&'a Meta], all: &[&Meta]) -> Option<Run<'a>> {
        // A block that is narrower than its group's window comes from before it was settled: that
        // happens once, so everything is merged then.
        let widens = group.iter().any(|meta| meta.window != window);
        let greedy = widens || self.urgency == Urgency::Full;
        let whole =
            Run { blocks: group.to_vec(), bytes: group.iter().map(|m| m.file_bytes()).sum() };
        let fits = (2..=INPUTS_MAX).contains(&group.len()) && whole.bytes <= self.max_bytes;
        if greedy && fits && keeps_order(group, window, all) {
            return Some(whole);
        }
        let mut best: Option<Run<'a>> = None;
        for start in 0..group.len() {
            let (mut bytes, mut largest) = (0u64, 0);
            for (at, meta) in group.iter().enumerate().skip(start).take(INPUTS_MAX) {
                bytes = bytes.saturating_add(meta.file_bytes());
                largest = largest.max(meta.file_bytes());
                if bytes > self.max_bytes {
                    break;
                }
                let inputs = at + 1 - start;
                let pays = inputs >= INPUTS_MIN && largest <= bytes - largest;
                if inputs < 2 || !(greedy || pays) {
                    continue;
                }
                let run = Run { blocks: group[start..=at].to_vec(), bytes };
                let is_better = best.as_ref().is_none_or(|known| run.costs_less_than(known));
                if is_better && keeps_order(&run.blocks, window, all) {
                    best = Some(run);
                }
            }
        }
        best
    }

    /// A block of `group` that is rewritten into `window` by itself, so that it becomes dense.
    fn lone_run<'a>(&self, window: Window, group: &[&'a Meta], all: &[&Meta]) -> Option<Run<'a>> {
        let widest = ladder(self.block_range_ms, self.retention_ms).last()?;
        let width = window.end.saturating_sub(window.start);
        let is_final = width >= widest && self.is_settled(window);
        if self.urgency != Urgency::Full && !(is_final && group.len() == 1) {
            return None;
        }
        let runs = group
            .iter()
            .filter(|meta| meta.is_flushed())
            .map(|meta| Run { blocks: vec![*meta], bytes: meta.file_bytes() });
        runs.into_iter()
            .find(|run| run.bytes <= self.max_bytes && keeps_order(&run.blocks, window, all))
    }
}

/// Whether merging `run` into one block of `window` leaves the order of every two writes of one
/// sample as it is.
fn keeps_order(run: &[&Meta], window: Window, all: &[&Meta]) -> bool {
    let Some(last) = run.last() else { return true };
    let merged = (last.log.to, window.start);
    let others = all.iter().filter(|other| {
        other.tenant == last.tenant && run.iter().all(|source| source.ulid != other.ulid)
    });
    others.into_iter().all(|other| {
        run.iter().filter(|source| source.range().overlaps(&other.range())).all(|source| {
            let was_after = other.write_order() > source.write_order();
            was_after == (other.write_order() > merged)
        })
    })
}

#[cfg(test)]
mod tests;
