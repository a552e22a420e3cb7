/**
 * @file Binary operators with a scalar on at least one side, and the choice among the rest.
 *
 * Follows `VectorscalarBinop` and `scalarBinop` in Prometheus' `promql/engine.go` (3.14).
 */
import { type ArithmeticOp, isComparison, isSetOp } from '../ast.js';
import type { BinaryPlan, Plan } from '../plan.js';
import type { EvalContext } from './context.js';
import { joinRow, scalarOperation, splitRow } from './histogram-scalar.js';
import { joinRows } from './join.js';
import { droppingNames } from './names.js';
import { arithmetic, comparison, type Operand } from './operators.js';
import { type Row, type RowSink, sendRow } from './rows.js';
import { setRows } from './set-operators.js';

/** A scalar of two scalars; comparisons give 1 or 0. */
export function scalarBinary(ctx: EvalContext, node: BinaryPlan): Float64Array {
  const { steps } = node.grid;
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
  const filter = isComparison(op) && !returnBool;
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
  const operation = scalarOperation(op, scalarLeft);
  const ofHistograms = (row: Row): Row => {
    const { floats, histograms } = splitRow(row, steps);
    const result = ofFloats(floats);
    if (operation !== undefined) {
      const results = histograms.map(
        (histogram, k) => histogram && operation(histogram, values[k]),
      );
      return joinRow(result, results, steps);
    }
    if (histograms.some((histogram) => histogram !== undefined)) {
      const [left, right] = scalarLeft ? ['float', 'histogram'] : ['histogram', 'float'];
      ctx.annotations.incompatibleTypes(left, op, right, node.expr);
    }
    return result;
  };
  ctx.rows(vector, {
    histograms: 'take',
    begin: (labels, dropName) => target.begin(labels, dropName),
    row: (series, row) => {
      const result = row.histograms === undefined ? ofFloats(row) : ofHistograms(row);
      sendRow(target, series, result, steps);
    },
    end: () => target.end(),
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
