/**
 * @file Text of a PromQL expression to its syntax tree, by precedence climbing over `lex.ts`.
 *
 * Grammar and error texts follow Prometheus' `promql/parser/generated_parser.y` and `parse.go`
 * (3.14). The lezer grammar of Prometheus' own editor is not used: it lets `offset` and `[…]` bind
 * looser than operators (`a + b offset 5m * c` becomes `((a + b) offset 5m) * c`), reads `-1^2` as
 * `(-1)^2`, accepts open strings, and has no messages.
 *
 * Binding, loosest first: `or`; `and` `unless`; comparisons; `+` `-`; `*` `/` `%` `atan2` and
 * signs; `^` (to the right); `offset`, `@` and `[…]`.
 */
import { MetricstorError } from '../errors.js';
import type { LabelMatcher } from '../storage/querier.js';
import type {
  AggregateOp,
  BinaryOp,
  Duration,
  Expr,
  MatrixSelector,
  Shift,
  Span,
  Subquery,
  VectorMatching,
  VectorSelector,
} from './ast.js';
import { check, checkSelector } from './check.js';
import { isFunction, unsupportedFunctions } from './functions/signatures.js';
import { DurationParser } from './parse-duration.js';
import { parseMatchers } from './parse-matchers.js';
import { parseNumber } from './parse-number.js';
import { goQuote } from './position.js';
import { TokenStream } from './token-stream.js';
import type { Token } from './tokens.js';
import { unquote } from './unquote.js';

/** Longer queries are refused: parsing is linear, but every position costs memory. */
export const maxQueryLength = 256 * 1024;

/** Deeper trees are refused: checking, planning and evaluation recurse. */
export const maxDepth = 400;

/** Parses and checks one expression. Throws `bad_data` with Prometheus' text and `line:col`. */
export function parseQuery(text: string): Expr {
  const tokens = open(text);
  if (tokens.peek().type === 'end') {
    throw new MetricstorError('bad_data', '1:1: parse error: no expression found in input');
  }
  const expr = new Parser(tokens).expression(0);
  if (tokens.peek().type !== 'end') {
    tokens.unexpected('', '');
  }
  check(expr, text);
  return expr;
}

/** Parses one vector selector, as in `match[]`. Throws `bad_data`. */
export function parseSelector(text: string): readonly LabelMatcher[] {
  const tokens = open(text);
  const selector = new Parser(tokens).selectorOnly();
  if (tokens.peek().type !== 'end') {
    tokens.unexpected('', '');
  }
  checkSelector(selector, text);
  return selector.matchers;
}

function open(text: string): TokenStream {
  if (text.length > maxQueryLength) {
    throw new MetricstorError(
      'bad_data',
      `query is ${text.length} characters long, at most ${maxQueryLength} are allowed`,
    );
  }
  return new TokenStream(text);
}

/** How tightly a binary operator binds; a higher number is tighter. */
const precedence: Readonly<Record<string, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '<': 3,
  '>': 3,
  '<=': 3,
  '>=': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  atan2: 5,
  '^': 6,
};

/** Words that are metric names where no operand could be anything else. */
const notAMetricName: ReadonlySet<string> = new Set([
  'on',
  'ignoring',
  'group_left',
  'group_right',
  'bool',
  'atan2',
]);

const noShift: Shift = { offset: undefined, at: undefined };

type Shiftable = VectorSelector | MatrixSelector | Subquery;

class Parser {
  private depth = 0;
  private readonly durations: DurationParser;

  constructor(private readonly tokens: TokenStream) {
    this.durations = new DurationParser(tokens);
  }

  /** An expression of operators that bind at least as tightly as `least`. */
  expression(least: number): Expr {
    this.enter();
    let left = this.signed();
    let operators = 0;
    for (;;) {
      const token = this.tokens.peek();
      const binding = token.type === 'operator' ? (precedence[token.word] ?? 0) : 0;
      if (binding === 0 || binding < least) {
        break;
      }
      this.enter();
      operators++;
      this.tokens.next();
      left = this.binary(left, token.word as BinaryOp, binding);
    }
    this.depth -= operators + 1;
    return left;
  }

  /** For `match[]`: a selector and nothing else. */
  selectorOnly(): VectorSelector {
    const expr = this.primary();
    if (expr.kind !== 'selector') {
      return this.tokens.fail(expr.span.start, 'expected a vector selector');
    }
    return expr;
  }

  private enter(): void {
    if (++this.depth > maxDepth) {
      const text = `expression is nested more than ${maxDepth} levels deep`;
      this.tokens.fail(this.tokens.peek().start, text);
    }
  }

  private signed(): Expr {
    const sign = this.tokens.peek();
    if (sign.type !== 'operator' || (sign.word !== '-' && sign.word !== '+')) {
      return this.postfix(this.primary());
    }
    this.tokens.next();
    const inner = this.expression(6);
    const span = { start: sign.start, end: inner.span.end };
    if (inner.kind === 'number') {
      return { ...inner, value: sign.word === '-' ? -inner.value : inner.value, span };
    }
    return { kind: 'unary', op: sign.word, inner, span };
  }

  private binary(left: Expr, op: BinaryOp, binding: number): Expr {
    const returnBool = this.tokens.takeWord('bool');
    const matching = this.matching(op);
    const right = this.expression(op === '^' ? binding : binding + 1);
    const span = { start: left.span.start, end: right.span.end };
    return { kind: 'binary', op, left, right, returnBool, matching, span };
  }

  private matching(op: BinaryOp): VectorMatching {
    const setOp = op === 'and' || op === 'or' || op === 'unless';
    let cardinality: VectorMatching['cardinality'] = setOp ? 'many-to-many' : 'one-to-one';
    let labels: readonly string[] = [];
    let include: readonly string[] = [];
    const on = this.tokens.takeWord('on');
    if (on || this.tokens.takeWord('ignoring')) {
      labels = this.groupingLabels();
      const left = this.tokens.takeWord('group_left');
      if (left || this.tokens.takeWord('group_right')) {
        cardinality = left ? 'many-to-one' : 'one-to-many';
        include = this.tokens.peek().text === '(' ? this.groupingLabels() : [];
      }
    }
    const next = this.tokens.peek();
    if (next.type === 'keyword' && /^fill/.test(next.word)) {
      this.tokens.fail(next.start, 'binop fill modifiers are not supported yet');
    }
    return { on, labels, cardinality, include };
  }

  private groupingLabels(): readonly string[] {
    const { tokens } = this;
    if (!tokens.takePunctuation('(')) {
      tokens.unexpected('grouping opts', '"("');
    }
    const labels: string[] = [];
    while (!tokens.takePunctuation(')')) {
      const token = tokens.peek();
      const isWord = /^[A-Za-z_:][A-Za-z0-9_:]*$/.test(token.text) && token.type !== 'end';
      if (token.type !== 'string' && !isWord) {
        tokens.unexpected('grouping opts', 'label');
      }
      tokens.next();
      const name = token.type === 'string' ? unquote(token.text) : token.text;
      if (name === '') {
        tokens.fail(token.start, `invalid label name for grouping: ${goQuote(name)}`);
      }
      labels.push(name);
      if (!tokens.takePunctuation(',') && tokens.peek().text !== ')') {
        tokens.unexpected('grouping opts', '"," or ")"');
      }
    }
    return labels;
  }

  private primary(): Expr {
    const { tokens } = this;
    const token = tokens.peek();
    switch (token.type) {
      case 'number':
      case 'duration':
        tokens.next();
        return {
          kind: 'number',
          value: parseNumber(tokens, token),
          isDuration: token.type === 'duration',
          span: spanOf(token),
        };
      case 'string':
        tokens.next();
        return { kind: 'string', value: unquote(token.text), span: spanOf(token) };
      case 'punctuation':
        if (token.text === '(') {
          tokens.next();
          const inner = this.expression(0);
          const close = tokens.expectPunctuation(')');
          return { kind: 'paren', inner, span: { start: token.start, end: close.end } };
        }
        if (token.text === '{') {
          return this.selector('', token.start);
        }
        return tokens.unexpected('', '');
      case 'end':
      case 'error':
        return tokens.unexpected('', '');
      default:
        return this.word(token);
    }
  }

  /** An operand that begins with a word: aggregation, call or metric name. */
  private word(token: Token): Expr {
    const { tokens } = this;
    if (!/^[A-Za-z_:]/.test(token.text) || notAMetricName.has(token.word)) {
      return tokens.unexpected('', '');
    }
    tokens.next();
    const next = tokens.peek();
    if (token.type === 'aggregator') {
      const modifier = next.type === 'keyword' && (next.word === 'by' || next.word === 'without');
      if (modifier || next.text === '(') {
        return this.aggregate(token);
      }
    } else if (next.text === '(') {
      const callable = token.type === 'identifier' || callableWords.has(token.word);
      if (callable) {
        return this.call(token);
      }
    }
    return this.selector(token.text, token.start);
  }

  private aggregate(name: Token): Expr {
    let grouping = this.grouping();
    const args = this.callArguments();
    const before = grouping !== undefined;
    grouping ??= this.grouping();
    const end = before ? args.end : this.tokens.previousEnd();
    const span = { start: name.start, end };
    const op = name.word as AggregateOp;
    const needsParam = aggregatesWithParam.has(op);
    const wanted = needsParam ? 2 : 1;
    const [first, second] = args.list;
    if (first === undefined) {
      const text = 'no arguments for aggregate expression provided';
      return this.tokens.fail(span.start, text);
    }
    if (args.list.length !== wanted || (needsParam && second === undefined)) {
      const got = `expected ${wanted}, got ${args.list.length}`;
      const text = `wrong number of arguments for aggregate expression provided, ${got}`;
      return this.tokens.fail(span.start, text);
    }
    return {
      kind: 'aggregate',
      op,
      param: needsParam ? first : undefined,
      inner: needsParam ? (second ?? first) : first,
      without: grouping?.without ?? false,
      grouping: grouping?.labels ?? [],
      span,
    };
  }

  private grouping(): { without: boolean; labels: readonly string[] } | undefined {
    const without = this.tokens.takeWord('without');
    if (!without && !this.tokens.takeWord('by')) {
      return undefined;
    }
    return { without, labels: this.groupingLabels() };
  }

  private call(name: Token): Expr {
    const args = this.callArguments();
    // The words among the functions ignore case, as keywords do.
    const called = name.type === 'keyword' ? name.word : name.text;
    if (unsupportedFunctions.has(called)) {
      this.tokens.fail(name.start, `function ${goQuote(called)} is not supported yet`);
    }
    if (!isFunction(called)) {
      this.tokens.fail(name.start, `unknown function with name ${goQuote(name.text)}`);
    }
    const span = { start: name.start, end: args.end };
    return { kind: 'call', name: called, args: args.list, span };
  }

  private callArguments(): { list: readonly Expr[]; end: number } {
    const { tokens } = this;
    if (!tokens.takePunctuation('(')) {
      tokens.unexpected('aggregation', '');
    }
    const list: Expr[] = [];
    if (tokens.peek().text !== ')') {
      list.push(this.expression(0));
      while (tokens.peek().text === ',') {
        const comma = tokens.next();
        if (tokens.peek().text === ')') {
          tokens.fail(comma.start, 'trailing commas not allowed in function call args');
        }
        list.push(this.expression(0));
      }
    }
    return { list, end: tokens.expectPunctuation(')').end };
  }

  private selector(name: string, start: number): VectorSelector {
    const named = { start, end: start + name.length };
    const matchers = this.tokens.peek().text === '{' ? parseMatchers(this.tokens) : [];
    if (name !== '') {
      matchers.push({ name: '__name__', op: '=', value: name, span: named });
    }
    const span = { start, end: this.tokens.previousEnd() };
    return { kind: 'selector', name, matchers, shift: noShift, span };
  }

  /** Ranges, `offset` and `@` behind an operand. */
  private postfix(operand: Expr): Expr {
    let expr = operand;
    for (;;) {
      const token = this.tokens.peek();
      if (token.text === '[') {
        expr = this.range(expr);
      } else if (token.type === 'keyword' && token.word === 'offset') {
        this.tokens.next();
        expr = this.offset(expr);
      } else if (token.text === '@') {
        this.tokens.next();
        expr = this.at(expr);
      } else if (token.word === 'anchored' || token.word === 'smoothed') {
        this.tokens.fail(expr.span.start, `${token.word} modifier is not supported yet`);
      } else {
        return expr;
      }
    }
  }

  private range(expr: Expr): Expr {
    const { tokens } = this;
    const open = tokens.next();
    const range = this.durations.positive('subquery or range selector', '');
    const { start } = expr.span;
    if (tokens.takePunctuation(':')) {
      const step =
        tokens.peek().text === ']'
          ? undefined
          : this.durations.positive('subquery selector', ', or "]"');
      if (tokens.peek().text !== ']') {
        tokens.unexpected('subquery selector', '"]"');
      }
      const span = { start, end: tokens.next().end };
      return { kind: 'subquery', inner: expr, range, step, shift: noShift, span };
    }
    if (tokens.peek().text !== ']') {
      tokens.unexpected('subquery or range', '":" or "]"');
    }
    const span = { start, end: tokens.next().end };
    if (expr.kind !== 'selector') {
      return tokens.fail(open.start, 'ranges only allowed for vector selectors');
    }
    if (expr.shift.offset !== undefined) {
      return tokens.fail(open.start, 'no offset modifiers allowed before range');
    }
    if (expr.shift.at !== undefined) {
      return tokens.fail(open.start, 'no @ modifiers allowed before range');
    }
    return { kind: 'matrix', selector: expr, range, shift: noShift, span };
  }

  private offset(expr: Expr): Expr {
    const offset: Duration = this.durations.offset();
    const shiftable = this.shiftable(expr, 'offset modifier');
    if (shiftable.shift.offset !== undefined) {
      this.tokens.fail(expr.span.start, 'offset may not be set multiple times');
    }
    return this.shifted(shiftable, { ...shiftable.shift, offset });
  }

  private at(expr: Expr): Expr {
    const at = this.durations.at(expr.span.start);
    const shiftable = this.shiftable(expr, '@ modifier');
    if (shiftable.shift.at !== undefined) {
      this.tokens.fail(expr.span.start, '@ <timestamp> may not be set multiple times');
    }
    return this.shifted(shiftable, { ...shiftable.shift, at });
  }

  private shiftable(expr: Expr, what: string): Shiftable {
    if (expr.kind === 'selector' || expr.kind === 'matrix' || expr.kind === 'subquery') {
      return expr;
    }
    const kinds = 'an instant vector selector or range vector selector or a subquery';
    return this.tokens.fail(expr.span.start, `${what} must be preceded by ${kinds}`);
  }

  private shifted(expr: Shiftable, shift: Shift): Expr {
    const span = { start: expr.span.start, end: this.tokens.previousEnd() };
    return { ...expr, shift, span };
  }
}

const aggregatesWithParam: ReadonlySet<AggregateOp> = new Set<AggregateOp>([
  'topk',
  'bottomk',
  'count_values',
  'quantile',
  'limitk',
  'limit_ratio',
]);

/** Keywords that are also functions. */
const callableWords: ReadonlySet<string> = new Set([
  'start',
  'end',
  'step',
  'range',
  'max_of',
  'min_of',
]);

function spanOf(token: Token): Span {
  return { start: token.start, end: token.end };
}
