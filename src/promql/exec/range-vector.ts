/**
 * @file The answer of an instant query for a range vector: samples as they are, bit for bit.
 */

import { MetricstorError } from '../../errors.js';
import type { Histogram, HistogramCells } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { MatrixResult } from '../../model/result.js';
import type { Plan } from '../plan.js';
import { windowBounds } from '../time-grid.js';
import type { EvalContext } from './context.js';
import { selectSeries } from './label-sets.js';
import { distinctWithoutNames } from './names.js';
import { histogramBytes, noSeries, pick } from './rows.js';

/** The samples of one series. */
interface Part {
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  readonly histograms: HistogramCells;
}

/** Samples of all series of a selector or subquery, sorted by labels. */
export function rangeVectorResult(ctx: EvalContext, node: Plan): MatrixResult {
  if (node.kind !== 'matrix' && node.kind !== 'subquery') {
    throw new MetricstorError('internal', `${node.kind} does not give a range vector`);
  }
  const { mint, maxt } = windowBounds(node.windows);
  let table: LabelTable = noSeries;
  let flags: Uint8Array | null = null;
  let total = 0;
  const series: number[] = [];
  const parts: Part[] = [];
  let cells: (Histogram | undefined)[] | undefined;
  ctx.series(node, {
    histograms: 'take',
    begin: (labels, dropName) => {
      table = labels;
      flags = dropName;
    },
    samples: (index, { timestamps, values, histograms, from, to }) => {
      const inside = within(timestamps, from, to, mint, maxt);
      const length = inside.to - inside.from;
      if (length > 0) {
        ctx.budget.hold(length * 16, length);
        series.push(index);
        parts.push({
          timestamps: timestamps.slice(inside.from, inside.to),
          values: values.slice(inside.from, inside.to),
          histograms: histograms?.slice(inside.from, inside.to).map((h) => h?.slice()),
        });
        ctx.budget.hold(histogramBytes(parts[parts.length - 1].histograms), 0);
        total += length;
      }
    },
    end: () => undefined,
  });
  const dropName = flags === null ? null : pick(flags, series);
  const unsorted = distinctWithoutNames(ctx, selectSeries(table, series), dropName);
  const order = ctx.session.sortOrder(unsorted);
  const timestamps = new Float64Array(total);
  const values = new Float64Array(total);
  const offsets = new Uint32Array(order.length + 1);
  order.forEach((index, i) => {
    timestamps.set(parts[index].timestamps, offsets[i]);
    values.set(parts[index].values, offsets[i]);
    parts[index].histograms?.forEach((histogram, k) => {
      cells ??= [];
      cells[offsets[i] + k] = histogram;
    });
    offsets[i + 1] = offsets[i] + parts[index].values.length;
  });
  const labels = selectSeries(unsorted, order);
  return { type: 'matrix', labels, offsets, timestamps, values, histograms: cells };
}

function within(
  timestamps: Float64Array,
  from: number,
  to: number,
  mint: number,
  maxt: number,
): { from: number; to: number } {
  let first = from;
  let last = to;
  while (first < last && timestamps[first] < mint) {
    first++;
  }
  while (last > first && timestamps[last - 1] > maxt) {
    last--;
  }
  return { from: first, to: last };
}
