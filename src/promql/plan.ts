/**
 * @file Syntax tree and query times to an evaluation plan. Pure.
 *
 * `plan/lower.ts` makes the nodes (`plan/nodes.ts`): every node knows its evaluation times, every
 * selector its windows and the one time range to read. `plan/rewrites.ts` says what is done to them
 * then.
 */
import type { Expr } from './ast.js';
import { foldConstants } from './plan/fold.js';
import { Lowering, type LoweringOptions } from './plan/lower.js';
import { narrowJoins } from './plan/narrow.js';
import type { Plan } from './plan/nodes.js';
import { lookForPresence } from './plan/presence.js';
import { allRewrites, type RewriteName } from './plan/rewrites.js';
import { sharedParts, shareKey } from './plan/shared.js';
import { streamRanks } from './plan/stream.js';
import { findTogether, type Together } from './plan/together.js';
import type { TimeGrid } from './time-grid.js';

export * from './plan/nodes.js';
export { shareKey } from './plan/shared.js';

export interface PlanOptions extends Omit<LoweringOptions, 'once'> {
  readonly query: string;
  /** What to do to the plan; everything unless given. */
  readonly rewrites?: ReadonlySet<RewriteName>;
}

export interface QueryPlan {
  readonly root: Plan;
  /** Keys (see `shareKey`) of the parts that occur more than once. */
  readonly shared: ReadonlySet<string>;
  /** Aggregations that are evaluated in one go, by the keys of each. */
  readonly together: Together;
}

/** Plans a query over `grid`. Throws `bad_data` for a duration that has no value. */
export function plan(expr: Expr, grid: TimeGrid, options: PlanOptions): QueryPlan {
  const { query, rewrites = allRewrites } = options;
  const lowering = new Lowering(grid, { ...options, once: rewrites.has('once') });
  let root = lowering.node(expr, grid);
  if (rewrites.has('fold')) {
    root = foldConstants(root);
  }
  const keyOf = (node: Plan): string => shareKey(node, query);
  const togetherIn = (all: Plan): Together =>
    rewrites.has('together') ? findTogether(all, keyOf) : new Map();
  const found = togetherIn(root);
  const goesTogether = (node: Plan): boolean => node.kind === 'aggregate' && found.has(keyOf(node));
  const shared = rewrites.has('share') ? sharedParts(root, query, goesTogether) : new Set<string>();
  const isShared = (node: Plan): boolean =>
    node.type === 'vector' && shared.size > 0 && shared.has(shareKey(node, query));
  if (rewrites.has('narrow')) {
    root = narrowJoins(root, isShared);
  }
  if (rewrites.has('stream')) {
    root = streamRanks(root, isShared);
  }
  if (rewrites.has('presence')) {
    root = lookForPresence(root, isShared);
  }
  return { root, shared, together: togetherIn(root) };
}
