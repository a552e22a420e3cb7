/**
 * @file Pairs of neighbouring samples of which at least one is a native histogram: `irate`,
 * `idelta`, `changes`, `resets`.
 *
 * Follows `instantValue`, `funcChanges` and `funcResets` in Prometheus' `promql/functions.go`
 * (3.14).
 */
import { type Histogram, place, resetHint } from '../../model/histogram.js';
import { sameHistogram } from '../histogram/equal.js';
import { isReset } from '../histogram/reset.js';
import { HistogramTally } from '../histogram/tally.js';
import type { RateNote } from './histogram-rate.js';

/** Whether the second of two samples counts, undefined being a float: another kind always does. */
export function isHistogramMark(
  what: 'changes' | 'resets',
  previous: Histogram | undefined,
  current: Histogram | undefined,
): boolean {
  if (previous === undefined || current === undefined) {
    return true;
  }
  return what === 'changes' ? !sameHistogram(current, previous) : isReset(current, previous);
}

/** What is to be told of a pair: as of a rate, and that its samples are of two kinds. */
export type PairNote = RateNote | 'mixedKinds';

/** Whether two samples are of a counter, and whether that is known to have begun anew between. */
export interface PairKind {
  readonly counter: boolean;
  readonly restarted: boolean;
}

/** The difference of two samples, per second for a counter; undefined for two that do not fit. */
export function histogramDifference(
  { counter, restarted }: PairKind,
  previous: Histogram | undefined,
  current: Histogram | undefined,
  seconds: number,
  note: (note: PairNote) => void,
): Histogram | undefined {
  if (previous === undefined || current === undefined) {
    note('mixedKinds');
    return undefined;
  }
  const gauges = [previous, current].filter((one) => one[place.hint] === resetHint.gauge).length;
  if (counter ? gauges > 0 : gauges < 2) {
    note(counter ? 'notACounter' : 'notAGauge');
  }
  const result = new HistogramTally(current);
  if (!counter || !(restarted || isReset(current, previous))) {
    const added = result.add(previous, -1);
    if (added === undefined) {
      note('mixedSchemas');
      return undefined;
    }
    if (added.reconciled) {
      note('boundsSubtracted');
    }
  }
  if (counter) {
    result.divide(seconds);
  }
  return result.pack(resetHint.gauge);
}
