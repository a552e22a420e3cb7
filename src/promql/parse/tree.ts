/**
 * @file Looking at lezer's tree.
 */
import type { SyntaxNode, Tree } from '@lezer/common';

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
  return firstError(node.toTree()) !== undefined;
}

/** Where lezer could not go on for the first time; undefined if the text is of its language. */
export function firstError(tree: Tree): number | undefined {
  const cursor = tree.cursor();
  do {
    if (cursor.type.isError) {
      return cursor.from;
    }
  } while (cursor.next());
  return undefined;
}
