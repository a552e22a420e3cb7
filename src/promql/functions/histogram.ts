/**
 * @file `histogram_quantile` and `histogram_fraction` over classic and native histograms.
 *
 * Follows `resetHistograms` in Prometheus' `promql/engine.go` and `funcHistogramQuantile` in
 * `promql/functions.go` (3.14): series with the same labels but `le` make one classic histogram; a
 * native one beside it at the same step means that neither is evaluated.
 */
import { type Histogram, place } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { LabelIndex, LabelScratch, labelValue } from '../exec/label-sets.js';
import { droppingNames } from '../exec/names.js';
import { type Grid, hasAny, RowBuffer, type RowSink } from '../exec/rows.js';
import {
  histogramFraction as nativeFraction,
  histogramQuantile as nativeQuantile,
} from '../histogram/quantile.js';
import type { CallPlan, Plan } from '../plan.js';
import { Buckets } from './buckets.js';
import type { Implementation } from './implementation.js';
import { isQuantile } from './quantile.js';

/** One histogram: its classic series by ascending upper bound, or the series of native ones. */
interface BucketGroup {
  readonly series: number[];
  readonly bounds: number[];
  native: number;
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
  const groupOf = (series: number, without: ReadonlySet<number>): BucketGroup => {
    scratch.project(grid.labels, series, without, false);
    const at = index.add(scratch);
    if (at === groups.length) {
      groups.push({ series: [], bounds: [], native: -1 });
    }
    return groups[at];
  };
  for (let i = 0; i < grid.labels.count; i++) {
    const kinds = kindsOf(grid, i);
    if (kinds.histograms) {
      groupOf(i, noNames).native = i;
    }
    if (!kinds.floats) {
      continue;
    }
    const text = ctx.session.text(labelValue(grid.labels, i, le));
    const bound = parseBound(text);
    if (bound === undefined) {
      const metric = metricName(ctx, grid.labels, i);
      ctx.annotations.badBucketLabel(metric, text, arg.expr);
      continue;
    }
    const { series, bounds } = groupOf(i, names);
    let place = series.length;
    while (place > 0 && bounds[place - 1] > bound) {
      place--;
    }
    series.splice(place, 0, i);
    bounds.splice(place, 0, bound);
  }
  return { labels: index.table(), groups };
}

const noNames: ReadonlySet<number> = new Set();

/** Which kinds of values a series has. */
function kindsOf(
  { steps, present, histograms }: Grid,
  series: number,
): { floats: boolean; histograms: boolean } {
  if (histograms === undefined) {
    return { floats: true, histograms: false };
  }
  const kinds = { floats: false, histograms: false };
  for (let cell = series * steps; cell < (series + 1) * steps; cell++) {
    if (present === null || present[cell] !== 0) {
      kinds[histograms[cell] === undefined ? 'floats' : 'histograms'] = true;
    }
  }
  return kinds;
}

/** The metric name that annotations show: none unless names are dropped late. */
function metricName(ctx: EvalContext, labels: LabelTable, series: number): string {
  return ctx.delayedNames ? ctx.session.text(labelValue(labels, series, ctx.nameLabel)) : '';
}

/** Evaluate one number a histogram and step. */
interface Evaluate {
  classic(buckets: Buckets, step: number, group: number): number;
  native(histogram: Histogram, step: number, group: number): number;
}

function histogramRows(
  ctx: EvalContext,
  node: CallPlan,
  arg: Plan,
  sink: RowSink,
  evaluate: (groups: BucketGroups) => Evaluate,
): void {
  const { steps } = node.grid;
  const grid = ctx.grid(arg, 'take');
  const groups = groupBuckets(ctx, grid, arg);
  const compute = evaluate(groups);
  const target = droppingNames(ctx, sink, steps);
  target.begin(groups.labels, null);
  const out = new RowBuffer(steps);
  groups.groups.forEach(({ series, bounds, native }, at) => {
    const buckets = new Buckets(series.length);
    let count = 0;
    for (let k = 0; k < steps; k++) {
      buckets.clear();
      for (let i = 0; i < series.length; i++) {
        const cell = series[i] * steps + k;
        const has = grid.present === null || grid.present[cell] !== 0;
        if (has && grid.histograms?.[cell] === undefined) {
          buckets.add(bounds[i], grid.values[cell]);
        }
      }
      const histogram = native < 0 ? undefined : grid.histograms?.[native * steps + k];
      if (histogram !== undefined && buckets.length > 0) {
        ctx.annotations.mixedClassicAndNative(metricName(ctx, groups.labels, at), arg.expr);
        out.flags[k] = 0;
        continue;
      }
      out.flags[k] = histogram !== undefined || buckets.length > 0 ? 1 : 0;
      if (out.flags[k] !== 0) {
        out.values[k] =
          histogram === undefined
            ? compute.classic(buckets, k, at)
            : compute.native(histogram, k, at);
        count++;
      }
    }
    ctx.budget.spend(steps * (series.length + 1));
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
    histogramRows(ctx, node, arg, sink, ({ labels }) => ({
      classic: (buckets, step, group) => {
        const value = buckets.quantile(q[step]);
        if (buckets.repaired) {
          const timeMs = startMs + step * stepMs;
          const { minBucket, maxBucket, maxDiff } = buckets;
          const repair = { minTimeMs: timeMs, maxTimeMs: timeMs, minBucket, maxBucket, maxDiff };
          const metric = metricName(ctx, labels, group);
          ctx.annotations.forcedMonotonicity(metric, { ...repair, count: 1 }, arg.expr);
        }
        return value;
      },
      native: (histogram, step, group) =>
        nativeQuantile(q[step], histogram, (note) => {
          ctx.annotations.nanObservations(note, metricName(ctx, labels, group), arg.expr);
        }),
    }));
  },
};

const histogramFraction: Implementation = {
  kind: 'rows',
  rows: (ctx, node, sink) => {
    const lower = ctx.scalars(node.args[0]);
    const upper = ctx.scalars(node.args[1]);
    const arg = node.args[2];
    histogramRows(ctx, node, arg, sink, ({ labels }) => ({
      classic: (buckets, step) => buckets.fraction(lower[step], upper[step]),
      native: (histogram, step, group) =>
        nativeFraction(lower[step], upper[step], histogram, (note) => {
          ctx.annotations.nanObservations(note, metricName(ctx, labels, group), arg.expr);
        }),
    }));
  },
};

/** A number of each native histogram; floats count as no value. */
function ofHistogram(compute: (histogram: Histogram) => number): Implementation {
  return {
    kind: 'rows',
    rows: (ctx, node, sink) => {
      const { steps } = node.grid;
      const target = droppingNames(ctx, sink, steps);
      const out = new RowBuffer(steps);
      ctx.rows(node.args[0], {
        histograms: 'take',
        begin: (labels, dropName) => target.begin(labels, dropName),
        row: (series, { histograms, base, present, presentBase }) => {
          let count = 0;
          for (let k = 0; k < steps; k++) {
            const has = present === null || present[presentBase + k] !== 0;
            const histogram = has ? histograms?.[base + k] : undefined;
            out.flags[k] = histogram === undefined ? 0 : 1;
            if (histogram !== undefined) {
              out.values[k] = compute(histogram);
              count++;
            }
          }
          out.filled(count);
          if (count > 0) {
            target.row(series, out);
          }
        },
        end: () => target.end(),
      });
    },
  };
}

export const histogramFunctions = {
  histogram_avg: ofHistogram((histogram) => histogram[place.sum] / histogram[place.count]),
  histogram_count: ofHistogram((histogram) => histogram[place.count]),
  histogram_fraction: histogramFraction,
  histogram_quantile: histogramQuantile,
  histogram_sum: ofHistogram((histogram) => histogram[place.sum]),
} satisfies Record<string, Implementation>;
