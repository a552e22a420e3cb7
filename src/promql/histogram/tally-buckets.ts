/**
 * @file The parts of a histogram that is reckoned with: compensated numbers and columns of buckets.
 *
 * Follows `addBuckets`, `kahanAddBuckets`, `addCustomBucketsWithMismatches` and their neighbours in
 * Prometheus' `model/histogram/float_histogram.go` (3.14).
 */
/** Buckets by ascending index; `comp` is what rounding took from `count` so far. */
export interface Buckets {
  index: number[];
  count: number[];
  comp: number[];
}

/** Custom bounds and the buckets between them. */
export interface Bounded {
  readonly bounds: Float64Array;
  readonly positive: Buckets;
}

/** A number and what rounding took from it. */
export class Compensated {
  /** Negative zero until something was added: it leaves the sign of a zero as it is. */
  comp = -0;

  constructor(public value: number) {}

  copy(): Compensated {
    const copy = new Compensated(this.value);
    copy.comp = this.comp;
    return copy;
  }

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

export function uncompensated({ index, count }: { index: number[]; count: number[] }): Buckets {
  return { index, count, comp: new Array<number>(count.length).fill(0) };
}

/** The compensation of what is not finite does not matter. */
export function sumOf(value: number, comp: number): number {
  return Number.isFinite(value) ? value + comp : value;
}

export function addTo(number: Compensated, more: number, compensated: boolean): void {
  if (compensated) {
    number.add(more);
  } else {
    number.value += more;
  }
}

export function sameBounds(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((bound, i) => bound === b[i]);
}

export function filtered(side: Buckets, keep: (index: number, i: number) => boolean): Buckets {
  const wanted = side.index.map(keep);
  const choose = (_: number, i: number): boolean => wanted[i];
  return {
    index: side.index.filter(choose),
    count: side.count.filter(choose),
    comp: side.comp.filter(choose),
  };
}

/** Buckets with an observation, compensation added; what rounding took is not among the columns. */
export function populated({ index, count, comp }: Buckets): Pick<Buckets, 'index' | 'count'> {
  const total = count.slice();
  let empty = 0;
  for (let i = 0; i < count.length; i++) {
    total[i] = sumOf(count[i], comp[i]);
    empty += total[i] === 0 ? 1 : 0;
  }
  if (empty === 0) {
    return { index, count: total };
  }
  const has = (_: number, i: number): boolean => total[i] !== 0;
  return { index: index.filter(has), count: total.filter(has) };
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
export function coarser(side: Buckets, steps: number, compensated: boolean): Buckets {
  return gathered(side, (index) => ((index - 1) >> steps) + 1, compensated);
}

/**
 * Adds `sign` times the second side to the first, bucket by bucket: each goes to the first of the
 * common bounds that is not below its own.
 */
export function acrossBounds(
  [first, second]: readonly [Bounded, Bounded],
  common: Float64Array,
  sign: 1 | -1,
  compensated: boolean,
): Buckets {
  const cells = Array.from({ length: common.length + 1 }, () => new Compensated(0));
  const take = ({ bounds, positive }: Bounded, factor: 1 | -1): void => {
    positive.index.forEach((index, i) => {
      const bound = index < bounds.length ? bounds[index] : Infinity;
      const found = common.findIndex((one) => one >= bound);
      const cell = cells[found < 0 ? common.length : found];
      addTo(cell, factor * positive.count[i], compensated);
      addTo(cell, factor * positive.comp[i], compensated);
    });
  };
  take(first, 1);
  take(second, sign);
  return {
    index: cells.map((_, i) => i),
    count: cells.map(({ value }) => value),
    comp: cells.map(({ comp }) => comp),
  };
}

export function merged(a: Buckets, b: Buckets, sign: 1 | -1, compensated: boolean): Buckets {
  if (sameIndexes(a.index, b.index)) {
    return addedUp(a, b, sign, compensated);
  }
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

function sameIndexes(a: readonly number[], b: readonly number[]): boolean {
  if (a.length !== b.length) {
    return false;
  }
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

/** `merged` of the same buckets, which is the rule: bucket by bucket, without a search. */
function addedUp(a: Buckets, b: Buckets, sign: 1 | -1, compensated: boolean): Buckets {
  const count = a.count.slice();
  const comp = a.comp.slice();
  const number = new Compensated(0);
  for (let i = 0; i < count.length; i++) {
    number.value = count[i];
    number.comp = comp[i];
    addTo(number, sign * b.count[i], compensated);
    addTo(number, sign * b.comp[i], compensated);
    count[i] = number.value;
    comp[i] = number.comp;
  }
  return { index: a.index, count, comp };
}

/** Offsets and lengths of the stretches of neighbouring indexes. */
export function spansOf(indexes: readonly number[]): number[] {
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
