/**
 * @file Aggregations over one selector's windows of several lengths, evaluated in one go:
 * `sum(rate(x[5m])) / sum(rate(x[1h]))` selects and decodes `x` once, for the longest.
 *
 * Only where all times lie within those of the longest: reading less is free of cost then, and no
 * limit is passed that the longest alone would not pass. `exec/native-aggregate.ts` evaluates those
 * that it can; each tells what it has to tell when its turn comes.
 */
import { type AggregatePlan, childrenOf, type Plan, type SelectorPlan } from './nodes.js';

/** The aggregations that go together, by the key of each. */
export type Together = ReadonlyMap<string, readonly AggregatePlan[]>;

/** What an aggregation aggregates, if it is a selector or a function of a range selector alone. */
export function selectorOf({ inner }: AggregatePlan): SelectorPlan | undefined {
  const [arg, ...others] = inner.kind === 'call' ? inner.args : [inner];
  const wanted = inner.kind === 'call' ? 'matrix' : 'selector';
  return others.length === 0 && arg?.kind === wanted && arg.edges === undefined ? arg : undefined;
}

/** Finds aggregations that go together; `keyOf` tells nodes apart. */
export function findTogether(root: Plan, keyOf: (node: Plan) => string): Together {
  const bySelector = new Map<string, Map<string, AggregatePlan>>();
  collect(root, (node, selector) => {
    const matchers = selector.matchers.map(({ name, op, value }) => [name, op, value]);
    const key = JSON.stringify(matchers);
    const known = bySelector.get(key) ?? new Map<string, AggregatePlan>();
    bySelector.set(key, known.set(keyOf(node), node));
  });
  const together = new Map<string, readonly AggregatePlan[]>();
  for (const found of bySelector.values()) {
    const inside = withinLongest([...found.values()]);
    for (const node of inside.length > 1 ? inside : []) {
      together.set(keyOf(node), inside);
    }
  }
  return together;
}

/** Those whose times lie within those of the one that has most. */
function withinLongest(nodes: readonly AggregatePlan[]): readonly AggregatePlan[] {
  const span = (node: AggregatePlan): Pick<SelectorPlan, 'mint' | 'maxt'> =>
    selectorOf(node) ?? { mint: Infinity, maxt: -Infinity };
  const lengths = nodes.map((node) => span(node).maxt - span(node).mint);
  const { mint, maxt } = span(nodes[lengths.indexOf(Math.max(...lengths))]);
  return nodes.filter((node) => span(node).mint >= mint && span(node).maxt <= maxt);
}

function collect(node: Plan, take: (node: AggregatePlan, selector: SelectorPlan) => void): void {
  if (node.kind === 'binary' && node.narrowed !== undefined) {
    // Which operands are evaluated is not known yet.
    return;
  }
  const selector = node.kind === 'aggregate' ? selectorOf(node) : undefined;
  if (node.kind === 'aggregate' && selector !== undefined && node.grid.steps > 0) {
    take(node, selector);
  }
  for (const child of childrenOf(node)) {
    collect(child, take);
  }
}
