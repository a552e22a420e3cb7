/**
 * @file Sums and means of native histograms that come one after another.
 *
 * Follows `sum` and `avg` in `aggregation` of Prometheus' `promql/engine.go`, and `funcSumOverTime`
 * and `funcAvgOverTime` in `promql/functions.go` (3.14): compensated sums; the mean is the sum over
 * the count, but incremental from the histogram on with which the sum would be infinite.
 */
import { type Histogram, place, resetHint } from '../../model/histogram.js';
import { type Added, HistogramTally } from './tally.js';

/** At least one histogram. */
export class RunningHistogram {
  private tally: HistogramTally;
  private count = 1;
  /** Whether `tally` is the mean so far, not the sum. */
  private incremental = false;
  private resetSeen = false;
  private noResetSeen = false;

  constructor(
    private readonly op: 'sum' | 'avg',
    first: Histogram,
  ) {
    this.tally = new HistogramTally(first);
    this.see(first);
  }

  /** Whether some of the histograms say that they follow a reset, and others that they do not. */
  get collision(): boolean {
    return this.resetSeen && this.noResetSeen;
  }

  /** Adds one; undefined when exponential and custom buckets meet, which ends it. */
  add(histogram: Histogram): Added | undefined {
    this.see(histogram);
    this.count++;
    if (this.op === 'sum') {
      return this.tally.add(histogram, 1, true);
    }
    return this.incremental ? this.addShare(histogram) : this.addToMean(histogram);
  }

  /** The sum or the mean. */
  finish(): Histogram {
    if (this.op === 'avg' && !this.incremental) {
      this.tally.divide(this.count);
    }
    return this.tally.pack();
  }

  private see(histogram: Histogram): void {
    this.resetSeen ||= histogram[place.hint] === resetHint.reset;
    this.noResetSeen ||= histogram[place.hint] === resetHint.noReset;
  }

  private addToMean(histogram: Histogram): Added | undefined {
    const sum = new HistogramTally(this.tally);
    const added = sum.add(histogram, 1, true);
    if (added === undefined || !sum.overflows) {
      this.tally = sum;
      return added;
    }
    this.incremental = true;
    this.tally.divide(this.count - 1);
    return this.addShare(histogram);
  }

  private addShare(histogram: Histogram): Added | undefined {
    this.tally.scale((this.count - 1) / this.count);
    const share = new HistogramTally(histogram);
    share.divide(this.count);
    return this.tally.add(share.pack(), 1, true);
  }
}
