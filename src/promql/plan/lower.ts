/**
 * @file Syntax tree to plan nodes: evaluation times, windows with `offset` and `@` applied, and
 * step-invariant parts evaluated once.
 *
 * Subquery times follow `subqueryTimeRange` in Prometheus' `promql/engine.go` (3.14).
 */
import {
  type Call,
  type Expr,
  type MatrixSelector,
  partsOf,
  type Shift,
  type Subquery,
  selectorsOf,
  unwrapParens,
  type VectorSelector,
} from '../ast.js';
import { typeOf } from '../check.js';
import {
  instantGrid,
  isInstant,
  type TimeGrid,
  timeGrid,
  type Windows,
  windowBounds,
} from '../time-grid.js';
import { durationMs, queryConstant } from './durations.js';
import { isStepInvariant } from './invariance.js';
import type { CallPlan, Edges, Plan, SelectorPlan, SubqueryPlan } from './nodes.js';

export interface LoweringOptions {
  readonly lookbackMs: number;
  /** The step of subqueries that name none. */
  readonly subqueryStepMs: number;
  /** Whether step-invariant parts are evaluated once. */
  readonly once: boolean;
}

/** Makes plan nodes for a query over `query`. */
export class Lowering {
  constructor(
    private readonly query: TimeGrid,
    private readonly options: LoweringOptions,
  ) {}

  /** Plans `expr` for `grid`, evaluated once if it is the same at every step. */
  node(wrapped: Expr, grid: TimeGrid): Plan {
    const expr = unwrapParens(wrapped);
    const type = typeOf(expr);
    const literal = expr.kind === 'number' || expr.kind === 'string';
    const several = grid.steps > 0 && !isInstant(grid);
    const invariant = several && !literal && type !== 'matrix' && isStepInvariant(expr);
    if (this.options.once && invariant) {
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
    const rangeMs = instant
      ? this.options.lookbackMs
      : durationMs(expr.range, this.query, 'positive');
    const windows = this.windows(expr.shift, rangeMs, grid);
    const { matchers } = instant ? expr : expr.selector;
    const type = typeOf(expr);
    const edges = this.edges(expr, windows);
    const bounds = windowBounds(edges?.outer ?? windows);
    return {
      kind: expr.kind,
      matchers,
      windows,
      ...(edges && { edges }),
      ...bounds,
      grid,
      expr,
      type,
    };
  }

  /** A smoothed instant is between the samples that the lookback reaches on both sides. */
  private edges(expr: VectorSelector | MatrixSelector, inner: Windows): Edges | undefined {
    const kind = expr.shift.edges;
    // An instant is not a range: anchored says nothing of it.
    if (kind === undefined || (kind === 'anchored' && expr.kind === 'selector')) {
      return undefined;
    }
    const { lookbackMs } = this.options;
    const before = expr.kind === 'selector' ? 0 : lookbackMs;
    const after = kind === 'smoothed' ? lookbackMs : 0;
    const outer = {
      ...inner,
      firstEndMs: inner.firstEndMs + after,
      rangeMs: inner.rangeMs + before + after,
    };
    return { kind, inner, outer };
  }

  private windows(shift: Shift, rangeMs: number, grid: TimeGrid): Windows {
    const offsetMs = shift.offset === undefined ? 0 : durationMs(shift.offset, this.query, 'any');
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
    const rangeMs = durationMs(expr.range, this.query, 'positive');
    const windows = this.windows(expr.shift, rangeMs, grid);
    const stepMs =
      expr.step === undefined
        ? this.options.subqueryStepMs
        : durationMs(expr.step, this.query, 'positive');
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
    const constant = queryConstant(expr.name, this.query);
    if (constant !== undefined) {
      return { kind: 'number', value: constant, grid, expr, type };
    }
    if (expr.name === 'info') {
      return this.info(expr, grid);
    }
    const args = expr.args.map((arg) => this.node(arg, grid));
    return { kind: 'call', name: expr.name, args, grid, expr, type };
  }

  /** Info series are looked at when the first selector of the first argument looks. */
  private info(expr: Call, grid: TimeGrid): CallPlan {
    const [base, labels] = expr.args;
    const selector: SelectorPlan = {
      kind: 'selector',
      matchers: [],
      ...this.infoWindows(base, grid),
      grid,
      expr: selectorsOf(base)[0] ?? emptySelector,
      type: 'vector',
    };
    const matchers = labels?.kind === 'selector' ? labels.matchers : [];
    const args = [this.node(base, grid)];
    return {
      kind: 'call',
      name: 'info',
      args,
      grid,
      expr,
      type: 'vector',
      info: { selector, matchers },
    };
  }

  private infoWindows(base: Expr, grid: TimeGrid): Pick<SelectorPlan, 'windows' | 'mint' | 'maxt'> {
    let offsetMs = 0;
    let fixed: number | undefined;
    for (const { shift } of shiftsToSelector(base)) {
      if (fixed === undefined) {
        offsetMs += shift.offset === undefined ? 0 : durationMs(shift.offset, this.query, 'any');
        fixed = this.fixedTime(shift);
      }
    }
    const windows: Windows = {
      firstEndMs: (fixed ?? grid.startMs) - offsetMs,
      strideMs: fixed === undefined ? grid.stepMs : 0,
      rangeMs: this.options.lookbackMs,
      steps: grid.steps,
    };
    return { windows, ...windowBounds(windows) };
  }
}

/** For an argument of `info` without a selector. */
const emptySelector: VectorSelector = {
  kind: 'selector',
  name: '',
  matchers: [],
  shift: { offset: undefined, at: undefined },
  span: { start: 0, end: 0 },
};

/** The first selector of an expression and the subqueries around it, from the inside out. */
function shiftsToSelector(expr: Expr): (VectorSelector | MatrixSelector | Subquery)[] {
  if (expr.kind === 'selector' || expr.kind === 'matrix') {
    return [expr];
  }
  // As in Prometheus, what is aggregated goes before the parameter.
  const parts = expr.kind === 'aggregate' ? [...partsOf(expr)].reverse() : partsOf(expr);
  for (const part of parts) {
    const found = shiftsToSelector(part);
    if (found.length > 0) {
      return expr.kind === 'subquery' ? [...found, expr] : found;
    }
  }
  return [];
}
