/**
 * @file Functions over windows of samples: one pair of pointers finds the windows of a series, a
 * kernel turns them into a row.
 */
import type { LabelTable } from '../../model/labels.js';
import type { SelectorPlan, SubqueryPlan } from '../plan.js';
import type { Windows } from '../time-grid.js';
import type { EvalContext, SeriesSamples } from './context.js';
import { addHistogramWindows, type HistogramFunction } from './histogram-window.js';
import { RowBuffer, type RowSink, sendRow } from './rows.js';

/**
 * The windows of one series: window `k` is the samples `[first[k], last[k])` of both columns,
 * empty where the two are equal. Both columns ascend with `k`.
 */
export interface WindowedSeries {
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  /** The samples that lie in any window: `[from, to)`. */
  readonly from: number;
  readonly to: number;
  readonly first: Int32Array;
  readonly last: Int32Array;
  readonly windows: Windows;
}

/**
 * Sets cell and flag of every step and returns how many flags are 1. `scalars` are the function's
 * other arguments, a value a step.
 */
export type WindowKernel = (
  series: WindowedSeries,
  out: RowBuffer,
  scalars: readonly Float64Array[],
) => number;

/** Finds windows; owns the columns that hold them. */
export class WindowFinder {
  readonly first: Int32Array;
  readonly last: Int32Array;
  from = 0;
  to = 0;
  timestamps: Float64Array = new Float64Array(0);
  values: Float64Array = new Float64Array(0);

  constructor(readonly windows: Windows) {
    this.first = new Int32Array(windows.steps);
    this.last = new Int32Array(windows.steps);
  }

  /** Points at a series' samples; false when all its windows are empty. */
  find(samples: SeriesSamples): boolean {
    const { timestamps, from, to } = samples;
    const { firstEndMs, strideMs, rangeMs, steps } = this.windows;
    const { first, last } = this;
    this.timestamps = timestamps;
    this.values = samples.values;
    this.from = from;
    this.to = to;
    let low = from;
    let high = from;
    let any = false;
    for (let k = 0; k < steps; k++) {
      const end = firstEndMs + k * strideMs;
      while (high < to && timestamps[high] <= end) {
        high++;
      }
      const start = end - rangeMs;
      while (low < high && timestamps[low] <= start) {
        low++;
      }
      first[k] = low;
      last[k] = high;
      any ||= low < high;
    }
    return any;
  }
}

/** What a window function does besides its kernel. */
export interface WindowFunction {
  readonly kernel: WindowKernel;
  /** For `last_over_time` and `first_over_time`, which act like `offset`. */
  readonly keepsName: boolean;
  /**
   * What becomes of histograms: `count` where only times matter; `float` leaves them out, and tells
   * `onMixed` of windows that have both; undefined is an error where one occurs.
   */
  readonly histograms?: 'count' | 'float';
  /** The part of the function that takes histograms; `histograms` is undefined then. */
  readonly ofHistograms?: HistogramFunction;
  /** Called for a series with floats and histograms in one window. */
  readonly onMixed?: (labels: LabelTable, series: number) => void;
  /** Called once for every series that gives a value. */
  readonly onSeries?: (labels: LabelTable, series: number) => void;
}

/** Whether a row has a float at any step. */
function hasFloat({ histograms, flags }: RowBuffer): boolean {
  return histograms === undefined || flags.some((flag, k) => flag !== 0 && !histograms[k]);
}

/** The samples that are floats. */
function separateFloats(samples: SeriesSamples): SeriesSamples {
  const { histograms } = samples;
  const timestamps = samples.timestamps.slice(samples.from, samples.to);
  const values = samples.values.slice(samples.from, samples.to);
  let to = 0;
  for (let i = 0; i < values.length; i++) {
    if (histograms?.[samples.from + i] === undefined) {
      timestamps[to] = timestamps[i];
      values.copyWithin(to++, i, i + 1);
    }
  }
  return { timestamps, values, from: 0, to };
}

/** Whether a window that has a float of `finder` has a histogram of `all`. */
function mixes(finder: WindowFinder, all: SeriesSamples): boolean {
  const { firstEndMs, strideMs, rangeMs, steps } = finder.windows;
  for (let k = 0; k < steps; k++) {
    if (finder.first[k] === finder.last[k]) {
      continue;
    }
    const end = firstEndMs + k * strideMs;
    for (let i = all.from; i < all.to && all.timestamps[i] <= end; i++) {
      if (all.timestamps[i] > end - rangeMs && all.histograms?.[i] !== undefined) {
        return true;
      }
    }
  }
  return false;
}

/** The rows of a window function; `sink` gets the labels of the input. */
export function windowRows(
  ctx: EvalContext,
  input: SelectorPlan | SubqueryPlan,
  scalars: readonly Float64Array[],
  fn: WindowFunction,
  sink: RowSink,
): void {
  const finder = new WindowFinder(input.windows);
  const out = new RowBuffer(input.windows.steps);
  let table: LabelTable | undefined;
  ctx.series(input, {
    histograms: fn.histograms === undefined && fn.ofHistograms === undefined ? undefined : 'take',
    begin: (labels, dropName) => {
      table = labels;
      sink.begin(labels, dropName);
    },
    samples: (series, all) => {
      out.histograms = undefined;
      const separate = all.histograms !== undefined && fn.histograms !== 'count';
      const samples = separate ? separateFloats(all) : all;
      const found = finder.find(samples);
      let count = found ? fn.kernel(finder, out, scalars) : 0;
      if (separate && table !== undefined) {
        if (fn.ofHistograms !== undefined) {
          if (!found) {
            out.flags.fill(0);
          }
          const place = { labels: table, series };
          count = addHistogramWindows(fn.ofHistograms, all, finder, place, out);
        } else if (found && mixes(finder, all)) {
          fn.onMixed?.(table, series);
        }
      }
      ctx.budget.spend(input.windows.steps + samples.to - samples.from);
      if (count > 0) {
        out.filled(count);
        sendRow(sink, series, out, input.windows.steps);
        if (fn.onSeries !== undefined && table !== undefined && hasFloat(out)) {
          fn.onSeries(table, series);
        }
      }
    },
    end: () => sink.end(),
  });
}
