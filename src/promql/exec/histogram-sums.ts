/**
 * @file The part of `sum` and `avg` that takes native histograms: one running sum for each cell of
 * a group and step.
 *
 * Follows `aggregation` in Prometheus' `promql/engine.go` (3.14).
 */
import type { Histogram } from '../../model/histogram.js';
import { RunningHistogram } from '../histogram/running.js';
import type { Row } from './rows.js';

/** What the sums are to know, and are to tell of what does not fit. */
export interface SumNotes {
  /** Whether a float has come into a cell so far. */
  hasFloat(cell: number): boolean;
  mixedKinds(): void;
  /** `series` brought what does not fit. */
  mixedSchemas(series: number): void;
  boundsReconciled(): void;
  resetCollision(): void;
}

interface Sum {
  readonly running: RunningHistogram;
  /** Exponential and custom buckets do not go together: the cell has no value. */
  incompatible: boolean;
  /** A float came before a histogram that did not fit. */
  mixed: boolean;
}

/** Histograms by cell: group times steps plus step. */
export class HistogramSums {
  private readonly sums = new Map<number, Sum>();
  /** Cells that began with a float, whose histograms do not matter any more. */
  private readonly spoilt = new Set<number>();

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
    const sum = this.sums.get(cell);
    if (sum === undefined) {
      if (this.notes.hasFloat(cell)) {
        this.spoilt.add(cell);
      } else {
        const running = new RunningHistogram(this.op, histogram);
        this.sums.set(cell, { running, incompatible: false, mixed: false });
      }
      return;
    }
    if (sum.incompatible) {
      return;
    }
    const added = sum.running.add(histogram);
    if (added === undefined) {
      sum.incompatible = true;
      sum.mixed = this.notes.hasFloat(cell);
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
    for (const cell of this.spoilt) {
      present[cell] = 0;
      this.notes.mixedKinds();
    }
    if (this.sums.size === 0) {
      return undefined;
    }
    const cells: (Histogram | undefined)[] = [];
    for (const [cell, { running, incompatible, mixed }] of this.sums) {
      if (incompatible ? mixed : present[cell] !== 0) {
        this.notes.mixedKinds();
      } else if (!incompatible) {
        if (running.collision) {
          this.notes.resetCollision();
        }
        cells[cell] = running.finish();
      }
      present[cell] = cells[cell] === undefined ? 0 : 1;
    }
    return cells;
  }
}
