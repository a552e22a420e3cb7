/**
 * @file A syntax tree as the JSON of `/api/v1/parse_query`, which tree views of query editors show.
 *
 * Follows `web/api/v1/translate_ast.go` (3.14).
 */
import { wholeMilliseconds } from '../model/duration.js';
import type { Binary, Duration, Expr, MatrixSelector, Shift, VectorSelector } from './ast.js';
import { typeOf } from './check.js';
import { formatFloat } from './format-float.js';
import { signatureOf } from './functions/signatures.js';

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

export function treeJson(expr: Expr): Json {
  switch (expr.kind) {
    case 'number':
      return { type: 'numberLiteral', val: formatFloat(expr.value) };
    case 'string':
      return { type: 'stringLiteral', val: expr.value };
    case 'selector':
      return { type: 'vectorSelector', ...selectorJson(expr, expr.shift) };
    case 'matrix':
      return matrixJson(expr);
    case 'subquery':
      return {
        type: 'subquery',
        expr: treeJson(expr.inner),
        ...durationJson('range', expr.range),
        ...durationJson('step', expr.step),
        ...shiftJson(expr.shift),
      };
    case 'call': {
      const { args, variadic, returns } = signatureOf(expr.name);
      const func = { name: expr.name, argTypes: args, variadic, returnType: returns };
      return { type: 'call', func, args: expr.args.map(treeJson) };
    }
    case 'aggregate':
      return {
        type: 'aggregation',
        op: expr.op,
        expr: treeJson(expr.inner),
        param: expr.param === undefined ? null : treeJson(expr.param),
        grouping: expr.grouping,
        without: expr.without,
      };
    case 'binary':
      return {
        type: 'binaryExpr',
        op: expr.op,
        lhs: treeJson(expr.left),
        rhs: treeJson(expr.right),
        matching: matchingJson(expr),
        bool: expr.returnBool,
      };
    case 'unary':
      return { type: 'unaryExpr', op: expr.op, expr: treeJson(expr.inner) };
    case 'paren':
      return { type: 'parenExpr', expr: treeJson(expr.inner) };
  }
}

function matrixJson(expr: MatrixSelector): Json {
  return {
    type: 'matrixSelector',
    ...selectorJson(expr.selector, expr.shift),
    ...durationJson('range', expr.range),
  };
}

function selectorJson({ name, matchers }: VectorSelector, shift: Shift): { [key: string]: Json } {
  return {
    name,
    matchers: matchers.map((matcher) => ({
      name: matcher.name,
      value: matcher.value,
      type: matcher.op,
    })),
    ...shiftJson(shift),
    anchored: shift.edges === 'anchored',
    smoothed: shift.edges === 'smoothed',
  };
}

function shiftJson({ offset, at }: Shift): { [key: string]: Json } {
  return {
    ...durationJson('offset', offset),
    timestamp: at?.kind === 'time' ? at.ms : null,
    startOrEnd: at === undefined || at.kind === 'time' ? null : at.kind,
  };
}

/** Milliseconds under `name`, or the arithmetic under `nameExpr`. */
function durationJson(name: string, duration: Duration | undefined): { [key: string]: Json } {
  const fixed = duration?.kind === 'fixed';
  return {
    [name]: fixed ? wholeMilliseconds(duration.seconds) : 0,
    [`${name}Expr`]: fixed || duration === undefined ? null : arithmeticJson(duration, false),
  };
}

function arithmeticJson(duration: Duration, wrapped: boolean): Json {
  const type = 'durationExpr';
  switch (duration.kind) {
    case 'fixed': {
      const val = formatFloat(duration.seconds);
      const literal = { type: 'numberLiteral', val, duration: duration.isDuration };
      // Parentheses around a number are a plus sign with parentheses.
      return wrapped ? { type, op: '+', lhs: null, rhs: literal, wrapped } : literal;
    }
    case 'step':
    case 'range':
      return { type, op: duration.kind, lhs: null, rhs: null, wrapped };
    case 'negate':
      return { type, op: '-', lhs: null, rhs: arithmeticJson(duration.of, false), wrapped };
    case 'paren':
      return arithmeticJson(duration.of, true);
    case 'binary': {
      const lhs = arithmeticJson(duration.left, false);
      return { type, op: duration.op, lhs, rhs: arithmeticJson(duration.right, false), wrapped };
    }
  }
}

/** Only between vectors is there anything to match. */
function matchingJson({ left, right, matching }: Binary): Json {
  if (typeOf(left) !== 'vector' || typeOf(right) !== 'vector') {
    return null;
  }
  const { cardinality, labels, on, include, fill } = matching;
  const fillValues = { lhs: fill?.left ?? null, rhs: fill?.right ?? null };
  return { card: cardinality, labels, on, include, fillValues };
}
