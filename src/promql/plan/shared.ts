/**
 * @file Parts of a plan that occur more than once and are evaluated once.
 */
import { childrenOf, type Plan } from './nodes.js';

/**
 * Keys (see {@link shareKey}) of the vectors that occur more than once in a plan; not of those that
 * only aggregations take that go together, which read them once without keeping them.
 */
export function sharedParts(
  root: Plan,
  query: string,
  goesTogether: (node: Plan) => boolean,
): ReadonlySet<string> {
  const found: Found = { counts: new Map(), kept: new Set(), goesTogether };
  countParts(root, query, found);
  const shared = new Set<string>();
  for (const [key, count] of found.counts) {
    if (count > 1 && found.kept.has(key)) {
      shared.add(key);
    }
  }
  return shared;
}

interface Found {
  readonly counts: Map<string, number>;
  /** Keys of what somebody takes who would keep it. */
  readonly kept: Set<string>;
  readonly goesTogether: (node: Plan) => boolean;
}

/** Equal for parts of a query with equal text and equal times. */
export function shareKey(node: Plan, query: string): string {
  const { startMs, endMs, stepMs } = node.grid;
  return `${query.slice(node.expr.span.start, node.expr.span.end)}@${startMs}:${endMs}:${stepMs}`;
}

/** Counts parts of a plan by key; a repeated part hides what is inside it. */
function countParts(node: Plan, query: string, found: Found, parent?: Plan): void {
  if (node.kind === 'number' || node.kind === 'string' || node.kind === 'matrix') {
    return;
  }
  if (node.kind !== 'subquery' && node.type === 'vector') {
    const key = shareKey(node, query);
    const count = (found.counts.get(key) ?? 0) + 1;
    found.counts.set(key, count);
    if (parent === undefined || !found.goesTogether(parent)) {
      found.kept.add(key);
    }
    if (count > 1) {
      return;
    }
  }
  for (const child of childrenOf(node)) {
    countParts(child, query, found, node);
  }
}
