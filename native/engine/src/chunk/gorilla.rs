//! (empty)
pub fn decode(
    _b: &[u8],
    _r: crate::sample::TimeRange,
    _t: &mut Vec<i64>,
    _v: &mut Vec<f64>,
) -> crate::error::Result<()> {
    Ok(())
}
