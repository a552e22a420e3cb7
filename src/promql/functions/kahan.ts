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
