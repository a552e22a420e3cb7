/**
 * @file Refuses what parses, prints and type-checks as in Prometheus, but is not evaluated yet.
 */
import { type Binary, type Expr, partsOf, type Shift } from './ast.js';
import { parseError } from './position.js';

/** Throws `bad_data` for the first part of an expression that cannot be evaluated. */
export function checkEvaluable(expr: Expr, query: string): void {
  const problem = problemOf(expr);
  if (problem !== undefined) {
    throw parseError(query, expr.span.start, `${problem} is not supported yet`);
  }
  for (const part of partsOf(expr)) {
    checkEvaluable(part, query);
  }
}

function problemOf(expr: Expr): string | undefined {
  switch (expr.kind) {
    case 'selector':
    case 'matrix':
      return problemOfShift(expr.shift);
    case 'binary':
      return problemOfBinary(expr);
    default:
      return undefined;
  }
}

function problemOfShift({ edges }: Shift): string | undefined {
  return edges === undefined ? undefined : `${edges} modifier`;
}

function problemOfBinary({ op, matching }: Binary): string | undefined {
  if (op === '</' || op === '>/') {
    return `operator "${op}"`;
  }
  return matching.fill === undefined ? undefined : 'binop fill modifier';
}
