/**
 * @file Aggregations whose rows never leave the engine: windows of one selector are evaluated and
 * added up where the samples are, so that only the groups come back.
 */
import type { LabelTable } from '../../model/labels.js';
import {
  type NativeAggregateOp,
  nativeAggregateOps,
  type Selection,
} from '../../storage/querier.js';
import { rangeArgument } from '../functions/range.js';
import { implementationOf } from '../functions/table.js';
import type { AggregatePlan, CallPlan, SelectorPlan } from '../plan.js';
import { accumulatorColumns } from './accumulators.js';
import type { EvalContext } from './context.js';
import { type Groups, groupSeries } from './groups.js';
import { labelValue } from './label-sets.js';
import { hasDistinctNameless } from './names.js';
import { evaluatePart, samplesFrom } from './native-rows.js';
import type { NodeFigures } from './node-profile.js';
import { type RowSink, sendGrid } from './rows.js';
import { withSelection } from './selector.js';
import { rollupOf, type WindowFunction } from './window.js';

/** What is aggregated: a function of a selector's windows. */
interface Input {
  readonly node: AggregatePlan;
  readonly op: NativeAggregateOp;
  readonly selector: SelectorPlan;
  readonly scalars: readonly Float64Array[];
  readonly fn: WindowFunction;
}

/** An aggregation with the series that it adds up. */
interface Task {
  readonly input: Input;
  readonly labels: LabelTable;
  readonly groups: Groups;
  /** What is held for it until it is sent. */
  readonly bytes: number;
  readonly cells: number;
}

/** An aggregation that was evaluated. */
export interface Aggregated extends Task {
  /** How many values each series has. */
  readonly counts: Uint32Array;
  readonly values: Float64Array;
  readonly present: Uint8Array;
}

/**
 * Evaluates an aggregation natively, and those that go together with it, see `plan/together.ts`:
 * these are kept until it is their turn. False when that is not possible, for the expression or for
 * what is stored (native histograms): nothing has happened then.
 */
export function nativeAggregateRows(ctx: EvalContext, node: AggregatePlan, sink: RowSink): boolean {
  if (ctx.session.aggregation === undefined) {
    return false;
  }
  const done = ctx.early.get(node) ?? evaluate(ctx, node);
  ctx.early.set(node, undefined);
  if (done !== undefined) {
    send(ctx, done, sink);
  }
  return done !== undefined;
}

function evaluate(ctx: EvalContext, node: AggregatePlan): Aggregated | undefined {
  const own = inputOf(ctx, node);
  if (own === undefined) {
    return undefined;
  }
  const others = ctx.togetherWith(node).filter((other) => other !== node && !ctx.early.has(other));
  const inputs = [own, ...others.flatMap((other) => inputOf(ctx, other) ?? [])];
  const range = {
    mint: Math.min(...inputs.map(({ selector }) => selector.mint)),
    maxt: Math.max(...inputs.map(({ selector }) => selector.maxt)),
  };
  const { budget } = ctx;
  const { samples, series } = budget;
  let done: readonly Aggregated[] = [];
  const use = (selection: Selection): void => {
    const tasks = inputs.flatMap((input) => taskOf(ctx, input, selection) ?? []);
    if (tasks[0]?.input === own) {
      done = aggregateSelection(ctx, tasks, selection);
    }
  };
  withSelection(ctx, own.selector, use, range);
  const [first, ...later] = done;
  for (const one of later) {
    ctx.early.set(one.input.node, one);
  }
  if (first === undefined) {
    // Whoever does it otherwise counts them.
    budget.samples = samples;
    budget.series = series;
  }
  return first;
}

function inputOf(ctx: EvalContext, node: AggregatePlan): Input | undefined {
  const { inner, expr } = node;
  const op = nativeAggregateOps.find((known) => known === expr.op);
  if (op === undefined || ctx.isShared(inner)) {
    return undefined;
  }
  if (inner.kind === 'selector' && inner.edges === undefined) {
    // Where values do not matter the engine need not decode them: a time is there where they are.
    const native = op === 'count' || op === 'group' ? 'timestamp' : 'value';
    return { node, op, selector: inner, scalars: [], fn: { native, keepsName: true } };
  }
  const call = inner.kind === 'call' ? inputOfCall(ctx, inner) : undefined;
  return call && { node, op, ...call };
}

function inputOfCall(ctx: EvalContext, node: CallPlan): Omit<Input, 'node' | 'op'> | undefined {
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

/** Undefined where series are equal without their names. */
function taskOf(ctx: EvalContext, input: Input, { labels }: Selection): Task | undefined {
  const { fn, node, op } = input;
  if (!fn.keepsName && !hasDistinctNameless(ctx, labels)) {
    return undefined;
  }
  const groups = groupSeries(ctx, labels, node.expr, fn.keepsName ? 'kept' : 'dropped');
  const cells = groups.labels.count * node.grid.steps;
  // Those of the aggregation, the result with its flags, and what tells of series.
  const bytes = cells * (8 * accumulatorColumns[op] + 2 + 9) + 4 * labels.count;
  return { input, labels, groups, bytes, cells };
}

/** Evaluates all of them, or nothing where there is a native histogram. */
function aggregateSelection(
  ctx: EvalContext,
  tasks: readonly Task[],
  selection: Selection,
): readonly Aggregated[] {
  const { count } = selection.labels;
  const parts = tasks.map(({ input: { op, selector, scalars, fn }, groups }) => {
    const rollup = rollupOf(ctx, selector, scalars, fn);
    return { op, rollup, groups: groups.of, count: groups.labels.count };
  });
  for (const { bytes, cells } of tasks) {
    ctx.budget.hold(bytes, cells);
  }
  const aggregation = ctx.session.aggregation?.(parts);
  const counts = new Uint32Array(parts.length * count);
  let histogram = aggregation === undefined;
  for (let first = 0; first < count && aggregation !== undefined && !histogram; ) {
    const from = { first, samples: samplesFrom(first) };
    const evaluated = evaluatePart(ctx, tasks[0].input.selector, () =>
      aggregation.evaluate(selection, from, counts),
    );
    first += evaluated.series;
    histogram = evaluated.histogram;
  }
  if (aggregation === undefined || histogram) {
    for (const { bytes, cells } of tasks) {
      ctx.budget.release(bytes, cells);
    }
    return [];
  }
  return tasks.map((task, part) => {
    const values = new Float64Array(task.cells);
    const present = new Uint8Array(task.cells);
    aggregation.finish(part, values, present);
    const own = counts.subarray(part * count, (part + 1) * count);
    return { ...task, counts: own, values, present };
  });
}

/** Tells of an aggregation what there is to tell, and passes on its rows. */
function send(ctx: EvalContext, done: Aggregated, sink: RowSink): void {
  const { input, labels, groups, counts, values, present, bytes, cells } = done;
  const { node, selector, fn } = input;
  tellOfSeries(ctx, fn, labels, counts);
  if (node.inner !== selector) {
    ctx.inNameOf(node.inner, (figures) => countRows(figures, counts));
  }
  const { steps } = node.grid;
  sendGrid({ labels: groups.labels, steps, values, present, dropName: null }, sink);
  ctx.budget.release(bytes, cells);
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
