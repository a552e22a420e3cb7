/**
 * @file The syntax tree of a PromQL expression: plain immutable data, made by `parse/`.
 *
 * Positions are UTF-16 offsets into the query text, half-open. Times are milliseconds.
 */
import type { LabelMatcher } from '../storage/querier.js';

export interface Span {
  readonly start: number;
  readonly end: number;
}

export type ValueType = 'scalar' | 'vector' | 'matrix' | 'string';

export type ArithmeticOp = '+' | '-' | '*' | '/' | '%' | '^' | 'atan2';
export type ComparisonOp = '==' | '!=' | '>' | '<' | '>=' | '<=';
export type SetOp = 'and' | 'or' | 'unless';
/** Cuts the buckets of a histogram; parsed and printed, not evaluated yet. */
export type TrimOp = '</' | '>/';
export type BinaryOp = ArithmeticOp | ComparisonOp | SetOp | TrimOp;

export type AggregateOp =
  | 'sum'
  | 'avg'
  | 'count'
  | 'min'
  | 'max'
  | 'group'
  | 'stddev'
  | 'stdvar'
  | 'topk'
  | 'bottomk'
  | 'count_values'
  | 'quantile'
  | 'limitk'
  | 'limit_ratio';

/** A duration that may depend on the query: `5m`, `2 * step()`, `max_of(1m, range())`. */
export type Duration =
  | {
      readonly kind: 'fixed';
      readonly seconds: number;
      /** Whether it was written with a unit, which only matters to the printer. */
      readonly isDuration: boolean;
      readonly span: Span;
    }
  | { readonly kind: 'step' | 'range'; readonly span: Span }
  | { readonly kind: 'negate'; readonly of: Duration; readonly span: Span }
  | { readonly kind: 'paren'; readonly of: Duration; readonly span: Span }
  | {
      readonly kind: 'binary';
      readonly op: '+' | '-' | '*' | '/' | '%' | '^' | 'min_of' | 'max_of';
      readonly left: Duration;
      readonly right: Duration;
      readonly span: Span;
    };

/** What `@` says: a time, or the start or end of the query. */
export type AtModifier =
  | { readonly kind: 'time'; readonly ms: number }
  | { readonly kind: 'start' }
  | { readonly kind: 'end' };

/** What stands behind a selector or subquery, in any order. */
export interface Shift {
  readonly offset: Duration | undefined;
  readonly at: AtModifier | undefined;
  /** How samples outside of a range count at its edges; parsed and printed, not evaluated yet. */
  readonly edges?: 'anchored' | 'smoothed';
}

export interface NumberLiteral {
  readonly kind: 'number';
  readonly value: number;
  /** Whether it was written as a duration (`5m` is 300), which only matters to the printer. */
  readonly isDuration: boolean;
  readonly span: Span;
}

export interface StringLiteral {
  readonly kind: 'string';
  readonly value: string;
  readonly span: Span;
}

/** A matcher and where it stands. */
export interface PlacedMatcher extends LabelMatcher {
  readonly span: Span;
}

export interface VectorSelector {
  readonly kind: 'selector';
  /** The metric name outside the braces, or the empty text. */
  readonly name: string;
  /** All matchers; the one of `name` is last. */
  readonly matchers: readonly PlacedMatcher[];
  readonly shift: Shift;
  readonly span: Span;
}

export interface MatrixSelector {
  readonly kind: 'matrix';
  /** The selector without shift; `offset` and `@` are the matrix's. */
  readonly selector: VectorSelector;
  readonly range: Duration;
  readonly shift: Shift;
  readonly span: Span;
}

export interface Subquery {
  readonly kind: 'subquery';
  readonly inner: Expr;
  readonly range: Duration;
  /** Undefined means the engine's default step. */
  readonly step: Duration | undefined;
  readonly shift: Shift;
  readonly span: Span;
}

export interface Call {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly Expr[];
  readonly span: Span;
}

export interface Aggregate {
  readonly kind: 'aggregate';
  readonly op: AggregateOp;
  readonly param: Expr | undefined;
  readonly inner: Expr;
  readonly without: boolean;
  readonly grouping: readonly string[];
  readonly span: Span;
}

/** How the series of two vectors find each other. */
export interface VectorMatching {
  readonly on: boolean;
  readonly labels: readonly string[];
  readonly cardinality: 'one-to-one' | 'many-to-one' | 'one-to-many' | 'many-to-many';
  /** Labels taken over from the "one" side. */
  readonly include: readonly string[];
  /** Values for series missing on a side; parsed and printed, not evaluated yet. */
  readonly fill?: { readonly left: number | undefined; readonly right: number | undefined };
}

export interface Binary {
  readonly kind: 'binary';
  readonly op: BinaryOp;
  readonly left: Expr;
  readonly right: Expr;
  readonly returnBool: boolean;
  readonly matching: VectorMatching;
  readonly span: Span;
}

export interface Unary {
  readonly kind: 'unary';
  readonly op: '+' | '-';
  readonly inner: Expr;
  readonly span: Span;
}

export interface Paren {
  readonly kind: 'paren';
  readonly inner: Expr;
  readonly span: Span;
}

export type Expr =
  | NumberLiteral
  | StringLiteral
  | VectorSelector
  | MatrixSelector
  | Subquery
  | Call
  | Aggregate
  | Binary
  | Unary
  | Paren;

const comparisonOps: ReadonlySet<string> = new Set(['==', '!=', '>', '<', '>=', '<=']);
const setOps: ReadonlySet<string> = new Set(['and', 'or', 'unless']);

export function isComparison(op: BinaryOp): op is ComparisonOp {
  return comparisonOps.has(op);
}

export function isSetOp(op: BinaryOp): op is SetOp {
  return setOps.has(op);
}

/** The expressions right inside of an expression, in the order of their evaluation. */
export function partsOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'aggregate':
      return expr.param === undefined ? [expr.inner] : [expr.param, expr.inner];
    case 'binary':
      return [expr.left, expr.right];
    case 'call':
      return expr.args;
    case 'paren':
    case 'unary':
    case 'subquery':
      return [expr.inner];
    default:
      return [];
  }
}

/** The expression inside any number of parentheses. */
export function unwrapParens(expr: Expr): Expr {
  let inner = expr;
  while (inner.kind === 'paren') {
    inner = inner.inner;
  }
  return inner;
}

/** The selectors of an expression, in the order of the text. */
export function selectorsOf(expr: Expr): VectorSelector[] {
  switch (expr.kind) {
    case 'number':
    case 'string':
      return [];
    case 'selector':
      return [expr];
    case 'matrix':
      return [expr.selector];
    case 'call':
      return expr.args.flatMap(selectorsOf);
    case 'aggregate':
      return [expr.param, expr.inner].flatMap((one) => (one === undefined ? [] : selectorsOf(one)));
    case 'binary':
      return [expr.left, expr.right].flatMap(selectorsOf);
    case 'subquery':
    case 'unary':
    case 'paren':
      return selectorsOf(expr.inner);
  }
}
