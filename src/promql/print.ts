/**
 * @file Writes a syntax tree back as PromQL on one line, in Prometheus' normal form.
 *
 * Follows `promql/parser/printer.go` (3.14). Equal text means equal meaning, so the planner uses
 * it to find common subexpressions.
 */
import { formatDuration, wholeMilliseconds } from '../model/duration.js';
import type { LabelMatcher } from '../storage/querier.js';
import type { Aggregate, Binary, Duration, Expr, Shift, Subquery, VectorSelector } from './ast.js';
import { typeOf } from './check.js';
import { formatFloat, formatShortest } from './format-float.js';
import { goQuote } from './position.js';

export function print(expr: Expr): string {
  switch (expr.kind) {
    case 'number':
      return expr.isDuration ? printSeconds(expr.value) : formatFloat(expr.value);
    case 'string':
      return goQuote(expr.value);
    case 'selector':
      return (
        printSelector(expr) + printAt(expr.shift) + printEdges(expr.shift) + printOffset(expr.shift)
      );
    case 'matrix': {
      const { selector, range, shift } = expr;
      return `${printSelector(selector)}[${printDuration(range)}]${printEdges(shift)}${printShift(shift)}`;
    }
    case 'subquery':
      return print(expr.inner) + printSubqueryTail(expr);
    case 'call':
      return `${expr.name}(${expr.args.map(print).join(', ')})`;
    case 'aggregate': {
      const param = expr.param === undefined ? '' : `${print(expr.param)}, `;
      return `${printAggregateHead(expr)}(${param}${print(expr.inner)})`;
    }
    case 'binary':
      return `${print(expr.left)} ${printBinaryOperator(expr)} ${print(expr.right)}`;
    case 'unary':
      return `${expr.op}${print(expr.inner)}`;
    case 'paren':
      return `(${print(expr.inner)})`;
  }
}

/** The brackets of a subquery and what stands behind. */
export function printSubqueryTail(expr: Subquery): string {
  const step = expr.step === undefined ? '' : printDuration(expr.step);
  return `[${printDuration(expr.range)}:${step}]${printShift(expr.shift)}`;
}

/** An aggregation without its arguments. */
export function printAggregateHead(expr: Aggregate): string {
  const by = expr.without ? 'without' : 'by';
  const grouped = expr.without || expr.grouping.length > 0;
  return expr.op + (grouped ? ` ${by} (${printLabels(expr.grouping)}) ` : '');
}

/** A binary operator and its modifiers. */
export function printBinaryOperator(expr: Binary): string {
  return `${expr.op}${expr.returnBool ? ' bool' : ''}${printMatching(expr)}`;
}

/** A selector's name and matchers, matchers sorted by their text. */
function printSelector(selector: VectorSelector): string {
  const shown = selector.matchers.filter(
    ({ name, op, value }) =>
      name !== '__name__' || op !== '=' || value !== selector.name || value === '',
  );
  const braces = shown.map(printMatcher).sort().join(',');
  return braces === '' ? selector.name : `${selector.name}{${braces}}`;
}

export function printMatcher(matcher: LabelMatcher): string {
  return `${printLabel(matcher.name)}${matcher.op}${goQuote(matcher.value)}`;
}

/** A label name, quoted unless it is one of the classic alphabet. */
export function printLabel(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : goQuote(name);
}

function printLabels(names: readonly string[]): string {
  return names.map(printLabel).join(', ');
}

function printMatching(expr: Binary): string {
  const { on, labels, cardinality, include, fill } = expr.matching;
  // Without vectors there is nothing to match.
  if (on && (typeOf(expr.left) !== 'vector' || typeOf(expr.right) !== 'vector')) {
    return '';
  }
  const grouped = cardinality === 'many-to-one' || cardinality === 'one-to-many';
  let text = '';
  if (labels.length > 0 || on || grouped) {
    text += ` ${on ? 'on' : 'ignoring'} (${printLabels(labels)})`;
  }
  if (grouped) {
    const side = cardinality === 'many-to-one' ? 'left' : 'right';
    text += ` group_${side} (${printLabels(include)})`;
  }
  return text + printFill(fill);
}

function printFill(fill: Binary['matching']['fill']): string {
  if (fill?.left !== undefined && fill.left === fill.right) {
    return ` fill (${formatShortest(fill.left)})`;
  }
  const left = fill?.left === undefined ? '' : ` fill_left (${formatShortest(fill.left)})`;
  const right = fill?.right === undefined ? '' : ` fill_right (${formatShortest(fill.right)})`;
  return left + right;
}

function printShift(shift: Shift): string {
  return printAt(shift) + printOffset(shift);
}

function printEdges({ edges }: Shift): string {
  return edges === undefined ? '' : ` ${edges}`;
}

function printOffset({ offset }: Shift): string {
  const none = offset === undefined || (offset.kind === 'fixed' && offset.seconds === 0);
  return none ? '' : ` offset ${printDuration(offset)}`;
}

function printAt({ at }: Shift): string {
  if (at === undefined) {
    return '';
  }
  return at.kind === 'time' ? ` @ ${(at.ms / 1000).toFixed(3)}` : ` @ ${at.kind}()`;
}

function printSeconds(seconds: number): string {
  const ms = Math.abs(wholeMilliseconds(seconds));
  return `${seconds < 0 ? '-' : ''}${formatDuration(ms)}`;
}

/** A lone number is shown with units, numbers of arithmetic as written. */
function printDuration(duration: Duration): string {
  return duration.kind === 'fixed' ? printSeconds(duration.seconds) : printArithmetic(duration);
}

function printArithmetic(duration: Duration): string {
  switch (duration.kind) {
    case 'fixed':
      return duration.isDuration ? printSeconds(duration.seconds) : formatFloat(duration.seconds);
    case 'step':
    case 'range':
      return `${duration.kind}()`;
    case 'negate':
      return `-${printArithmetic(duration.of)}`;
    case 'paren':
      return `(${printArithmetic(duration.of)})`;
    case 'binary': {
      const left = printArithmetic(duration.left);
      const right = printArithmetic(duration.right);
      return duration.op === 'min_of' || duration.op === 'max_of'
        ? `${duration.op}(${left}, ${right})`
        : `${left} ${duration.op} ${right}`;
    }
  }
}
