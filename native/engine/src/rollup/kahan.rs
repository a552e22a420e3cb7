//! Compensated summation as Prometheus does it (`util/kahansum`, 3.14): Neumaier's variant, whose
//! compensation is dropped once the sum is infinite.

/// Sum and compensation of some values; `sum + comp` is the result.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KahanSum {
    pub(super) sum: f64,
    pub(super) comp: f64,
}

impl KahanSum {
    /// Adds a value.
    #[inline(always)]
    pub(super) fn add(&mut self, value: f64) {
        let total = self.sum + value;
        self.comp =
            if total.is_infinite() { 0.0 } else { self.comp + lost(self.sum, value, total) };
        self.sum = total;
    }

    /// Sum and compensation together.
    #[inline(always)]
    pub(super) fn value(self) -> f64 {
        self.sum + self.comp
    }
}

/// What rounding took from `total = sum + value`.
#[inline(always)]
pub(super) fn lost(sum: f64, value: f64, total: f64) -> f64 {
    if sum.abs() >= value.abs() { (sum - total) + value } else { (value - total) + sum }
}

/// The sum of some values.
pub(super) fn total(values: &[f64]) -> f64 {
    let (mut sum, mut comp) = (0.0f64, 0.0f64);
    for value in values {
        let next = sum + value;
        comp += lost(sum, *value, next);
        sum = next;
    }
    if sum.is_finite() {
        // No sum on the way was infinite: those stay so, or become NaN.
        return sum + comp;
    }
    let mut careful = KahanSum::default();
    values.iter().for_each(|value| careful.add(*value));
    if careful.sum.is_infinite() { careful.sum } else { careful.value() }
}

/// The mean of some values, of which there is at least one: sum over count, but an incremental
/// mean from the value on where the sum would overflow.
pub(super) fn mean(values: &[f64]) -> f64 {
    let Some((first, rest)) = values.split_first() else { return f64::NAN };
    let (mut sum, mut comp) = (*first, 0.0f64);
    for value in rest {
        let next = sum + value;
        comp += lost(sum, *value, next);
        sum = next;
    }
    let count = values.len() as f64;
    if sum.is_finite() {
        return sum / count + comp / count;
    }
    careful_mean(*first, rest)
}

/// As [`mean`], looking at every sum.
#[cold]
fn careful_mean(first: f64, rest: &[f64]) -> f64 {
    let (mut sum, mut comp) = (first, 0.0);
    for (i, value) in rest.iter().enumerate() {
        let next = sum + value;
        if next.is_infinite() {
            return incremental_mean(sum, comp, i + 1, &rest[i..]);
        }
        comp += lost(sum, *value, next);
        sum = next;
    }
    let count = rest.len() as f64 + 1.0;
    sum / count + comp / count
}

fn incremental_mean(sum: f64, comp: f64, so_far: usize, rest: &[f64]) -> f64 {
    let mut mean = KahanSum { sum: sum / so_far as f64, comp: comp / so_far as f64 };
    for (i, value) in rest.iter().enumerate() {
        let count = (so_far + i + 1) as f64;
        let share = (count - 1.0) / count;
        mean.sum *= share;
        mean.comp *= share;
        mean.add(value / count);
    }
    mean.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_values_are_not_lost_beside_large_ones() {
        assert_eq!(total(&[1.0, 1e100, 1.0, -1e100]), 2.0);
        assert_eq!(mean(&[1.0, 1e100, 1.0, -1e100]), 0.5);
    }

    #[test]
    fn infinities_are_summed_as_infinities() {
        assert_eq!(total(&[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
        assert!(total(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(mean(&[f64::NEG_INFINITY, 1.0]), f64::NEG_INFINITY);
    }

    #[test]
    fn a_mean_does_not_overflow() {
        let large = mean(&[f64::MAX, f64::MAX, f64::MAX]);
        assert!((large / f64::MAX - 1.0).abs() < 1e-15, "{large}");
        assert_eq!(mean(&[-f64::MAX, f64::MAX, f64::MAX]), f64::MAX / 3.0);
    }
}
