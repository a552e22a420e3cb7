/**
 * @file Syntax tree and query times to an evaluation plan. Pure.
 *
 * `plan/lower.ts` makes the nodes (`plan/nodes.ts`): every node knows its evaluation times, every
 * selector its windows and the one time range to read. Parts that do not change from step to step
 * are evaluated once and repeated (`repeat`); parts that occur twice are evaluated once
 * (`plan/shared.ts`).
 */
import type { Expr } from './ast.js';
import { Lowering, type LoweringOptions } from './plan/lower.js';
import type { Plan } from './plan/nodes.js';
import { sharedParts } from './plan/shared.js';
import type { TimeGrid } from './time-grid.js';

export * from './plan/nodes.js';
export { shareKey } from './plan/shared.js';

export interface PlanOptions extends LoweringOptions {
  readonly query: string;
}

export interface QueryPlan {
  readonly root: Plan;
  /** Keys (see `shareKey`) of the parts that occur more than once. */
  readonly shared: ReadonlySet<string>;
}

/** Plans a query over `grid`. Throws `bad_data` for a duration that has no value. */
export function plan(expr: Expr, grid: TimeGrid, options: PlanOptions): QueryPlan {
  const root = new Lowering(grid, options).node(expr, grid);
  return { root, shared: sharedParts(root, options.query) };
}
