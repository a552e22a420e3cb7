/**
 * @file Which range queries may be answered from steps that an earlier evaluation made, and what
 * such a step has read. Pure.
 *
 * A step may be used again where evaluating it in another range gives the same bits, which is to
 * say: where its value depends on its time and on the samples around it alone. That fails for what
 * names the query's own times (`@`, `start()`, `end()`, `range()`), and, in the last bits, for
 * aggregations that add up rows in an order that other steps have a say in: the groups of an inner
 * aggregation stand in the order in which they first appear in the whole range. Functions of ranges
 * fail for series that differ in their names alone, at whatever times these have samples.
 */
import type { LabelMatcher } from '../storage/querier.js';
import {
  type AggregateOp,
  type Duration,
  type Expr,
  partsOf,
  type Shift,
  selectorsOf,
  type VectorSelector,
} from './ast.js';
import { durationMs } from './plan/durations.js';

/**
 * A step at `t` has read samples of the times `(t - beforeMs, t + afterMs]`, and nothing where both
 * are -Infinity.
 */
export interface Reach {
  readonly beforeMs: number;
  readonly afterMs: number;
}

export interface ReachOptions {
  readonly lookbackMs: number;
  readonly stepMs: number;
}

/** What every step of a range query reads; undefined where steps may not be used again. */
export function reachOf(expr: Expr, options: ReachOptions): Reach | undefined {
  return isRepeatable(expr) ? reach(expr, options) : undefined;
}

const nothing: Reach = { beforeMs: -Infinity, afterMs: -Infinity };

function reach(expr: Expr, options: ReachOptions): Reach {
  const { lookbackMs } = options;
  switch (expr.kind) {
    case 'selector':
      return shifted(expr.shift, { beforeMs: lookbackMs, afterMs: 0 }, options);
    case 'matrix': {
      const beforeMs = milliseconds(expr.range, options);
      return shifted(expr.shift, { beforeMs, afterMs: 0 }, options);
    }
    case 'subquery': {
      const inner = reach(expr.inner, options);
      const beforeMs = inner.beforeMs + milliseconds(expr.range, options);
      return shifted(expr.shift, { beforeMs, afterMs: inner.afterMs }, options);
    }
    default:
      return partsOf(expr).reduce((all, part) => {
        const { beforeMs, afterMs } = reach(part, options);
        return {
          beforeMs: Math.max(all.beforeMs, beforeMs),
          afterMs: Math.max(all.afterMs, afterMs),
        };
      }, nothing);
  }
}

/** `offset` moves a window, an edge makes it longer by the lookback. */
function shifted({ offset, edges }: Shift, { beforeMs, afterMs }: Reach, options: ReachOptions) {
  const byMs = offset === undefined ? 0 : milliseconds(offset, options);
  const more = edges === undefined ? 0 : options.lookbackMs;
  const after = edges === 'smoothed' ? options.lookbackMs : 0;
  return { beforeMs: beforeMs + byMs + more, afterMs: afterMs - byMs + after };
}

/** Durations here know the step at most, which is the same in every range. */
function milliseconds(duration: Duration, { stepMs }: ReachOptions): number {
  return durationMs(duration, { startMs: 0, endMs: stepMs, stepMs, steps: 2 }, 'any');
}

/** Functions that say something of the query's range, or look for series in all of it. */
const ofTheWholeRange: ReadonlySet<string> = new Set(['start', 'end', 'range', 'info']);

/** Aggregations whose result is the same in whatever order the rows come. */
const orderless: ReadonlySet<AggregateOp> = new Set(['count', 'group', 'count_values']);

function isRepeatable(expr: Expr): boolean {
  switch (expr.kind) {
    case 'selector':
      return isRelative(expr.shift);
    case 'matrix':
      return isRelative(expr.shift) && !namesRange(expr.range);
    case 'subquery': {
      const durations = [expr.range, ...(expr.step === undefined ? [] : [expr.step])];
      const relative = isRelative(expr.shift) && !durations.some(namesRange);
      return relative && isRepeatable(expr.inner);
    }
    case 'call':
      return (
        !ofTheWholeRange.has(expr.name) &&
        expr.args.every((arg) => isRepeatable(arg) && (!isRange(arg) || isOfOneName(arg)))
      );
    case 'aggregate':
      return (orderless.has(expr.op) || isOrdered(expr.inner)) && partsOf(expr).every(isRepeatable);
    default:
      return partsOf(expr).every(isRepeatable);
  }
}

function isRelative({ at, offset }: Shift): boolean {
  return at === undefined && (offset === undefined || !namesRange(offset));
}

function namesRange(duration: Duration): boolean {
  switch (duration.kind) {
    case 'range':
      return true;
    case 'fixed':
    case 'step':
      return false;
    case 'negate':
    case 'paren':
      return namesRange(duration.of);
    case 'binary':
      return namesRange(duration.left) || namesRange(duration.right);
  }
}

/**
 * Functions that give a row for a row of their input, in the same order. What is not here may give
 * another order.
 */
const rowByRow: ReadonlySet<string> = new Set([
  ...['abs', 'ceil', 'clamp', 'clamp_max', 'clamp_min', 'exp', 'floor', 'ln', 'log10', 'log2'],
  ...['round', 'sgn', 'sqrt', 'timestamp', 'start_timestamp'],
  ...['histogram_avg', 'histogram_count', 'histogram_sum', 'histogram_stddev', 'histogram_stdvar'],
  ...['avg_over_time', 'changes', 'count_over_time', 'delta', 'deriv', 'first_over_time'],
  ...['double_exponential_smoothing', 'idelta', 'increase', 'irate', 'last_over_time'],
  ...['mad_over_time', 'max_over_time', 'min_over_time', 'predict_linear', 'present_over_time'],
  ...['quantile_over_time', 'rate', 'resets', 'stddev_over_time', 'stdvar_over_time'],
  ...['sum_over_time', 'ts_of_first_over_time', 'ts_of_last_over_time', 'ts_of_max_over_time'],
  'ts_of_min_over_time',
]);

/** Whether the label sets alone, in whatever range, say in which order the rows come. */
function isOrdered(expr: Expr): boolean {
  switch (expr.kind) {
    case 'selector':
    case 'matrix':
      return true;
    case 'paren':
    case 'subquery':
      return isOrdered(expr.inner);
    case 'unary':
      return isOrdered(expr.inner) && isOfOneName(expr.inner);
    case 'call': {
      // A name that is dropped may make two series one, which stands where its first part does.
      const ordered = expr.args.every(isOrdered) && expr.args.every(isOfOneName);
      return rowByRow.has(expr.name) && ordered;
    }
    case 'aggregate':
      return !expr.without && expr.grouping.length === 0 && isOneRow(expr.op);
    case 'binary':
      if (expr.op === 'and' || expr.op === 'unless') {
        return isOrdered(expr.left);
      }
      return (
        (isConstant(expr.left) && isOrdered(expr.right) && isOfOneName(expr.right)) ||
        (isConstant(expr.right) && isOrdered(expr.left) && isOfOneName(expr.left))
      );
    default:
      return true;
  }
}

/** Whether an aggregation without labels gives one series. */
function isOneRow(op: AggregateOp): boolean {
  return !['topk', 'bottomk', 'limitk', 'limit_ratio', 'count_values'].includes(op);
}

function isConstant(expr: Expr): boolean {
  return expr.kind === 'paren' ? isConstant(expr.inner) : expr.kind === 'number';
}

function isRange({ kind }: Expr): boolean {
  return kind === 'matrix' || kind === 'subquery';
}

/** Whether all series of an expression have one metric name, or none. */
function isOfOneName(expr: Expr): boolean {
  const names = new Set(selectorsOf(expr).map(nameOf));
  return names.size <= 1 && !names.has(undefined) && !givesNames(expr);
}

/** The metric name that a selector asks for, where it is one. */
function nameOf({ matchers }: VectorSelector): string | undefined {
  const asked = ({ name, op, value }: LabelMatcher): boolean =>
    name === '__name__' && op === '=' && value !== '';
  return matchers.find(asked)?.value;
}

/** Whether something in it may make a label `__name__` of another. */
function givesNames(expr: Expr): boolean {
  const makes =
    (expr.kind === 'call' && (expr.name === 'label_replace' || expr.name === 'label_join')) ||
    (expr.kind === 'aggregate' && expr.op === 'count_values');
  return makes || partsOf(expr).some(givesNames);
}
