/**
 * @file Rows that are evaluated natively, where the samples are: batch by batch into columns that
 * the engine owns, or added up into groups at once.
 */
import type {
  Evaluated,
  EvaluatedRows,
  Rollup,
  RollupRequest,
  Selection,
} from '../../storage/querier.js';
import type { SelectorPlan } from '../plan.js';
import type { EvalContext, RowColumns } from './context.js';
import type { Row } from './rows.js';

/** Cells of a batch of rows, but for a row that has more by itself: what stays in the cache. */
const maxBatchCells = 1 << 18;
/** Rows of one batch. */
const maxBatchRows = 1 << 14;
/** Rows of the first batch where a few may be enough. */
const firstRows = 16;
/** Samples after which the deadline is looked at: first, and later. */
const firstSamples = 1 << 16;
const laterSamples = 1 << 22;
/** A longer series counts as samples held. */
const longSeries = 1 << 20;

/** Empty columns, to be grown by the first query. */
export function newRowColumns(): RowColumns {
  return {
    values: new Float64Array(0),
    present: new Uint8Array(0),
    counts: new Uint32Array(maxBatchRows),
  };
}

/** A native function over windows, which ends when the query does. */
export function rollupFor(ctx: EvalContext, request: Omit<RollupRequest, 'timeoutMs'>): Rollup {
  return ctx.session.rollup({ ...request, timeoutMs: ctx.budget.leftMs });
}

/** Takes a row; `count` is the number of its cells that have a value, at least 1. */
export type TakeRow = (series: number, row: Row, count: number) => void;

/** What is evaluated. */
export interface SelectedWindows {
  readonly plan: SelectorPlan;
  readonly selection: Selection;
  readonly rollup: Rollup;
  /** Asked after each batch: true ends it. The first batches are small where it is there. */
  readonly enough?: () => boolean;
}

/**
 * Evaluates the series of a selection and passes on the rows that have a value. Returns the first
 * series that was not evaluated because it has a native histogram, or else the number of series.
 */
export function evaluateRows(
  ctx: EvalContext,
  { plan, selection, rollup, enough }: SelectedWindows,
  take: TakeRow,
): number {
  const { steps } = plan.windows;
  const { count } = selection.labels;
  const columns = ctx.buffers.rows;
  const atOnce = Math.min(count, maxBatchRows, Math.max(1, Math.floor(maxBatchCells / steps)));
  ensureColumns(ctx, columns, atOnce * steps);
  const row: Row = { values: columns.values, base: 0, present: null, presentBase: 0 };
  let most = enough === undefined ? atOnce : Math.min(firstRows, atOnce);
  for (let first = 0; first < count && enough?.() !== true; ) {
    const rows = Math.min(most, count - first);
    most = Math.min(most * 4, atOnce);
    const target: EvaluatedRows = {
      values: columns.values.subarray(0, rows * steps),
      present: columns.present.subarray(0, rows * steps),
      counts: columns.counts.subarray(0, rows),
    };
    const from = { first, samples: samplesFrom(first) };
    const evaluated = evaluatePart(ctx, plan, () => selection.evaluate(rollup, from, target));
    for (let i = 0; i < evaluated.series; i++) {
      const found = columns.counts[i];
      if (found > 0) {
        row.base = i * steps;
        row.presentBase = row.base;
        row.present = found === steps ? null : columns.present;
        take(first + i, row, found);
      }
    }
    ctx.budget.spend(rows * steps);
    first += evaluated.series;
    if (evaluated.histogram) {
      return first;
    }
  }
  return count;
}

/** Evaluates in the name of a selector, counts what that read, and looks at the clock. */
export function evaluatePart(
  ctx: EvalContext,
  plan: SelectorPlan,
  evaluate: () => Evaluated,
): Evaluated {
  const { budget } = ctx;
  return ctx.inNameOf(plan, (figures) => {
    const evaluated = budget.native(evaluate);
    const { series, samples, longest } = evaluated;
    if (figures !== undefined) {
      figures.evaluations = Math.max(1, figures.evaluations);
      figures.series += series;
    }
    budget.decoded(samples);
    if (longest > longSeries) {
      budget.hold(longest * 16, longest);
      budget.release(longest * 16, longest);
    }
    budget.check();
    return evaluated;
  });
}

/** Samples between two looks at the clock, for a caller that keeps count itself. */
export function samplesFrom(first: number): number {
  return first === 0 ? firstSamples : laterSamples;
}

function ensureColumns(ctx: EvalContext, columns: RowColumns, cells: number): void {
  const held = columns.values.length;
  if (cells <= held) {
    return;
  }
  let length = Math.max(held, 1 << 12);
  while (length < cells) {
    length *= 2;
  }
  // A double and a flag each.
  ctx.budget.hold((length - held) * 9, 0);
  columns.values = new Float64Array(length);
  columns.present = new Uint8Array(length);
}
