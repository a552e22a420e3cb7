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

/// The series that satisfy all matchers; all series when there is no matcher.
///
/// Matchers that a series without the label cannot satisfy are intersected, those with few literal
/// values first; the others take away the series whose value they refuse.
///
/// # Errors
/// `corruption`.
pub fn select(source: &impl PostingsSource, matchers: &[&Matcher]) -> Result<RoaringBitmap> {
    let (mut narrowing, widening): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|m| !m.accepts_empty());
    narrowing.sort_by_key(|m| (m.is_negative(), m.literals().map_or(usize::MAX, <[_]>::len)));
    let mut found: Option<RoaringBitmap> = None;
    for matcher in narrowing {
        found = Some(match found {
            None => accepted(source, matcher)?.into_owned(),
            Some(found) => found & &*accepted(source, matcher)?,
        });
        if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
            return Ok(RoaringBitmap::new());
        }
    }
    let mut found = match found {
        Some(found) => found,
        None => source.all()?.into_owned(),
    };
    for matcher in widening {
        if !found.is_empty() {
            found -= &*refused(source, matcher)?;
        }
    }
    Ok(found)
}

/// The series that have the label with a value that the matcher accepts.
fn accepted<'a>(
    source: &'a impl PostingsSource,
    matcher: &Matcher,
) -> Result<Cow<'a, RoaringBitmap>> {
    match (plain(source, matcher)?, matcher.is_negative()) {
        (Some(fitting), false) => Ok(fitting),
        (Some(fitting), true) => without(source, matcher, &fitting),
        (None, _) => Ok(Cow::Owned(source.matching(matcher)?)),
    }
}

/// The series that have the label with a value that the matcher refuses.
fn refused<'a>(
    source: &'a impl PostingsSource,
    matcher: &Matcher,
) -> Result<Cow<'a, RoaringBitmap>> {
    match (plain(source, matcher)?, matcher.is_negative()) {
        (Some(fitting), true) => Ok(fitting),
        (Some(fitting), false) => without(source, matcher, &fitting),
        (None, _) => without(source, matcher, &source.matching(matcher)?),
    }
}

/// The series that have the label, but for `some`.
fn without<'a>(
    source: &'a impl PostingsSource,
    matcher: &Matcher,
    some: &RoaringBitmap,
) -> Result<Cow<'a, RoaringBitmap>> {
    Ok(Cow::Owned(source.named(matcher.name())?.into_owned() - some))
}

/// The series whose value fits the text or pattern, negation aside, where that takes no scan of the
/// values.
fn plain<'a>(
    source: &'a impl PostingsSource,
    matcher: &Matcher,
) -> Result<Option<Cow<'a, RoaringBitmap>>> {
    if matcher.fits_all() {
        return source.named(matcher.name()).map(Some);
    }
    let Some(texts) = matcher.literals() else { return Ok(None) };
    let mut texts = texts.iter().filter(|t| !t.is_empty());
    let empty = || Cow::Owned(RoaringBitmap::new());
    let Some(first) = texts.next() else { return Ok(Some(empty())) };
    let mut all = source.value(matcher.name(), first)?.unwrap_or_else(empty);
    for text in texts {
        if let Some(more) = source.value(matcher.name(), text)? {
            *all.to_mut() |= &*more;
        }
    }
    Ok(Some(all))
}
