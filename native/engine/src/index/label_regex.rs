//! The regular expression of `label_replace`: Go's syntax, anchored, and Go's template.

use regex::Regex;

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
        let mut out = String::new();
        captures.expand(template, &mut out);
        Some(out)
    }
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
}
