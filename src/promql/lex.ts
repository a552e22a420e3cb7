/**
 * @file Splits a query into tokens, with Prometheus' rules and error texts.
 *
 * Follows `promql/parser/lex.go` (3.14): one state inside braces, one from `[` to the first number
 * after it, one elsewhere. What cannot be a token ends the list as a token of type `error`: it
 * only matters if the parser gets that far.
 */
import { goQuote, goQuoteRune } from './position.js';
import { durationWords, keywords, type Token, type TokenType } from './tokens.js';
import { scanString } from './unquote.js';

const alpha = /[A-Za-z_]/;
const digit = /[0-9]/;
const space = /[ \t\n\r]/;

/** Tokens of `query` in order; the last is of type `end`, or `error` with its text in `word`. */
export function lex(query: string): Token[] {
  return new Lexer(query).run();
}

class Lexer {
  private readonly tokens: Token[] = [];
  private position = 0;
  private parens = 0;
  private done = false;
  private inBraces = false;
  private inBrackets = false;
  private atDuration = false;
  private sawColon = false;
  private sawDuration = false;

  constructor(private readonly query: string) {}

  run(): Token[] {
    while (!this.done) {
      this.skipBlank();
      const char = this.query.charAt(this.position);
      if (char === '') {
        this.finish();
      } else if (this.inBraces) {
        this.insideBraces(char);
      } else if (this.atDuration) {
        this.insideBrackets(char);
      } else {
        this.outside(char);
      }
    }
    return this.tokens;
  }

  private finish(): void {
    this.done = true;
    if (this.inBraces) {
      this.fail(this.position, 'unexpected end of input inside braces');
    } else if (this.atDuration) {
      this.fail(this.position, 'unexpected end of input in duration expression');
    } else if (this.parens > 0) {
      this.fail(this.position, 'unclosed left parenthesis');
    } else if (this.inBrackets) {
      this.fail(this.position, 'unclosed left bracket');
    } else {
      this.emit('end', 0);
    }
  }

  private skipBlank(): void {
    for (;;) {
      const char = this.query.charAt(this.position);
      if (char === '#') {
        while (!'\r\n'.includes(this.query.charAt(this.position))) {
          this.position++;
        }
      } else if (char !== '' && space.test(char)) {
        this.position++;
      } else {
        return;
      }
    }
  }

  private outside(char: string): void {
    const next = this.query.charAt(this.position + 1);
    if (digit.test(char) || (char === '.' && digit.test(next))) {
      this.numberOrDuration();
    } else if (alpha.test(char) || char === ':') {
      this.word(char);
    } else if (char === '"' || char === "'" || char === '`') {
      this.string();
    } else if ('*/%+-^'.includes(char)) {
      this.emit('operator', 1);
    } else if (char === '<' || char === '>') {
      this.emit('operator', next === '=' || next === '/' ? 2 : 1);
    } else if (char === '=' && next !== '~') {
      this.emit('operator', next === '=' ? 2 : 1);
    } else if (char === '=') {
      this.fail(this.position, "unexpected character after '=': '~'");
    } else if (char === '!' && next === '=') {
      this.emit('operator', 2);
    } else if (char === '!') {
      this.fail(this.position, `unexpected character after '!': ${goQuoteRune(next)}`);
    } else if ('(){[],@]'.includes(char)) {
      this.bracket(char);
    } else {
      this.fail(this.position, `unexpected character: ${goQuoteRune(this.codePoint())}`);
    }
  }

  private word(char: string): void {
    if (!this.inBrackets) {
      this.keywordOrIdentifier();
      return;
    }
    const word = /^[A-Za-z_]+/.exec(this.rest(16))?.[0] ?? '';
    if (char === ':') {
      if (this.sawColon) {
        this.fail(this.position, "unexpected colon ':'");
        return;
      }
      this.sawColon = true;
      this.emit('punctuation', 1);
    } else if (durationWords.has(word.toLowerCase())) {
      this.emit('keyword', word.length);
    } else {
      this.fail(this.position, `unexpected character: ${goQuoteRune(char)}, expected ':'`);
    }
  }

  private bracket(char: string): void {
    if (char === ')' && this.parens === 0) {
      this.fail(this.position + 1, "unexpected right parenthesis ')'");
      return;
    }
    if (char === '[' && this.inBrackets) {
      this.fail(this.position, "unexpected left bracket '['");
      return;
    }
    if (char === ']' && !this.inBrackets) {
      this.fail(this.position, "unexpected right bracket ']'");
      return;
    }
    this.emit('punctuation', 1);
    if (char === '(') {
      this.parens++;
    } else if (char === ')') {
      this.parens--;
    } else if (char === '{') {
      this.inBraces = true;
    } else if (char === '[') {
      this.inBrackets = true;
      this.atDuration = true;
      this.sawColon = false;
      this.sawDuration = false;
    } else if (char === ']') {
      this.inBrackets = false;
      this.atDuration = false;
    }
  }

  private insideBraces(char: string): void {
    const next = this.query.charAt(this.position + 1);
    if (alpha.test(char)) {
      this.emit('identifier', this.lengthOf(/[A-Za-z0-9_]*/y));
    } else if (char === '"' || char === "'" || char === '`') {
      this.string();
    } else if (char === ',') {
      this.emit('punctuation', 1);
    } else if (char === '}') {
      this.emit('punctuation', 1);
      this.inBraces = false;
    } else if (char === '=') {
      this.emit('operator', next === '~' ? 2 : 1);
    } else if (char === '!' && (next === '=' || next === '~')) {
      this.emit('operator', 2);
    } else if (char === '!') {
      const text = `unexpected character after '!' inside braces: ${goQuoteRune(next)}`;
      this.fail(this.position, text);
    } else if (char === '{') {
      this.fail(this.position, "unexpected left brace '{'");
    } else {
      const text = `unexpected character inside braces: ${goQuoteRune(this.codePoint())}`;
      this.fail(this.position, text);
    }
  }

  /** From `[` to the first number; then the ordinary state goes on. */
  private insideBrackets(char: string): void {
    const start = this.position;
    if (digit.test(char) || (char === '.' && digit.test(this.query.charAt(start + 1)))) {
      this.sawDuration = true;
      this.atDuration = false;
      this.numberOrDuration();
    } else if (char === ':') {
      const text = this.sawDuration
        ? 'unexpected repeated colon in duration expression'
        : 'unexpected colon before duration in duration expression';
      this.fail(start + 1, text);
    } else if ('+-*/%^'.includes(char)) {
      this.emit('operator', 1);
    } else if ('(),]'.includes(char)) {
      this.bracket(char);
    } else {
      const word = /^[A-Za-z_]+/.exec(this.rest(16))?.[0] ?? '';
      if (durationWords.has(word.toLowerCase())) {
        this.emit('keyword', word.length);
        // `step()` needs no number before a colon; nothing but a number sets it otherwise.
        this.atDuration = false;
        return;
      }
      const shown = goQuoteRune(this.codePoint());
      this.fail(start, `unexpected character in duration expression: ${shown}`);
    }
  }

  private keywordOrIdentifier(): void {
    const length = this.lengthOf(/[A-Za-z0-9_:]*/y);
    const word = this.query.slice(this.position, this.position + length);
    const type = keywords.get(word.toLowerCase());
    const after = this.query.slice(this.position + length, this.position + length + 64);
    if (/^fill(_left|_right)?$/i.test(word) && !/^[ \t\n\r]*\(/.test(after)) {
      this.emit('identifier', length);
    } else if (type !== undefined) {
      this.emit(type, length);
    } else {
      this.emit(word.includes(':') ? 'metric identifier' : 'identifier', length);
    }
  }

  private numberOrDuration(): void {
    const number = this.lengthOf(numberPattern);
    const following = this.query.charAt(this.position + number);
    if (number > 0 && !/[A-Za-z0-9_.]/.test(following)) {
      this.emit('number', number);
      return;
    }
    const duration = this.lengthOf(durationPattern);
    if (duration > 0) {
      this.emit('duration', duration);
      return;
    }
    const bad = this.query.slice(this.position, this.position + this.lengthOf(badNumberPattern));
    this.fail(this.position, `bad number or duration syntax: ${goQuote(bad)}`);
  }

  private string(): void {
    const start = this.position;
    const literal = scanString(this.query, start);
    if (typeof literal === 'number') {
      this.emit('string', literal);
    } else {
      this.fail(start, literal.problem);
    }
  }

  private emit(type: TokenType, length: number): void {
    const start = this.position;
    const text = this.query.slice(start, start + length);
    const folds = type === 'keyword' || type === 'operator' || type === 'aggregator';
    const word = folds ? text.toLowerCase() : text;
    this.tokens.push({ type, text, word, start, end: start + length });
    this.position = start + length;
  }

  private fail(offset: number, message: string): void {
    this.done = true;
    this.tokens.push({ type: 'error', text: '', word: message, start: offset, end: offset });
  }

  /** Length of the match of a sticky pattern at the current position. */
  private lengthOf(pattern: RegExp): number {
    pattern.lastIndex = this.position;
    return pattern.exec(this.query)?.[0].length ?? 0;
  }

  private rest(length: number): string {
    return this.query.slice(this.position, this.position + length);
  }

  private codePoint(): string {
    return String.fromCodePoint(this.query.codePointAt(this.position) ?? 0);
  }
}

/** Decimal with single underscores between digits and an exponent, or hexadecimal. */
const numberPattern = sticky(
  '0[xX]_?[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*',
  '(?:[0-9]+(?:_[0-9]+)*\\.?|\\.[0-9])(?:[0-9]+(?:_[0-9]+)*)?(?:[eE][+-]?[0-9]+(?:_[0-9]+)*)?',
);

/** One unit after each number; the order of units is judged when the duration is read. */
const durationPattern = /[0-9]+(?:[smhdwy]s?)(?:[0-9]+[smhdw]s?)*(?![A-Za-z0-9_])/y;

/** As far as Prometheus reads into what turns out to be neither. */
const badNumberPattern =
  /[0-9_]*(?:\.[0-9_]*)?\.?(?:[eE][+-]?[0-9_]*)?(?:[smhdwy]s?(?:[0-9]+[smhdw]?s?)*)?/y;

function sticky(...alternatives: readonly string[]): RegExp {
  return new RegExp(alternatives.join('|'), 'y');
}
