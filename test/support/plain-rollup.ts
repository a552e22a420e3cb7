/**
 * @file The functions over windows as plain loops over each window: slow, short, and independent of
 * the engine's. Follows `promql/functions.go` in Prometheus 3.14.
 */
import type { Rollup, RollupRequest } from '../../src/storage/querier.js';

/** The samples of one window. */
export interface PlainWindow {
  readonly times: readonly number[];
  readonly values: readonly number[];
  /** Its bounds in milliseconds: `start < t <= end`. */
  readonly start: number;
  readonly end: number;
}

/** The value of a window; undefined for none. `parameters` are those of the window's step. */
export type PlainFunction = (
  window: PlainWindow,
  parameters: readonly number[],
) => number | undefined;

/** A sum with Neumaier's compensation. */
export function neumaier(values: readonly number[]): number {
  let sum = 0;
  let comp = 0;
  for (const value of values) {
    const total = sum + value;
    if (!Number.isFinite(total)) {
      comp = 0;
    } else {
      const larger = Math.abs(sum) >= Math.abs(value);
      comp += larger ? sum - total + value : value - total + sum;
    }
    sum = total;
  }
  return Number.isFinite(sum) ? sum + comp : sum;
}

function extreme(values: readonly number[], sign: number): number {
  const numbers = values.filter((value) => !Number.isNaN(value));
  return numbers.length === 0 ? NaN : sign * Math.max(...numbers.map((value) => sign * value));
}

/** The time of the last of the equally extreme values. */
function timeOfExtreme({ times, values }: PlainWindow, sign: number): number {
  const best = extreme(values, sign);
  const at = values.map((value) => sameNumber(value, best)).lastIndexOf(true);
  return times[at] / 1000;
}

function sameNumber(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

/** `rate` and its like as the documentation tells them. */
function extrapolated(
  { times, values, start, end }: PlainWindow,
  { counter, perSecond }: { readonly counter: boolean; readonly perSecond: boolean },
): number | undefined {
  const last = values.length - 1;
  if (last < 1) {
    return undefined;
  }
  let result = values[last] - values[0];
  for (let i = 1; i <= last && counter; i++) {
    result += values[i] < values[i - 1] ? values[i - 1] : 0;
  }
  const sampled = (times[last] - times[0]) / 1000;
  const interval = sampled / last;
  let before = (times[0] - start) / 1000;
  let after = (end - times[last]) / 1000;
  before = before >= interval * 1.1 ? interval / 2 : before;
  after = after >= interval * 1.1 ? interval / 2 : after;
  if (counter && result > 0 && values[0] >= 0) {
    before = Math.min(before, sampled * (values[0] / result));
  }
  const factor = (sampled + before + after) / sampled;
  return result * (perSecond ? factor / ((end - start) / 1000) : factor);
}

/** From the last two samples. */
function instant({ times, values }: PlainWindow, counter: boolean): number | undefined {
  const last = values.length - 1;
  if (last < 1) {
    return undefined;
  }
  const change = values[last] - values[last - 1];
  if (!counter) {
    return change;
  }
  const grown = values[last] < values[last - 1] ? values[last] : change;
  return grown / ((times[last] - times[last - 1]) / 1000);
}

/** Slope and value at `origin` (milliseconds) of the line of least squares. */
function line({ times, values }: PlainWindow, origin: number): [number, number] {
  const [first] = values;
  if (values.every((value) => value === first)) {
    return Number.isFinite(first) ? [0, first] : [NaN, NaN];
  }
  const x = times.map((time) => (time - origin) / 1000);
  const [meanX, meanY] = [x, values].map((all) => neumaier(all) / all.length);
  const across = neumaier(x.map((one, i) => (one - meanX) * (values[i] - meanY)));
  const slope = across / neumaier(x.map((one) => (one - meanX) ** 2));
  return [slope, meanY - slope * meanX];
}

/** By Welford's method, which gives 0 for equal values. */
function variance(values: readonly number[]): number {
  let [count, mean, squares] = [0, 0, 0];
  for (const value of values) {
    count++;
    const distance = value - mean;
    mean += distance / count;
    squares += distance * (value - mean);
  }
  return squares / count;
}

function quantile(q: number, values: readonly number[]): number {
  if (Number.isNaN(q) || values.length === 0) {
    return NaN;
  }
  if (q < 0 || q > 1) {
    return q < 0 ? -Infinity : Infinity;
  }
  const order = (a: number, b: number): number =>
    Number.isNaN(a) || Number.isNaN(b) ? Number(Number.isNaN(b)) - Number(Number.isNaN(a)) : a - b;
  const sorted = [...values].sort(order);
  const rank = q * (sorted.length - 1);
  const low = Math.floor(rank);
  const high = Math.min(sorted.length - 1, low + 1);
  const weight = rank - low;
  return sorted[low] * (1 - weight) + sorted[high] * weight;
}

function medianDeviation(values: readonly number[]): number {
  if (values.some(Number.isNaN)) {
    return NaN;
  }
  const median = quantile(0.5, values);
  return quantile(
    0.5,
    values.map((value) => Math.abs(value - median)),
  );
}

function smoothed(values: readonly number[], level: number, trend: number): number | undefined {
  if (values.length < 2) {
    return undefined;
  }
  let before = 0;
  let now = values[0];
  let slope = values[1] - values[0];
  for (let i = 1; i < values.length; i++) {
    slope = i === 1 ? slope : trend * (now - before) + (1 - trend) * slope;
    [before, now] = [now, level * values[i] + (1 - level) * (now + slope)];
  }
  return now;
}

const last = (all: readonly number[]): number => all[all.length - 1];

/** All native functions of windows by name; each gets windows with a sample only. */
export const plainFunctions: Readonly<Record<string, PlainFunction>> = {
  avg_over_time: ({ values }) => neumaier(values) / values.length,
  changes: ({ values }) =>
    values.filter((value, i) => i > 0 && !sameNumber(value, values[i - 1])).length,
  count_over_time: ({ values }) => values.length,
  delta: (window) => extrapolated(window, { counter: false, perSecond: false }),
  deriv: (window) => (window.values.length < 2 ? undefined : line(window, window.times[0])[0]),
  double_exponential_smoothing: ({ values }, [level, trend]) => smoothed(values, level, trend),
  first_over_time: ({ values }) => values[0],
  idelta: (window) => instant(window, false),
  increase: (window) => extrapolated(window, { counter: true, perSecond: false }),
  irate: (window) => instant(window, true),
  last_over_time: ({ values }) => last(values),
  mad_over_time: ({ values }) => medianDeviation(values),
  max_over_time: ({ values }) => extreme(values, 1),
  min_over_time: ({ values }) => extreme(values, -1),
  predict_linear: (window, [seconds, nowMs]) => {
    if (window.values.length < 2) {
      return undefined;
    }
    const [slope, value] = line(window, nowMs);
    return slope * seconds + value;
  },
  present_over_time: () => 1,
  quantile_over_time: ({ values }, [q]) => quantile(q, values),
  rate: (window) => extrapolated(window, { counter: true, perSecond: true }),
  resets: ({ values }) => values.filter((value, i) => i > 0 && value < values[i - 1]).length,
  stddev_over_time: ({ values }) => Math.sqrt(variance(values)),
  stdvar_over_time: ({ values }) => variance(values),
  sum_over_time: ({ values }) => neumaier(values),
  ts_of_first_over_time: ({ times }) => times[0] / 1000,
  ts_of_last_over_time: ({ times }) => last(times) / 1000,
  ts_of_max_over_time: (window) => timeOfExtreme(window, 1),
  ts_of_min_over_time: (window) => timeOfExtreme(window, -1),
};

/** A rollup of plain loops; `value` and `timestamp` of an instant selector included. */
export function plainRollup({ function: name, windows, parameters }: RollupRequest): Rollup {
  const { firstEndMs, strideMs, rangeMs, steps } = windows;
  return {
    evaluate: (timestamps, values, cells, present) => {
      const bits = new Uint32Array(values.slice().buffer);
      for (let k = 0; k < steps; k++) {
        const end = firstEndMs + k * strideMs;
        const start = end - rangeMs;
        const low = timestamps.findIndex((time) => time > start);
        const behind = timestamps.findIndex((time) => time > end);
        const high = behind < 0 ? timestamps.length : behind;
        const has = low >= 0 && low < high;
        present[k] = 0;
        if (!has) {
          continue;
        }
        if (name === 'value' || name === 'timestamp') {
          const stale = bits[2 * high - 2] === 2 && bits[2 * high - 1] === 0x7ff00000;
          cells[k] = name === 'value' ? values[high - 1] : timestamps[high - 1] / 1000;
          present[k] = stale ? 0 : 1;
          continue;
        }
        const times = [...timestamps.subarray(low, high)];
        const window = { times, values: [...values.subarray(low, high)], start, end };
        const result = plainFunctions[name](
          window,
          parameters.map((all) => all[k]),
        );
        cells[k] = result ?? 0;
        present[k] = result === undefined ? 0 : 1;
      }
      return present.reduce((sum, flag) => sum + flag, 0);
    },
  };
}
