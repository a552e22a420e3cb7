/**
 * @file A `Querier` over arrays, for tests of everything above the storage. Windows of floats are
 * evaluated natively, as those of the engine are.
 *
 * Regular expressions run as JavaScript's; tests stay within what both syntaxes share.
 */
import { MetricstorError } from '../../src/errors.js';
import {
  type Histogram,
  type HistogramCells,
  type PackedHistograms,
  packCells,
} from '../../src/model/histogram.js';
import type { LabelTable } from '../../src/model/labels.js';
import type { QueryResult } from '../../src/model/result.js';
import { newRollup } from '../../src/native/selection.js';
import type {
  Evaluated,
  EvaluatedRows,
  LabelAnswer,
  LabelMatcher,
  LabelRequest,
  Querier,
  QuerySession,
  Rollup,
  RollupRequest,
  SampleBatch,
  Scope,
  Selection,
  SelectRequest,
  SessionLimits,
  SessionRegex,
} from '../../src/storage/querier.js';

export interface MemorySeries {
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds, ascending. */
  readonly timestamps: Float64Array;
  readonly values: Float64Array;
  /** The samples that are histograms; their values are their sums. */
  readonly histograms?: HistogramCells;
  /** Start timestamps of the samples, 0 for none. */
  readonly starts?: Float64Array;
}

/** The bits of a stale marker, as a number to be copied by typed array only. */
export const staleMarker: Float64Array = new Float64Array(Uint32Array.of(2, 0x7ff00000).buffer);

function compareBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Label sets in Prometheus' order: pair by pair. */
export function compareLabels(
  a: readonly (readonly [string, string])[],
  b: readonly (readonly [string, string])[],
): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    const order = compareBytes(a[i][0], b[i][0]) || compareBytes(a[i][1], b[i][1]);
    if (order !== 0) {
      return order;
    }
  }
  return a.length - b.length;
}

function sortedPairs(labels: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(labels)
    .filter(([, value]) => value !== '')
    .sort(([a], [b]) => compareBytes(a, b));
}

/** Go's syntax to JavaScript's, as far as tests need it. */
function compile(pattern: string): RegExp {
  const flags = /^\(\?([is]+)\)/.exec(pattern);
  const body = flags === null ? pattern : pattern.slice(flags[0].length);
  const refused = /\(\?<?[=!]|\{\d{4,}|\*\*/.test(body);
  const translated = body
    .replaceAll('(?P<', '(?<')
    .replace(/\\Q(.*?)\\E/g, (_, literal: string) => literal.replace(/[^\w]/g, '\\$&'))
    .replace(/\\p\{(Han|Latin|Greek|Cyrillic)\}/g, '\\p{Script=$1}');
  try {
    if (refused) {
      throw new SyntaxError('not in Go');
    }
    return new RegExp(`^(?:${translated})$`, flags?.[1].includes('i') ? 'isu' : 'su');
  } catch (cause) {
    throw new MetricstorError('bad_data', `error parsing regexp: ${pattern}`, { cause });
  }
}

function matches(matcher: LabelMatcher, value: string): boolean {
  switch (matcher.op) {
    case '=':
      return value === matcher.value;
    case '!=':
      return value !== matcher.value;
    case '=~':
      return compile(matcher.value).test(value);
    case '!~':
      return !compile(matcher.value).test(value);
  }
}

interface SortedSeries {
  readonly series: MemorySeries;
  readonly pairs: readonly (readonly [string, string])[];
}

/** Series that tests fill and sessions read. */
export class MemoryQuerier implements Querier {
  /** How often a session selected, and how many samples were read. */
  selects = 0;
  reads = 0;
  readonly series: MemorySeries[] = [];

  add(labels: Readonly<Record<string, string>>, timestamps: number[], values: number[]): this {
    return this.addColumns(labels, Float64Array.from(timestamps), Float64Array.from(values));
  }

  private inOrder: SortedSeries[] | undefined;

  addColumns(
    labels: Readonly<Record<string, string>>,
    timestamps: Float64Array,
    values: Float64Array,
  ): this {
    return this.addSeries({ labels, timestamps, values });
  }

  addSeries(series: MemorySeries): this {
    this.series.push(series);
    this.inOrder = undefined;
    return this;
  }

  /** All series in the order of their labels. */
  sorted(): readonly SortedSeries[] {
    this.inOrder ??= this.series
      .map((series) => ({ series, pairs: sortedPairs(series.labels) }))
      .sort((a, b) => compareLabels(a.pairs, b.pairs));
    return this.inOrder;
  }

  openSession(_scope?: Scope, _limits?: SessionLimits): MemorySession {
    return new MemorySession(this);
  }
}

export class MemorySession implements QuerySession {
  /** Set by tests to end the query. */
  isCanceled = false;
  private readonly texts: string[] = [''];
  private readonly ids = new Map<string, number>([['', 0]]);

  constructor(private readonly querier: MemoryQuerier) {}

  intern(text: string): number {
    const known = this.ids.get(text);
    if (known !== undefined) {
      return known;
    }
    this.ids.set(text, this.texts.length);
    return this.texts.push(text) - 1;
  }

  text(id: number): string {
    return this.texts[id];
  }

  select({ matchers, mint, maxt }: SelectRequest): Selection {
    this.querier.selects++;
    const found = this.querier
      .sorted()
      .filter(({ series }) => matchers.every((m) => matches(m, series.labels[m.name] ?? '')))
      .filter(({ series }) => {
        const from = lowerBound(series.timestamps, mint);
        return from < series.timestamps.length && series.timestamps[from] <= maxt;
      });
    const labels = this.table(found.map(({ pairs }) => pairs));
    const querier = this.querier;
    return new MemorySelection(
      labels,
      found.map(({ series }) => series),
      { mint, maxt },
      (samples) => {
        querier.reads += samples;
      },
    );
  }

  /** A table of label sets given as pairs. */
  table(sets: readonly (readonly (readonly [string, string])[])[]): LabelTable {
    const ids: number[] = [];
    const offsets = [0];
    for (const pairs of sets) {
      for (const [name, value] of pairs) {
        ids.push(this.intern(name), this.intern(value));
      }
      offsets.push(ids.length);
    }
    return { count: sets.length, ids: Uint32Array.from(ids), offsets: Uint32Array.from(offsets) };
  }

  /** The label set of a series as pairs in order. */
  pairs(labels: LabelTable, series: number): [string, string][] {
    const pairs: [string, string][] = [];
    for (let i = labels.offsets[series]; i < labels.offsets[series + 1]; i += 2) {
      pairs.push([this.text(labels.ids[i]), this.text(labels.ids[i + 1])]);
    }
    return pairs;
  }

  sortOrder(labels: LabelTable): Uint32Array {
    const sets = Array.from({ length: labels.count }, (_, i) => this.pairs(labels, i));
    const order = Uint32Array.from(sets.keys());
    return order.sort((a, b) => compareLabels(sets[a], sets[b]) || a - b);
  }

  rollup(request: RollupRequest): Rollup {
    return newRollup(request);
  }

  regex(pattern: string): SessionRegex {
    const regex = compile(pattern);
    return {
      replace: (text, template) => {
        const match = regex.exec(text);
        return match === null ? undefined : expand(template, match);
      },
    };
  }

  canceled(): boolean {
    return this.isCanceled;
  }

  labelNames(_request: LabelRequest): LabelAnswer {
    const names = new Set(this.querier.series.flatMap(({ labels }) => Object.keys(labels)));
    return { values: [...names].sort(compareBytes), truncated: false };
  }

  labelValues(name: string, _request: LabelRequest): LabelAnswer {
    const values = new Set(this.querier.series.map(({ labels }) => labels[name] ?? ''));
    values.delete('');
    return { values: [...values].sort(compareBytes), truncated: false };
  }

  series(_request: LabelRequest): { labels: LabelTable; truncated: boolean } {
    const sets = this.querier.series.map(({ labels }) => sortedPairs(labels));
    return { labels: this.table(sets.sort(compareLabels)), truncated: false };
  }

  encodeResult(_result: QueryResult): Uint8Array {
    throw new MetricstorError('internal', 'the in-memory querier writes no JSON');
  }

  encodeLabels(_labels: LabelTable): Uint8Array {
    throw new MetricstorError('internal', 'the in-memory querier writes no JSON');
  }

  encodeExemplars(): Uint8Array {
    throw new MetricstorError('internal', 'the in-memory querier writes no JSON');
  }

  encodeMetadata(): Uint8Array {
    throw new MetricstorError('internal', 'the in-memory querier writes no JSON');
  }

  encodeCardinality(): Uint8Array {
    throw new MetricstorError('internal', 'the in-memory querier writes no JSON');
  }

  close(): void {
    // Nothing is held.
  }
}

class MemorySelection implements Selection {
  required = 0;
  private cells: (Histogram | undefined)[] = [];
  private starts: number[] = [];

  constructor(
    readonly labels: LabelTable,
    private readonly found: readonly MemorySeries[],
    private readonly range: { readonly mint: number; readonly maxt: number },
    private readonly onRead: (samples: number) => void,
  ) {}

  evaluate(
    rollup: Rollup,
    { first, samples }: { readonly first: number; readonly samples: number },
    { values, present, counts }: EvaluatedRows,
  ): Evaluated {
    const steps = values.length / counts.length;
    const { mint, maxt } = this.range;
    const done = { series: 0, samples: 0, longest: 0, histogram: false };
    for (const one of this.found.slice(first, first + counts.length)) {
      const from = lowerBound(one.timestamps, mint);
      const to = lowerBound(one.timestamps, maxt + 1);
      done.histogram = one.histograms?.slice(from, to).some((cell) => cell !== undefined) ?? false;
      if (done.histogram || (done.series > 0 && done.samples >= samples)) {
        break;
      }
      const start = done.series * steps;
      counts[done.series++] = rollup.evaluate(
        one.timestamps.subarray(from, to),
        one.values.subarray(from, to),
        values.subarray(start, start + steps),
        present.subarray(start, start + steps),
      );
      done.samples += to - from;
      done.longest = Math.max(done.longest, to - from);
    }
    this.onRead(done.samples);
    return done;
  }

  read(first: number, batch: SampleBatch): number {
    const { mint, maxt } = this.range;
    let used = 0;
    let count = 0;
    this.cells = [];
    this.starts = [];
    batch.offsets[0] = 0;
    for (let i = first; i < this.found.length && count + 1 < batch.offsets.length; i++) {
      const { timestamps, values, histograms = [], starts } = this.found[i];
      const from = lowerBound(timestamps, mint);
      const to = lowerBound(timestamps, maxt + 1);
      if (used + to - from > batch.values.length) {
        this.required = to - from;
        break;
      }
      batch.timestamps.set(timestamps.subarray(from, to), used);
      batch.values.set(values.subarray(from, to), used);
      for (let at = from; at < to; at++) {
        this.cells.push(histograms[at]);
        this.starts.push(starts?.[at] ?? 0);
      }
      used += to - from;
      batch.offsets[++count] = used;
    }
    this.onRead(used);
    return count;
  }

  histograms(): PackedHistograms | undefined {
    return packCells(this.cells, this.cells.length);
  }

  startTimestamps(): Float64Array | undefined {
    return this.starts.some((start) => start !== 0) ? Float64Array.from(this.starts) : undefined;
  }

  close(): void {
    // Nothing is held.
  }
}

/** The index of the first time at or after `timeMs`. */
function lowerBound(timestamps: Float64Array, timeMs: number): number {
  let low = 0;
  let high = timestamps.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (timestamps[middle] < timeMs) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

/** Go's `Regexp.Expand`. */
function expand(template: string, match: RegExpExecArray): string {
  const names = /\$(?:\$|\{([\p{L}\p{Nd}_]+)\}|([\p{L}\p{Nd}_]+))/gu;
  return template.replace(names, (whole, braced?: string, bare?: string) => {
    if (whole === '$$') {
      return '$';
    }
    const name = braced ?? bare ?? '';
    const group = /^(0|[1-9]\d*)$/.test(name) ? match[Number(name)] : match.groups?.[name];
    return group ?? '';
  });
}
