/**
 * @file Scalars of literals, reckoned while planning by the operators' own kernels.
 *
 * Nothing folds that could fail or annotate: between scalars that is only `</` and `>/`.
 */
import { type ArithmeticOp, isComparison, isSetOp } from '../ast.js';
import { isTrim } from '../exec/histogram-operators.js';
import { arithmetic, comparison, type Operand } from '../exec/operators.js';
import { mapChildren, type NumberPlan, type Plan } from './nodes.js';

/** The same plan with a number in place of every scalar that is known. */
export function foldConstants(node: Plan): Plan {
  const folded = mapChildren(node, foldConstants);
  const value = knownValue(folded);
  if (value === undefined || folded.kind === 'number') {
    return folded;
  }
  const { grid, expr, type } = folded;
  return { kind: 'number', value, grid, expr, type, folded: true } satisfies NumberPlan;
}

function knownValue(node: Plan): number | undefined {
  switch (node.kind) {
    case 'number':
      return node.value;
    case 'repeat':
      return node.type === 'scalar' ? knownValue(node.inner) : undefined;
    case 'unary': {
      const value = node.type === 'scalar' ? knownValue(node.inner) : undefined;
      return value !== undefined && node.expr.op === '-' ? -value : value;
    }
    case 'binary': {
      const left = knownValue(node.left);
      const right = knownValue(node.right);
      const { op } = node.expr;
      return left === undefined || right === undefined || isTrim(op) || isSetOp(op)
        ? undefined
        : reckon(op, left, right);
    }
    default:
      return undefined;
  }
}

function reckon(op: Parameters<typeof comparison>[0] | ArithmeticOp, a: number, b: number): number {
  const left: Operand = { values: Float64Array.of(a), base: 0, stride: 1 };
  const right: Operand = { values: Float64Array.of(b), base: 0, stride: 1 };
  if (isComparison(op)) {
    const holds = new Uint8Array(1);
    comparison(op, left, right, holds, 1);
    return holds[0];
  }
  const out = new Float64Array(1);
  arithmetic(op, left, right, out, 0, 1);
  return out[0];
}
