/**
 * @file Arithmetic and comparison on columns, a loop per operator.
 */
import type { ArithmeticOp, ComparisonOp } from '../ast.js';
import { goPow } from '../functions/math.js';

/** Cells `[at, at + length)` of a column, or one value for all of them. */
export interface Operand {
  readonly values: Float64Array;
  readonly base: number;
  /** 1 to walk along the column, 0 to stay. */
  readonly stride: 0 | 1;
}

/** `to[k] = left[k] op right[k]`. */
export function arithmetic(
  op: ArithmeticOp,
  left: Operand,
  right: Operand,
  to: Float64Array,
  toBase: number,
  length: number,
): void {
  const a = left.values;
  const b = right.values;
  const { base: i, stride: si } = left;
  const { base: j, stride: sj } = right;
  switch (op) {
    case '+':
      for (let k = 0; k < length; k++) {
        to[toBase + k] = a[i + k * si] + b[j + k * sj];
      }
      break;
    case '-':
      for (let k = 0; k < length; k++) {
        to[toBase + k] = a[i + k * si] - b[j + k * sj];
      }
      break;
    case '*':
      for (let k = 0; k < length; k++) {
        to[toBase + k] = a[i + k * si] * b[j + k * sj];
      }
      break;
    case '/':
      for (let k = 0; k < length; k++) {
        to[toBase + k] = a[i + k * si] / b[j + k * sj];
      }
      break;
    case '%':
      for (let k = 0; k < length; k++) {
        to[toBase + k] = a[i + k * si] % b[j + k * sj];
      }
      break;
    case '^':
      for (let k = 0; k < length; k++) {
        to[toBase + k] = goPow(a[i + k * si], b[j + k * sj]);
      }
      break;
    case 'atan2':
      for (let k = 0; k < length; k++) {
        to[toBase + k] = Math.atan2(a[i + k * si], b[j + k * sj]);
      }
      break;
  }
}

/** `to[k]` is 1 where the comparison holds, else 0. */
export function comparison(
  op: ComparisonOp,
  left: Operand,
  right: Operand,
  to: Uint8Array,
  length: number,
): void {
  const a = left.values;
  const b = right.values;
  const { base: i, stride: si } = left;
  const { base: j, stride: sj } = right;
  switch (op) {
    case '==':
      for (let k = 0; k < length; k++) {
        to[k] = a[i + k * si] === b[j + k * sj] ? 1 : 0;
      }
      break;
    case '!=':
      for (let k = 0; k < length; k++) {
        to[k] = a[i + k * si] !== b[j + k * sj] ? 1 : 0;
      }
      break;
    case '>':
      for (let k = 0; k < length; k++) {
        to[k] = a[i + k * si] > b[j + k * sj] ? 1 : 0;
      }
      break;
    case '<':
      for (let k = 0; k < length; k++) {
        to[k] = a[i + k * si] < b[j + k * sj] ? 1 : 0;
      }
      break;
    case '>=':
      for (let k = 0; k < length; k++) {
        to[k] = a[i + k * si] >= b[j + k * sj] ? 1 : 0;
      }
      break;
    case '<=':
      for (let k = 0; k < length; k++) {
        to[k] = a[i + k * si] <= b[j + k * sj] ? 1 : 0;
      }
      break;
  }
}
