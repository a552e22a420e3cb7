/**
 * @file Aggregations: which series make a group, and the ones that take rows as they come. Those
 * that rank series or need all values of a step are in `aggregate-rank.ts`.
 */
import type { LabelTable } from '../../model/labels.js';
import type { AggregatePlan } from '../plan.js';
import {
  type Accumulator,
  accumulatorColumns,
  newAccumulator,
  type StreamingOp,
} from './accumulators.js';
import { countValuesRows, quantileRows, rankRows } from './aggregate-rank.js';
import type { EvalContext } from './context.js';
import { type Groups, groupSeries } from './groups.js';
import { HistogramSums } from './histogram-sums.js';
import { labelValue } from './label-sets.js';
import { nativeAggregateRows } from './native-aggregate.js';
import { type Row, type RowSink, sendGrid } from './rows.js';

/** The rows of an aggregation. */
export function aggregateRows(ctx: EvalContext, node: AggregatePlan, sink: RowSink): void {
  const { op } = node.expr;
  switch (op) {
    case 'topk':
    case 'bottomk':
    case 'limitk':
    case 'limit_ratio':
      rankRows(ctx, node, op, sink);
      return;
    case 'quantile':
      quantileRows(ctx, node, sink);
      return;
    case 'count_values':
      countValuesRows(ctx, node, sink);
      return;
    default:
      if (!nativeAggregateRows(ctx, node, sink)) {
        streamingRows(ctx, node, op, sink);
      }
  }
}

/** `count` and `group` take values as they are; others are of floats and tell of histograms. */
function policyOf(
  ctx: EvalContext,
  node: AggregatePlan,
  op: StreamingOp,
): Pick<RowSink, 'histograms' | 'onSkipped'> {
  switch (op) {
    case 'sum':
    case 'avg':
    case 'count':
    case 'group':
      return { histograms: 'take' };
    case 'min':
    case 'max':
    case 'stddev':
    case 'stdvar':
      return {
        histograms: 'skip',
        onSkipped: () => ctx.annotations.histogramIgnored(op, node.inner.expr),
      };
  }
}

/** Takes each row into its group's cells; memory follows the groups. */
function streamingRows(
  ctx: EvalContext,
  node: AggregatePlan,
  op: StreamingOp,
  sink: RowSink,
): void {
  const { steps } = node.grid;
  let groups: Groups | undefined;
  let accumulator: Accumulator | undefined;
  let dropped: Uint8Array | null = null;
  let inputDrops: Uint8Array | null = null;
  let bytes = 0;
  let of = new Uint32Array(0);
  const histograms = histogramSums(ctx, node, op, {
    table: () => table,
    hasFloat: (cell) => accumulator?.has(cell) ?? false,
  });
  let table: LabelTable | undefined;
  ctx.rows(node.inner, {
    ...policyOf(ctx, node, op),
    begin: (labels, dropName) => {
      table = labels;
      groups = groupSeries(ctx, labels, node.expr);
      of = groups.of as Uint32Array<ArrayBuffer>;
      inputDrops = dropName;
      dropped = dropName === null ? null : new Uint8Array(groups.labels.count);
      const cells = groups.labels.count * steps;
      bytes = cells * (8 * accumulatorColumns[op] + 2);
      ctx.budget.hold(bytes, cells);
      accumulator = newAccumulator(op, steps, cells);
    },
    row: (series, row) => {
      const group = of[series];
      const floats =
        row.histograms === undefined || histograms === undefined
          ? row
          : withoutSteps(row, histograms.add(series, row, group * steps), steps);
      accumulator?.add(floats, group * steps);
      if (dropped !== null && inputDrops !== null) {
        dropped[group] |= inputDrops[series];
      }
      ctx.budget.spend(steps);
    },
    end: () => undefined,
  });
  if (groups === undefined || accumulator === undefined) {
    return;
  }
  const { values, present } = accumulator.finish();
  const cells = histograms?.finish(present);
  const { labels } = groups;
  sendGrid({ labels, steps, values, present, dropName: dropped, histograms: cells }, sink);
  ctx.budget.release(bytes, groups.labels.count * steps);
}

/** What takes the histograms of `sum` and `avg`. */
function histogramSums(
  ctx: EvalContext,
  node: AggregatePlan,
  op: StreamingOp,
  seen: { table(): LabelTable | undefined; hasFloat(cell: number): boolean },
): HistogramSums | undefined {
  if (op !== 'sum' && op !== 'avg') {
    return undefined;
  }
  const at = node.inner.expr;
  return new HistogramSums(op, node.grid.steps, {
    hasFloat: seen.hasFloat,
    mixedKinds: () => ctx.annotations.mixedInAggregation(at),
    mixedSchemas: (series) => {
      const labels = seen.table();
      const name = labels === undefined ? 0 : labelValue(labels, series, ctx.nameLabel);
      ctx.annotations.mixedSchemas(ctx.session.text(name), at);
    },
    boundsReconciled: () => ctx.annotations.boundsReconciled('aggregation', at),
    resetCollision: () => ctx.annotations.resetCollision('aggregation', at),
  });
}

/** A row as if it had no value at the flagged steps. */
function withoutSteps(row: Row, without: Uint8Array, steps: number): Row {
  const { values, base, present, presentBase } = row;
  const flags = new Uint8Array(steps);
  for (let k = 0; k < steps; k++) {
    flags[k] = without[k] === 0 && (present === null || present[presentBase + k] !== 0) ? 1 : 0;
  }
  return { values, base, present: flags, presentBase: 0 };
}
