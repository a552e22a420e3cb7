/**
 * @file Refuses what belongs to a part of PromQL that is turned off.
 *
 * Follows the options of the parser in Prometheus' `promql/parser/parse.go` (3.14), error texts
 * included.
 */
import type { PromqlFeature } from '../model/promql-features.js';
import { type Expr, partsOf } from './ast.js';
import { isExperimental } from './functions/signatures.js';
import { goQuote, parseError } from './position.js';

/** What an expression needs, and what Prometheus says where that is off. */
interface Need {
  readonly feature: PromqlFeature;
  readonly text: string;
}

/** Throws `bad_data` for the first part of an expression that needs a feature that is off. */
export function checkFeatures(
  expr: Expr,
  query: string,
  features: ReadonlySet<PromqlFeature>,
): void {
  const missing = needsOf(expr).find(({ feature }) => !features.has(feature));
  if (missing !== undefined) {
    throw parseError(query, expr.span.start, missing.text);
  }
  for (const part of partsOf(expr)) {
    checkFeatures(part, query, features);
  }
}

function needsOf(expr: Expr): Need[] {
  switch (expr.kind) {
    case 'call':
      return isExperimental(expr.name)
        ? [experimental(`function ${goQuote(expr.name)} is not enabled`)]
        : [];
    case 'aggregate': {
      const flag = '--enable-feature=promql-experimental-functions';
      const text = `${expr.op}() is experimental and must be enabled with ${flag}`;
      return expr.op === 'limitk' || expr.op === 'limit_ratio' ? [experimental(text)] : [];
    }
    case 'binary': {
      const text = 'binop fill modifiers are experimental and not enabled';
      return expr.matching.fill === undefined
        ? []
        : [{ feature: 'promql-binop-fill-modifiers', text }];
    }
    case 'selector':
    case 'matrix':
      return edgesNeeds(expr.shift.edges);
    default:
      return [];
  }
}

function experimental(text: string): Need {
  return { feature: 'promql-experimental-functions', text };
}

function edgesNeeds(edges: string | undefined): Need[] {
  const text = `${edges} modifier is experimental and not enabled`;
  return edges === undefined ? [] : [{ feature: 'promql-extended-range-selectors', text }];
}
