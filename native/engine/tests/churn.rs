//! Series that come and go: what the head holds follows the series that are active, not those that
//! ever were. The clock is moved by hand; flushes, checkpoints and merges happen where the
//! background would have them, and are waited for.
//!
//! Memory is what this program has allocated and not freed, files that are mapped apart.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

#[path = "support/allocated.rs"]
mod allocated;
#[path = "support/churn.rs"]
mod churn;
mod support;

use allocated::allocated;
use churn::Churn;
use metricstor_engine::sync::Mutex;

/// The allocator counts for the whole program.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn a_day_in_which_a_tenth_of_the_series_is_replaced_each_hour_leaves_memory_as_it_was() {
    let _alone = ALONE.lock();
    let mut churn = Churn::new(4_000);
    churn.hours(4, 2);
    let (begun, head) = (allocated(), churn.head_bytes());
    let mut most = 0;
    for _ in 0..10 {
        churn.hours(2, 2);
        assert_eq!(churn.series(), 4_000, "those that ended are gone");
        most = most.max(allocated());
    }
    assert!(churn.created() > 12_000, "{} series were there", churn.created());
    assert!(most < begun + begun / 10, "{begun} bytes after four hours, later up to {most}");
    assert!(churn.head_bytes() < head + head / 10, "{head}, then {}", churn.head_bytes());
}

#[test]
fn memory_comes_back_when_most_series_end() {
    let _alone = ALONE.lock();
    let mut churn = Churn::new(20_000);
    let empty = allocated();
    churn.hours(2, 4);
    let full = allocated() - empty;
    churn.shrink_to(1_000);
    churn.hours(2, 4);
    assert_eq!(churn.series(), 1_000);
    let left = allocated().saturating_sub(empty);
    // The engine's threads and buffers take a half of what is left.
    assert!(left < full / 3, "{full} bytes for 20,000 series, {left} for 1,000");
}
