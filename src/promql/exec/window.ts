/**
 * @file Functions over windows of samples: one pair of pointers finds the windows of a series, a
 * kernel turns them into a row.
 */
import type { LabelTable } from '../../model/labels.js';
import type { SelectorPlan, SubqueryPlan } from '../plan.js';
import type { Windows } from '../time-grid.js';
import type { EvalContext, SeriesSamples } from './context.js';
import { RowBuffer, type RowSink } from './rows.js';

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
  /** Called once for every series that gives a value. */
  readonly onSeries?: (labels: LabelTable, series: number) => void;
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
    begin: (labels, dropName) => {
      table = labels;
      sink.begin(labels, dropName);
    },
    samples: (series, samples) => {
      if (!finder.find(samples)) {
        return;
      }
      const count = fn.kernel(finder, out, scalars);
      ctx.budget.spend(input.windows.steps + samples.to - samples.from);
      if (count > 0) {
        out.filled(count);
        sink.row(series, out);
        if (fn.onSeries !== undefined && table !== undefined) {
          fn.onSeries(table, series);
        }
      }
    },
    end: () => sink.end(),
  });
}
