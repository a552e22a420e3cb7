//! Pure: times to the windows that samples are flushed into.
//!
//! Compaction merges blocks of one width into blocks four times as wide once they are old enough.
//! A late sample goes at once into a window as wide as compaction would have made for its age, so
//! that a year of backfill makes tens of blocks and not thousands.

use crate::sample::{TimestampMs, Window};

/// How much wider the blocks of a level are than those of the level below.
const LEVEL_FACTOR: i64 = 4;
/// The widest window, 31 days: a block is dropped whole, so what it holds beyond retention stays.
const WIDTH_MS_MAX: i64 = 31 * 24 * 3_600_000;
/// The widest window as a part of retention: a tenth, so that dropping whole blocks keeps at most
/// that much too long.
const RETENTION_PARTS: i64 = 10;

/// The window that a sample at `t` is flushed into when the newest sample is at `newest`.
///
/// The widths are `block_range_ms` times a power of four, at most 31 days and a tenth of retention,
/// at least `block_range_ms`. The window is the widest one around `t` that lies wholly before
/// `newest` minus its width; recent samples get one of `block_range_ms`.
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
    let narrowest = block_range_ms.max(1);
    let widest = (retention_ms / RETENTION_PARTS).min(WIDTH_MS_MAX);
    let mut chosen = Window::aligned(t, narrowest);
    let mut width = narrowest;
    while let Some(wider) = width.checked_mul(LEVEL_FACTOR).filter(|wider| *wider <= widest) {
        let window = Window::aligned(t, wider);
        if window.end <= newest.saturating_sub(wider) {
            chosen = window;
        }
        width = wider;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    #[test]
    fn recent_samples_get_the_block_range() {
        let newest = 1_000 * DAY_MS + 5;
        for age in [0, 1, HOUR_MS, 8 * HOUR_MS] {
            let window = flush_window(newest - age, newest, 2 * HOUR_MS, 365 * DAY_MS);
            assert_eq!(window.end - window.start, 2 * HOUR_MS, "age {age}");
        }
        let ahead = flush_window(newest + DAY_MS, newest, 2 * HOUR_MS, 365 * DAY_MS);
        assert_eq!(ahead.end - ahead.start, 2 * HOUR_MS);
    }

    #[test]
    fn a_year_of_backfill_makes_tens_of_windows() {
        let newest = 20_000 * DAY_MS + 12_345;
        let windows: BTreeSet<Window> = (0..365 * 24)
            .map(|hour| flush_window(newest - hour * HOUR_MS, newest, 2 * HOUR_MS, 400 * DAY_MS))
            .collect();
        assert!((20..60).contains(&windows.len()), "{} windows", windows.len());
    }

    #[test]
    fn no_window_is_wider_than_a_tenth_of_retention_or_31_days() {
        let width = |retention_ms| {
            let window = flush_window(0, 10_000 * DAY_MS, 2 * HOUR_MS, retention_ms);
            window.end - window.start
        };
        assert_eq!(width(HOUR_MS), 2 * HOUR_MS);
        assert_eq!(width(15 * DAY_MS), 32 * HOUR_MS);
        assert_eq!(width(i64::MAX), 512 * HOUR_MS);
    }

    fn times() -> impl Strategy<Value = i64> {
        prop_oneof![
            -4 * DAY_MS..4 * DAY_MS,
            -(1i64 << 53)..1i64 << 53,
            i64::MIN..i64::MIN + DAY_MS,
            i64::MAX - DAY_MS..i64::MAX,
        ]
    }

    proptest! {
        #[test]
        fn windows_of_one_flush_never_overlap(
            a in times(),
            b in times(),
            gap in 0..40 * DAY_MS,
            newest in times(),
            block_range_ms in 1..DAY_MS,
            retention_ms in prop_oneof![0..1000 * DAY_MS, Just(i64::MAX)],
        ) {
            let near = a.saturating_sub(gap);
            let window = |t| flush_window(t, newest, block_range_ms, retention_ms);
            for (t, other) in [(a, b), (a, near), (b, newest)] {
                let (x, y) = (window(t), window(other));
                prop_assert!(x.start <= t && (t < x.end || t == i64::MAX), "{t} in {x:?}");
                prop_assert!(x == y || x.end <= y.start || y.end <= x.start, "{x:?} and {y:?}");
            }
        }
    }
}
