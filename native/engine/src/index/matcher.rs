//! Label matchers: equality and fully anchored regular expressions.
//!
//! A label that a series does not have counts as the empty text. Patterns are in Go's syntax
//! (`go_regex.rs`); most that dashboards send are literals, alternations of literals, a prefix, or
//! "anything", and are matched without a regex engine.

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind, Repetition};

use crate::error::Result;
use crate::index::go_regex;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What a pattern comes down to.
#[derive(Debug, Clone)]
enum Pattern {
    /// One of these texts, sorted.
    Literals(Vec<String>),
    /// Any text that begins so.
    Prefix(String),
    /// Any text.
    Anything,
    /// Any text but the empty one.
    Something,
    /// All else; the literal prefix is for looking up a range of values.
    Regex { regex: Regex, prefix: Option<String> },
}

/// A label matcher.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    pattern: Pattern,
}

/// Alternations of more literals than this are left to the regex engine.
const LITERALS_MAX: usize = 4096;

impl Matcher {
    /// A matcher of the label `name`.
    ///
    /// # Errors
    /// `bad_data` for a pattern that Go would refuse or that is too large to compile.
    pub fn new(name: &str, op: MatchOp, value: &str) -> Result<Self> {
        let pattern = match op {
            MatchOp::Equal | MatchOp::NotEqual => Pattern::Literals(vec![value.to_owned()]),
            MatchOp::Regex | MatchOp::NotRegex => Pattern::compile(value)?,
        };
        Ok(Self { name: name.to_owned(), op, value: value.to_owned(), pattern })
    }

    /// The label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The text or pattern it was made of.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether it is `!=` or `!~`.
    pub fn is_negative(&self) -> bool {
        matches!(self.op, MatchOp::NotEqual | MatchOp::NotRegex)
    }

    /// Whether a series with this value of the label matches.
    pub fn matches(&self, value: &str) -> bool {
        self.pattern_matches(value) != self.is_negative()
    }

    /// Whether the text or pattern fits, negation aside.
    fn pattern_matches(&self, value: &str) -> bool {
        match &self.pattern {
            Pattern::Literals(texts) => texts.binary_search_by(|t| t.as_str().cmp(value)).is_ok(),
            Pattern::Prefix(prefix) => value.starts_with(prefix.as_str()),
            Pattern::Anything => true,
            Pattern::Something => !value.is_empty(),
            Pattern::Regex { regex, .. } => regex.is_match(value),
        }
    }

    /// Whether a series without the label matches.
    pub fn accepts_empty(&self) -> bool {
        self.matches("")
    }

    /// The only texts that the pattern (negation aside) fits, ascending, when they are few.
    pub fn literals(&self) -> Option<&[String]> {
        match &self.pattern {
            Pattern::Literals(texts) => Some(texts),
            _ => None,
        }
    }

    /// What every text that the pattern fits begins with.
    pub fn prefix(&self) -> Option<&str> {
        match &self.pattern {
            Pattern::Prefix(prefix) => Some(prefix),
            Pattern::Regex { prefix, .. } => prefix.as_deref(),
            _ => None,
        }
    }

    /// Whether the pattern (negation aside) fits every text but perhaps the empty one.
    pub fn fits_all(&self) -> bool {
        matches!(self.pattern, Pattern::Anything | Pattern::Something)
    }
}

impl Pattern {
    fn compile(pattern: &str) -> Result<Self> {
        let regex = go_regex::compile(pattern)?;
        let translated = go_regex::translate(pattern)?;
        let mut parser = regex_syntax::ParserBuilder::new().dot_matches_new_line(true).build();
        // The regex engine accepted the pattern; a shape that cannot be told is only slower.
        let Ok(hir) = parser.parse(&translated) else {
            return Ok(Self::Regex { regex, prefix: None });
        };
        if let Some(mut texts) = literals(&hir) {
            texts.sort_unstable();
            texts.dedup();
            return Ok(Self::Literals(texts));
        }
        if let Some(least) = any_text(&hir) {
            return Ok(if least == 0 { Self::Anything } else { Self::Something });
        }
        if let HirKind::Concat(parts) = hir.kind() {
            let first = parts.first().and_then(literal);
            return Ok(match (first, &parts[1..]) {
                (Some(prefix), [rest]) if any_text(rest) == Some(0) => Self::Prefix(prefix),
                (prefix, _) => Self::Regex { regex, prefix },
            });
        }
        Ok(Self::Regex { regex, prefix: None })
    }
}

fn literal(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok(),
        HirKind::Capture(capture) => literal_of_group(&capture.sub),
        _ => None,
    }
}

fn literal_of_group(hir: &Hir) -> Option<String> {
    if matches!(hir.kind(), HirKind::Literal(_)) { literal(hir) } else { None }
}

/// All texts of a pattern that is a literal, empty, or a (nested) alternation or concatenation of
/// such.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    let texts = match hir.kind() {
        HirKind::Empty => vec![String::new()],
        HirKind::Literal(_) => vec![literal(hir)?],
        HirKind::Capture(capture) => literals(&capture.sub)?,
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(literals(part)?);
                if all.len() > LITERALS_MAX {
                    return None;
                }
            }
            all
        }
        HirKind::Concat(parts) => {
            let mut all = vec![String::new()];
            for part in parts {
                let tails = literals(part)?;
                if all.len() * tails.len() > LITERALS_MAX {
                    return None;
                }
                all = all
                    .iter()
                    .flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}")))
                    .collect();
            }
            all
        }
        HirKind::Class(class) if hir.properties().maximum_len().is_some() => small_class(class)?,
        _ => return None,
    };
    Some(texts)
}

/// The members of a class of a few characters, such as `[ab]`, which the parser also makes of `a|b`.
fn small_class(class: &regex_syntax::hir::Class) -> Option<Vec<String>> {
    const MEMBERS_MAX: usize = 32;
    let regex_syntax::hir::Class::Unicode(class) = class else { return None };
    let size: usize = class.iter().map(regex_syntax::hir::ClassUnicodeRange::len).sum();
    (size <= MEMBERS_MAX)
        .then(|| class.iter().flat_map(|r| (r.start()..=r.end()).map(String::from)).collect())
}

/// `Some(0)` for `.*`, `Some(1)` for `.+`.
fn any_text(hir: &Hir) -> Option<u32> {
    match hir.kind() {
        HirKind::Capture(capture) => any_text(&capture.sub),
        HirKind::Repetition(Repetition { min: min @ (0 | 1), max: None, sub, .. }) => {
            (**sub == Hir::dot(regex_syntax::hir::Dot::AnyChar)).then_some(*min)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matcher(op: MatchOp, value: &str) -> Matcher {
        Matcher::new("l", op, value).unwrap()
    }

    #[test]
    fn patterns_are_anchored_at_both_ends() {
        let m = matcher(MatchOp::Regex, "a.c|x");
        assert!(m.matches("abc") && m.matches("a\nc") && m.matches("x"));
        assert!(!m.matches("abcd") && !m.matches("zabc") && !m.matches(""));
    }

    #[test]
    fn simple_shapes_need_no_engine() {
        let texts = |p: &str| matcher(MatchOp::Regex, p).literals().map(<[String]>::to_vec);
        assert_eq!(texts("a|b|cd").unwrap(), ["a", "b", "cd"]);
        assert_eq!(texts("(a|b)-(1|2)").unwrap(), ["a-1", "a-2", "b-1", "b-2"]);
        assert_eq!(texts("").unwrap(), [""]);
        assert_eq!(texts("a.*"), None);
        assert_eq!(matcher(MatchOp::Regex, "node.*").prefix(), Some("node"));
        assert_eq!(matcher(MatchOp::Regex, "node[0-9]+").prefix(), Some("node"));
        assert!(matcher(MatchOp::Regex, ".*").fits_all());
        assert!(matcher(MatchOp::Regex, ".+").fits_all());
        assert!(!matcher(MatchOp::Regex, ".+").accepts_empty());
    }

    #[test]
    fn negation_accepts_the_absent_label() {
        assert!(matcher(MatchOp::NotEqual, "x").accepts_empty());
        assert!(matcher(MatchOp::NotRegex, "x|y").accepts_empty());
        assert!(!matcher(MatchOp::NotRegex, ".*").matches("a"));
        assert!(matcher(MatchOp::Equal, "").accepts_empty());
    }

    #[test]
    fn a_case_insensitive_pattern_is_not_taken_for_a_literal() {
        let m = matcher(MatchOp::Regex, "(?i)Foo");
        assert!(m.matches("fOO") && m.matches("foo") && !m.matches("fo"));
    }

    #[test]
    fn a_bad_pattern_is_refused() {
        assert!(Matcher::new("l", MatchOp::Regex, "(").is_err());
    }
}
