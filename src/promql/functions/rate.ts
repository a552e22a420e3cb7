/**
 * @file Kernels of the functions that compare neighbouring samples of any kind, for series with
 * native histograms or start timestamps: `irate`, `idelta`, `changes`, `resets`; the latter two
 * also between edges.
 *
 * Each follows its namesake in Prometheus' `promql/functions.go` (3.14). Series of floats alone are
 * evaluated natively (`native/engine/src/rollup`).
 */
import type { Histogram } from '../../model/histogram.js';
import type { WindowedSeries, WindowKernel } from '../exec/window.js';
import type { Edges } from '../plan.js';
import { edgedWindow } from './edges.js';
import {
  histogramDifference,
  isHistogramMark,
  type PairKind,
  type PairNote,
} from './histogram-pairs.js';
import { isStartReset } from './starts.js';

/** Tells of the samples of a series. */
export type TellOfSeries = (note: PairNote, series: WindowedSeries) => void;

/** `irate` (counter, per second) and `idelta`: the last two samples of each window. */
export function instantDelta(counter: boolean, tell: TellOfSeries): WindowKernel {
  return (series, out) => {
    const { timestamps, values, histograms, starts, first, last } = series;
    const started = counter && starts ? { times: timestamps, starts } : undefined;
    const cells = new Array<Histogram | undefined>(out.steps);
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const at = last[k] - 1;
      out.flags[k] = at > first[k] ? 1 : 0;
      if (at <= first[k]) {
        continue;
      }
      const seconds = (timestamps[at] - timestamps[at - 1]) / 1000;
      const restarted = started !== undefined && isStartReset(started, at);
      const kind = { counter, restarted };
      if ((histograms?.[at] ?? histograms?.[at - 1]) === undefined) {
        out.values[k] = floatDifference(kind, values[at - 1], values[at], seconds);
      } else {
        const pair = [histograms?.[at - 1], histograms?.[at]] as const;
        cells[k] = histogramDifference(kind, ...pair, seconds, (note) => tell(note, series));
        out.flags[k] = cells[k] === undefined ? 0 : 1;
      }
      count += out.flags[k];
    }
    out.histograms = cells;
    return count;
  };
}

function floatDifference(
  { counter, restarted }: PairKind,
  previous: number,
  value: number,
  seconds: number,
): number {
  const anew = counter && (restarted || value < previous);
  const difference = anew ? value : value - previous;
  return counter ? difference / seconds : difference;
}

/** `changes` and `resets`: how many samples of a window differ from the one before. */
export function countMarks(what: 'changes' | 'resets', edges?: Edges): WindowKernel {
  // Prefix counts: before[i - from] marks lie at or before sample i.
  let before = new Int32Array(0);
  return (series, out) => {
    const { timestamps, values, histograms, starts, from, to, first, last } = series;
    const started = what === 'resets' && starts ? { times: timestamps, starts } : undefined;
    if (before.length < to - from) {
      before = new Int32Array(2 * (to - from));
    }
    before[0] = 0;
    let marks = 0;
    for (let i = from + 1; i < to; i++) {
      const mixed = (histograms?.[i] ?? histograms?.[i - 1]) !== undefined;
      const mark = mixed
        ? isHistogramMark(what, histograms?.[i - 1], histograms?.[i])
        : isMark(what, values[i - 1], values[i]);
      if (mark || (started !== undefined && isStartReset(started, i))) {
        marks++;
      }
      before[i - from] = marks;
    }
    const { flags } = out;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const low = edges === undefined ? first[k] : anchorOf(series, edges, k);
      const high = last[k] - 1;
      if (high < low) {
        flags[k] = 0;
        continue;
      }
      out.values[k] = before[high - from] - before[low - from];
      flags[k] = 1;
      count++;
    }
    return count;
  };
}

/**
 * The newest sample before an anchored range, or the first in it; behind the window when the range
 * has none.
 */
function anchorOf(series: WindowedSeries, edges: Edges, k: number): number {
  const { times, low, high, startMs } = edgedWindow(series, edges, k);
  if (low === high || times[high - 1] <= startMs) {
    return high;
  }
  let at = low;
  while (at + 1 < high && times[at + 1] <= startMs) {
    at++;
  }
  return at;
}

/** From NaN to NaN is no change. */
function isMark(what: 'changes' | 'resets', previous: number, value: number): boolean {
  if (what === 'resets') {
    return value < previous;
  }
  return value !== previous && (!Number.isNaN(value) || !Number.isNaN(previous));
}
