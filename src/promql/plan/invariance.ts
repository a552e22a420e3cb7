/**
 * @file Which expressions do not change from step to step, so that one evaluation is enough.
 *
 * Follows `preprocessExprHelper` in Prometheus' `promql/engine.go` (3.14).
 */
import { type Expr, unwrapParens } from '../ast.js';

/** Functions whose value depends on the evaluation time even if their arguments do not. */
const timeDependent: ReadonlySet<string> = new Set([
  'day_of_month',
  'day_of_week',
  'day_of_year',
  'days_in_month',
  'hour',
  'minute',
  'month',
  'predict_linear',
  'time',
  'timestamp',
  'year',
]);

/** Functions that are numbers as soon as the query's times are known. */
const queryConstants: ReadonlySet<string> = new Set(['start', 'end', 'range', 'step']);

/** Whether an expression has the same value at every step of a query. */
export function isStepInvariant(expr: Expr): boolean {
  switch (expr.kind) {
    case 'number':
    case 'string':
      return true;
    case 'selector':
    case 'matrix':
    case 'subquery':
      return expr.shift.at !== undefined;
    case 'aggregate':
      // As in Prometheus, whatever the parameter is.
      return isStepInvariant(expr.inner);
    case 'binary':
      return isStepInvariant(expr.left) && isStepInvariant(expr.right);
    case 'unary':
    case 'paren':
      return isStepInvariant(expr.inner);
    case 'call': {
      if (queryConstants.has(expr.name)) {
        return true;
      }
      const invariant = expr.args.every((arg) => isStepInvariant(arg));
      // `timestamp` of a selector is the sample's time, of anything else the evaluation's.
      const first = expr.args[0];
      const ofSample =
        expr.name === 'timestamp' && first !== undefined && unwrapParens(first).kind === 'selector';
      return invariant && (ofSample || !timeDependent.has(expr.name));
    }
  }
}
