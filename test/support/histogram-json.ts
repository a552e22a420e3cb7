/** @file A packed native histogram as the HTTP API prints it, for tests without the engine. */
import { type Histogram, place } from '../../src/model/histogram.js';
import { allBuckets, usesCustomBuckets } from '../../src/promql/histogram/buckets.js';
import { valueText } from './value-text.js';

/** `boundary code, lower bound, upper bound, count` of a bucket. */
export type BucketJson = readonly [number, string, string, string];

export interface HistogramJson {
  readonly count: string;
  readonly sum: string;
  /** Left out where no bucket has a count. */
  readonly buckets?: readonly BucketJson[];
}

/** Which bounds belong to a bucket: 0 the upper one, 1 the lower one, 3 both. */
function boundaryCode(custom: boolean, lower: number, upper: number): number {
  if (custom) {
    return lower === -Infinity ? 3 : 0;
  }
  if (lower === -upper) {
    return 3;
  }
  return upper < 0 || (upper === 0 && lower < 0) ? 1 : 0;
}

export function histogramJson(histogram: Histogram): HistogramJson {
  const custom = usesCustomBuckets(histogram);
  const { lower, upper, count } = allBuckets(histogram);
  const buckets = count.flatMap((n, i): BucketJson[] => {
    if (n === 0) {
      return [];
    }
    const code = boundaryCode(custom, lower[i], upper[i]);
    return [[code, valueText(lower[i]), valueText(upper[i]), valueText(n)]];
  });
  return {
    count: valueText(histogram[place.count]),
    sum: valueText(histogram[place.sum]),
    ...(buckets.length > 0 && { buckets }),
  };
}
