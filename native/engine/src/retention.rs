//! How long samples are kept: one time for all, and rules for some series.
//!
//! A series is under the first rule whose matchers it satisfies, or under the default. The series
//! under one rule are a *class*; classes count as the rules do, and the last one is the default's.
//!
//! Retention counts from a reference: the earlier of the clock and the newest sample, so that a
//! clock that runs ahead deletes nothing.

use crate::error::Result;
use crate::index::matcher::Matcher;
use crate::labels::Labels;
use crate::options::RetentionOptions;
use crate::sample::{TimeRange, TimestampMs};
use crate::sync::Arc;

/// Series that are kept for a time of their own.
#[derive(Debug, Clone)]
pub struct Rule {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// How long their samples are kept.
    pub keep_ms: i64,
}

/// How long samples are kept.
#[derive(Debug, Clone)]
pub struct RetentionPolicy {
    keep_ms: i64,
    rules: Vec<Rule>,
}

impl RetentionPolicy {
    /// One time for all series.
    pub fn uniform(keep_ms: i64) -> Self {
        Self { keep_ms, rules: Vec::new() }
    }

    /// The policy of an engine's options.
    ///
    /// # Errors
    /// `bad_data` for a matcher that cannot be compiled.
    pub fn new(keep_ms: i64, options: &RetentionOptions) -> Result<Self> {
        let mut rules = Vec::new();
        for rule in &options.rules {
            let matchers: Result<_> =
                rule.matchers.iter().map(|m| Matcher::parse(&m.name, &m.op, &m.value)).collect();
            rules.push(Rule { matchers: matchers?, keep_ms: rule.keep_ms });
        }
        Ok(Self { keep_ms, rules })
    }

    /// The rules, of which the first that matches counts.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Number of classes: the rules and the default.
    pub fn classes(&self) -> usize {
        self.rules.len() + 1
    }

    /// How long the samples of a class are kept.
    pub fn keep_ms(&self, class: usize) -> i64 {
        self.rules.get(class).map_or(self.keep_ms, |rule| rule.keep_ms)
    }

    /// The class of a series.
    pub fn class_of(&self, labels: &Labels) -> usize {
        let accepts = |m: &Matcher| m.matches(labels.get(m.name()).unwrap_or_default());
        let first = self.rules.iter().position(|rule| rule.matchers.iter().all(accepts));
        first.unwrap_or(self.rules.len())
    }

    /// The shortest and the longest time that any class keeps its samples.
    pub fn bounds_ms(&self) -> (i64, i64) {
        let all = self.rules.iter().map(|rule| rule.keep_ms);
        all.fold((self.keep_ms, self.keep_ms), |(a, b), keep| (a.min(keep), b.max(keep)))
    }
}

/// A policy at one moment: what has expired.
#[derive(Debug, Clone)]
pub struct Horizon {
    policy: Arc<RetentionPolicy>,
    reference: TimestampMs,
}

impl Horizon {
    /// `policy` when retention counts from `reference`.
    pub fn new(policy: Arc<RetentionPolicy>, reference: TimestampMs) -> Self {
        Self { policy, reference }
    }

    /// The policy.
    pub fn policy(&self) -> &Arc<RetentionPolicy> {
        &self.policy
    }

    /// The oldest time that a class keeps.
    pub fn cutoff(&self, class: usize) -> TimestampMs {
        self.reference.saturating_sub(self.policy.keep_ms(class))
    }

    /// The time of a class that has expired.
    pub fn expired(&self, class: usize) -> TimeRange {
        TimeRange::ALL.before(self.cutoff(class))
    }

    /// The oldest time that every class keeps: nothing at or after it has expired.
    pub fn latest_cutoff(&self) -> TimestampMs {
        self.reference.saturating_sub(self.policy.bounds_ms().0)
    }

    /// The oldest time that any class keeps: everything before it has expired.
    pub fn earliest_cutoff(&self) -> TimestampMs {
        self.reference.saturating_sub(self.policy.bounds_ms().1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;
    use crate::options::{MatcherOptions, RuleOptions};

    fn rule(name: &str, op: &str, value: &str, keep_ms: i64) -> RuleOptions {
        let matcher =
            MatcherOptions { name: name.to_owned(), op: op.to_owned(), value: value.to_owned() };
        RuleOptions { matchers: vec![matcher], keep_ms }
    }

    fn policy() -> RetentionPolicy {
        let rules = vec![
            rule("__name__", "=~", "debug_.*", 10),
            rule("job", "=", "billing", 1000),
            rule("__name__", "=", "debug_x", 500),
        ];
        RetentionPolicy::new(100, &RetentionOptions { rules, ..Default::default() }).unwrap()
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let class = |pairs: &[(&str, &str)]| {
            policy().class_of(&Labels::from_pairs(pairs.iter().copied()).unwrap())
        };
        assert_eq!(class(&[("__name__", "debug_x"), ("job", "billing")]), 0);
        assert_eq!(class(&[("__name__", "up"), ("job", "billing")]), 1);
        assert_eq!(class(&[("__name__", "up")]), 3);
        assert_eq!([0, 1, 2, 3].map(|class| policy().keep_ms(class)), [10, 1000, 500, 100]);
        assert_eq!(policy().bounds_ms(), (10, 1000));
    }

    #[test]
    fn a_horizon_says_what_has_expired() {
        let horizon = Horizon::new(Arc::new(policy()), 5000);
        assert_eq!(horizon.expired(0), TimeRange::new(i64::MIN, 4989));
        assert!(!horizon.expired(1).contains(4000) && horizon.expired(1).contains(3999));
        assert_eq!((horizon.earliest_cutoff(), horizon.latest_cutoff()), (4000, 4990));
    }

    #[test]
    fn a_rule_that_cannot_be_compiled_is_refused() {
        let options =
            RetentionOptions { rules: vec![rule("a", "=~", "(", 1)], ..Default::default() };
        let error = RetentionPolicy::new(1, &options).unwrap_err();
        assert_eq!(error.code(), ErrorCode::BadData);
    }
}
