/**
 * @file Results of a query as columns.
 */
import type { HistogramCells } from './histogram.js';
import type { LabelTable } from './labels.js';

/** Annotations of a query, each a finished text with its `(line:col)`. */
export interface Annotations {
  readonly warnings: readonly string[];
  readonly infos: readonly string[];
}

/** One value at one time. */
export interface ScalarResult {
  readonly type: 'scalar';
  readonly timestampMs: number;
  /** Length 1. A typed array keeps NaN payloads. */
  readonly values: Float64Array;
}

export interface StringResult {
  readonly type: 'string';
  readonly timestampMs: number;
  readonly value: string;
}

/**
 * Series `i` has the single value `values[i]` at `timestamps[i]` (an instant query's time), or the
 * histogram of cell `i`.
 */
export interface VectorResult {
  readonly type: 'vector';
  readonly labels: LabelTable;
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  readonly histograms?: HistogramCells;
}

/**
 * Series `i` owns `[offsets[i], offsets[i + 1])` of `timestamps` and `values`: a range query's
 * points, or the raw samples of a range selector. Points that do not exist are not in it; those of
 * the cells of `histograms` are histograms.
 */
export interface MatrixResult {
  readonly type: 'matrix';
  readonly labels: LabelTable;
  readonly offsets: Uint32Array;
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  readonly histograms?: HistogramCells;
}

export type QueryResult = ScalarResult | StringResult | VectorResult | MatrixResult;
