/**
 * @file What stands behind an operand: ranges, `offset`, `@`, `anchored` and `smoothed`.
 *
 * Follows `addOffset`, `setTimestamp`, `setAnchored` and the rule `matrix_selector` of Prometheus'
 * `promql/parser` (3.14).
 */
import type { SyntaxNode } from '@lezer/common';
import type { Expr, MatrixSelector, Shift, Subquery, VectorSelector } from '../ast.js';
import { buildAt, buildDuration, buildPositive } from './durations.js';
import type { OpenOffset } from './open-offset.js';
import type { RowPart } from './row.js';
import { noShift } from './selectors.js';
import type { Source } from './source.js';

type BehindPart = Extract<RowPart, { kind: 'behind' }>;

type Shiftable = VectorSelector | MatrixSelector | Subquery;

/** The operand with what stands behind it; `open` holds an offset that goes on in the row. */
export function applyPostfix(
  source: Source,
  part: BehindPart,
  operand: Expr,
  open: OpenOffset | undefined,
): Expr {
  const { node, parts } = part;
  switch (node.name) {
    case 'OffsetExpr':
      return applyOffset(source, part, operand, open);
    case 'StepInvariantExpr':
      return applyAt(source, part, operand);
    case 'AnchoredExpr':
      return applyEdges(source, node, operand, 'anchored');
    case 'SmoothedExpr':
      return applyEdges(source, node, operand, 'smoothed');
    default:
      return applyRange(source, node, parts, operand);
  }
}

function applyRange(
  source: Source,
  node: SyntaxNode,
  parts: readonly SyntaxNode[],
  operand: Expr,
): Expr {
  const [range, step] = parts.map((part) => buildPositive(source, part));
  if (range === undefined) {
    return source.incomplete(node);
  }
  const span = { start: operand.span.start, end: node.to };
  if (node.name === 'SubqueryExpr') {
    return { kind: 'subquery', inner: operand, range, step, shift: noShift, span };
  }
  const start = source.query.lastIndexOf('[', (parts[0]?.from ?? 0) - 1);
  const brackets = { start, end: node.to };
  if (operand.kind !== 'selector') {
    return source.fail(brackets, 'ranges only allowed for vector selectors', node);
  }
  const { shift } = operand;
  if (isOffset(shift)) {
    source.fail(brackets, 'no offset modifiers allowed before range', node);
  }
  if (shift.at !== undefined) {
    source.fail(brackets, 'no @ modifiers allowed before range', node);
  }
  return { kind: 'matrix', selector: { ...operand, shift: noShift }, range, shift, span };
}

/** Whether an offset was given; `offset 0` counts as none. */
function isOffset({ offset }: Shift): boolean {
  return offset !== undefined && !(offset.kind === 'fixed' && offset.seconds === 0);
}

/** Complains about a whole operand with what stands behind it. */
type Fail = (message: string) => never;

function applyOffset(
  source: Source,
  { node, parts }: BehindPart,
  operand: Expr,
  open: OpenOffset | undefined,
): Expr {
  const duration = parts[1];
  if (duration === undefined) {
    return source.incomplete(node);
  }
  const offset = open?.offset ?? buildDuration(source, duration);
  const span = { start: operand.span.start, end: open?.offset.span.end ?? node.to };
  const fail: Fail = (message) => source.fail(span, message, node);
  const shiftable = shiftableOf(operand, 'offset modifier', fail);
  if (isOffset(shiftable.shift)) {
    fail('offset may not be set multiple times');
  }
  return { ...shiftable, shift: { ...shiftable.shift, offset }, span };
}

function applyAt(source: Source, { node, parts }: BehindPart, operand: Expr): Expr {
  const time = parts[1];
  if (time === undefined) {
    return source.incomplete(node);
  }
  const at = buildAt(source, time, operand.span.start);
  const span = { start: operand.span.start, end: node.to };
  const fail: Fail = (message) => source.fail(span, message, node);
  const shiftable = shiftableOf(operand, '@ modifier', fail);
  if (shiftable.shift.at !== undefined) {
    fail('@ <timestamp> may not be set multiple times');
  }
  return { ...shiftable, shift: { ...shiftable.shift, at }, span };
}

function shiftableOf(expr: Expr, what: string, fail: Fail): Shiftable {
  if (expr.kind === 'selector' || expr.kind === 'matrix' || expr.kind === 'subquery') {
    return expr;
  }
  const kinds = 'an instant vector selector or range vector selector or a subquery';
  return fail(`${what} must be preceded by ${kinds}`);
}

function applyEdges(
  source: Source,
  node: SyntaxNode,
  operand: Expr,
  edges: 'anchored' | 'smoothed',
): Expr {
  const span = { start: operand.span.start, end: node.to };
  if (operand.kind === 'subquery') {
    return source.fail(span, `${edges} modifier is not supported for subqueries`);
  }
  if (operand.kind !== 'selector' && operand.kind !== 'matrix') {
    return source.fail(span, `${edges} modifier not implemented`);
  }
  if (operand.shift.edges !== undefined && operand.shift.edges !== edges) {
    source.fail(span, 'anchored and smoothed modifiers cannot be used together');
  }
  return { ...operand, shift: { ...operand.shift, edges }, span };
}
