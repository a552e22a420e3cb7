/**
 * @file Arithmetic and comparison between two vectors.
 *
 * Series are matched once, by ids; then each pair is a loop over its columns. Prometheus matches
 * anew at every step, so two series of one side may share a matching group as long as they never
 * have a value at the same step: groups of more than one series are checked step by step.
 *
 * Follows `VectorBinop` and `resultMetric` in `promql/engine.go` (3.14), error texts included.
 */
import { MetricstorError } from '../../errors.js';
import type { LabelTable } from '../../model/labels.js';
import { type ArithmeticOp, type Binary, isComparison, type VectorMatching } from '../ast.js';
import type { BinaryPlan, Plan } from '../plan.js';
import type { EvalContext } from './context.js';
import { fillMissing } from './fill.js';
import { isTrim } from './histogram-operators.js';
import { MixedPairs } from './join-histograms.js';
import { LabelIndex, LabelScratch, labelValue, printLabels } from './label-sets.js';
import { droppingNames, sameLabels } from './names.js';
import { arithmetic, comparison, type Operand } from './operators.js';
import { type Grid, type RowSink, sendGrid } from './rows.js';
import { selectLabels } from './selector.js';
import { hasTwins, matchSignatures, type Signatures, seriesByGroup } from './signatures.js';

/** Two sides, with "many" (or the left of one-to-one) first. */
interface Sides {
  readonly many: Grid;
  readonly one: Grid;
  /** Whether `many` is the operator's right side. */
  readonly swapped: boolean;
  /** Series of `many` before the stand-ins of `fill`. */
  readonly realMany: number;
}

/** Which series meet, and the label set that each meeting answers with. */
interface Pairs {
  readonly count: number;
  readonly many: Uint32Array;
  readonly one: Uint32Array;
  /** Index into `labels`. */
  readonly result: Uint32Array;
  readonly group: Uint32Array;
  /** How many groups there are. */
  readonly groups: number;
  readonly labels: LabelTable;
}

export function joinRows(ctx: EvalContext, node: BinaryPlan, sink: RowSink): void {
  const { left, right } = operands(ctx, node);
  const { expr } = node;
  const { steps } = node.grid;
  const swapped = expr.matching.cardinality === 'one-to-many';
  let sides: Sides = swapped
    ? { many: right, one: left, swapped, realMany: right.labels.count }
    : { many: left, one: right, swapped, realMany: left.labels.count };
  let match = matchSignatures(ctx, sides.many.labels, sides.one.labels, expr.matching);
  checkOneSide(ctx, expr, sides, match);
  const { fill } = expr.matching;
  let filled = 0;
  if (fill !== undefined) {
    const { bytes, ...all } = fillMissing(
      ctx,
      { ...sides, match },
      { many: fill.left, one: fill.right },
    );
    sides = { ...sides, many: all.many, one: all.one };
    match = all.match;
    filled = bytes;
  }
  const pairs = pairUp(ctx, expr, sides, match);
  const out = new JoinResult(ctx, expr, sides, pairs, steps);
  for (let pair = 0; pair < pairs.count; pair++) {
    out.add(pair);
    ctx.budget.spend(2 * steps);
  }
  out.send(sink);
  ctx.budget.release(filled, 0);
  ctx.release(left);
  ctx.release(right);
}

/** Both sides; those that read less where no error would be missed (`plan/narrow.ts`). */
function operands(ctx: EvalContext, node: BinaryPlan): { left: Grid; right: Grid } {
  const { narrowed = {}, expr } = node;
  const { matching } = expr;
  const oneIsLeft = matching.cardinality === 'one-to-many';
  const lessOfOne = oneIsLeft ? narrowed.left : narrowed.right;
  const lessOfMany = oneIsLeft ? narrowed.right : narrowed.left;
  const onePlan = oneIsLeft ? node.left : node.right;
  const manyPlan = oneIsLeft ? node.right : node.left;
  const unique = lessOfOne !== undefined && isUnique(ctx, onePlan, matching);
  if (lessOfMany === undefined) {
    const one = unique ? lessOfOne : onePlan;
    const left = ctx.grid(oneIsLeft ? one : manyPlan, 'take');
    return { left, right: ctx.grid(oneIsLeft ? manyPlan : one, 'take') };
  }
  const one = ctx.grid(unique ? lessOfOne : onePlan, 'take');
  const many = ctx.grid(
    unique || !hasTwins(ctx, one.labels, matching) ? lessOfMany : manyPlan,
    'take',
  );
  return oneIsLeft ? { left: one, right: many } : { left: many, right: one };
}

/** Whether no two series of an operand can be in one group, by labels that are looked up. */
function isUnique(ctx: EvalContext, node: Plan, matching: VectorMatching): boolean {
  if (node.kind !== 'selector') {
    // An aggregation by labels that are looked at.
    return true;
  }
  const labels = selectLabels(ctx, node);
  return !hasTwins(ctx, labels, matching);
}

function has(grid: Grid, cell: number): boolean {
  return grid.present === null || grid.present[cell] !== 0;
}

/** At each step, at most one series of a group may have a value on the "one" side. */
function checkOneSide(ctx: EvalContext, expr: Binary, sides: Sides, match: Signatures): void {
  const { steps } = sides.one;
  const one = seriesByGroup(match.right, match.count);
  const always = expr.matching.fill !== undefined;
  let firstStep = steps;
  let clash: { readonly a: number; readonly b: number; readonly group: number } | undefined;
  for (let group = 0; group < match.count; group++) {
    const from = one.offsets[group];
    const to = one.offsets[group + 1];
    if (to - from < 2) {
      continue;
    }
    const owner = new Int32Array(steps).fill(-1);
    for (let i = from; i < to; i++) {
      const series = one.series[i];
      for (let k = 0; k < firstStep; k++) {
        if (!has(sides.one, series * steps + k)) {
          continue;
        }
        if (owner[k] < 0) {
          owner[k] = series;
        } else if (always || anyAt(sides.many, k)) {
          // Prometheus goes step by step: the first step decides which error is seen.
          clash = { a: series, b: owner[k], group };
          firstStep = k;
        }
      }
    }
  }
  if (clash !== undefined) {
    throw duplicateSeries(ctx, expr, sides, match, clash);
  }
}

/** Whether a vector has any value at a step: with nothing on one side nothing is matched. */
function anyAt(grid: Grid, step: number): boolean {
  for (let i = 0; i < grid.labels.count; i++) {
    if (has(grid, i * grid.steps + step)) {
      return true;
    }
  }
  return false;
}

function duplicateSeries(
  ctx: EvalContext,
  expr: Binary,
  sides: Sides,
  match: Signatures,
  clash: { readonly a: number; readonly b: number; readonly group: number },
): MetricstorError {
  const side = expr.matching.cardinality === 'one-to-many' ? 'left' : 'right';
  const group = printLabels(ctx.session, match.labels, clash.group);
  const both = [clash.a, clash.b]
    .map((series) => printLabels(ctx.session, sides.one.labels, series))
    .sort();
  return new MetricstorError(
    'execution',
    `found duplicate series for the match group ${group} on the ${side} hand-side of the ` +
      `operation: [${both.join(', ')}];many-to-many matching not allowed: matching labels must ` +
      'be unique on one side',
  );
}

/** Every series of the many side with each of its group's series on the one side. */
function pairUp(ctx: EvalContext, expr: Binary, sides: Sides, match: Signatures): Pairs {
  const one = seriesByGroup(match.right, match.count);
  let count = 0;
  for (let i = 0; i < match.left.length; i++) {
    const group = match.left[i];
    count += one.offsets[group + 1] - one.offsets[group];
  }
  ctx.budget.hold(count * 16, 0);
  const pairs = {
    many: new Uint32Array(count),
    one: new Uint32Array(count),
    result: new Uint32Array(count),
    group: new Uint32Array(count),
  };
  const namer = new ResultNamer(ctx, expr, sides);
  let pair = 0;
  for (let i = 0; i < match.left.length; i++) {
    const group = match.left[i];
    for (let j = one.offsets[group]; j < one.offsets[group + 1]; j++) {
      pairs.many[pair] = i;
      pairs.one[pair] = one.series[j];
      pairs.result[pair] = namer.result(i, pairs.one[pair]);
      pairs.group[pair] = group;
      pair++;
    }
  }
  ctx.budget.release(count * 16, 0);
  return { count, ...pairs, groups: match.count, labels: namer.index.table() };
}

/** The label sets of results. */
class ResultNamer {
  readonly index = new LabelIndex();
  private readonly scratch = new LabelScratch();
  private readonly dropped: ReadonlySet<number>;
  private readonly kept: ReadonlySet<number> | undefined;
  private readonly include: readonly number[];

  constructor(
    private readonly ctx: EvalContext,
    expr: Binary,
    private readonly sides: Sides,
  ) {
    const { matching, op } = expr;
    const names = matching.labels.map((label) => ctx.session.intern(label));
    const oneToOne = matching.cardinality === 'one-to-one';
    // `bool` drops names too, but late if names are dropped late; before others are copied if not.
    const dropsByBool = expr.returnBool && !ctx.delayedNames;
    const keeps = (isComparison(op) && !dropsByBool) || isTrim(op);
    const metadata = keeps ? [] : [...ctx.metadataLabels];
    const ignored = oneToOne && !matching.on ? names : [];
    const dropped = new Set([...metadata, ...ignored]);
    this.dropped = dropped;
    this.kept = oneToOne && matching.on ? new Set(names.filter((n) => !dropped.has(n))) : undefined;
    this.include = matching.include.map((label) => ctx.session.intern(label));
  }

  result(many: number, one: number): number {
    const { scratch, sides } = this;
    if (this.kept === undefined) {
      scratch.project(sides.many.labels, many, this.dropped, false);
    } else {
      scratch.project(sides.many.labels, many, this.kept, true);
    }
    for (const label of this.include) {
      scratch.set(this.ctx.session, label, labelValue(sides.one.labels, one, label));
    }
    return this.index.add(scratch);
  }
}

/** The cells of the answer, and which of them are spoken for. */
class JoinResult {
  private readonly values: Float64Array;
  private readonly present: Uint8Array;
  /** Whether every pair has a result of its own, so that cells cannot clash. */
  private readonly unique: boolean;
  /** What has matched, kept or not; null where nothing can match twice. See `claim`. */
  private readonly claims: Uint32Array | null;
  private readonly flags: Uint8Array;
  private readonly holds: Uint8Array;
  private readonly row: Float64Array;
  /** Where a group has a match; null where nothing asks for it. */
  private readonly matched: Uint8Array | null;
  private readonly bytes: number;
  /** For pairs that are not of floats alone. */
  private readonly mixed: MixedPairs | undefined;

  constructor(
    private readonly ctx: EvalContext,
    private readonly expr: Binary,
    private readonly sides: Sides,
    private readonly pairs: Pairs,
    private readonly steps: number,
  ) {
    const cells = pairs.labels.count * steps;
    this.unique = pairs.labels.count === pairs.count;
    const claims = this.claimSize();
    const matches = expr.matching.fill?.left === undefined ? 0 : pairs.groups * steps;
    this.bytes = cells * 9 + claims * 4 + matches;
    ctx.budget.hold(this.bytes, cells);
    this.values = new Float64Array(cells);
    this.present = new Uint8Array(cells);
    this.matched = matches === 0 ? null : new Uint8Array(matches);
    this.claims = claims === 0 ? null : new Uint32Array(claims);
    this.flags = new Uint8Array(steps);
    this.holds = new Uint8Array(steps);
    this.row = new Float64Array(steps);
    const { many, one } = sides;
    const mixed = many.histograms ?? one.histograms;
    this.mixed = mixed || isTrim(expr.op) ? new MixedPairs(ctx, expr, steps) : undefined;
  }

  private get oneToOne(): boolean {
    return this.expr.matching.cardinality === 'one-to-one';
  }

  /** Cells needed to see whether something matches twice; 0 where it cannot. */
  private claimSize(): number {
    const { pairs, steps } = this;
    if (!this.oneToOne) {
      return this.unique ? 0 : pairs.labels.count * steps;
    }
    const seen = new Uint8Array(pairs.groups);
    let twice = false;
    for (const group of pairs.group) {
      twice ||= seen[group] !== 0;
      seen[group] = 1;
    }
    return twice ? pairs.groups * steps : 0;
  }

  add(pair: number): void {
    const { steps, pairs, sides } = this;
    const many = pairs.many[pair] * steps;
    const one = pairs.one[pair] * steps;
    const target = pairs.result[pair] * steps;
    const manySide = { ...sides.many, base: many, stride: 1 } as const;
    const oneSide = { ...sides.one, base: one, stride: 1 } as const;
    const left = sides.swapped ? oneSide : manySide;
    const right = sides.swapped ? manySide : oneSide;
    this.meet(many, one);
    this.leaveMatched(pair);
    this.mixed?.operate(left, right, this.flags);
    this.noteMatched(pair);
    this.claim(pair);
    this.mixed?.separate(this.flags);
    this.compute(left, right, target);
    this.mixed?.put(this.values, this.present, target);
  }

  /** A stand-in of the many side does not count where its group has a match. */
  private leaveMatched(pair: number): void {
    const { matched, flags, pairs, sides, steps } = this;
    if (matched !== null && pairs.many[pair] >= sides.realMany) {
      const base = pairs.group[pair] * steps;
      for (let k = 0; k < steps; k++) {
        flags[k] &= ~matched[base + k];
      }
    }
  }

  private noteMatched(pair: number): void {
    const { matched, flags, pairs, steps } = this;
    const base = pairs.group[pair] * steps;
    for (let k = 0; matched !== null && k < steps; k++) {
      matched[base + k] |= flags[k];
    }
  }

  /** Sets the flags of the steps at which both have a value. */
  private meet(many: number, one: number): void {
    const { flags, sides, steps } = this;
    const a = sides.many.present;
    const b = sides.one.present;
    if (a === null && b === null) {
      flags.fill(1);
      return;
    }
    for (let k = 0; k < steps; k++) {
      flags[k] = (a === null ? 1 : a[many + k]) & (b === null ? 1 : b[one + k]);
    }
  }

  /**
   * Claims the flagged steps: of the group in one-to-one matching, else of the result for the
   * group. A second claim is an error even where a comparison filters the value.
   */
  private claim(pair: number): void {
    const { claims, flags, steps, pairs, oneToOne } = this;
    if (claims === null) {
      return;
    }
    const base = (oneToOne ? pairs.group[pair] : pairs.result[pair]) * steps;
    const owner = oneToOne ? 1 : pairs.group[pair] + 1;
    for (let k = 0; k < steps; k++) {
      if (flags[k] === 0) {
        continue;
      }
      if (claims[base + k] === owner) {
        const reason = oneToOne
          ? 'many-to-one matching must be explicit (group_left/group_right)'
          : 'grouping labels must ensure unique matches';
        throw new MetricstorError('execution', `multiple matches for labels: ${reason}`);
      }
      claims[base + k] = owner;
    }
  }

  private compute(left: Operand, right: Operand, target: number): void {
    const { expr, flags, holds, row, steps, values, present } = this;
    const { op } = expr;
    if (!isComparison(op)) {
      if (this.unique) {
        arithmetic(op as ArithmeticOp, left, right, values, target, steps);
        present.set(flags, target);
      } else {
        arithmetic(op as ArithmeticOp, left, right, row, 0, steps);
        this.put(row, 0, target);
      }
      return;
    }
    comparison(op, left, right, holds, steps);
    if (expr.returnBool) {
      row.set(holds);
      this.put(row, 0, target);
      return;
    }
    for (let k = 0; k < steps; k++) {
      flags[k] &= holds[k];
    }
    this.put(left.values, left.base, target);
  }

  /** Writes the flagged cells of a row; a cell that has a value means equal label sets. */
  private put(row: Float64Array, base: number, target: number): void {
    const { flags, steps, values, present } = this;
    for (let k = 0; k < steps; k++) {
      if (flags[k] !== 0) {
        if (present[target + k] !== 0) {
          throw sameLabels();
        }
        values[target + k] = row[base + k];
        present[target + k] = 1;
      }
    }
  }

  send(sink: RowSink): void {
    const { expr, steps, values, present, ctx } = this;
    const { labels } = this.pairs;
    const histograms = this.mixed?.finish();
    const grid: Grid = { labels, steps, values, present, dropName: null, histograms };
    const dropsLate = expr.returnBool && ctx.delayedNames;
    sendGrid(grid, dropsLate ? droppingNames(ctx, sink, steps) : sink);
    ctx.budget.release(this.bytes, labels.count * steps);
    this.mixed?.release();
  }
}
