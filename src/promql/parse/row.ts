/**
 * @file Lays an expression of lezer's tree out in a row: signs, operands, operators, and what
 * stands behind an operand, in the order of the text. `binding.ts` says why.
 */
import type { SyntaxNode } from '@lezer/common';
import type { Sign } from './binding.js';
import type { Source } from './source.js';
import { childrenOf } from './tree.js';

export type RowPart =
  | { readonly kind: 'sign'; readonly sign: Sign }
  | { readonly kind: 'operand'; readonly node: Spanned }
  | { readonly kind: 'infix'; readonly node: SyntaxNode; readonly modifiers: SyntaxNode[] }
  | { readonly kind: 'behind'; readonly node: SyntaxNode; readonly parts: readonly SyntaxNode[] };

/** A node, or a number without the sign that lezer counts to it. */
export interface Spanned {
  readonly node: SyntaxNode;
  readonly from: number;
  readonly to: number;
}

const behindNames: ReadonlySet<string> = new Set([
  'MatrixSelector',
  'SubqueryExpr',
  'OffsetExpr',
  'StepInvariantExpr',
  'AnchoredExpr',
  'SmoothedExpr',
]);

const operandNames: ReadonlySet<string> = new Set([
  'AggregateExpr',
  'FunctionCall',
  'NumberDurationLiteral',
  'ParenExpr',
  'StringLiteral',
  'VectorSelector',
]);

const modifierNames: ReadonlySet<string> = new Set([
  'BoolModifier',
  'MatchingModifierClause',
  'FillModifier',
]);

export function rowOf(source: Source, node: SyntaxNode): RowPart[] {
  const row: RowPart[] = [];
  layOut(source, node, row);
  return row;
}

function layOut(source: Source, node: SyntaxNode, row: RowPart[]): void {
  const { name } = node;
  if (name === 'UnaryOp') {
    row.push({ kind: 'sign', sign: signAt(source, node.from) });
  } else if (name === 'NumberDurationLiteral') {
    const text = source.text(node);
    const signed = /^[+-]\s*/.exec(text)?.[0].length ?? 0;
    if (signed > 0) {
      row.push({ kind: 'sign', sign: signAt(source, node.from) });
    }
    row.push({ kind: 'operand', node: { node, from: node.from + signed, to: node.to } });
  } else if (operandNames.has(name)) {
    row.push({ kind: 'operand', node: { node, from: node.from, to: node.to } });
  } else if (behindNames.has(name)) {
    const [first, ...parts] = childrenOf(node);
    if (first !== undefined) {
      layOut(source, first, row);
    }
    row.push({ kind: 'behind', node, parts });
  } else if (name === 'BinaryExpr' || name === 'UnaryExpr') {
    for (const child of childrenOf(node)) {
      layOut(source, child, row);
    }
  } else {
    const last = row.at(-1);
    if (modifierNames.has(name) && last?.kind === 'infix') {
      last.modifiers.push(node);
    } else {
      row.push({ kind: 'infix', node, modifiers: [] });
    }
  }
}

function signAt(source: Source, at: number): Sign {
  return { word: source.query.charAt(at) === '-' ? '-' : '+', start: at };
}
