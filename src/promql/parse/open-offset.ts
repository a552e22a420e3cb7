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
      source.unexpectedInOffset(modifier.from);
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
        return source.unexpectedInOffset(source.query.length);
    }
  }
}

function addOperand(source: Source, spanned: Spanned, binding: DurationBinding): void {
  const { node, from, to } = spanned;
  const span = { start: from, end: to };
  if (node.name === 'NumberDurationLiteral') {
    binding.literal(spanned);
  } else if (node.name === 'ParenExpr') {
    binding.operand(wrapDuration(buildInner(source, node), span));
  } else {
    binding.operand(buildWord(source, spanned));
  }
}

function buildInner(source: Source, node: SyntaxNode): Duration {
  const [inner] = childrenOf(node);
  if (inner === undefined) {
    return source.unexpectedInOffset(node.from + 1);
  }
  const row = rowOf(source, inner);
  const binding = new DurationBinding(source);
  const end = layOut(source, row, layOutOperand(source, row, 0, binding), binding);
  const rest = row[end];
  if (rest !== undefined) {
    return source.unexpectedInOffset(rest.kind === 'sign' ? rest.sign.start : rest.node.from);
  }
  return binding.finish();
}

/** `step()`, `range()`, `min_of(a, b)` and `max_of(a, b)`, which lezer read as calls. */
function buildWord(source: Source, { node, from, to }: Spanned): Duration {
  const [name, body] = childrenOf(node);
  const word = name === undefined ? '' : source.word(name.from).toLowerCase();
  const span = { start: from, end: to };
  if (node.name !== 'FunctionCall' || body === undefined) {
    return source.unexpectedInOffset(from);
  }
  const parts = childrenOf(body);
  if ((word === 'step' || word === 'range') && parts.length === 0) {
    return { kind: word, span };
  }
  if (word !== 'min_of' && word !== 'max_of') {
    return source.unexpectedInOffset(parts.length === 0 ? from : (parts[0]?.from ?? from));
  }
  const [left, right] = parts.map((part) => {
    const row = rowOf(source, part);
    const binding = new DurationBinding(source);
    layOut(source, row, layOutOperand(source, row, 0, binding), binding);
    return binding.finish();
  });
  if (left === undefined || right === undefined) {
    return source.unexpectedInOffset(to - 1);
  }
  return { kind: 'binary', op: word, left, right, span };
}
