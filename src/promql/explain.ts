/**
 * @file A plan as JSON: what `/api/v1/explain` answers.
 *
 * Times are seconds, as everywhere in the API. Members that say nothing are left out.
 */
import type { NodeFigures } from './exec/node-profile.js';
import { childrenOf, type Plan, type QueryPlan, type SelectorPlan, shareKey } from './plan.js';
import { print, printMatcher } from './print.js';

/** What one node takes; see {@link NodeFigures}. */
export interface ExplainedFigures {
  readonly evaluations: number;
  /** Series with a value. */
  readonly series: number;
  /** Of selectors: series selected and samples decoded. */
  readonly selectedSeries?: number;
  readonly samples?: number;
  /** Without the nodes below it. */
  readonly seconds: number;
}

export interface ExplainedNode {
  readonly node: Plan['kind'];
  readonly expression: string;
  readonly type: string;
  /** Evaluation times. */
  readonly steps: number;
  /** Of a step that is not the query's. */
  readonly stepSeconds?: number;
  /** Of selectors. */
  readonly matchers?: readonly string[];
  /** The samples that are read: from and to, both counted. */
  readonly reads?: readonly [number, number];
  /** The length of each window; of instant selectors the lookback. */
  readonly windowSeconds?: number;
  /** What was done to this node; see `plan/rewrites.ts`. */
  readonly rewrites?: readonly string[];
  readonly analyze?: ExplainedFigures;
  readonly inputs?: readonly ExplainedNode[];
}

/** Describes a plan, with what its nodes took where it was evaluated. */
export function explainPlan(
  { root, shared, together }: QueryPlan,
  query: string,
  figuresOf: (node: Plan) => NodeFigures | undefined,
): ExplainedNode {
  const describe = (node: Plan, outerStepMs: number): ExplainedNode => {
    const { stepMs, steps } = node.grid;
    const rewrites = [
      ...(node.type === 'vector' && shared.has(shareKey(node, query)) ? ['share'] : []),
      ...(node.kind === 'repeat' ? ['once'] : []),
      ...(node.kind === 'number' && node.folded === true ? ['fold'] : []),
      ...(node.kind === 'binary' && node.narrowed !== undefined ? ['narrow'] : []),
      ...(node.kind === 'aggregate' && node.streamed === true ? ['stream'] : []),
      ...(node.kind === 'aggregate' && together.has(shareKey(node, query)) ? ['together'] : []),
      ...(node.kind === 'call' && node.presence === true ? ['presence'] : []),
    ];
    const figures = figuresOf(node);
    const inputs = inputsOf(node, figuresOf).map((child) => describe(child, stepMs));
    return {
      node: node.kind,
      expression: print(node.expr),
      type: node.type,
      steps,
      ...(steps > 1 && stepMs !== outerStepMs ? { stepSeconds: stepMs / 1000 } : {}),
      ...selection(node),
      ...(rewrites.length > 0 ? { rewrites } : {}),
      ...(figures === undefined ? {} : { analyze: analyzed(node, figures) }),
      ...(inputs.length > 0 ? { inputs } : {}),
    };
  };
  return describe(root, root.grid.stepMs);
}

/** The inputs as they are evaluated: of narrowed operands those that were, or may be. */
function inputsOf(node: Plan, figuresOf: (node: Plan) => NodeFigures | undefined): readonly Plan[] {
  if (node.kind !== 'binary' || node.narrowed === undefined) {
    return childrenOf(node);
  }
  const { left, right, narrowed } = node;
  const chosen = (whole: Plan, less: Plan | undefined): Plan =>
    less === undefined || figuresOf(whole) !== undefined ? whole : less;
  return [chosen(left, narrowed.left), chosen(right, narrowed.right)];
}

function selection(
  node: Plan,
): Partial<Pick<ExplainedNode, 'matchers' | 'reads' | 'windowSeconds'>> {
  if (node.kind === 'subquery') {
    return { windowSeconds: node.windows.rangeMs / 1000 };
  }
  if (node.kind !== 'selector' && node.kind !== 'matrix') {
    return {};
  }
  const { matchers, mint, maxt, windows }: SelectorPlan = node;
  return {
    matchers: matchers.map(printMatcher),
    reads: [mint / 1000, maxt / 1000],
    windowSeconds: windows.rangeMs / 1000,
  };
}

function analyzed(node: Plan, figures: NodeFigures): ExplainedFigures {
  const { evaluations, series, samples, selected, ms } = figures;
  const reads = node.kind === 'selector' || node.kind === 'matrix' || selected > 0;
  return {
    evaluations,
    series,
    ...(reads ? { selectedSeries: selected, samples } : {}),
    // A microsecond is as fine as the clock is.
    seconds: Math.round(ms * 1000) / 1e6,
  };
}
