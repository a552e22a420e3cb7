/**
 * @file Compensated summation as Prometheus does it (`util/kahansum`, 3.14): Neumaier's variant,
 * whose compensation is dropped once the sum is infinite.
 */

/** Sum and compensation of some values; `sum + comp` is the result. */
export class KahanSum {
  sum = 0;
  comp = 0;

  reset(sum: number): void {
    this.sum = sum;
    this.comp = 0;
  }

  add(value: number): void {
    const { sum } = this;
    const total = sum + value;
    if (total - total !== 0) {
      // Infinite; with NaN the compensation does not matter.
      this.comp = 0;
    } else if (Math.abs(sum) >= Math.abs(value)) {
      this.comp += sum - total + value;
    } else {
      this.comp += value - total + sum;
    }
    this.sum = total;
  }
}

/** Sum of `values[first .. last)`. */
export function kahanTotal(values: Float64Array, first: number, last: number): number {
  let sum = 0;
  let comp = 0;
  for (let i = first; i < last; i++) {
    const value = values[i];
    const total = sum + value;
    if (total - total !== 0) {
      comp = 0;
    } else if (Math.abs(sum) >= Math.abs(value)) {
      comp += sum - total + value;
    } else {
      comp += value - total + sum;
    }
    sum = total;
  }
  return sum - sum !== 0 ? sum : sum + comp;
}

/**
 * Mean of `values[first .. last)`, at least one value: sum over count, but an incremental mean from
 * the value on where the sum would overflow.
 */
export function kahanMean(values: Float64Array, first: number, last: number): number {
  let sum = values[first];
  let comp = 0;
  for (let i = first + 1; i < last; i++) {
    const value = values[i];
    const total = sum + value;
    if (total === Infinity || total === -Infinity) {
      return incrementalMean(values, first, i, last, sum, comp);
    }
    if (Math.abs(sum) >= Math.abs(value)) {
      comp += sum - total + value;
    } else {
      comp += value - total + sum;
    }
    sum = total;
  }
  const count = last - first;
  return sum / count + comp / count;
}

function incrementalMean(
  values: Float64Array,
  first: number,
  from: number,
  last: number,
  sum: number,
  comp: number,
): number {
  const mean = new KahanSum();
  mean.sum = sum / (from - first);
  mean.comp = comp / (from - first);
  for (let i = from; i < last; i++) {
    const count = i - first + 1;
    const share = (count - 1) / count;
    mean.sum *= share;
    mean.comp *= share;
    mean.add(values[i] / count);
  }
  return mean.sum + mean.comp;
}
