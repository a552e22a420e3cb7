/**
 * @file Durations in `[…]` and behind `offset`, arithmetic included, and the time behind `@`.
 *
 * Follows the rules `duration_expr` and `offset_duration_expr` of Prometheus'
 * `generated_parser.y` (3.14). Numbers are seconds.
 */
import type { AtModifier, Duration, Span } from './ast.js';
import { formatFloat } from './format-float.js';
import { parseNumber } from './parse-number.js';
import type { TokenStream } from './token-stream.js';

const precedence: Readonly<Record<string, number>> = {
  '+': 1,
  '-': 1,
  '*': 2,
  '/': 2,
  '%': 2,
  '^': 3,
};

/** Deeper arithmetic is refused. */
const maxDepth = 50;

/** 2^63 nanoseconds in seconds, as Go's `time.Duration`. */
const maxSeconds = 2 ** 63 / 1e9;

type BinaryDurationOp = Extract<Duration, { kind: 'binary' }>['op'];

export class DurationParser {
  private depth = 0;
  private context = '';
  private expected = '';

  constructor(private readonly tokens: TokenStream) {}

  /** A duration in brackets; `more` ends the list of what the error text says was expected. */
  positive(context: string, more: string): Duration {
    this.context = context;
    const words = 'number, duration, step()';
    this.expected = more === '' ? `${words}, or range()` : `${words}, range()${more}`;
    const duration = this.expression(1);
    if (duration.kind === 'fixed' && duration.ms <= 0) {
      this.tokens.fail(duration.span.start, 'duration must be greater than 0');
    }
    return duration;
  }

  /** The duration behind `offset`: signed, arithmetic in parentheses only. */
  offset(): Duration {
    this.context = 'offset';
    this.expected = 'number, duration, step(), or range()';
    return this.signed();
  }

  /** What stands behind `@`; `selectorStart` is where errors about it point to. */
  at(selectorStart: number): AtModifier {
    const { tokens } = this;
    const token = tokens.peek();
    if (token.type === 'keyword' && (token.word === 'start' || token.word === 'end')) {
      tokens.next();
      for (const paren of ['(', ')']) {
        if (!tokens.takePunctuation(paren)) {
          tokens.unexpected('@', 'timestamp');
        }
      }
      return { kind: token.word };
    }
    const sign = token.text === '-' || token.text === '+' ? tokens.next().text : '+';
    const number = tokens.peek();
    if (number.type !== 'number' && number.type !== 'duration') {
      tokens.unexpected('@', 'timestamp');
    }
    tokens.next();
    const seconds = parseNumber(tokens, number) * (sign === '-' ? -1 : 1);
    if (!(Math.abs(seconds) < 2 ** 63)) {
      // Numbers of this size are whole, and `toFixed` would use an exponent.
      const text = Number.isFinite(seconds) ? `${BigInt(seconds)}.000000` : formatFloat(seconds);
      tokens.fail(selectorStart, `timestamp out of bounds for @ modifier: ${text}`);
    }
    return { kind: 'time', ms: Math.round(seconds * 1000) };
  }

  private expression(least: number): Duration {
    this.enter();
    let left = this.signed();
    for (;;) {
      const token = this.tokens.peek();
      const binding = token.type === 'operator' ? (precedence[token.text] ?? 0) : 0;
      if (binding === 0 || binding < least) {
        this.depth--;
        return left;
      }
      this.tokens.next();
      const op = token.text as BinaryDurationOp;
      const right = this.expression(op === '^' ? binding : binding + 1);
      if ((op === '/' || op === '%') && right.kind === 'fixed' && right.ms === 0) {
        const text = op === '/' ? 'division by zero' : 'modulo by zero';
        this.tokens.fail(token.start, text);
      }
      const span = { start: left.span.start, end: right.span.end };
      left = { kind: 'binary', op, left, right, span };
    }
  }

  private signed(): Duration {
    const sign = this.tokens.peek();
    if (sign.text !== '-' && sign.text !== '+') {
      return this.primary();
    }
    this.enter();
    this.tokens.next();
    const of = this.context === 'offset' ? this.signed() : this.expression(3);
    this.depth--;
    const span: Span = { start: sign.start, end: of.span.end };
    if (of.kind === 'fixed') {
      return { kind: 'fixed', ms: sign.text === '-' ? -of.ms : of.ms, span };
    }
    return sign.text === '-' ? { kind: 'negate', of, span } : of;
  }

  private primary(): Duration {
    const { tokens } = this;
    const token = tokens.peek();
    if (token.type === 'number' || token.type === 'duration') {
      tokens.next();
      const seconds = parseNumber(tokens, token);
      if (!(Math.abs(seconds) <= maxSeconds)) {
        tokens.fail(token.start, 'duration out of range');
      }
      const span = { start: token.start, end: token.end };
      return { kind: 'fixed', ms: Math.round(seconds * 1000), span };
    }
    if (token.text === '(') {
      tokens.next();
      const { context } = this;
      this.context = 'duration';
      const of = this.expression(1);
      this.context = context;
      const span = { start: token.start, end: tokens.expectPunctuation(')').end };
      return { kind: 'paren', of, span };
    }
    if (token.type === 'keyword' && (token.word === 'step' || token.word === 'range')) {
      tokens.next();
      tokens.expectPunctuation('(');
      const span = { start: token.start, end: tokens.expectPunctuation(')').end };
      return { kind: token.word, span };
    }
    if (token.type === 'keyword' && (token.word === 'min_of' || token.word === 'max_of')) {
      tokens.next();
      tokens.expectPunctuation('(');
      const left = this.expression(1);
      tokens.expectPunctuation(',');
      const right = this.expression(1);
      const span = { start: token.start, end: tokens.expectPunctuation(')').end };
      return { kind: 'binary', op: token.word, left, right, span };
    }
    return tokens.unexpected(this.context, this.expected);
  }

  private enter(): void {
    if (++this.depth > maxDepth) {
      const text = `duration is nested more than ${maxDepth} levels deep`;
      this.tokens.fail(this.tokens.peek().start, text);
    }
  }
}
