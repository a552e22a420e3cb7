/**
 * @file `anchored` and `smoothed` ranges: a window begins and ends with a value at its very edges,
 * of the newest sample before them (anchored) or between the samples around them (smoothed).
 *
 * Follows `extendedRate`, `interpolate`, `pickOrInterpolateLeft` and `pickOrInterpolateRight` in
 * Prometheus' `promql/functions.go`, and `extendFloats` in `promql/engine.go` (3.14): counters and
 * gauges differ by what a fall between two samples means.
 */
import { MetricstorError } from '../../errors.js';
import type { WindowedSeries, WindowKernel } from '../exec/window.js';
import type { CallPlan, Edges } from '../plan.js';

/** The functions that each modifier goes with, as the error lists them. */
const allowed: Readonly<Record<Edges['kind'], readonly string[]>> = {
  anchored: ['changes', 'delta', 'increase', 'rate', 'resets'],
  smoothed: ['delta', 'increase', 'rate'],
};

/** Throws for a function that has no meaning for the modifier of its range vector. */
export function checkEdges(node: CallPlan): void {
  const edges = edgesOf(node);
  if (edges !== undefined && !allowed[edges.kind].includes(node.name)) {
    const text = `${edges.kind} modifier can only be used with: ${allowed[edges.kind].join(', ')}`;
    throw new MetricstorError('execution', `${text} - not with ${node.name}`);
  }
}

/** The modifier of a call's range vector. */
export function edgesOf(node: CallPlan): Edges | undefined {
  for (const arg of node.args) {
    if (arg.kind === 'matrix') {
      return arg.edges;
    }
  }
  return undefined;
}

/** The times of samples in a window that reaches beyond a range, and that range. */
export interface EdgedWindow {
  readonly times: ArrayLike<number>;
  /** The window: `[low, high)`. */
  readonly low: number;
  readonly high: number;
  /** The range: open at its start. */
  readonly startMs: number;
  readonly endMs: number;
}

/** The samples from `first` to `last`, both counted, that decide a range. */
export interface Extent {
  readonly first: number;
  readonly last: number;
}

/** Finds them; undefined when the range has nothing to go by. */
export function extentOf(
  { times, low, high, startMs, endMs }: EdgedWindow,
  smoothed: boolean,
): Extent | undefined {
  let last = high - 1;
  const first = Math.max(low, firstFrom(times, low, last, startMs + 1) - 1);
  if (smoothed) {
    last = firstFrom(times, low, last, endMs);
  }
  return times[last] <= startMs || (smoothed && times[first] > endMs) ? undefined : { first, last };
}

/** The first sample of `[low, high)` at or after a time, or `high`. */
function firstFrom(times: ArrayLike<number>, low: number, high: number, timeMs: number): number {
  let from = low;
  let to = high;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (times[middle] >= timeMs) {
      to = middle;
    } else {
      from = middle + 1;
    }
  }
  return from;
}

interface Point {
  readonly timeMs: number;
  readonly value: number;
}

/** The value at a time between two points; a counter that fell starts anew from zero. */
export function interpolate(a: Point, b: Point, timeMs: number, counter: boolean): number {
  const from = counter && b.value < a.value ? 0 : a.value;
  return from + ((b.value - from) * (timeMs - a.timeMs)) / (b.timeMs - a.timeMs);
}

/** Float columns of a window, and how its edges are looked at. */
interface FloatWindow extends EdgedWindow {
  readonly values: Float64Array;
  readonly smoothed: boolean;
  readonly counter: boolean;
}

function between(window: FloatWindow, at: number, timeMs: number): number {
  const { times, values, counter } = window;
  const point = (i: number): Point => ({ timeMs: times[i], value: values[i] });
  return interpolate(point(at), point(at + 1), timeMs, counter);
}

/** The values at both edges of a range. */
export function edgeValues(
  window: FloatWindow,
  { first, last }: Extent,
): { readonly left: number; readonly right: number } {
  const { times, values, low, startMs, endMs, smoothed } = window;
  const left = smoothed && times[first] < startMs ? between(window, first, startMs) : values[first];
  const right =
    smoothed && last > low && times[last] > endMs ? between(window, last - 1, endMs) : values[last];
  return { left, right };
}

/** What fell inside of a range, added up. */
function fallen(window: FloatWindow, extent: Extent, left: number, right: number): number {
  const { times, values, startMs, endMs } = window;
  const first = times[extent.first] <= startMs ? extent.first + 1 : extent.first;
  const last = times[extent.last] >= endMs ? extent.last - 1 : extent.last;
  let sum = 0;
  let previous = left;
  for (let i = first; i <= last; i++) {
    sum += values[i] < previous ? previous : 0;
    previous = values[i];
  }
  return sum + (right < previous ? previous : 0);
}

/** The samples of a range with a value at each edge, as they are shown. */
export function edgedSamples(window: Omit<FloatWindow, 'counter'>): {
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
} {
  const { times, values, low, high, startMs, endMs, smoothed } = window;
  const latest = high - 1;
  const first = Math.max(low, firstFrom(times, low, latest, startMs + 1) - 1);
  const last = smoothed ? firstFrom(times, low, latest, endMs) : latest;
  if (low === high || times[last] <= startMs) {
    return { timestamps: new Float64Array(0), values: new Float64Array(0) };
  }
  const { left, right } = edgeValues({ ...window, counter: false }, { first, last });
  const from = times[first] <= startMs ? first + 1 : first;
  const to = Math.max(from, times[last] >= endMs ? last : last + 1);
  const inner = Array.from({ length: to - from }, (_, i) => from + i);
  return {
    timestamps: Float64Array.of(startMs, ...inner.map((i) => times[i]), endMs),
    values: Float64Array.of(left, ...inner.map((i) => values[i]), right),
  };
}

/** The window of step `k` of a series, and the range inside. */
export function edgedWindow(series: WindowedSeries, edges: Edges, k: number): EdgedWindow {
  const { firstEndMs, strideMs, rangeMs } = edges.inner;
  const endMs = firstEndMs + k * strideMs;
  const { timestamps: times, first, last } = series;
  return { times, low: first[k], high: last[k], startMs: endMs - rangeMs, endMs };
}

/** `rate`, `increase` and `delta`: from edge to edge, without extrapolation. */
export function edgedRate(counter: boolean, perSecond: boolean, edges: Edges): WindowKernel {
  const { firstEndMs, strideMs, rangeMs } = edges.inner;
  const smoothed = edges.kind === 'smoothed';
  return ({ timestamps: times, values, first, last }, out) => {
    // One window for all steps: an object a step is what most of the time would go to.
    const window = { times, values, smoothed, counter, low: 0, high: 0, startMs: 0, endMs: 0 };
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      window.low = first[k];
      window.high = last[k];
      window.endMs = firstEndMs + k * strideMs;
      window.startMs = window.endMs - rangeMs;
      const extent = window.low < window.high ? extentOf(window, smoothed) : undefined;
      out.flags[k] = extent === undefined ? 0 : 1;
      if (extent === undefined) {
        continue;
      }
      const { left, right } = edgeValues(window, extent);
      const change = right - left;
      const grown = counter ? change + fallen(window, extent, left, right) : change;
      out.values[k] = perSecond ? grown / (rangeMs / 1000) : grown;
      count++;
    }
    return count;
  };
}
