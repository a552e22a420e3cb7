/**
 * @file Syntax tree and query times to an evaluation plan. Pure.
 *
 * Every node knows its evaluation times; every selector its windows, with `offset` and `@` applied
 * and one time range to read. Parts that do not change from step to step are evaluated once and
 * repeated (`repeat`); parts that occur twice are evaluated once (`shared`).
 *
 * Step invariance follows `preprocessExprHelper`, subquery times `subqueryTimeRange` in
 * Prometheus' `promql/engine.go`, durations `promql/durations.go` (3.14).
 */
import { MetricstorError } from '../errors.js';
import { maxDurationMs } from '../model/duration.js';
import {
  type Aggregate,
  type Binary,
  type Call,
  type Duration,
  type Expr,
  type MatrixSelector,
  type PlacedMatcher,
  type Shift,
  type StringLiteral,
  type Subquery,
  type Unary,
  unwrapParens,
  type ValueType,
  type VectorSelector,
} from './ast.js';
import { typeOf } from './check.js';
import { instantGrid, type TimeGrid, timeGrid, type Windows, windowBounds } from './time-grid.js';

interface PlanNode<E extends Expr> {
  readonly grid: TimeGrid;
  /** What the node computes, without parentheses around it. Its span places annotations. */
  readonly expr: E;
  readonly type: ValueType;
}

export interface NumberPlan extends PlanNode<Expr> {
  readonly kind: 'number';
  readonly value: number;
}

export interface StringPlan extends PlanNode<StringLiteral> {
  readonly kind: 'string';
  readonly value: string;
}

/** An instant or range vector selector: what to read and how to look at it. */
export interface SelectorPlan extends PlanNode<VectorSelector | MatrixSelector> {
  readonly kind: 'selector' | 'matrix';
  readonly matchers: readonly PlacedMatcher[];
  readonly windows: Windows;
  readonly mint: number;
  readonly maxt: number;
}

export interface SubqueryPlan extends PlanNode<Subquery> {
  readonly kind: 'subquery';
  readonly windows: Windows;
  readonly inner: Plan;
}

export interface CallPlan extends PlanNode<Call> {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly Plan[];
}

export interface AggregatePlan extends PlanNode<Aggregate> {
  readonly kind: 'aggregate';
  readonly param: Plan | undefined;
  readonly inner: Plan;
}

export interface BinaryPlan extends PlanNode<Binary> {
  readonly kind: 'binary';
  readonly left: Plan;
  readonly right: Plan;
}

export interface UnaryPlan extends PlanNode<Unary> {
  readonly kind: 'unary';
  readonly inner: Plan;
}

/** `inner` at the first time, repeated at all others. */
export interface RepeatPlan extends PlanNode<Expr> {
  readonly kind: 'repeat';
  readonly inner: Plan;
}

export type Plan =
  | NumberPlan
  | StringPlan
  | SelectorPlan
  | SubqueryPlan
  | CallPlan
  | AggregatePlan
  | BinaryPlan
  | UnaryPlan
  | RepeatPlan;

export interface PlanOptions {
  readonly query: string;
  readonly lookbackMs: number;
  /** The step of subqueries that name none. */
  readonly subqueryStepMs: number;
}

export interface QueryPlan {
  readonly root: Plan;
  /** Keys (see `shareKey`) of the parts that occur more than once. */
  readonly shared: ReadonlySet<string>;
}

/** Plans a query over `grid`. Throws `bad_data` for a duration that has no value. */
export function plan(expr: Expr, grid: TimeGrid, options: PlanOptions): QueryPlan {
  const root = new Planner(grid, options).node(expr, grid);
  const counts = new Map<string, number>();
  countParts(root, options.query, counts);
  const shared = new Set<string>();
  for (const [key, count] of counts) {
    if (count > 1) {
      shared.add(key);
    }
  }
  return { root, shared };
}

/** Equal for parts of a query with equal text and equal times. */
export function shareKey(node: Plan, query: string): string {
  const { startMs, endMs, stepMs } = node.grid;
  return `${query.slice(node.expr.span.start, node.expr.span.end)}@${startMs}:${endMs}:${stepMs}`;
}

/** Functions whose value depends on the evaluation time even if their arguments do not. */
const timeDependent: ReadonlySet<string> = new Set([
  'day_of_month',
  'day_of_week',
  'day_of_year',
  'days_in_month',
  'hour',
  'minute',
  'month',
  'predict_linear',
  'time',
  'timestamp',
  'year',
]);

class Planner {
  constructor(
    private readonly query: TimeGrid,
    private readonly options: PlanOptions,
  ) {}

  /** Plans `expr` for `grid`, evaluated once if it is the same at every step. */
  node(wrapped: Expr, grid: TimeGrid): Plan {
    const expr = unwrapParens(wrapped);
    const type = typeOf(expr);
    const literal = expr.kind === 'number' || expr.kind === 'string';
    if (grid.steps > 1 && !literal && type !== 'matrix' && this.isInvariant(expr)) {
      const inner = this.build(expr, instantGrid(grid.startMs));
      return inner.kind === 'number'
        ? { ...inner, grid }
        : { kind: 'repeat', inner, grid, expr, type };
    }
    return this.build(expr, grid);
  }

  private build(expr: Expr, grid: TimeGrid): Plan {
    const type = typeOf(expr);
    switch (expr.kind) {
      case 'number':
        return { kind: 'number', value: expr.value, grid, expr, type };
      case 'string':
        return { kind: 'string', value: expr.value, grid, expr, type };
      case 'selector':
      case 'matrix':
        return this.selector(expr, grid);
      case 'subquery':
        return this.subquery(expr, grid);
      case 'call':
        return this.call(expr, grid);
      case 'aggregate': {
        const param = expr.param === undefined ? undefined : this.node(expr.param, grid);
        return { kind: 'aggregate', param, inner: this.node(expr.inner, grid), grid, expr, type };
      }
      case 'binary': {
        const left = this.node(expr.left, grid);
        const right = this.node(expr.right, grid);
        return { kind: 'binary', left, right, grid, expr, type };
      }
      case 'unary':
        return { kind: 'unary', inner: this.node(expr.inner, grid), grid, expr, type };
      case 'paren':
        return this.build(expr.inner, grid);
    }
  }

  private selector(expr: VectorSelector | MatrixSelector, grid: TimeGrid): SelectorPlan {
    const instant = expr.kind === 'selector';
    const rangeMs = instant ? this.options.lookbackMs : this.duration(expr.range, false);
    const windows = this.windows(expr.shift, rangeMs, grid);
    const { matchers } = instant ? expr : expr.selector;
    const type = typeOf(expr);
    return { kind: expr.kind, matchers, windows, ...windowBounds(windows), grid, expr, type };
  }

  private windows(shift: Shift, rangeMs: number, grid: TimeGrid): Windows {
    const offsetMs = shift.offset === undefined ? 0 : this.duration(shift.offset, true);
    const fixed = this.fixedTime(shift);
    return {
      firstEndMs: (fixed ?? grid.startMs) - offsetMs,
      strideMs: fixed === undefined ? grid.stepMs : 0,
      rangeMs,
      steps: grid.steps,
    };
  }

  private fixedTime(shift: Shift): number | undefined {
    switch (shift.at?.kind) {
      case undefined:
        return undefined;
      case 'time':
        return shift.at.ms;
      case 'start':
        return this.query.startMs;
      case 'end':
        return this.query.endMs;
    }
  }

  private subquery(expr: Subquery, grid: TimeGrid): SubqueryPlan {
    const rangeMs = this.duration(expr.range, false);
    const windows = this.windows(expr.shift, rangeMs, grid);
    const stepMs =
      expr.step === undefined ? this.options.subqueryStepMs : this.duration(expr.step, false);
    const { maxt } = windowBounds(windows);
    const open = windows.firstEndMs - rangeMs;
    // Steps are multiples of the step since 1970, the first one behind the open bound.
    let startMs = stepMs * Math.trunc(open / stepMs);
    if (startMs <= open) {
      startMs += stepMs;
    }
    const inner = this.node(expr.inner, timeGrid(startMs, maxt, stepMs));
    return { kind: 'subquery', windows, inner, grid, expr, type: 'matrix' };
  }

  private call(expr: Call, grid: TimeGrid): Plan {
    const type = typeOf(expr);
    const constant = this.queryConstant(expr.name);
    if (constant !== undefined) {
      return { kind: 'number', value: constant, grid, expr, type };
    }
    const args = expr.args.map((arg) => this.node(arg, grid));
    return { kind: 'call', name: expr.name, args, grid, expr, type };
  }

  /** The functions that only depend on the query's own times. */
  private queryConstant(name: string): number | undefined {
    const { startMs, endMs, stepMs } = this.query;
    switch (name) {
      case 'start':
        return startMs / 1000;
      case 'end':
        return endMs / 1000;
      case 'range':
        return (endMs - startMs) / 1000;
      case 'step':
        return startMs === endMs ? 0 : stepMs / 1000;
      default:
        return undefined;
    }
  }

  private isInvariant(expr: Expr): boolean {
    switch (expr.kind) {
      case 'number':
      case 'string':
        return true;
      case 'selector':
      case 'matrix':
      case 'subquery':
        return expr.shift.at !== undefined;
      case 'aggregate':
        // As in Prometheus, whatever the parameter is.
        return this.isInvariant(expr.inner);
      case 'binary':
        return this.isInvariant(expr.left) && this.isInvariant(expr.right);
      case 'unary':
      case 'paren':
        return this.isInvariant(expr.inner);
      case 'call': {
        if (this.queryConstant(expr.name) !== undefined) {
          return true;
        }
        const invariant = expr.args.every((arg) => this.isInvariant(arg));
        // `timestamp` of a selector is the sample's time, of anything else the evaluation's.
        const first = expr.args[0];
        const ofSample =
          expr.name === 'timestamp' &&
          first !== undefined &&
          unwrapParens(first).kind === 'selector';
        return invariant && (ofSample || !timeDependent.has(expr.name));
      }
    }
  }

  /** Milliseconds of a duration. */
  private duration(duration: Duration, mayBeNegative: boolean): number {
    if (duration.kind === 'fixed') {
      return Math.round(duration.seconds * 1000);
    }
    const seconds = this.seconds(duration);
    if (!Number.isFinite(seconds)) {
      return failDuration(duration, 'duration is NaN or infinite');
    }
    if (seconds <= 0 && !mayBeNegative) {
      return failDuration(duration, 'duration must be greater than 0');
    }
    if (Math.abs(seconds) * 1000 > maxDurationMs) {
      return failDuration(duration, 'duration is out of range');
    }
    return Math.trunc(seconds * 1000);
  }

  private seconds(duration: Duration): number {
    switch (duration.kind) {
      case 'fixed':
        return duration.seconds;
      case 'step': {
        const { startMs, endMs, stepMs } = this.query;
        return startMs === endMs ? 0 : stepMs / 1000;
      }
      case 'range':
        return (this.query.endMs - this.query.startMs) / 1000;
      case 'negate':
        return -this.seconds(duration.of);
      case 'paren':
        return this.seconds(duration.of);
      case 'binary':
        break;
    }
    const left = this.seconds(duration.left);
    const right = this.seconds(duration.right);
    switch (duration.op) {
      case '+':
        return left + right;
      case '-':
        return left - right;
      case '*':
        return left * right;
      case '/':
        return right === 0 ? failDuration(duration, 'division by zero') : left / right;
      case '%':
        return right === 0 ? failDuration(duration, 'modulo by zero') : left % right;
      case '^':
        return left ** right;
      case 'min_of':
        return Math.min(left, right);
      case 'max_of':
        return Math.max(left, right);
    }
  }
}

function failDuration(duration: Duration, text: string): never {
  const { start, end } = duration.span;
  throw new MetricstorError('bad_data', `${start}:${end}: ${text}`);
}

/** Counts parts of a plan by key; a repeated part hides what is inside it. */
function countParts(node: Plan, query: string, counts: Map<string, number>): void {
  if (node.kind === 'number' || node.kind === 'string' || node.kind === 'matrix') {
    return;
  }
  if (node.kind !== 'subquery' && node.type === 'vector') {
    const key = shareKey(node, query);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count > 1) {
      return;
    }
  }
  for (const child of childrenOf(node)) {
    countParts(child, query, counts);
  }
}

/** The plans that a node takes its input from. */
export function childrenOf(node: Plan): readonly Plan[] {
  switch (node.kind) {
    case 'number':
    case 'string':
    case 'selector':
    case 'matrix':
      return [];
    case 'call':
      return node.args;
    case 'aggregate':
      return node.param === undefined ? [node.inner] : [node.param, node.inner];
    case 'binary':
      return [node.left, node.right];
    case 'subquery':
    case 'unary':
    case 'repeat':
      return [node.inner];
  }
}
