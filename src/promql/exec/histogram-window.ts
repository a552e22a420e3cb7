/**
 * @file Window functions over series with native histograms: what their kernel for floats leaves
 * out, window by window.
 */
import type { Histogram } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { Windows } from '../time-grid.js';
import type { SeriesSamples } from './context.js';
import type { RowBuffer } from './rows.js';

/** The histograms of one window: `[low, high)` of both columns, at least one. */
export interface HistogramWindow {
  readonly times: readonly number[];
  readonly histograms: readonly Histogram[];
  /** Their start timestamps, or 0; undefined where the query does not use them. */
  readonly starts: readonly number[] | undefined;
  readonly low: number;
  readonly high: number;
  /** Its end, which is inside, in milliseconds; it begins `rangeMs` before. */
  readonly endMs: number;
  readonly rangeMs: number;
  readonly labels: LabelTable;
  readonly series: number;
}

/** What a window function does with histograms. */
export interface HistogramFunction {
  /**
   * What a window with floats as well gives: nothing, or the value of the kind that the newest or
   * the oldest sample has.
   */
  readonly mixed: 'nothing' | 'newest' | 'oldest';
  /** Called for a series with a window of both kinds that gives nothing. */
  readonly onMixed?: (labels: LabelTable, series: number) => void;
  /** The value of a window; undefined for none. */
  evaluate(window: HistogramWindow): Histogram | undefined;
}

/** The windows over the floats of the series, as `WindowFinder` has them. */
export interface FloatWindows {
  readonly timestamps: Float64Array;
  readonly first: Int32Array;
  readonly last: Int32Array;
  readonly windows: Windows;
}

/** Where a row is of. */
interface SeriesPlace {
  readonly labels: LabelTable;
  readonly series: number;
}

/**
 * Adds the histograms' part to `out`, which has that of the floats; returns how many flags are 1.
 */
export function addHistogramWindows(
  fn: HistogramFunction,
  all: SeriesSamples,
  floats: FloatWindows,
  place: SeriesPlace,
  out: RowBuffer,
): number {
  const { times, histograms, starts } = histogramsOf(all);
  const { firstEndMs, strideMs, rangeMs, steps } = floats.windows;
  const cells = new Array<Histogram | undefined>(steps);
  let low = 0;
  let high = 0;
  let count = 0;
  for (let k = 0; k < steps; k++) {
    const endMs = firstEndMs + k * strideMs;
    while (high < times.length && times[high] <= endMs) {
      high++;
    }
    while (low < high && times[low] <= endMs - rangeMs) {
      low++;
    }
    if (low < high && histogramsCount(fn, floats, k, times[low], times[high - 1])) {
      cells[k] = fn.evaluate({ times, histograms, starts, low, high, endMs, rangeMs, ...place });
      out.flags[k] = cells[k] === undefined ? 0 : 1;
    } else if (low < high && floats.first[k] < floats.last[k] && fn.mixed === 'nothing') {
      fn.onMixed?.(place.labels, place.series);
      out.flags[k] = 0;
    }
    count += out.flags[k];
  }
  out.histograms = cells;
  return count;
}

/** Whether the histograms of window `k`, from `oldest` to `newest`, are what it is about. */
function histogramsCount(
  { mixed }: HistogramFunction,
  { timestamps, first, last }: FloatWindows,
  k: number,
  oldest: number,
  newest: number,
): boolean {
  if (first[k] === last[k]) {
    return true;
  }
  switch (mixed) {
    case 'nothing':
      return false;
    case 'newest':
      return newest > timestamps[last[k] - 1];
    case 'oldest':
      return oldest < timestamps[first[k]];
  }
}

function histogramsOf({ timestamps, histograms, starts, from, to }: SeriesSamples): {
  times: number[];
  histograms: Histogram[];
  starts: number[] | undefined;
} {
  const found = {
    times: [] as number[],
    histograms: [] as Histogram[],
    starts: starts && ([] as number[]),
  };
  for (let i = from; i < to; i++) {
    const histogram = histograms?.[i];
    if (histogram !== undefined) {
      found.times.push(timestamps[i]);
      found.histograms.push(histogram);
      found.starts?.push(starts?.[i] ?? 0);
    }
  }
  return found;
}
