/**
 * @file Reading series from storage in batches, and the value of an instant selector: the newest
 * sample within the lookback of each step.
 *
 * Floats are evaluated natively; series with native histograms, and all behind the first of them,
 * are read and looked at here. Follows `vectorSelectorSingle` in Prometheus' `promql/engine.go`
 * (3.14): a window is open to the left, and a stale marker as the newest sample means no value.
 */
import { MetricstorError } from '../../errors.js';
import {
  type Histogram,
  type HistogramCells,
  type PackedHistograms,
  unpackCells,
} from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { SampleBatch, Selection } from '../../storage/querier.js';
import type { SelectorPlan } from '../plan.js';
import { printMatcher } from '../print.js';
import { checkRegexes } from '../regexes.js';
import type { Windows } from '../time-grid.js';
import type { EvalContext, SeriesReader, SeriesSamples } from './context.js';
import { labelBytes } from './label-sets.js';
import { evaluateRows, rollupFor } from './native-rows.js';
import { noHistograms, RowBuffer, type RowSink, sendRow } from './rows.js';

/** The most samples decoded at once, but for a series that has more by itself. */
const maxBatchSamples = 1 << 20;
/** The first batch: a dashboard panel fits, an idle engine stays small. */
const firstBatchSamples = 1 << 16;
/** Series of one batch. */
const maxBatchSeries = 1 << 14;

/** Stale markers by bits: a NaN that no arithmetic makes. */
const staleHigh = 0x7ff00000;
const staleLow = 2;

/** Empty buffers, to be grown by the first query. */
export function newBatch(): SampleBatch {
  return {
    timestamps: new Float64Array(0),
    values: new Float64Array(0),
    offsets: new Uint32Array(maxBatchSeries + 1),
  };
}

/** Whether element `index` is a stale marker; `bits` views the same memory as `values`. */
export function isStale(values: Float64Array, bits: Uint32Array, index: number): boolean {
  const value = values[index];
  return Number.isNaN(value) && bits[2 * index] === staleLow && bits[2 * index + 1] === staleHigh;
}

/** Calls `use` with the series of a selector; with those of a longer time, where one is given. */
export function withSelection(
  ctx: EvalContext,
  plan: SelectorPlan,
  use: (selection: Selection) => void,
  range: Pick<SelectorPlan, 'mint' | 'maxt'> = plan,
): void {
  const { budget } = ctx;
  budget.check();
  const selection = select(ctx, plan, range);
  const tableBytes = labelBytes(selection.labels);
  try {
    budget.hold(tableBytes, 0);
    ctx.inNameOf(plan, () => {
      budget.series += selection.labels.count;
    });
    use(selection);
  } finally {
    budget.release(tableBytes, 0);
    selection.close();
  }
}

/** Takes the samples of a series, stale markers included; only valid during the call. */
type TakeSamples = (series: number, samples: SeriesSamples) => void;

/** Reads the series of a selection from `from` on, batch by batch, stale markers included. */
export function readFrom(
  ctx: EvalContext,
  selection: Selection,
  from: number,
  take: TakeSamples,
): void {
  const { budget } = ctx;
  const { count } = selection.labels;
  const { batch } = ctx.buffers;
  ensureBatch(ctx, batch, firstBatchSamples);
  for (let first = from; first < count; ) {
    const read = readBatch(ctx, selection, first, batch);
    const decoded = batch.offsets[read];
    const packed = selection.histograms();
    const starts = ctx.startTimestamps ? startsOf(selection, decoded) : undefined;
    const bytes = (packed?.packed.byteLength ?? 0) + (starts?.byteLength ?? 0);
    ctx.budget.hold(bytes, 0);
    sendBatch(batch, { packed, starts }, { first, read }, take);
    ctx.budget.release(bytes, 0);
    budget.decoded(decoded);
    budget.check();
    first += read;
    if (first < count) {
      const more = (decoded / read) * (count - first);
      ensureBatch(ctx, batch, Math.min(maxBatchSamples, more));
    }
  }
}

/** The labels of the series that a selector finds; nothing is decoded. */
export function selectLabels(ctx: EvalContext, plan: SelectorPlan): LabelTable {
  const selection = select(ctx, plan, plan);
  try {
    return selection.labels;
  } finally {
    selection.close();
  }
}

/** Selects; a malformed regular expression is a parse error at its matcher. */
function select(
  ctx: EvalContext,
  { matchers }: SelectorPlan,
  { mint, maxt }: Pick<SelectorPlan, 'mint' | 'maxt'>,
): Selection {
  try {
    return ctx.session.select({ matchers, mint, maxt });
  } catch (error) {
    if (error instanceof MetricstorError && error.code === 'bad_data') {
      checkRegexes(matchers, ctx.query, ctx.session);
    }
    if (error instanceof MetricstorError && error.code === 'limit_exceeded') {
      throw ctx.budget.tooManySeries(matchers.map(printMatcher).join(','));
    }
    throw error;
  }
}

function readBatch(
  ctx: EvalContext,
  selection: Selection,
  first: number,
  batch: SampleBatch,
): number {
  const read = selection.read(first, batch);
  if (read > 0) {
    return read;
  }
  ensureBatch(ctx, batch, selection.required);
  return selection.read(first, batch);
}

/** The start timestamps of all samples of the last read, if one says one. */
function startsOf(selection: Selection, samples: number): Float64Array | undefined {
  const said = selection.startTimestamps();
  if (said === undefined || said.length >= samples) {
    return said;
  }
  const starts = new Float64Array(samples);
  starts.set(said);
  return starts;
}

/** What a batch has beside times and values. */
interface BesideSamples {
  readonly packed: PackedHistograms | undefined;
  readonly starts: Float64Array | undefined;
}

function sendBatch(
  batch: SampleBatch,
  { packed, starts }: BesideSamples,
  { first, read }: { readonly first: number; readonly read: number },
  take: TakeSamples,
): void {
  const { timestamps, values, offsets } = batch;
  const samples: SeriesSamples = { timestamps, values, from: 0, to: 0 };
  const cells = packed && unpackCells(packed, offsets[read]);
  // The place in `packed.rows` of the first histogram of the series, or behind it.
  let next = 0;
  for (let i = 0; i < read; i++) {
    samples.from = offsets[i];
    samples.to = offsets[i + 1];
    if (packed !== undefined) {
      const before = next;
      while (next < packed.rows.length && packed.rows[next] < samples.to) {
        next++;
      }
      samples.histograms = next > before ? cells : undefined;
    }
    const says = starts?.subarray(samples.from, samples.to).some((start) => start !== 0);
    samples.starts = says === true ? starts : undefined;
    if (samples.to > samples.from) {
      take(first + i, samples);
    }
  }
}

function ensureBatch(ctx: EvalContext, batch: SampleBatch, samples: number): void {
  const held = batch.values.length;
  if (samples <= held) {
    return;
  }
  let length = Math.max(held, firstBatchSamples);
  while (length < samples) {
    length *= 2;
  }
  // Two columns of eight bytes.
  ctx.budget.hold((length - held) * 16, 0);
  if (samples > maxBatchSamples) {
    ctx.budget.hold(0, samples);
    ctx.budget.release(0, samples);
  }
  if (length > 2 ** 30) {
    throw ctx.budget.tooManySamples();
  }
  batch.timestamps = new Float64Array(length);
  batch.values = new Float64Array(length);
}

/** Reads the series of a range selector without their stale markers. */
export function readSeries(ctx: EvalContext, plan: SelectorPlan, reader: SeriesReader): void {
  withSelection(ctx, plan, (selection) => {
    reader.begin(selection.labels, null);
    readSeriesFrom(ctx, selection, 0, reader);
    reader.end();
  });
}

/** The samples of the series from `from` on, without stale markers. */
export function readSeriesFrom(
  ctx: EvalContext,
  selection: Selection,
  from: number,
  reader: Pick<SeriesReader, 'histograms' | 'samples'>,
): void {
  let bits = new Uint32Array(0);
  readFrom(ctx, selection, from, (series, samples) => {
    if (bits.buffer !== samples.values.buffer) {
      bits = new Uint32Array(samples.values.buffer as ArrayBuffer);
    }
    dropStale(samples, bits);
    if (samples.histograms !== undefined && reader.histograms === undefined) {
      refuseHistograms(samples);
    }
    if (samples.to > samples.from) {
      reader.samples(series, samples);
    }
  });
}

/** Throws where there is a histogram. */
export function refuseHistograms({ histograms, from, to }: SeriesSamples): void {
  for (let i = from; i < to; i++) {
    if (histograms?.[i] !== undefined) {
      throw noHistograms();
    }
  }
}

/**
 * Removes stale markers in place, by moving what lies between them: `copyWithin` keeps the bits of
 * other NaNs.
 */
function dropStale(samples: SeriesSamples, bits: Uint32Array): void {
  const { timestamps, values, from, to } = samples;
  const cells = samples.histograms?.slice(0, to);
  let kept = from;
  let start = from;
  for (let i = from; i <= to; i++) {
    if (i < to && !isStale(values, bits, i)) {
      continue;
    }
    if (start !== kept && i > start) {
      values.copyWithin(kept, start, i);
      timestamps.copyWithin(kept, start, i);
      samples.starts?.copyWithin(kept, start, i);
      cells?.copyWithin(kept, start, i);
    }
    kept += i - start;
    start = i + 1;
  }
  samples.to = kept;
  samples.histograms = cells;
}

/** What a lookback gives: the sample's value, or its time in seconds. */
export type LookbackResult = 'value' | 'timestamp';

/** The rows of an instant selector. */
export function selectorRows(
  ctx: EvalContext,
  plan: SelectorPlan,
  sink: RowSink,
  result: LookbackResult,
): void {
  const { windows } = plan;
  const { steps } = windows;
  const rollup = rollupFor(ctx, { function: result, windows, parameters: [] });
  withSelection(ctx, plan, (selection) => {
    sink.begin(selection.labels, null);
    const first = evaluateRows(ctx, { plan, selection, rollup }, (series, row) =>
      sink.row(series, row),
    );
    if (first < selection.labels.count) {
      const out = new RowBuffer(steps);
      readFrom(ctx, selection, first, (series, samples) => {
        const columns = floatColumns(samples);
        const count = ctx.budget.native(() => rollup.evaluate(...columns, out.values, out.flags));
        if (count > 0) {
          out.filled(count);
          const holds = result === 'value' && samples.histograms !== undefined;
          out.histograms = holds ? lookbackCells(samples, windows, out) : undefined;
          sendRow(sink, series, out, steps);
          ctx.budget.spend(steps);
        }
      });
    }
    sink.end();
  });
}

/** The times and values of a series. */
export function floatColumns(samples: SeriesSamples): [Float64Array, Float64Array] {
  const { timestamps, values, from, to } = samples;
  return [timestamps.subarray(from, to), values.subarray(from, to)];
}

/** The histograms among the values of a lookback; undefined when there is none. */
function lookbackCells(
  { timestamps, histograms, from, to }: SeriesSamples,
  { firstEndMs, strideMs, steps }: Windows,
  { flags }: RowBuffer,
): HistogramCells {
  const cells = new Array<Histogram | undefined>(steps);
  let next = from;
  let any = false;
  let copied = -1;
  for (let k = 0; k < steps; k++) {
    while (next < to && timestamps[next] <= firstEndMs + k * strideMs) {
      next++;
    }
    const histogram = flags[k] === 0 ? undefined : histograms?.[next - 1];
    if (histogram !== undefined) {
      // A copy: the batch that it is a part of goes. Steps that see one sample share it.
      cells[k] = copied === next ? cells[k - 1] : histogram.slice();
      copied = next;
      any = true;
    }
  }
  return any ? cells : undefined;
}
