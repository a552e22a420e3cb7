/**
 * @file The delete interface: samples by selectors and a range of time.
 */
import type { LabelMatcher, Scope } from './querier.js';

export interface DeleteRequest {
  /** Only series of this scope are concerned. */
  readonly scope: Scope;
  /** Series that satisfy all matchers of one of these. */
  readonly selectors: readonly (readonly LabelMatcher[])[];
  /** Milliseconds, inclusive. */
  readonly mint: number;
  /** Milliseconds, inclusive. */
  readonly maxt: number;
}

/** What a delete would take now. */
export interface DeleteCount {
  /** Series with a sample that would go. */
  readonly series: number;
  readonly samples: number;
}

export interface Deleter {
  /**
   * Deletes. Once it resolves, the delete is durable, no query that begins later sees the samples,
   * and samples written later are visible. Space on disk comes back when blocks are written anew.
   * Rejects with `overloaded`, `limit_exceeded`, `disk_full`, `closed`, `io`.
   */
  deleteSeries(request: DeleteRequest): Promise<void>;
  /** Counts what {@link Deleter.deleteSeries} would take; reads all of it. */
  countSeries(request: DeleteRequest): Promise<DeleteCount>;
  /** Writes the blocks anew in which something is deleted. */
  cleanTombstones(): Promise<void>;
}
