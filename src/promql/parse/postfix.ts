/**
 * @file What stands behind an operand: ranges, `offset`, `@`, `anchored` and `smoothed`.
 *
 * Follows `addOffset`, `setTimestamp`, `setAnchored` and the rule `matrix_selector` of Prometheus'
 * `promql/parser` (3.14).
 */
import type { SyntaxNode } from '@lezer/common';
import type { Duration, Expr, MatrixSelector, Shift, Subquery, VectorSelector } from '../ast.js';
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
  const durations: Duration[] = [];
  for (const part of parts) {
    source.sound(part);
    durations.push(buildPositive(source, part));
  }
  const [range, step] = durations;
  if (range === undefined) {
    return source.unexpected(node.to);
  }
  const span = { start: operand.span.start, end: node.to };
  if (node.name === 'SubqueryExpr') {
    return { kind: 'subquery', inner: operand, range, step, shift: noShift, span };
  }
  const open = source.query.lastIndexOf('[', (parts[0]?.from ?? 0) - 1);
  if (operand.kind !== 'selector') {
    return source.fail(open, 'ranges only allowed for vector selectors');
  }
  const { shift } = operand;
  if (isOffset(shift)) {
    source.fail(open, 'no offset modifiers allowed before range');
  }
  if (shift.at !== undefined) {
    source.fail(open, 'no @ modifiers allowed before range');
  }
  return { kind: 'matrix', selector: { ...operand, shift: noShift }, range, shift, span };
}

/** Whether an offset was given; `offset 0` counts as none. */
function isOffset({ offset }: Shift): boolean {
  return offset !== undefined && !(offset.kind === 'fixed' && offset.seconds === 0);
}

function applyOffset(
  source: Source,
  { node, parts }: BehindPart,
  operand: Expr,
  open: OpenOffset | undefined,
): Expr {
  const [keyword, duration] = parts;
  if (keyword === undefined || duration === undefined) {
    return source.unexpected(node.to);
  }
  source.sound(keyword);
  source.sound(duration);
  const offset = open?.offset ?? buildDuration(source, duration);
  const shiftable = shiftableOf(source, operand, 'offset modifier');
  if (isOffset(shiftable.shift)) {
    source.fail(operand.span.start, 'offset may not be set multiple times');
  }
  return shifted(shiftable, { ...shiftable.shift, offset }, open?.offset.span.end ?? node.to);
}

function applyAt(source: Source, { node, parts }: BehindPart, operand: Expr): Expr {
  for (const part of parts) {
    source.sound(part);
  }
  const [, time] = parts;
  if (time === undefined) {
    return source.unexpected(node.to);
  }
  const at = buildAt(source, time, operand.span.start);
  const shiftable = shiftableOf(source, operand, '@ modifier');
  if (shiftable.shift.at !== undefined) {
    source.fail(operand.span.start, '@ <timestamp> may not be set multiple times');
  }
  return shifted(shiftable, { ...shiftable.shift, at }, node.to);
}

function applyEdges(
  source: Source,
  node: SyntaxNode,
  operand: Expr,
  edges: 'anchored' | 'smoothed',
): Expr {
  const { start } = operand.span;
  if (operand.kind === 'subquery') {
    return source.fail(start, `${edges} modifier is not supported for subqueries`);
  }
  if (operand.kind !== 'selector' && operand.kind !== 'matrix') {
    return source.fail(start, `${edges} modifier not implemented`);
  }
  if (operand.shift.edges !== undefined && operand.shift.edges !== edges) {
    source.fail(start, 'anchored and smoothed modifiers cannot be used together');
  }
  return shifted(operand, { ...operand.shift, edges }, node.to);
}

function shiftableOf(source: Source, expr: Expr, what: string): Shiftable {
  if (expr.kind === 'selector' || expr.kind === 'matrix' || expr.kind === 'subquery') {
    return expr;
  }
  const kinds = 'an instant vector selector or range vector selector or a subquery';
  return source.fail(expr.span.start, `${what} must be preceded by ${kinds}`);
}

function shifted(expr: Shiftable, shift: Shift, end: number): Expr {
  return { ...expr, shift, span: { start: expr.span.start, end } };
}
