//! Time, samples and the stale marker.
//!
//! Time is integer milliseconds since the epoch, UTC. Ranges are inclusive at both ends
//! ([`TimeRange`]) or half-open ([`Window`]); only this file adds or subtracts the one millisecond
//! between the two.

/// Milliseconds since the epoch, UTC.
pub type TimestampMs = i64;

/// The largest magnitude of a timestamp that the API accepts: the integers that an `f64` holds
/// exactly, because JavaScript sees timestamps as numbers.
pub const TIMESTAMP_LIMIT: TimestampMs = 1 << 53;

/// The bits of the stale marker: "this series ended here".
///
/// Source: Prometheus 3.14, `model/value/value.go`, `StaleNaN`.
pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

/// Whether `value` is the stale marker. Compares bits: every other NaN is an ordinary value.
#[inline]
pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_BITS
}

/// What a sample has for a start timestamp that does not say one: 0, as in Prometheus.
pub const NO_START: TimestampMs = 0;

/// The times of a sample. A time alone says no start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it is.
    pub t: TimestampMs,
    /// When what it counts began to be counted, or [`NO_START`].
    pub start: TimestampMs,
}

impl From<TimestampMs> for Times {
    #[inline]
    fn from(t: TimestampMs) -> Self {
        Self { t, start: NO_START }
    }
}

/// One float sample.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When.
    pub t: TimestampMs,
    /// What; any IEEE-754 value, kept by its bits.
    pub v: f64,
}

/// Two samples are equal when time and value *bits* are: NaN equals the same NaN, 0 is not -0.
impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.t == other.t && self.v.to_bits() == other.v.to_bits()
    }
}

/// A range of time, inclusive at both ends. Empty when `mint > maxt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first millisecond.
    pub mint: TimestampMs,
    /// The last millisecond.
    pub maxt: TimestampMs,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self { mint: i64::MIN, maxt: i64::MAX };
    /// No time at all; the neutral element of [`TimeRange::include`].
    pub const EMPTY: Self = Self { mint: i64::MAX, maxt: i64::MIN };

    /// `[mint, maxt]`.
    pub const fn new(mint: TimestampMs, maxt: TimestampMs) -> Self {
        Self { mint, maxt }
    }

    /// Whether no instant is inside.
    pub const fn is_empty(&self) -> bool {
        self.mint > self.maxt
    }

    /// Whether `t` is inside.
    pub const fn contains(&self, t: TimestampMs) -> bool {
        self.mint <= t && t <= self.maxt
    }

    /// Whether the two ranges share an instant.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.mint <= other.maxt && other.mint <= self.maxt
    }

    /// Widens the range so that it contains `t`.
    pub fn include(&mut self, t: TimestampMs) {
        self.mint = self.mint.min(t);
        self.maxt = self.maxt.max(t);
    }

    /// Widens the range so that it contains `other`.
    pub fn include_range(&mut self, other: &Self) {
        self.mint = self.mint.min(other.mint);
        self.maxt = self.maxt.max(other.maxt);
    }

    /// The same instants as a half-open window; at the end of `i64` the last one is left out.
    #[must_use]
    pub const fn window(&self) -> Window {
        Window { start: self.mint, end: self.maxt.saturating_add(1) }
    }

    /// What both ranges contain; may be empty.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self { mint: self.mint.max(other.mint), maxt: self.maxt.min(other.maxt) }
    }
}

impl TimeRange {
    /// The part that lies before `t`; may be empty.
    #[must_use]
    pub fn before(&self, t: TimestampMs) -> Self {
        match t.checked_sub(1) {
            Some(last) => Self { mint: self.mint, maxt: self.maxt.min(last) },
            None => Self::EMPTY,
        }
    }

    /// What `self` contains and `other` does not: before it, and after it.
    #[must_use]
    pub fn without(&self, other: &Self) -> [Option<Self>; 2] {
        if !self.overlaps(other) || other.is_empty() {
            return [Some(*self), None].map(|piece| piece.filter(|piece| !piece.is_empty()));
        }
        let before = (self.mint < other.mint).then(|| Self::new(self.mint, other.mint - 1));
        let after = (other.maxt < self.maxt).then(|| Self::new(other.maxt + 1, self.maxt));
        [before, after]
    }

    /// What no range of `others` contains, ascending and apart.
    #[must_use]
    pub fn without_all(&self, others: impl Iterator<Item = Self>) -> Vec<Self> {
        let mut left: Vec<Self> = if self.is_empty() { Vec::new() } else { vec![*self] };
        for other in others {
            left = left.iter().flat_map(|piece| piece.without(&other)).flatten().collect();
        }
        left
    }
}

/// A half-open window of time `[start, end)`, as blocks are aligned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// The first millisecond inside.
    pub start: TimestampMs,
    /// The first millisecond after.
    pub end: TimestampMs,
}

impl Window {
    /// The window of `width_ms` that contains `t`, aligned to multiples of the width from the
    /// epoch (rounding towards minus infinity). At the ends of `i64` the window is cut off.
    pub fn aligned(t: TimestampMs, width_ms: i64) -> Self {
        let number = t.div_euclid(width_ms);
        // The end is reckoned by itself: from a start that was cut off it would be too late.
        let end = number.saturating_add(1).saturating_mul(width_ms);
        Self { start: number.saturating_mul(width_ms), end }
    }

    /// The same instants as an inclusive range.
    pub fn range(&self) -> TimeRange {
        TimeRange { mint: self.start, maxt: self.end - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_payload_is_stale() {
        assert!(is_stale(f64::from_bits(STALE_BITS)));
        assert!(!is_stale(f64::NAN));
        assert!(!is_stale(f64::from_bits(STALE_BITS | 1 << 51)));
    }

    #[test]
    fn a_range_without_many_is_what_none_of_them_takes() {
        let range = TimeRange::new(0, 100);
        let holes = [(20, 29), (90, 200), (25, 39), (-5, 0)];
        let kept = range.without_all(holes.iter().map(|(a, b)| TimeRange::new(*a, *b)));
        assert_eq!(kept, [TimeRange::new(1, 19), TimeRange::new(40, 89)]);
        assert!(range.without_all([TimeRange::ALL].into_iter()).is_empty());
        assert!(TimeRange::EMPTY.without_all(std::iter::empty()).is_empty());
    }

    #[test]
    fn a_range_without_another_is_what_lies_before_and_after() {
        let range = TimeRange::new(10, 20);
        let without = |mint, maxt| range.without(&TimeRange::new(mint, maxt));
        let (before, after) = (TimeRange::new(10, 14), TimeRange::new(16, 20));
        assert_eq!(without(15, 15), [Some(before), Some(after)]);
        assert_eq!(without(0, 15), [None, Some(after)]);
        assert_eq!(without(15, 99), [Some(before), None]);
        assert_eq!(without(10, 20), [None, None]);
        assert_eq!(without(21, 99), [Some(range), None]);
        assert_eq!(without(16, 14), [Some(range), None], "an empty range takes nothing");
        assert_eq!(TimeRange::EMPTY.without(&range), [None, None]);
        assert_eq!(TimeRange::ALL.without(&TimeRange::ALL), [None, None]);
    }

    #[test]
    fn windows_align_below_the_epoch_too() {
        assert_eq!(Window::aligned(-1, 10), Window { start: -10, end: 0 });
        assert_eq!(Window::aligned(0, 10), Window { start: 0, end: 10 });
        assert_eq!(Window::aligned(19, 10).range(), TimeRange::new(10, 19));
        let first = Window::aligned(i64::MIN, 10);
        assert_eq!(Window::aligned(first.end, 10).start, first.end);
    }
}
