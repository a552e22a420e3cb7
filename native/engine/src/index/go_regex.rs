//! Go's regular expressions, written anew in the syntax of Rust's `regex`.
//!
//! Prometheus promises Go's RE2 syntax. Rust's engine has the same automata and the same
//! leftmost-first matches, but another syntax: it refuses `\Q..\E`, `\101`, `[[]`, `a{,2}` and
//! `{`, reads `[a&&b]`, `[~~]`, `\<` and `\w` otherwise, and accepts `a{1001}` and `x**`. So a
//! pattern is read here as Go reads it and each piece is written down in a form that leaves Rust
//! no choice: flags are attached to every piece, classes hold code points only.
//!
//! Source of the syntax: Go 1.26, `regexp/syntax`, `Parse` with the flags `Perl | DotNL`, which is
//! what Prometheus 3.14 uses. `tests/fixtures/go-regexp.json` holds answers recorded from Go.
//!
//! Deviations from Go: nesting ends at [`MAX_HEIGHT`] instead of 1,000, a pattern at
//! [`MAX_PATTERN_BYTES`], and large classes a thousand times over (`\pL{1000}`) are too large;
//! scripts that Unicode added after version 15 exist, and those with a name of several words,
//! which Go 1.26 cannot find; a group whose name begins with a digit or was given before can be
//! referred to by its number only.

mod class;

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// Groups and repetitions inside each other. The default of Rust's parser, whose later stages
/// recurse that deep; Go's 1,000 would need more stack than a worker thread has to spare.
pub const MAX_HEIGHT: u32 = 250;

/// Bytes of a pattern. Ten thousand host names joined by a dashboard take a quarter of that.
pub const MAX_PATTERN_BYTES: usize = 1 << 20;

/// Bytes of a compiled automaton. A Unicode class such as `\pL` takes 10 KiB, so some hundred
/// repetitions of one fit, and refusing a hostile pattern takes well under a second.
pub(super) const MAX_PROGRAM_BYTES: usize = 16 << 20;

/// Bytes of states that a running search may remember, for each thread that runs one.
pub(super) const MAX_CACHE_BYTES: usize = 1 << 20;

/// How deep Rust's parser may find a translated pattern: each level of Go's tree becomes at most
/// a group, a repetition, a sequence and an alternation.
pub(super) const TRANSLATED_NEST_LIMIT: u32 = 4 * MAX_HEIGHT + 16;

/// Go's bound on a repetition, and on the product of repetitions inside each other.
const MAX_REPEAT: u32 = 1000;

/// Characters of a pattern that an error repeats.
const MAX_SHOWN_CHARS: usize = 1000;

/// Matches nothing: a code point that no text can hold.
const NEVER: &str = r"[^\x00-\x{10FFFF}]";

/// Rewrites `pattern` from Go's syntax to Rust's, to be read with Rust's default flags. The result
/// stands for the same texts, has the same groups, and is not anchored.
///
/// # Errors
/// `bad_data` with Go's own words when Go would refuse the pattern, or when it passes a bound.
pub fn translate(pattern: &str) -> Result<String> {
    if pattern.len() > MAX_PATTERN_BYTES {
        return Err(Error::bad_data(format!(
            "error parsing regexp: expression too large: got {} bytes, want at most {MAX_PATTERN_BYTES}",
            pattern.len()
        )));
    }
    Translator::new(pattern).run()
}

/// Compiles `pattern`, in Go's syntax, so that it has to match a whole text: `^(?s:pattern)$`.
/// Groups have Go's numbers and names. Searching takes linear time.
///
/// # Errors
/// `bad_data`, see [`translate`].
pub fn compile(pattern: &str) -> Result<Regex> {
    let translated = translate(pattern)?;
    RegexBuilder::new(&format!(r"\A(?:{translated})\z"))
        .nest_limit(TRANSLATED_NEST_LIMIT)
        .size_limit(MAX_PROGRAM_BYTES)
        .dfa_size_limit(MAX_CACHE_BYTES)
        .build()
        .map_err(|cause| match cause {
            regex::Error::CompiledTooBig(_) => too_large(pattern),
            other => untranslatable(pattern, &other),
        })
}

/// A pattern whose automaton passes [`MAX_PROGRAM_BYTES`].
pub(super) fn too_large(pattern: &str) -> Error {
    refused("expression too large", pattern)
}

/// A translation that Rust refuses: a gap in this file.
pub(super) fn untranslatable(pattern: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::bad_data(format!("error parsing regexp: cannot compile `{}`: {cause}", shown(pattern)))
}

/// An error in the words and the shape of Go's: what is wrong, and the piece that is.
fn refused(what: &str, piece: &str) -> Error {
    Error::bad_data(format!("error parsing regexp: {what}: `{}`", shown(piece)))
}

/// A piece of a pattern as an error shows it: nobody reads the end of a long one.
fn shown(piece: &str) -> Cow<'_, str> {
    match piece.char_indices().nth(MAX_SHOWN_CHARS) {
        None => Cow::Borrowed(piece),
        Some((end, _)) => Cow::Owned(format!("{}…", &piece[..end])),
    }
}

/// The flags in force at one point of the pattern.
#[derive(Clone, Copy)]
struct Flags {
    /// `i`: letters match in either case.
    fold_case: bool,
    /// `m`: `^` and `$` match at lines.
    multi_line: bool,
    /// `s`: `.` matches a newline; set at the start.
    dot_newline: bool,
    /// `U`: repetitions are lazy unless marked.
    swap_greed: bool,
}

/// A finished piece that a repetition sign would apply to.
#[derive(Clone, Copy)]
struct Atom {
    /// Where it begins in [`Group::out`].
    start: usize,
    /// The largest product of repetition counts on a path through it.
    repeats: u32,
    /// Groups and repetitions inside each other.
    height: u32,
}

/// An open group; the outermost is the pattern itself.
struct Group {
    /// The flags to return to when it closes.
    outer_flags: Flags,
    /// What was written for it so far, its opening parenthesis included.
    out: String,
    /// The last piece, unless nothing came since the start or a `|`.
    last: Option<Atom>,
    repeats: u32,
    height: u32,
}

impl Group {
    fn new(outer_flags: Flags, opening: &str) -> Self {
        Self { outer_flags, out: opening.to_owned(), last: None, repeats: 1, height: 0 }
    }

    /// Declares that what was written from `start` on is one piece.
    fn atom(&mut self, start: usize, repeats: u32, height: u32) {
        self.last = Some(Atom { start, repeats, height });
        self.repeats = self.repeats.max(repeats);
        self.height = self.height.max(height);
    }
}

/// How often a piece may repeat.
struct Repetition<'p> {
    /// The sign as Rust reads it too.
    sign: &'p str,
    /// The lower and the upper count, for signs in braces.
    counts: Option<(u32, Option<u32>)>,
}

struct Translator<'p> {
    pattern: &'p str,
    /// What is still to be read.
    rest: &'p str,
    flags: Flags,
    /// The groups around the current one, outermost first.
    outer: Vec<Group>,
    group: Group,
    names: Vec<&'p str>,
    /// The pattern from the repetition sign just read on, if the last thing read was one.
    after_repeat: Option<&'p str>,
}

impl<'p> Translator<'p> {
    fn new(pattern: &'p str) -> Self {
        let flags =
            Flags { fold_case: false, multi_line: false, dot_newline: true, swap_greed: false };
        Self {
            pattern,
            rest: pattern,
            flags,
            outer: Vec::new(),
            group: Group::new(flags, ""),
            names: Vec::new(),
            after_repeat: None,
        }
    }

    fn run(mut self) -> Result<String> {
        while let Some(c) = self.rest.chars().next() {
            let before = self.rest;
            let repeated = match c {
                '*' | '+' | '?' => {
                    let (sign, rest) = self.rest.split_at(1);
                    self.rest = rest;
                    self.repeat(before, &Repetition { sign, counts: None })?;
                    true
                }
                '{' => self.braces()?,
                _ => {
                    self.piece(c)?;
                    false
                }
            };
            self.after_repeat = repeated.then_some(before);
        }
        if !self.outer.is_empty() {
            return Err(refused("missing closing )", self.pattern));
        }
        Ok(self.group.out)
    }

    /// Reads one thing that is not a repetition.
    fn piece(&mut self, c: char) -> Result<()> {
        match c {
            '(' if self.rest.starts_with("(?") => return self.special_group(),
            '(' => {
                self.rest = &self.rest[1..];
                return self.open("(");
            }
            ')' => {
                self.rest = &self.rest[1..];
                return self.close();
            }
            '[' => return self.class(),
            '\\' => return self.escape(),
            _ => self.rest = &self.rest[c.len_utf8()..],
        }
        match c {
            '|' => {
                self.group.out.push('|');
                self.group.last = None;
            }
            '^' => self.atom(if self.flags.multi_line { "(?m:^)" } else { r"\A" }),
            '$' => self.atom(if self.flags.multi_line { "(?m:$)" } else { r"\z" }),
            '.' => self.atom(if self.flags.dot_newline { "(?s:.)" } else { r"[^\n]" }),
            _ => self.literal(c),
        }
        Ok(())
    }

    /// Writes a piece that is translated already.
    fn atom(&mut self, text: &str) {
        let start = self.group.out.len();
        self.group.out.push_str(text);
        self.group.atom(start, 1, 1);
    }

    /// Writes one character.
    fn literal(&mut self, c: char) {
        let start = self.group.out.len();
        let fold = self.flags.fold_case && c.is_alphabetic();
        let out = &mut self.group.out;
        if fold {
            out.push_str("(?i:");
        }
        regex_syntax::escape_into(c.encode_utf8(&mut [0; 4]), out);
        if fold {
            out.push(')');
        }
        self.group.atom(start, 1, 1);
    }

    fn open(&mut self, opening: &str) -> Result<()> {
        // Checked on the way in, so that a million parentheses take no memory.
        if self.outer.len() as u32 >= MAX_HEIGHT {
            return Err(self.too_deep());
        }
        let inner = Group::new(self.flags, opening);
        self.outer.push(std::mem::replace(&mut self.group, inner));
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        let Some(outer) = self.outer.pop() else {
            return Err(refused("unexpected )", self.pattern));
        };
        let inner = std::mem::replace(&mut self.group, outer);
        self.flags = inner.outer_flags;
        let height = inner.height + 1;
        if height > MAX_HEIGHT {
            return Err(self.too_deep());
        }
        let start = self.group.out.len();
        self.group.out.push_str(&inner.out);
        self.group.out.push(')');
        self.group.atom(start, inner.repeats, height);
        Ok(())
    }

    fn too_deep(&self) -> Error {
        refused("expression nests too deeply", self.pattern)
    }

    /// Reads what follows `(?`: a named group, flags, or a group with flags.
    fn special_group(&mut self) -> Result<()> {
        let before = self.rest;
        for opening in ["(?P<", "(?<"] {
            if let Some(rest) = before.strip_prefix(opening).filter(|rest| !rest.is_empty()) {
                return self.named_group(before, rest);
            }
        }
        let mut flags = self.flags;
        let (mut negative, mut saw_flag) = (false, false);
        self.rest = &before[2..];
        while let Some(c) = self.rest.chars().next() {
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                'i' => flags.fold_case = !negative,
                'm' => flags.multi_line = !negative,
                's' => flags.dot_newline = !negative,
                'U' => flags.swap_greed = !negative,
                '-' if !negative => {
                    (negative, saw_flag) = (true, false);
                    continue;
                }
                ':' if !negative || saw_flag => {
                    self.open("(?:")?;
                    self.flags = flags;
                    return Ok(());
                }
                ')' if !negative || saw_flag => {
                    self.flags = flags;
                    return Ok(());
                }
                _ => break,
            }
            saw_flag = true;
        }
        Err(refused("invalid or unsupported Perl syntax", self.read_since(before)))
    }

    /// Reads `name>`; `before` begins at the group's parenthesis, `rest` at the name.
    fn named_group(&mut self, before: &'p str, rest: &'p str) -> Result<()> {
        let Some((name, rest)) = rest.split_once('>') else {
            return Err(refused("invalid named capture", before));
        };
        self.rest = rest;
        let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if name.is_empty() || !name.chars().all(word) {
            return Err(refused("invalid named capture", self.read_since(before)));
        }
        // Rust has no names that begin with a digit or occur twice.
        if name.starts_with(|c: char| c.is_ascii_digit()) || self.names.contains(&name) {
            return self.open("(");
        }
        self.names.push(name);
        self.open(&format!("(?P<{name}>"))
    }

    /// Reads `{n}`, `{n,}` or `{n,m}`; any other brace is a literal. Returns whether it was a
    /// repetition.
    fn braces(&mut self) -> Result<bool> {
        let before = self.rest;
        let Some((counts, rest)) = counts(before) else {
            self.rest = &before[1..];
            self.literal('{');
            return Ok(false);
        };
        self.rest = rest;
        let sign = self.read_since(before);
        let (min, max) = counts;
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(refused("invalid repeat count", sign));
        }
        self.repeat(before, &Repetition { sign, counts: Some(counts) })?;
        Ok(true)
    }

    /// Repeats the last piece; the sign is read, a `?` behind it is not.
    fn repeat(&mut self, before: &'p str, repetition: &Repetition<'p>) -> Result<()> {
        let mut lazy = self.flags.swap_greed;
        if let Some(rest) = self.rest.strip_prefix('?') {
            lazy = !lazy;
            self.rest = rest;
        }
        if let Some(first) = self.after_repeat {
            return Err(refused("invalid nested repetition operator", self.read_since(first)));
        }
        let Some(atom) = self.group.last else {
            let sign = self.read_since(before);
            return Err(refused("missing argument to repetition operator", sign));
        };
        let height = atom.height + 1;
        if height > MAX_HEIGHT {
            return Err(self.too_deep());
        }
        let repeats = match repetition.counts {
            None => atom.repeats,
            Some((_, Some(0))) => 1,
            Some((min, max)) => atom.repeats.saturating_mul(max.unwrap_or(min).max(1)),
        };
        let counted = repetition.counts.is_some_and(|(min, max)| min.max(max.unwrap_or(0)) >= 2);
        if counted && repeats > MAX_REPEAT {
            return Err(refused("invalid repeat count", self.read_since(before)));
        }
        let out = &mut self.group.out;
        out.insert_str(atom.start, "(?:");
        out.push(')');
        out.push_str(repetition.sign);
        if lazy {
            out.push('?');
        }
        self.group.atom(atom.start, repeats, height);
        Ok(())
    }

    /// Reads a backslash outside a class.
    fn escape(&mut self) -> Result<()> {
        let before = self.rest;
        let known = match before.as_bytes().get(1) {
            Some(b'A') => r"\A",
            Some(b'z') => r"\z",
            Some(b'b') => r"(?-u:\b)",
            Some(b'B') => r"(?-u:\B)",
            Some(b'C') => return Err(refused("invalid escape sequence", &before[..2])),
            Some(b'Q') => {
                let (quoted, rest) = before[2..].split_once(r"\E").unwrap_or((&before[2..], ""));
                quoted.chars().for_each(|c| self.literal(c));
                self.rest = rest;
                return Ok(());
            }
            _ => return self.escaped_class_or_literal(),
        };
        self.rest = &before[2..];
        self.atom(known);
        Ok(())
    }

    fn escaped_class_or_literal(&mut self) -> Result<()> {
        let mut items = String::new();
        if self.unicode_class(&mut items)? || self.perl_class(&mut items) {
            self.class_atom(false, &items);
            return Ok(());
        }
        match char::from_u32(self.escaped_code_point()?) {
            Some(c) => self.literal(c),
            // A surrogate, which Go allows and no text holds.
            None => self.atom(NEVER),
        }
        Ok(())
    }

    /// Reads a backslash and what it stands for: one code point, perhaps a surrogate.
    fn escaped_code_point(&mut self) -> Result<u32> {
        let before = self.rest;
        let mut chars = before[1..].chars();
        let Some(c) = chars.next() else {
            return Err(refused("trailing backslash at end of expression", ""));
        };
        self.rest = chars.as_str();
        let octal_follows = self.rest.starts_with(|c: char| c.is_digit(8));
        let code = match c {
            '0' => Some(self.octal(0)),
            // One digit alone would be a backreference.
            '1'..='7' if octal_follows => c.to_digit(8).map(|digit| self.octal(digit)),
            'x' => self.hexadecimal(),
            'a' => Some(0x07),
            'f' => Some(0x0C),
            'n' => Some(0x0A),
            'r' => Some(0x0D),
            't' => Some(0x09),
            'v' => Some(0x0B),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(c as u32),
            _ => None,
        };
        code.ok_or_else(|| refused("invalid escape sequence", self.read_since(before)))
    }

    /// Reads up to two more octal digits.
    fn octal(&mut self, first: u32) -> u32 {
        let mut code = first;
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
            code = code * 8 + digit;
            self.rest = &self.rest[1..];
        }
        code
    }

    /// Reads two hexadecimal digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            let second = self.next()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut code = None;
        loop {
            let c = self.next()?;
            if c == '}' {
                return code;
            }
            let value = code.unwrap_or(0) * 16 + c.to_digit(16)?;
            if value > char::MAX as u32 {
                return None;
            }
            code = Some(value);
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    /// The piece of the pattern from `before` to what is still to be read.
    fn read_since(&self, before: &'p str) -> &'p str {
        &before[..before.len() - self.rest.len()]
    }
}

/// Splits `{n}`, `{n,}` or `{n,m}` off; `None` when `text` does not begin so.
fn counts(text: &str) -> Option<((u32, Option<u32>), &str)> {
    let (min, rest) = count(text.strip_prefix('{')?)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some(((min, Some(min)), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some(((min, None), rest));
    }
    let (max, rest) = count(rest)?;
    Some(((min, Some(max)), rest.strip_prefix('}')?))
}

/// Splits a decimal number without leading zeros off; one that is too large becomes the maximum.
fn count(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    (!digits.is_empty() && !leading_zero).then(|| (digits.parse().unwrap_or(u32::MAX), rest))
}

#[cfg(test)]
mod tests;
