/**
 * @file `topk` and `bottomk` that take rows as they come and keep the best of each step, so that
 * memory follows `k` and the groups instead of the input.
 *
 * Not over a vector that is kept anyhow because it occurs twice.
 */
import { mapChildren, type Plan } from './nodes.js';

/** The same plan with these aggregations marked. */
export function streamRanks(node: Plan, isShared: (node: Plan) => boolean): Plan {
  const done = mapChildren(node, (child) => streamRanks(child, isShared));
  const ranks = done.kind === 'aggregate' && ['topk', 'bottomk'].includes(done.expr.op);
  return ranks && !isShared(done.inner) ? { ...done, streamed: true } : done;
}
