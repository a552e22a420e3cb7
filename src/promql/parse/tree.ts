/**
 * @file Looking at lezer's tree.
 */
import type { SyntaxNode } from '@lezer/common';

/** The children of a node but for errors. */
export function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const children: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    if (!child.type.isError) {
      children.push(child);
    }
  }
  return children;
}

/** Whether lezer could not go on inside of a node. */
export function holdsError(node: SyntaxNode): boolean {
  const cursor = node.toTree().cursor();
  do {
    if (cursor.type.isError) {
      return true;
    }
  } while (cursor.next());
  return false;
}
