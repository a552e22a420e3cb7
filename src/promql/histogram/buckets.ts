/**
 * @file The buckets of a packed histogram with their bounds.
 *
 * Follows `AllBucketIterator` in Prometheus' `model/histogram/float_histogram.go` (3.14).
 */
import { customSchema, type Histogram, headerLength, place } from '../../model/histogram.js';
import { exponentialBound } from './exponential-bounds.js';

/** Parallel columns, from the lowest bucket to the highest. */
export interface BucketColumns {
  readonly lower: number[];
  readonly upper: number[];
  readonly count: number[];
}

/** The buckets of one side: absolute indexes, ascending, and their counts. */
export interface Side {
  readonly index: number[];
  readonly count: number[];
}

export function usesCustomBuckets(histogram: Histogram): boolean {
  return histogram[place.schema] === customSchema;
}

/** The custom bounds of a histogram. */
export function customBounds(histogram: Histogram): Float64Array {
  const spans = histogram[place.positiveSpans] + histogram[place.negativeSpans];
  const from = headerLength + 2 * spans;
  return histogram.subarray(from, from + histogram[place.bounds]);
}

/** The buckets above zero, or the custom ones. */
export function positiveSide(histogram: Histogram): Side {
  return side(histogram, headerLength, histogram[place.positiveSpans], firstCount(histogram));
}

/** The buckets below zero, away from it. */
export function negativeSide(histogram: Histogram): Side {
  const positiveSpans = histogram[place.positiveSpans];
  let counts = firstCount(histogram);
  for (let i = 0; i < positiveSpans; i++) {
    counts += histogram[headerLength + 2 * i + 1];
  }
  const spans = headerLength + 2 * positiveSpans;
  return side(histogram, spans, histogram[place.negativeSpans], counts);
}

function firstCount(histogram: Histogram): number {
  const spans = histogram[place.positiveSpans] + histogram[place.negativeSpans];
  return headerLength + 2 * spans + histogram[place.bounds];
}

function side(histogram: Histogram, spansAt: number, spans: number, countsAt: number): Side {
  const index: number[] = [];
  const count: number[] = [];
  let next = 0;
  let at = countsAt;
  for (let i = 0; i < spans; i++) {
    next += histogram[spansAt + 2 * i];
    for (let k = histogram[spansAt + 2 * i + 1]; k > 0; k--) {
      index.push(next++);
      count.push(histogram[at++]);
    }
  }
  return { index, count };
}

/**
 * All buckets: negative ones, the zero bucket if it has an observation, positive ones. Buckets that
 * reach into the zero bucket end where it does.
 */
export function allBuckets(histogram: Histogram): BucketColumns {
  const columns: BucketColumns = { lower: [], upper: [], count: [] };
  const threshold = histogram[place.zeroThreshold];
  const add = (lower: number, upper: number, count: number): void => {
    const below = upper < 0 && upper > -threshold;
    const above = !below && lower > 0 && lower < threshold;
    columns.lower.push(above ? threshold : lower);
    columns.upper.push(below ? -threshold : upper);
    columns.count.push(count);
  };
  const bound = boundsOf(histogram);
  const negative = negativeSide(histogram);
  for (let i = negative.index.length - 1; i >= 0; i--) {
    add(-bound(negative.index[i]), -bound(negative.index[i] - 1), negative.count[i]);
  }
  if (histogram[place.zeroCount] > 0) {
    columns.lower.push(-threshold);
    columns.upper.push(threshold);
    columns.count.push(histogram[place.zeroCount]);
  }
  const positive = positiveSide(histogram);
  positive.index.forEach((index, i) => {
    add(bound(index - 1), bound(index), positive.count[i]);
  });
  return columns;
}

/** The upper bound of a bucket above zero by its index. */
function boundsOf(histogram: Histogram): (index: number) => number {
  const schema = histogram[place.schema];
  if (schema !== customSchema) {
    return (index) => exponentialBound(schema, index);
  }
  const bounds = customBounds(histogram);
  return (index) => (index < 0 ? -Infinity : index < bounds.length ? bounds[index] : Infinity);
}
