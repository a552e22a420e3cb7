//! Matchers to postings: order, intersect, subtract. Works on whatever holds postings.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::index::matcher::Matcher;

/// Postings of one tenant: which series carry which label. Series are `u32` numbers of the holder.
pub trait PostingsSource {
    /// All series.
    ///
    /// # Errors
    /// `corruption`.
    fn all(&self) -> Result<Cow<'_, RoaringBitmap>>;

    /// The series whose label `name` is `value` (never empty); `None` when there is none.
    ///
    /// # Errors
    /// `corruption`.
    fn value(&self, name: &str, value: &str) -> Result<Option<Cow<'_, RoaringBitmap>>>;

    /// The series whose label `name` has a value that `matcher` accepts. Series without the label
    /// are not among them.
    ///
    /// # Errors
    /// `corruption`.
    fn matching(&self, matcher: &Matcher) -> Result<RoaringBitmap>;

    /// The series that have the label.
    ///
    /// # Errors
    /// `corruption`.
    fn named(&self, name: &str) -> Result<Cow<'_, RoaringBitmap>>;
}
