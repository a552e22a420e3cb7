/**
 * @file `absent` and `absent_over_time` of a selector ask whether there are samples: values are not
 * looked at, nor further series once some answer for every step.
 *
 * Not of a vector that is kept anyhow because it occurs twice.
 */
import { type CallPlan, mapChildren, type Plan } from './nodes.js';

const absences: ReadonlySet<string> = new Set(['absent', 'absent_over_time']);

/** The same plan with these calls marked. */
export function lookForPresence(node: Plan, isShared: (node: Plan) => boolean): Plan {
  const done = mapChildren(node, (child) => lookForPresence(child, isShared));
  return done.kind === 'call' && asksForPresence(done, isShared)
    ? { ...done, presence: true }
    : done;
}

function asksForPresence({ name, args }: CallPlan, isShared: (node: Plan) => boolean): boolean {
  const [input] = args;
  const selects = input?.kind === 'selector' || input?.kind === 'matrix';
  return absences.has(name) && selects && input.edges === undefined && !isShared(input);
}
