/**
 * @file Functions over windows of samples.
 *
 * Floats of a selector are evaluated natively, batch by batch; those of a subquery natively too,
 * series by series. What knows native histograms, or samples around the edges of windows, is here:
 * one pair of pointers finds the windows of a series, a kernel turns them into a row.
 */
import type { HistogramCells } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { Rollup } from '../../storage/querier.js';
import type { SelectorPlan, SubqueryPlan } from '../plan.js';
import type { Windows } from '../time-grid.js';
import type { Budget } from './budget.js';
import type { EvalContext, SeriesReader, SeriesSamples } from './context.js';
import { addHistogramWindows, type HistogramFunction } from './histogram-window.js';
import { evaluateRows, rollupFor } from './native-rows.js';
import { noSeries, type Row, RowBuffer, type RowSink, sendRow } from './rows.js';
import { floatColumns, readSeriesFrom, withSelection } from './selector.js';

/**
 * The windows of one series: window `k` is the samples `[first[k], last[k])` of both columns,
 * empty where the two are equal. Both columns ascend with `k`.
 */
export interface WindowedSeries {
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  /** For kernels of all kinds of samples: those that are histograms. */
  readonly histograms: HistogramCells;
  /** Where the query uses start timestamps and the series has one: those of the samples, or 0. */
  readonly starts: Float64Array | undefined;
  /** Where the samples are the floats of a series with histograms as well: all of it. */
  readonly whole: SeriesSamples | undefined;
  /** Whose samples they are. */
  readonly labels: LabelTable;
  readonly series: number;
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
  histograms: HistogramCells;
  starts: Float64Array | undefined;
  whole: SeriesSamples | undefined;
  labels: LabelTable = noSeries;
  series = 0;

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
    this.histograms = samples.histograms;
    this.starts = samples.starts;
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

/** What a window function is made of. */
export interface WindowFunction {
  /** The native function for series of floats: a name of `RollupRequest`. */
  readonly native: string;
  /** Its arguments behind those that the call has, a value a step. */
  readonly more?: readonly Float64Array[];
  /** In place of the native function: of samples around the edges of windows. */
  readonly kernel?: WindowKernel | undefined;
  /** For `last_over_time` and `first_over_time`, which act like `offset`. */
  readonly keepsName: boolean;
  /**
   * What becomes of histograms: `all` where every kind of sample is taken; `float` leaves them out,
   * and tells `onMixed` of windows that have both; undefined is an error where one is.
   */
  readonly histograms?: 'all' | 'float';
  /** For `all`: evaluates a series that has some, where it is not only about times. */
  readonly ofAll?: WindowKernel;
  /** In place of all that for the floats, or all samples, of a series with start timestamps. */
  readonly ofStarts?: WindowKernel | undefined;
  /** The part of the function that takes histograms; `histograms` is undefined then. */
  readonly ofHistograms?: HistogramFunction;
  /** Called for a series with floats and histograms in one window. */
  readonly onMixed?: (labels: LabelTable, series: number) => void;
  /** Called for every row. */
  readonly onRow?: (row: Row) => void;
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
  const starts = samples.starts?.slice(samples.from, samples.to);
  let to = 0;
  for (let i = 0; i < values.length; i++) {
    if (histograms?.[samples.from + i] === undefined) {
      timestamps[to] = timestamps[i];
      starts?.copyWithin(to, i, i + 1);
      values.copyWithin(to++, i, i + 1);
    }
  }
  return { timestamps, values, starts, from: 0, to };
}

/** Whether a series has a histogram behind `startMs` and not behind `endMs`. */
export function hasHistogram(all: SeriesSamples, startMs: number, endMs: number): boolean {
  for (let i = all.from; i < all.to && all.timestamps[i] <= endMs; i++) {
    if (all.timestamps[i] > startMs && all.histograms?.[i] !== undefined) {
      return true;
    }
  }
  return false;
}

/** Whether a window that has a float of `finder` has a histogram of `all`. */
function mixes(finder: WindowFinder, all: SeriesSamples): boolean {
  const { firstEndMs, strideMs, rangeMs, steps } = finder.windows;
  for (let k = 0; k < steps; k++) {
    if (finder.first[k] === finder.last[k]) {
      continue;
    }
    const end = firstEndMs + k * strideMs;
    if (hasHistogram(all, end - rangeMs, end)) {
      return true;
    }
  }
  return false;
}

/** Evaluates one series after the other from its samples, whatever they are. */
class SeriesWindows {
  private readonly finder: WindowFinder;
  private readonly out: RowBuffer;

  constructor(
    private readonly fn: WindowFunction,
    private readonly rollup: Rollup,
    private readonly scalars: readonly Float64Array[],
    private readonly budget: Budget,
    windows: Windows,
  ) {
    this.finder = new WindowFinder(windows);
    this.out = new RowBuffer(windows.steps);
  }

  /** The row of a series, valid until the next; undefined when it has no value. */
  row(all: SeriesSamples, labels: LabelTable, series: number): RowBuffer | undefined {
    const { fn, finder, out } = this;
    out.histograms = undefined;
    finder.labels = labels;
    finder.series = series;
    const separate = all.histograms !== undefined && fn.histograms !== 'all';
    finder.whole = separate ? all : undefined;
    let count = this.floats(separate ? separateFloats(all) : all, all.histograms !== undefined);
    if (separate && fn.ofHistograms !== undefined) {
      count = addHistogramWindows(fn.ofHistograms, all, finder, { labels, series }, out);
    } else if (separate && mixes(finder, all)) {
      fn.onMixed?.(labels, series);
    }
    out.filled(count);
    return count > 0 ? out : undefined;
  }

  private floats(samples: SeriesSamples, bounds: boolean): number {
    const { fn, finder, out, rollup } = this;
    const plain = samples.histograms === undefined ? fn.kernel : (fn.ofAll ?? fn.kernel);
    const own = samples.starts === undefined ? plain : (fn.ofStarts ?? plain);
    if (own === undefined) {
      if (bounds) {
        finder.find(samples);
      }
      const columns = floatColumns(samples);
      return this.budget.native(() => rollup.evaluate(...columns, out.values, out.flags));
    }
    if (!finder.find(samples)) {
      out.flags.fill(0);
      return 0;
    }
    return own(finder, out, this.scalars);
  }
}

/** The rows of a window function; `sink` gets the labels of the input. */
export function windowRows(
  ctx: EvalContext,
  input: SelectorPlan | SubqueryPlan,
  scalars: readonly Float64Array[],
  fn: WindowFunction,
  sink: RowSink,
): void {
  const edged = input.kind === 'subquery' ? undefined : input.edges?.outer;
  const { steps } = input.windows;
  const rollup = rollupOf(ctx, input, scalars, fn);
  const each = new SeriesWindows(fn, rollup, scalars, ctx.budget, edged ?? input.windows);
  let table = noSeries;
  const reader: SeriesReader = {
    histograms: fn.histograms === undefined && fn.ofHistograms === undefined ? undefined : 'take',
    begin: (labels, dropName) => {
      table = labels;
      sink.begin(labels, dropName);
    },
    samples: (series, all) => {
      const row = each.row(all, table, series);
      ctx.budget.spend(steps + all.to - all.from);
      if (row !== undefined) {
        sendRow(sink, series, row, steps);
        fn.onRow?.(row);
        if (hasFloat(row)) {
          fn.onSeries?.(table, series);
        }
      }
    },
    end: () => sink.end(),
  };
  if (input.kind === 'subquery' || (fn.kernel ?? fn.ofStarts) !== undefined) {
    ctx.series(input, reader);
    return;
  }
  withSelection(ctx, input, (selection) => {
    reader.begin(selection.labels, null);
    const first = evaluateRows(ctx, { plan: input, selection, rollup }, (series, row) => {
      sink.row(series, row);
      fn.onRow?.(row);
      fn.onSeries?.(table, series);
    });
    if (first < selection.labels.count) {
      readSeriesFrom(ctx, selection, first, reader);
    }
    reader.end();
  });
}

/** The native part of a window function. */
export function rollupOf(
  ctx: EvalContext,
  input: SelectorPlan | SubqueryPlan,
  scalars: readonly Float64Array[],
  fn: WindowFunction,
): Rollup {
  const parameters = [...scalars, ...(fn.more ?? [])];
  return rollupFor(ctx, { function: fn.native, windows: input.windows, parameters });
}
