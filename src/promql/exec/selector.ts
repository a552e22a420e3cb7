/**
 * @file Reading series from storage in batches, and the value of an instant selector: the newest
 * sample within the lookback of each step.
 *
 * Follows `vectorSelectorSingle` in Prometheus' `promql/engine.go` (3.14): a window is open to the
 * left, and a stale marker as the newest sample means no value.
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
function isStale(values: Float64Array, bits: Uint32Array, index: number): boolean {
  const value = values[index];
  return Number.isNaN(value) && bits[2 * index] === staleLow && bits[2 * index + 1] === staleHigh;
}

/** Reads all series of a selector, batch by batch, stale markers included. */
function readSelection(ctx: EvalContext, plan: SelectorPlan, reader: SeriesReader): void {
  const { budget } = ctx;
  budget.check();
  const selection = select(ctx, plan);
  const tableBytes = labelBytes(selection.labels);
  try {
    budget.hold(tableBytes, 0);
    const { count } = selection.labels;
    budget.series += count;
    reader.begin(selection.labels, null);
    const { batch } = ctx.buffers;
    ensureBatch(ctx, batch, firstBatchSamples);
    for (let first = 0; first < count; ) {
      const read = readBatch(ctx, selection, first, batch);
      const decoded = batch.offsets[read];
      const packed = selection.histograms();
      const bytes = packed?.packed.byteLength ?? 0;
      ctx.budget.hold(bytes, 0);
      sendBatch(batch, packed, { first, read }, reader);
      ctx.budget.release(bytes, 0);
      budget.decoded(decoded);
      budget.check();
      first += read;
      if (first < count) {
        const more = (decoded / read) * (count - first);
        ensureBatch(ctx, batch, Math.min(maxBatchSamples, more));
      }
    }
    reader.end();
  } finally {
    budget.release(tableBytes, 0);
    selection.close();
  }
}

/** The labels of the series that a selector finds; nothing is decoded. */
export function selectLabels(ctx: EvalContext, plan: SelectorPlan): LabelTable {
  const selection = select(ctx, plan);
  try {
    return selection.labels;
  } finally {
    selection.close();
  }
}

/** Selects; a malformed regular expression is a parse error at its matcher. */
function select(ctx: EvalContext, plan: SelectorPlan): Selection {
  const { matchers, mint, maxt } = plan;
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

function sendBatch(
  batch: SampleBatch,
  packed: PackedHistograms | undefined,
  { first, read }: { readonly first: number; readonly read: number },
  reader: SeriesReader,
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
    if (samples.to > samples.from) {
      reader.samples(first + i, samples);
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
  let bits = new Uint32Array(0);
  readSelection(ctx, plan, {
    histograms: 'take',
    begin: (labels, dropName) => reader.begin(labels, dropName),
    samples: (series, samples) => {
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
    },
    end: () => reader.end(),
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
  const out = new RowBuffer(windows.steps);
  let bits = new Uint32Array(0);
  readSelection(ctx, plan, {
    histograms: 'take',
    begin: (labels, dropName) => sink.begin(labels, dropName),
    samples: (series, samples) => {
      if (bits.buffer !== samples.values.buffer) {
        bits = new Uint32Array(samples.values.buffer as ArrayBuffer);
      }
      const from = result === 'value' ? samples.values : samples.timestamps;
      const count = lookback(samples, bits, windows, from, out);
      if (count > 0) {
        if (result === 'timestamp') {
          toSeconds(out.values);
        }
        out.filled(count);
        out.histograms =
          result === 'value' && samples.histograms !== undefined
            ? lookbackCells(samples, windows, out)
            : undefined;
        sendRow(sink, series, out, windows.steps);
        ctx.budget.spend(windows.steps);
      }
    },
    end: () => sink.end(),
  });
}

/** Two pointers over samples and steps; returns the number of steps with a value. */
function lookback(
  samples: SeriesSamples,
  bits: Uint32Array,
  windows: Windows,
  column: Float64Array,
  out: RowBuffer,
): number {
  const { timestamps, values, from, to } = samples;
  const { firstEndMs, strideMs, rangeMs, steps } = windows;
  const cells = out.values;
  const { flags } = out;
  // The newest sample at or before the step is `next - 1`.
  let next = from;
  let count = 0;
  for (let k = 0; k < steps; k++) {
    const time = firstEndMs + k * strideMs;
    while (next < to && timestamps[next] <= time) {
      next++;
    }
    const at = next - 1;
    if (at < from || timestamps[at] <= time - rangeMs || isStale(values, bits, at)) {
      flags[k] = 0;
    } else {
      cells[k] = column[at];
      flags[k] = 1;
      count++;
    }
  }
  return count;
}

/** The histograms among the values that `lookback` found; undefined when there is none. */
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

function toSeconds(milliseconds: Float64Array): void {
  for (let k = 0; k < milliseconds.length; k++) {
    milliseconds[k] /= 1000;
  }
}
