/**
 * @file `topk` and `bottomk` over rows as they come: the best of every group and step are kept, and
 * nothing else. Falls back to a grid where keeping those would take as much.
 *
 * Offers series in the order in which the grid would, so that of equal values the same stay.
 */
import type { LabelTable } from '../../model/labels.js';
import type { AggregatePlan } from '../plan.js';
import { isInstant } from '../time-grid.js';
import type { EvalContext } from './context.js';
import { groupSeries } from './groups.js';
import { selectSeries } from './label-sets.js';
import { RankHeap } from './rank-heap.js';
import {
  type Grid,
  GridCollector,
  noSeries,
  pick,
  type Row,
  RowBuffer,
  type RowSink,
} from './rows.js';

/** Bytes of an empty heap, and of one of its entries. */
const heapBytes = 160;
const entryBytes = 16;
/** Bytes of a cell of a grid. */
const cellBytes = 9;

/** What the input became: the chosen, sent to the sink, or a grid for the caller to rank. */
export type Ranked = 'sent' | Grid;

/** Ranks a vector by `params`, which are numbers within int64, some of them at least 1. */
export function streamRanked(
  ctx: EvalContext,
  node: AggregatePlan,
  op: 'topk' | 'bottomk',
  params: Float64Array,
  sink: RowSink,
): Ranked {
  const { steps } = node.grid;
  const most = params.reduce((a, b) => Math.max(a, b), 0);
  const onSkipped = (): void => ctx.annotations.histogramIgnored(op, node.expr);
  const collector = new GridCollector(steps, ctx.budget, 'skip', onSkipped);
  let best: BestOfSteps | undefined;
  ctx.rows(node.inner, {
    histograms: 'skip',
    onSkipped,
    begin: (labels, dropName) => {
      const groups = groupSeries(ctx, labels, node.expr);
      const bytes = groups.labels.count * steps * (heapBytes + most * entryBytes);
      if (bytes < labels.count * steps * cellBytes) {
        ctx.budget.hold(bytes, 0);
        best = new BestOfSteps({ op, steps, params, of: groups.of, labels, dropName, bytes });
      } else {
        collector.begin(labels, dropName);
      }
    },
    row: (series, row) => {
      if (best === undefined) {
        collector.row(series, row);
      } else {
        best.add(series, row);
        ctx.budget.spend(steps);
      }
    },
    end: () => undefined,
  });
  if (best === undefined) {
    return collector.finish();
  }
  best.send(sink, isInstant(node.grid));
  ctx.budget.release(best.bytes, 0);
  return 'sent';
}

interface BestParts {
  readonly op: 'topk' | 'bottomk';
  readonly steps: number;
  readonly params: Float64Array;
  /** The group of each series. */
  readonly of: Uint32Array;
  readonly labels: LabelTable;
  readonly dropName: Uint8Array | null;
  readonly bytes: number;
}

/** A heap for each group and step: that of group `g` at step `k` is `heaps[g * steps + k]`. */
class BestOfSteps {
  private readonly heaps: (RankHeap | undefined)[] = [];

  constructor(private readonly parts: BestParts) {}

  get bytes(): number {
    return this.parts.bytes;
  }

  add(series: number, { values, base, present, presentBase }: Row): void {
    const { op, steps, params, of } = this.parts;
    const from = of[series] * steps;
    while (this.heaps.length < from + steps) {
      this.heaps.push(undefined);
    }
    for (let k = 0; k < steps; k++) {
      if (present === null || present[presentBase + k] !== 0) {
        const heap = this.heaps[from + k] ?? new RankHeap(op);
        this.heaps[from + k] = heap;
        heap.offer(series, values[base + k], Math.trunc(params[k]));
      }
    }
  }

  /** The rows of the chosen: by rank at one time, in the order of the input in a range. */
  send(sink: RowSink, ranked: boolean): void {
    const { steps, labels, dropName } = this.parts;
    const cells = new Map<number, { readonly step: number; readonly value: number }[]>();
    this.heaps.forEach((heap, at) => {
      heap?.each((series, value) => {
        const list = cells.get(series) ?? [];
        cells.set(series, list);
        list.push({ step: at % steps, value });
      });
    });
    const order = ranked ? [...cells.keys()] : [...cells.keys()].sort((a, b) => a - b);
    if (order.length === 0) {
      sink.begin(noSeries, null);
      sink.end();
      return;
    }
    sink.begin(selectSeries(labels, order), dropName === null ? null : pick(dropName, order));
    const out = new RowBuffer(steps);
    order.forEach((series, index) => {
      const list = cells.get(series) ?? [];
      out.flags.fill(0);
      for (const { step, value } of list) {
        out.values[step] = value;
        out.flags[step] = 1;
      }
      out.filled(list.length);
      sink.row(index, out);
    });
    sink.end();
  }
}
