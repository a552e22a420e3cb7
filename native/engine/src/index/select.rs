//! Matchers to postings: order, intersect, subtract. Works on whatever holds postings.
//!
//! A label that is absent counts as empty, so a matcher that accepts the empty text cannot be
//! answered from the label's postings alone. Such a matcher is turned round: what its inverse
//! finds is subtracted. Every other matcher is intersected.
//!
//! Source of the meaning: Prometheus 3.14, `tsdb/querier.go`, `PostingsForMatchers`.

use std::borrow::Cow;

use roaring::RoaringBitmap;

use crate::error::Result;
use crate::index::matcher::Matcher;
use crate::index::postings::{Union, intersect, intersect_two};

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

    /// At least those series of `within` that [`PostingsSource::matching`] finds, and none that it
    /// does not. Worth its own way where the labels of a few series are sooner read than all
    /// values of a label.
    ///
    /// # Errors
    /// `corruption`.
    fn matching_within(&self, matcher: &Matcher, within: &RoaringBitmap) -> Result<RoaringBitmap> {
        let _ = within;
        self.matching(matcher)
    }

    /// The series that have the label.
    ///
    /// # Errors
    /// `corruption`.
    fn named(&self, name: &str) -> Result<Cow<'_, RoaringBitmap>>;
}

/// The series that all of `matchers` accept; all series for an empty list. Lookups come first, then
/// scans over the values of a label, and nothing is looked at once no series is left.
///
/// # Errors
/// What the source reports.
pub fn select(source: &impl PostingsSource, matchers: &[&Matcher]) -> Result<RoaringBitmap> {
    let (turned, mut wanted): (Vec<&Matcher>, Vec<&Matcher>) =
        matchers.iter().partition(|matcher| matcher.accepts_empty());
    let mut unwanted: Vec<Matcher> = turned.into_iter().map(Matcher::inverse).collect();
    wanted.sort_by_key(|matcher| cost(matcher));
    unwanted.sort_by_key(cost);

    let lookups = wanted.iter().take_while(|matcher| is_lookup(matcher)).count();
    let mut found = Vec::with_capacity(lookups);
    for matcher in &wanted[..lookups] {
        let set = series_of(source, matcher, None)?;
        if set.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        found.push(set);
    }
    let mut result = intersect(found);
    for matcher in &wanted[lookups..] {
        let set = series_of(source, matcher, result.as_deref())?;
        let both = match result {
            Some(result) => intersect_two(result, &set),
            None => set,
        };
        if both.is_empty() {
            return Ok(RoaringBitmap::new());
        }
        result = Some(both);
    }
    let mut result = match result {
        Some(result) => result.into_owned(),
        None => source.all()?.into_owned(),
    };
    for matcher in &unwanted {
        if result.is_empty() {
            break;
        }
        result -= &*series_of(source, matcher, Some(&result))?;
    }
    Ok(result)
}

/// Whether the matcher is answered by looking its texts up.
fn is_lookup(matcher: &Matcher) -> bool {
    !matcher.op().is_negative() && matcher.literals().is_some()
}

/// What evaluating the matcher costs beside others: lookups by their number, then the union behind
/// [`PostingsSource::named`], then scans, shorter ones first.
fn cost(matcher: &Matcher) -> usize {
    const NAMED: usize = 1 << 32;
    const PREFIX_SCAN: usize = 2 << 32;
    const SCAN: usize = 3 << 32;
    let lookups = matcher.literals().map(<[String]>::len);
    match (lookups, matcher.prefix()) {
        (Some(lookups), _) if matcher.op().is_negative() => NAMED + lookups,
        (Some(lookups), _) => lookups,
        (None, _) if matcher.accepts_any_value() => NAMED,
        (None, Some(_)) => PREFIX_SCAN,
        (None, None) => SCAN,
    }
}

/// The series that `matcher`, which does not accept the empty text, accepts; where `within` is
/// given, those outside it may be missing.
fn series_of<'s>(
    source: &'s impl PostingsSource,
    matcher: &Matcher,
    within: Option<&RoaringBitmap>,
) -> Result<Cow<'s, RoaringBitmap>> {
    let name = matcher.name();
    if matcher.accepts_any_value() {
        return source.named(name);
    }
    let stands_for = |matcher: &Matcher| match (matcher.literals(), within) {
        (Some(texts), _) => looked_up(source, name, texts),
        (None, Some(within)) => source.matching_within(matcher, within).map(Cow::Owned),
        (None, None) => source.matching(matcher).map(Cow::Owned),
    };
    if matcher.op().is_negative() {
        // It refuses the empty text and others: all values but those that it names.
        let named = source.named(name)?;
        Ok(Cow::Owned(&*named - &*stands_for(&matcher.inverse())?))
    } else {
        stands_for(matcher)
    }
}

/// The series whose label `name` is one of `texts`.
fn looked_up<'s>(
    source: &'s impl PostingsSource,
    name: &str,
    texts: &[String],
) -> Result<Cow<'s, RoaringBitmap>> {
    if let [only] = texts
        && !only.is_empty()
    {
        return Ok(source.value(name, only)?.unwrap_or_default());
    }
    let mut union = Union::default();
    for text in texts.iter().filter(|text| !text.is_empty()) {
        if let Some(set) = source.value(name, text)? {
            union.add_bitmap(set);
        }
    }
    Ok(Cow::Owned(union.finish()))
}
