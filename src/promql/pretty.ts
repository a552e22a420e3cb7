/**
 * @file Writes a syntax tree back as PromQL, broken into lines where it is long.
 *
 * Follows `promql/parser/prettier.go` (3.14): a node of more than 100 bytes puts its parts on
 * lines of their own, two blanks deeper.
 */
import type { Aggregate, Binary, Expr } from './ast.js';
import { print, printAggregateHead, printBinaryOperator, printSubqueryTail } from './print.js';

const longestLine = 100;

/** The expression on one line or many; `level` is how deep it stands. */
export function pretty(expr: Expr, level = 0): string {
  const indent = '  '.repeat(level);
  const line = print(expr);
  const splits = Buffer.byteLength(line) > longestLine;
  switch (expr.kind) {
    case 'unary':
      return `${indent}${expr.op}${pretty(expr.inner, level).trim()}`;
    case 'subquery':
      // A short one is not indented, as in Prometheus.
      return splits ? pretty(expr.inner, level) + printSubqueryTail(expr) : line;
    default:
      break;
  }
  if (!splits) {
    return indent + line;
  }
  switch (expr.kind) {
    case 'aggregate':
      return indent + prettyAggregate(expr, level);
    case 'binary':
      return prettyBinary(expr, level);
    case 'call': {
      const args = expr.args.map((arg) => pretty(arg, level + 1)).join(',\n');
      return `${indent}${expr.name}(\n${args}\n${indent})`;
    }
    case 'paren':
      return `${indent}(\n${pretty(expr.inner, level + 1)}\n${indent})`;
    default:
      return indent + line;
  }
}

function prettyAggregate(expr: Aggregate, level: number): string {
  const param = expr.param === undefined ? '' : `${pretty(expr.param, level + 1)},\n`;
  const inner = pretty(expr.inner, level + 1);
  return `${printAggregateHead(expr)}(\n${param}${inner}\n${'  '.repeat(level)})`;
}

function prettyBinary(expr: Binary, level: number): string {
  const operator = '  '.repeat(level) + printBinaryOperator(expr);
  return `${pretty(expr.left, level + 1)}\n${operator}\n${pretty(expr.right, level + 1)}`;
}
