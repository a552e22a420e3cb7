/**
 * @file Steps of one range query that were evaluated apart, put together as one matrix.
 */
import type { LabelTable } from '../model/labels.js';
import type { MatrixResult } from '../model/result.js';
import type { QuerySession } from '../storage/querier.js';

/**
 * Some steps of some series: series `i` of `labels` owns `[offsets[i], offsets[i + 1])` of `places`
 * (ascending) and `values`. A point belongs to step `places[p] + shift` of the query, and counts
 * where that is in `[from, to)`.
 */
export interface StepPart {
  readonly labels: LabelTable;
  readonly offsets: Uint32Array;
  readonly places: Uint32Array;
  readonly values: Float64Array;
  readonly shift: number;
  readonly from: number;
  readonly to: number;
}

export interface JoinedSteps {
  readonly result: MatrixResult;
  /** Whether `result.labels` are those of all parts, unchanged. */
  readonly sameLabels: boolean;
}

/** Parts in the order of their steps, which do not overlap; their labels are of one dictionary. */
export function joinSteps(
  session: QuerySession,
  parts: readonly StepPart[],
  times: { readonly startMs: number; readonly stepMs: number },
): JoinedSteps {
  const { labels, seriesOf } = unionOf(parts);
  const spans = parts.map((part, index) => spansOf(part, seriesOf[index], labels.count));
  const counts = new Uint32Array(labels.count);
  for (const { low, high } of spans) {
    for (let i = 0; i < counts.length; i++) {
      counts[i] += high[i] - low[i];
    }
  }
  const same = seriesOf.every((series) => series === undefined);
  const all = same ? Uint32Array.from(counts, (_, i) => i) : session.sortOrder(labels);
  const order = all.filter((series) => counts[series] > 0);
  const offsets = new Uint32Array(order.length + 1);
  for (let i = 0; i < order.length; i++) {
    offsets[i + 1] = offsets[i] + counts[order[i]];
  }
  const points = offsets[order.length];
  const values = new Float64Array(points);
  const timestamps = new Float64Array(points);
  for (let i = 0; i < order.length; i++) {
    let at = offsets[i];
    for (const [index, part] of parts.entries()) {
      const { low, high } = spans[index];
      const [first, last] = [low[order[i]], high[order[i]]];
      values.set(part.values.subarray(first, last), at);
      for (let p = first; p < last; p++) {
        timestamps[at++] = times.startMs + (part.places[p] + part.shift) * times.stepMs;
      }
    }
  }
  const sameLabels = same && order.length === labels.count;
  const kept = sameLabels ? labels : pick(labels, order);
  return { result: { type: 'matrix', labels: kept, offsets, timestamps, values }, sameLabels };
}

/**
 * All label sets of the parts, and for each part which of them its series are: undefined where they
 * are the same ones in the same order.
 */
function unionOf(parts: readonly StepPart[]): {
  readonly labels: LabelTable;
  readonly seriesOf: readonly (Uint32Array | undefined)[];
} {
  const [{ labels: first }] = parts;
  if (parts.every(({ labels }) => isSame(labels, first))) {
    return { labels: first, seriesOf: parts.map(() => undefined) };
  }
  const known = new Map<string, number>();
  const sets: Uint32Array[] = [];
  const seriesOf = parts.map(({ labels }) => {
    const series = new Uint32Array(labels.count);
    for (let i = 0; i < labels.count; i++) {
      const ids = labels.ids.subarray(labels.offsets[i], labels.offsets[i + 1]);
      const key = ids.join();
      let index = known.get(key);
      if (index === undefined) {
        index = sets.push(ids) - 1;
        known.set(key, index);
      }
      series[i] = index;
    }
    return series;
  });
  return { labels: tableOf(sets), seriesOf };
}

function isSame(a: LabelTable, b: LabelTable): boolean {
  return a.count === b.count && isEqual(a.offsets, b.offsets) && isEqual(a.ids, b.ids);
}

function isEqual(a: Uint32Array, b: Uint32Array): boolean {
  return a === b || (a.length === b.length && a.every((id, i) => id === b[i]));
}

/** The points of each series of the union that count. */
function spansOf(
  { labels, offsets, places, shift, from, to }: StepPart,
  series: Uint32Array | undefined,
  count: number,
): { readonly low: Uint32Array; readonly high: Uint32Array } {
  const low = new Uint32Array(count);
  const high = new Uint32Array(count);
  for (let i = 0; i < labels.count; i++) {
    let first = offsets[i];
    let last = offsets[i + 1];
    while (first < last && places[first] + shift < from) {
      first++;
    }
    while (last > first && places[last - 1] + shift >= to) {
      last--;
    }
    const index = series === undefined ? i : series[i];
    low[index] = first;
    high[index] = last;
  }
  return { low, high };
}

function pick({ ids, offsets }: LabelTable, series: Uint32Array): LabelTable {
  return tableOf(Array.from(series, (i) => ids.subarray(offsets[i], offsets[i + 1])));
}

function tableOf(sets: readonly Uint32Array[]): LabelTable {
  const offsets = new Uint32Array(sets.length + 1);
  sets.forEach((set, i) => {
    offsets[i + 1] = offsets[i] + set.length;
  });
  const ids = new Uint32Array(offsets[sets.length]);
  sets.forEach((set, i) => {
    ids.set(set, offsets[i]);
  });
  return { count: sets.length, ids, offsets };
}
