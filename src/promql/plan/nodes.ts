/**
 * @file The nodes of an evaluation plan. Each knows its evaluation times; a selector its windows,
 * with `offset` and `@` applied, and the one time range to read.
 */
import type {
  Aggregate,
  Binary,
  Call,
  Expr,
  MatrixSelector,
  PlacedMatcher,
  StringLiteral,
  Subquery,
  Unary,
  ValueType,
  VectorSelector,
} from '../ast.js';
import type { TimeGrid, Windows } from '../time-grid.js';

interface PlanNode<E extends Expr> {
  readonly grid: TimeGrid;
  /** What the node computes, without parentheses around it. Its span places annotations. */
  readonly expr: E;
  readonly type: ValueType;
}

export interface NumberPlan extends PlanNode<Expr> {
  readonly kind: 'number';
  readonly value: number;
  /** Whether it was reckoned from others while planning. */
  readonly folded?: boolean;
}

export interface StringPlan extends PlanNode<StringLiteral> {
  readonly kind: 'string';
  readonly value: string;
}

/** `anchored` or `smoothed`: the samples around a window count as well. */
export interface Edges {
  readonly kind: 'anchored' | 'smoothed';
  /** The windows that were asked for. */
  readonly inner: Windows;
  /** Those windows, longer by the lookback at the start, and at the end if smoothed. */
  readonly outer: Windows;
}

/** An instant or range vector selector: what to read and how to look at it. */
export interface SelectorPlan extends PlanNode<VectorSelector | MatrixSelector> {
  readonly kind: 'selector' | 'matrix';
  readonly matchers: readonly PlacedMatcher[];
  readonly windows: Windows;
  readonly edges?: Edges;
  readonly mint: number;
  readonly maxt: number;
}

export interface SubqueryPlan extends PlanNode<Subquery> {
  readonly kind: 'subquery';
  readonly windows: Windows;
  readonly inner: Plan;
}

export interface CallPlan extends PlanNode<Call> {
  readonly kind: 'call';
  readonly name: string;
  readonly args: readonly Plan[];
  /** Of `info` alone. */
  readonly info?: InfoPlan;
  /** Whether it only asks at which steps its selector finds something. */
  readonly presence?: boolean;
}

/** The info series of a call of `info`, whose second argument is no vector to evaluate. */
export interface InfoPlan {
  /** When to look at them; its matchers are to be replaced. */
  readonly selector: SelectorPlan;
  /** Those of the second argument. */
  readonly matchers: readonly PlacedMatcher[];
}

export interface AggregatePlan extends PlanNode<Aggregate> {
  readonly kind: 'aggregate';
  readonly param: Plan | undefined;
  readonly inner: Plan;
  /** Whether it is to take rows as they come where it would keep all of them else. */
  readonly streamed?: boolean;
}

export interface BinaryPlan extends PlanNode<Binary> {
  readonly kind: 'binary';
  readonly left: Plan;
  readonly right: Plan;
  /** Operands that read less, where they may stand in: see `narrow.ts`. */
  readonly narrowed?: { readonly left?: Plan; readonly right?: Plan };
}

export interface UnaryPlan extends PlanNode<Unary> {
  readonly kind: 'unary';
  readonly inner: Plan;
}

/** `inner` at the first time, repeated at all others. */
export interface RepeatPlan extends PlanNode<Expr> {
  readonly kind: 'repeat';
  readonly inner: Plan;
}

export type Plan =
  | NumberPlan
  | StringPlan
  | SelectorPlan
  | SubqueryPlan
  | CallPlan
  | AggregatePlan
  | BinaryPlan
  | UnaryPlan
  | RepeatPlan;

/** The plans that a node takes its input from. */
export function childrenOf(node: Plan): readonly Plan[] {
  switch (node.kind) {
    case 'number':
    case 'string':
    case 'selector':
    case 'matrix':
      return [];
    case 'call':
      return node.args;
    case 'aggregate':
      return node.param === undefined ? [node.inner] : [node.param, node.inner];
    case 'binary':
      return [node.left, node.right];
    case 'subquery':
    case 'unary':
    case 'repeat':
      return [node.inner];
  }
}

/** The same node over other inputs. */
export function mapChildren(node: Plan, map: (child: Plan) => Plan): Plan {
  switch (node.kind) {
    case 'number':
    case 'string':
    case 'selector':
    case 'matrix':
      return node;
    case 'call':
      return { ...node, args: node.args.map(map) };
    case 'aggregate':
      return { ...node, param: node.param && map(node.param), inner: map(node.inner) };
    case 'binary':
      return { ...node, left: map(node.left), right: map(node.right) };
    case 'subquery':
    case 'unary':
    case 'repeat':
      return { ...node, inner: map(node.inner) };
  }
}
