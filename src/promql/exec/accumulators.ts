/**
 * @file Running aggregates over columns: cell `group * steps + k` takes the values of a group's
 * series at step `k`, series by series in the order of the input.
 *
 * Follows `aggregation` in Prometheus' `promql/engine.go` (3.14), compensation included.
 */
import type { AggregateOp } from '../ast.js';
import type { Row } from './rows.js';

/** Aggregates that need one pass and a fixed number of cells per group and step. */
export interface Accumulator {
  /** Adds a row to the cells from `target` on. */
  add(row: Row, target: number): void;
  /** Whether a cell has taken a value. */
  has(cell: number): boolean;
  /** The results of all cells, and which have one; the accumulator is spent. */
  finish(): { readonly values: Float64Array; readonly present: Uint8Array };
}

export type StreamingOp = Exclude<
  AggregateOp,
  'topk' | 'bottomk' | 'count_values' | 'quantile' | 'limitk' | 'limit_ratio'
>;

/** Columns of eight bytes per cell that an accumulator holds, flags apart. */
export const accumulatorColumns: Readonly<Record<StreamingOp, number>> = {
  sum: 2,
  avg: 4,
  count: 1,
  min: 1,
  max: 1,
  group: 1,
  stddev: 3,
  stdvar: 3,
};

export function newAccumulator(op: StreamingOp, steps: number, cells: number): Accumulator {
  switch (op) {
    case 'sum':
      return new SumAccumulator(steps, cells);
    case 'avg':
      return new AverageAccumulator(steps, cells);
    case 'count':
      return new CountAccumulator(steps, cells);
    case 'group':
      return new GroupAccumulator(steps, cells);
    case 'min':
      return new ExtremeAccumulator(steps, cells, -1);
    case 'max':
      return new ExtremeAccumulator(steps, cells, 1);
    case 'stddev':
      return new VarianceAccumulator(steps, cells, true);
    case 'stdvar':
      return new VarianceAccumulator(steps, cells, false);
  }
}

class SumAccumulator implements Accumulator {
  private readonly sums: Float64Array;
  private readonly comps: Float64Array;
  private readonly seen: Uint8Array;

  constructor(
    private readonly steps: number,
    cells: number,
  ) {
    this.sums = new Float64Array(cells);
    this.comps = new Float64Array(cells);
    this.seen = new Uint8Array(cells);
  }

  add(row: Row, target: number): void {
    const { sums, comps, seen, steps } = this;
    const { values, base, present, presentBase } = row;
    for (let k = 0; k < steps; k++) {
      if (present !== null && present[presentBase + k] === 0) {
        continue;
      }
      const cell = target + k;
      const value = values[base + k];
      const sum = sums[cell];
      const total = sum + value;
      if (total - total !== 0) {
        comps[cell] = 0;
      } else if (Math.abs(sum) >= Math.abs(value)) {
        comps[cell] += sum - total + value;
      } else {
        comps[cell] += value - total + sum;
      }
      sums[cell] = total;
      seen[cell] = 1;
    }
  }

  has(cell: number): boolean {
    return this.seen[cell] !== 0;
  }

  finish(): { values: Float64Array; present: Uint8Array } {
    const { sums, comps } = this;
    for (let cell = 0; cell < sums.length; cell++) {
      sums[cell] += comps[cell];
    }
    return { values: sums, present: this.seen };
  }
}

/** Sum over count; an incremental mean from the value on where the sum would overflow. */
class AverageAccumulator implements Accumulator {
  /** The sum, or the mean once `incremental`. */
  private readonly sums: Float64Array;
  private readonly comps: Float64Array;
  private readonly counts: Float64Array;
  private readonly incremental: Uint8Array;

  constructor(
    private readonly steps: number,
    cells: number,
  ) {
    this.sums = new Float64Array(cells);
    this.comps = new Float64Array(cells);
    this.counts = new Float64Array(cells);
    this.incremental = new Uint8Array(cells);
  }

  add(row: Row, target: number): void {
    const { sums, comps, counts, incremental, steps } = this;
    const { values, base, present, presentBase } = row;
    for (let k = 0; k < steps; k++) {
      if (present !== null && present[presentBase + k] === 0) {
        continue;
      }
      const cell = target + k;
      const value = values[base + k];
      const count = ++counts[cell];
      const sum = sums[cell];
      const total = sum + value;
      if (count === 1) {
        sums[cell] = value;
      } else if (incremental[cell] !== 0 || total === Infinity || total === -Infinity) {
        this.addIncrementally(cell, value, count);
      } else {
        comps[cell] += Math.abs(sum) >= Math.abs(value) ? sum - total + value : value - total + sum;
        sums[cell] = total;
      }
    }
  }

  private addIncrementally(cell: number, value: number, count: number): void {
    const { sums, comps, incremental } = this;
    if (incremental[cell] === 0) {
      incremental[cell] = 1;
      sums[cell] /= count - 1;
      comps[cell] /= count - 1;
    }
    const share = (count - 1) / count;
    const mean = sums[cell] * share;
    const part = value / count;
    const total = mean + part;
    let comp = comps[cell] * share;
    if (total - total !== 0) {
      comp = 0;
    } else if (Math.abs(mean) >= Math.abs(part)) {
      comp += mean - total + part;
    } else {
      comp += part - total + mean;
    }
    sums[cell] = total;
    comps[cell] = comp;
  }

  has(cell: number): boolean {
    return this.counts[cell] > 0;
  }

  finish(): { values: Float64Array; present: Uint8Array } {
    const { sums, comps, counts, incremental } = this;
    const present = new Uint8Array(sums.length);
    for (let cell = 0; cell < sums.length; cell++) {
      const count = counts[cell];
      if (count > 0) {
        present[cell] = 1;
        sums[cell] =
          incremental[cell] !== 0
            ? sums[cell] + comps[cell]
            : sums[cell] / count + comps[cell] / count;
      }
    }
    return { values: sums, present };
  }
}

class CountAccumulator implements Accumulator {
  private readonly counts: Float64Array;

  constructor(
    private readonly steps: number,
    cells: number,
  ) {
    this.counts = new Float64Array(cells);
  }

  add(row: Row, target: number): void {
    const { counts, steps } = this;
    const { present, presentBase } = row;
    for (let k = 0; k < steps; k++) {
      counts[target + k] += present === null ? 1 : present[presentBase + k];
    }
  }

  has(cell: number): boolean {
    return this.counts[cell] > 0;
  }

  finish(): { values: Float64Array; present: Uint8Array } {
    const present = new Uint8Array(this.counts.length);
    for (let cell = 0; cell < present.length; cell++) {
      present[cell] = this.counts[cell] > 0 ? 1 : 0;
    }
    return { values: this.counts, present };
  }
}

class GroupAccumulator implements Accumulator {
  private readonly seen: Uint8Array;

  constructor(
    private readonly steps: number,
    cells: number,
  ) {
    this.seen = new Uint8Array(cells);
  }

  add(row: Row, target: number): void {
    const { present, presentBase } = row;
    for (let k = 0; k < this.steps; k++) {
      this.seen[target + k] |= present === null ? 1 : present[presentBase + k];
    }
  }

  has(cell: number): boolean {
    return this.seen[cell] !== 0;
  }

  finish(): { values: Float64Array; present: Uint8Array } {
    return { values: new Float64Array(this.seen.length).fill(1), present: this.seen };
  }
}

/** `min` and `max`: NaN only where a group has nothing else. */
class ExtremeAccumulator implements Accumulator {
  private readonly values: Float64Array;
  private readonly seen: Uint8Array;

  constructor(
    private readonly steps: number,
    cells: number,
    /** 1 for the largest value, -1 for the smallest. */
    private readonly sign: 1 | -1,
  ) {
    this.values = new Float64Array(cells);
    this.seen = new Uint8Array(cells);
  }

  add(row: Row, target: number): void {
    const { seen, sign, steps } = this;
    const best = this.values;
    const { values, base, present, presentBase } = row;
    for (let k = 0; k < steps; k++) {
      if (present !== null && present[presentBase + k] === 0) {
        continue;
      }
      const cell = target + k;
      const value = values[base + k];
      const known = best[cell];
      if (seen[cell] === 0 || sign * known < sign * value || Number.isNaN(known)) {
        best[cell] = value;
        seen[cell] = 1;
      }
    }
  }

  has(cell: number): boolean {
    return this.seen[cell] !== 0;
  }

  finish(): { values: Float64Array; present: Uint8Array } {
    return { values: this.values, present: this.seen };
  }
}

/** Welford's method, without compensation as in Prometheus. */
class VarianceAccumulator implements Accumulator {
  private readonly counts: Float64Array;
  private readonly means: Float64Array;
  private readonly squares: Float64Array;

  constructor(
    private readonly steps: number,
    cells: number,
    private readonly root: boolean,
  ) {
    this.counts = new Float64Array(cells);
    this.means = new Float64Array(cells);
    this.squares = new Float64Array(cells);
  }

  add(row: Row, target: number): void {
    const { counts, means, squares, steps } = this;
    const { values, base, present, presentBase } = row;
    for (let k = 0; k < steps; k++) {
      if (present !== null && present[presentBase + k] === 0) {
        continue;
      }
      const cell = target + k;
      const value = values[base + k];
      const count = ++counts[cell];
      if (count === 1) {
        means[cell] = value;
        squares[cell] = value - value === 0 ? 0 : NaN;
        continue;
      }
      const delta = value - means[cell];
      means[cell] += delta / count;
      squares[cell] += delta * (value - means[cell]);
    }
  }

  has(cell: number): boolean {
    return this.counts[cell] > 0;
  }

  finish(): { values: Float64Array; present: Uint8Array } {
    const { counts, squares } = this;
    const present = new Uint8Array(counts.length);
    for (let cell = 0; cell < counts.length; cell++) {
      if (counts[cell] > 0) {
        present[cell] = 1;
        const variance = squares[cell] / counts[cell];
        squares[cell] = this.root ? Math.sqrt(variance) : variance;
      }
    }
    return { values: squares, present };
  }
}
