//! Character classes: `[...]`, `[:alpha:]`, `\d`, `\pL`. Everything is written as code points and
//! nested classes, so that none of Rust's own class syntax (`&&`, `--`, `~~`, `[`) can appear.

use std::fmt::Write;

use super::{NEVER, Translator, refused};
use crate::error::Result;

/// Names of ASCII classes, as between `[:` and `:]`, and their ranges in Rust's syntax.
const POSIX_CLASSES: [(&str, &str); 14] = [
    ("alnum", "0-9A-Za-z"),
    ("alpha", "A-Za-z"),
    ("ascii", r"\x00-\x7F"),
    ("blank", r"\t\x20"),
    ("cntrl", r"\x00-\x1F\x7F"),
    ("digit", "0-9"),
    ("graph", r"\x21-\x7E"),
    ("lower", "a-z"),
    ("print", r"\x20-\x7E"),
    ("punct", r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E"),
    ("space", r"\t-\r\x20"),
    ("upper", "A-Z"),
    ("word", "0-9A-Z_a-z"),
    ("xdigit", "0-9A-Fa-f"),
];

/// Full names of scripts with four letters. Every other name of four letters that Rust knows is
/// the ISO 15924 code of a script, which Go does not take.
const SCRIPTS_OF_FOUR_LETTERS: [&str; 8] =
    ["ahom", "cham", "kawi", "lisu", "modi", "newa", "thai", "toto"];

const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

impl<'p> Translator<'p> {
    /// Reads a class in brackets.
    pub(super) fn class(&mut self) -> Result<()> {
        let whole = self.rest;
        self.rest = &whole[1..];
        let negated = self.rest.starts_with('^');
        if negated {
            self.rest = &self.rest[1..];
        }
        let mut items = String::new();
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            let named = self.posix_class(&mut items)?
                || self.unicode_class(&mut items)?
                || self.perl_class(&mut items);
            if !named {
                self.class_range(whole, &mut items)?;
            }
        }
        self.rest = &self.rest[1..];
        self.class_atom(negated, &items);
        Ok(())
    }

    /// Writes a class of `items` under the flags in force.
    pub(super) fn class_atom(&mut self, negated: bool, items: &str) {
        let text = match (items.is_empty(), negated) {
            (true, false) => NEVER.to_owned(),
            (true, true) => "(?s:.)".to_owned(),
            (false, _) => {
                let fold = if self.flags.fold_case { "(?i:" } else { "(?:" };
                format!("{fold}[{}{items}])", if negated { "^" } else { "" })
            }
        };
        self.atom(&text);
    }

    /// Reads one character of a class or a range of them.
    fn class_range(&mut self, whole: &'p str, items: &mut String) -> Result<()> {
        let before = self.rest;
        let low = self.class_char(whole)?;
        let mut high = low;
        // A hyphen before the closing bracket stands for itself.
        if let Some(rest) = self.rest.strip_prefix('-')
            && !rest.is_empty()
            && !rest.starts_with(']')
        {
            self.rest = rest;
            high = self.class_char(whole)?;
            if high < low {
                return Err(refused("invalid character class range", self.read_since(before)));
            }
        }
        // Go's ranges may hold surrogates, which no text does and Rust has no syntax for.
        let below = (low, high.min(*SURROGATES.start() - 1));
        let above = (low.max(*SURROGATES.end() + 1), high);
        let around = if high < *SURROGATES.start() || low > *SURROGATES.end() {
            [(low, high), (1, 0)]
        } else {
            [below, above]
        };
        for (low, high) in around {
            if low <= high {
                // Writing to a String cannot fail.
                let _ = write!(items, r"\x{{{low:X}}}-\x{{{high:X}}}");
            }
        }
        Ok(())
    }

    fn class_char(&mut self, whole: &'p str) -> Result<u32> {
        if self.rest.starts_with('\\') {
            return self.escaped_code_point();
        }
        match self.next() {
            Some(c) => Ok(c as u32),
            None => Err(refused("missing closing ]", whole)),
        }
    }

    /// Reads `[:name:]` or `[:^name:]`, if it is next.
    fn posix_class(&mut self, items: &mut String) -> Result<bool> {
        let before = self.rest;
        let Some((name, rest)) = before.strip_prefix("[:").and_then(|rest| rest.split_once(":]"))
        else {
            return Ok(false);
        };
        self.rest = rest;
        let (negation, name) = match name.strip_prefix('^') {
            Some(name) => ("^", name),
            None => ("", name),
        };
        let Some((_, ranges)) = POSIX_CLASSES.iter().find(|(known, _)| *known == name) else {
            return Err(refused("invalid character class range", self.read_since(before)));
        };
        let _ = write!(items, "[{negation}{ranges}]");
        Ok(true)
    }

    /// Reads `\d`, `\s`, `\w` or their opposites, if one is next. All are ASCII, and `\s` has no
    /// vertical tab.
    pub(super) fn perl_class(&mut self, items: &mut String) -> bool {
        let class = match self.rest.get(..2) {
            Some(r"\d") => "[0-9]",
            Some(r"\D") => "[^0-9]",
            Some(r"\s") => r"[\t\n\x0C\r\x20]",
            Some(r"\S") => r"[^\t\n\x0C\r\x20]",
            Some(r"\w") => "[0-9A-Z_a-z]",
            Some(r"\W") => "[^0-9A-Z_a-z]",
            _ => return false,
        };
        self.rest = &self.rest[2..];
        items.push_str(class);
        true
    }

    /// Reads `\pL`, `\p{Greek}`, `\P{^Lu}` and the like, if one is next.
    pub(super) fn unicode_class(&mut self, items: &mut String) -> Result<bool> {
        let before = self.rest;
        let Some(rest) = before.strip_prefix(r"\p").or_else(|| before.strip_prefix(r"\P")) else {
            return Ok(false);
        };
        let (name, rest) = match rest.strip_prefix('{') {
            Some(rest) => rest
                .split_once('}')
                .ok_or_else(|| refused("invalid character class range", before))?,
            None => rest.split_at(rest.chars().next().map_or(0, char::len_utf8)),
        };
        self.rest = rest;
        let mut negated = before.starts_with(r"\P");
        let name = match name.strip_prefix('^') {
            Some(name) => {
                negated = !negated;
                name
            }
            None => name,
        };
        let Some(property) = unicode_property(name) else {
            return Err(refused("invalid character class range", self.read_since(before)));
        };
        let _ = match property.as_str() {
            // Surrogates: no text holds one.
            "" if negated => write!(items, r"\x00-\x{{10FFFF}}"),
            "" => write!(items, "{NEVER}"),
            property => write!(items, r"\{}{{{property}}}", if negated { 'P' } else { 'p' }),
        };
        Ok(true)
    }
}

/// The property of a general category or of a script, as Rust names it; empty for the surrogates.
/// Names ignore case, spaces, hyphens and underscores. `None` for a name that Go does not have.
fn unicode_property(name: &str) -> Option<String> {
    if !name.is_ascii() {
        return None;
    }
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    if !name.chars().all(|c| c.is_ascii_alphanumeric()) || name.starts_with("is") {
        // Rust skips a leading `is`, and reads `x=y`; Go knows neither.
        return None;
    }
    if name == "cs" || name == "surrogate" {
        return Some(String::new());
    }
    let known = |property: &String| {
        regex_syntax::Parser::new().parse(&format!(r"\p{{{property}}}")).is_ok()
    };
    let category = Some(format!("gc={name}")).filter(known);
    let is_code = name.len() == 4 && !SCRIPTS_OF_FOUR_LETTERS.contains(&name.as_str());
    category.or_else(|| Some(format!("sc={name}")).filter(|_| !is_code).filter(known))
}
