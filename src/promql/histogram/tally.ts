/**
 * @file A histogram that is reckoned with: added to, subtracted from, scaled.
 *
 * Follows `FloatHistogram` in Prometheus' `model/histogram/float_histogram.go` (3.14): `Add`, `Sub`
 * and `KahanAdd`, `Mul`, `Div`, `CopyToSchema`, `Compact`, `zeroCountForLargerThreshold`,
 * `reconcileZeroBuckets`, `addCustomBucketsWithMismatches`. Of two exponential schemas the coarser
 * one stays, of two zero thresholds the larger one, of custom bounds those that both have;
 * exponential and custom buckets do not go together.
 */
import { customSchema, type Histogram, headerLength, place } from '../../model/histogram.js';
import { customBounds, negativeSide, positiveSide } from './buckets.js';
import { exponentialBound } from './exponential-bounds.js';

/** Buckets by ascending index; `comp` is what rounding took from `count` so far. */
interface Buckets {
  index: number[];
  count: number[];
  comp: number[];
}

/** A number and what rounding took from it. */
class Compensated {
  comp = 0;

  constructor(public value: number) {}

  /** Adds by Neumaier's variant of Kahan's summation; the compensation of infinity is 0. */
  add(more: number): void {
    const { value } = this;
    const total = value + more;
    if (total - total !== 0) {
      this.comp = 0;
    } else if (Math.abs(value) >= Math.abs(more)) {
      this.comp += value - total + more;
    } else {
      this.comp += more - total + value;
    }
    this.value = total;
  }
}

/** What an addition did besides. */
export interface Added {
  /** Whether custom bounds differed and only the common ones stay. */
  readonly reconciled: boolean;
}

/** See the page above. */
export class HistogramTally {
  schema: number;
  zeroThreshold: number;
  bounds: Float64Array;
  private readonly zero: Compensated;
  private readonly total: Compensated;
  private readonly observed: Compensated;
  private positive: Buckets;
  private negative: Buckets;

  constructor(histogram: Histogram) {
    this.schema = histogram[place.schema];
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
      this.positive = ontoBounds(this.positive, this.bounds, common);
      other.positive = ontoBounds(other.positive, other.bounds, common);
      this.bounds = common;
    } else if (!custom) {
      const schema = Math.min(this.schema, other.schema);
      this.reduceTo(schema, compensated);
      other.reduceTo(schema, compensated);
      other.forgetBelow(this.zeroThreshold);
    }
    this.positive = merged(this.positive, other.positive, sign, compensated);
    this.negative = merged(this.negative, other.negative, sign, compensated);
    return { reconciled };
  }

  /** Multiplies every count and the sum. */
  scale(factor: number): void {
    this.each((value) => value * factor);
  }

  /** Divides every count and the sum; by zero no bucket stays. */
  divide(divisor: number): void {
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
  pack(hint: number): Histogram {
    const positive = populated(this.positive);
    const negative = populated(this.negative);
    const spans = [positive, negative].map((side) => spansOf(side.index));
    const [zero, total, observed] = [this.zero, this.total, this.observed].map(({ value, comp }) =>
      sumOf(value, comp),
    );
    const header = new Array<number>(headerLength).fill(0);
    header[place.schema] = this.schema;
    header[place.hint] = hint;
    header[place.zeroThreshold] = this.zeroThreshold;
    header[place.zeroCount] = zero;
    header[place.count] = total;
    header[place.sum] = observed;
    header[place.positiveSpans] = spans[0].length / 2;
    header[place.negativeSpans] = spans[1].length / 2;
    header[place.bounds] = this.bounds.length;
    const counts = [...positive.count, ...negative.count];
    return Float64Array.from([...header, ...spans.flat(), ...this.bounds, ...counts]);
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
    this.positive = filtered(this.positive, outside);
    this.negative = filtered(this.negative, outside);
  }

  private each(change: (value: number) => number): void {
    for (const number of [this.zero, this.total, this.observed]) {
      number.value = change(number.value);
      number.comp = change(number.comp);
    }
    for (const side of [this.positive, this.negative]) {
      side.count = side.count.map(change);
      side.comp = side.comp.map(change);
    }
  }
}

function uncompensated({ index, count }: { index: number[]; count: number[] }): Buckets {
  return { index, count, comp: new Array<number>(count.length).fill(0) };
}

/** The compensation of what is not finite does not matter. */
function sumOf(value: number, comp: number): number {
  return Number.isFinite(value) ? value + comp : value;
}

function addTo(number: Compensated, more: number, compensated: boolean): void {
  if (compensated) {
    number.add(more);
  } else {
    number.value += more;
  }
}

function sameBounds(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((bound, i) => bound === b[i]);
}

function filtered(side: Buckets, keep: (index: number, i: number) => boolean): Buckets {
  const wanted = side.index.map(keep);
  const choose = (_: number, i: number): boolean => wanted[i];
  return {
    index: side.index.filter(choose),
    count: side.count.filter(choose),
    comp: side.comp.filter(choose),
  };
}

/** Buckets with an observation, compensation added. */
function populated({ index, count, comp }: Buckets): Buckets {
  const total = { index, count: count.map((value, i) => sumOf(value, comp[i])), comp };
  return filtered(total, (_, i) => total.count[i] !== 0);
}

/** Gathers buckets under new indexes, which ascend as the old ones do. */
function gathered(
  side: Buckets,
  indexOf: (index: number) => number,
  compensated: boolean,
): Buckets {
  const out: Buckets = { index: [], count: [], comp: [] };
  side.index.forEach((old, i) => {
    const index = indexOf(old);
    const last = out.index.length - 1;
    if (last >= 0 && out.index[last] === index) {
      const number = new Compensated(out.count[last]);
      number.comp = out.comp[last];
      addTo(number, side.count[i], compensated);
      addTo(number, side.comp[i], compensated);
      out.count[last] = number.value;
      out.comp[last] = number.comp;
    } else {
      out.index.push(index);
      out.count.push(side.count[i]);
      out.comp.push(side.comp[i]);
    }
  });
  return out;
}

/** Every `2^steps` buckets become one. */
function coarser(side: Buckets, steps: number, compensated: boolean): Buckets {
  return gathered(side, (index) => ((index - 1) >> steps) + 1, compensated);
}

/** A bucket goes to the first of the common bounds that is not below its own. */
function ontoBounds(side: Buckets, bounds: Float64Array, common: Float64Array): Buckets {
  const target = (index: number): number => {
    const bound = index < bounds.length ? bounds[index] : Infinity;
    const at = common.findIndex((one) => one >= bound);
    return at < 0 ? common.length : at;
  };
  return gathered(side, target, false);
}

function merged(a: Buckets, b: Buckets, sign: 1 | -1, compensated: boolean): Buckets {
  const out: Buckets = { index: [], count: [], comp: [] };
  let i = 0;
  let j = 0;
  while (i < a.index.length || j < b.index.length) {
    const left = i < a.index.length ? a.index[i] : Infinity;
    const right = j < b.index.length ? b.index[j] : Infinity;
    const number = new Compensated(left <= right ? a.count[i] : sign * b.count[j]);
    number.comp = left <= right ? a.comp[i] : sign * b.comp[j];
    if (left === right) {
      addTo(number, sign * b.count[j], compensated);
      addTo(number, sign * b.comp[j], compensated);
    }
    out.index.push(Math.min(left, right));
    out.count.push(number.value);
    out.comp.push(number.comp);
    i += left <= right ? 1 : 0;
    j += right <= left ? 1 : 0;
  }
  return out;
}

/** Offsets and lengths of the stretches of neighbouring indexes. */
function spansOf(indexes: readonly number[]): number[] {
  const spans: number[] = [];
  let next = 0;
  indexes.forEach((index, i) => {
    if (i > 0 && index === next) {
      spans[spans.length - 1]++;
    } else {
      spans.push(index - next, 1);
    }
    next = index + 1;
  });
  return spans;
}
