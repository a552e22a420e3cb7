/**
 * @file Dropping metric names, and merging series that have become equal by it.
 *
 * Follows `cleanupMetricLabels` and `mergeSeriesWithSameLabelset` in Prometheus'
 * `promql/engine.go` (3.14): equal label sets merge unless two have a value at one step.
 */
import { MetricstorError } from '../../errors.js';
import type { Histogram } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from './context.js';
import { LabelIndex, LabelScratch, labelBytes } from './label-sets.js';
import {
  type Grid,
  GridCollector,
  histogramBytes,
  type Row,
  type RowSink,
  sendGrid,
  sendRow,
} from './rows.js';

/** The error of two series with the same labels at one step. */
export function sameLabels(): MetricstorError {
  const text = 'vector cannot contain metrics with the same labelset';
  return new MetricstorError('execution', text);
}

/** Label sets of a table, without name and metadata where `dropName` says so; with their index. */
interface Renamed {
  readonly labels: LabelTable;
  /** The series of `labels` that each old series becomes; null when none coincide. */
  readonly target: Uint32Array | null;
}

/** Applies the flags; null means every series loses its name. */
function withoutNames(ctx: EvalContext, labels: LabelTable, dropName: Uint8Array | null): Renamed {
  const index = new LabelIndex();
  const scratch = new LabelScratch();
  const target = new Uint32Array(labels.count);
  for (let i = 0; i < labels.count; i++) {
    if (dropName === null || dropName[i] !== 0) {
      scratch.project(labels, i, ctx.metadataLabels, false);
      target[i] = index.add(scratch);
    } else {
      target[i] = index.addSeries(labels, i);
    }
  }
  return { labels: index.table(), target: index.count === labels.count ? null : target };
}

/** Whether all series differ also without their names. */
export function hasDistinctNameless(ctx: EvalContext, labels: LabelTable): boolean {
  const { ids, offsets, count } = labels;
  // Of one metric, and named by nothing else, they do.
  let metric = -1;
  for (let i = 0; i < count; i++) {
    let dropped = 0;
    let name = 0;
    for (let at = offsets[i]; at < offsets[i + 1]; at += 2) {
      if (ctx.metadataLabels.has(ids[at])) {
        dropped++;
        name = ids[at + 1];
      }
    }
    metric = i === 0 ? name : metric;
    if (dropped !== 1 || name !== metric) {
      return withoutNames(ctx, labels, null).target === null;
    }
  }
  return true;
}

/** A table without the flagged names; throws where two series become equal. */
export function distinctWithoutNames(
  ctx: EvalContext,
  labels: LabelTable,
  dropName: Uint8Array | null,
): LabelTable {
  if (dropName === null) {
    return labels;
  }
  const renamed = withoutNames(ctx, labels, dropName);
  if (renamed.target !== null) {
    throw sameLabels();
  }
  return renamed.labels;
}

/**
 * A sink that drops the names of all series before `sink` sees them. Series that become equal are
 * merged, unless two have a value at one step; or never, for `distinct`.
 */
export function droppingNames(
  ctx: EvalContext,
  sink: RowSink,
  steps: number,
  equal: 'merged' | 'distinct' = 'merged',
): RowSink {
  if (ctx.delayedNames) {
    return {
      ...policyOf(sink),
      begin: (labels) => sink.begin(labels, new Uint8Array(labels.count).fill(1)),
      row: (series, row) => sink.row(series, row),
      end: () => sink.end(),
    };
  }
  let collector: GridCollector | undefined;
  return {
    // Also where `sink` skips histograms: series are equal whatever they hold.
    histograms: 'take',
    begin: (labels, dropName) => {
      const renamed = withoutNames(ctx, labels, null);
      if (renamed.target === null) {
        sink.begin(renamed.labels, null);
      } else {
        // Collects under the old labels: which series coincide is known at the end only.
        collector = new GridCollector(steps, ctx.budget, 'take');
        collector.begin(labels, dropName);
      }
    },
    row: (series, row) => {
      if (collector === undefined) {
        sendRow(sink, series, row, steps);
      } else {
        collector.row(series, row);
      }
    },
    end: () => {
      if (collector === undefined) {
        sink.end();
        return;
      }
      const grid = collector.finish();
      if (equal === 'distinct' && withoutNames(ctx, grid.labels, null).target !== null) {
        throw sameLabels();
      }
      sendGrid(removeNames(ctx, { ...grid, dropName: null }, 'all'), sink);
      ctx.release(grid);
    },
  };
}

/** Drops names (of all series, or of those flagged) and merges what has become equal. */
export function removeNames(ctx: EvalContext, grid: Grid, which: 'all' | 'flagged'): Grid {
  if (which === 'flagged' && grid.dropName === null) {
    return grid;
  }
  const { labels, target } = withoutNames(ctx, grid.labels, which === 'all' ? null : grid.dropName);
  return merge(ctx, { ...grid, labels, dropName: null }, target);
}

/** Merges series with equal labels; the flags of the first one stay. */
export function mergeEqual(ctx: EvalContext, grid: Grid): Grid {
  const index = new LabelIndex();
  const target = new Uint32Array(grid.labels.count);
  for (let i = 0; i < target.length; i++) {
    target[i] = index.addSeries(grid.labels, i);
  }
  if (index.count === target.length) {
    return grid;
  }
  const labels = index.table();
  const dropName = grid.dropName === null ? null : new Uint8Array(labels.count);
  for (let i = target.length - 1; dropName !== null && i >= 0; i--) {
    dropName[target[i]] = grid.dropName?.[i] as number;
  }
  return merge(ctx, { ...grid, labels, dropName }, target);
}

/** `grid.labels` is the table after merging; row `i` goes to series `target[i]`. */
function merge(ctx: EvalContext, grid: Grid, target: Uint32Array | null): Grid {
  if (target === null) {
    return grid;
  }
  const { steps, labels } = grid;
  const values = new Float64Array(labels.count * steps);
  const present = new Uint8Array(values.length);
  const { histograms } = grid;
  const cells = histograms === undefined ? undefined : ([] as (Histogram | undefined)[]);
  const bytes = values.length * 9 + histogramBytes(histograms) + labelBytes(labels);
  ctx.budget.hold(bytes, values.length);
  for (let i = 0; i < target.length; i++) {
    const from = i * steps;
    const to = target[i] * steps;
    for (let k = 0; k < steps; k++) {
      if (grid.present === null || grid.present[from + k] !== 0) {
        if (present[to + k] !== 0) {
          throw sameLabels();
        }
        present[to + k] = 1;
        values[to + k] = grid.values[from + k];
        if (cells !== undefined) {
          cells[to + k] = histograms?.[from + k];
        }
      }
    }
    ctx.budget.spend(steps);
  }
  return { labels, steps, values, present, dropName: grid.dropName, histograms: cells };
}

/** For a sink that passes rows on to `sink` as they are. */
export function policyOf(sink: RowSink): Pick<RowSink, 'histograms' | 'onSkipped'> {
  return { histograms: sink.histograms, onSkipped: () => sink.onSkipped?.() };
}

/**
 * A row-by-row change of values that keeps presence, such as `abs` or `-x`. Histograms as
 * `histograms` says, which must not be `take`.
 */
export function mappingRows(
  sink: RowSink,
  steps: number,
  map: (from: Float64Array, base: number, to: Float64Array) => void,
  histograms?: 'skip',
): RowSink {
  const out: Row = {
    values: new Float64Array(steps),
    base: 0,
    present: null,
    presentBase: 0,
  };
  return {
    histograms,
    begin: (labels, dropName) => sink.begin(labels, dropName),
    row: (series, row) => {
      map(row.values, row.base, out.values);
      out.present = row.present;
      out.presentBase = row.presentBase;
      sink.row(series, out);
    },
    end: () => sink.end(),
  };
}
