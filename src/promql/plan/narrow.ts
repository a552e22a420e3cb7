/**
 * @file Matchers across joins: in `a{x="1"} * on (x) b` only series of `b` with `x="1"` can match.
 *
 * A label that matching looks at has the same value on both sides of a pair (none counts as empty),
 * so whatever one side's selectors say of it holds for the other side. What else could be seen of a
 * series that is then not read must not differ:
 *
 * - `or`, the left of `unless` and sides with `fill` answer with series that match nothing: never.
 * - The narrowed side must not fail or annotate by its data: a selector, `last_over_time` or
 *   `first_over_time` of one, or `count` and `group` of these. `rate` informs and warns.
 * - Arithmetic and comparison fail where the "one" side has two series of a group, also of a group
 *   that meets nothing. So it is narrowed only where its groups are unique by their labels, and
 *   the other side only where no group of the "one" side has two series; `exec/join.ts` finds out,
 *   by labels alone, before it reads.
 */
import { isSetOp, type PlacedMatcher, type VectorMatching } from '../ast.js';
import { constraintsOf } from './constraints.js';
import { type BinaryPlan, childrenOf, mapChildren, type Plan } from './nodes.js';

/** The same plan with operands of joins that read less, for where they may stand in. */
export function narrowJoins(node: Plan, isShared: (node: Plan) => boolean): Plan {
  const done = mapChildren(node, (child) => narrowJoins(child, isShared));
  if (done.kind !== 'binary' || done.left.type !== 'vector' || done.right.type !== 'vector') {
    return done;
  }
  const narrowed = narrowedSides(done, isShared);
  return narrowed.left === undefined && narrowed.right === undefined ? done : { ...done, narrowed };
}

function narrowedSides(
  { left, right, expr }: BinaryPlan,
  isShared: (node: Plan) => boolean,
): NonNullable<BinaryPlan['narrowed']> {
  const { op, matching } = expr;
  if (op === 'or' || matching.fill !== undefined) {
    return {};
  }
  const one = matching.cardinality === 'one-to-many' ? 'left' : 'right';
  const narrow = (side: 'left' | 'right'): Plan | undefined => {
    const [target, source] = side === 'left' ? [left, right] : [right, left];
    // What is read anyhow is not read again for less.
    if (containsShared(target, isShared)) {
      return undefined;
    }
    if (!isSetOp(op) && side === one && !isUniqueByLabels(target, matching)) {
      return undefined;
    }
    const matchers = constraintsOf(source).filter(({ name }) => looksAt(matching, name));
    return withMatchers(target, matchers);
  };
  const narrowLeft = op === 'unless' ? undefined : narrow('left');
  const narrowRight = narrow('right');
  return {
    ...(narrowLeft && { left: narrowLeft }),
    ...(narrowRight && { right: narrowRight }),
  };
}

/** Whether matching compares a label. */
export function looksAt({ on, labels }: VectorMatching, name: string): boolean {
  return labels.includes(name) === on && (on || name !== '__name__');
}

/** Whether `exec/join.ts` can tell from labels that no group of this side has two series. */
function isUniqueByLabels(node: Plan, matching: VectorMatching): boolean {
  if (node.kind === 'selector') {
    return true;
  }
  return (
    node.kind === 'aggregate' &&
    !node.expr.without &&
    node.expr.grouping.every((label) => looksAt(matching, label))
  );
}

function containsShared(node: Plan, isShared: (node: Plan) => boolean): boolean {
  return isShared(node) || childrenOf(node).some((child) => containsShared(child, isShared));
}

/** A quiet operand with more matchers; undefined where it is not one, or has them all. */
function withMatchers(node: Plan, matchers: readonly PlacedMatcher[]): Plan | undefined {
  switch (node.kind) {
    case 'selector':
    case 'matrix': {
      const known = new Set(node.matchers.map(keyOf));
      const more = matchers.filter((matcher) => !known.has(keyOf(matcher)));
      return more.length === 0 || node.edges !== undefined
        ? undefined
        : { ...node, matchers: [...node.matchers, ...more] };
    }
    case 'call': {
      const quiet = node.name === 'last_over_time' || node.name === 'first_over_time';
      const inner = quiet ? withMatchers(node.args[0], matchers) : undefined;
      return inner && { ...node, args: [inner] };
    }
    case 'aggregate': {
      const { op, without, grouping } = node.expr;
      const quiet = op === 'count' || op === 'group';
      const kept = matchers.filter(({ name }) => grouping.includes(name) !== without);
      const inner = quiet ? withMatchers(node.inner, kept) : undefined;
      return inner && { ...node, inner };
    }
    default:
      return undefined;
  }
}

function keyOf({ name, op, value }: PlacedMatcher): string {
  return JSON.stringify([name, op, value]);
}
