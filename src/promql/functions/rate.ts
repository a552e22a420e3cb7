/**
 * @file Kernels of the functions that compare samples of a window: `rate`, `increase`, `delta`,
 * `irate`, `idelta`, `changes`, `resets`, `deriv`, `predict_linear`.
 *
 * Each follows its namesake in Prometheus' `promql/functions.go` (3.14), with the same order of
 * floating-point operations. `rate` needs the first and last sample of a window and the resets in
 * between; resets are found once per series, so a window without one costs the same whatever its
 * length.
 */
import type { Histogram } from '../../model/histogram.js';
import type { WindowedSeries, WindowKernel } from '../exec/window.js';
import type { Edges } from '../plan.js';
import { edgedWindow } from './edges.js';
import { histogramDifference, isHistogramMark, type PairNote } from './histogram-pairs.js';
import { KahanSum } from './kahan.js';

/** A window's gaps to its bounds are bridged up to this multiple of the mean interval. */
const extrapolationFactor = 1.1;

/** Positions in a series where something happened, ascending; reused from series to series. */
class Marks {
  positions = new Int32Array(64);
  count = 0;

  clear(): void {
    this.count = 0;
  }

  add(position: number): void {
    if (this.count === this.positions.length) {
      const larger = new Int32Array(this.count * 2);
      larger.set(this.positions);
      this.positions = larger;
    }
    this.positions[this.count++] = position;
  }
}

/** The samples that are smaller than the one before. */
function findResets(series: WindowedSeries, marks: Marks): void {
  const { values, from, to } = series;
  marks.clear();
  for (let i = from + 1; i < to; i++) {
    if (values[i] < values[i - 1]) {
      marks.add(i);
    }
  }
}

/** `rate` (counter, per second), `increase` (counter), `delta` (neither). */
export function extrapolatedRate(counter: boolean, perSecond: boolean): WindowKernel {
  const resets = new Marks();
  return (series, out) => {
    if (counter) {
      findResets(series, resets);
    }
    const { timestamps, values, first, last, windows } = series;
    const { firstEndMs, strideMs, rangeMs, steps } = windows;
    const { flags } = out;
    const cells = out.values;
    const { positions } = resets;
    let count = 0;
    let reset = 0;
    for (let k = 0; k < steps; k++) {
      const low = first[k];
      const high = last[k] - 1;
      if (high <= low) {
        flags[k] = 0;
        continue;
      }
      const firstValue = values[low];
      let result = values[high] - firstValue;
      while (reset < resets.count && positions[reset] <= low) {
        reset++;
      }
      for (let i = reset; i < resets.count && positions[i] <= high; i++) {
        result += values[positions[i] - 1];
      }
      const end = firstEndMs + k * strideMs;
      const firstTime = timestamps[low];
      const lastTime = timestamps[high];
      let toStart = (firstTime - (end - rangeMs)) / 1000;
      let toEnd = (end - lastTime) / 1000;
      const sampled = (lastTime - firstTime) / 1000;
      const interval = sampled / (high - low);
      const threshold = interval * extrapolationFactor;
      if (toStart >= threshold) {
        toStart = interval / 2;
      }
      if (counter && result > 0 && firstValue >= 0) {
        // A counter cannot have been below zero: extrapolate to its zero at most.
        const toZero = sampled * (firstValue / result);
        if (toZero < toStart) {
          toStart = toZero;
        }
      }
      if (toEnd >= threshold) {
        toEnd = interval / 2;
      }
      let factor = (sampled + toStart + toEnd) / sampled;
      if (perSecond) {
        factor /= rangeMs / 1000;
      }
      cells[k] = result * factor;
      flags[k] = 1;
      count++;
    }
    return count;
  };
}

/** Tells of the samples of a series. */
export type TellOfSeries = (note: PairNote, series: WindowedSeries) => void;

/** `irate` (counter, per second) and `idelta`: the last two samples of each window. */
export function instantDelta(counter: boolean, tell: TellOfSeries): WindowKernel {
  const floats = instantFloatDelta(counter);
  return (series, out, scalars) => {
    const { timestamps, histograms, last } = series;
    let count = floats(series, out, scalars);
    if (histograms === undefined) {
      return count;
    }
    const cells = new Array<Histogram | undefined>(out.steps);
    for (let k = 0; k < out.steps; k++) {
      const at = last[k] - 1;
      const any = out.flags[k] !== 0 && (histograms[at] ?? histograms[at - 1]) !== undefined;
      if (any) {
        const seconds = (timestamps[at] - timestamps[at - 1]) / 1000;
        cells[k] = histogramDifference(
          counter,
          histograms[at - 1],
          histograms[at],
          seconds,
          (note) => tell(note, series),
        );
        if (cells[k] === undefined) {
          out.flags[k] = 0;
          count--;
        }
      }
    }
    out.histograms = cells;
    return count;
  };
}

function instantFloatDelta(counter: boolean): WindowKernel {
  return (series, out) => {
    const { timestamps, values, first, last } = series;
    const { flags } = out;
    const cells = out.values;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const at = last[k] - 1;
      if (at <= first[k]) {
        flags[k] = 0;
        continue;
      }
      const value = values[at];
      const previous = values[at - 1];
      const difference = counter && value < previous ? value : value - previous;
      const seconds = (timestamps[at] - timestamps[at - 1]) / 1000;
      cells[k] = counter ? difference / seconds : difference;
      flags[k] = 1;
      count++;
    }
    return count;
  };
}

/** `changes` and `resets`: how many samples of a window differ from the one before. */
export function countMarks(what: 'changes' | 'resets', edges?: Edges): WindowKernel {
  // Prefix counts: before[i - from] marks lie at or before sample i.
  let before = new Int32Array(0);
  return (series, out) => {
    const { values, histograms, from, to, first, last } = series;
    if (before.length < to - from) {
      before = new Int32Array(2 * (to - from));
    }
    before[0] = 0;
    let marks = 0;
    for (let i = from + 1; i < to; i++) {
      const mixed = (histograms?.[i] ?? histograms?.[i - 1]) !== undefined;
      if (
        mixed
          ? isHistogramMark(what, histograms?.[i - 1], histograms?.[i])
          : isMark(what, values[i - 1], values[i])
      ) {
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

/** Least squares over one window; times count from `intercept`. Sums are kept between windows. */
class Regression {
  slope = 0;
  intercept = 0;
  private readonly x = new KahanSum();
  private readonly y = new KahanSum();
  private readonly xy = new KahanSum();
  private readonly xx = new KahanSum();

  fit(series: WindowedSeries, low: number, high: number, interceptMs: number): void {
    const { timestamps, values } = series;
    const { x, y, xy, xx } = this;
    const firstValue = values[low];
    let constant = true;
    for (const sum of [x, y, xy, xx]) {
      sum.reset(0);
    }
    for (let i = low; i < high; i++) {
      const value = values[i];
      if (constant && i > low && value !== firstValue) {
        constant = false;
      }
      const time = (timestamps[i] - interceptMs) / 1e3;
      x.add(time);
      y.add(value);
      xy.add(time * value);
      xx.add(time * time);
    }
    if (constant) {
      const finite = firstValue !== Infinity && firstValue !== -Infinity;
      this.slope = finite ? 0 : NaN;
      this.intercept = finite ? firstValue : NaN;
      return;
    }
    const count = high - low;
    const sumX = x.sum + x.comp;
    const sumY = y.sum + y.comp;
    const covariance = xy.sum + xy.comp - (sumX * sumY) / count;
    const variance = xx.sum + xx.comp - (sumX * sumX) / count;
    this.slope = covariance / variance;
    this.intercept = sumY / count - (this.slope * sumX) / count;
  }
}

/** `deriv`: the slope of the regression, with times from the window's first sample. */
export function derivative(): WindowKernel {
  const regression = new Regression();
  return (series, out) => {
    const { first, last, timestamps } = series;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      if (last[k] - first[k] < 2) {
        out.flags[k] = 0;
        continue;
      }
      regression.fit(series, first[k], last[k], timestamps[first[k]]);
      out.values[k] = regression.slope;
      out.flags[k] = 1;
      count++;
    }
    return count;
  };
}

/**
 * `predict_linear`: the regression's value some seconds after the evaluation time, which is not the
 * window's end where `offset` or `@` has moved that: hence the grid of evaluation times.
 */
export function prediction(startMs: number, stepMs: number): WindowKernel {
  const regression = new Regression();
  return (series, out, [ahead]) => {
    const { first, last } = series;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      if (last[k] - first[k] < 2) {
        out.flags[k] = 0;
        continue;
      }
      regression.fit(series, first[k], last[k], startMs + k * stepMs);
      out.values[k] = regression.slope * ahead[k] + regression.intercept;
      out.flags[k] = 1;
      count++;
    }
    return count;
  };
}
