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
import { extrapolation } from './extrapolate.js';
import { isStartReset, overlapsWithin, zeroInside } from './starts.js';

/** What a window may have to be annotated with. */
export type RateNote =
  | 'notACounter'
  | 'notAGauge'
  | 'mixedSchemas'
  | 'boundsSubtracted'
  | 'boundsAdded'
  | 'startOverlap';

/** Which of the three functions. */
export interface RateKind {
  readonly counter: boolean;
  readonly perSecond: boolean;
}

/**
 * The value of a window; undefined for fewer than two histograms without a start within the window,
 * or some that do not fit.
 */
export function histogramRate(
  { counter, perSecond }: RateKind,
  window: HistogramWindow,
  note: (note: RateNote) => void,
): Histogram | undefined {
  const { times, histograms, starts, low, high, endMs, rangeMs } = window;
  const startMs = counter && starts && zeroInside({ times, starts }, low, endMs - rangeMs);
  const began = typeof startMs === 'number';
  const single = high - low === 1;
  if (single && !began) {
    return undefined;
  }
  const first = histograms[low];
  const result = single ? new HistogramTally(first) : increase(counter, window, note);
  if (result === undefined) {
    return undefined;
  }
  const share = counter && result.count > 0 && first[place.count] >= 0;
  const zeroShare = share ? first[place.count] / result.count : undefined;
  if (began && !single) {
    const added = result.add(first, 1);
    if (added === undefined) {
      note('mixedSchemas');
      return undefined;
    }
    if (added.reconciled) {
      note('boundsAdded');
    }
  }
  const ends = { firstMs: times[low], lastMs: times[high - 1], samples: high - low };
  const start = began ? startMs : undefined;
  const factor = extrapolation({ endMs, rangeMs, ...ends, startMs: start, zeroShare });
  result.scale(perSecond ? factor / (rangeMs / 1000) : factor);
  // A copy of a single histogram says of resets what that said.
  return result.pack(single ? first[place.hint] : resetHint.gauge);
}

/** By how much the last one of at least two histograms is more than the first, resets reckoned. */
function increase(
  counter: boolean,
  { times, histograms, starts, low, high }: HistogramWindow,
  note: (note: RateNote) => void,
): HistogramTally | undefined {
  const all = histograms.slice(low, high);
  const started = counter && starts ? { times, starts } : undefined;
  const restarted = (i: number): boolean => started !== undefined && isStartReset(started, low + i);
  const [first, second] = all;
  const last = all[all.length - 1];
  const gauge = (histogram: Histogram): boolean => histogram[place.hint] === resetHint.gauge;
  const custom = (histogram: Histogram): boolean => histogram[place.schema] === customSchema;
  // A first histogram before a reset does not matter, nor does its layout.
  const previous = counter && (restarted(1) || isReset(second, first)) ? emptied(second) : first;
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
  const result = new HistogramTally(last);
  const coarser = (schema: number, of: Histogram): number => Math.min(schema, of[place.schema]);
  result.reduceTo([previous, ...between].reduce(coarser, last[place.schema]));
  if (result.add(previous, -1)?.reconciled) {
    note('boundsSubtracted');
  }
  let before = previous;
  for (let i = 1; counter && i < all.length; i++) {
    const reset = restarted(i) || isReset(all[i], before);
    if (reset && result.add(before, 1)?.reconciled) {
      note('boundsAdded');
    }
    before = all[i];
  }
  if (started !== undefined && overlapsWithin(started, low, high)) {
    note('startOverlap');
  }
  return result;
}

/** A histogram of the same buckets without an observation. */
function emptied(histogram: Histogram): Histogram {
  return new HistogramTally(histogram).clear().pack(resetHint.unknown);
}
