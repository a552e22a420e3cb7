/**
 * @file The typed façade over the add-on: implements `storage/`. With `selection.ts` and `tools.ts`
 * its only importer.
 *
 * An engine is opened once, on the main thread; workers attach to it by its handle.
 */
import { type PackedHistograms, packCells } from '../model/histogram.js';
import type { LabelTable } from '../model/labels.js';
import type { QueryResult } from '../model/result.js';
import type { Appender, Rejection, WriteOutcome, WriteRequest } from '../storage/appender.js';
import type { DeleteCount, DeleteRequest, Deleter } from '../storage/deleter.js';
import type { Maintenance } from '../storage/maintenance.js';
import type {
  Aggregation,
  AggregationPart,
  ExemplarRequest,
  LabelAnswer,
  LabelMatcher,
  LabelRequest,
  MetadataRequest,
  Querier,
  QuerySession,
  Rollup,
  RollupRequest,
  Scope,
  Selection,
  SelectRequest,
  SessionLimits,
  SessionRegex,
} from '../storage/querier.js';
import type { Exporter, ExportRequest, Snapshots } from '../storage/transfer.js';
import { type Failure, fail, type TextAnswer, textOf } from './answers.js';
import { loadAddon } from './load.js';
import {
  type AddonSelection,
  guarded,
  NativeSelection,
  newAggregation,
  newRollup,
} from './selection.js';
import type { CopyReport } from './tools.js';

/** Series that are kept for a time of their own. */
export interface RetentionRule {
  readonly matchers: readonly LabelMatcher[];
  readonly keepMs: number;
}

/** How an engine is opened; units and reasons are in `native/engine/src/options.rs`. */
export interface NativeEngineOptions {
  readonly dir: string;
  /** Writes are refused, and what else would change the directory stays in memory. */
  readonly readOnly?: boolean;
  readonly sync: 'always' | 'off' | { readonly intervalMs: number };
  readonly retentionMs: number;
  /** Bytes of blocks and log past which the oldest blocks go; 0 means no limit. */
  readonly retentionBytes: number;
  /** Series with a retention of their own; the first rule that matches counts. */
  readonly retentionRules: readonly RetentionRule[];
  readonly maxRequestBytes: number;
  readonly maxFutureMs: number;
  readonly rejectNonFinite: boolean;
  /** Type and unit of remote_write 2.0 become labels. */
  readonly typeAndUnitLabels: boolean;
  readonly maxLabelsPerSeries: number;
  readonly maxLabelNameBytes: number;
  readonly maxLabelValueBytes: number;
  readonly maxSeries: number;
  readonly maxExemplars: number;
  readonly maxMetadata: number;
  readonly blockRangeMs: number;
  readonly flushSlackMs: number;
  readonly flushMinSamples: number;
  readonly flushMinAgeMs: number;
  readonly headMaxBytes: number;
  readonly walMaxBytes: number;
  readonly walSegmentBytes: number;
  readonly checkpointIntervalMs: number;
  readonly checkpointLogBytes: number;
  readonly writeQueueBytes: number;
  readonly compactCpuShare: number;
  readonly compactMaxBytes: number;
  readonly queryHelpers: number;
}

/** Numbers of an engine by stable name (`native/engine/src/stats.rs`). */
export type EngineStats = Readonly<Record<string, number>>;

interface DoneAnswer {
  readonly failure?: Failure;
  readonly handle: number;
}

interface WriteAnswer extends WriteOutcome {
  readonly failure?: Failure;
  readonly rejections: Rejection[];
}

interface DeleteAnswer extends DeleteCount {
  readonly failure?: Failure;
}

type Selectors = readonly (readonly LabelMatcher[])[];

interface AddonSession {
  intern(text: string): number;
  text(id: number): string;
  canceled(): boolean;
  select(matchers: readonly LabelMatcher[], mint: number, maxt: number): AddonSelection;
  labelNames(selectors: Selectors, mint: number, maxt: number, limit: number): LabelAnswer;
  labelValues(
    name: string,
    selectors: Selectors,
    mint: number,
    maxt: number,
    limit: number,
  ): LabelAnswer;
  series(
    selectors: Selectors,
    mint: number,
    maxt: number,
    limit: number,
  ): { ids: Uint32Array; offsets: Uint32Array; truncated: boolean };
  sortOrder(ids: Uint32Array, offsets: Uint32Array): Uint32Array;
  encodeVector(
    ids: Uint32Array,
    offsets: Uint32Array,
    timestamps: Float64Array,
    values: Float64Array,
  ): number;
  encodeMatrix(
    ids: Uint32Array,
    labelOffsets: Uint32Array,
    offsets: Uint32Array,
    timestamps: Float64Array,
    values: Float64Array,
  ): number;
  setHistograms(rows: Uint32Array, offsets: Uint32Array, packed: Float64Array): void;
  encodeScalar(timestamp: number, value: Float64Array): number;
  encodeString(timestamp: number, value: string): number;
  encodeLabels(ids: Uint32Array, offsets: Uint32Array): number;
  encodeExemplars(selectors: Selectors, mint: number, maxt: number): number;
  encodeMetadata(family: string, limit: number): number;
  encodeCardinality(limit: number): number;
  takeEncoded(target: Uint8Array): void;
  close(): void;
}

interface Addon {
  openEngine(options: object): Promise<DoneAnswer>;
  write(
    handle: number,
    body: Uint8Array,
    format: string,
    encoding: string,
    tenant: number,
    firstLine: number,
  ): Promise<WriteAnswer>;
  deleteSeries(
    handle: number,
    request: {
      readonly tenant: number;
      readonly scope: readonly LabelMatcher[];
      readonly selectors: Selectors;
      readonly mint: number;
      readonly maxt: number;
      readonly dryRun: boolean;
    },
  ): Promise<DeleteAnswer>;
  cleanTombstones(handle: number): Promise<DoneAnswer>;
  importPrometheus(handle: number, dir: string): Promise<TextAnswer>;
  backupEngine(handle: number, target: string, replace: boolean): Promise<TextAnswer>;
  exportPrometheus(
    handle: number,
    dir: string,
    selectors: Selectors,
    mint: number,
    maxt: number,
  ): Promise<TextAnswer>;
  snapshotEngine(handle: number, blocksOnly: boolean): Promise<TextAnswer>;
  JsonExport: new (
    handle: number,
    selectors: Selectors,
    mint: number,
    maxt: number,
    token: number,
  ) => {
    next(): Promise<{ failure?: Failure; text: Uint8Array }>;
    close(): void;
  };
  flushEngine(handle: number): Promise<DoneAnswer>;
  compactEngine(handle: number): Promise<DoneAnswer>;
  closeEngine(handle: number): Promise<DoneAnswer>;
  engineStats(handle: number): { name: string; value: number }[];
  changedSince(
    handle: number,
    version: number,
  ): { version: number; writtenFrom: number; expiredTo: number };
  engineFailure(handle: number): string | null;
  newlyQuarantined(handle: number): string[];
  tornEnd(handle: number): string | null;
  openCancelToken(): number;
  cancel(token: number): void;
  closeCancelToken(token: number): void;
  Session: new (
    handle: number,
    tenant: number,
    scope: readonly LabelMatcher[],
    token: number,
    maxSeries: number,
  ) => AddonSession;
  LabelRegex: new (
    pattern: string,
  ) => {
    replace(text: string, template: string): string | null;
  };
}

const addon = loadAddon() as Addon;

/** The largest number that crosses the boundary as a limit. */
const noLimit = 2 ** 32 - 1;

async function done(promise: Promise<DoneAnswer>): Promise<number> {
  const answer = await promise;
  if (answer.failure) fail(answer.failure);
  return answer.handle;
}

class NativeSession implements QuerySession {
  readonly #inner: AddonSession;
  readonly #cancelToken: number;

  constructor(inner: AddonSession, cancelToken: number) {
    this.#inner = inner;
    this.#cancelToken = cancelToken;
  }

  intern(text: string): number {
    return text === '' ? 0 : this.#inner.intern(text);
  }

  text(id: number): string {
    return id === 0 ? '' : this.#inner.text(id);
  }

  canceled(): boolean {
    return this.#inner.canceled();
  }

  select({ matchers, mint, maxt }: SelectRequest): Selection {
    return new NativeSelection(guarded(() => this.#inner.select(matchers, mint, maxt)));
  }

  rollup(request: RollupRequest): Rollup {
    return newRollup(request, this.#cancelToken);
  }

  aggregation(parts: readonly AggregationPart[]): Aggregation {
    return newAggregation(parts);
  }

  regex(pattern: string): SessionRegex {
    const regex = guarded(() => new addon.LabelRegex(pattern));
    return {
      replace: (text, template) => guarded(() => regex.replace(text, template)) ?? undefined,
    };
  }

  labelNames({ selectors, mint, maxt, limit }: LabelRequest): LabelAnswer {
    return guarded(() => this.#inner.labelNames(selectors, mint, maxt, limit));
  }

  labelValues(name: string, { selectors, mint, maxt, limit }: LabelRequest): LabelAnswer {
    return guarded(() => this.#inner.labelValues(name, selectors, mint, maxt, limit));
  }

  series({ selectors, mint, maxt, limit }: LabelRequest): {
    readonly labels: LabelTable;
    readonly truncated: boolean;
  } {
    const { ids, offsets, truncated } = guarded(() =>
      this.#inner.series(selectors, mint, maxt, limit),
    );
    return { labels: { count: offsets.length - 1, ids, offsets }, truncated };
  }

  sortOrder(labels: LabelTable): Uint32Array {
    return guarded(() => this.#inner.sortOrder(labels.ids, labels.offsets));
  }

  encodeResult(result: QueryResult): Uint8Array {
    return this.#encoded(() => {
      switch (result.type) {
        case 'scalar':
          return this.#inner.encodeScalar(result.timestampMs, result.values);
        case 'string':
          return this.#inner.encodeString(result.timestampMs, result.value);
        case 'vector': {
          const { labels, timestamps, values } = result;
          this.#setHistograms(packCells(result.histograms, values.length));
          return this.#inner.encodeVector(labels.ids, labels.offsets, timestamps, values);
        }
        case 'matrix': {
          const { labels, offsets, timestamps, values } = result;
          this.#setHistograms(packCells(result.histograms, values.length));
          return this.#inner.encodeMatrix(labels.ids, labels.offsets, offsets, timestamps, values);
        }
      }
    });
  }

  /** Those of the result that is encoded next. */
  #setHistograms(histograms: PackedHistograms | undefined): void {
    if (histograms !== undefined) {
      const { rows, offsets, packed } = histograms;
      this.#inner.setHistograms(rows, offsets, packed);
    }
  }

  encodeLabels(labels: LabelTable): Uint8Array {
    return this.#encoded(() => this.#inner.encodeLabels(labels.ids, labels.offsets));
  }

  encodeExemplars({ selectors, mint, maxt }: ExemplarRequest): Uint8Array {
    return this.#encoded(() => this.#inner.encodeExemplars(selectors, mint, maxt));
  }

  encodeMetadata({ metric, limit }: MetadataRequest): Uint8Array {
    const most = Math.min(limit ?? noLimit, noLimit);
    return this.#encoded(() => this.#inner.encodeMetadata(metric, most));
  }

  encodeCardinality(limit: number): Uint8Array {
    return this.#encoded(() => this.#inner.encodeCardinality(limit));
  }

  /** Text is copied into memory of JavaScript, which moves between threads without a copy. */
  #encoded(encode: () => number): Uint8Array {
    return guarded(() => {
      const text = new Uint8Array(encode());
      this.#inner.takeEncoded(text);
      return text;
    });
  }

  close(): void {
    this.#inner.close();
  }
}

/** What an import did: `native/engine/src/transfer.rs`. */
export interface ImportReport {
  readonly blocks: number;
  readonly read: number;
  readonly stored: number;
  readonly tooOld: number;
  readonly refused: number;
  readonly refusals: readonly string[];
  readonly replaced: number;
  readonly histograms: number;
  readonly deleted: number;
  readonly unnamed: number;
  readonly exemplars: number;
  readonly metadata: number;
}

/** What an export into Prometheus' blocks wrote. */
export interface ExportReport {
  readonly blocks: number;
  readonly series: number;
  readonly samples: number;
  readonly histograms: number;
  /** Start timestamps that have no place in these blocks. */
  readonly startTimestamps: number;
}

/** An open engine, or a worker's attachment to one. */
export class NativeEngine implements Querier, Appender, Deleter, Maintenance, Exporter, Snapshots {
  /** Names the engine in this process; a worker attaches with it. */
  readonly handle: number;

  private constructor(handle: number) {
    this.handle = handle;
  }

  /** Opens a data directory: verifies blocks, replays the log. */
  static async open(options: NativeEngineOptions): Promise<NativeEngine> {
    const { sync, ...rest } = options;
    const syncIntervalMs = sync === 'always' ? -1 : sync === 'off' ? 0 : sync.intervalMs;
    return new NativeEngine(await done(addon.openEngine({ ...rest, syncIntervalMs })));
  }

  /** Attaches to an engine that another thread of this process opened. */
  static attach(handle: number): NativeEngine {
    return new NativeEngine(handle);
  }

  openSession(scope: Scope, { cancelToken = 0, maxSeries = 0 }: SessionLimits): QuerySession {
    const { tenant, matchers } = scope;
    const inner = guarded(
      () => new addon.Session(this.handle, tenant, matchers, cancelToken, maxSeries),
    );
    return new NativeSession(inner, cancelToken);
  }

  async write(body: Uint8Array, request: WriteRequest): Promise<WriteOutcome> {
    const { format, encoding, scope, firstLine = 1 } = request;
    const { tenant } = scope;
    const answer = await addon.write(this.handle, body, format, encoding, tenant, firstLine);
    if (answer.failure) fail(answer.failure);
    return answer;
  }

  openCancelToken(): number {
    return addon.openCancelToken();
  }

  cancel(token: number): void {
    addon.cancel(token);
  }

  closeCancelToken(token: number): void {
    addon.closeCancelToken(token);
  }

  stats(): EngineStats {
    const stats = guarded(() => addon.engineStats(this.handle));
    return Object.fromEntries(stats.map(({ name, value }) => [name, value]));
  }

  /** What may have changed since a version; asked before a session is opened. */
  changedSince(version: number): { version: number; writtenFrom: number; expiredTo: number } {
    return guarded(() => addon.changedSince(this.handle, version));
  }

  lastFailure(): string | undefined {
    return guarded(() => addon.engineFailure(this.handle)) ?? undefined;
  }

  tornEnd(): string | undefined {
    return guarded(() => addon.tornEnd(this.handle)) ?? undefined;
  }

  newlyQuarantined(): readonly string[] {
    return guarded(() => addon.newlyQuarantined(this.handle));
  }

  async deleteSeries(request: DeleteRequest): Promise<void> {
    await this.#delete(request, false);
  }

  async countSeries(request: DeleteRequest): Promise<DeleteCount> {
    const { series, samples } = await this.#delete(request, true);
    return { series, samples };
  }

  async #delete(request: DeleteRequest, dryRun: boolean): Promise<DeleteAnswer> {
    const { scope, selectors, mint, maxt } = request;
    const { tenant, matchers } = scope;
    const asked = { tenant, scope: matchers, selectors, mint, maxt, dryRun };
    const answer = await addon.deleteSeries(this.handle, asked);
    if (answer.failure) fail(answer.failure);
    return answer;
  }

  async cleanTombstones(): Promise<void> {
    await done(addon.cleanTombstones(this.handle));
  }

  async flush(): Promise<void> {
    await done(addon.flushEngine(this.handle));
  }

  async compact(): Promise<void> {
    await done(addon.compactEngine(this.handle));
  }

  async *exportJson(request: ExportRequest): AsyncGenerator<Uint8Array, undefined> {
    const { selectors, mint, maxt } = request;
    const token = addon.openCancelToken();
    const pieces = guarded(() => new addon.JsonExport(this.handle, selectors, mint, maxt, token));
    try {
      while (true) {
        const { failure, text } = await pieces.next();
        if (failure) fail(failure);
        if (text.length === 0) return;
        yield text;
      }
    } finally {
      addon.cancel(token);
      addon.closeCancelToken(token);
      pieces.close();
    }
  }

  async snapshot({ blocksOnly }: { readonly blocksOnly: boolean }): Promise<string> {
    return JSON.parse(await textOf(addon.snapshotEngine(this.handle, blocksOnly)));
  }

  /** As `backupDirectory`, of an engine that was opened to be read only. */
  async backup(target: string, { replace }: { readonly replace: boolean }): Promise<CopyReport> {
    return JSON.parse(await textOf(addon.backupEngine(this.handle, target, replace)));
  }

  /** Imports a data directory of Prometheus. */
  async importPrometheus(dir: string): Promise<ImportReport> {
    return JSON.parse(await textOf(addon.importPrometheus(this.handle, dir)));
  }

  /** Exports into blocks of Prometheus, in a directory that is empty or not there. */
  async exportPrometheus(dir: string, request: ExportRequest): Promise<ExportReport> {
    const { selectors, mint, maxt } = request;
    const answer = addon.exportPrometheus(this.handle, dir, selectors, mint, maxt);
    return JSON.parse(await textOf(answer));
  }

  /** Finishes what was accepted and lets the directory go. */
  async close(): Promise<void> {
    await done(addon.closeEngine(this.handle));
  }
}
