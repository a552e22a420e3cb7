/**
 * @file What start timestamps say about a counter: that it began anew between two samples, and that
 * it was zero within a window.
 *
 * Follows `isStartTimestampReset`, `checkStartTimeOverlap` and what `extrapolatedRate` makes of
 * them in Prometheus' `promql/functions.go` (3.14).
 */
import { hasHistogram, type WindowedSeries, type WindowKernel } from '../exec/window.js';
import { extrapolation } from './extrapolate.js';
import type { TellOfSeries } from './rate.js';

/** Times of samples and, by the same places, when their counters started: 0 where none is said. */
export interface Started {
  readonly times: ArrayLike<number>;
  readonly starts: ArrayLike<number>;
}

/** Whether sample `i` says that its counter began after the sample before it. */
export function isStartReset({ times, starts }: Started, i: number): boolean {
  const start = starts[i];
  const previousTime = times[i - 1];
  // A start at its own sample, or behind it, says nothing.
  if (start === 0 || start >= times[i] || start < previousTime) {
    return false;
  }
  if (start > previousTime) {
    return true;
  }
  // At the sample before: each counts for itself, unless that one does not know its own start.
  const previous = starts[i - 1];
  return previous !== 0 && previous < previousTime;
}

/** Whether sample `i` says a start of its own that lies before the sample before it. */
function overlapsStart({ times, starts }: Started, i: number): boolean {
  return starts[i] !== 0 && starts[i] < times[i - 1] && starts[i] !== starts[i - 1];
}

/** Whether one of the samples from `low` to before `high` overlaps the one before it there. */
export function overlapsWithin(started: Started, low: number, high: number): boolean {
  for (let i = low + 1; i < high; i++) {
    if (overlapsStart(started, i)) {
      return true;
    }
  }
  return false;
}

/** The start of sample `first` where it lies in the window before it: the counter was zero then. */
export function zeroInside(
  { times, starts }: Started,
  first: number,
  windowStartMs: number,
): number | undefined {
  const start = starts[first];
  return start !== 0 && start > windowStartMs && start < times[first] ? start : undefined;
}

/** `rate` (per second) and `increase` of the floats of a series that has start timestamps. */
export function startedRate(perSecond: boolean, tell: TellOfSeries): WindowKernel {
  return (series, out) => {
    const { first, last } = series;
    let count = 0;
    for (let k = 0; k < out.steps; k++) {
      const value = first[k] < last[k] ? growth(series, k, perSecond, tell) : undefined;
      out.flags[k] = value === undefined ? 0 : 1;
      if (value !== undefined) {
        out.values[k] = value;
        count++;
      }
    }
    return count;
  };
}

/** By how much a counter grew in window `k`, which has samples. */
function growth(
  series: WindowedSeries,
  k: number,
  perSecond: boolean,
  tell: TellOfSeries,
): number | undefined {
  const { timestamps: times, values, starts, whole, windows } = series;
  const [low, high] = [series.first[k], series.last[k]];
  const { rangeMs } = windows;
  const endMs = windows.firstEndMs + k * windows.strideMs;
  const started = starts && { times, starts };
  let by = values[high - 1] - values[low];
  for (let i = low + 1; i < high; i++) {
    if (values[i] < values[i - 1] || (started !== undefined && isStartReset(started, i))) {
      by += values[i - 1];
    }
  }
  const mixed = whole !== undefined && hasHistogram(whole, endMs - rangeMs, endMs);
  if (started !== undefined && !mixed && overlapsWithin(started, low, high)) {
    tell('startOverlap', series);
  }
  const startMs = started && zeroInside(started, low, endMs - rangeMs);
  if (startMs === undefined && high - low < 2) {
    return undefined;
  }
  const first = values[low];
  const zeroShare = by > 0 && first >= 0 ? first / by : undefined;
  const ends = { firstMs: times[low], lastMs: times[high - 1], samples: high - low };
  const factor = extrapolation({ endMs, rangeMs, ...ends, startMs, zeroShare });
  return (
    (startMs === undefined ? by : by + first) * (perSecond ? factor / (rangeMs / 1000) : factor)
  );
}
