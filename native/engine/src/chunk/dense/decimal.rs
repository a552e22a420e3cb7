//! Doubles that people and programs print as short decimals, as integers and a power of ten.
//!
//! A value `v` fits an exponent `e` when the integer `m` nearest to `v × 10^e` has at most 53 bits
//! and `m ÷ 10^e` is `v` again, bit for bit. For `e <= 22` the power is exact, so that division is
//! rounded once: it is how a decimal text is read, and gives back what was printed. NaN,
//! infinities, -0 and values with more digits fit nothing and are *exceptions*.

/// The largest exponent whose power of ten a double holds exactly.
pub(super) const EXPONENT_MAX: u8 = 22;

/// Integers up to here are exact as doubles.
const MANTISSA_MAX: f64 = (1u64 << 53) as f64;

const POWERS: [f64; EXPONENT_MAX as usize + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A column as integers.
#[derive(Debug, Default)]
pub(super) struct Scaled {
    /// The value at `i` is `ints[i] ÷ 10^exponent`, exceptions apart.
    pub exponent: u8,
    /// As many as values. An exception repeats the integer before it, which costs least.
    pub ints: Vec<i64>,
    /// Place and bits of the exceptions, ascending.
    pub exceptions: Vec<(u32, u64)>,
}

/// The integer of `v`, if it fits.
#[inline]
fn fit(v: f64, exponent: u8) -> Option<i64> {
    let power = POWERS[exponent as usize];
    let nearest = (v * power).round();
    // A NaN compares false here, and -0 comes back as 0.
    let fits = nearest.abs() <= MANTISSA_MAX && (nearest / power).to_bits() == v.to_bits();
    (fits && (nearest != 0.0 || v.to_bits() == 0)).then_some(nearest as i64)
}

/// Finds the smallest exponent that all values fit, exceptions apart, and scales them; false when
/// more than an eighth (and one) would be exceptions. `to` is then of no use.
pub(super) fn scale(values: &[f64], to: &mut Scaled) -> bool {
    let most = values.len() / 8 + 1;
    to.exponent = 0;
    let mut misfits = 0;
    for v in values {
        if fit(*v, to.exponent).is_some() {
            continue;
        }
        match (to.exponent + 1..=EXPONENT_MAX).find(|e| fit(*v, *e).is_some()) {
            Some(exponent) => to.exponent = exponent,
            None => misfits += 1,
        }
        if misfits > most {
            return false;
        }
    }
    to.ints.clear();
    to.exceptions.clear();
    let first = values.iter().find_map(|v| fit(*v, to.exponent));
    let Some(mut last) = first else { return false };
    for (at, v) in values.iter().enumerate() {
        match fit(*v, to.exponent) {
            Some(int) => last = int,
            None => to.exceptions.push((at as u32, v.to_bits())),
        }
        to.ints.push(last);
    }
    to.exceptions.len() <= most
}

/// The inverse of [`scale`], exceptions apart. `exponent` is at most [`EXPONENT_MAX`]; the slices
/// have one length.
pub(super) fn unscale(ints: &[i64], exponent: u8, out: &mut [f64]) {
    if exponent == 0 {
        for (to, int) in out.iter_mut().zip(ints) {
            *to = *int as f64;
        }
        return;
    }
    let power = POWERS[exponent as usize];
    for (to, int) in out.iter_mut().zip(ints) {
        *to = *int as f64 / power;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(values: &[f64]) -> Option<Scaled> {
        let mut to = Scaled::default();
        scale(values, &mut to).then_some(to)
    }

    #[test]
    fn the_smallest_common_exponent_is_found() {
        let found = scaled(&[1.5, 2.0, 0.25]).unwrap();
        assert_eq!((found.exponent, &found.ints[..]), (2, &[150, 200, 25][..]));
        assert_eq!(scaled(&[4096.0, -8192.0]).unwrap().exponent, 0);
        assert_eq!(scaled(&[2.4445e-05]).unwrap().ints, [24445]);
    }

    #[test]
    fn what_no_decimal_is_stands_beside() {
        let mut values = vec![0.1; 40];
        values[0] = f64::NAN;
        values[7] = -0.0;
        values[39] = f64::INFINITY;
        let found = scaled(&values).unwrap();
        assert_eq!(found.ints, [1; 40]);
        let places: Vec<u32> = found.exceptions.iter().map(|(at, _)| *at).collect();
        assert_eq!(places, [0, 7, 39]);
    }

    #[test]
    fn noise_is_refused() {
        let values: Vec<f64> = (1..50).map(|i| f64::from(i).sqrt()).collect();
        assert!(scaled(&values).is_none());
        assert!(scaled(&[f64::NAN; 3]).is_none());
    }
}
