/**
 * @file lezer's tree to the syntax tree, one function a kind of operand.
 *
 * Parts are taken from left to right, and each complaint is made where Prometheus' parser makes
 * it, when a construct is complete: so the first error is the same one.
 */
import type { SyntaxNode } from '@lezer/common';
import type {
  Aggregate,
  AggregateOp,
  Binary,
  BinaryOp,
  Call,
  Expr,
  Paren,
  Span,
  VectorMatching,
} from '../ast.js';
import { isFunction, unsupportedFunctions } from '../functions/signatures.js';
import { goQuote } from '../position.js';
import { Binding, precedences, type Sign } from './binding.js';
import { literalValue } from './durations.js';
import { isDurationLiteral } from './numbers.js';
import { openOffset } from './open-offset.js';
import { applyPostfix } from './postfix.js';
import { type RowPart, rowOf, type Spanned } from './row.js';
import { buildLabels, buildSelector } from './selectors.js';
import type { Source } from './source.js';
import { unquote } from './strings.js';
import { childrenOf } from './tree.js';

type InfixPart = Extract<RowPart, { kind: 'infix' }>;

/** An infix operator with the modifiers behind it. */
interface Infix {
  readonly op: BinaryOp;
  readonly returnBool: boolean;
  readonly matching: VectorMatching;
}

/** Any expression. */
export function buildExpression(source: Source, node: SyntaxNode): Expr {
  const row = rowOf(source, node);
  const binding = new Binding<Expr, Infix>({
    sign: applySign,
    infix: applyInfix,
    missing: () => source.incomplete(node),
  });
  for (let at = 0; at < row.length; at++) {
    const part = row[at] as RowPart;
    switch (part.kind) {
      case 'sign':
        binding.sign(part.sign);
        break;
      case 'operand':
        binding.operand(buildOperand(source, part.node));
        break;
      case 'infix': {
        const infix = buildInfix(source, part);
        binding.infix(infix, precedences[infix.op] ?? 0);
        break;
      }
      case 'behind': {
        const open = openOffset(source, row, at);
        at += open?.taken ?? 0;
        binding.behind((operand) => applyPostfix(source, part, operand, open));
        break;
      }
    }
  }
  return binding.finish();
}

function applySign({ word, start }: Sign, inner: Expr): Expr {
  const span: Span = { start, end: inner.span.end };
  if (inner.kind === 'number') {
    return { ...inner, value: word === '-' ? -inner.value : inner.value, span };
  }
  return { kind: 'unary', op: word, inner, span };
}

function applyInfix(infix: Infix, left: Expr, right: Expr): Binary {
  const { op, returnBool, matching } = infix;
  const span = { start: left.span.start, end: right.span.end };
  return { kind: 'binary', op, left, right, returnBool, matching, span };
}

function buildOperand(source: Source, spanned: Spanned): Expr {
  const { node, from, to } = spanned;
  const span = { start: from, end: to };
  switch (node.name) {
    case 'NumberDurationLiteral': {
      const isDuration = isDurationLiteral(source.query.slice(from, to));
      return { kind: 'number', value: literalValue(source, spanned), isDuration, span };
    }
    case 'StringLiteral':
      return { kind: 'string', value: unquote(source.text(node)), span };
    case 'ParenExpr':
      return buildParen(source, node);
    case 'FunctionCall':
      return buildCall(source, node);
    case 'AggregateExpr':
      return buildAggregate(source, node);
    default:
      return buildSelector(source, node);
  }
}

function spanOf(node: SyntaxNode): Span {
  return { start: node.from, end: node.to };
}

function buildParen(source: Source, node: SyntaxNode): Paren {
  const [inner] = buildList(source, node);
  if (inner === undefined) {
    return source.incomplete(node);
  }
  return { kind: 'paren', inner, span: spanOf(node) };
}

/** The expressions among the children of a node, which has no others. */
function buildList(source: Source, node: SyntaxNode): Expr[] {
  return childrenOf(node).map((child) => buildExpression(source, child));
}

function buildCall(source: Source, node: SyntaxNode): Call {
  const [name, body] = childrenOf(node);
  if (name === undefined || body === undefined) {
    return source.incomplete(node);
  }
  const called = source.word(name.from);
  const args = buildList(source, body);
  if (unsupportedFunctions.has(called)) {
    source.fail(spanOf(node), `function ${goQuote(called)} is not supported yet`, node);
  }
  if (!isFunction(called)) {
    source.fail(spanOf(node), `unknown function with name ${goQuote(called)}`, node);
  }
  return { kind: 'call', name: called, args, span: spanOf(node) };
}

const aggregatesWithParam: ReadonlySet<string> = new Set<AggregateOp>([
  'topk',
  'bottomk',
  'count_values',
  'quantile',
  'limitk',
  'limit_ratio',
]);

function buildAggregate(source: Source, node: SyntaxNode): Aggregate {
  let op = 'sum' as AggregateOp;
  let without = false;
  let grouping: readonly string[] = [];
  let args: readonly Expr[] = [];
  let last: SyntaxNode | undefined;
  let body: SyntaxNode | undefined;
  for (const part of childrenOf(node)) {
    if (part.name === 'AggregateOp') {
      op = source.text(part).toLowerCase() as AggregateOp;
    } else if (part.name === 'AggregateModifier') {
      [without, grouping] = buildGrouping(source, part, 'Without');
    } else {
      args = buildList(source, part);
      body = part;
    }
    last = part;
  }
  if (last === undefined || body === undefined) {
    return source.incomplete(node);
  }
  const param = aggregatesWithParam.has(op) ? args[0] : undefined;
  const wanted = aggregatesWithParam.has(op) ? 2 : 1;
  const inner = args[wanted - 1];
  const span = { start: node.from, end: last.to };
  // Without a clause behind the arguments, Prometheus looks for one.
  const fail = (text: string): never =>
    last === body ? source.failBehind(span, text, last) : source.fail(span, text, last);
  if (args.length === 0) {
    fail('no arguments for aggregate expression provided');
  }
  if (inner === undefined || args.length !== wanted) {
    const got = `expected ${wanted}, got ${args.length}`;
    const text = `wrong number of arguments for aggregate expression provided, ${got}`;
    return fail(text);
  }
  return { kind: 'aggregate', op, param, inner, without, grouping, span };
}

/** A keyword and the labels behind it: whether the keyword is of lezer's type `word`. */
function buildGrouping(
  source: Source,
  node: SyntaxNode,
  word: string,
): [found: boolean, labels: readonly string[]] {
  const [keyword, labels] = childrenOf(node);
  return [keyword?.name === word, labels === undefined ? [] : buildLabels(source, labels)];
}

function buildInfix(source: Source, { node, modifiers }: InfixPart): Infix {
  const op = source.text(node).toLowerCase() as BinaryOp;
  const setOp = op === 'and' || op === 'or' || op === 'unless';
  let returnBool = false;
  let matching: VectorMatching = {
    on: false,
    labels: [],
    cardinality: setOp ? 'many-to-many' : 'one-to-one',
    include: [],
  };
  for (const modifier of modifiers) {
    if (modifier.name === 'BoolModifier') {
      returnBool = true;
    } else if (modifier.name === 'MatchingModifierClause') {
      matching = buildMatching(source, modifier, matching);
    } else {
      matching = { ...matching, fill: buildFill(source, modifier) };
    }
  }
  return { op, returnBool, matching };
}

function buildMatching(source: Source, node: SyntaxNode, plain: VectorMatching): VectorMatching {
  let { on, labels, cardinality, include } = plain;
  for (const part of childrenOf(node)) {
    switch (part.name) {
      case 'On':
        on = true;
        break;
      case 'GroupLeft':
        cardinality = 'many-to-one';
        break;
      case 'GroupRight':
        cardinality = 'one-to-many';
        break;
      case 'GroupingLabels':
        if (cardinality === plain.cardinality) {
          labels = buildLabels(source, part);
        } else {
          include = buildLabels(source, part);
        }
        break;
      default:
        break;
    }
  }
  return { on, labels, cardinality, include };
}

function buildFill(source: Source, node: SyntaxNode): NonNullable<VectorMatching['fill']> {
  let left: number | undefined;
  let right: number | undefined;
  for (const clause of childrenOf(node)) {
    const [, literal] = childrenOf(clause);
    if (literal === undefined) {
      return source.incomplete(clause);
    }
    const signed = /^[+-]\s*/.exec(source.text(literal))?.[0] ?? '';
    const size = literalValue(source, { from: literal.from + signed.length, to: literal.to });
    const value = signed.startsWith('-') ? -size : size;
    left = clause.name === 'FillRightClause' ? left : value;
    right = clause.name === 'FillLeftClause' ? right : value;
  }
  return { left, right };
}
