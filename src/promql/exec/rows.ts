/**
 * @file Vectors over time as rows: one series' values at all steps.
 *
 * Operators that look at one series at a time pass rows on as they come (`RowSink`), so that
 * `sum(rate(x[5m]))` never holds the series it sums. Others collect a `Grid`.
 */
import { MetricstorError } from '../../errors.js';
import type { Histogram, HistogramCells } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { Budget } from './budget.js';
import { labelBytes, selectSeries } from './label-sets.js';

/**
 * Values of one series: step `k` has `values[base + k]` where `present` is null (all steps have a
 * value) or `present[presentBase + k]` is 1; other cells mean nothing. Only valid during the call
 * that gets it.
 */
export interface Row {
  values: Float64Array;
  base: number;
  present: Uint8Array | null;
  presentBase: number;
  /** Steps that have a histogram in place of a float: cell `base + k`. */
  histograms?: HistogramCells;
}

/**
 * What an operator does with histograms among its input: `take` when it knows them, `skip` when
 * they count as no value, as Prometheus has it for operators of floats. Undefined is an error where
 * one occurs: no operator reads the sums that stand in the values for them by mistake.
 */
export type HistogramPolicy = 'take' | 'skip' | undefined;

/** Takes rows in order of their series; series without any value may be left out. */
export interface RowSink {
  readonly histograms?: HistogramPolicy;
  /** Called when a histogram is skipped. */
  readonly onSkipped?: (() => void) | undefined;
  /**
   * Called once, first. `dropName[i]` is 1 when the metric name of series `i` goes at the end of
   * the query; null means none does.
   */
  begin(labels: LabelTable, dropName: Uint8Array | null): void;
  row(series: number, row: Row): void;
  /** Called once, last. */
  end(): void;
}

/**
 * All rows of a vector: series `i` owns `[i * steps, (i + 1) * steps)` of `values` and `present`.
 * Never changed once made, so that operators may share one.
 */
export interface Grid {
  readonly labels: LabelTable;
  readonly steps: number;
  readonly values: Float64Array;
  /** Null when every series has a value at every step. */
  readonly present: Uint8Array | null;
  readonly dropName: Uint8Array | null;
  /** Cells that have a histogram in place of a float. */
  readonly histograms?: HistogramCells;
}

/** A row to write into: `steps` cells, all to be set by whoever fills it. */
export class RowBuffer implements Row {
  readonly values: Float64Array;
  readonly base = 0;
  /** Written by kernels; `present` says whether it matters. */
  readonly flags: Uint8Array;
  present: Uint8Array | null = null;
  readonly presentBase = 0;
  histograms: HistogramCells;

  constructor(readonly steps: number) {
    this.values = new Float64Array(steps);
    this.flags = new Uint8Array(steps);
  }

  /** Declares how many of the flags are 1. */
  filled(count: number): void {
    this.present = count === this.steps ? null : this.flags;
  }
}

export const noSeries: LabelTable = {
  count: 0,
  ids: new Uint32Array(0),
  offsets: new Uint32Array(1),
};

/** A vector without series. */
export function emptyGrid(steps: number): Grid {
  const values = new Float64Array(0);
  return { labels: noSeries, steps, values, present: null, dropName: null };
}

/** Bytes that a grid holds, labels included. */
export function gridBytes(grid: Grid): number {
  return grid.values.byteLength + (grid.present?.byteLength ?? 0) + labelBytes(grid.labels);
}

/** Passes a row on, its histograms as the sink wants them. */
export function sendRow(sink: RowSink, series: number, row: Row, steps: number): void {
  const { histograms } = row;
  if (histograms === undefined || sink.histograms === 'take') {
    sink.row(series, row);
    return;
  }
  const flags = new Uint8Array(steps);
  let skipped = false;
  for (let k = 0; k < steps; k++) {
    const has = row.present === null || row.present[row.presentBase + k] !== 0;
    const float = histograms[row.base + k] === undefined;
    skipped ||= has && !float;
    flags[k] = has && float ? 1 : 0;
  }
  if (skipped) {
    if (sink.histograms === undefined) {
      throw noHistograms();
    }
    sink.onSkipped?.();
  }
  sink.row(series, { values: row.values, base: row.base, present: flags, presentBase: 0 });
}

/** The error of an operator that does not know histograms yet. */
export function noHistograms(): MetricstorError {
  const text = 'native histograms are not evaluated in this part of an expression by this version';
  return new MetricstorError('execution', text);
}

/** Bytes of the histograms among cells. */
export function histogramBytes(cells: HistogramCells): number {
  let bytes = 0;
  for (const histogram of cells ?? []) {
    bytes += histogram?.byteLength ?? 0;
  }
  return bytes;
}

/** Passes the rows of a grid on. */
export function sendGrid(grid: Grid, sink: RowSink): void {
  sink.begin(grid.labels, grid.dropName);
  const row: Row = { values: grid.values, base: 0, present: grid.present, presentBase: 0 };
  row.histograms = grid.histograms;
  for (let i = 0; i < grid.labels.count; i++) {
    row.base = i * grid.steps;
    row.presentBase = row.base;
    sendRow(sink, i, row, grid.steps);
  }
  sink.end();
}

/** The series of a grid in another order. */
export function reorder(grid: Grid, order: ArrayLike<number>): Grid {
  const { steps } = grid;
  const cells = order.length * steps;
  const values = new Float64Array(cells);
  const present = grid.present === null ? null : new Uint8Array(cells);
  const dropName = grid.dropName === null ? null : new Uint8Array(order.length);
  const { histograms } = grid;
  const moved = histograms === undefined ? undefined : new Array<Histogram | undefined>(cells);
  for (let i = 0; i < order.length; i++) {
    const from = order[i] * steps;
    for (let k = 0; moved !== undefined && k < steps; k++) {
      moved[i * steps + k] = histograms?.[from + k];
    }
    values.set(grid.values.subarray(from, from + steps), i * steps);
    present?.set(grid.present?.subarray(from, from + steps) ?? [], i * steps);
    if (dropName !== null && grid.dropName !== null) {
      dropName[i] = grid.dropName[order[i]];
    }
  }
  const labels = selectSeries(grid.labels, order);
  return { labels, steps, values, present, dropName, histograms: moved };
}

/**
 * The cells that a collector makes room for at once; beyond, it doubles. Untouched pages of a new
 * array cost nothing, copies do.
 */
const firstCells = 1 << 21;

/** Collects rows into a grid, leaving out series without a value. */
export class GridCollector implements RowSink {
  private labels: LabelTable = noSeries;
  private dropName: Uint8Array | null = null;
  private values = new Float64Array(0);
  private present: Uint8Array | null = null;
  private kept: Uint32Array = new Uint32Array(0);
  private count = 0;
  private cells: (Histogram | undefined)[] | undefined;

  constructor(
    private readonly steps: number,
    private readonly budget: Budget,
    readonly histograms?: HistogramPolicy,
    readonly onSkipped?: () => void,
  ) {}

  begin(labels: LabelTable, dropName: Uint8Array | null): void {
    this.labels = labels;
    this.dropName = dropName;
    this.kept = new Uint32Array(labels.count);
  }

  row(series: number, row: Row): void {
    const { steps } = this;
    if (row.present !== null && !hasAny(row.present, row.presentBase, steps)) {
      return;
    }
    const base = this.count * steps;
    if (base + steps > this.values.length) {
      this.grow(base + steps);
    }
    copyCells(row.values, row.base, this.values, base, steps);
    if (row.present !== null && this.present === null) {
      this.present = new Uint8Array(this.values.length).fill(1, 0, base);
      this.budget.hold(this.present.byteLength, 0);
    }
    if (this.present !== null) {
      if (row.present === null) {
        this.present.fill(1, base, base + steps);
      } else {
        this.present.set(row.present.subarray(row.presentBase, row.presentBase + steps), base);
      }
    }
    if (row.histograms !== undefined) {
      this.addHistograms(row, base);
    }
    this.kept[this.count++] = series;
    this.budget.hold(0, steps);
    this.budget.spend(steps);
  }

  private addHistograms({ histograms, base, present, presentBase }: Row, to: number): void {
    this.cells ??= [];
    let bytes = 0;
    for (let k = 0; k < this.steps; k++) {
      const histogram = histograms?.[base + k];
      if (histogram !== undefined && (present === null || present[presentBase + k] !== 0)) {
        this.cells[to + k] = histogram;
        bytes += histogram.byteLength;
      }
    }
    this.budget.hold(bytes, 0);
  }

  end(): void {
    // The grid is made when it is asked for.
  }

  /** The collected grid, which the budget holds until `releaseGrid`. */
  finish(): Grid {
    const { count, steps, labels } = this;
    const cells = count * steps;
    const all = count === labels.count;
    const kept = this.kept.subarray(0, count);
    const { dropName } = this;
    const named = all ? labels : selectSeries(labels, kept);
    this.budget.hold(labelBytes(named), 0);
    return {
      labels: named,
      steps,
      values: this.values.length === cells ? this.values : this.values.subarray(0, cells),
      present: this.present === null ? null : this.present.subarray(0, cells),
      dropName: dropName === null || all ? dropName : pick(dropName, kept),
      histograms: this.cells,
    };
  }

  private grow(cells: number): void {
    const more = Math.max(firstCells, 2 * this.values.length);
    const length = Math.max(cells, Math.min(this.labels.count * this.steps, more));
    if (length > maxCells) {
      throw this.budget.tooManySamples();
    }
    this.budget.hold((length - this.values.length) * 8, 0);
    const values = new Float64Array(length);
    values.set(this.values);
    this.values = values;
    if (this.present !== null) {
      this.budget.hold(length - this.present.length, 0);
      const present = new Uint8Array(length);
      present.set(this.present);
      this.present = present;
    }
  }
}

/** V8 refuses larger typed arrays on some builds; far above any sample limit. */
const maxCells = 2 ** 31;

/** Gives the memory of a grid back to the budget. */
export function releaseGrid(grid: Grid, budget: Budget): void {
  const bytes = grid.values.buffer.byteLength + (grid.present?.buffer.byteLength ?? 0);
  const more = histogramBytes(grid.histograms) + labelBytes(grid.labels);
  budget.release(bytes + more, grid.labels.count * grid.steps);
}

/** Whether any of `length` flags is set. */
export function hasAny(flags: Uint8Array, from: number, length: number): boolean {
  for (let i = from; i < from + length; i++) {
    if (flags[i] !== 0) {
      return true;
    }
  }
  return false;
}

/** Copies cells; a short loop beats `set` with its view for the few cells of an instant query. */
export function copyCells(
  from: Float64Array,
  fromBase: number,
  to: Float64Array,
  toBase: number,
  length: number,
): void {
  if (length > 16) {
    to.set(from.subarray(fromBase, fromBase + length), toBase);
    return;
  }
  for (let k = 0; k < length; k++) {
    to[toBase + k] = from[fromBase + k];
  }
}

/** The given elements. */
export function pick(from: Uint8Array, indexes: ArrayLike<number>): Uint8Array {
  const out = new Uint8Array(indexes.length);
  for (let i = 0; i < indexes.length; i++) {
    out[i] = from[indexes[i]];
  }
  return out;
}
