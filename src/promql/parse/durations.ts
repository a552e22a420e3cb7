/**
 * @file Durations in `[…]` and behind `offset`, arithmetic included, and the time behind `@`.
 *
 * Follows the rules `duration_expr` and `offset_duration_expr` of Prometheus'
 * `generated_parser.y` (3.14). Numbers are seconds.
 */
import type { SyntaxNode } from '@lezer/common';
import type { AtModifier, Duration, Span } from '../ast.js';
import { formatFloat } from '../format-float.js';
import { Binding, precedences, type Sign } from './binding.js';
import { isDurationLiteral, numberValue } from './numbers.js';
import type { Source } from './source.js';
import { childrenOf } from './tree.js';

/** 2^63 nanoseconds in seconds, as Go's `time.Duration`. */
const maxSeconds = 2 ** 63 / 1e9;

type BinaryOp = Extract<Duration, { kind: 'binary' }>['op'];

interface Infix {
  readonly op: BinaryOp;
  readonly start: number;
}

/** A literal with its value in seconds; `node` covers nothing else. */
export function literalValue(source: Source, node: { from: number; to: number }): number {
  if (node.from === node.to) {
    return source.unexpected(node.from);
  }
  const value = numberValue(source.text(node));
  const span = { start: node.from, end: node.to };
  return typeof value === 'number' ? value : source.fail(span, value.problem);
}

/** Binds the parts of durations, wherever they come from. */
export class DurationBinding extends Binding<Duration, Infix> {
  constructor(private readonly source: Source) {
    super({
      sign: applySign,
      infix: (infix, left, right) => applyInfix(source, infix, left, right),
      missing: () => source.unexpected(source.query.length),
    });
  }

  /** Adds a number or a duration as written. */
  literal(node: { from: number; to: number }): void {
    this.operand(buildLiteral(this.source, node));
  }

  operator(word: string, start: number): void {
    this.infix({ op: word as BinaryOp, start }, precedences[word] ?? 0);
  }
}

function buildLiteral(source: Source, node: { from: number; to: number }): Duration {
  const seconds = literalValue(source, node);
  const span = { start: node.from, end: node.to };
  if (!(Math.abs(seconds) <= maxSeconds)) {
    source.fail(span, 'duration out of range');
  }
  return { kind: 'fixed', seconds, isDuration: isDurationLiteral(source.text(node)), span };
}

function applySign({ word, start }: Sign, of: Duration): Duration {
  const span: Span = { start, end: of.span.end };
  if (of.kind === 'fixed') {
    return { ...of, seconds: word === '-' ? -of.seconds : of.seconds, span };
  }
  return word === '-' ? { kind: 'negate', of, span } : of;
}

function applyInfix(
  source: Source,
  { op, start }: Infix,
  left: Duration,
  right: Duration,
): Duration {
  if ((op === '/' || op === '%') && right.kind === 'fixed' && right.seconds === 0) {
    const span = { start, end: right.span.end };
    source.failBehind(span, op === '/' ? 'division by zero' : 'modulo by zero');
  }
  return { kind: 'binary', op, left, right, span: { start: left.span.start, end: right.span.end } };
}

/** Parentheses around parentheses are one pair. */
export function wrapDuration(of: Duration, span: Span): Duration {
  return of.kind === 'paren' ? { ...of, span } : { kind: 'paren', of, span };
}

/** A `DurationExpr` or `OffsetDurationExpr` of lezer's. */
export function buildDuration(source: Source, node: SyntaxNode): Duration {
  const binding = new DurationBinding(source);
  layOutDuration(source, node, binding);
  return binding.finish();
}

/** Gives signs, operands and operators to `binding`; lezer's own grouping of them is dropped. */
export function layOutDuration(source: Source, node: SyntaxNode, binding: DurationBinding): void {
  const parts = childrenOf(node);
  const [first] = parts;
  if (first === undefined) {
    source.incomplete(node);
  }
  const span = { start: node.from, end: node.to };
  switch (first.name) {
    case 'DurationStep':
    case 'DurationRange':
      binding.operand({ kind: first.name === 'DurationStep' ? 'step' : 'range', span });
      return;
    case 'DurationMinOf':
    case 'DurationMaxOf': {
      const op = first.name === 'DurationMinOf' ? 'min_of' : 'max_of';
      binding.operand(buildExtreme(source, op, parts.slice(1), span));
      return;
    }
    case 'DurationExpr':
      if (parts.length === 1) {
        binding.operand(wrapDuration(buildDuration(source, first), span));
        return;
      }
      break;
    default:
      break;
  }
  for (const part of parts) {
    switch (part.name) {
      case 'UnaryOp':
        binding.sign({ word: source.text(part) as '+' | '-', start: part.from });
        break;
      case 'DurationExpr':
      case 'OffsetDurationExpr':
        layOutDuration(source, part, binding);
        break;
      case 'NumberDurationLiteralInDurationContext':
        binding.literal(part);
        break;
      default:
        binding.operator(source.text(part), part.from);
    }
  }
}

/** `min_of(left, right)` or `max_of(left, right)`, given the nodes behind the name. */
function buildExtreme(
  source: Source,
  op: 'min_of' | 'max_of',
  parts: readonly SyntaxNode[],
  span: Span,
): Duration {
  const operands = parts.map((part) => buildDuration(source, part));
  const [left, right] = operands;
  if (left === undefined || right === undefined) {
    return source.unexpected(span.end);
  }
  return { kind: 'binary', op, left, right, span };
}

/** A duration in brackets. */
export function buildPositive(source: Source, node: SyntaxNode): Duration {
  const duration = buildDuration(source, node);
  const goesOn = /^[-+*/%^]$/.test(source.tokenBehind(node.to)?.text ?? '');
  if (!goesOn && duration.kind === 'fixed' && duration.seconds <= 0) {
    source.failBehind(duration.span, 'duration must be greater than 0');
  }
  return duration;
}

/** What stands behind `@`; errors about its value point to the start of what it is behind. */
export function buildAt(source: Source, node: SyntaxNode, start: number): AtModifier {
  if (node.name === 'AtModifierPreprocessors') {
    return { kind: source.text(node).toLowerCase() === 'start' ? 'start' : 'end' };
  }
  const text = source.text(node);
  const blank = /^[+-]?\s*/.exec(text)?.[0].length ?? 0;
  const literal = literalValue(source, { from: node.from + blank, to: node.to });
  const seconds = text.startsWith('-') ? -literal : literal;
  if (!(Math.abs(seconds) < 2 ** 63)) {
    // Numbers of this size are whole, and `toFixed` would use an exponent.
    const shown = Number.isFinite(seconds) ? `${BigInt(seconds)}.000000` : formatFloat(seconds);
    source.fail({ start, end: node.to }, `timestamp out of bounds for @ modifier: ${shown}`);
  }
  return { kind: 'time', ms: Math.round(seconds * 1000) };
}
