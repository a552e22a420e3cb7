/**
 * @file `histogram_quantile` and `histogram_fraction` over classic histograms.
 *
 * Follows `resetHistograms` in Prometheus' `promql/engine.go` and `funcHistogramQuantile` in
 * `promql/functions.go` (3.14): series with the same labels but `le` make one histogram.
 */
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { LabelIndex, LabelScratch, labelValue } from '../exec/label-sets.js';
import { droppingNames } from '../exec/names.js';
import { type Grid, hasAny, RowBuffer, type RowSink } from '../exec/rows.js';
import type { CallPlan, Plan } from '../plan.js';
import { Buckets } from './buckets.js';
import type { Implementation } from './implementation.js';
import { isQuantile } from './quantile.js';

/** One histogram: its series by ascending upper bound. */
interface BucketGroup {
  readonly series: number[];
  readonly bounds: number[];
}

interface BucketGroups {
  readonly labels: LabelTable;
  readonly groups: readonly BucketGroup[];
}

/** A float as Go's `ParseFloat` reads it, or undefined. */
function parseBound(text: string): number | undefined {
  if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text)) {
    return Number(text);
  }
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(text);
  if (special === null) {
    return undefined;
  }
  const value = special[2].toLowerCase() === 'nan' ? NaN : Infinity;
  return special[1] === '-' ? -value : value;
}

function groupBuckets(ctx: EvalContext, grid: Grid, arg: Plan): BucketGroups {
  const le = ctx.session.intern('le');
  const names = new Set([le]);
  const index = new LabelIndex();
  const scratch = new LabelScratch();
  const groups: BucketGroup[] = [];
  for (let i = 0; i < grid.labels.count; i++) {
    const text = ctx.session.text(labelValue(grid.labels, i, le));
    const bound = parseBound(text);
    if (bound === undefined) {
      const metric = metricName(ctx, grid.labels, i);
      ctx.annotations.badBucketLabel(metric, text, arg.expr);
      continue;
    }
    scratch.project(grid.labels, i, names, false);
    const at = index.add(scratch);
    if (at === groups.length) {
      groups.push({ series: [], bounds: [] });
    }
    const { series, bounds } = groups[at];
    let place = series.length;
    while (place > 0 && bounds[place - 1] > bound) {
      place--;
    }
    series.splice(place, 0, i);
    bounds.splice(place, 0, bound);
  }
  return { labels: index.table(), groups };
}

/** The metric name that annotations show: none unless names are dropped late. */
function metricName(ctx: EvalContext, labels: LabelTable, series: number): string {
  return ctx.delayedNames ? ctx.session.text(labelValue(labels, series, ctx.nameLabel)) : '';
}

/** Evaluates one number a histogram and step. */
type Evaluate = (buckets: Buckets, step: number, group: number) => number;

function histogramRows(
  ctx: EvalContext,
  node: CallPlan,
  arg: Plan,
  sink: RowSink,
  evaluate: (groups: BucketGroups) => Evaluate,
): void {
  const { steps } = node.grid;
  const grid = ctx.grid(arg);
  const groups = groupBuckets(ctx, grid, arg);
  const compute = evaluate(groups);
  const target = droppingNames(ctx, sink, steps);
  target.begin(groups.labels, null);
  const out = new RowBuffer(steps);
  groups.groups.forEach(({ series, bounds }, at) => {
    const buckets = new Buckets(series.length);
    let count = 0;
    for (let k = 0; k < steps; k++) {
      buckets.clear();
      for (let i = 0; i < series.length; i++) {
        const cell = series[i] * steps + k;
        if (grid.present === null || grid.present[cell] !== 0) {
          buckets.add(bounds[i], grid.values[cell]);
        }
      }
      out.flags[k] = buckets.length > 0 ? 1 : 0;
      if (buckets.length > 0) {
        out.values[k] = compute(buckets, k, at);
        count++;
      }
    }
    ctx.budget.spend(steps * series.length);
    out.filled(count);
    if (hasAny(out.flags, 0, steps)) {
      target.row(at, out);
    }
  });
  target.end();
  ctx.release(grid);
}

const histogramQuantile: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const [param, arg] = node.args;
    const q = ctx.scalars(param);
    for (const value of q) {
      if (!isQuantile(value)) {
        ctx.annotations.invalidQuantile(value, param.expr);
      }
    }
    const { startMs, stepMs } = node.grid;
    histogramRows(ctx, node, arg, sink, ({ labels }) => (buckets, step, group) => {
      const value = buckets.quantile(q[step]);
      if (buckets.repaired) {
        const timeMs = startMs + step * stepMs;
        const { minBucket, maxBucket, maxDiff } = buckets;
        const repair = { minTimeMs: timeMs, maxTimeMs: timeMs, minBucket, maxBucket, maxDiff };
        const metric = metricName(ctx, labels, group);
        ctx.annotations.forcedMonotonicity(metric, { ...repair, count: 1 }, arg.expr);
      }
      return value;
    });
  },
};

const histogramFraction: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const lower = ctx.scalars(node.args[0]);
    const upper = ctx.scalars(node.args[1]);
    histogramRows(
      ctx,
      node,
      node.args[2],
      sink,
      () => (buckets, step) => buckets.fraction(lower[step], upper[step]),
    );
  },
};

export const histogramFunctions = {
  histogram_fraction: histogramFraction,
  histogram_quantile: histogramQuantile,
} satisfies Record<string, Implementation>;
