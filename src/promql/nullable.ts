/**
 * @file Whether a matcher accepts the empty text, which decides if a selector is allowed.
 *
 * Regular expressions of users run in the engine only, and parsing has no engine, so this asks the
 * structure of the pattern instead: can each of its parts be empty? Exact for Go's syntax, but for
 * `\b`, which is never true in the empty text. A pattern that is seen to be malformed matches
 * nothing here, so that the engine has its say about it.
 */
import type { LabelMatcher } from '../storage/querier.js';

export function matchesEmpty(matcher: LabelMatcher): boolean {
  switch (matcher.op) {
    case '=':
      return matcher.value === '';
    case '!=':
      return matcher.value !== '';
    case '=~':
      return nullability(matcher.value) ?? false;
    case '!~':
      return !(nullability(matcher.value) ?? true);
  }
}

/** Whether a regular expression in Go's syntax matches the empty text. */
export function isNullable(pattern: string): boolean {
  return nullability(pattern) ?? false;
}

/** The same; undefined for what cannot be a regular expression. */
function nullability(pattern: string): boolean | undefined {
  const walker = new Walker(pattern);
  const empty = walker.alternation();
  return walker.malformed ? undefined : empty;
}

/** Go's limit on nested groups (`regexp/syntax`, `maxHeight`). */
const maxDepth = 1000;

/** A recursive-descent walk that keeps nothing but "may be empty so far". */
class Walker {
  /** Whether brackets, a repetition or an escape were seen to be wrong. */
  malformed = false;
  private at = 0;
  private depth = 0;

  constructor(private readonly pattern: string) {}

  /** Reads to the end or to the closing parenthesis, which it consumes. */
  alternation(): boolean {
    let any = false;
    let branch = true;
    for (;;) {
      const char = this.pattern.charAt(this.at);
      if (char === '' || char === ')') {
        this.at++;
        this.malformed ||= (char === '') === this.depth > 0;
        return any || branch;
      }
      if (char === '|') {
        this.at++;
        any ||= branch;
        branch = true;
        continue;
      }
      const atom = this.atom(char);
      branch = this.repetition(atom) && branch;
    }
  }

  private atom(char: string): boolean {
    this.at++;
    switch (char) {
      case '(':
        return this.group();
      case '[':
        this.skipClass();
        return false;
      case '\\':
        return this.escape();
      case '^':
      case '$':
        return true;
      case '*':
      case '+':
      case '?':
        this.malformed = true;
        return true;
      default:
        return false;
    }
  }

  private group(): boolean {
    const flags = /^\?(?:[imsU-]*(?<end>[:)])|P?<[^>]*>)/.exec(this.pattern.slice(this.at));
    if (flags !== null) {
      this.at += flags[0].length;
      if (flags.groups?.end === ')') {
        return true;
      }
    }
    if (++this.depth > maxDepth) {
      // Go's own parser refuses such a pattern.
      this.at = this.pattern.length;
      return false;
    }
    const empty = this.alternation();
    this.depth--;
    return empty;
  }

  private skipClass(): void {
    if (this.pattern.charAt(this.at) === '^') {
      this.at++;
    }
    // A `]` in first place is a literal.
    for (let first = true; ; first = false) {
      const char = this.pattern.charAt(this.at++);
      this.malformed ||= char === '';
      if (char === '' || (char === ']' && !first)) {
        return;
      }
      if (char === '\\') {
        this.at++;
      } else if (char === '[' && this.pattern.charAt(this.at) === ':') {
        const close = this.pattern.indexOf(':]', this.at);
        this.at = close < 0 ? this.at : close + 2;
      }
    }
  }

  private escape(): boolean {
    const char = this.pattern.charAt(this.at++);
    this.malformed ||= char === '';
    if (char === 'Q') {
      const close = this.pattern.indexOf('\\E', this.at);
      const end = close < 0 ? this.pattern.length : close;
      const empty = end === this.at;
      this.at = close < 0 ? end : close + 2;
      return empty;
    }
    if ((char === 'p' || char === 'P' || char === 'x') && this.pattern.charAt(this.at) === '{') {
      const close = this.pattern.indexOf('}', this.at);
      this.at = close < 0 ? this.pattern.length : close + 1;
    }
    return char === 'A' || char === 'z' || char === 'B' || char === 'E';
  }

  private repetition(atom: boolean): boolean {
    let empty = atom;
    for (let operators = 0; ; operators++) {
      const found = /^(?:[*+?]|\{(\d+)(?:,\d*)?\})/.exec(this.pattern.slice(this.at, this.at + 16));
      if (found === null) {
        return empty;
      }
      const [text, least] = found;
      this.at += text.length;
      // Only a question mark may follow, which makes it lazy.
      this.malformed ||= operators > 1 || (operators === 1 && text !== '?');
      empty ||= text === '*' || text === '?' || (least !== undefined && Number(least) === 0);
    }
  }
}
