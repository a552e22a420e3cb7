/**
 * @file Walking lezer's tree from left to right, which is the order in which errors count.
 */
import type { SyntaxNode } from '@lezer/common';
import type { Source } from './source.js';

/** The children of a node. */
export function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    children.push(child);
  }
  return children;
}

/** The children of a node of which none may be an error: complains about the first that is. */
export function partsOf(source: Source, node: SyntaxNode): SyntaxNode[] {
  const parts = childrenOf(node);
  for (const part of parts) {
    source.sound(part);
  }
  return parts;
}
