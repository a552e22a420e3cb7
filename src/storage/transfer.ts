/**
 * @file Moving data in and out: what routes and commands know instead of the engine.
 */
import type { LabelMatcher } from './querier.js';

export interface ExportRequest {
  /** Series that satisfy one of these; all series when there is none. */
  readonly selectors: readonly (readonly LabelMatcher[])[];
  /** Milliseconds, inclusive. */
  readonly mint: number;
  /** Milliseconds, inclusive. */
  readonly maxt: number;
}

export interface Exporter {
  /**
   * Series as JSON lines, in pieces of whole lines, each made when it is asked for. Whoever stops
   * early calls the iterator's `return`, as `for await` does.
   */
  exportJson(request: ExportRequest): AsyncIterableIterator<Uint8Array>;
}

export interface Snapshots {
  /** Makes a snapshot and resolves with its name; `blocksOnly` leaves out what is in no block. */
  snapshot(options: { readonly blocksOnly: boolean }): Promise<string>;
}
