//! Columns of every kind, there and back; and bytes that no encoder wrote.

use proptest::prelude::*;

use super::*;
use crate::sample::{STALE_BITS, is_stale};

fn round(values: &[f64]) -> Vec<u8> {
    let mut scratch = Scratch::default();
    let mut bytes = vec![7];
    encode_values(values, &mut scratch, &mut bytes);
    let mut got = vec![0.5; values.len()];
    decode_values(&bytes[1..], &mut scratch, &mut got).unwrap();
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&got), bits(values));
    bytes.remove(0);
    let (first, end) = (values.len() / 3, values.len() - values.len() / 4);
    let mut part = vec![0.5; end - first];
    decode_part(&bytes, &mut scratch, (values.len(), first), &mut part).unwrap();
    assert_eq!(bits(&part), bits(&values[first..end]));
    decode_staleness(&bytes, &mut scratch, (values.len(), first), &mut part).unwrap();
    let stale = |values: &[f64]| values.iter().map(|v| is_stale(*v)).collect::<Vec<_>>();
    assert_eq!(stale(&part), stale(&values[first..end]));
    bytes
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<f64>(),
        Just(f64::from_bits(STALE_BITS)),
        Just(-0.0),
        Just(f64::INFINITY),
        (0..1000i32).prop_map(f64::from),
    ]
}

/// A run of values as exporters send them, now and then with something else between.
fn any_column() -> impl Strategy<Value = Vec<f64>> {
    let step = prop_oneof![Just(0u32), Just(1), Just(40), Just(100_000)];
    let digits = prop_oneof![Just(1.0), Just(100.0), Just(1e9), Just(3.0)];
    let shape = (step, digits, 0u32..20, 1usize..400, any::<u32>());
    (shape, prop::collection::vec((0usize..400, any_value()), 0..6)).prop_map(
        |((step, digits, rare, len, seed), odd)| {
            let (mut noise, mut at) = (u64::from(seed) + 1, f64::from(seed % 1000));
            let mut values: Vec<f64> = (0..len)
                .map(|_| {
                    noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    if (noise >> 40) % u64::from(rare + 1) == 0 {
                        at += ((noise >> 33) % u64::from(step + 1)) as f64;
                    }
                    at / digits
                })
                .collect();
            for (place, value) in odd {
                if let Some(slot) = values.get_mut(place) {
                    *slot = value;
                }
            }
            values
        },
    )
}

proptest! {
    #[test]
    fn every_double_comes_back_by_its_bits(values in prop::collection::vec(any_value(), 1..300)) {
        round(&values);
    }

    #[test]
    fn columns_as_exporters_send_them_come_back(values in any_column()) {
        round(&values);
    }

    #[test]
    fn every_ascending_time_comes_back(
        set in prop::collection::btree_set(prop_oneof![any::<i64>(), -9000..9000i64], 1..300),
    ) {
        let times: Vec<i64> = set.into_iter().collect();
        let (mut bytes, mut got) = (Vec::new(), vec![0; times.len()]);
        encode_times(&times, &mut bytes);
        decode_times(&bytes, &mut Scratch::default(), &mut got).unwrap();
        prop_assert_eq!(got, times);
    }

    #[test]
    fn foreign_bytes_are_an_error_or_some_values(
        bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..600,
    ) {
        let mut scratch = Scratch::default();
        let _ = decode_values(&bytes, &mut scratch, &mut vec![0.0; count]);
        let _ = decode_times(&bytes, &mut scratch, &mut vec![0; count]);
    }

    #[test]
    fn changed_bytes_are_an_error_or_some_values(
        values in any_column(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        count in 1usize..600,
    ) {
        let mut bytes = round(&values);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut scratch = Scratch::default();
        let _ = decode_values(&bytes, &mut scratch, &mut vec![0.0; values.len()]);
        let _ = decode_values(&bytes, &mut scratch, &mut vec![0.0; count]);
        bytes.truncate(cut.index(bytes.len() + 1));
        let _ = decode_values(&bytes, &mut scratch, &mut vec![0.0; values.len()]);
    }
}

#[test]
fn columns_take_what_their_kind_should() {
    assert!(round(&[1.0; 500]).len() <= 3);
    assert!(round(&[f64::from_bits(STALE_BITS); 500]).len() <= 12);
    let counter: Vec<f64> = (0..480).map(|i| f64::from(i * 15)).collect();
    assert!(round(&counter).len() <= 12);
    let mut pages: Vec<f64> = (0..480).map(|i| f64::from((i * 7919) % 13) * 4096.0).collect();
    assert!(round(&pages).len() < 480 * 5 / 8);
    // One value that does not belong must not make all the others wide.
    pages[100] = 1e15;
    assert!(round(&pages).len() < 480 * 5 / 8 + 20);
    let mut rare = vec![3.0; 480];
    rare[200..].fill(4.0);
    assert!(round(&rare).len() <= 8);
}

proptest! {
    #[test]
    fn start_timestamps_stand_before_the_values(
        runs in prop::collection::vec((prop_oneof![Just(NO_START), any::<i64>()], 1usize..99), 1..9),
        missing in 0usize..50,
    ) {
        let starts: Vec<i64> = runs.iter().flat_map(|(start, n)| vec![*start; *n]).collect();
        let count = starts.len() + missing;
        let values: Vec<f64> = (0..count).map(|i| i as f64).collect();
        let (mut scratch, mut column) = (Scratch::default(), Vec::new());
        encode_starts(&starts, count, &mut column);
        let before = column.len();
        encode_values(&values, &mut scratch, &mut column);
        let (split, rest) = split_starts(&column).unwrap();
        prop_assert_eq!(rest.len(), column.len() - before);
        let mut got = vec![NO_START; count];
        match split {
            Some(bytes) => decode_starts(bytes, &mut scratch, &mut got).unwrap(),
            None => prop_assert_eq!(before, 0),
        }
        prop_assert_eq!(&got[..starts.len()], &starts[..]);
        prop_assert!(got[starts.len()..].iter().all(|start| *start == NO_START));
        for len in 0..before {
            if let Ok((Some(bytes), _)) = split_starts(&column[..len]) {
                prop_assert!(bytes.len() <= len);
            }
        }
    }
}

#[test]
fn a_start_that_stays_is_a_few_bytes_of_a_column() {
    let mut column = Vec::new();
    encode_starts(&[1_750_000_000_250; 4096], 4096, &mut column);
    assert!(column.len() <= 9, "{} bytes", column.len());
}
