/**
 * @file A native histogram between two others.
 *
 * Follows `interpolateHistograms` in Prometheus' `promql/functions.go` (3.14).
 */
import type { Histogram } from '../../model/histogram.js';
import { isReset } from './reset.js';
import { HistogramTally } from './tally.js';

/** A histogram and its time in milliseconds. */
export interface HistogramPoint {
  readonly timeMs: number;
  readonly histogram: Histogram;
}

/** What interpolation may have to tell. */
export type InterpolationNote = 'mixedSchemas' | 'boundsSubtracted' | 'boundsAdded';

/**
 * The histogram at a time from `a` to `b`; a counter that was reset counts from zero to `b`.
 * Undefined when exponential and custom buckets meet.
 */
export function interpolateHistograms(
  a: HistogramPoint,
  b: HistogramPoint,
  timeMs: number,
  counter: boolean,
  note: (note: InterpolationNote) => void,
): Histogram | undefined {
  if (timeMs === a.timeMs || timeMs === b.timeMs) {
    return timeMs === a.timeMs ? a.histogram : b.histogram;
  }
  const share = (timeMs - a.timeMs) / (b.timeMs - a.timeMs);
  const result = new HistogramTally(b.histogram);
  if (counter && isReset(b.histogram, a.histogram)) {
    result.scale(share);
    return result.pack();
  }
  const subtracted = result.add(a.histogram, -1);
  if (subtracted === undefined) {
    note('mixedSchemas');
    return undefined;
  }
  result.scale(share);
  if (subtracted.reconciled) {
    note('boundsSubtracted');
  }
  if (result.add(a.histogram, 1)?.reconciled) {
    note('boundsAdded');
  }
  return result.pack();
}
