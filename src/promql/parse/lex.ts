/**
 * @file Splits a query into tokens, with Prometheus' rules and error texts.
 *
 * lezer finds the structure of a query and has tokens of its own; these are here for what lezer
 * does not know: where Prometheus ends a token and refuses one, what an error text names, how
 * deep brackets are nested, and which spellings `spelling.ts` has to write otherwise.
 *
 * Follows `promql/parser/lex.go` (3.14): one state inside braces, one from `[` to the first number
 * after it, one elsewhere. What cannot be a token ends the list as a token of type `error`: it
 * only matters if the parser gets that far.
 */
import { goQuote, goQuoteRune } from '../position.js';
import { scanNumber } from './numbers.js';
import { scanString } from './strings.js';
import { durationWords, keywords, type Token, type TokenType } from './tokens.js';

const alpha = /[A-Za-z_]/;
const digit = /[0-9]/;

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
  /** Stays set behind the first brackets, as in Prometheus. */
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
    this.position += this.lengthOf(this.atDuration ? /[ \t\n\r]*/y : /(?:[ \t\n\r]|#[^\r\n]*)*/y);
  }

  private outside(char: string): void {
    const next = this.query.charAt(this.position + 1);
    if (digit.test(char) || (char === '.' && digit.test(next))) {
      this.number();
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
      this.fail(this.position, `unexpected character after '!': ${this.rune(this.position + 1)}`);
    } else if ('(){[],@]'.includes(char)) {
      this.bracket(char);
    } else {
      this.fail(this.position, `unexpected character: ${this.rune(this.position)}`);
    }
  }

  private word(char: string): void {
    if (!this.inBrackets) {
      this.keywordOrIdentifier();
    } else if (char !== ':') {
      if (!this.durationWord()) {
        const text = `unexpected character: ${goQuoteRune(char)}, expected ':'`;
        this.fail(this.position, text);
      }
    } else if (this.sawColon) {
      this.fail(this.position, "unexpected colon ':'");
    } else {
      this.sawColon = true;
      this.emit('punctuation', 1);
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
      const text = `unexpected character after '!' inside braces: ${this.rune(this.position + 1)}`;
      this.fail(this.position, text);
    } else if (char === '{') {
      this.fail(this.position, "unexpected left brace '{'");
    } else {
      const text = `unexpected character inside braces: ${this.rune(this.position)}`;
      this.fail(this.position, text);
    }
  }

  /** From `[` to the first number; then the ordinary state goes on. */
  private insideBrackets(char: string): void {
    const start = this.position;
    if (digit.test(char) || (char === '.' && digit.test(this.query.charAt(start + 1)))) {
      this.sawDuration = true;
      this.atDuration = false;
      this.number();
    } else if (char === ':') {
      if (!this.sawDuration) {
        this.fail(start + 1, 'unexpected colon before duration in duration expression');
      } else if (this.sawColon) {
        this.fail(start + 1, 'unexpected repeated colon in duration expression');
      } else {
        this.sawColon = true;
        this.emit('punctuation', 1);
      }
    } else if ('+-*/%^'.includes(char)) {
      this.emit('operator', 1);
    } else if ('(),]'.includes(char)) {
      this.bracket(char);
    } else if (!this.durationWord()) {
      const shown = this.rune(start);
      this.fail(start, `unexpected character in duration expression: ${shown}`);
    }
  }

  private durationWord(): boolean {
    const length = this.lengthOf(/[A-Za-z_]+/y);
    const word = this.query.slice(this.position, this.position + length);
    const known = durationWords.has(word.toLowerCase());
    if (known) {
      this.emit('keyword', length);
    }
    return known;
  }

  private keywordOrIdentifier(): void {
    const length = this.lengthOf(/[A-Za-z0-9_:]*/y);
    const word = this.query.slice(this.position, this.position + length);
    const type = keywords.get(word.toLowerCase());
    if (/^fill(_left|_right)?$/i.test(word)) {
      this.emit(this.lengthOf(/\w+[ \t\n\r]*\(/y) > 0 ? 'keyword' : 'identifier', length);
    } else if (type !== undefined) {
      this.emit(type, length);
    } else {
      this.emit(word.includes(':') ? 'metric identifier' : 'identifier', length);
    }
  }

  private number(): void {
    const { end, type } = scanNumber(this.query, this.position);
    if (type === undefined) {
      const bad = goQuote(this.query.slice(this.position, end));
      this.fail(this.position, `bad number or duration syntax: ${bad}`);
    } else {
      this.emit(type, end - this.position);
    }
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

  /** The character at an offset, as error texts show it. */
  private rune(at: number): string {
    const code = this.query.codePointAt(at);
    return goQuoteRune(code === undefined ? '' : String.fromCodePoint(code));
  }
}
