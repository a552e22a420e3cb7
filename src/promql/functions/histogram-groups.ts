/**
 * @file The histograms of a vector, classic and native, and what there is to tell of them.
 *
 * Follows `resetHistograms` in Prometheus' `promql/engine.go` (3.14): series with the same labels
 * but `le` make one classic histogram; a native one beside it at the same step means that neither
 * is evaluated.
 */
import type { Histogram } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { LabelIndex, LabelScratch, labelValue } from '../exec/label-sets.js';
import type { Grid } from '../exec/rows.js';
import { histogramQuantile as nativeQuantile } from '../histogram/quantile.js';
import type { Plan } from '../plan.js';
import { Buckets } from './buckets.js';

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
export function metricName(ctx: EvalContext, labels: LabelTable, series: number): string {
  return ctx.delayedNames ? ctx.session.text(labelValue(labels, series, ctx.nameLabel)) : '';
}

/** What is done with every histogram of a vector, group by group. */
export interface HistogramVisitor {
  classic(buckets: Buckets, step: number, group: number): void;
  native(histogram: Histogram, step: number, group: number): void;
  /** Called after each group. */
  end(group: number): void;
}

/** Finds the histograms of a vector, classic and native; `begin` gets the labels of the groups. */
export function visitHistograms(
  ctx: EvalContext,
  arg: Plan,
  begin: (labels: LabelTable) => HistogramVisitor,
): void {
  const { steps } = arg.grid;
  const grid = ctx.grid(arg, 'take');
  const groups = groupBuckets(ctx, grid, arg);
  const visitor = begin(groups.labels);
  groups.groups.forEach(({ series, bounds, native }, at) => {
    const buckets = new Buckets(series.length);
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
      } else if (histogram !== undefined) {
        visitor.native(histogram, k, at);
      } else if (buckets.length > 0) {
        visitor.classic(buckets, k, at);
      }
    }
    ctx.budget.spend(steps * (series.length + 1));
    visitor.end(at);
  });
  ctx.release(grid);
}

/** Tells of what `Buckets.quantile` had to repair. */
export function tellRepair(
  ctx: EvalContext,
  arg: Plan,
  buckets: Buckets,
  at: { readonly labels: LabelTable; readonly group: number; readonly step: number },
): void {
  const { startMs, stepMs } = arg.grid;
  const timeMs = startMs + at.step * stepMs;
  const { minBucket, maxBucket, maxDiff } = buckets;
  const repair = { minTimeMs: timeMs, maxTimeMs: timeMs, minBucket, maxBucket, maxDiff };
  const metric = metricName(ctx, at.labels, at.group);
  ctx.annotations.forcedMonotonicity(metric, { ...repair, count: 1 }, arg.expr);
}

/** The quantile of a native histogram, which tells of its NaN observations. */
export function nativeQuantileOf(
  ctx: EvalContext,
  arg: Plan,
  histogram: Histogram,
  q: number,
  of: { readonly labels: LabelTable; readonly group: number },
): number {
  return nativeQuantile(q, histogram, (note) => {
    ctx.annotations.nanObservations(note, metricName(ctx, of.labels, of.group), arg.expr);
  });
}
