//! Layouts in a histogram chunk.

use super::predict::{BitWriter, read_number};
use crate::codec::bits::BitReader;
use crate::histogram::{BUCKETS_MAX, Layout, Span, bucket_count};

/// The threshold with a code of its own.
pub const COMMON_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// Writes a layout.
pub fn write_layout(out: &mut BitWriter, layout: &Layout) {
    out.number(i64::from(layout.schema));
    match layout.zero_threshold.to_bits() {
        0 => out.push(0, 1),
        bits if bits == COMMON_THRESHOLD.to_bits() => out.push(0b10, 2),
        bits => {
            out.push(0b11, 2);
            out.push(bits, 64);
        }
    }
    for spans in [&layout.positive, &layout.negative] {
        out.number(spans.len() as i64);
        for span in spans {
            out.number(i64::from(span.offset));
            out.number(i64::from(span.length));
        }
    }
    out.number(layout.bounds.len() as i64);
    for bound in &layout.bounds {
        let thousandths = (bound * 1000.0).round() as i64;
        if (thousandths as f64 / 1000.0).to_bits() == bound.to_bits() {
            out.push(0, 1);
            out.number(thousandths);
        } else {
            out.push(1, 1);
            out.push(bound.to_bits(), 64);
        }
    }
}

/// `None` for what no encoder writes, or where the input ends.
pub fn read_layout(reader: &mut BitReader<'_>) -> Option<Layout> {
    let schema = i32::try_from(read_number(reader)).ok()?;
    let zero_threshold = match reader.read(1) {
        0 => 0.0,
        _ if reader.read(1) == 0 => COMMON_THRESHOLD,
        _ => f64::from_bits(reader.read(64)),
    };
    let positive = read_spans(reader)?;
    let negative = read_spans(reader)?;
    let mut bounds = Vec::new();
    for _ in 0..read_length(reader)? {
        bounds.push(match reader.read(1) {
            0 => read_number(reader) as f64 / 1000.0,
            _ => f64::from_bits(reader.read(64)),
        });
    }
    let layout = Layout { schema, zero_threshold, positive, negative, bounds };
    let buckets = bucket_count(&layout.positive).checked_add(bucket_count(&layout.negative))?;
    (!reader.overran() && buckets <= BUCKETS_MAX).then_some(layout)
}

fn read_spans(reader: &mut BitReader<'_>) -> Option<Vec<Span>> {
    let mut spans = Vec::new();
    for _ in 0..read_length(reader)? {
        let offset = i32::try_from(read_number(reader)).ok()?;
        let length = u32::try_from(read_number(reader)).ok()?;
        spans.push(Span { offset, length });
    }
    Some(spans)
}

/// The length of a list whose elements take a bit or more each.
fn read_length(reader: &mut BitReader<'_>) -> Option<usize> {
    let length = usize::try_from(read_number(reader)).ok()?;
    (length <= (reader.bytes_left() + 1) * 8).then_some(length)
}
