/**
 * @file What the selectors inside of an expression say of the labels of its series.
 */
import { isSetOp, type PlacedMatcher } from '../ast.js';
import type { AggregatePlan, BinaryPlan, Plan } from './nodes.js';

/** Functions whose series have the labels of those of their argument, but for names. */
const keepLabels: ReadonlySet<string> = new Set([
  'abs',
  'avg_over_time',
  'ceil',
  'changes',
  'clamp',
  'clamp_max',
  'clamp_min',
  'count_over_time',
  'delta',
  'deriv',
  'exp',
  'first_over_time',
  'floor',
  'idelta',
  'increase',
  'irate',
  'last_over_time',
  'ln',
  'log10',
  'log2',
  'max_over_time',
  'min_over_time',
  'predict_linear',
  'present_over_time',
  'quantile_over_time',
  'rate',
  'resets',
  'round',
  'sgn',
  'sqrt',
  'stddev_over_time',
  'stdvar_over_time',
  'sum_over_time',
  'timestamp',
]);

/** Labels that "dropping the name" drops: a matcher of one says nothing of the result. */
const names: ReadonlySet<string> = new Set(['__name__', '__type__', '__unit__']);

/** Matchers that every series of a vector fulfils, whatever the data. */
export function constraintsOf(node: Plan): readonly PlacedMatcher[] {
  switch (node.kind) {
    case 'selector':
    case 'matrix':
      return node.matchers.filter(({ name }) => !names.has(name));
    case 'subquery':
    case 'repeat':
    case 'unary':
      return constraintsOf(node.inner);
    case 'call': {
      const input = node.args.find(({ type }) => type === 'vector' || type === 'matrix');
      return input !== undefined && keepLabels.has(node.name) ? constraintsOf(input) : [];
    }
    case 'aggregate':
      return ofAggregate(node);
    case 'binary':
      return ofBinary(node);
    default:
      return [];
  }
}

function ofAggregate({ expr, inner }: AggregatePlan): readonly PlacedMatcher[] {
  switch (expr.op) {
    case 'topk':
    case 'bottomk':
    case 'limitk':
    case 'limit_ratio':
      return constraintsOf(inner);
    case 'count_values':
      // Its label may take the place of another.
      return [];
    default:
      return constraintsOf(inner).filter(
        ({ name }) => expr.grouping.includes(name) !== expr.without,
      );
  }
}

function ofBinary({ expr, left, right }: BinaryPlan): readonly PlacedMatcher[] {
  if (left.type === 'scalar' || right.type === 'scalar') {
    return constraintsOf(left.type === 'scalar' ? right : left);
  }
  const { matching, op } = expr;
  if (op === 'or' || matching.fill !== undefined) {
    return [];
  }
  if (isSetOp(op)) {
    return constraintsOf(left);
  }
  const many = constraintsOf(matching.cardinality === 'one-to-many' ? right : left);
  // In one-to-one matching the result has the labels that are looked at.
  return matching.cardinality === 'one-to-one'
    ? many.filter(({ name }) => matching.labels.includes(name) === matching.on)
    : many.filter(({ name }) => !matching.include.includes(name));
}
