/**
 * @file The part of `sum` and `avg` that takes native histograms: a compensated sum for each cell
 * of a group and step.
 *
 * Follows `aggregation` in Prometheus' `promql/engine.go` (3.14), but for the mean of histograms
 * whose sum would be infinite, which Prometheus computes incrementally.
 */
import { type Histogram, place, resetHint } from '../../model/histogram.js';
import { HistogramTally } from '../histogram/tally.js';
import type { Row } from './rows.js';

/** Told of what does not fit; the second also of the series that brought it. */
export interface SumNotes {
  mixedKinds(): void;
  mixedSchemas(series: number): void;
  boundsReconciled(): void;
}

interface Sum {
  readonly tally: HistogramTally;
  count: number;
  /** Exponential and custom buckets do not go together: the cell has no value. */
  incompatible: boolean;
  /** Whether one of the histograms is a gauge. */
  gauge: boolean;
}

/** Histograms by cell: group times steps plus step. */
export class HistogramSums {
  private readonly sums = new Map<number, Sum>();

  constructor(
    private readonly op: 'sum' | 'avg',
    private readonly steps: number,
    private readonly notes: SumNotes,
  ) {}

  /** Adds the histograms of a row to the cells from `target` on; returns which steps have one. */
  add(series: number, row: Row, target: number): Uint8Array {
    const { histograms, base, present, presentBase } = row;
    const taken = new Uint8Array(this.steps);
    for (let k = 0; k < this.steps; k++) {
      const has = present === null || present[presentBase + k] !== 0;
      const histogram = has ? histograms?.[base + k] : undefined;
      if (histogram !== undefined) {
        this.addTo(target + k, histogram, series);
        taken[k] = 1;
      }
    }
    return taken;
  }

  private addTo(cell: number, histogram: Histogram, series: number): void {
    const gauge = histogram[place.hint] === resetHint.gauge;
    const sum = this.sums.get(cell);
    if (sum === undefined) {
      const tally = new HistogramTally(histogram);
      this.sums.set(cell, { tally, count: 1, incompatible: false, gauge });
      return;
    }
    if (sum.incompatible) {
      return;
    }
    sum.count++;
    sum.gauge ||= gauge;
    const added = sum.tally.add(histogram, 1, true);
    if (added === undefined) {
      sum.incompatible = true;
      this.notes.mixedSchemas(series);
    } else if (added.reconciled) {
      this.notes.boundsReconciled();
    }
  }

  /**
   * Puts the results into the cells of `present`, which says where the floats have one; a cell with
   * both has none. Undefined when there is no histogram.
   */
  finish(present: Uint8Array): (Histogram | undefined)[] | undefined {
    if (this.sums.size === 0) {
      return undefined;
    }
    const cells: (Histogram | undefined)[] = [];
    for (const [cell, { tally, count, incompatible, gauge }] of this.sums) {
      if (present[cell] !== 0) {
        present[cell] = 0;
        this.notes.mixedKinds();
      } else if (!incompatible) {
        if (this.op === 'avg') {
          tally.divide(count);
        }
        cells[cell] = tally.pack(gauge ? resetHint.gauge : resetHint.unknown);
        present[cell] = 1;
      }
    }
    return cells;
  }
}
