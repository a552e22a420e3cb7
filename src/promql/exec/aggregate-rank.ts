/**
 * @file Aggregations that compare the series of a step with each other: `topk`, `bottomk`,
 * `limitk`, `limit_ratio`, `quantile`, `count_values`.
 *
 * Follows `rangeEvalAgg`, `aggregationK` and `aggregationCountValues` in Prometheus'
 * `promql/engine.go` (3.14). The parameter is evaluated at every step.
 */
import { MetricstorError } from '../../errors.js';
import { formatFloat, formatShortest } from '../format-float.js';
import { isLabelName } from '../functions/label.js';
import { isQuantile, quantileOf } from '../functions/quantile.js';
import { histogramText } from '../histogram/text.js';
import type { AggregatePlan, Plan } from '../plan.js';
import { goQuote } from '../position.js';
import { isInstant } from '../time-grid.js';
import type { EvalContext } from './context.js';
import { groupSeries } from './groups.js';
import { LabelIndex, LabelScratch } from './label-sets.js';
import { RankHeap } from './rank-heap.js';
import { streamRanked } from './rank-stream.js';
import { RatioSampler } from './ratio-sampler.js';
import {
  emptyGrid,
  type Grid,
  hasAny,
  RowBuffer,
  type RowSink,
  reorder,
  sendGrid,
} from './rows.js';

type RankOp = 'topk' | 'bottomk' | 'limitk' | 'limit_ratio';

/** 2^63: `k` must fit into Go's int64. */
const maxInt64 = 2 ** 63;

function parameter(node: AggregatePlan): Plan {
  if (node.param === undefined) {
    throw new MetricstorError('internal', `${node.expr.op} has no parameter`);
  }
  return node.param;
}

/** The series of each group, in order. */
function members(of: Uint32Array, groups: number): number[][] {
  const lists: number[][] = Array.from({ length: groups }, () => []);
  of.forEach((group, series) => {
    lists[group].push(series);
  });
  return lists;
}

function isPresent(grid: Grid, cell: number): boolean {
  return grid.present === null || grid.present[cell] !== 0;
}

/** The rows of `topk` and its kin: those of the input, without what was not chosen. */
export function rankRows(ctx: EvalContext, node: AggregatePlan, op: RankOp, sink: RowSink): void {
  const { steps } = node.grid;
  const param = parameter(node);
  const params = ctx.scalars(param);
  const ranks = op === 'topk' || op === 'bottomk';
  const streamed = node.streamed === true && (op === 'topk' || op === 'bottomk');
  const ranked =
    streamed && isCountable(params)
      ? streamRanked(ctx, node, op, params, sink)
      : ctx.grid(node.inner, ranks ? 'skip' : 'take', () =>
          ctx.annotations.histogramIgnored(op, node.expr),
        );
  if (ranked === 'sent') {
    return;
  }
  const grid = ranked;
  const empty = op === 'limit_ratio' ? checkRatios(ctx, params, param) : checkCounts(params);
  if (empty || grid.labels.count === 0) {
    sendGrid(emptyGrid(steps), sink);
    ctx.release(grid);
    return;
  }
  const { of, labels } = groupSeries(ctx, grid.labels, node.expr);
  const groups = members(of, labels.count);
  const present = new Uint8Array(grid.labels.count * steps);
  ctx.budget.hold(present.length, 0);
  const choose = chooser(ctx, op, grid);
  const ordered = isInstant(node.grid);
  const order: number[] = [];
  for (const group of groups) {
    for (let k = 0; k < steps; k++) {
      const candidates = group.filter((series) => isPresent(grid, series * steps + k));
      const chosen = choose(candidates, k, params[k]);
      for (const series of chosen) {
        present[series * steps + k] = 1;
        if (ordered) {
          order.push(series);
        }
      }
      ctx.budget.spend(group.length);
    }
  }
  const chosen = { ...grid, present };
  if (ordered) {
    sendGrid(reorder(chosen, order), sink);
  } else {
    sendGrid(chosen, sink);
  }
  ctx.budget.release(present.length, 0);
  ctx.release(grid);
}

/** The chosen of a group's series at a step, in the order of an instant query's answer. */
type Choose = (candidates: readonly number[], step: number, param: number) => readonly number[];

function chooser(ctx: EvalContext, op: RankOp, grid: Grid): Choose {
  const { steps, values } = grid;
  if (op === 'limitk') {
    return (candidates, _step, k) => candidates.slice(0, Math.max(0, Math.trunc(k)));
  }
  if (op === 'limit_ratio') {
    const sampler = new RatioSampler(ctx.session, grid.labels);
    return (candidates, _step, ratio) => {
      const capped = Math.max(-1, Math.min(1, ratio));
      return candidates.filter((series) => sampler.isIn(series, capped));
    };
  }
  const heap = new RankHeap(op);
  return (candidates, step, k) => {
    heap.clear();
    for (const series of candidates) {
      heap.offer(series, values[series * steps + step], Math.trunc(k));
    }
    return heap.ranked();
  };
}

/** Largest and smallest of a parameter, NaN apart. */
function extent(params: Float64Array): { min: number; max: number; nan: boolean } {
  let min = Infinity;
  let max = -Infinity;
  let nan = false;
  for (const value of params) {
    if (Number.isNaN(value)) {
      nan = true;
      continue;
    }
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return { min, max, nan };
}

/** Whether `checkCounts` would let these pass, and a step asks for something. */
function isCountable(params: Float64Array): boolean {
  const { min, max, nan } = extent(params);
  return !nan && max >= 1 && min > -maxInt64 && max < maxInt64;
}

/** Throws for a `k` that is no int64; true when no step asks for anything. */
function checkCounts(params: Float64Array): boolean {
  const { min, max, nan } = extent(params);
  if (nan) {
    throw new MetricstorError('execution', 'Parameter value is NaN');
  }
  if (max < 1) {
    return true;
  }
  if (min <= -maxInt64) {
    const text = `Scalar value ${formatShortest(min)} underflows int64`;
    throw new MetricstorError('execution', text);
  }
  if (max >= maxInt64) {
    const text = `Scalar value ${formatShortest(max)} overflows int64`;
    throw new MetricstorError('execution', text);
  }
  return false;
}

function checkRatios(ctx: EvalContext, params: Float64Array, at: Plan): boolean {
  const { min, max, nan } = extent(params);
  if (nan) {
    throw new MetricstorError('execution', 'Ratio value is NaN');
  }
  if (max === 0 && min === 0) {
    return true;
  }
  if (max > 1) {
    ctx.annotations.invalidRatio(max, 1, at.expr);
  }
  if (min < -1) {
    ctx.annotations.invalidRatio(min, -1, at.expr);
  }
  return false;
}

/** The rows of `quantile`: all values of a group and step are collected, then sorted. */
export function quantileRows(ctx: EvalContext, node: AggregatePlan, sink: RowSink): void {
  const { steps } = node.grid;
  const param = parameter(node);
  const params = ctx.scalars(param);
  const grid = ctx.grid(node.inner, 'skip', () =>
    ctx.annotations.histogramIgnored('quantile', node.inner.expr),
  );
  // After those of what is inside, so that one of the same text is said here.
  const { min, max, nan } = extent(params);
  for (const [invalid, value] of [
    [nan, NaN],
    [max > 1, max],
    [min < 0, min],
  ] as const) {
    if (invalid && !isQuantile(value)) {
      ctx.annotations.invalidQuantile(value, param.expr);
    }
  }
  const { of, labels } = groupSeries(ctx, grid.labels, node.expr);
  const dropName = grid.dropName === null ? null : new Uint8Array(labels.count);
  sink.begin(labels, dropName);
  const out = new RowBuffer(steps);
  members(of, labels.count).forEach((group, at) => {
    const scratch = new Float64Array(group.length);
    let count = 0;
    for (let k = 0; k < steps; k++) {
      let length = 0;
      for (const series of group) {
        const cell = series * steps + k;
        if (isPresent(grid, cell)) {
          scratch[length++] = grid.values[cell];
        }
      }
      out.flags[k] = length > 0 ? 1 : 0;
      count += out.flags[k];
      out.values[k] = quantileOf(params[k], scratch, length);
      ctx.budget.spend(length * 4);
    }
    if (dropName !== null) {
      dropName[at] = group.some((series) => grid.dropName?.[series] === 1) ? 1 : 0;
    }
    out.filled(count);
    if (count > 0) {
      sink.row(at, out);
    }
  });
  sink.end();
  ctx.release(grid);
}

/** The rows of `count_values`: a series for every value that a group has at any step. */
export function countValuesRows(ctx: EvalContext, node: AggregatePlan, sink: RowSink): void {
  const { steps } = node.grid;
  const param = parameter(node);
  const label = param.kind === 'string' ? param.value : '';
  if (!isLabelName(label)) {
    throw new MetricstorError('execution', `invalid label name ${goQuote(label)}`);
  }
  const grid = ctx.grid(node.inner, 'take');
  const valueLabel = ctx.session.intern(label);
  const { without, grouping } = node.expr;
  const names = new Set(grouping.map((name) => ctx.session.intern(name)));
  if (without) {
    names.add(ctx.nameLabel);
  }
  const index = new LabelIndex();
  const scratch = new LabelScratch();
  const counts: Float64Array[] = [];
  for (let i = 0; i < grid.labels.count; i++) {
    for (let k = 0; k < steps; k++) {
      const cell = i * steps + k;
      if (!isPresent(grid, cell)) {
        continue;
      }
      const histogram = grid.histograms?.[cell];
      const text = histogram ? histogramText(histogram) : formatFloat(grid.values[cell]);
      const value = ctx.session.intern(text);
      scratch.project(grid.labels, i, names, !without);
      if (!without || !names.has(valueLabel)) {
        scratch.set(ctx.session, valueLabel, value);
      }
      const at = index.add(scratch);
      if (at === counts.length) {
        ctx.budget.hold(steps * 8, steps);
        counts.push(new Float64Array(steps));
      }
      counts[at][k]++;
    }
    ctx.budget.spend(steps * 8);
  }
  sink.begin(index.table(), null);
  const flags = new Uint8Array(steps);
  counts.forEach((values, at) => {
    for (let k = 0; k < steps; k++) {
      flags[k] = values[k] > 0 ? 1 : 0;
    }
    if (hasAny(flags, 0, steps)) {
      sink.row(at, { values, base: 0, present: flags, presentBase: 0 });
    }
  });
  sink.end();
  ctx.budget.release(counts.length * steps * 8, counts.length * steps);
  ctx.release(grid);
}
