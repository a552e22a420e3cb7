/**
 * @file Parts of a plan that occur more than once and are evaluated once.
 */
import { childrenOf, type Plan } from './nodes.js';

/** Keys (see {@link shareKey}) of the vectors that occur more than once in a plan. */
export function sharedParts(root: Plan, query: string): ReadonlySet<string> {
  const counts = new Map<string, number>();
  countParts(root, query, counts);
  const shared = new Set<string>();
  for (const [key, count] of counts) {
    if (count > 1) {
      shared.add(key);
    }
  }
  return shared;
}

/** Equal for parts of a query with equal text and equal times. */
export function shareKey(node: Plan, query: string): string {
  const { startMs, endMs, stepMs } = node.grid;
  return `${query.slice(node.expr.span.start, node.expr.span.end)}@${startMs}:${endMs}:${stepMs}`;
}

/** Counts parts of a plan by key; a repeated part hides what is inside it. */
function countParts(node: Plan, query: string, counts: Map<string, number>): void {
  if (node.kind === 'number' || node.kind === 'string' || node.kind === 'matrix') {
    return;
  }
  if (node.kind !== 'subquery' && node.type === 'vector') {
    const key = shareKey(node, query);
    const count = (counts.get(key) ?? 0) + 1;
    counts.set(key, count);
    if (count > 1) {
      return;
    }
  }
  for (const child of childrenOf(node)) {
    countParts(child, query, counts);
  }
}
