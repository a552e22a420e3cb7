/**
 * @file What Prometheus says about a token that fits nowhere.
 *
 * lezer marks where it could not go on, and has no messages. Prometheus' parser goes back to the
 * innermost of the constructs it is in that has a rule for errors, and its text names that one. The
 * tokens in front of the wrong one tell which it is: the brackets that are open there, and the
 * word in front of each.
 *
 * Follows the rules with `error` in Prometheus' `generated_parser.y` (3.14).
 */
import { goQuote } from '../position.js';
import { describeToken, durationWords, opensOperand, type Token } from './tokens.js';

export interface Diagnosis {
  readonly start: number;
  readonly message: string;
}

/** Where the wrong token is, and what would have been right. */
interface Context {
  readonly inside: string;
  readonly expected: string;
}

/** Explains the token at `wrong`, which the tokens before it do not allow. */
export function diagnose(tokens: readonly Token[], wrong: number): Diagnosis {
  const token = tokens[wrong] as Token;
  if (token.type === 'error') {
    return { start: token.start, message: token.word };
  }
  return new Surroundings(tokens).explain(wrong);
}

const durationStart = 'number, duration, step(), or range()';
const offsetContext: Context = { inside: 'offset', expected: durationStart };

function unexpected(token: Token, context: Context | undefined): Diagnosis {
  const inside = context === undefined ? '' : ` in ${context.inside}`;
  const expected = context?.expected ? `, expected ${context.expected}` : '';
  return { start: token.start, message: `unexpected ${describeToken(token)}${inside}${expected}` };
}

class Surroundings {
  constructor(private readonly tokens: readonly Token[]) {}

  explain(wrong: number): Diagnosis {
    const token = this.tokens[wrong] as Token;
    const before = this.tokens[wrong - 1];
    const context = this.contextOf(wrong);
    if (context === undefined || context.inside === 'aggregation') {
      if (
        before?.type === 'identifier' &&
        token.text === '(' &&
        opensOperand(this.tokens, wrong - 1)
      ) {
        const message = `unknown function with name ${goQuote(before.text)}`;
        return { start: before.start, message };
      }
      if (before?.text === ',' && this.isCall(this.openBefore(wrong))) {
        const message = 'trailing commas not allowed in function call args';
        return { start: before.start, message };
      }
    }
    return unexpected(token, context);
  }

  /** The innermost construct around the token at `index` that has words for errors. */
  private contextOf(index: number): Context | undefined {
    for (let at = index; at >= 0; at = this.openBefore(at)) {
      const found =
        this.behindModifier(this.arithmeticStart(at)) ??
        this.behindGrouping(at) ??
        this.inBracket(at, index);
      if (found !== undefined) {
        return found;
      }
    }
    return undefined;
  }

  /**
   * Where the arithmetic begins that waits for an operand at `at`, if it is of durations: behind
   * `offset (1m) * 2 +` that is the parenthesis (`open-offset.ts`).
   */
  private arithmeticStart(at: number): number {
    let start = durationWords.has(this.word(at - 1)) ? at - 1 : at;
    while (/^[-+*/%^]$/.test(this.word(start - 1))) {
      start--;
      const operand = this.tokens[start - 1];
      if (operand?.text === ')') {
        start = this.openBefore(start - 1);
        start -= durationWords.has(this.word(start - 1)) ? 1 : 0;
      } else if (operand?.type === 'number' || operand?.type === 'duration') {
        start--;
      }
    }
    const opens =
      this.word(start) === '(' || /^[-+]{2}$/.test(this.word(start) + this.word(start + 1));
    return opens ? start : at;
  }

  /** `offset` and `@` wait for what belongs to them. */
  private behindModifier(at: number): Context | undefined {
    let start = at;
    if (/^(?:start|end)$/.test(this.word(start - 1)) && this.word(start - 2) === '@') {
      return { inside: '@', expected: 'timestamp' };
    }
    if (/^(?:step|range|min_of|max_of)$/.test(this.word(start - 1))) {
      start--;
    }
    while (/^[+-]$/.test(this.word(start - 1))) {
      start--;
    }
    if (this.word(start - 1) === '@') {
      return { inside: '@', expected: 'timestamp' };
    }
    const isOffset =
      this.word(start - 1) === 'offset' && this.tokens[start - 1]?.type === 'keyword';
    if (isOffset && !opensOperand(this.tokens, start - 1)) {
      return offsetContext;
    }
    return undefined;
  }

  /** `by`, `on` and their kin wait for labels; `sum by (a)` waits for its arguments. */
  private behindGrouping(at: number): Context | undefined {
    const last = at - 1;
    if (this.isGrouping(last)) {
      return { inside: 'grouping opts', expected: '"("' };
    }
    if (this.word(last) === ')') {
      const clause = this.openBefore(last) - 1;
      const operator = this.tokens[clause - 1];
      if (this.isGrouping(clause) && operator?.type === 'aggregator') {
        return { inside: 'aggregation', expected: '' };
      }
    }
    return undefined;
  }

  /** What the bracket in front of the token at `at` holds; `wrong` is the token in question. */
  private inBracket(at: number, wrong: number): Context | undefined {
    const open = this.openBefore(at);
    switch (this.word(open)) {
      case '{':
        return { inside: 'label matching', expected: this.expectedInBraces(wrong) };
      case '[':
        return this.inRange(open, at, wrong);
      case '(':
        if (this.isGrouping(open - 1)) {
          const atLabel = this.word(wrong - 1) === '(' || this.word(wrong - 1) === ',';
          return { inside: 'grouping opts', expected: atLabel ? 'label' : '"," or ")"' };
        }
        return this.tokens[open - 1]?.type === 'aggregator'
          ? { inside: 'aggregation', expected: '' }
          : undefined;
      default:
        return undefined;
    }
  }

  private expectedInBraces(wrong: number): string {
    const before = this.tokens[wrong - 1];
    switch (before?.type) {
      case 'identifier':
        return 'label matching operator';
      case 'operator':
        return 'string';
      case 'string':
        return '"," or "}"';
      default:
        return 'identifier or "}"';
    }
  }

  private inRange(open: number, at: number, wrong: number): Context {
    const before = this.tokens[wrong - 1];
    const ends = before?.type === 'number' || before?.type === 'duration' || before?.text === ')';
    const complete = at === wrong && ends;
    const colon = this.tokens.slice(open, at).some(({ text }) => text === ':');
    if (colon) {
      const expected = complete ? '"]"' : 'number, duration, step(), range(), or "]"';
      return { inside: 'subquery selector', expected };
    }
    return complete
      ? { inside: 'subquery or range', expected: '":" or "]"' }
      : { inside: 'subquery or range selector', expected: durationStart };
  }

  /** Whether labels follow the word at `index`: not where it is a metric name or a label. */
  private isGrouping(index: number): boolean {
    const before = this.tokens[index - 1];
    switch (this.tokens[index]?.type === 'keyword' ? this.word(index) : '') {
      case 'by':
      case 'without':
        return (
          before?.type === 'aggregator' ||
          (before?.text === ')' &&
            this.tokens[this.openBefore(index - 1) - 1]?.type === 'aggregator')
        );
      case 'on':
      case 'ignoring':
        return before?.type === 'operator' || before?.word === 'bool';
      case 'group_left':
      case 'group_right':
        return before?.text === ')';
      default:
        return false;
    }
  }

  /** Whether a parenthesis holds the arguments of a function or an aggregation. */
  private isCall(open: number): boolean {
    const before = this.tokens[open - 1];
    return (
      this.word(open) === '(' &&
      (before?.type === 'identifier' ||
        before?.type === 'aggregator' ||
        before?.type === 'keyword' ||
        before?.text === ')')
    );
  }

  /** The bracket that is open before a token, or -1. */
  private openBefore(index: number): number {
    let closed = 0;
    for (let at = index - 1; at >= 0; at--) {
      const { type, text } = this.tokens[at] as Token;
      if (type !== 'punctuation') {
        continue;
      }
      if (text === ')' || text === ']' || text === '}') {
        closed++;
      } else if (text === '(' || text === '[' || text === '{') {
        if (closed-- === 0) {
          return at;
        }
      }
    }
    return -1;
  }

  private word(index: number): string {
    return this.tokens[index]?.word ?? '';
  }
}
