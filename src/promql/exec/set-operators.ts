/**
 * @file `and`, `or`, `unless`: whole samples chosen by whether the other side has a match.
 *
 * Follows `VectorAnd`, `VectorOr` and `VectorUnless` in Prometheus' `promql/engine.go` (3.14).
 */
import type { SetOp } from '../ast.js';
import type { BinaryPlan } from '../plan.js';
import type { EvalContext } from './context.js';
import { concatLabels } from './label-sets.js';
import { mergeEqual } from './names.js';
import { type Grid, GridCollector, type Row, type RowSink, sendGrid, sendRow } from './rows.js';
import { matchSignatures } from './signatures.js';

export function setRows(ctx: EvalContext, node: BinaryPlan, op: SetOp, sink: RowSink): void {
  // Nothing is missed of what is not read: see `plan/narrow.ts`.
  const left = ctx.grid(node.narrowed?.left ?? node.left, 'take');
  const right = ctx.grid(node.narrowed?.right ?? node.right, 'take');
  const { steps } = node.grid;
  const match = matchSignatures(ctx, left.labels, right.labels, node.expr.matching);
  if (op === 'or') {
    const flags = groupPresence(ctx, left, match.left, match.count);
    orRows(ctx, left, right, { groups: match.right, flags }, sink);
  } else {
    const flags = groupPresence(ctx, right, match.right, match.count);
    sink.begin(left.labels, left.dropName);
    filterRows(ctx, left, { groups: match.left, flags }, op === 'and', (series, row) =>
      sendRow(sink, series, row, steps),
    );
    sink.end();
  }
  ctx.budget.release(match.count * steps, 0);
  ctx.release(left);
  ctx.release(right);
}

/** Flags of each matching group's steps, and the group of each series of the filtered side. */
interface Mask {
  readonly groups: Uint32Array;
  readonly flags: Uint8Array;
}

/** Where any series of a group has a value: group `g` owns `[g * steps, (g + 1) * steps)`. */
function groupPresence(
  ctx: EvalContext,
  grid: Grid,
  groups: Uint32Array,
  count: number,
): Uint8Array {
  const { steps, present } = grid;
  const flags = new Uint8Array(count * steps);
  ctx.budget.hold(flags.length, 0);
  for (let i = 0; i < groups.length; i++) {
    const to = groups[i] * steps;
    if (present === null) {
      flags.fill(1, to, to + steps);
      continue;
    }
    for (let k = 0; k < steps; k++) {
      flags[to + k] |= present[i * steps + k];
    }
    ctx.budget.spend(steps);
  }
  return flags;
}

/** Passes on the values whose flag is `keep`. */
function filterRows(
  ctx: EvalContext,
  grid: Grid,
  mask: Mask,
  keep: boolean,
  each: (series: number, row: Row) => void,
): void {
  const { steps, values, present } = grid;
  const wanted = keep ? 1 : 0;
  const out = new Uint8Array(steps);
  const { histograms } = grid;
  const row: Row = {
    values,
    base: 0,
    present: out,
    presentBase: 0,
    ...(histograms && { histograms }),
  };
  for (let i = 0; i < grid.labels.count; i++) {
    const base = i * steps;
    const group = mask.groups[i] * steps;
    for (let k = 0; k < steps; k++) {
      const has = present === null || present[base + k] !== 0;
      out[k] = has && mask.flags[group + k] === wanted ? 1 : 0;
    }
    row.base = base;
    each(i, row);
    ctx.budget.spend(steps);
  }
}

/** All of the left, then what of the right has no match on the left at its step. */
function orRows(ctx: EvalContext, left: Grid, right: Grid, mask: Mask, sink: RowSink): void {
  const { steps } = left;
  const leftCount = left.labels.count;
  const collector = new GridCollector(steps, ctx.budget, 'take');
  const labels = concatLabels(left.labels, right.labels);
  const dropName = new Uint8Array(labels.count);
  dropName.set(left.dropName ?? []);
  dropName.set(right.dropName ?? [], leftCount);
  collector.begin(labels, left.dropName === null && right.dropName === null ? null : dropName);
  sendGrid(left, {
    histograms: 'take',
    begin: () => undefined,
    row: (series, row) => collector.row(series, row),
    end: () => undefined,
  });
  filterRows(ctx, right, mask, false, (series, row) => collector.row(leftCount + series, row));
  const all = collector.finish();
  sendGrid(mergeEqual(ctx, all), sink);
  ctx.release(all);
}
