/**
 * @file The steps at which a pair of matched series has a native histogram on a side.
 */
import type { Histogram, HistogramCells } from '../../model/histogram.js';
import type { Binary } from '../ast.js';
import type { EvalContext } from './context.js';
import { isTrim, keepsHistogram, type Outcome, operate, StepNotes } from './histogram-operators.js';
import { sameLabels } from './names.js';

/** One side of a pair: the cells from `base` on. */
export interface MixedSide {
  readonly values: Float64Array;
  readonly histograms?: HistogramCells;
  readonly base: number;
}

/** Works beside the columns of floats, one pair after the other. */
export class MixedPairs {
  private readonly outcomes: (Outcome | undefined)[];
  private readonly notes = new StepNotes();
  private cells: (Histogram | undefined)[] | undefined;
  private bytes = 0;

  constructor(
    private readonly ctx: EvalContext,
    private readonly expr: Binary,
    private readonly steps: number,
  ) {
    this.outcomes = new Array<Outcome | undefined>(steps);
  }

  /** Operates on the flagged steps with a histogram; those without a result lose their flag. */
  operate(left: MixedSide, right: MixedSide, flags: Uint8Array): void {
    const { op } = this.expr;
    for (let k = 0; k < this.steps; k++) {
      this.outcomes[k] = undefined;
      const a = left.histograms?.[left.base + k];
      const b = right.histograms?.[right.base + k];
      if (flags[k] === 0 || (a === undefined && b === undefined && !isTrim(op))) {
        continue;
      }
      const outcome = operate(
        op,
        a ?? left.values[left.base + k],
        b ?? right.values[right.base + k],
      );
      this.notes.set(k, outcome.note);
      if (outcome.value === undefined) {
        flags[k] = 0;
      } else {
        this.outcomes[k] = outcome;
      }
    }
  }

  /** Clears the flags of the steps that are no business of floats. */
  separate(flags: Uint8Array): void {
    for (let k = 0; k < this.steps; k++) {
      if (this.outcomes[k] !== undefined) {
        flags[k] = 0;
      }
    }
  }

  /** Writes the results; a cell that has a value means equal label sets. */
  put(values: Float64Array, present: Uint8Array, target: number): void {
    const { op, returnBool } = this.expr;
    const keeps = keepsHistogram(op, returnBool);
    for (let k = 0; k < this.steps; k++) {
      const outcome = this.outcomes[k];
      if (outcome === undefined || (keeps && !outcome.holds)) {
        continue;
      }
      if (present[target + k] !== 0) {
        throw sameLabels();
      }
      present[target + k] = 1;
      values[target + k] = outcome.holds ? 1 : 0;
      if (keeps) {
        this.cells ??= [];
        this.cells[target + k] = outcome.value;
        const bytes = outcome.value?.byteLength ?? 0;
        this.ctx.budget.hold(bytes, 0);
        this.bytes += bytes;
      }
    }
  }

  /** The histograms among the results; tells what there is to tell. */
  finish(): HistogramCells {
    this.notes.each((note) => this.ctx.annotations.operatorNote(note, this.expr));
    return this.cells;
  }

  /** Gives up the results. */
  release(): void {
    this.ctx.budget.release(this.bytes, 0);
  }
}
