/**
 * @file Types and validity of a parsed expression.
 *
 * Follows `checkAST` in Prometheus' `promql/parser/parse.go` (3.14): the same order of checks and
 * the same texts, the first error only.
 */
import {
  type Binary,
  type Call,
  type Expr,
  isComparison,
  isSetOp,
  type ValueType,
  type VectorSelector,
} from './ast.js';
import { signatureOf } from './functions/signatures.js';
import { matchesEmpty } from './nullable.js';
import { goQuote, parseError } from './position.js';

/** The type of an expression that `check` accepts. */
export function typeOf(expr: Expr): ValueType {
  switch (expr.kind) {
    case 'number':
      return 'scalar';
    case 'string':
      return 'string';
    case 'selector':
    case 'aggregate':
      return 'vector';
    case 'matrix':
    case 'subquery':
      return 'matrix';
    case 'call':
      return signatureOf(expr.name).returns;
    case 'binary': {
      const scalars = typeOf(expr.left) === 'scalar' && typeOf(expr.right) === 'scalar';
      return scalars ? 'scalar' : 'vector';
    }
    case 'unary':
    case 'paren':
      return typeOf(expr.inner);
  }
}

/** Throws `bad_data` for what parses but means nothing. */
export function check(expr: Expr, query: string): void {
  new Checker(query).check(expr);
}

/** The checks of a selector alone. */
export function checkSelector(selector: VectorSelector, query: string): void {
  new Checker(query).matchesNotAll(selector);
}

/** How error texts call a type. */
export function documentedType(type: ValueType): string {
  return type === 'vector' ? 'instant vector' : type === 'matrix' ? 'range vector' : type;
}

class Checker {
  constructor(private readonly query: string) {}

  check(expr: Expr): ValueType {
    switch (expr.kind) {
      case 'aggregate':
        this.expect(expr.inner, 'vector', 'aggregation expression');
        if (expr.param !== undefined) {
          const wanted = expr.op === 'count_values' ? 'string' : 'scalar';
          this.expect(expr.param, wanted, 'aggregation parameter');
        }
        break;
      case 'binary':
        this.binary(expr);
        break;
      case 'call':
        this.call(expr);
        break;
      case 'paren':
        this.check(expr.inner);
        break;
      case 'unary': {
        const type = this.check(expr.inner);
        if (type !== 'scalar' && type !== 'vector') {
          const got = goQuote(documentedType(type));
          const text = 'unary expression only allowed on expressions of type scalar or instant';
          this.fail(expr, `${text} vector, got ${got}`);
        }
        break;
      }
      case 'subquery': {
        const type = this.check(expr.inner);
        if (type !== 'vector') {
          this.fail(expr, `subquery is only allowed on instant vector, got ${type} instead`);
        }
        break;
      }
      case 'matrix':
        this.selector(expr.selector);
        break;
      case 'selector':
        this.selector(expr);
        break;
      case 'number':
      case 'string':
        break;
    }
    return typeOf(expr);
  }

  private selector(selector: VectorSelector): void {
    const { name, matchers } = selector;
    const other = matchers.slice(0, -1).find((matcher) => matcher.name === '__name__');
    if (name !== '' && other !== undefined) {
      const names = `${goQuote(name)} or ${goQuote(other.value)}`;
      this.fail(selector, `metric name must not be set twice: ${names}`);
    }
    this.matchesNotAll(selector);
  }

  matchesNotAll(selector: VectorSelector): void {
    const { name, matchers } = selector;
    if (name === '' && matchers.every(matchesEmpty)) {
      this.fail(selector, 'vector selector must contain at least one non-empty matcher');
    }
  }

  private expect(expr: Expr, wanted: ValueType, context: string): void {
    const got = this.check(expr);
    if (got !== wanted) {
      const types = `${documentedType(wanted)} in ${context}, got ${documentedType(got)}`;
      this.fail(expr, `expected type ${types}`);
    }
  }

  private binary(expr: Binary): void {
    const left = this.check(expr.left);
    const right = this.check(expr.right);
    const { op, matching } = expr;
    if (expr.returnBool && !isComparison(op)) {
      this.failAtOperator(expr, 'bool modifier can only be used on comparison operators');
    }
    const scalars = left === 'scalar' && right === 'scalar';
    if (isComparison(op) && !expr.returnBool && scalars) {
      this.failAtOperator(expr, 'comparisons between scalars must use BOOL modifier');
    }
    const twice = matching.labels.find((label) => matching.include.includes(label));
    if (matching.on && twice !== undefined) {
      const text = `label ${goQuote(twice)} must not occur in ON and GROUP clause at once`;
      this.failAtOperator(expr, text);
    }
    for (const [side, type] of [
      [expr.left, left],
      [expr.right, right],
    ] as const) {
      if (type !== 'scalar' && type !== 'vector') {
        const text = 'binary expression must contain only scalar and instant vector types';
        this.fail(side, text);
      }
    }
    const vectors = left === 'vector' && right === 'vector';
    if (!vectors && matching.labels.length > 0) {
      this.fail(expr, 'vector matching only allowed between instant vectors');
    }
    if (!vectors && matching.fill !== undefined) {
      this.fail(expr, 'filling in missing series only allowed between instant vectors');
    }
    if (vectors && isSetOp(op) && matching.cardinality !== 'many-to-many') {
      this.fail(expr, `no grouping allowed for ${goQuote(op)} operation`);
    }
    if (vectors && isSetOp(op) && matching.fill !== undefined) {
      this.fail(expr, 'filling in missing series not allowed for set operators');
    }
    if (!vectors && isSetOp(op)) {
      this.fail(expr, `set operator ${goQuote(op)} not allowed in binary scalar expression`);
    }
  }

  private call(expr: Call): void {
    const { args, name } = expr;
    const signature = signatureOf(name);
    this.argumentCount(expr);
    const isInfo = name === 'info';
    if (isInfo && args[1] !== undefined) {
      this.infoLabels(expr, args[1]);
    }
    args.forEach((arg, index) => {
      if (isInfo && index === 1) {
        return;
      }
      const last = signature.args.length - 1;
      const wanted = signature.args[Math.min(index, last)];
      const got = this.check(arg);
      if (wanted !== undefined && got !== wanted) {
        const context = `call to function ${goQuote(name)}`;
        const types = `${documentedType(wanted)} in ${context}, got ${documentedType(got)}`;
        this.fail(arg, `expected type ${types}`);
      }
    });
  }

  /** The second argument of `info` is no vector, but matchers of labels. */
  private infoLabels(expr: Call, arg: Expr): void {
    const type = typeOf(arg);
    if (type !== 'vector') {
      const text = 'expected type instant vector in call to function "info"';
      this.fail(expr, `${text}, got ${documentedType(type)}`);
    }
    if (arg.kind !== 'selector') {
      this.fail(arg, 'expected label selectors only');
    }
    if (arg.name !== '') {
      this.fail(arg, 'expected label selectors only, got vector selector instead');
    }
  }

  private argumentCount(expr: Call): void {
    const { args, variadic } = signatureOf(expr.name);
    const got = expr.args.length;
    const of = `argument(s) in call to ${goQuote(expr.name)}, got ${got}`;
    if (variadic === 0) {
      if (got !== args.length) {
        this.fail(expr, `expected ${args.length} ${of}`);
      }
      return;
    }
    const least = args.length - 1;
    const most = least + variadic;
    if (got < least) {
      this.fail(expr, `expected at least ${least} ${of}`);
    }
    if (variadic > 0 && got > most) {
      this.fail(expr, `expected at most ${most} ${of}`);
    }
  }

  private fail(expr: Expr, message: string): never {
    throw parseError(this.query, expr.span.start, message);
  }

  private failAtOperator(expr: Binary, message: string): never {
    const after = this.query.slice(expr.left.span.end);
    const blank = /^[ \t\r\n]*/.exec(after)?.[0].length ?? 0;
    throw parseError(this.query, expr.left.span.end + blank, message);
  }
}
