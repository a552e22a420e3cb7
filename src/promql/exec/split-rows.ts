/**
 * @file Rows with native histograms in two parts, so that each is reckoned with by itself.
 */
import type { Histogram } from '../../model/histogram.js';
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
