/**
 * @file Aggregations whose rows never leave the engine: windows of one selector are evaluated and
 * added up where the samples are, so that only the groups come back.
 */
import type { LabelTable } from '../../model/labels.js';
import type { Selection } from '../../storage/querier.js';
import { rangeArgument } from '../functions/range.js';
import { implementationOf } from '../functions/table.js';
import type { AggregatePlan, CallPlan, Plan, SelectorPlan } from '../plan.js';
import { accumulatorColumns, type StreamingOp } from './accumulators.js';
import type { EvalContext } from './context.js';
import { groupSeries } from './groups.js';
import { labelValue } from './label-sets.js';
import { hasDistinctNameless } from './names.js';
import { evaluatePart, samplesFrom } from './native-rows.js';
import type { NodeFigures } from './node-profile.js';
import { type RowSink, sendGrid } from './rows.js';
import { withSelection } from './selector.js';
import { rollupOf, type WindowFunction } from './window.js';

/** What is aggregated: a function of a selector's windows. */
interface Input {
  readonly selector: SelectorPlan;
  readonly scalars: readonly Float64Array[];
  readonly fn: WindowFunction;
}

/**
 * Evaluates an aggregation natively. False when that is not possible, for the expression or for
 * what is stored (native histograms): nothing has happened then.
 */
export function nativeAggregateRows(
  ctx: EvalContext,
  node: AggregatePlan,
  op: StreamingOp,
  sink: RowSink,
): boolean {
  const input = ctx.session.aggregation === undefined ? undefined : inputOf(ctx, node.inner);
  if (input === undefined) {
    return false;
  }
  const { budget } = ctx;
  const { samples, series } = budget;
  let done = false;
  withSelection(ctx, input.selector, (selection) => {
    done = aggregateSelection(ctx, node, op, { input, selection }, sink);
  });
  if (!done) {
    // Whoever does it otherwise counts them.
    budget.samples = samples;
    budget.series = series;
  }
  return done;
}

function inputOf(ctx: EvalContext, node: Plan): Input | undefined {
  if (ctx.isShared(node)) {
    return undefined;
  }
  if (node.kind === 'selector' && node.edges === undefined) {
    return { selector: node, scalars: [], fn: { native: 'value', keepsName: true } };
  }
  return node.kind === 'call' ? inputOfCall(ctx, node) : undefined;
}

function inputOfCall(ctx: EvalContext, node: CallPlan): Input | undefined {
  const implementation = implementationOf(node.name);
  if (implementation.kind !== 'window') {
    return undefined;
  }
  const selector = rangeArgument(node);
  if (selector.kind === 'subquery' || selector.edges !== undefined) {
    return undefined;
  }
  const fn = implementation.make(ctx, node);
  const named = fn.keepsName || !ctx.delayedNames;
  if (!named || fn.onRow !== undefined || fn.ofStarts !== undefined) {
    return undefined;
  }
  const others = node.args.filter((arg) => arg.type === 'scalar');
  return { selector, scalars: others.map((arg) => ctx.scalars(arg)), fn };
}

function aggregateSelection(
  ctx: EvalContext,
  node: AggregatePlan,
  op: StreamingOp,
  { input, selection }: { readonly input: Input; readonly selection: Selection },
  sink: RowSink,
): boolean {
  const { fn, selector, scalars } = input;
  const { labels } = selection;
  if (!fn.keepsName && !hasDistinctNameless(ctx, labels)) {
    return false;
  }
  const { steps } = node.grid;
  const groups = groupSeries(ctx, labels, node.expr, fn.keepsName ? 'kept' : 'dropped');
  const size = { count: groups.labels.count, steps };
  const aggregation = ctx.session.aggregation?.(op, groups.of, size);
  if (aggregation === undefined) {
    return false;
  }
  const cells = size.count * steps;
  // Those of the aggregation, and the result with its flags.
  const bytes = cells * (8 * accumulatorColumns[op] + 2 + 9);
  ctx.budget.hold(bytes, cells);
  const rollup = rollupOf(ctx, selector, scalars, fn);
  const counts = new Uint32Array(labels.count);
  let histogram = false;
  for (let first = 0; first < labels.count && !histogram; ) {
    const from = { first, samples: samplesFrom(first) };
    const evaluated = evaluatePart(ctx, selector, () =>
      aggregation.evaluate(selection, rollup, from, counts),
    );
    first += evaluated.series;
    histogram = evaluated.histogram;
  }
  if (!histogram) {
    tellOfSeries(ctx, fn, labels, counts);
    if (node.inner !== selector) {
      ctx.inNameOf(node.inner, (figures) => countRows(figures, counts));
    }
    const values = new Float64Array(cells);
    const present = new Uint8Array(cells);
    aggregation.finish(values, present);
    sendGrid({ labels: groups.labels, steps, values, present, dropName: null }, sink);
  }
  ctx.budget.release(bytes, cells);
  return !histogram;
}

/** Counts a node that was evaluated with the one above it. */
function countRows(figures: NodeFigures | undefined, counts: Uint32Array): void {
  if (figures !== undefined) {
    figures.evaluations++;
    figures.series += counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  }
}

/** Calls what wants to know of every series with a value, once a metric name. */
function tellOfSeries(
  ctx: EvalContext,
  { onSeries }: WindowFunction,
  labels: LabelTable,
  counts: Uint32Array,
): void {
  if (onSeries === undefined) {
    return;
  }
  let told = -1;
  for (let i = 0; i < counts.length; i++) {
    const name = counts[i] > 0 ? labelValue(labels, i, ctx.nameLabel) : told;
    if (name !== told) {
      onSeries(labels, i);
      told = name;
    }
  }
}
