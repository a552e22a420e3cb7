/**
 * @file A grid as the matrix of a range query's answer.
 */
import type { Histogram } from '../model/histogram.js';
import type { MatrixResult } from '../model/result.js';
import { selectSeries } from './exec/label-sets.js';
import type { Grid } from './exec/rows.js';
import type { TimeGrid } from './time-grid.js';

/** The points that exist, series in the given order; series without a point are left out. */
export function gridToMatrix(grid: Grid, times: TimeGrid, order: Uint32Array): MatrixResult {
  const { steps, present, histograms } = grid;
  const cells = histograms === undefined ? undefined : ([] as (Histogram | undefined)[]);
  const counts = new Uint32Array(grid.labels.count);
  let total = 0;
  for (let i = 0; i < counts.length; i++) {
    counts[i] = present === null ? steps : countFlags(present, i * steps, steps);
    total += counts[i];
  }
  const kept = steps === 0 ? new Uint32Array(0) : order.filter((series) => counts[series] > 0);
  const timestamps = new Float64Array(total);
  const values = new Float64Array(total);
  const offsets = new Uint32Array(kept.length + 1);
  const allTimes = new Float64Array(steps);
  for (let k = 0; k < steps; k++) {
    allTimes[k] = times.startMs + k * times.stepMs;
  }
  let at = 0;
  for (let i = 0; i < kept.length; i++) {
    const base = kept[i] * steps;
    if (counts[kept[i]] === steps) {
      timestamps.set(allTimes, at);
      values.set(grid.values.subarray(base, base + steps), at);
      for (let k = 0; cells !== undefined && k < steps; k++) {
        cells[at + k] = histograms?.[base + k];
      }
      at += steps;
    } else if (present !== null) {
      for (let k = 0; k < steps; k++) {
        if (present[base + k] !== 0) {
          timestamps[at] = allTimes[k];
          values[at] = grid.values[base + k];
          if (cells !== undefined) {
            cells[at] = histograms?.[base + k];
          }
          at++;
        }
      }
    }
    offsets[i + 1] = at;
  }
  const labels = selectSeries(grid.labels, kept);
  return { type: 'matrix', labels, offsets, timestamps, values, histograms: cells };
}

function countFlags(flags: Uint8Array, from: number, length: number): number {
  let count = 0;
  for (let i = from; i < from + length; i++) {
    count += flags[i];
  }
  return count;
}
