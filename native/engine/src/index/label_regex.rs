//! The regular expression of `label_replace`: Go's syntax, anchored, and Go's template.

use regex::{Captures, Match, Regex};

use crate::error::Result;
use crate::index::go_regex;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct LabelRegex(Regex);

impl LabelRegex {
    /// Compiles a pattern in Go's syntax that has to match a whole text.
    ///
    /// # Errors
    /// `bad_data` for a pattern that Go would refuse or that is too large.
    pub fn new(pattern: &str) -> Result<Self> {
        go_regex::compile(pattern).map(Self)
    }

    /// What `template` becomes when `text` matches, else nothing: `$1`, `${name}` and `$$` as Go's
    /// `Regexp.Expand` reads them.
    pub fn replace(&self, text: &str, template: &str) -> Option<String> {
        let captures = self.0.captures(text)?;
        let (mut out, mut rest) = (String::new(), template);
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = group_name(after) {
                let group = match number(name) {
                    Some(number) => captures.get(number),
                    None => self.group(name, &captures),
                };
                out.push_str(group.map_or("", |found| found.as_str()));
                rest = after;
            } else {
                out.push('$');
                rest = after;
            }
        }
        out.push_str(rest);
        Some(out)
    }

    /// The first group of a name that took part in the match.
    fn group<'t>(&self, name: &str, captures: &Captures<'t>) -> Option<Match<'t>> {
        let names = self.0.capture_names().enumerate();
        names.filter(|(_, own)| *own == Some(name)).find_map(|(at, _)| captures.get(at))
    }
}

/// The name of a group that a template goes on with behind `$`, and the rest; `None` where the `$`
/// stands for itself.
fn group_name(template: &str) -> Option<(&str, &str)> {
    let in_braces = template.strip_prefix('{');
    let name = in_braces.unwrap_or(template);
    let is_part = |c: char| c == '_' || c.is_alphanumeric();
    let end = name.find(|c: char| !is_part(c)).unwrap_or(name.len());
    let (name, rest) = name.split_at(end);
    let rest = if in_braces.is_some() { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}

/// The number of a group, which has no leading zeros; with them it is a name.
fn number(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let leads_with_zero = name.len() > 1 && name.starts_with('0');
    (is_number && !leads_with_zero).then(|| name.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_fill_the_template() {
        let regex = LabelRegex::new("(?P<host>[^:]+):(\\d+)").unwrap();
        assert_eq!(regex.replace("a:80", "$host-${2}x$$"), Some("a-80x$".to_owned()));
        assert_eq!(regex.replace("a:80", "$2x"), Some(String::new()));
        assert_eq!(regex.replace("a", "$1"), None);
    }

    #[test]
    fn templates_are_read_as_go_reads_them() {
        let regex = LabelRegex::new("(?P<x>a)|(?P<_>b)").unwrap();
        // Answers of Prometheus 3.14 to `label_replace` of these.
        let cases = [
            ("$1", "a"),
            ("$x$x", "aa"),
            ("$0", "a"),
            ("$01", ""),
            ("$00", ""),
            ("${01}", ""),
            ("$1é", ""),
            ("$é", ""),
            ("$9", ""),
            ("${}", "${}"),
            ("${-1}", "${-1}"),
            ("${ 1}", "${ 1}"),
            ("${$1}", "${a}"),
            ("${1", "${1"),
            ("$", "$"),
            ("$-$1", "$-a"),
        ];
        for (template, want) in cases {
            assert_eq!(regex.replace("a", template).as_deref(), Some(want), "{template}");
        }
    }
}
