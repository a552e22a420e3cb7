/**
 * @file The spread of the observations of a native histogram.
 *
 * Follows `histogramVariance` in Prometheus' `promql/functions.go` (3.14): every observation counts
 * as the middle of its bucket, which is the geometric one of exponential buckets.
 */
import { type Histogram, place } from '../../model/histogram.js';
import { KahanSum } from '../functions/kahan.js';
import { allBuckets, usesCustomBuckets } from './buckets.js';

/** The mean squared distance from the mean. */
export function histogramVariance(histogram: Histogram): number {
  const mean = histogram[place.sum] / histogram[place.count];
  const custom = usesCustomBuckets(histogram);
  const { lower, upper, count } = allBuckets(histogram);
  const total = new KahanSum();
  for (let i = 0; i < count.length; i++) {
    if (count[i] !== 0) {
      const delta = middleOf(lower[i], upper[i], custom) - mean;
      total.add(count[i] * delta * delta);
    }
  }
  return (total.sum + total.comp) / histogram[place.count];
}

function middleOf(lower: number, upper: number, custom: boolean): number {
  if (custom) {
    return (upper + lower) / 2;
  }
  if (lower <= 0 && upper >= 0) {
    return 0;
  }
  const middle = Math.sqrt(upper * lower);
  return upper < 0 ? -middle : middle;
}
