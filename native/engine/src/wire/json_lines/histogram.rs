//! A native histogram as a JSON object, to read; `read/json_lines/histogram.rs` writes it.
//!
//! ```text
//! {"schema":3,"zero_threshold":0.001,"zero_count":2,"count":12,"sum":18.4,
//!  "positive_spans":[[-3,2],[1,2]],"positive_buckets":[1,2,1,5],
//!  "negative_spans":[[0,1]],"negative_buckets":[1]}
//! ```
//!
//! A span is its offset and its length, a bucket how many observations it has by itself. A member
//! may be left out: a number is 0 then, a list empty. `custom_values` are the bounds of schema -53;
//! `counter_reset_hint` is `reset`, `not_reset` or `gauge`; `"float":true` says that the counts are
//! floats. A float is a number, `null` for the quiet NaN, `"Infinity"`, `"-Infinity"`, or `"nan:"`
//! and the bits of another NaN in hexadecimal: the sum of a stale marker is
//! `"nan:7ff0000000000002"`.

use super::scan::Json;
use crate::error::Result;
use crate::histogram::{BUCKETS_MAX, CounterReset, Counts, Histogram, Layout, Span, Tally};
use crate::sync::Arc;

/// What a float that no number says begins with.
pub const NAN_PREFIX: &str = "nan:";

/// The names of the hints, by number; the first is left out.
pub const RESET_HINTS: [&str; 4] = ["unknown", "reset", "not_reset", "gauge"];

/// A count, before it is known which kind it is.
#[derive(Clone, Copy, Default)]
struct Count {
    integer: Option<u64>,
    float: f64,
}

#[derive(Default)]
struct Fields {
    layout: Layout,
    reset: CounterReset,
    sum: f64,
    float: bool,
    count: Option<Count>,
    zero: Option<Count>,
    positive: Vec<Count>,
    negative: Vec<Count>,
}

/// Reads an object. A layout equal to that of `last` is shared with it.
///
/// # Errors
/// `bad_data` with the byte, for what is no such object; whether the histogram makes sense is for
/// [`Histogram::validate`] to say.
pub fn read(json: &mut Json<'_>, last: Option<&Histogram>) -> Result<Histogram> {
    let mut fields = Fields::default();
    json.object(|json, name| fields.member(json, name))?;
    let Fields { layout, reset, sum, float, count, zero, positive, negative } = fields;
    let counts = if float {
        let of = |count: Option<Count>| count.map_or(0.0, |count| count.float);
        let side = |counts: Vec<Count>| counts.iter().map(|count| count.float).collect();
        let (positive, negative) = (side(positive), side(negative));
        Counts::Float(Tally { count: of(count), zero: of(zero), positive, negative })
    } else {
        let of = |count: Option<Count>| {
            let fraction = || json.wrong("a count of an integer histogram is not a whole number");
            count.map_or(Ok(0), |count| count.integer.ok_or_else(fraction))
        };
        let side = |counts: Vec<Count>| -> Result<Vec<u64>> {
            counts.into_iter().map(|count| of(Some(count))).collect()
        };
        let (positive, negative) = (side(positive)?, side(negative)?);
        Counts::Integer(Tally { count: of(count)?, zero: of(zero)?, positive, negative })
    };
    let layout = match last {
        Some(last) if *last.layout == layout => Arc::clone(&last.layout),
        _ => Arc::new(layout),
    };
    Ok(Histogram { layout, reset, sum, counts })
}

impl Fields {
    fn member(&mut self, json: &mut Json<'_>, name: &str) -> Result<()> {
        match name {
            "schema" => self.layout.schema = whole(json)?,
            "zero_threshold" => self.layout.zero_threshold = float(json)?,
            "sum" => self.sum = float(json)?,
            "count" => self.count = Some(count(json)?),
            "zero_count" => self.zero = Some(count(json)?),
            "positive_spans" => spans(json, &mut self.layout.positive)?,
            "negative_spans" => spans(json, &mut self.layout.negative)?,
            "positive_buckets" => {
                json.array(|json| push(&mut self.positive, count(json)?, json))?
            }
            "negative_buckets" => {
                json.array(|json| push(&mut self.negative, count(json)?, json))?
            }
            "custom_values" => {
                json.array(|json| push(&mut self.layout.bounds, float(json)?, json))?;
            }
            "counter_reset_hint" => {
                let hint = json.string()?;
                let known = (0u64..).zip(RESET_HINTS).find(|(_, name)| *name == hint);
                let reset = known.and_then(|(number, _)| CounterReset::from_number(number));
                let unknown = || json.wrong(&format!("{hint:.20?} is no counter_reset_hint"));
                self.reset = reset.ok_or_else(unknown)?;
            }
            "float" => match json.literal()? {
                "null" => return Err(json.wrong("want true or false")),
                word => self.float = word == "true",
            },
            _ => json.skip_value(0)?,
        }
        Ok(())
    }
}

fn push<T>(list: &mut Vec<T>, element: T, json: &Json<'_>) -> Result<()> {
    if list.len() as u64 >= BUCKETS_MAX {
        return Err(json.wrong("a histogram has too many buckets"));
    }
    list.push(element);
    Ok(())
}

fn spans(json: &mut Json<'_>, out: &mut Vec<Span>) -> Result<()> {
    json.array(|json| {
        json.take(b'[')?;
        json.peek();
        let offset = whole(json)?;
        json.take(b',')?;
        json.peek();
        let length = whole(json)?;
        json.take(b']')?;
        push(out, Span { offset, length }, json)
    })
}

fn whole<T: std::str::FromStr>(json: &mut Json<'_>) -> Result<T> {
    let text = json.number_text()?;
    text.parse().map_err(|_| json.wrong(&format!("{text:.40} is no whole number that fits here")))
}

fn count(json: &mut Json<'_>) -> Result<Count> {
    if !json.is_number() {
        return Ok(Count { integer: None, float: float(json)? });
    }
    let text = json.number_text()?;
    let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
    let float = number.ok_or_else(|| json.wrong(&format!("{text:.40} is not a number")))?;
    Ok(Count { integer: text.parse().ok(), float })
}

fn float(json: &mut Json<'_>) -> Result<f64> {
    let bits = json.clone().string().ok().and_then(|text| {
        let bits = u64::from_str_radix(text.strip_prefix(NAN_PREFIX)?, 16).ok()?;
        f64::from_bits(bits).is_nan().then_some(bits)
    });
    match bits {
        Some(bits) => json.string().map(|_| f64::from_bits(bits)),
        None => json.value(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Histogram> {
        read(&mut Json::new(text.as_bytes()), None)
    }

    #[test]
    fn counts_are_absolute_and_what_is_missing_is_nothing() {
        let text = r#"{"schema":-1,"zero_threshold":0.001,"zero_count":2,"count":12,"sum":18.4,
            "positive_spans":[[-3,2],[ 1 , 2 ]],"positive_buckets":[1,2,1,5],"later":[{}],
            "negative_spans":[[0,1]],"negative_buckets":[1],"counter_reset_hint":"not_reset"}"#
            .replace('\n', " ");
        let h = parsed(&text).unwrap();
        h.validate().unwrap();
        let Counts::Integer(tally) = &h.counts else { panic!("want integers: {h:?}") };
        assert_eq!((tally.count, &tally.positive[..], h.sum), (12, &[1, 2, 1, 5][..], 18.4));
        assert_eq!(h.layout.positive[1], Span { offset: 1, length: 2 });
        assert_eq!(h.reset, CounterReset::No);
        let empty = parsed("{}").unwrap();
        assert_eq!(empty, Histogram { sum: 0.0, ..Histogram::stale() });
        assert!(parsed(r#"{"sum":"nan:7ff0000000000002"}"#).unwrap().is_stale());
    }

    #[test]
    fn what_is_not_such_an_object_is_refused() {
        for (text, want) in [
            (r#"{"schema":1.5}"#, "no whole number"),
            (r#"{"count":1.5}"#, "not a whole number"),
            (r#"{"count":1e999,"float":true}"#, "not a number"),
            (r#"{"positive_spans":[[1]]}"#, "want ','"),
            (r#"{"positive_spans":[[1,-1]]}"#, "no whole number"),
            (r#"{"counter_reset_hint":"maybe"}"#, "no counter_reset_hint"),
            (r#"{"float":null}"#, "want true or false"),
            (r#"{"sum":"nan:0000000000000001"}"#, "is not a value"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.message().contains(want), "{text}: {}", error.message());
        }
    }
}
