/**
 * @file Whether two native histograms are the same data.
 *
 * Follows `Equals` in Prometheus' `model/histogram/float_histogram.go` (3.14), but for buckets
 * without an observation, which do not matter here.
 */
import { type Histogram, place } from '../../model/histogram.js';
import { customBounds, negativeSide, positiveSide, type Side } from './buckets.js';

/** Places that must agree; a counter reset is no part of the data. */
const compared = [
  place.schema,
  place.zeroThreshold,
  place.zeroCount,
  place.count,
  place.sum,
] as const;

/** Compares numbers as data: NaN equals NaN, and 0 differs from -0. */
export function sameHistogram(a: Histogram, b: Histogram): boolean {
  return (
    a === b ||
    (compared.every((at) => Object.is(a[at], b[at])) &&
      sameNumbers(customBounds(a), customBounds(b)) &&
      sameSide(positiveSide(a), positiveSide(b)) &&
      sameSide(negativeSide(a), negativeSide(b)))
  );
}

function sameNumbers(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.prototype.every.call(a, (one, i) => Object.is(one, b[i]));
}

function sameSide(a: Side, b: Side): boolean {
  const left = populated(a);
  const right = populated(b);
  return sameNumbers(left.index, right.index) && sameNumbers(left.count, right.count);
}

function populated({ index, count }: Side): Side {
  return {
    index: index.filter((_, i) => count[i] !== 0),
    count: count.filter((one) => one !== 0),
  };
}
