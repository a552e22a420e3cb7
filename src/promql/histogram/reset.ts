/**
 * @file Whether a counter was reset between two histograms: any count that became smaller shows it.
 *
 * Follows `DetectReset` in Prometheus' `model/histogram/float_histogram.go` (3.14).
 */
import { customSchema, type Histogram, place, resetHint } from '../../model/histogram.js';
import { customBounds, negativeSide, positiveSide, type Side } from './buckets.js';
import { exponentialBound } from './exponential-bounds.js';
import { HistogramTally } from './tally.js';

/** Whether `current` counts anew rather than on from `previous`. */
export function isReset(current: Histogram, previous: Histogram): boolean {
  const hint = current[place.hint];
  if (hint === resetHint.reset || hint === resetHint.noReset) {
    return hint === resetHint.reset;
  }
  if (current[place.count] < previous[place.count]) {
    return true;
  }
  if (current[place.schema] === customSchema) {
    return previous[place.schema] !== customSchema || customReset(current, previous);
  }
  const schema = current[place.schema];
  const threshold = current[place.zeroThreshold];
  if (schema > previous[place.schema] || threshold < previous[place.zeroThreshold]) {
    return true;
  }
  const zero = new HistogramTally(previous).zeroCountAt(threshold);
  if (zero.threshold !== threshold || current[place.zeroCount] < zero.count) {
    return true;
  }
  const steps = previous[place.schema] - schema;
  const outside = (index: number): boolean => exponentialBound(schema, index) > threshold;
  return [positiveSide, negativeSide].some((sideOf) =>
    shrinks(byIndex(sideOf(current), 0), byIndex(sideOf(previous), steps), outside),
  );
}

/** Counts by index in a schema that is `steps` coarser. */
function byIndex({ index, count }: Side, steps: number): Map<number, number> {
  const counts = new Map<number, number>();
  index.forEach((fine, i) => {
    const at = steps === 0 ? fine : ((fine - 1) >> steps) + 1;
    counts.set(at, (counts.get(at) ?? 0) + count[i]);
  });
  return counts;
}

/** Whether any bucket that matters counts less than before; one that went counts nothing. */
function shrinks(
  current: ReadonlyMap<number, number>,
  previous: ReadonlyMap<number, number>,
  matters: (index: number) => boolean,
): boolean {
  for (const [index, count] of previous) {
    if (count === 0 || !matters(index)) {
      continue;
    }
    const now = current.get(index);
    if (now === undefined || now < count) {
      return true;
    }
  }
  return false;
}

/** Compares custom buckets up to each bound that both histograms have. */
function customReset(current: Histogram, previous: Histogram): boolean {
  const before = customBounds(previous);
  const common = customBounds(current).filter((bound) => before.includes(bound));
  const now = upToBounds(current, common);
  const then = upToBounds(previous, common);
  return now.some((count, i) => count < then[i]);
}

/** Observations between neighbouring bounds, and above the last one. */
function upToBounds(histogram: Histogram, common: Float64Array): number[] {
  const bounds = customBounds(histogram);
  const counts = new Array<number>(common.length + 1).fill(0);
  const { index, count } = positiveSide(histogram);
  index.forEach((bucket, i) => {
    const bound = bucket < bounds.length ? bounds[bucket] : Infinity;
    const at = common.findIndex((one) => one >= bound);
    counts[at < 0 ? common.length : at] += count[i];
  });
  return counts;
}
