/**
 * @file Native histograms beside a scalar: multiplied and divided, and in every other operator left
 * out with an info.
 *
 * Follows `vectorElemBinop` in Prometheus' `promql/engine.go` (3.14).
 */
import { type Histogram, place, resetHint } from '../../model/histogram.js';
import type { BinaryOp } from '../ast.js';
import { HistogramTally } from '../histogram/tally.js';
import type { Row } from './rows.js';

/** A row in two: the steps that are floats, and the histograms. */
export interface SplitRow {
  readonly floats: Row;
  /** By step. */
  readonly histograms: readonly (Histogram | undefined)[];
}

/** Separates a row with histograms. */
export function splitRow(row: Row, steps: number): SplitRow {
  const flags = new Uint8Array(steps);
  const histograms = new Array<Histogram | undefined>(steps);
  for (let k = 0; k < steps; k++) {
    if (row.present === null || row.present[row.presentBase + k] !== 0) {
      histograms[k] = row.histograms?.[row.base + k];
      flags[k] = histograms[k] === undefined ? 1 : 0;
    }
  }
  const floats = { values: row.values, base: row.base, present: flags, presentBase: 0 };
  return { floats, histograms };
}

/** Adds histograms to the row that became of the floats. */
export function joinRow(
  floats: Row,
  histograms: readonly (Histogram | undefined)[],
  steps: number,
): Row {
  const values = floats.values.slice(floats.base, floats.base + steps);
  const present = new Uint8Array(steps);
  for (let k = 0; k < steps; k++) {
    const float = floats.present === null || floats.present[floats.presentBase + k] !== 0;
    present[k] = float || histograms[k] !== undefined ? 1 : 0;
  }
  return { values, base: 0, present, presentBase: 0, histograms };
}

/** How an operator changes a histogram, or undefined when it has no meaning for one. */
export function scalarOperation(
  op: BinaryOp,
  scalarLeft: boolean,
): ((histogram: Histogram, scalar: number) => Histogram) | undefined {
  if (op === '*') {
    return (histogram, scalar) => changed(histogram, scalar, (tally) => tally.scale(scalar));
  }
  if (op === '/' && !scalarLeft) {
    return (histogram, scalar) => changed(histogram, scalar, (tally) => tally.divide(scalar));
  }
  return undefined;
}

/** A histogram turned over is a gauge. */
function changed(
  histogram: Histogram,
  scalar: number,
  change: (tally: HistogramTally) => void,
): Histogram {
  const tally = new HistogramTally(histogram);
  change(tally);
  return tally.pack(scalar < 0 ? resetHint.gauge : histogram[place.hint]);
}
