/**
 * @file `info`: adds the labels of info metrics to series, joined by `instance` and `job`.
 *
 * Follows `evalInfo`, `fetchInfoSeries` and `combineWithInfoVector` in Prometheus' `promql/info.go`
 * (3.14): of info series that match alike, the one with the newest sample counts.
 */
import { MetricstorError } from '../../errors.js';
import type { Histogram } from '../../model/histogram.js';
import type { LabelTable } from '../../model/labels.js';
import type { EvalContext } from '../exec/context.js';
import { LabelIndex, LabelScratch, labelValue, printLabels } from '../exec/label-sets.js';
import { sameLabels } from '../exec/names.js';
import { type Grid, GridCollector, noSeries, type RowSink, sendRow } from '../exec/rows.js';
import { selectorRows } from '../exec/selector.js';
import type { CallPlan, InfoPlan } from '../plan.js';
import type { Implementation } from './implementation.js';
import { type DataMatchers, type InfoMatchers, infoMatchers } from './info-matchers.js';

/** The info series of a query, by what they are joined by. */
interface InfoSeries {
  /** Times of their samples, in seconds. */
  readonly grid: Grid;
  /** The key of each series. */
  readonly keys: Uint32Array;
  /** How many keys there are. */
  readonly count: number;
  /** The keys of a base series, one for each info metric that it may meet. */
  keysOf(base: LabelTable, series: number): readonly number[];
}

function indexInfoSeries(ctx: EvalContext, grid: Grid): InfoSeries {
  const identifying = ['instance', 'job'].map((name) => ctx.session.intern(name));
  const known = new Map<string, number>();
  const names = new Set<number>();
  const textOf = (labels: LabelTable, series: number, name: number): string =>
    [name, ...identifying.map((label) => labelValue(labels, series, label))].join();
  const keys = new Uint32Array(grid.labels.count);
  for (let i = 0; i < keys.length; i++) {
    const name = labelValue(grid.labels, i, ctx.nameLabel);
    const text = textOf(grid.labels, i, name);
    names.add(name);
    known.set(text, known.get(text) ?? known.size);
    keys[i] = known.get(text) as number;
  }
  return {
    grid,
    keys,
    count: known.size,
    keysOf: (base, series) =>
      [...names].flatMap((name) => known.get(textOf(base, series, name)) ?? []),
  };
}

/** Evaluates the info series of series with the labels `base`, for the times of their samples. */
function readInfoSeries(
  ctx: EvalContext,
  plan: InfoPlan,
  { base, matchers, sink }: { base: LabelTable; matchers: InfoMatchers; sink: RowSink },
): void {
  const wanted = matchers.select(base);
  if (wanted === undefined) {
    sink.begin(noSeries, null);
    sink.end();
  } else {
    selectorRows(ctx, { ...plan.selector, matchers: wanted }, sink, 'timestamp');
  }
}

/** The rows of the info series that a call of `info` looks at. */
export function infoSeriesOf(
  ctx: EvalContext,
  node: CallPlan,
  plan: InfoPlan,
  sink: RowSink,
): void {
  const base = ctx.grid(node.args[0], 'take');
  const matchers = infoMatchers(ctx, plan.matchers);
  readInfoSeries(ctx, plan, { base: base.labels, matchers, sink });
  ctx.release(base);
}

/** The newest info series of each key at one step, or -1. */
function newestAt(ctx: EvalContext, info: InfoSeries, step: number): Int32Array {
  const { grid, keys } = info;
  const newest = new Int32Array(info.count).fill(-1);
  for (let i = 0; i < keys.length; i++) {
    const cell = i * grid.steps + step;
    if (grid.present !== null && grid.present[cell] === 0) {
      continue;
    }
    const other = newest[keys[i]];
    const otherTime = other < 0 ? -Infinity : grid.values[other * grid.steps + step];
    if (otherTime === grid.values[cell]) {
      const texts = [other, i].map((series) => printLabels(ctx.session, grid.labels, series));
      const timeMs = Math.round(otherTime * 1000);
      throw new MetricstorError(
        'execution',
        `found duplicate series for info metric: existing ${texts[0]} @ ${timeMs}, ` +
          `new ${texts[1]} @ ${timeMs}`,
      );
    }
    if (otherTime < grid.values[cell]) {
      newest[keys[i]] = i;
    }
  }
  return newest;
}

/** Puts labels of info series onto base series. */
class Enricher {
  private readonly scratch = new LabelScratch();
  /** Results by base series and the info series it meets; -1 for none. */
  private readonly known = new Map<string, number>();
  readonly index = new LabelIndex();

  constructor(
    private readonly ctx: EvalContext,
    private readonly base: LabelTable,
    private readonly info: LabelTable,
    private readonly data: DataMatchers,
  ) {}

  /** The label set of a base series with those of the info series; -1 when it is to be left out. */
  result(series: number, found: readonly number[]): number {
    const key = `${series}:${found.join()}`;
    const known = this.known.get(key) ?? this.enrich(series, found);
    this.known.set(key, known);
    return known;
  }

  /** A base series as it is. */
  plain(series: number): number {
    return this.index.addSeries(this.base, series);
  }

  private enrich(series: number, found: readonly number[]): number {
    if (found.length === 0 && !this.data.allMatchEmpty) {
      return -1;
    }
    const added = new Map<number, number>();
    for (const one of found) {
      this.collect(series, one, added);
    }
    this.scratch.load(this.base, series);
    for (const [label, value] of added) {
      this.scratch.set(this.ctx.session, label, value);
    }
    return this.index.add(this.scratch);
  }

  private collect(series: number, one: number, added: Map<number, number>): void {
    const { ctx, info, base, data } = this;
    for (let at = info.offsets[one]; at < info.offsets[one + 1]; at += 2) {
      const label = info.ids[at];
      const value = info.ids[at + 1];
      if (label === ctx.nameLabel || (data.labels.size > 0 && !data.labels.has(label))) {
        continue;
      }
      if ((added.get(label) ?? value) !== value) {
        const text = `conflicting label: ${ctx.session.text(label)}`;
        throw new MetricstorError('execution', text);
      }
      if (labelValue(base, series, label) === 0) {
        added.set(label, value);
      }
    }
  }
}

/** The cells of the answer, a row a label set. */
class EnrichedRows {
  private readonly rows: {
    readonly values: Float64Array;
    readonly flags: Uint8Array;
    readonly drop: number;
    cells?: (Histogram | undefined)[];
  }[] = [];

  constructor(
    private readonly ctx: EvalContext,
    private readonly base: Grid,
  ) {}

  put(at: number, series: number, step: number): void {
    const { base, ctx } = this;
    const { steps } = base;
    if (at === this.rows.length) {
      ctx.budget.hold(steps * 9, steps);
      const drop = base.dropName?.[series] ?? 0;
      this.rows.push({ values: new Float64Array(steps), flags: new Uint8Array(steps), drop });
    }
    const row = this.rows[at];
    if (row.flags[step] !== 0) {
      throw sameLabels();
    }
    row.flags[step] = 1;
    row.values[step] = base.values[series * steps + step];
    const histogram = base.histograms?.[series * steps + step];
    if (histogram !== undefined) {
      row.cells ??= new Array<Histogram | undefined>(steps);
      row.cells[step] = histogram;
    }
  }

  send(labels: LabelTable, sink: RowSink): void {
    const { rows, ctx, base } = this;
    sink.begin(labels, base.dropName === null ? null : Uint8Array.from(rows, ({ drop }) => drop));
    rows.forEach(({ values, flags, cells }, at) => {
      const row = {
        values,
        base: 0,
        present: flags,
        presentBase: 0,
        ...(cells && { histograms: cells }),
      };
      sendRow(sink, at, row, base.steps);
    });
    sink.end();
    ctx.budget.release(rows.length * base.steps * 9, rows.length * base.steps);
  }
}

function infoRows(ctx: EvalContext, node: CallPlan, plan: InfoPlan, sink: RowSink): void {
  const base = ctx.grid(node.args[0], 'take');
  const matchers = infoMatchers(ctx, plan.matchers);
  const collector = new GridCollector(base.steps, ctx.budget);
  readInfoSeries(ctx, plan, { base: base.labels, matchers, sink: collector });
  const info = indexInfoSeries(ctx, collector.finish());
  const enricher = new Enricher(ctx, base.labels, info.grid.labels, matchers.data);
  const rows = new EnrichedRows(ctx, base);
  const series = Array.from({ length: base.labels.count }, (_, i) => i);
  const isInfo = series.map((one) => matchers.isInfo(base.labels, one));
  const keys = series.map((one) => info.keysOf(base.labels, one));
  const { steps } = base;
  for (let k = 0; k < steps; k++) {
    const there = series.filter((i) => base.present === null || base.present[i * steps + k] !== 0);
    const newest = there.length === 0 ? new Int32Array(0) : newestAt(ctx, info, k);
    for (const i of there) {
      const found = keys[i].map((key) => newest[key]).filter((one) => one >= 0);
      const at = isInfo[i] ? enricher.plain(i) : enricher.result(i, found);
      if (at >= 0) {
        rows.put(at, i, k);
      }
    }
    ctx.budget.spend(series.length + info.keys.length);
  }
  rows.send(enricher.index.table(), sink);
  ctx.release(info.grid);
  ctx.release(base);
}

export const infoFunctions = {
  info: {
    kind: 'rows',
    rows: (ctx, node, sink) => {
      if (node.info === undefined) {
        throw new MetricstorError('internal', 'info has no plan of its info series');
      }
      infoRows(ctx, node, node.info, sink);
    },
  },
} satisfies Record<string, Implementation>;
