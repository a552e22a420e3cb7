/**
 * @file Quantiles and fractions of one classic histogram at one time.
 *
 * Follows `BucketQuantile`, `BucketFraction` and `ensureMonotonicAndIgnoreSmallDeltas` in
 * Prometheus' `promql/quantile.go` (3.14).
 */

/** Relative differences of cumulative counts up to this are rounding errors. */
const smallDelta = 1e-12;
/** The smallest normal float, as in Prometheus' `util/almost`. */
const minNormal = 2 ** -1022;

/** Cumulative buckets, upper bounds ascending, in `[0, length)`; and what was repaired in them. */
export class Buckets {
  readonly bounds: Float64Array;
  readonly counts: Float64Array;
  length = 0;
  /** Whether a count fell from one bucket to the next, and the extent of that. */
  repaired = false;
  minBucket = 0;
  maxBucket = 0;
  maxDiff = 0;

  constructor(capacity: number) {
    this.bounds = new Float64Array(capacity);
    this.counts = new Float64Array(capacity);
  }

  clear(): void {
    this.length = 0;
    this.repaired = false;
  }

  /** Adds a bucket; one with the bound of the last is added to it. */
  add(bound: number, count: number): void {
    const last = this.length - 1;
    if (last >= 0 && this.bounds[last] === bound) {
      this.counts[last] += count;
      return;
    }
    this.bounds[this.length] = bound;
    this.counts[this.length] = count;
    this.length++;
  }

  private get total(): number {
    return this.counts[this.length - 1];
  }

  private get isOpen(): boolean {
    return this.bounds[this.length - 1] === Infinity;
  }

  quantile(q: number): number {
    if (Number.isNaN(q)) {
      return NaN;
    }
    if (q < 0) {
      return -Infinity;
    }
    if (q > 1) {
      return Infinity;
    }
    if (!this.isOpen) {
      return NaN;
    }
    this.makeMonotonic();
    const { bounds, counts, length } = this;
    if (length < 2 || this.total === 0) {
      return NaN;
    }
    let rank = q * this.total;
    const at = this.firstReaching(rank);
    if (at === length - 1) {
      return bounds[length - 2];
    }
    if (at === 0 && bounds[0] <= 0) {
      return bounds[0];
    }
    let start = 0;
    let count = counts[at];
    if (at > 0) {
      start = bounds[at - 1];
      count -= counts[at - 1];
      rank -= counts[at - 1];
    }
    return start + (bounds[at] - start) * (rank / count);
  }

  /** The share of observations between two values, linear inside buckets. */
  fraction(lower: number, upper: number): number {
    const { bounds, counts, length } = this;
    if (!this.isOpen) {
      return NaN;
    }
    const { total } = this;
    if (total === 0 || Number.isNaN(lower) || Number.isNaN(upper)) {
      return NaN;
    }
    if (lower >= upper) {
      return 0;
    }
    const rankOf = (value: number): number => {
      let rank = 0;
      let start = bounds[0] <= 0 ? -Infinity : 0;
      for (let i = 0; i < length; i++) {
        if (start >= value) {
          return rank;
        }
        if (bounds[i] > value) {
          const share = (value - start) / (bounds[i] - start);
          return start === -Infinity ? counts[i] : rank + (counts[i] - rank) * share;
        }
        rank = counts[i];
        start = bounds[i];
      }
      return total;
    };
    return (Math.min(rankOf(upper), total) - Math.min(rankOf(lower), total)) / total;
  }

  /** The first bucket but the last with a count of at least `rank`, or the last one. */
  private firstReaching(rank: number): number {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.counts[middle] >= rank) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  private makeMonotonic(): void {
    const { bounds, counts, length } = this;
    let previous = counts[0];
    this.minBucket = Infinity;
    this.maxBucket = -Infinity;
    this.maxDiff = 0;
    for (let i = 1; i < length; i++) {
      const count = counts[i];
      if (count === previous) {
        continue;
      }
      if (almostEqual(previous, count)) {
        counts[i] = previous;
      } else if (count < previous) {
        counts[i] = previous;
        this.repaired = true;
        this.minBucket = Math.min(this.minBucket, bounds[i]);
        this.maxBucket = Math.max(this.maxBucket, bounds[i]);
        this.maxDiff = Math.max(this.maxDiff, previous - count);
      } else {
        previous = count;
      }
    }
  }
}

function almostEqual(a: number, b: number): boolean {
  if (Number.isNaN(a) && Number.isNaN(b)) {
    return true;
  }
  const size = Math.abs(a) + Math.abs(b);
  const difference = Math.abs(a - b);
  if (a === 0 || b === 0 || size < minNormal) {
    return difference < smallDelta * minNormal;
  }
  return difference / Math.min(size, Number.MAX_VALUE) < smallDelta;
}
