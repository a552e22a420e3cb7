/**
 * @file How many samples a query looks at, counted as Prometheus counts them for `stats`.
 *
 * Its numbers say what a query means, not how it was evaluated here: every window counts whole, a
 * part that occurs twice counts twice. So they are counted apart from the evaluation, by reading
 * the selectors once more; only a query that asks for statistics pays for it. A write between the
 * two may show in one of them.
 *
 * Follows `QuerySamples` in Prometheus' `util/stats/query_stats.go` and its callers in
 * `promql/engine.go` (3.14).
 */
import { type Histogram, headerLength, place } from '../../model/histogram.js';
import { infoSeriesOf } from '../functions/info.js';
import {
  type CallPlan,
  childrenOf,
  type Plan,
  type SelectorPlan,
  type SubqueryPlan,
} from '../plan.js';
import type { TimeGrid } from '../time-grid.js';
import type { EvalContext, SeriesSamples } from './context.js';
import { rangeVectorResult } from './range-vector.js';
import type { RowSink } from './rows.js';

/** Samples by step of a node's grid. */
export interface SampleCounts {
  /** Those in the windows of each step. */
  readonly total: Float64Array;
  /** Those that no earlier step has read. */
  readonly read: Float64Array;
}

/** Counts the samples of a plan. Throws what evaluating it throws. */
export function countSamples(ctx: EvalContext, node: Plan): SampleCounts {
  const counts = noSamples(node.grid.steps);
  addNode(ctx, node, counts);
  return counts;
}

/** The sum of a column of counts. */
export function sumOf(column: Float64Array): number {
  return column.reduce((sum, count) => sum + count, 0);
}

function noSamples(steps: number): SampleCounts {
  return { total: new Float64Array(steps), read: new Float64Array(steps) };
}

/** A histogram counts as the floats that have its size, as Go lays it out. */
function weightOf(histogram: Histogram | undefined): number {
  if (histogram === undefined) {
    return 1;
  }
  // A span's two numbers share eight bytes there.
  const spans = histogram[place.positiveSpans] + histogram[place.negativeSpans];
  const bytes = 168 + 8 * (histogram.length - headerLength - spans);
  return Math.floor((bytes + 8) / 16);
}

function addNode(ctx: EvalContext, node: Plan, counts: SampleCounts): void {
  if (node.grid.steps === 0) {
    return;
  }
  switch (node.kind) {
    case 'selector':
      if (node.edges === undefined) {
        addRows(ctx, node, counts, weightOf);
      }
      return;
    case 'matrix':
      addRange(ctx, node, counts);
      return;
    case 'subquery':
      addSubquery(countSamples(ctx, node.inner), counts);
      return;
    case 'repeat':
      addRepeated(countSamples(ctx, node.inner), counts);
      return;
    case 'call':
      addCall(ctx, node, counts);
      return;
    default:
      for (const child of childrenOf(node)) {
        addNode(ctx, child, counts);
      }
  }
}

function addCall(ctx: EvalContext, node: CallPlan, counts: SampleCounts): void {
  const [first] = node.args;
  const ofTimes = node.name === 'timestamp' || node.name === 'start_timestamp';
  if (ofTimes && first.kind === 'selector') {
    addRows(ctx, first, counts, () => 1);
    return;
  }
  for (const arg of node.args) {
    if (arg.kind === 'matrix' || arg.kind === 'subquery') {
      addWindows(ctx, arg, counts);
    } else {
      addNode(ctx, arg, counts);
    }
  }
  if (node.info !== undefined) {
    infoSeriesOf(
      ctx,
      node,
      node.info,
      countingSink(node.grid.steps, counts, () => 1),
    );
  }
}

/** The samples that an instant selector finds. */
function addRows(ctx: EvalContext, node: SelectorPlan, counts: SampleCounts, weight: Weight): void {
  ctx.rows(node, countingSink(node.grid.steps, counts, weight));
}

type Weight = (histogram: Histogram | undefined) => number;

function countingSink(steps: number, { total, read }: SampleCounts, weight: Weight): RowSink {
  return {
    histograms: 'take',
    begin: () => undefined,
    row: (_series, { present, presentBase, histograms, base }) => {
      for (let k = 0; k < steps; k++) {
        if (present === null || present[presentBase + k] !== 0) {
          const count = weight(histograms?.[base + k]);
          total[k] += count;
          read[k] += count;
        }
      }
    },
    end: () => undefined,
  };
}

/** A range that is the answer of an instant query: with edges, what they leave of it counts. */
function addRange(ctx: EvalContext, node: SelectorPlan, { total, read }: SampleCounts): void {
  const { values, histograms } = rangeVectorResult(ctx, node);
  for (let i = 0; i < values.length; i++) {
    const count = weightOf(histograms?.[i]);
    total[0] += count;
    read[0] += count;
  }
}

/** A subquery that is the answer of an instant query. */
function addSubquery(inner: SampleCounts, { total, read }: SampleCounts): void {
  total[total.length - 1] += sumOf(inner.total);
  read[0] += sumOf(inner.read);
}

/** What is evaluated once is looked at in every step, but read in the first. */
function addRepeated(inner: SampleCounts, { total, read }: SampleCounts): void {
  const all = sumOf(inner.total);
  for (let k = 0; k < total.length; k++) {
    total[k] += all;
  }
  read[0] += sumOf(inner.read);
}

/** The windows that a function over ranges sees. */
function addWindows(
  ctx: EvalContext,
  input: SelectorPlan | SubqueryPlan,
  counts: SampleCounts,
): void {
  const fromStore = input.kind === 'matrix';
  ctx.series(input, {
    histograms: 'take',
    begin: () => undefined,
    samples: (_series, samples) => addSeriesWindows(input, samples, counts, fromStore),
    end: () => undefined,
  });
  if (input.kind === 'subquery') {
    addReadOfSubquery(input, countSamples(ctx, input.inner).read, counts.read);
  }
}

function addSeriesWindows(
  input: SelectorPlan | SubqueryPlan,
  { timestamps, histograms, from, to }: SeriesSamples,
  { total, read }: SampleCounts,
  fromStore: boolean,
): void {
  const windows = (input.kind === 'subquery' ? undefined : input.edges?.outer) ?? input.windows;
  const { firstEndMs, strideMs, rangeMs, steps } = windows;
  const sums = new Float64Array(to - from + 1);
  for (let i = from; i < to; i++) {
    sums[i - from + 1] = sums[i - from] + weightOf(histograms?.[i]);
  }
  let low = from;
  let high = from;
  let seen = from;
  for (let k = 0; k < steps; k++) {
    const end = firstEndMs + k * strideMs;
    while (high < to && timestamps[high] <= end) {
      high++;
    }
    while (low < high && timestamps[low] <= end - rangeMs) {
      low++;
    }
    total[k] += sums[high - from] - sums[low - from];
    if (fromStore) {
      read[k] += sums[high - from] - sums[Math.max(low, seen) - from];
    }
    seen = high;
  }
}

/**
 * What the steps of a subquery read, at the steps of the query that use them; what lies between two
 * windows is used by none.
 */
function addReadOfSubquery(
  { windows, inner, grid }: SubqueryPlan,
  innerRead: Float64Array,
  read: Float64Array,
): void {
  if (grid.steps <= 1) {
    read[0] += sumOf(innerRead);
    return;
  }
  const shift = offsetOf(windows.firstEndMs, windows.strideMs, grid);
  for (let k = 0; k < innerRead.length; k++) {
    const time = inner.grid.startMs + k * inner.grid.stepMs + shift;
    const after = Math.max(0, Math.ceil((time - grid.startMs) / grid.stepMs));
    const step = Math.min(after, grid.steps - 1);
    if (time > grid.startMs + step * grid.stepMs - windows.rangeMs) {
      read[step] += innerRead[k];
    }
  }
}

/** How much later the query's times are than those of a subquery; 0 with `@`. */
function offsetOf(firstEndMs: number, strideMs: number, grid: TimeGrid): number {
  return strideMs === 0 ? 0 : grid.startMs - firstEndMs;
}
