/**
 * @file The answer of an instant query for a range vector: samples as they are, bit for bit.
 */

import { MetricstorError } from '../../errors.js';
import type { Histogram, HistogramCells } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { MatrixResult } from '../../model/result.js';
import { edgedSamples } from '../functions/edges.js';
import type { Edges, Plan } from '../plan.js';
import { windowBounds } from '../time-grid.js';
import type { EvalContext, SeriesSamples } from './context.js';
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
  const edges = node.kind === 'matrix' ? node.edges : undefined;
  const { mint, maxt } = windowBounds(edges?.outer ?? node.windows);
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
    samples: (index, samples) => {
      const inside = within(samples, mint, maxt);
      const part = edges === undefined ? copyOf(inside) : withEdges(inside, edges);
      const { length } = part.values;
      if (length > 0) {
        ctx.budget.hold(length * 16 + histogramBytes(part.histograms), length);
        series.push(index);
        parts.push(part);
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

/** The samples between two times, both counted. */
function within(samples: SeriesSamples, mint: number, maxt: number): SeriesSamples {
  const { timestamps, from, to } = samples;
  let first = from;
  let last = to;
  while (first < last && timestamps[first] < mint) {
    first++;
  }
  while (last > first && timestamps[last - 1] > maxt) {
    last--;
  }
  return { ...samples, from: first, to: last };
}

function copyOf({ timestamps, values, histograms, from, to }: SeriesSamples): Part {
  return {
    timestamps: timestamps.slice(from, to),
    values: values.slice(from, to),
    histograms: histograms?.slice(from, to).map((histogram) => histogram?.slice()),
  };
}

function withEdges(samples: SeriesSamples, { kind, inner }: Edges): Part {
  const { timestamps: times, values, histograms, from: low, to: high } = samples;
  if (histograms?.slice(low, high).some((histogram) => histogram !== undefined)) {
    const text = `${kind} modifier is not supported with histograms`;
    throw new MetricstorError('execution', text);
  }
  const endMs = inner.firstEndMs;
  const startMs = endMs - inner.rangeMs;
  const smoothed = kind === 'smoothed';
  const part = edgedSamples({ times, values, low, high, startMs, endMs, smoothed });
  return { ...part, histograms: undefined };
}
