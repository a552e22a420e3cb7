//! What a matcher's value stands for: a set of texts, told apart by the cheapest way to test it.

use memchr::memmem::Finder;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, meta};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look};

use crate::error::{Error, Result};
use crate::index::go_regex;

/// Texts that a product such as `(a|b)(c|d)` may be multiplied out to. Looking up more than this
/// costs more than a scan with an automaton usually does.
const MAX_PRODUCT: usize = 256;

/// Bytes of all texts that one expression may be multiplied out to.
const MAX_TEXT_BYTES: usize = 4 * go_regex::MAX_PATTERN_BYTES;

/// Bytes of an automaton whose states are all computed ahead. Ordinary expressions need 1 to 4
/// KiB; one that passes this is searched with states computed as they are met.
const MAX_DENSE_BYTES: usize = 32 << 10;

/// Bytes of scratch to compute them in, which bounds the time too: about a millisecond.
const MAX_DETERMINIZE_BYTES: usize = 64 << 10;

/// A set of texts.
pub(super) struct Pattern {
    shape: Shape,
    prefix: String,
}

/// How membership is tested.
pub(super) enum Shape {
    /// One of these, sorted, none twice.
    Texts(Box<[String]>),
    /// Every text.
    Anything,
    /// Every text but the empty one.
    NotEmpty,
    /// The pattern's prefix, then texts in this order with anything between.
    Pieces(Pieces),
    /// All states computed ahead: a table lookup a byte.
    Dense(Box<Dense>),
    /// States computed as they are met, in bounded memory.
    Lazy(Box<meta::Regex>),
}

/// What follows the prefix in `prefix.*infix.*suffix`.
#[derive(Default)]
pub(super) struct Pieces {
    infixes: Vec<Finder<'static>>,
    suffix: String,
}

/// A compiled automaton that is only ever run over whole texts.
pub(super) struct Dense {
    automaton: dense::DFA<Vec<u32>>,
    start: StateID,
}

impl Pattern {
    /// Exactly `text`.
    pub(super) fn text(text: &str) -> Self {
        Self::of(Shape::Texts(Box::new([text.to_owned()])))
    }

    /// What the regular expression `value`, in Go's syntax, matches as a whole.
    ///
    /// # Errors
    /// `bad_data` when it is invalid or too large.
    pub(super) fn compile(value: &str) -> Result<Self> {
        if let Some(texts) = plain_alternatives(value) {
            return Ok(Self::of(sorted(texts)));
        }
        let translated = go_regex::translate(value)?;
        let hir = ParserBuilder::new()
            .nest_limit(go_regex::TRANSLATED_NEST_LIMIT)
            .build()
            .parse(&translated)
            .map_err(|cause| go_regex::untranslatable(value, &cause))?;
        if let Some(texts) = enumerate(&hir, true, true) {
            return Ok(Self::of(sorted(texts)));
        }
        let parts = unanchored(&hir);
        match parts {
            [only] if is_repeated_anything(only, 0) => return Ok(Self::of(Shape::Anything)),
            [only] if is_repeated_anything(only, 1) => return Ok(Self::of(Shape::NotEmpty)),
            _ => {}
        }
        let prefix = parts.first().and_then(literal).unwrap_or_default();
        if let Some(pieces) = Pieces::of(if prefix.is_empty() { parts } else { &parts[1..] }) {
            return Ok(Self { shape: Shape::Pieces(pieces), prefix });
        }
        Ok(Self { shape: automaton(value, &hir)?, prefix })
    }

    fn of(shape: Shape) -> Self {
        Self { shape, prefix: String::new() }
    }

    pub(super) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// What every text in the set begins with; not known for a list of texts.
    pub(super) fn prefix(&self) -> Option<&str> {
        (!self.prefix.is_empty()).then_some(self.prefix.as_str())
    }

    /// Whether `text` is in the set.
    #[inline]
    pub(super) fn contains(&self, text: &str) -> bool {
        match &self.shape {
            Shape::Texts(texts) => match &**texts {
                [only] => only == text,
                several => several.binary_search_by(|one| one.as_str().cmp(text)).is_ok(),
            },
            Shape::Anything => true,
            Shape::NotEmpty => !text.is_empty(),
            Shape::Pieces(pieces) => {
                text.strip_prefix(&self.prefix).is_some_and(|rest| pieces.accept(rest))
            }
            Shape::Dense(dense) => dense.accepts(text.as_bytes()),
            Shape::Lazy(regex) => {
                text.starts_with(&self.prefix)
                    && regex.is_match(Input::new(text).anchored(Anchored::Yes))
            }
        }
    }
}

impl Pieces {
    /// Reads `.*`, text, `.*`, text and so on, which begins with `.*`.
    fn of(parts: &[Hir]) -> Option<Self> {
        let mut pieces = Self::default();
        let mut texts = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            if i % 2 == 1 {
                texts.push(literal(part)?);
            } else if !is_repeated_anything(part, 0) {
                return None;
            }
        }
        match parts.len() {
            0 => return None,
            len if len % 2 == 0 => pieces.suffix = texts.pop()?,
            _ => {}
        }
        pieces.infixes.extend(texts.iter().map(|text| Finder::new(text).into_owned()));
        Some(pieces)
    }

    /// Whether `text`, without the prefix, is one of them. The first place of each infix is as good
    /// as any.
    #[inline]
    fn accept(&self, text: &str) -> bool {
        let Some(mut rest) = text.as_bytes().strip_suffix(self.suffix.as_bytes()) else {
            return false;
        };
        for infix in &self.infixes {
            match infix.find(rest) {
                Some(start) => rest = &rest[start + infix.needle().len()..],
                None => return false,
            }
        }
        true
    }
}

impl Dense {
    /// Runs over the whole text; a dead state ends it early.
    #[inline]
    fn accepts(&self, text: &[u8]) -> bool {
        let mut state = self.start;
        for byte in text {
            state = self.automaton.next_state(state, *byte);
            if self.automaton.is_dead_state(state) {
                return false;
            }
        }
        self.automaton.is_match_state(self.automaton.next_eoi_state(state))
    }
}

fn sorted(mut texts: Vec<String>) -> Shape {
    texts.sort_unstable();
    texts.dedup();
    Shape::Texts(texts.into_boxed_slice())
}

/// The texts of `a|b\.c|d`: what a dashboard makes of a choice of several values, which may be
/// hundreds of kilobytes. `None` when there is more to it than that.
fn plain_alternatives(value: &str) -> Option<Vec<String>> {
    let mut texts = vec![String::new()];
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '|' => {
                texts.push(String::new());
                continue;
            }
            '\\' => chars.next().filter(char::is_ascii_punctuation)?,
            '^' | '$' | '.' | '[' | '(' | ')' | '*' | '+' | '?' | '{' => return None,
            other => other,
        };
        texts.last_mut()?.push(c);
    }
    (value.len() <= go_regex::MAX_PATTERN_BYTES).then_some(texts)
}

/// All texts of `hir`, or `None` when they are too many. `first` and `last` say whether the text's
/// start and end are where the expression's are.
fn enumerate(hir: &Hir, first: bool, last: bool) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![std::str::from_utf8(&literal.0).ok()?.to_owned()]),
        HirKind::Class(Class::Unicode(class)) => {
            let len: usize = class.iter().map(|range| range.len()).sum();
            (len <= MAX_PRODUCT).then(|| {
                let ranges = class.iter().flat_map(|range| range.start()..=range.end());
                ranges.map(String::from).collect()
            })
        }
        HirKind::Look(Look::Start) if first => Some(vec![String::new()]),
        HirKind::Look(Look::End) if last => Some(vec![String::new()]),
        HirKind::Capture(capture) => enumerate(&capture.sub, first, last),
        HirKind::Repetition(repetition) if repetition.min == 0 && repetition.max == Some(1) => {
            let mut texts = enumerate(&repetition.sub, first, last)?;
            texts.push(String::new());
            Some(texts)
        }
        HirKind::Alternation(parts) => {
            let mut texts = Vec::new();
            for part in parts {
                texts.append(&mut enumerate(part, first, last)?);
            }
            Some(texts)
        }
        HirKind::Concat(parts) => {
            let mut texts = vec![String::new()];
            for (i, part) in parts.iter().enumerate() {
                let next = enumerate(part, first && i == 0, last && i + 1 == parts.len())?;
                texts = product(&texts, &next)?;
            }
            Some(texts)
        }
        _ => None,
    }
}

/// Every text of `left` followed by every text of `right`.
fn product(left: &[String], right: &[String]) -> Option<Vec<String>> {
    let bytes = |texts: &[String]| texts.iter().map(String::len).sum::<usize>();
    let total = bytes(left).saturating_mul(right.len()) + bytes(right).saturating_mul(left.len());
    let one_to_many = left.len() <= 1 || right.len() <= 1;
    if total > MAX_TEXT_BYTES || !one_to_many && left.len() * right.len() > MAX_PRODUCT {
        return None;
    }
    Some(left.iter().flat_map(|l| right.iter().map(move |r| format!("{l}{r}"))).collect())
}

/// The parts of a sequence without `^` before and `$` behind, which say nothing here.
fn unanchored(hir: &Hir) -> &[Hir] {
    let mut parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        HirKind::Capture(capture) => return unanchored(&capture.sub),
        _ => std::slice::from_ref(hir),
    };
    while let [first, rest @ ..] = parts
        && matches!(first.kind(), HirKind::Look(Look::Start))
    {
        parts = rest;
    }
    while let [rest @ .., last] = parts
        && matches!(last.kind(), HirKind::Look(Look::End))
    {
        parts = rest;
    }
    parts
}

/// Whether `hir` is any character, `min` times or more.
fn is_repeated_anything(hir: &Hir, min: u32) -> bool {
    match hir.kind() {
        HirKind::Capture(capture) => is_repeated_anything(&capture.sub, min),
        HirKind::Repetition(repetition) => {
            let any = matches!(repetition.sub.kind(), HirKind::Class(Class::Unicode(class))
                if matches!(class.ranges(), [all] if (all.start(), all.end()) == ('\0', char::MAX)));
            any && repetition.min == min && repetition.max.is_none()
        }
        _ => false,
    }
}

fn literal(hir: &Hir) -> Option<String> {
    match hir.kind() {
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok(),
        HirKind::Capture(capture) => literal(&capture.sub),
        _ => None,
    }
}

/// Compiles `hir` so that it matches whole texts.
fn automaton(value: &str, hir: &Hir) -> Result<Shape> {
    let whole = Hir::concat(vec![Hir::look(Look::Start), hir.clone(), Hir::look(Look::End)]);
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(go_regex::MAX_PROGRAM_BYTES)),
        )
        .build_from_hir(&whole)
        .map_err(|_| go_regex::too_large(value))?;
    let dense = dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Anchored)
                .accelerate(false)
                .dfa_size_limit(Some(MAX_DENSE_BYTES))
                .determinize_size_limit(Some(MAX_DETERMINIZE_BYTES)),
        )
        .build_from_nfa(&nfa);
    if let Ok(automaton) = dense {
        let from_start = start::Config::new().anchored(Anchored::Yes);
        let start = automaton
            .start_state(&from_start)
            .map_err(|cause| Error::internal(format!("no start state for {value:?}: {cause}")))?;
        return Ok(Shape::Dense(Box::new(Dense { automaton, start })));
    }
    let config = meta::Config::new()
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(go_regex::MAX_PROGRAM_BYTES))
        .hybrid_cache_capacity(go_regex::MAX_CACHE_BYTES)
        .dfa(false)
        .onepass(false);
    let regex = meta::Builder::new()
        .configure(config)
        .syntax(syntax::Config::new().nest_limit(go_regex::TRANSLATED_NEST_LIMIT))
        .build_from_hir(&whole)
        .map_err(|_| go_regex::too_large(value))?;
    Ok(Shape::Lazy(Box::new(regex)))
}
