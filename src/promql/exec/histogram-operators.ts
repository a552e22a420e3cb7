/**
 * @file What binary operators make of two values of which at least one is a native histogram.
 *
 * Follows `vectorElemBinop` in Prometheus' `promql/engine.go` (3.14). A sum of histograms that
 * contradict each other on counter resets has no result, as there.
 */
import { type Histogram, resetHint } from '../../model/histogram.js';
import { type BinaryOp, isComparison } from '../ast.js';
import { sameHistogram } from '../histogram/equal.js';
import { HistogramTally } from '../histogram/tally.js';
import { trimHistogram } from '../histogram/trim.js';

type Kind = 'float' | 'histogram';

/** What there is to say of an operation. */
export type OperatorNote =
  | { readonly kind: 'types'; readonly left: Kind; readonly right: Kind }
  | { readonly kind: 'layout' }
  | { readonly kind: 'collision'; readonly during: 'addition' | 'subtraction' }
  | { readonly kind: 'reconciled'; readonly during: 'addition' | 'subtraction' };

/** The result of an operator at one step; none where `value` is missing. */
export interface Outcome {
  readonly value?: Histogram;
  /** Whether a comparison holds; true for other operators. */
  readonly holds: boolean;
  readonly note?: OperatorNote;
}

/** Whether an operator works on histograms alone, so that floats have no result either. */
export function isTrim(op: BinaryOp): op is '</' | '>/' {
  return op === '</' || op === '>/';
}

/** The outcome of an operator for two values that are not both floats, but for trimming. */
export function operate(
  op: BinaryOp,
  left: Histogram | number,
  right: Histogram | number,
): Outcome {
  if (typeof left === 'number') {
    return op === '*' && typeof right !== 'number'
      ? changed(right, (tally) => tally.scale(left))
      : noResult(left, right);
  }
  if (typeof right !== 'number') {
    return operateTwo(op, left, right);
  }
  switch (op) {
    case '*':
      return changed(left, (tally) => tally.scale(right));
    case '/':
      return changed(left, (tally) => tally.divide(right));
    case '</':
      return { value: trimHistogram(left, right, 'below'), holds: true };
    case '>/':
      return { value: trimHistogram(left, right, 'above'), holds: true };
    default:
      return noResult(left, right);
  }
}

function operateTwo(op: BinaryOp, left: Histogram, right: Histogram): Outcome {
  switch (op) {
    case '+':
      return combined(left, right, 1);
    case '-':
      return combined(left, right, -1);
    case '==':
      return { value: left, holds: sameHistogram(left, right) };
    case '!=':
      return { value: left, holds: !sameHistogram(left, right) };
    default:
      return noResult(left, right);
  }
}

function combined(left: Histogram, right: Histogram, sign: 1 | -1): Outcome {
  const tally = new HistogramTally(left);
  const added = tally.add(right, sign);
  if (added === undefined) {
    return { holds: false, note: { kind: 'layout' } };
  }
  const during = sign === 1 ? 'addition' : 'subtraction';
  if (added.collision) {
    return { holds: false, note: { kind: 'collision', during } };
  }
  const value = tally.pack(sign === 1 ? tally.hint : resetHint.gauge);
  return added.reconciled
    ? { value, holds: true, note: { kind: 'reconciled', during } }
    : { value, holds: true };
}

function changed(histogram: Histogram, change: (tally: HistogramTally) => void): Outcome {
  const tally = new HistogramTally(histogram);
  change(tally);
  return { value: tally.pack(), holds: true };
}

function noResult(left: Histogram | number, right: Histogram | number): Outcome {
  const kind = (value: Histogram | number): Kind =>
    typeof value === 'number' ? 'float' : 'histogram';
  return { holds: false, note: { kind: 'types', left: kind(left), right: kind(right) } };
}

/** Whether the result of a comparison is the histogram that is compared, not a number. */
export function keepsHistogram(op: BinaryOp, returnBool: boolean): boolean {
  return !(isComparison(op) && returnBool);
}

/** The notes of an operator by step, of which the last one counts. */
export class StepNotes {
  private readonly notes = new Map<number, OperatorNote>();

  set(step: number, note: OperatorNote | undefined): void {
    if (note !== undefined) {
      this.notes.set(step, note);
    }
  }

  each(tell: (note: OperatorNote) => void): void {
    for (const note of this.notes.values()) {
      tell(note);
    }
  }
}
