/**
 * @file Malformed regular expressions in matchers. Only the engine knows the syntax, and compiles
 * them when it selects; that one is malformed is a parse error at its matcher nevertheless.
 */
import { MetricstorError } from '../errors.js';
import type { QuerySession } from '../storage/querier.js';
import { type Expr, type PlacedMatcher, partsOf } from './ast.js';
import { parseError } from './position.js';

/** Throws `bad_data` for the first matcher whose pattern does not compile. */
export function checkRegexes(
  matchers: readonly PlacedMatcher[],
  query: string,
  session: QuerySession,
): void {
  for (const { op, value, span } of matchers) {
    if (op !== '=~' && op !== '!~') {
      continue;
    }
    try {
      session.regex(value);
    } catch (error) {
      if (error instanceof MetricstorError && error.code === 'bad_data') {
        throw parseError(query, span.start, error.message);
      }
      throw error;
    }
  }
}

/** The same for all selectors of an expression that is not going to be evaluated. */
export function checkAllRegexes(expr: Expr, query: string, session: QuerySession): void {
  if (expr.kind === 'selector') {
    checkRegexes(expr.matchers, query, session);
  } else if (expr.kind === 'matrix') {
    checkRegexes(expr.selector.matchers, query, session);
  }
  for (const part of partsOf(expr)) {
    checkAllRegexes(part, query, session);
  }
}
