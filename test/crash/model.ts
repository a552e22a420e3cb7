/**
 * @file What a killed server must still have: the model that the load keeps beside its writes.
 */
import type { SeriesBits } from '../support/recording.js';

/** One sample of one request. */
export interface WrittenSample {
  readonly series: string;
  readonly timestamp: number;
  readonly bits: bigint;
}

interface Cell {
  /** The newest acknowledged value. */
  acknowledged: bigint | undefined;
  /** Values of later writes without an answer: each may be there or not. */
  readonly uncertain: Set<bigint>;
  /** Whether a delete without an answer may have taken it. */
  mayBeGone: boolean;
}

/**
 * Acknowledged and uncertain values of every sample. Writes of one timestamp of one series must
 * follow one another: the next starts after the answer, or the lack of one, to the one before.
 */
export class AcknowledgedSamples {
  private readonly series = new Map<string, Map<number, Cell>>();
  private acknowledgedSamples = 0;
  private rewrittenSamples = 0;
  private deletedSamples = 0;

  /** Samples that had to be there, each timestamp once. */
  get acknowledged(): number {
    return this.acknowledgedSamples;
  }

  /** Acknowledged writes that replaced an acknowledged value. */
  get rewritten(): number {
    return this.rewrittenSamples;
  }

  /** Acknowledged samples that an acknowledged delete took. */
  get deleted(): number {
    return this.deletedSamples;
  }

  get seriesCount(): number {
    return this.series.size;
  }

  /** The request is about to be sent: until it is answered, its values may be there. */
  sending(samples: readonly WrittenSample[]): void {
    for (const sample of samples) this.cell(sample).uncertain.add(sample.bits);
  }

  /** The server said 204: nothing older may be read from now on. */
  acknowledge(samples: readonly WrittenSample[]): void {
    for (const sample of samples) {
      const cell = this.cell(sample);
      if (cell.acknowledged === undefined) this.acknowledgedSamples++;
      else this.rewrittenSamples++;
      cell.acknowledged = sample.bits;
      cell.uncertain.clear();
      cell.mayBeGone = false;
    }
  }

  /** A delete of a series' samples from `from` to `to` is about to be sent. */
  deleting(series: string, from: number, to: number): void {
    for (const [timestamp, cell] of this.series.get(series) ?? []) {
      if (timestamp >= from && timestamp <= to) cell.mayBeGone = true;
    }
  }

  /** The server said that these are deleted: none may be read from now on. */
  acknowledgeDelete(series: string, from: number, to: number): void {
    const cells = this.series.get(series);
    for (const [timestamp, cell] of cells ?? []) {
      if (timestamp < from || timestamp > to) continue;
      if (cell.acknowledged !== undefined) this.deletedSamples++;
      cells?.delete(timestamp);
    }
  }

  /** How `stored` breaks the promise, as sentences, at most `limit`; empty when it does not. */
  violations(stored: SeriesBits, limit = 10): string[] {
    const found: string[] = [];
    const report = (series: string, timestamp: number, text: string): void => {
      if (found.length < limit) found.push(`${series} at ${timestamp}: ${text}`);
    };
    for (const [series, cells] of this.series) {
      const samples = stored.get(series);
      for (const [timestamp, cell] of cells) {
        const bits = samples?.get(timestamp);
        if (bits === cell.acknowledged || (bits !== undefined && cell.uncertain.has(bits)))
          continue;
        if (bits === undefined && cell.mayBeGone) continue;
        if (bits === undefined) report(series, timestamp, 'acknowledged, and not there');
        else report(series, timestamp, `altered to ${bits.toString(16)}`);
      }
    }
    for (const [series, samples] of stored) {
      for (const timestamp of samples.keys()) {
        if (this.series.get(series)?.has(timestamp)) continue;
        report(series, timestamp, 'there, and was never written, or is deleted');
      }
    }
    return found;
  }

  private cell({ series, timestamp }: WrittenSample): Cell {
    let cells = this.series.get(series);
    if (cells === undefined) {
      cells = new Map();
      this.series.set(series, cells);
    }
    let cell = cells.get(timestamp);
    if (cell === undefined) {
      cell = { acknowledged: undefined, uncertain: new Set(), mayBeGone: false };
      cells.set(timestamp, cell);
    }
    return cell;
  }
}
