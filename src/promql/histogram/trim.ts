/**
 * @file The trimming operators `</` and `>/`: the observations of a native histogram below or above
 * a value.
 *
 * Follows `TrimBuckets` in Prometheus' `model/histogram/float_histogram.go` (3.14): the bucket that
 * holds the value is divided as quantiles divide it, and the sum is that of the middles of what
 * stays. A histogram that loses nothing keeps its own count and sum.
 */
import { customSchema, type Histogram, place } from '../../model/histogram.js';
import { boundsOf, negativeSide, positiveSide, type Side } from './buckets.js';
import { shareBelow } from './quantile.js';
import { HistogramTally } from './tally.js';

/** Which observations stay: those below the value (`</`) or above it (`>/`). */
export type TrimKeep = 'below' | 'above';

interface Bounds {
  readonly lower: number;
  readonly upper: number;
}

/** What stays of a bucket, and the value that each of its observations counts as. */
interface Kept {
  readonly count: number;
  readonly middle: number;
}

/** How buckets are divided. */
interface Cut {
  readonly at: number;
  readonly keep: TrimKeep;
  readonly custom: boolean;
}

/** The histogram without what lies on the other side of `at`. */
export function trimHistogram(histogram: Histogram, at: number, keep: TrimKeep): Histogram {
  const cut: Cut = { at, keep, custom: histogram[place.schema] === customSchema };
  const bound = boundsOf(histogram);
  const positive = positiveSide(histogram);
  const negative = negativeSide(histogram);
  const parts = [
    ...trimSide(positive, cut, 1, (index) => ({ lower: bound(index - 1), upper: bound(index) })),
    ...trimSide(negative, cut, -1, (index) => ({ lower: -bound(index), upper: -bound(index - 1) })),
  ];
  let trimmed = parts.some(({ before, kept }) => kept.count !== before);
  const kept = parts.map((part) => part.kept);
  let zeroCount = histogram[place.zeroCount];
  if (zeroCount > 0) {
    const sides = { positive: populated(positive), negative: populated(negative) };
    const zero = trimZero(zeroCount, histogram[place.zeroThreshold], cut, sides);
    trimmed ||= zero.count !== zeroCount;
    zeroCount = zero.count;
    kept.push(zero);
  }
  if (!trimmed) {
    return histogram;
  }
  const counts = parts.map((part) => part.kept.count);
  const result = histogram.slice();
  result[place.zeroCount] = zeroCount;
  result[place.count] = kept.reduce((sum, { count }) => sum + count, 0);
  result[place.sum] = kept.reduce((sum, { count, middle }) => sum + middle * count, 0);
  result.set(counts, result.length - counts.length);
  return new HistogramTally(result).pack();
}

function populated({ count }: Side): boolean {
  return count.some((one) => one !== 0);
}

const nothing: Kept = { count: 0, middle: 0 };

function trimSide(
  { index, count }: Side,
  cut: Cut,
  sign: 1 | -1,
  boundsOfBucket: (index: number) => Bounds,
): { readonly before: number; readonly kept: Kept }[] {
  return index.map((at, i) => {
    const before = count[i];
    const kept = before === 0 ? nothing : trimBucket(boundsOfBucket(at), before, cut, sign);
    return { before, kept };
  });
}

function trimBucket(bucket: Bounds, count: number, cut: Cut, sign: 1 | -1): Kept {
  const { lower, upper } = bucket;
  const { at, keep, custom } = cut;
  const below = keep === 'below';
  if (below ? upper <= at : lower >= at) {
    return { count, middle: middleOf(lower, upper, sign, custom) };
  }
  if (below ? !(lower < at) : !(upper > at)) {
    return nothing;
  }
  if (lower === -Infinity || upper === Infinity) {
    return trimOpen(bucket, count, cut);
  }
  const under = count * shareBelow(bucket, at, custom);
  return below
    ? { count: under, middle: middleOf(lower, at, sign, custom) }
    : { count: count - under, middle: middleOf(at, upper, sign, custom) };
}

/** A bucket without an end on one side, with the value inside. */
function trimOpen({ lower, upper }: Bounds, count: number, { at, keep }: Cut): Kept {
  if (lower === -Infinity) {
    // With an end above zero it counts as if it began there.
    const fromZero = upper > 0 && upper !== Infinity;
    if (keep === 'below') {
      if (at > 0 && fromZero) {
        return { count: (count * at) / upper, middle: at / 2 };
      }
      return upper <= 0 ? { count, middle: at } : nothing;
    }
    return at >= 0 && fromZero
      ? { count: count * (1 - at / upper), middle: (at + upper) / 2 }
      : nothing;
  }
  return keep === 'above' && at >= lower ? { count, middle: at } : nothing;
}

function trimZero(
  count: number,
  threshold: number,
  { at, keep }: Cut,
  sides: { readonly positive: boolean; readonly negative: boolean },
): Kept {
  const lower = sides.positive && !sides.negative ? 0 : -threshold;
  const upper = sides.negative && !sides.positive ? 0 : threshold;
  const below = keep === 'below';
  if (at <= lower || at >= upper) {
    return below === at <= lower ? nothing : { count, middle: (lower + upper) / 2 };
  }
  const share = (below ? at - lower : upper - at) / (upper - lower);
  return { count: count * share, middle: ((below ? lower : upper) + at) / 2 };
}

/** The value that stands for the observations between two bounds. */
function middleOf(lower: number, upper: number, sign: 1 | -1, linear: boolean): number {
  if (Math.abs(lower) === Infinity) {
    if (Math.abs(upper) === Infinity) {
      return 0;
    }
    return upper > 0 ? upper / 2 : upper;
  }
  if (Math.abs(upper) === Infinity) {
    return lower;
  }
  return linear ? (lower + upper) / 2 : sign * Math.sqrt(Math.abs(lower * upper));
}
