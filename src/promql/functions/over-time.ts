/**
 * @file Kernels of the `*_over_time` family.
 *
 * Values are those of Prometheus' `promql/functions.go` (3.14) to the last bit where that is
 * defined by an order of additions. Sums of whole numbers are exact in any order, so those (most
 * counters and gauges) come from prefix sums; other sums are added up window by window with
 * compensation. Minimum and maximum use a monotonic queue.
 */
import type { RowBuffer } from '../exec/rows.js';
import type { WindowedSeries, WindowKernel } from '../exec/window.js';
import { KahanSum, kahanMean, kahanTotal } from './kahan.js';
import { quantileOf } from './quantile.js';

type Reduce = (series: WindowedSeries, low: number, high: number, step: number) => number;

/** A kernel that looks at each window by itself; `high > low`. */
function perWindow(reduce: Reduce): WindowKernel {
  return (series, out) => {
    const { first, last } = series;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const low = first[k];
      const high = last[k];
      if (low === high) {
        out.flags[k] = 0;
        continue;
      }
      out.values[k] = reduce(series, low, high, k);
      out.flags[k] = 1;
      count++;
    }
    return count;
  };
}

export function countOverTime(): WindowKernel {
  return perWindow((_series, low, high) => high - low);
}

export function presentOverTime(): WindowKernel {
  return perWindow(() => 1);
}

export function lastOverTime(): WindowKernel {
  return perWindow((series, _low, high) => series.values[high - 1]);
}

export function firstOverTime(): WindowKernel {
  return perWindow((series, low) => series.values[low]);
}

export function timeOfLast(): WindowKernel {
  return perWindow((series, _low, high) => series.timestamps[high - 1] / 1000);
}

export function timeOfFirst(): WindowKernel {
  return perWindow((series, low) => series.timestamps[low] / 1000);
}

export function sumOverTime(): WindowKernel {
  return summing((total) => total, kahanTotal);
}

export function avgOverTime(): WindowKernel {
  return summing((total, count) => total / count, kahanMean);
}

/**
 * Sums up whole numbers by prefix sums while no sum can be inexact, everything else by `slow`.
 */
function summing(
  fromTotal: (total: number, count: number) => number,
  slow: (values: Float64Array, first: number, last: number) => number,
): WindowKernel {
  let prefix = new Float64Array(0);
  const exactly = (series: WindowedSeries, out: RowBuffer): number => {
    const { first, last, from } = series;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const low = first[k];
      const high = last[k];
      if (low === high) {
        out.flags[k] = 0;
        continue;
      }
      out.values[k] = fromTotal(prefix[high - from] - prefix[low - from], high - low);
      out.flags[k] = 1;
      count++;
    }
    return count;
  };
  const carefully = perWindow((series, low, high) => slow(series.values, low, high));
  return (series, out, scalars) => {
    const { values, from, to } = series;
    if (prefix.length < to - from + 1) {
      prefix = new Float64Array(2 * (to - from + 1));
    }
    return prefixSums(values, from, to, prefix)
      ? exactly(series, out)
      : carefully(series, out, scalars);
  };
}

/** Fills prefix sums; false when a value is not whole or a sum might need rounding. */
function prefixSums(values: Float64Array, from: number, to: number, prefix: Float64Array): boolean {
  let sum = 0;
  let size = 0;
  prefix[0] = 0;
  for (let i = from; i < to; i++) {
    const value = values[i];
    if (value !== Math.trunc(value)) {
      return false;
    }
    sum += value;
    size += Math.abs(value);
    prefix[i - from + 1] = sum;
  }
  return size <= Number.MAX_SAFE_INTEGER;
}

/**
 * `max_over_time` and `min_over_time`: the queue holds samples that may still become the extreme,
 * the current one in front. NaN counts only where a window has nothing else.
 */
export function extremeOverTime(which: 'max' | 'min'): WindowKernel {
  const queue = new ExtremeQueue();
  const sign = which === 'max' ? 1 : -1;
  return (series, out) => {
    const { values, first, last, from, to } = series;
    queue.reset(to - from);
    let next = from;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const low = first[k];
      const high = last[k];
      if (low === high) {
        out.flags[k] = 0;
        continue;
      }
      // Samples between two windows are in neither.
      for (next = Math.max(next, low); next < high; next++) {
        queue.push(sign * values[next], next);
      }
      out.values[k] = sign * queue.front(low);
      out.flags[k] = 1;
      count++;
    }
    return count;
  };
}

/** Falling values and their positions, which rise: `[head, tail)` of both columns. */
class ExtremeQueue {
  private values = new Float64Array(0);
  private positions = new Int32Array(0);
  private head = 0;
  private tail = 0;

  /** Empties the queue and makes room for as many values as will be pushed. */
  reset(capacity: number): void {
    if (this.values.length < capacity) {
      this.values = new Float64Array(2 * capacity);
      this.positions = new Int32Array(2 * capacity);
    }
    this.head = 0;
    this.tail = 0;
  }

  push(value: number, position: number): void {
    if (Number.isNaN(value)) {
      return;
    }
    const { values, head } = this;
    let { tail } = this;
    while (tail > head && values[tail - 1] < value) {
      tail--;
    }
    values[tail] = value;
    this.positions[tail] = position;
    this.tail = tail + 1;
  }

  /** The largest value at or behind `from`, or NaN. */
  front(from: number): number {
    while (this.head < this.tail && this.positions[this.head] < from) {
      this.head++;
    }
    return this.head < this.tail ? this.values[this.head] : NaN;
  }
}

/** `ts_of_max_over_time` and `ts_of_min_over_time`: of equal values the last one's time. */
export function timeOfExtreme(which: 'max' | 'min'): WindowKernel {
  const sign = which === 'max' ? 1 : -1;
  return perWindow((series, low, high) => {
    const { values, timestamps } = series;
    let best = sign * values[low];
    let at = low;
    for (let i = low; i < high; i++) {
      const value = sign * values[i];
      if (value >= best || Number.isNaN(best)) {
        best = value;
        at = i;
      }
    }
    return timestamps[at] / 1000;
  });
}

/** `stddev_over_time` and `stdvar_over_time`: Welford's method with compensation. */
export function varianceOverTime(root: boolean): WindowKernel {
  const mean = new KahanSum();
  const squares = new KahanSum();
  return perWindow((series, low, high) => {
    const { values } = series;
    mean.reset(0);
    squares.reset(0);
    for (let i = low; i < high; i++) {
      const value = values[i];
      const delta = value - (mean.sum + mean.comp);
      mean.add(delta / (i - low + 1));
      squares.add(delta * (value - (mean.sum + mean.comp)));
    }
    const variance = (squares.sum + squares.comp) / (high - low);
    return root ? Math.sqrt(variance) : variance;
  });
}

export function quantileOverTime(): WindowKernel {
  const scratch = new Scratch();
  return (series, out, [q]) =>
    perWindow(({ values }, low, high, k) =>
      quantileOf(q[k], scratch.load(values, low, high), high - low),
    )(series, out, []);
}

/** `mad_over_time`: the median distance from the median; NaN where any value is. */
export function madOverTime(): WindowKernel {
  const scratch = new Scratch();
  return perWindow((series, low, high) => {
    const count = high - low;
    const values = scratch.load(series.values, low, high);
    const median = quantileOf(0.5, values, count);
    // NaN comes first when sorted.
    if (Number.isNaN(values[0])) {
      return NaN;
    }
    for (let i = 0; i < count; i++) {
      values[i] = Math.abs(values[i] - median);
    }
    return quantileOf(0.5, values, count);
  });
}

/** A window's values to be changed, in memory that is used again. */
class Scratch {
  private values = new Float64Array(64);

  load(from: Float64Array, low: number, high: number): Float64Array {
    if (this.values.length < high - low) {
      this.values = new Float64Array(2 * (high - low));
    }
    for (let i = low; i < high; i++) {
      this.values[i - low] = from[i];
    }
    return this.values;
  }
}

/** `double_exponential_smoothing`; `smoothing` and `trend` are checked by the caller. */
export function doubleExponentialSmoothing(): WindowKernel {
  return (series, out, [smoothing, trend]) => {
    const { values, first, last } = series;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const low = first[k];
      if (last[k] - low < 2) {
        out.flags[k] = 0;
        continue;
      }
      const sf = smoothing[k];
      const tf = trend[k];
      let older = 0;
      let level = values[low];
      let slope = values[low + 1] - values[low];
      for (let i = low + 1; i < last[k]; i++) {
        if (i > low + 1) {
          slope = tf * (level - older) + (1 - tf) * slope;
        }
        const next = sf * values[i] + (1 - sf) * (level + slope);
        older = level;
        level = next;
      }
      out.values[k] = level;
      out.flags[k] = 1;
      count++;
    }
    return count;
  };
}
