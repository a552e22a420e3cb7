use proptest::prelude::*;

use super::*;
use crate::codec::bits;

fn decoded(encoding: u8, data: &[u8]) -> Result<Vec<(i64, u64)>> {
    let (mut timestamps, mut values) = (Vec::new(), Vec::new());
    decode(encoding, data, &mut timestamps, &mut values)?;
    let timestamps = timestamps.into_iter().map(|at| at.t);
    Ok(timestamps.zip(values.into_iter().map(f64::to_bits)).collect())
}

fn values() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(STALE_BITS),
        Just(0x7ff8_0000_0000_0001),
        Just((-0.0f64).to_bits()),
        (0u32..50).prop_map(|n| f64::from(n).to_bits()),
        any::<u64>(),
    ]
}

fn deltas() -> impl Strategy<Value = i64> {
    prop_oneof![Just(15_000), 14_990..15_010i64, 1..10_000_000i64, 1..1i64 << 50]
}

proptest! {
    #[test]
    fn what_is_encoded_as_xor_comes_back_bit_for_bit(
        first in -(1i64 << 53)..1i64 << 53,
        samples in proptest::collection::vec((deltas(), values()), 1..200),
    ) {
        let mut t = first;
        let (mut timestamps, mut columns) = (Vec::new(), Vec::new());
        for (delta, value) in &samples {
            timestamps.push(t);
            columns.push(f64::from_bits(*value));
            t += delta;
        }
        let chunk = encode_xor(&timestamps, &columns).unwrap();
        let want: Vec<_> = timestamps.into_iter().zip(samples.into_iter().map(|s| s.1)).collect();
        prop_assert_eq!(decoded(XOR, &chunk).unwrap(), want);
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        encoding in 1u8..=6,
        data in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        if let Ok(samples) = decoded(encoding, &data) {
            prop_assert!(samples.len() <= data.len() * 8);
        }
    }

    #[test]
    fn a_chunk_cut_short_is_refused(
        values in proptest::collection::vec(any::<f64>(), 3..50),
        cut in 1usize..20,
    ) {
        let timestamps: Vec<i64> = (0..values.len() as i64).map(|i| i * i * i).collect();
        let chunk = encode_xor(&timestamps, &values).unwrap();
        let cut = cut.min(chunk.len() - 2);
        prop_assert!(decoded(XOR, &chunk[..chunk.len() - cut]).is_err());
    }
}

#[test]
fn an_appender_that_went_on_with_a_constant_chunk_uses_all_bits_as_window() {
    // Two samples of 1.0, then one of 2.0 whose window was "given before".
    let mut bytes = vec![0, 3];
    varint::write_signed(&mut bytes, 1000);
    bytes.extend_from_slice(&1f64.to_bits().to_be_bytes());
    varint::write(&mut bytes, 500);
    let mut free = bits::push(&mut bytes, 0, 0b0010, 4);
    free = bits::push(&mut bytes, free, u128::from(1f64.to_bits() ^ 2f64.to_bits()), 64);
    assert!(free < 8);
    let want = [(1000, 1f64), (1500, 1f64), (2000, 2f64)].map(|(t, v)| (t, v.to_bits()));
    assert_eq!(decoded(XOR, &bytes).unwrap(), want);
}

/// Writes `XOR2` chunks by the page that describes them (`docs/format/chunks.md`), plainly: every
/// changed value with a window of its own.
struct Xor2 {
    bytes: Vec<u8>,
    free: u8,
    base: u64,
}

impl Xor2 {
    fn push(&mut self, value: u64, width: u32) {
        self.free = bits::push(&mut self.bytes, self.free, u128::from(value), width);
    }

    fn window(&mut self, changed: u64) {
        let leading = changed.leading_zeros().min(31);
        let width = 64 - leading - changed.trailing_zeros();
        self.push(u64::from(leading), 5);
        self.push(u64::from(width & 63), 6);
        self.push(changed >> (64 - leading - width), width);
    }

    fn value(&mut self, value: u64) {
        match value ^ self.base {
            _ if value == STALE_BITS => return self.push(0b111, 3),
            0 => self.push(0, 1),
            changed => {
                self.push(0b110, 3);
                self.window(changed);
            }
        }
        self.base = value;
    }

    fn start(&mut self, first: bool, diff: i64) {
        if first {
            let mut text = Vec::new();
            varint::write_signed(&mut text, diff);
            text.iter().for_each(|byte| self.push(u64::from(*byte), 8));
        } else if diff == 0 {
            self.push(0, 1);
        } else {
            self.push(0xff, 8);
            self.push(diff as u64, 64);
        }
    }
}

fn xor2(samples: &[(i64, u64)], starts: Option<u8>) -> Vec<u8> {
    let header = starts.map_or(0, |from| 0x80 | from);
    let count = (samples.len() as u16).to_be_bytes();
    let mut out = Xor2 { bytes: vec![count[0], count[1], header], free: 0, base: 0 };
    let mut delta = 0;
    for (i, (t, value)) in samples.iter().enumerate() {
        if i == 0 {
            varint::write_signed(&mut out.bytes, *t);
            out.push(*value, 64);
            out.base = if *value == STALE_BITS { 0 } else { *value };
        } else {
            let now = t - samples[i - 1].0;
            let dod = now - delta;
            if i == 1 {
                varint::write(&mut out.bytes, now as u64);
                out.value(*value);
            } else if dod == 0 {
                match value ^ out.base {
                    _ if *value == STALE_BITS => out.push(0b11111, 5),
                    0 => out.push(0, 1),
                    changed => {
                        out.push(0b101, 3);
                        out.window(changed);
                        out.base = *value;
                    }
                }
            } else {
                match dod {
                    -4096..4096 => out.push(0b110 << 13 | dod as u64 & 0x1fff, 16),
                    -524_288..524_288 => out.push(0b1110 << 20 | dod as u64 & 0xf_ffff, 24),
                    _ => {
                        out.push(0b11110, 5);
                        out.push(dod as u64, 64);
                    }
                }
                out.value(*value);
            }
            delta = now;
        }
        match starts {
            Some(_) if i == 0 => out.start(true, 60_000),
            Some(from) if from > 0 && i >= usize::from(from) => out.start(false, i as i64 % 3),
            _ => {}
        }
    }
    out.bytes
}

/// The start timestamps that [`xor2`] writes.
fn xor2_starts(samples: &[(i64, u64)], from: Option<u8>) -> Vec<i64> {
    let Some(from) = from else { return vec![0; samples.len()] };
    let (mut start, mut before) = (samples[0].0 - 60_000, 0);
    let next = |i: usize| {
        if i > 0 && from > 0 && i >= usize::from(from) {
            before += i as i64 % 3;
            start = samples[i - 1].0 - before;
        }
        start
    };
    (0..samples.len()).map(next).collect()
}

proptest! {
    #[test]
    fn xor2_is_read_with_and_without_start_timestamps(
        first in -(1i64 << 53)..1i64 << 53,
        samples in proptest::collection::vec((deltas(), values()), 1..200),
        starts in proptest::option::of(0u8..128),
    ) {
        let mut t = first;
        let mut want = Vec::new();
        for (delta, value) in samples {
            want.push((t, value));
            t += delta;
        }
        let bytes = xor2(&want, starts);
        prop_assert_eq!(decoded(XOR2, &bytes).unwrap(), &want[..]);
        let (mut got, mut values) = (Vec::new(), Vec::new());
        decode(XOR2, &bytes, &mut got, &mut values).unwrap();
        let got: Vec<i64> = got.iter().map(|at| at.start).collect();
        prop_assert_eq!(got, xor2_starts(&want, starts));
    }
}
