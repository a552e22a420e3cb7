import { describe, expect, test } from 'vitest';
import type { Expr } from '../../src/promql/ast.js';
import { functionNames } from '../../src/promql/functions/signatures.js';
import { maxDepth, parseQuery } from '../../src/promql/parse.js';
import { print } from '../../src/promql/print.js';

/** Every binary operator by how tightly it binds, loosest first. */
const levels = [
  ['or'],
  ['and', 'unless'],
  ['==', '!=', '<', '>', '<=', '>=', '</', '>/'],
  ['+', '-'],
  ['*', '/', '%', 'atan2'],
  ['^'],
] as const;
const operators = levels.flat();
const signLevel = 4;

function levelOf(operator: string): number {
  return levels.findIndex((level) => (level as readonly string[]).includes(operator));
}

/** What may stand behind an operand, as written and as printed. */
const behind = [
  [' offset 5m', ' offset 5m'],
  [' offset -5m', ' offset -5m'],
  [' offset step()', ' offset step()'],
  [' @ 5', ' @ 5.000'],
  [' @ -5', ' @ -5.000'],
  [' @ start()', ' @ start()'],
  ['[5m:]', '[5m:]'],
  ['[5m:1m]', '[5m:1m]'],
  ['[5m:] offset 5m @ 5', '[5m:] @ 5.000 offset 5m'],
  [' anchored', ' anchored'],
  [' smoothed offset 5m', ' smoothed offset 5m'],
] as const;

/** Behind `max_over_time`, a subquery is a vector again. */
function operand(name: string, [written]: readonly [string, string]): string {
  return written.startsWith('[') ? `max_over_time(${name}${written})` : name + written;
}

/** The tree with parentheses around every operation. */
function shape(expr: Expr): string {
  switch (expr.kind) {
    case 'binary':
      return `(${shape(expr.left)} ${expr.op} ${shape(expr.right)})`;
    case 'unary':
      return `(${expr.op}${shape(expr.inner)})`;
    case 'paren':
      return `[${shape(expr.inner)}]`;
    case 'subquery':
      return `${shape(expr.inner)}${print(expr).slice(print(expr.inner).length)}`;
    case 'call':
      return `${expr.name}(${expr.args.map(shape).join(', ')})`;
    default:
      return print(expr);
  }
}

function shapeOf(query: string): string {
  return shape(parseQuery(query));
}

describe('two operators', () => {
  const pairs = operators.flatMap((first) => operators.map((second) => [first, second] as const));
  test.each(pairs)('%s before %s', (first, second) => {
    const [left, right] = [levelOf(first), levelOf(second)];
    const toTheRight = right > left || (first === '^' && second === '^');
    const want = toTheRight ? `(a ${first} (b ${second} c))` : `((a ${first} b) ${second} c)`;
    expect(shapeOf(`a ${first} b ${second} c`)).toBe(want);
    expect(shapeOf(`(a ${first} b) ${second} c`)).toBe(`([(a ${first} b)] ${second} c)`);
    expect(shapeOf(`a ${first} (b ${second} c)`)).toBe(`(a ${first} [(b ${second} c)])`);
  });
});

describe('what stands behind an operand binds tighter than any operator', () => {
  const pairs = operators.flatMap((operator) => behind.map((one) => [operator, one] as const));
  test.each(pairs)('%s and %s', (operator, one) => {
    const [written, printed] = one;
    const call = written.startsWith('[');
    const want = call ? `max_over_time(b${printed})` : `b${printed}`;
    const b = operand('b', one);
    expect(shapeOf(`a ${operator} ${b}`)).toBe(`(a ${operator} ${want})`);
    expect(shapeOf(`${b} ${operator} a`)).toBe(`(${want} ${operator} a)`);
    expect(shapeOf(`a ${operator} ${b} ${operator} c`)).toContain(want);
    // Inside of the call, where a subquery may follow the whole.
    const whole = parseQuery(`max_over_time((a ${operator} b)[5m:])`);
    expect(shape(whole)).toBe(`max_over_time([(a ${operator} b)][5m:])`);
  });

  test.each(operators)('%s in front of brackets', (operator) => {
    const expr = parseQuery(`max_over_time(a[5m:]) ${operator} max_over_time(b[5m:] offset 1m)`);
    expect(shape(expr)).toBe(`(max_over_time(a[5m:]) ${operator} max_over_time(b[5m:] offset 1m))`);
  });
});

describe('signs', () => {
  test.each(operators)('before and behind %s', (operator) => {
    const tighter = levelOf(operator) > signLevel;
    const front = tighter ? `(-(a ${operator} b))` : `((-a) ${operator} b)`;
    expect(shapeOf(`-a ${operator} b`)).toBe(front);
    expect(shapeOf(`a ${operator} -b`)).toBe(`(a ${operator} (-b))`);
    expect(shapeOf(`(-a) ${operator} b`)).toBe(`([(-a)] ${operator} b)`);
  });

  test.each(behind)('before an operand with %s', (written, printed) => {
    const call = written.startsWith('[');
    const want = call ? `(-max_over_time(a${printed}))` : `(-a${printed})`;
    expect(shapeOf(`-${operand('a', [written, printed])}`)).toBe(want);
  });

  test('of numbers are part of them unless a power comes first', () => {
    expect(shapeOf('-1 + 2')).toBe('(-1 + 2)');
    expect(shapeOf('-1 ^ 2')).toBe('(-(1 ^ 2))');
    expect(shapeOf('2 ^ -1 ^ 2')).toBe('(2 ^ (-(1 ^ 2)))');
    expect(shapeOf('- -1')).toBe('1');
  });
});

test('every function is understood', () => {
  for (const name of functionNames) {
    expect(() => parseQuery(`${name}({`)).toThrow('unexpected end of input inside braces');
    expect(() => parseQuery(`${name}("x", "x", "x", "x", "x", "x", "x") )`)).toThrow(
      "unexpected right parenthesis ')'",
    );
  }
});

describe('long and deep expressions', () => {
  const rich = 'sum by (a, b) (rate(x{a="b",c=~"d"}[5m] offset 5m))';

  test('a chain of operators has as many parts as the depth allows', () => {
    for (const part of ['x', rich]) {
      let expr = parseQuery(Array.from({ length: 350 }, () => part).join(' or '));
      let parts = 1;
      for (; expr.kind === 'binary'; expr = expr.left) {
        parts++;
      }
      expect(parts).toBe(350);
    }
  });

  test('brackets nest as deep as the depth allows', () => {
    const deep = maxDepth - 1;
    expect(parseQuery(`${'abs('.repeat(deep)}x${')'.repeat(deep)}`).kind).toBe('call');
    expect(parseQuery(`${'('.repeat(deep)}x${')'.repeat(deep)}`).kind).toBe('paren');
  });

  test.each([
    ['parentheses', '('.repeat(100_000)],
    ['signs', '-'.repeat(100_000)],
    ['operators', 'x+'.repeat(100_000)],
    ['calls', 'abs('.repeat(50_000)],
    ['subqueries', `x${'[5m:]'.repeat(40_000)}`],
    ['offsets', `x${' offset 5m'.repeat(20_000)}`],
    ['times', `x${' @ 5'.repeat(40_000)}`],
    ['edges', `x${' anchored'.repeat(20_000)}`],
    ['durations', `x[${'('.repeat(100_000)}`],
    ['names', 'and '.repeat(60_000)],
  ])('too many %s are refused before lezer reads them', (_, query) => {
    const start = performance.now();
    expect(() => parseQuery(query)).toThrow(`nested more than ${maxDepth} levels deep`);
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test.each([
    ['words', 'a b '.repeat(60_000)],
    ['open braces', '{'.repeat(200_000)],
    ['selectors', 'x{a="b"}'.repeat(30_000)],
    ['commas', ','.repeat(200_000)],
  ])('long nonsense of %s is refused at its first token, at once', (_, query) => {
    const start = performance.now();
    expect(() => parseQuery(query)).toThrow(/^1:\d\d?: parse error: unexpected/);
    expect(performance.now() - start).toBeLessThan(3000);
  });
});
