use super::*;
use crate::sample::STALE_BITS;
use proptest::prelude::*;

static NONE: Histograms<'static> = Histograms::NONE;

fn floats<'a>(timestamps: &'a [f64], values: &'a [f64]) -> Points<'a> {
    Points { timestamps, values, histograms: &NONE }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

/// A dictionary and the ids of label sets given as lists of name, value, name, value.
fn interned(sets: &[&[&str]]) -> (Dictionary, Vec<u32>, Vec<u32>) {
    let mut dictionary = Dictionary::default();
    let (mut ids, mut offsets) = (Vec::new(), vec![0]);
    for set in sets {
        ids.extend(set.iter().map(|text| dictionary.intern(text)));
        offsets.push(ids.len() as u32);
    }
    (dictionary, ids, offsets)
}

#[test]
fn numbers_are_written_as_go_does() {
    // Each line: bits, and what Go 1.26 makes of it by Prometheus' `MarshalFloat` and by
    // `strconv.FormatFloat(v, 'f', -1, 64)`.
    for line in include_str!("go_numbers.txt").lines().filter(|l| !l.starts_with('#')) {
        let mut fields = line.split(' ');
        let bits = u64::from_str_radix(fields.next().unwrap(), 16).unwrap();
        let v = f64::from_bits(bits);
        assert_eq!(written(|out| number(out, v)), fields.next().unwrap(), "{bits:x}");
        assert_eq!(written(|out| plain_number(out, v)), fields.next().unwrap(), "{bits:x}");
    }
}

#[test]
fn timestamps_are_seconds() {
    for (ms, point, trimmed) in [
        (0.0, "0", "0"),
        (100_000.0, "100", "100"),
        (1_500.0, "1.500", "1.5"),
        (10.0, "0.010", "0.01"),
        (1.0, "0.001", "0.001"),
        (-1.0, "-0.001", "-0.001"),
        (-61_100.0, "-61.100", "-61.1"),
        (1_435_781_451_781.0, "1435781451.781", "1435781451.781"),
        (9_007_199_254_740_991.0, "9007199254740.991", "9007199254740.991"),
    ] {
        assert_eq!(written(|out| timestamp(out, ms)), point);
        assert_eq!(written(|out| trimmed_timestamp(out, ms)), trimmed);
    }
}

#[test]
fn strings_are_escaped_as_labels_are() {
    let text = "plain <&> é\u{2028} \"q\" \\ \n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f} end";
    let expected =
        "\"plain <&> é\u{2028} \\\"q\\\" \\\\ \\n\\r\\t\\u0008\\u000c\\u0000\\u001f\u{7f} end\"";
    assert_eq!(written(|out| string(out, text)), expected);
    assert_eq!(written(|out| string(out, "")), "\"\"");
}

#[test]
fn a_vector_has_one_value_a_series() {
    let (d, ids, offsets) = interned(&[&["__name__", "up", "job", "a\"b"], &[]]);
    let series = LabelIds { ids: &ids, offsets: &offsets };
    let stale = f64::from_bits(STALE_BITS);
    assert_eq!(
        written(|out| vector(out, &d, series, &[1_500.0, 2_000.0], &[1e21, stale], &NONE)),
        concat!(
            r#""resultType":"vector","result":["#,
            r#"{"metric":{"__name__":"up","job":"a\"b"},"value":[1.500,"1e+21"]},"#,
            r#"{"metric":{},"value":[2,"NaN"]}]"#
        )
    );
}

#[test]
fn a_matrix_has_the_points_of_its_series() {
    let (d, ids, offsets) = interned(&[&["a", "1"], &["a", "2"], &["a", "3"]]);
    let series = LabelIds { ids: &ids, offsets: &offsets };
    let times = [0.0, 15_000.0, 15_001.0];
    let values = [0.5, -0.0, f64::NEG_INFINITY];
    assert_eq!(
        written(|out| matrix(out, &d, series, &[0, 2, 2, 3], floats(&times, &values))),
        concat!(
            r#""resultType":"matrix","result":["#,
            r#"{"metric":{"a":"1"},"values":[[0,"0.5"],[15,"-0"]]},"#,
            r#"{"metric":{"a":"2"}},"#,
            r#"{"metric":{"a":"3"},"values":[[15.001,"-Inf"]]}]"#
        )
    );
}

#[test]
fn histograms_stand_beside_floats() {
    // Schema 0: zero bucket up to 0.001, one bucket on each side, an empty one above.
    let packed = [
        [0.0, 0.0, 0.001, 2.0, 7.0, 18.5, 1.0, 1.0, 0.0].as_slice(),
        &[0.0, 2.0, 1.0, 1.0, 4.0, 0.0, 1.0],
    ];
    let packed = packed.concat();
    let offsets = [0, packed.len() as u32];
    let text = concat!(
        r#"{"count":"7","sum":"18.5","buckets":[[1,"-2","-1","1"],"#,
        r#"[3,"-0.001","0.001","2"],[0,"0.5","1","4"]]}"#
    );
    let (d, ids, label_offsets) = interned(&[&["a", "1"], &["a", "2"]]);
    let series = LabelIds { ids: &ids, offsets: &label_offsets };
    let histograms = Histograms::new(&[1], &offsets, &packed).unwrap();
    let (times, values) = ([1000.0, 2000.0, 3000.0], [0.5; 3]);
    let vector = written(|out| vector(out, &d, series, &times[..2], &values[..2], &histograms));
    assert!(vector.contains(r#"{"metric":{"a":"1"},"value":[1,"0.5"]}"#));
    assert!(vector.contains(&format!(r#"{{"metric":{{"a":"2"}},"histogram":[2,{text}]}}"#)));
    let points = Points { timestamps: &times, values: &values, histograms: &histograms };
    let matrix = written(|out| matrix(out, &d, series, &[0, 2, 3], points));
    let mixed = format!(r#""values":[[1,"0.5"]],"histograms":[[2,{text}]]}}"#);
    assert!(matrix.contains(&mixed), "{matrix}");
    assert!(matrix.ends_with(r#"{"metric":{"a":"2"},"values":[[3,"0.5"]]}]"#), "{matrix}");
}

#[test]
fn nothing_is_an_empty_list() {
    let (d, ids, offsets) = interned(&[]);
    let series = LabelIds { ids: &ids, offsets: &offsets };
    assert_eq!(
        written(|out| vector(out, &d, series, &[], &[], &NONE)),
        r#""resultType":"vector","result":[]"#
    );
    assert_eq!(
        written(|out| matrix(out, &d, series, &[0], floats(&[], &[]))),
        r#""resultType":"matrix","result":[]"#
    );
    assert_eq!(written(|out| label_list(out, &d, series)), "[]");
}

#[test]
fn scalars_and_strings_stand_alone() {
    assert_eq!(
        written(|out| scalar(out, 1_500.0, 1e21)),
        r#""resultType":"scalar","result":[1.5,"1000000000000000000000"]"#
    );
    assert_eq!(
        written(|out| string_result(out, 1_000.0, "a\"b")),
        r#""resultType":"string","result":[1,"a\"b"]"#
    );
}

#[test]
fn label_lists_are_objects() {
    let (d, ids, offsets) = interned(&[&["__name__", "up"], &["__name__", "up", "é", "<1>"]]);
    assert_eq!(
        written(|out| label_list(out, &d, LabelIds { ids: &ids, offsets: &offsets })),
        r#"[{"__name__":"up"},{"__name__":"up","é":"<1>"}]"#
    );
}

#[test]
fn offsets_that_break_their_promise_give_no_labels_and_no_points() {
    let d = Dictionary::default();
    let series = LabelIds { ids: &[0, 0], offsets: &[5, 1, 9] };
    assert_eq!(
        written(|out| matrix(out, &d, series, &[3, 2], floats(&[1.0], &[1.0]))),
        r#""resultType":"matrix","result":[{"metric":{}},{"metric":{}}]"#
    );
    assert_eq!(
        written(|out| vector(out, &d, series, &[1000.0], &[], &NONE)),
        r#""resultType":"vector","result":[{"metric":{}},{"metric":{}}]"#
    );
}

proptest! {
    #[test]
    fn numbers_are_read_back_by_their_bits(bits in prop_oneof![
        any::<u64>(),
        any::<i64>().prop_map(|i| (i as f64).to_bits()),
        (any::<i32>(), 0..9i32).prop_map(|(i, e)| (f64::from(i) / 10f64.powi(e)).to_bits()),
        (any::<i32>(), -30..30i32).prop_map(|(i, e)| (f64::from(i) * 10f64.powi(e)).to_bits()),
    ]) {
        let v = f64::from_bits(bits);
        for text in [written(|out| number(out, v)), written(|out| plain_number(out, v))] {
            let back: f64 = text.parse().unwrap();
            if v.is_nan() {
                prop_assert_eq!(text, "NaN");
            } else {
                prop_assert_eq!(back.to_bits(), bits, "{}", text);
            }
        }
        prop_assert!(!written(|out| plain_number(out, v)).contains('e'));
    }

    #[test]
    fn strings_are_read_back(text in any::<String>()) {
        let json = written(|out| string(out, &text));
        prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
