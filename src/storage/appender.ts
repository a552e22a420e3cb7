/**
 * @file The write interface: one call per request, the body as it came.
 */
import type { Scope } from './querier.js';

export type WireFormat = 'remote-write-1' | 'remote-write-2' | 'json-lines';
export type BodyEncoding = 'identity' | 'snappy' | 'zstd';

export interface WriteRequest {
  readonly format: WireFormat;
  readonly encoding: BodyEncoding;
  readonly scope: Scope;
  /** For `json-lines`: the number of the first line, which refusals count from; 1 unless given. */
  readonly firstLine?: number;
}

/** Why samples of a request were refused, one entry per reason. */
export interface Rejection {
  /** An engine code: `bad_data`, `too_old`, `too_far_ahead`, `limit_exceeded`. */
  readonly code: string;
  /** Samples (or, for a series without samples, series) refused for this reason. */
  readonly count: number;
  /** A few sentences that name series and sample; capped. */
  readonly examples: readonly string[];
}

/** What became of a request whose promise was fulfilled. */
export interface WriteOutcome {
  /** Samples stored: as durable as `wal.sync` promises. */
  readonly samples: number;
  /** Native histogram samples stored. */
  readonly histograms: number;
  /** Exemplars stored, or stored before. */
  readonly exemplars: number;
  /** Stored samples that replaced another value at the same timestamp. */
  readonly replaced: number;
  readonly rejections: readonly Rejection[];
  /** Exemplars that were not stored, of which the sender need not hear. */
  readonly droppedExemplars: number;
  /** Metadata that was not stored, of which the sender need not hear. */
  readonly droppedMetadata: number;
}

export interface Appender {
  /**
   * Decodes, logs and applies a request. The caller leaves `body` alone until the promise settles.
   * Rejects with `bad_data` (malformed; nothing stored), `too_large`, `overloaded`, `disk_full`,
   * `closed`, `io`.
   */
  write(body: Uint8Array, request: WriteRequest): Promise<WriteOutcome>;
}
