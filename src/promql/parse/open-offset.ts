/**
 * @file Offsets that go on: `x offset (1m) * 2` is `x offset ((1m) * 2)` in Prometheus, while
 * `x offset 1m * 2` is `(x offset 1m) * 2`.
 *
 * Behind a parenthesis, or a sign of a sign, Prometheus' parser is in its rule for arithmetic of
 * durations (`duration_expr`) and stays there while operators follow; lezer is not. So the parts
 * of the row behind such an offset are read as a duration.
 */
import type { SyntaxNode } from '@lezer/common';
import type { Duration } from '../ast.js';
import { DurationBinding, layOutDuration, wrapDuration } from './durations.js';
import { type RowPart, rowOf, type Spanned } from './row.js';
import type { Source } from './source.js';
import { childrenOf } from './tree.js';

export interface OpenOffset {
  readonly offset: Duration;
  /** How many parts of the row belong to it. */
  readonly taken: number;
}

/** The offset at `at` of the row if it goes on behind its node, else undefined. */
export function openOffset(
  source: Source,
  row: readonly RowPart[],
  at: number,
): OpenOffset | undefined {
  const part = row[at];
  if (part?.kind !== 'behind' || part.node.name !== 'OffsetExpr') {
    return undefined;
  }
  const duration = part.parts[1];
  if (duration?.name !== 'OffsetDurationExpr' || !/^\(|^[+-]\s*[+-]/.test(source.text(duration))) {
    return undefined;
  }
  const binding = new DurationBinding(source);
  layOutDuration(source, duration, binding);
  const end = layOut(source, row, at + 1, binding);
  return end === at + 1 ? undefined : { offset: binding.finish(), taken: end - at - 1 };
}

/** Takes operators and operands from `start` on; returns the first part that is neither. */
function layOut(
  source: Source,
  row: readonly RowPart[],
  start: number,
  binding: DurationBinding,
): number {
  let at = start;
  for (;;) {
    const infix = row[at];
    if (infix?.kind !== 'infix' || !/^[-+*/%^]$/.test(source.text(infix.node))) {
      return at;
    }
    const [modifier] = infix.modifiers;
    if (modifier !== undefined) {
      source.unexpected(modifier.from);
    }
    binding.operator(source.text(infix.node), infix.node.from);
    at = layOutOperand(source, row, at + 1, binding);
  }
}

/** Takes signs and an operand; returns the part behind. */
function layOutOperand(
  source: Source,
  row: readonly RowPart[],
  start: number,
  binding: DurationBinding,
): number {
  for (let at = start; ; at++) {
    const part = row[at];
    switch (part?.kind) {
      case 'sign':
        binding.sign(part.sign);
        break;
      case 'operand':
        addOperand(source, part.node, binding);
        return at + 1;
      default:
        return source.unexpected(source.query.length);
    }
  }
}

function addOperand(source: Source, spanned: Spanned, binding: DurationBinding): void {
  const { node, from, to } = spanned;
  const span = { start: from, end: to };
  switch (node.name) {
    case 'NumberDurationLiteral':
      binding.literal(spanned);
      break;
    case 'ParenExpr': {
      const [inner] = childrenOf(node);
      const of = inner === undefined ? source.unexpected(to) : buildRow(source, inner);
      binding.operand(wrapDuration(of, span));
      break;
    }
    case 'FunctionCall':
      binding.operand(buildCall(source, node));
      break;
    default:
      source.unexpected(from);
  }
}

/** An expression of lezer's that is to be a duration and nothing else. */
function buildRow(source: Source, node: SyntaxNode): Duration {
  const row = rowOf(source, node);
  const binding = new DurationBinding(source);
  const rest = row[layOut(source, row, layOutOperand(source, row, 0, binding), binding)];
  if (rest !== undefined) {
    source.unexpected(rest.kind === 'sign' ? rest.sign.start : rest.node.from);
  }
  return binding.finish();
}

/** `step()`, `range()`, `min_of(a, b)` and `max_of(a, b)`, which lezer read as calls. */
function buildCall(source: Source, node: SyntaxNode): Duration {
  const [, body] = childrenOf(node);
  const word = source.word(node.from).toLowerCase();
  const span = { start: node.from, end: node.to };
  const args = body === undefined ? [] : childrenOf(body);
  if ((word === 'step' || word === 'range') && args.length === 0) {
    return { kind: word, span };
  }
  if (word !== 'min_of' && word !== 'max_of') {
    return source.unexpected(args[0]?.from ?? node.from);
  }
  const [left, right, third] = args.map((arg) => buildRow(source, arg));
  if (left === undefined || right === undefined || third !== undefined) {
    return source.unexpected(third === undefined ? node.to - 1 : (right?.span.end ?? node.to));
  }
  return { kind: 'binary', op: word, left, right, span };
}
