/**
 * @file A native histogram as text, for the label that `count_values` makes of it.
 *
 * Follows `String` in Prometheus' `model/histogram/float_histogram.go` and `Bucket.String` in
 * `model/histogram/generic.go` (3.14).
 */
import { customSchema, type Histogram, place } from '../../model/histogram.js';
import { formatShortest } from '../format-float.js';
import { boundsOf, negativeSide, positiveSide, type Side } from './buckets.js';

/** Count, sum and the populated buckets from the lowest to the highest. */
export function histogramText(histogram: Histogram): string {
  const custom = histogram[place.schema] === customSchema;
  const bound = boundsOf(histogram);
  const number = (at: number): string => formatShortest(histogram[at]);
  const parts = [`count:${number(place.count)}, sum:${number(place.sum)}`];
  parts.push(
    ...sideTexts(negativeSide(histogram), (index, count) =>
      bucketText({ open: '[', lower: -bound(index), upper: -bound(index - 1), close: ')' }, count),
    ).reverse(),
  );
  if (histogram[place.zeroCount] !== 0) {
    const upper = histogram[place.zeroThreshold];
    const zero = { open: '[', lower: -upper, upper, close: ']' };
    parts.push(bucketText(zero, histogram[place.zeroCount]));
  }
  parts.push(
    ...sideTexts(positiveSide(histogram), (index, count) => {
      const open = custom && index === 0 ? '[' : '(';
      return bucketText({ open, lower: bound(index - 1), upper: bound(index), close: ']' }, count);
    }),
  );
  return `{${parts.join(', ')}}`;
}

function sideTexts(side: Side, text: (index: number, count: number) => string): string[] {
  return side.index.flatMap((index, i) =>
    side.count[i] === 0 ? [] : [text(index, side.count[i])],
  );
}

function bucketText(
  { open, lower, upper, close }: { open: string; lower: number; upper: number; close: string },
  count: number,
): string {
  const bounds = `${formatShortest(lower)},${formatShortest(upper)}`;
  return `${open}${bounds}${close}:${formatShortest(count)}`;
}
