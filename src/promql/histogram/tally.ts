/**
 * @file A histogram that is reckoned with: added to, subtracted from, scaled.
 *
 * Follows `FloatHistogram` in Prometheus' `model/histogram/float_histogram.go` (3.14): `Add`, `Sub`
 * and `KahanAdd`, `Mul`, `Div`, `CopyToSchema`, `Compact`, `zeroCountForLargerThreshold`,
 * `reconcileZeroBuckets`, `addCustomBucketsWithMismatches`. Of two exponential schemas the coarser
 * one stays, of two zero thresholds the larger one, of custom bounds those that both have;
 * exponential and custom buckets do not go together.
 */
import {
  customSchema,
  type Histogram,
  headerLength,
  place,
  resetHint,
} from '../../model/histogram.js';
import { customBounds, negativeSide, positiveSide } from './buckets.js';
import { exponentialBound } from './exponential-bounds.js';
import {
  acrossBounds,
  addTo,
  type Buckets,
  Compensated,
  coarser,
  filtered,
  merged,
  populated,
  sameBounds,
  spansOf,
  sumOf,
  uncompensated,
} from './tally-buckets.js';

/** What an addition did besides. */
export interface Added {
  /** Whether custom bounds differed and only the common ones stay. */
  readonly reconciled: boolean;
  /** Whether one histogram says that it follows a reset, and the other that it does not. */
  readonly collision: boolean;
}

/** See the page above. */
export class HistogramTally {
  schema: number;
  /** What the result says of counter resets, see `resetHint`. */
  hint: number;
  zeroThreshold: number;
  bounds: Float64Array;
  private readonly zero: Compensated;
  private readonly total: Compensated;
  private readonly observed: Compensated;
  positive: Buckets;
  private negative: Buckets;

  /** Of a histogram, or a copy of another tally. */
  constructor(from: Histogram | HistogramTally) {
    if (from instanceof HistogramTally) {
      this.schema = from.schema;
      this.hint = from.hint;
      this.zeroThreshold = from.zeroThreshold;
      this.bounds = from.bounds;
      this.zero = from.zero.copy();
      this.total = from.total.copy();
      this.observed = from.observed.copy();
      // Arrays are replaced, never changed.
      this.positive = from.positive;
      this.negative = from.negative;
      return;
    }
    const histogram = from;
    this.schema = histogram[place.schema];
    this.hint = histogram[place.hint];
    this.zeroThreshold = histogram[place.zeroThreshold];
    this.bounds = customBounds(histogram);
    this.zero = new Compensated(histogram[place.zeroCount]);
    this.total = new Compensated(histogram[place.count]);
    this.observed = new Compensated(histogram[place.sum]);
    this.positive = uncompensated(positiveSide(histogram));
    this.negative = uncompensated(negativeSide(histogram));
  }

  /** The count of all observations. */
  get count(): number {
    return this.total.value;
  }

  /** Makes all counts zero and keeps the layout. */
  clear(): this {
    this.zeroThreshold = 0;
    for (const number of [this.zero, this.total, this.observed]) {
      number.value = 0;
    }
    this.positive = { index: [], count: [], comp: [] };
    this.negative = { index: [], count: [], comp: [] };
    return this;
  }

  /**
   * Adds `sign` times another histogram; undefined, and nothing is done, when one of the two has
   * custom buckets alone. `compensated` keeps what rounding takes, for sums of many.
   */
  add(histogram: Histogram, sign: 1 | -1, compensated = false): Added | undefined {
    const other = new HistogramTally(histogram);
    if ((other.schema === customSchema) !== (this.schema === customSchema)) {
      return undefined;
    }
    const collision = this.adjustHint(other.hint);
    const custom = this.schema === customSchema;
    if (!custom) {
      this.reconcileZero(other);
      addTo(this.zero, sign * other.zero.value, compensated);
    }
    addTo(this.total, sign * other.total.value, compensated);
    addTo(this.observed, sign * other.observed.value, compensated);
    const reconciled = custom && !sameBounds(this.bounds, other.bounds);
    if (reconciled) {
      const common = this.bounds.filter((bound) => other.bounds.includes(bound));
      this.positive = acrossBounds([this, other], common, sign, compensated);
      this.bounds = common;
      return { reconciled, collision };
    }
    if (!custom) {
      const schema = Math.min(this.schema, other.schema);
      this.reduceTo(schema, compensated);
      other.reduceTo(schema, compensated);
      other.forgetBelow(this.zeroThreshold);
    }
    this.positive = merged(this.positive, other.positive, sign, compensated);
    this.negative = merged(this.negative, other.negative, sign, compensated);
    return { reconciled, collision };
  }

  /** Multiplies every count and the sum; what is turned over is a gauge. */
  scale(factor: number): void {
    this.hint = factor < 0 ? resetHint.gauge : this.hint;
    this.each((value) => value * factor);
  }

  /** Divides every count and the sum; by zero no bucket stays. */
  divide(divisor: number): void {
    this.hint = divisor < 0 ? resetHint.gauge : this.hint;
    this.each((value) => value / divisor);
    if (divisor === 0) {
      this.positive = { index: [], count: [], comp: [] };
      this.negative = { index: [], count: [], comp: [] };
    }
  }

  /** A finer exponential schema becomes the coarser one given. */
  reduceTo(schema: number, compensated = false): void {
    if (this.schema > schema) {
      this.positive = coarser(this.positive, this.schema - schema, compensated);
      this.negative = coarser(this.negative, this.schema - schema, compensated);
      this.schema = schema;
    }
  }

  /** Packed, without empty buckets. */
  pack(hint: number = this.hint): Histogram {
    const positive = populated(this.positive);
    const negative = populated(this.negative);
    const spans = [spansOf(positive.index), spansOf(negative.index)];
    const spansEnd = headerLength + spans[0].length + spans[1].length;
    const countsAt = spansEnd + this.bounds.length;
    const out = new Float64Array(countsAt + positive.count.length + negative.count.length);
    out[place.schema] = this.schema;
    out[place.hint] = hint;
    out[place.zeroThreshold] = this.zeroThreshold;
    out[place.zeroCount] = sumOf(this.zero.value, this.zero.comp);
    out[place.count] = sumOf(this.total.value, this.total.comp);
    out[place.sum] = sumOf(this.observed.value, this.observed.comp);
    out[place.positiveSpans] = spans[0].length / 2;
    out[place.negativeSpans] = spans[1].length / 2;
    out[place.bounds] = this.bounds.length;
    out.set(spans[0], headerLength);
    out.set(spans[1], headerLength + spans[0].length);
    out.set(this.bounds, spansEnd);
    out.set(positive.count, countsAt);
    out.set(negative.count, countsAt + positive.count.length);
    return out;
  }

  /** Whether a count or the sum has become infinite. */
  get overflows(): boolean {
    const numbers = [this.zero, this.total, this.observed].map(({ value }) => value);
    return [...numbers, ...this.positive.count, ...this.negative.count].some(
      (value) => Math.abs(value) === Infinity,
    );
  }

  /** A gauge wins, then what is unknown; returns whether the two contradict each other. */
  private adjustHint(other: number): boolean {
    const { hint } = this;
    if (other === hint || hint === resetHint.gauge || other === resetHint.gauge) {
      this.hint = other === resetHint.gauge ? other : hint;
      return false;
    }
    this.hint = resetHint.unknown;
    return hint !== resetHint.unknown && other !== resetHint.unknown;
  }

  /** What the zero bucket counts with a larger threshold, which a populated bucket may widen. */
  zeroCountAt(threshold: number): { readonly count: number; readonly threshold: number } {
    let wanted = threshold;
    if (wanted === this.zeroThreshold) {
      return { count: this.zero.value, threshold };
    }
    for (;;) {
      let count = this.zero.value;
      let widened = false;
      for (const side of [this.positive, this.negative]) {
        for (let i = 0; i < side.index.length && !widened; i++) {
          const upper = exponentialBound(this.schema, side.index[i]);
          if (exponentialBound(this.schema, side.index[i] - 1) >= wanted) {
            break;
          }
          count += side.count[i];
          if (upper > wanted) {
            if (side.count[i] !== 0) {
              wanted = upper;
              // Below zero the buckets above zero are to be looked at anew.
              widened = side === this.negative;
            }
            break;
          }
        }
      }
      if (!widened) {
        return { count, threshold: wanted };
      }
    }
  }

  /** Gives both histograms the larger one of their zero thresholds. */
  private reconcileZero(other: HistogramTally): void {
    // Not `!==`: a threshold that is no number would never be reached.
    while (other.zeroThreshold < this.zeroThreshold || other.zeroThreshold > this.zeroThreshold) {
      const [smaller, larger] =
        this.zeroThreshold > other.zeroThreshold ? [other, this] : [this, other];
      const { count, threshold } = smaller.zeroCountAt(larger.zeroThreshold);
      smaller.zero.value = count;
      smaller.zeroThreshold = threshold;
      smaller.forgetBelow(threshold);
    }
  }

  /** Drops the buckets that lie in the zero bucket. */
  private forgetBelow(threshold: number): void {
    const outside = (index: number): boolean => exponentialBound(this.schema, index) > threshold;
    const kept = (side: Buckets): Buckets =>
      // Bounds ascend: where the first bucket lies outside, all do.
      side.index.length === 0 || outside(side.index[0]) ? side : filtered(side, outside);
    this.positive = kept(this.positive);
    this.negative = kept(this.negative);
  }

  private each(change: (value: number) => number): void {
    for (const number of [this.zero, this.total, this.observed]) {
      number.value = change(number.value);
      number.comp = number.comp === 0 ? number.comp : change(number.comp);
    }
    for (const side of [this.positive, this.negative]) {
      side.count = side.count.map(change);
      side.comp = side.comp.map(change);
    }
  }
}
