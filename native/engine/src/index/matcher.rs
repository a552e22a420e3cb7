//! Label matchers: `=`, `!=`, `=~` and `!~`.
//!
//! A regular expression matches whole values, `^(?s:…)$`, in linear time. Most of those that people
//! and dashboards write need no automaton: they stand for a few texts (`a|b|c`), for everything
//! (`.*`, `.+`), or for a prefix (`node_.*`). A label that a series does not have counts as empty.
//!
//! Source of the meaning: Prometheus 3.14, `model/labels`, `Matcher` and `FastRegexMatcher`.

use std::fmt;

use crate::error::{Error, Result};
use crate::index::pattern::{Pattern, Shape};
use crate::sync::Arc;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// Whether the matcher accepts what its value does not stand for.
    pub const fn is_negative(self) -> bool {
        matches!(self, Self::NotEqual | Self::NotRegex)
    }

    /// The operator that accepts exactly what this one does not.
    #[must_use]
    pub const fn inverse(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Regex => Self::NotRegex,
            Self::NotRegex => Self::Regex,
        }
    }

    /// The operator of a text as PromQL writes it.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Equal, Self::NotEqual, Self::Regex, Self::NotRegex]
            .into_iter()
            .find(|op| op.as_str() == text)
    }

    /// As PromQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label. Cheap to clone.
#[derive(Clone)]
pub struct Matcher {
    name: Arc<str>,
    op: MatchOp,
    value: Arc<str>,
    /// What the value stands for; a negative operator accepts the rest.
    pattern: Arc<Pattern>,
}

impl Matcher {
    /// A matcher of label `name` against `value`, which is a regular expression in Go's syntax for
    /// [`MatchOp::Regex`] and [`MatchOp::NotRegex`].
    ///
    /// # Errors
    /// `bad_data` with Go's words for an invalid expression, or one too large to compile.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => Pattern::text(value),
            MatchOp::Regex | MatchOp::NotRegex => Pattern::compile(value)?,
        };
        Ok(Self { name: name.into(), op, value: value.into(), pattern: Arc::new(pattern) })
    }

    /// A matcher whose operator is a text, as JavaScript and options have it.
    ///
    /// # Errors
    /// As [`Matcher::new`]; `bad_data` for an operator that does not exist.
    pub fn parse(name: &str, op: &str, value: &str) -> Result<Self> {
        match MatchOp::parse(op) {
            Some(op) => Self::new(name, op, value),
            None => Err(Error::bad_data(format!("unknown matcher {op:?}"))),
        }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// What it compares with, as it was written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether it accepts `value`; the empty text stands for a label that is absent.
    #[inline]
    pub fn matches(&self, value: &str) -> bool {
        self.pattern.contains(value) != self.op.is_negative()
    }

    /// Whether it accepts series without the label.
    pub fn accepts_empty(&self) -> bool {
        self.matches("")
    }

    /// Whether it accepts every text but the empty one, which means: has the label.
    pub fn accepts_any_value(&self) -> bool {
        match (self.pattern.shape(), self.op.is_negative()) {
            (Shape::Anything | Shape::NotEmpty, false) => true,
            (Shape::Texts(texts), true) => texts.iter().all(String::is_empty),
            _ => false,
        }
    }

    /// The texts that the value stands for, sorted, where they are few enough to list: the value
    /// itself for `=` and `!=`, the alternatives of `a|b(c|d)` for a regular expression. A negative
    /// operator accepts all others.
    pub fn literals(&self) -> Option<&[String]> {
        match self.pattern.shape() {
            Shape::Texts(texts) => Some(texts),
            _ => None,
        }
    }

    /// A text that every value begins with that the regular expression stands for. `None` when
    /// there is none, and where [`Matcher::literals`] says more.
    pub fn prefix(&self) -> Option<&str> {
        self.pattern.prefix()
    }

    /// The matcher that accepts exactly what this one does not.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self { op: self.op.inverse(), ..self.clone() }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::ErrorCode;
    use crate::index::go_regex;

    fn regex(value: &str) -> Matcher {
        Matcher::new("l", MatchOp::Regex, value).unwrap()
    }

    #[test]
    fn operators_accept_what_they_say() {
        let accepts = |op, value: &str| {
            let matcher = Matcher::new("l", op, value).unwrap();
            ["", "a", "b"].map(|text| matcher.matches(text))
        };
        assert_eq!(accepts(MatchOp::Equal, "a"), [false, true, false]);
        assert_eq!(accepts(MatchOp::NotEqual, "a"), [true, false, true]);
        assert_eq!(accepts(MatchOp::Regex, "a|c"), [false, true, false]);
        assert_eq!(accepts(MatchOp::NotRegex, "a|c"), [true, false, true]);
        assert_eq!(accepts(MatchOp::Equal, ""), [true, false, false]);
        assert_eq!(accepts(MatchOp::NotRegex, ".*"), [false, false, false]);
    }

    #[test]
    fn alternatives_become_sorted_texts() {
        let texts = |value: &str| regex(value).literals().map(|texts| texts.join(","));
        assert_eq!(texts("b|a|b"), Some("a,b".into()));
        assert_eq!(
            texts(r"10\.0\.0\.1:9100|10\.0\.0\.2:9100"),
            Some("10.0.0.1:9100,10.0.0.2:9100".into())
        );
        assert_eq!(texts("(a|b)-(x|y)"), Some("a-x,a-y,b-x,b-y".into()));
        assert_eq!(texts("^(foo|bar)$"), Some("bar,foo".into()));
        assert_eq!(texts("foo(bar)?"), Some("foo,foobar".into()));
        assert_eq!(texts("[a-c]1"), Some("a1,b1,c1".into()));
        assert_eq!(texts("(?i)ab"), Some("AB,Ab,aB,ab".into()));
        assert_eq!(texts(""), Some(String::new()));
        assert_eq!(texts("a+"), None);
        assert_eq!(texts(r"\w\w\w"), None);
    }

    #[test]
    fn prefixes_are_found() {
        assert_eq!(regex("node_.*").prefix(), Some("node_"));
        assert_eq!(regex(r"^a\.b[0-9]+").prefix(), Some("a.b"));
        assert_eq!(regex("(foo)x*").prefix(), Some("foo"));
        assert_eq!(regex(".*a").prefix(), None);
        assert_eq!(regex("a|b").prefix(), None);
    }

    #[test]
    fn everything_and_anything_are_known() {
        for all in [".*", "(.*)", "^.*$", "(?s).*", ".*?", "()|.*|.+"] {
            assert!(regex(all).matches("") && regex(all).matches("a\nb"), "{all}");
            assert!(regex(all).accepts_any_value() || all.contains('|'), "{all}");
        }
        assert!(regex(".+").accepts_any_value() && !regex(".+").accepts_empty());
        assert!(Matcher::new("l", MatchOp::NotEqual, "").unwrap().accepts_any_value());
        assert!(Matcher::new("l", MatchOp::NotRegex, "").unwrap().accepts_any_value());
        assert!(!regex("(?-s).*").accepts_any_value());
        assert!(!regex("(?-s).*").matches("a\nb"));
    }

    #[test]
    fn a_bad_expression_is_bad_data_in_the_words_of_go() {
        let error = Matcher::new("l", MatchOp::Regex, "a(").unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadData);
        assert_eq!(error.message(), "error parsing regexp: missing closing ): `a(`");
    }

    #[test]
    fn texts_with_anything_between_are_found_in_order() {
        let accepted = |value: &str| {
            let matcher = regex(value);
            ["ab", "xaxbx", "bxa", "axb", "aab", "a"].map(|text| matcher.matches(text))
        };
        assert_eq!(accepted(".*a.*b.*"), [true, true, false, true, true, false]);
        assert_eq!(accepted("a.*b"), [true, false, false, true, true, false]);
        assert_eq!(accepted("a.*ab"), [false, false, false, false, true, false]);
        assert_eq!(accepted(".*ab"), [true, false, false, false, true, false]);
    }

    #[test]
    fn an_automaton_too_large_for_a_table_still_answers() {
        let matcher = regex(r".*[ab][^c]{60}\pL+.*x");
        assert!(matcher.matches(&format!("b{}éx", "1".repeat(60))));
        assert!(!matcher.matches(&format!("b{}éx", "1".repeat(59))));
        assert!(!matcher.matches(""));
    }

    #[test]
    fn hostile_expressions_end_soon() {
        let text = "a".repeat(50_000);
        for hostile in ["(a+)+b", "(a|aa)+b", "(.*.*.*)*b", "(a?){500}a{500}", ".*a.{300}b"] {
            assert!(!regex(hostile).matches(&text), "{hostile}");
        }
        assert!(Matcher::new("l", MatchOp::Regex, &r"\pL{1000}".repeat(9)).is_err());
    }

    proptest! {
        #[test]
        fn shortcuts_agree_with_the_automaton(
            value in "[ab]{0,2}(\\.\\*|\\.\\*|\\.\\*a|\\.\\+|\\|b|[.?*()|^$]|\\[ab\\]){0,4}[ab]{0,2}",
            texts in prop::collection::vec("[ab\n]{0,5}", 8),
        ) {
            let Ok(plain) = go_regex::compile(&value) else {
                prop_assert!(Matcher::new("l", MatchOp::Regex, &value).is_err());
                return Ok(());
            };
            let (is, is_not) =
                (regex(&value), Matcher::new("l", MatchOp::NotRegex, &value).unwrap());
            for text in &texts {
                prop_assert_eq!(is.matches(text), plain.is_match(text), "{:?} {:?}", is, text);
                prop_assert_eq!(is_not.matches(text), !plain.is_match(text));
                prop_assert_eq!(is.inverse().matches(text), !plain.is_match(text));
                if let Some(literals) = is.literals() {
                    prop_assert_eq!(literals.contains(text), plain.is_match(text));
                }
                if let Some(prefix) = is.prefix() && plain.is_match(text) {
                    prop_assert!(text.starts_with(prefix));
                }
                if is.accepts_any_value() && !text.is_empty() {
                    prop_assert!(plain.is_match(text));
                }
            }
        }
    }
}
