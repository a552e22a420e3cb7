/**
 * @file The text that lezer reads instead of a query: as long, character by character in the same
 * places, with other spellings where its grammar lacks Prometheus' (`@prometheus-io/lezer-promql`
 * 0.315).
 *
 * So its tree fits the query, and values are read from the query itself. The spellings, as far as
 * lexer and grammar of Prometheus differ from lezer's:
 * - any number lezer might not know (`5.`, `0X1_F`, `1e1_0`) becomes digits, any such duration
 *   seconds;
 * - words of durations, which ignore case, become small; `max_of` and `min_of` as functions, and
 *   functions that nobody knows, become a function that lezer knows;
 * - `offset` as a metric name, and names with a colon, which may be labels too, become plain names;
 * - comments become blanks, since lezer does not end them at a carriage return.
 *
 * lezer takes 1.8 s for 50,000 nested parentheses, so depth is bounded here, before it starts.
 */
import { isFunction } from '../functions/signatures.js';
import { parseError } from '../position.js';
import { durationWords, opensOperand, type Token } from './tokens.js';

/** Deeper trees are refused: building, checking, planning and evaluation recurse. */
export const maxDepth = 400;

/** What lezer reads of `query`, but for the last token. Throws `bad_data` past `maxDepth`. */
export function spell(query: string, tokens: readonly Token[]): string {
  const nesting = new Nesting();
  const hasComment = query.includes('#');
  let text = '';
  let copied = 0;
  const put = (start: number, end: number, spelling: string): void => {
    text += query.slice(copied, start) + spelling;
    copied = end;
  };
  let previousEnd = 0;
  for (const [index, token] of tokens.entries()) {
    const { start, end } = token;
    if (nesting.pass(tokens, index) > maxDepth) {
      const message = `expression is nested more than ${maxDepth} levels deep`;
      throw parseError(query, start, message);
    }
    if (hasComment && query.slice(previousEnd, start).includes('#')) {
      put(previousEnd, start, ' '.repeat(start - previousEnd));
    }
    const spelling = spellToken(tokens, index, nesting.inDuration);
    if (spelling !== token.text) {
      put(start, end, spelling);
    }
    previousEnd = end;
  }
  return text + query.slice(copied, tokens.at(-2)?.end ?? 0);
}

/** Numbers that are certain to be one token of lezer's. */
const plainNumber = /^(?:[0-9]+(?:\.[0-9]+)?|[0-9]+(?:ms|[smhdwy])|inf|nan)$/i;

/** A function of lezer's grammar with the shortest name. */
const someFunction = 'ln';

function spellToken(tokens: readonly Token[], index: number, inDuration: boolean): string {
  const { type, text, word } = tokens[index] as Token;
  const called = tokens[index + 1]?.text === '(';
  switch (type) {
    case 'number':
    case 'duration':
      return plainNumber.test(text) ? text : spellNumber(text, type);
    case 'metric identifier':
      // No word of PromQL has a `z`.
      return text.replaceAll(':', 'z');
    case 'identifier': {
      const known = !called || isFunction(text);
      return known || text.length < someFunction.length ? text : someFunction.padEnd(text.length);
    }
    case 'keyword':
      if (word === 'offset' && opensOperand(tokens, index)) {
        return 'z'.repeat(text.length);
      }
      if (!called || !(durationWords.has(word) || word === 'start' || word === 'end')) {
        return text;
      }
      return inDuration || !word.endsWith('_of') ? word : someFunction.padEnd(text.length);
    default:
      return text;
  }
}

/** Begins with a dot if `text` does, which ends a word in front of it. */
function spellNumber(text: string, type: 'number' | 'duration'): string {
  const dot = text.startsWith('.');
  return type === 'duration' && !dot
    ? 's'.padStart(text.length, '1')
    : (dot ? '.' : '1').padEnd(text.length, '1');
}

/** An open bracket, or the query around all. */
interface Level {
  /** Whether it holds a duration. */
  readonly inDuration: boolean;
  /** Since its last comma. */
  operators: number;
  /** Parts behind the last operand. */
  behind: number;
}

/** How deep in brackets and chains of operators a token stands, and whether in a duration. */
class Nesting {
  /** Whether the last passed token stands where a duration is read. */
  inDuration = false;
  private depth = 0;
  private inBrackets = false;
  private afterOffset = false;
  private level: Level = { inDuration: false, operators: 0, behind: 0 };
  private readonly outer: Level[] = [];

  /** Takes the next token; returns the depth at it. */
  pass(tokens: readonly Token[], index: number): number {
    const { type, text, word } = tokens[index] as Token;
    const isOffset = type === 'keyword' && word === 'offset' && !opensOperand(tokens, index);
    this.inDuration = this.inBrackets || this.level.inDuration || this.afterOffset;
    const signOrWord = text === '+' || text === '-' || durationWords.has(word);
    this.afterOffset = isOffset || (this.afterOffset && signOrWord);
    if (text === '(' || text === '[' || text === '{') {
      this.open(text);
    } else if (text === ')' || text === ']' || text === '}') {
      this.close(text);
    } else if (text === ',') {
      this.depth -= this.level.operators + this.level.behind;
      this.level.operators = 0;
      this.level.behind = 0;
    } else if (type === 'operator') {
      this.depth += 1 - this.level.behind;
      this.level.operators++;
      this.level.behind = 0;
    } else if (isOffset || text === '@' || word === 'anchored' || word === 'smoothed') {
      this.addBehind();
    }
    return this.depth;
  }

  private open(bracket: string): void {
    this.inBrackets ||= bracket === '[';
    this.outer.push(this.level);
    this.level = { inDuration: this.inDuration, operators: 0, behind: 0 };
    this.depth++;
  }

  private close(bracket: string): void {
    const outer = this.outer.pop();
    if (outer === undefined) {
      return;
    }
    this.depth -= this.level.operators + this.level.behind + 1;
    this.level = outer;
    if (bracket === ']') {
      this.inBrackets = false;
      // Subqueries of subqueries nest without brackets inside each other.
      this.addBehind();
    }
  }

  private addBehind(): void {
    this.level.behind++;
    this.depth++;
  }
}
