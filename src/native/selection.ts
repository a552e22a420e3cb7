/**
 * @file The typed façade over selections of the add-on, and over what is evaluated where the
 * samples are: windows (`Rollup`) and their sums by group (`Aggregation`).
 */
import { isErrorCode, MetricstorError } from '../errors.js';
import type { PackedHistograms } from '../model/histogram.js';
import type { LabelTable } from '../model/labels.js';
import type {
  Aggregation,
  AggregationPart,
  Evaluated,
  EvaluatedRows,
  NativeAggregateOp,
  Rollup,
  RollupRequest,
  SampleBatch,
  Selection,
} from '../storage/querier.js';
import { loadAddon } from './load.js';

export interface AddonSelection {
  labelIds(): Uint32Array;
  labelOffsets(): Uint32Array;
  read(first: number, timestamps: Float64Array, values: Float64Array, offsets: Uint32Array): number;
  readonly required: number;
  /** Of the last read. */
  readonly histogramCount: number;
  readonly histogramDoubles: number;
  readHistograms(rows: Uint32Array, offsets: Uint32Array, packed: Float64Array): void;
  startTimestamps(): Float64Array | null;
  close(): void;
}

interface AddonRollup {
  columns(
    timestamps: Float64Array,
    values: Float64Array,
    cells: Float64Array,
    present: Uint8Array,
  ): number;
  select(
    selection: AddonSelection,
    first: number,
    samples: number,
    cells: Float64Array,
    present: Uint8Array,
    counts: Uint32Array,
  ): number;
  /** Of the last call on a selection. */
  readonly samples: number;
  readonly longest: number;
  readonly histogram: boolean;
}

interface AddonAggregation {
  add(op: NativeAggregateOp, rollup: AddonRollup, groups: Uint32Array, count: number): void;
  select(selection: AddonSelection, first: number, samples: number, counts: Uint32Array): number;
  finish(part: number, values: Float64Array, present: Uint8Array): void;
  /** Of the last call on a selection. */
  readonly samples: number;
  readonly longest: number;
  readonly histogram: boolean;
}

interface Addon {
  Rollup: new (
    name: string,
    windows: RollupRequest['windows'],
    parameters: Float64Array,
    cancelToken: number,
    timeoutMs: number,
  ) => AddonRollup;
  Aggregation: new () => AddonAggregation;
}

const addon = loadAddon() as Addon;

/** Runs a synchronous call of the add-on and gives its errors their class. */
export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && 'code' in error && isErrorCode(error.code)) {
      throw new MetricstorError(error.code, error.message, { cause: error });
    }
    throw error;
  }
}

/** How far the last call on a selection came. */
function evaluated(series: number, last: Omit<Evaluated, 'series'>): Evaluated {
  const { samples, longest, histogram } = last;
  return { series, samples, longest, histogram };
}

class NativeRollup implements Rollup {
  constructor(readonly inner: AddonRollup) {}

  evaluate(
    timestamps: Float64Array,
    values: Float64Array,
    cells: Float64Array,
    present: Uint8Array,
  ): number {
    return guarded(() => this.inner.columns(timestamps, values, cells, present));
  }
}

/** A rollup; `cancelToken` 0 cannot be canceled. */
export function newRollup(
  { function: name, windows, parameters, timeoutMs }: RollupRequest,
  cancelToken = 0,
): Rollup {
  const { firstEndMs, strideMs, rangeMs, steps } = windows;
  const all = new Float64Array(parameters.length * steps);
  parameters.forEach((values, i) => {
    all.set(values, i * steps);
  });
  const columns = { firstEndMs, strideMs, rangeMs, steps };
  return guarded(
    () => new NativeRollup(new addon.Rollup(name, columns, all, cancelToken, timeoutMs)),
  );
}

/** What is aggregated natively. */
class NativeAggregation implements Aggregation {
  readonly #inner: AddonAggregation;

  constructor(inner: AddonAggregation) {
    this.#inner = inner;
  }

  evaluate(
    selection: Selection,
    { first, samples }: { readonly first: number; readonly samples: number },
    counts: Uint32Array,
  ): Evaluated {
    const found = (selection as NativeSelection).inner;
    const series = guarded(() => this.#inner.select(found, first, samples, counts));
    return evaluated(series, this.#inner);
  }

  finish(part: number, values: Float64Array, present: Uint8Array): void {
    guarded(() => this.#inner.finish(part, values, present));
  }
}

/** The series that a selector found. */
export class NativeSelection implements Selection {
  readonly labels: LabelTable;
  readonly inner: AddonSelection;

  constructor(inner: AddonSelection) {
    this.inner = inner;
    const offsets = inner.labelOffsets();
    this.labels = { count: offsets.length - 1, ids: inner.labelIds(), offsets };
  }

  evaluate(
    rollup: Rollup,
    { first, samples }: { readonly first: number; readonly samples: number },
    { values, present, counts }: EvaluatedRows,
  ): Evaluated {
    const { inner } = rollup as NativeRollup;
    return guarded(() =>
      evaluated(inner.select(this.inner, first, samples, values, present, counts), inner),
    );
  }

  read(first: number, batch: SampleBatch): number {
    return guarded(() => this.inner.read(first, batch.timestamps, batch.values, batch.offsets));
  }

  histograms(): PackedHistograms | undefined {
    const count = this.inner.histogramCount;
    if (count === 0) {
      return undefined;
    }
    const rows = new Uint32Array(count);
    const offsets = new Uint32Array(count + 1);
    const packed = new Float64Array(this.inner.histogramDoubles);
    guarded(() => this.inner.readHistograms(rows, offsets, packed));
    return { rows, offsets, packed };
  }

  startTimestamps(): Float64Array | undefined {
    return this.inner.startTimestamps() ?? undefined;
  }

  get required(): number {
    return this.inner.required;
  }

  close(): void {
    this.inner.close();
  }
}

/** Sums of the series of groups. */
export function newAggregation(parts: readonly AggregationPart[]): Aggregation {
  return guarded(() => {
    const inner = new addon.Aggregation();
    for (const { op, rollup, groups, count } of parts) {
      inner.add(op, (rollup as NativeRollup).inner, groups, count);
    }
    return new NativeAggregation(inner);
  });
}
