//! What Go answers, recorded, and what the translation answers.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::error::ErrorCode;

/// Answers of one version of Go.
#[derive(Deserialize)]
struct Recording {
    go: String,
    cases: Vec<Case>,
}

/// One pattern: Go's error, or what it says about some texts.
#[derive(Deserialize)]
struct Case {
    pattern: String,
    #[serde(default)]
    error: Option<String>,
    /// Texts that match, with their groups.
    #[serde(default)]
    matches: BTreeMap<String, Vec<Option<String>>>,
    /// Texts that do not match.
    #[serde(default)]
    misses: Vec<String>,
}

impl Case {
    /// What differs from Go, if anything.
    fn difference(&self) -> Option<String> {
        let regex = match (compile(&self.pattern), &self.error) {
            (Ok(regex), None) => regex,
            (Err(got), Some(want)) if got.message() == want => return None,
            (Err(got), want) => return Some(format!("got error {got}, want {want:?}")),
            (Ok(_), Some(want)) => return Some(format!("got no error, want {want}")),
        };
        for text in &self.misses {
            if regex.is_match(text) {
                return Some(format!("got a match of {text:?}, want none"));
            }
        }
        for (text, want) in &self.matches {
            let Some(found) = regex.captures(text) else {
                return Some(format!("got no match of {text:?}, want one"));
            };
            let groups = found.iter().skip(1).map(|group| group.map(|g| g.as_str().to_owned()));
            let mut got: Vec<Option<String>> = groups.collect();
            // Rust does not count groups under `{0}`, which are never set, when they come last.
            got.resize(got.len().max(want.len()), None);
            if got != *want {
                return Some(format!("got groups {got:?} of {text:?}, want {want:?}"));
            }
        }
        None
    }
}

#[test]
fn patterns_mean_what_go_says_they_mean() {
    let recording: Recording =
        serde_json::from_str(include_str!("../../../tests/fixtures/go-regexp.json")).unwrap();
    assert!(recording.cases.len() > 300, "recorded from {}", recording.go);
    let differences: Vec<String> = recording
        .cases
        .iter()
        .filter_map(|case| case.difference().map(|d| format!("{:?}: {d}", case.pattern)))
        .collect();
    assert!(differences.is_empty(), "{} differs:\n{}", recording.go, differences.join("\n"));
}

#[test]
fn nesting_is_bounded_and_its_bound_compiles() {
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(compile(&nested(MAX_HEIGHT as usize - 1)).unwrap().is_match("a"));
    assert_eq!(compile(&nested(100_000)).unwrap_err().code(), ErrorCode::BadData);
    let stars = |count: usize| format!("a{}", "*(?i)".repeat(count));
    assert!(compile(&stars(MAX_HEIGHT as usize - 1)).unwrap().is_match("aa"));
    assert!(compile(&stars(MAX_HEIGHT as usize)).is_err());
}

#[test]
fn an_error_repeats_little_of_a_long_pattern() {
    let error = compile(&"é(".repeat(10_000)).unwrap_err();
    assert!(error.message().len() < 3 * MAX_SHOWN_CHARS, "{} bytes", error.message().len());
}

#[test]
fn a_pattern_that_would_take_much_memory_is_refused() {
    let classes = r"\pL{1000}".repeat(20);
    assert_eq!(compile(&classes).unwrap_err().code(), ErrorCode::BadData);
    assert_eq!(compile(&"a".repeat(MAX_PATTERN_BYTES + 1)).unwrap_err().code(), ErrorCode::BadData);
}
