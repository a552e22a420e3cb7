/**
 * @file Binary operators with a scalar on at least one side, and the choice among the rest.
 *
 * Follows `VectorscalarBinop` and `scalarBinop` in Prometheus' `promql/engine.go` (3.14).
 */

import { MetricstorError } from '../../errors.js';
import type { Histogram } from '../../model/histogram.js';
import { type ArithmeticOp, isComparison, isSetOp } from '../ast.js';
import type { BinaryPlan, Plan } from '../plan.js';
import { goQuote } from '../position.js';
import type { EvalContext } from './context.js';
import { isTrim, type Outcome, operate, StepNotes } from './histogram-operators.js';
import { joinRows } from './join.js';
import { droppingNames } from './names.js';
import { arithmetic, comparison, type Operand } from './operators.js';
import { type Row, type RowSink, sendRow } from './rows.js';
import { setRows } from './set-operators.js';
import { joinRow, splitRow } from './split-rows.js';

/** A scalar of two scalars; comparisons give 1 or 0. */
export function scalarBinary(ctx: EvalContext, node: BinaryPlan): Float64Array {
  const { steps } = node.grid;
  if (isTrim(node.expr.op)) {
    const text = `operator ${goQuote(node.expr.op)} not allowed for Scalar operations`;
    throw new MetricstorError('execution', text);
  }
  const left: Operand = { values: ctx.scalars(node.left), base: 0, stride: 1 };
  const right: Operand = { values: ctx.scalars(node.right), base: 0, stride: 1 };
  const out = new Float64Array(steps);
  const { op } = node.expr;
  if (isComparison(op)) {
    const flags = new Uint8Array(steps);
    comparison(op, left, right, flags, steps);
    out.set(flags);
  } else {
    arithmetic(op as ArithmeticOp, left, right, out, 0, steps);
  }
  return out;
}

/** The rows of a binary operator with a vector on at least one side. */
export function binaryRows(ctx: EvalContext, node: BinaryPlan, sink: RowSink): void {
  if (node.left.type === 'vector' && node.right.type === 'vector') {
    if (isSetOp(node.expr.op)) {
      setRows(ctx, node, node.expr.op, sink);
    } else {
      joinRows(ctx, node, sink);
    }
    return;
  }
  vectorScalarRows(ctx, node, sink);
}

function vectorScalarRows(ctx: EvalContext, node: BinaryPlan, sink: RowSink): void {
  const { steps } = node.grid;
  const { op, returnBool } = node.expr;
  const scalarLeft = node.left.type === 'scalar';
  const vector: Plan = scalarLeft ? node.right : node.left;
  const values = ctx.scalars(scalarLeft ? node.left : node.right);
  const scalar: Operand = { values, base: 0, stride: 1 };
  const filter = isTrim(op) || (isComparison(op) && !returnBool);
  const target = filter ? sink : droppingNames(ctx, sink, steps);
  const out: Row = { values: new Float64Array(steps), base: 0, present: null, presentBase: 0 };
  const flags = new Uint8Array(steps);
  const ofFloats = (row: Row): Row => {
    const operand: Operand = { values: row.values, base: row.base, stride: 1 };
    const left = scalarLeft ? scalar : operand;
    const right = scalarLeft ? operand : scalar;
    out.present = row.present;
    out.presentBase = row.presentBase;
    if (!isComparison(op)) {
      arithmetic(op as ArithmeticOp, left, right, out.values, 0, steps);
      return out;
    }
    comparison(op, left, right, flags, steps);
    if (returnBool) {
      out.values.set(flags);
      return out;
    }
    // A filter: the vector's own value stays, on whichever side it is.
    andFlags(flags, row);
    return { values: row.values, base: row.base, present: flags, presentBase: 0 };
  };
  const notes = new StepNotes();
  const operateWith = (value: Histogram | number, scalarValue: number): Outcome =>
    scalarLeft ? operate(op, scalarValue, value) : operate(op, value, scalarValue);
  const ofHistograms = (row: Row): Row => {
    const { floats, histograms } = splitRow(row, steps);
    const results = histograms.map((one, k) => {
      const concerned = one !== undefined || (isTrim(op) && floats.present?.[k] === 1);
      const value = one ?? row.values[row.base + k];
      const outcome = concerned ? operateWith(value, values[k]) : undefined;
      notes.set(k, outcome?.note);
      return outcome?.holds ? outcome.value : undefined;
    });
    if (isTrim(op)) {
      floats.present?.fill(0);
    }
    return joinRow(isTrim(op) ? floats : ofFloats(floats), results, steps);
  };
  ctx.rows(vector, {
    histograms: 'take',
    begin: (labels, dropName) => target.begin(labels, dropName),
    row: (series, row) => {
      const plain = row.histograms === undefined && !isTrim(op);
      sendRow(target, series, plain ? ofFloats(row) : ofHistograms(row), steps);
    },
    end: () => {
      notes.each((note) => ctx.annotations.operatorNote(note, node.expr));
      target.end();
    },
  });
}

/** Clears the flags of steps where the row has no value. */
export function andFlags(flags: Uint8Array, row: Row): void {
  if (row.present === null) {
    return;
  }
  for (let k = 0; k < flags.length; k++) {
    flags[k] &= row.present[row.presentBase + k];
  }
}
