/**
 * @file Quantiles and fractions of native histograms.
 *
 * Follows `HistogramQuantile` and `HistogramFraction` in Prometheus' `promql/quantile.go`, and
 * `Bucket.FractionBelow` in `model/histogram/generic.go` (3.14): interpolation is exponential
 * within a bucket, and linear in the zero bucket and in custom ones.
 */
import { type Histogram, place } from '../../model/histogram.js';
import type { NanNote } from '../annotations.js';
import {
  allBuckets,
  type BucketColumns,
  negativeSide,
  positiveSide,
  usesCustomBuckets,
} from './buckets.js';
import { goExp2, goLog2 } from './powers.js';

/** Tells of `NanNote`s. */
export type OnNan = (note: NanNote) => void;

/** Which sides have buckets at all. */
interface Sides {
  readonly negative: boolean;
  readonly positive: boolean;
}

function sidesOf(histogram: Histogram): Sides {
  return {
    negative: negativeSide(histogram).index.length > 0,
    positive: positiveSide(histogram).index.length > 0,
  };
}

/** A bucket while it is looked at. */
interface Bucket {
  lower: number;
  upper: number;
  count: number;
}

function bucketAt({ lower, upper, count }: BucketColumns, i: number): Bucket {
  return i < 0
    ? { lower: 0, upper: 0, count: 0 }
    : { lower: lower[i], upper: upper[i], count: count[i] };
}

/** A bucket around zero does not reach to the side on which the histogram has no bucket. */
function cutAtZero(bucket: Bucket, { negative, positive }: Sides): void {
  if (!negative && positive) {
    bucket.lower = 0;
  } else if (!positive && negative) {
    bucket.upper = 0;
  }
}

/** The value below which a share `q` of the observations lies. */
export function histogramQuantile(q: number, histogram: Histogram, onNan: OnNan): number {
  if (q < 0) {
    return -Infinity;
  }
  if (q > 1) {
    return Infinity;
  }
  const total = histogram[place.count];
  if (total === 0 || Number.isNaN(q)) {
    return NaN;
  }
  const nan = Number.isNaN(histogram[place.sum]);
  const buckets = allBuckets(histogram);
  const { length } = buckets.count;
  // NaN observations are counted, but in no bucket: then the rank is counted from below always.
  const upwards = nan || q < 0.5;
  const rank = (upwards ? q : 1 - q) * total;
  let count = 0;
  let seen = 0;
  let found = -1;
  for (; seen < length; seen++) {
    const at = upwards ? seen : length - 1 - seen;
    found = at;
    count += buckets.count[at];
    if (buckets.count[at] !== 0 && count >= rank) {
      seen++;
      break;
    }
  }
  const bucket = bucketAt(buckets, found);
  const custom = usesCustomBuckets(histogram);
  if (!custom && bucket.lower < 0 && bucket.upper > 0) {
    cutAtZero(bucket, sidesOf(histogram));
  } else if (custom) {
    if (bucket.lower === -Infinity) {
      if (bucket.upper <= 0) {
        return bucket.upper;
      }
      bucket.lower = 0;
    } else if (bucket.upper === Infinity) {
      return bucket.lower;
    }
  }
  count = Math.min(count, total);
  if (count < rank) {
    if (nan) {
      onNan('result');
      return NaN;
    }
    return bucket.upper;
  }
  const within = upwards ? rank - (count - bucket.count) : count - rank;
  if (nan) {
    // Buckets behind the found one: are there observations in none?
    for (; seen < length; seen++) {
      count += buckets.count[seen];
      bucket.lower = buckets.lower[seen];
      bucket.upper = buckets.upper[seen];
      bucket.count = buckets.count[seen];
    }
    if (count < total) {
      onNan('skew');
    }
  }
  return interpolate(bucket, within / bucket.count, custom);
}

function interpolate({ lower, upper }: Bucket, fraction: number, linear: boolean): number {
  if (linear || (lower <= 0 && upper >= 0)) {
    return lower + (upper - lower) * fraction;
  }
  const logLower = goLog2(Math.abs(lower));
  const logUpper = goLog2(Math.abs(upper));
  return lower > 0
    ? goExp2(logLower + (logUpper - logLower) * fraction)
    : -goExp2(logUpper + (logLower - logUpper) * (1 - fraction));
}

/** Which share of a bucket lies below `value`, which is inside. */
function shareBelow({ lower, upper }: Bucket, value: number, linear: boolean): number {
  if (linear) {
    return (value - lower) / (upper - lower);
  }
  const logLower = goLog2(Math.abs(lower));
  const logUpper = goLog2(Math.abs(upper));
  const logValue = goLog2(Math.abs(value));
  return value > 0
    ? (logValue - logLower) / (logUpper - logLower)
    : 1 - (logValue - logUpper) / (logLower - logUpper);
}

/** The share of the observations between `lower` and `upper`. */
export function histogramFraction(
  lower: number,
  upper: number,
  histogram: Histogram,
  onNan: OnNan,
): number {
  const total = histogram[place.count];
  if (total === 0 || Number.isNaN(lower) || Number.isNaN(upper)) {
    return NaN;
  }
  if (lower >= upper) {
    return 0;
  }
  const buckets = allBuckets(histogram);
  const ranks = [rankOf(lower, histogram, buckets), rankOf(upper, histogram, buckets)];
  let observed = total;
  if (Number.isNaN(histogram[place.sum])) {
    observed = buckets.count.reduce((sum, count) => sum + count, 0);
    if (observed < total) {
      onNan('excluded');
    }
  }
  const [low, high] = ranks.map((rank) => Math.min(rank, observed));
  return (high - low) / total;
}

/** How many observations lie below `value`; infinity where no bucket is above it. */
function rankOf(value: number, histogram: Histogram, buckets: BucketColumns): number {
  const custom = usesCustomBuckets(histogram);
  const sides = sidesOf(histogram);
  let rank = 0;
  for (let i = 0; i < buckets.count.length; i++) {
    const bucket = bucketAt(buckets, i);
    const aroundZero = bucket.lower <= 0 && bucket.upper >= 0;
    if (aroundZero) {
      cutAtZero(bucket, sides);
    }
    if (bucket.lower >= value) {
      return rank;
    }
    if (bucket.upper > value) {
      const linear = custom || aroundZero;
      // The bucket below all bounds cannot be divided.
      if (linear && bucket.lower === -Infinity) {
        return bucket.count;
      }
      return rank + bucket.count * shareBelow(bucket, value, linear);
    }
    rank += bucket.count;
  }
  return Infinity;
}
