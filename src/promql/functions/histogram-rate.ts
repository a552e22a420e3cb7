/**
 * @file `rate`, `increase` and `delta` over native histograms.
 *
 * Follows `extrapolatedRate` and `histogramRate` in Prometheus' `promql/functions.go` (3.14), with
 * the same order of floating-point operations.
 */
import { customSchema, type Histogram, place, resetHint } from '../../model/histogram.js';
import type { HistogramWindow } from '../exec/histogram-window.js';
import { isReset } from '../histogram/reset.js';
import { HistogramTally } from '../histogram/tally.js';

/** A window's gaps to its bounds are bridged up to this multiple of the mean interval. */
const extrapolationFactor = 1.1;

/** What a window may have to be annotated with. */
export type RateNote =
  | 'notACounter'
  | 'notAGauge'
  | 'mixedSchemas'
  | 'boundsSubtracted'
  | 'boundsAdded';

/** Which of the three functions. */
export interface RateKind {
  readonly counter: boolean;
  readonly perSecond: boolean;
}

/** The value of a window; undefined for fewer than two histograms, or some that do not fit. */
export function histogramRate(
  { counter, perSecond }: RateKind,
  window: HistogramWindow,
  note: (note: RateNote) => void,
): Histogram | undefined {
  const { times, histograms, low, high, endMs, rangeMs } = window;
  if (high - low < 2) {
    return undefined;
  }
  const result = increase(counter, histograms.slice(low, high), note);
  if (result === undefined) {
    return undefined;
  }
  const firstTime = times[low];
  const lastTime = times[high - 1];
  let toStart = (firstTime - (endMs - rangeMs)) / 1000;
  let toEnd = (endMs - lastTime) / 1000;
  const sampled = (lastTime - firstTime) / 1000;
  const interval = sampled / (high - low - 1);
  const threshold = interval * extrapolationFactor;
  if (toStart >= threshold) {
    toStart = interval / 2;
  }
  const firstCount = histograms[low][place.count];
  if (counter && result.count > 0 && firstCount >= 0) {
    // A counter cannot have been below zero: extrapolate to its zero at most.
    toStart = Math.min(toStart, sampled * (firstCount / result.count));
  }
  if (toEnd >= threshold) {
    toEnd = interval / 2;
  }
  let factor = (sampled + toStart + toEnd) / sampled;
  if (perSecond) {
    factor /= rangeMs / 1000;
  }
  result.scale(factor);
  return result.pack(resetHint.gauge);
}

/** By how much the last one of at least two histograms is more than the first, resets reckoned. */
function increase(
  counter: boolean,
  all: readonly Histogram[],
  note: (note: RateNote) => void,
): HistogramTally | undefined {
  const [first, second] = all;
  const last = all[all.length - 1];
  const gauge = (histogram: Histogram): boolean => histogram[place.hint] === resetHint.gauge;
  const custom = (histogram: Histogram): boolean => histogram[place.schema] === customSchema;
  // A first histogram before a reset does not matter, nor does its layout.
  const previous = counter && isReset(second, first) ? emptied(second) : first;
  const between = counter ? all.slice(1, -1) : [];
  if (custom(last) !== custom(previous)) {
    if (counter && (gauge(first) || gauge(last))) {
      note('notACounter');
    }
    note('mixedSchemas');
    return undefined;
  }
  if (between.some((histogram) => custom(histogram) !== custom(last))) {
    note('mixedSchemas');
    return undefined;
  }
  if (counter ? all.some(gauge) : !gauge(first) || !gauge(last)) {
    note(counter ? 'notACounter' : 'notAGauge');
  }
  const concerned = [previous, ...between, last];
  const result = new HistogramTally(last);
  result.reduceTo(Math.min(...concerned.map((histogram) => histogram[place.schema])));
  if (result.add(previous, -1)?.reconciled) {
    note('boundsSubtracted');
  }
  let before = previous;
  for (const current of counter ? all.slice(1) : []) {
    if (isReset(current, before) && result.add(before, 1)?.reconciled) {
      note('boundsAdded');
    }
    before = current;
  }
  return result;
}

/** A histogram of the same buckets without an observation. */
function emptied(histogram: Histogram): Histogram {
  return new HistogramTally(histogram).clear().pack(resetHint.unknown);
}
