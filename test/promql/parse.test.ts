import { describe, expect, test } from 'vitest';
import { MetricstorError } from '../../src/errors.js';
import { maxDepth, maxQueryLength, parseQuery, parseSelector } from '../../src/promql/parse.js';
import { print } from '../../src/promql/print.js';

function problem(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (error instanceof MetricstorError && error.code === 'bad_data') {
      return error.message;
    }
    throw error;
  }
  return '';
}

/** Writes the tree of an expression with a parenthesis around every operation. */
function shape(query: string): string {
  const tree = (expr: ReturnType<typeof parseQuery>): string => {
    switch (expr.kind) {
      case 'binary':
        return `(${tree(expr.left)} ${expr.op} ${tree(expr.right)})`;
      case 'unary':
        return `(${expr.op}${tree(expr.inner)})`;
      default:
        return print(expr);
    }
  };
  return tree(parseQuery(query));
}

describe('binding', () => {
  test.each([
    ['a + b * c', '(a + (b * c))'],
    ['a ^ b ^ c', '(a ^ (b ^ c))'],
    ['-a ^ b', '(-(a ^ b))'],
    ['-1 ^ 2', '(-(1 ^ 2))'],
    ['-a * b', '((-a) * b)'],
    ['a ^ -b * c', '((a ^ (-b)) * c)'],
    ['a or b and c', '(a or (b and c))'],
    ['a == b + c', '(a == (b + c))'],
    ['a atan2 b - c', '((a atan2 b) - c)'],
    ['a + b offset 5m * c', '(a + (b offset 5m * c))'],
    ['-a offset 5m', '(-a offset 5m)'],
    ['x offset 2 ^ 2', '(x offset 2s ^ 2)'],
    ['a - b - c', '((a - b) - c)'],
  ])('%s is %s', (query, tree) => {
    expect(shape(query)).toBe(tree);
  });
});

describe('normal form', () => {
  test.each([
    ['SUM(x) BY (y)', 'sum by (y) (x)'],
    ['a{c="1",b=~"2"}', 'a{b=~"2",c="1"}'],
    ['{"with.dot", x!="y"}', '{__name__="with.dot",x!="y"}'],
    ['foo[300]', 'foo[5m]'],
    ['foo[1h30m:] @ 1.5 offset -5m', 'foo[1h30m:] @ 1.500 offset -5m'],
    ['1e3 + 0x1F + 017 + .5', '1000 + 31 + 15 + 0.5'],
    ['a + on(x) group_left(y) b', 'a + on (x) group_left (y) b'],
    ["'a\\n\\x41' ", '"a\\nA"'],
    ['sum without() (x) # comment', 'sum without () (x)'],
    ['start + end', 'start + end'],
    ['fill + fill', 'fill + fill'],
    ['1h + 370d', '1h + 370d'],
  ])('%s prints as %s', (query, text) => {
    expect(print(parseQuery(query))).toBe(text);
    expect(print(parseQuery(text))).toBe(text);
  });
});

describe('errors', () => {
  test.each([
    ['', 'unknown position: parse error: no expression found in input'],
    ['up{', '1:4: parse error: unexpected end of input inside braces'],
    ['sum(foo bar', '1:9: parse error: unexpected identifier "bar" in aggregation'],
    ['sum(foo', '1:8: parse error: unclosed left parenthesis'],
    ['"abc', '1:1: parse error: unterminated quoted string'],
    ['"\\q"', "1:1: parse error: unknown escape sequence U+0071 'q'"],
    ['a\n+ ü', "2:3: parse error: unexpected character: 'ü'"],
    ['"ü" ü', "1:6: parse error: unexpected character: 'ü'"],
    ['x[0s]', '1:3: parse error: duration must be greater than 0'],
    ['x offset 1m offset 1m', '1:1: parse error: offset may not be set multiple times'],
    ['1 == 1', '1:3: parse error: comparisons between scalars must use BOOL modifier'],
    ['f(x)', '1:1: parse error: unknown function with name "f"'],
    ['info(x)', '1:1: parse error: function "info" is not supported yet'],
    [
      '{a=~"(b|c?)"}',
      '1:1: parse error: vector selector must contain at least one non-empty matcher',
    ],
  ])('%j', (query, message) => {
    expect(problem(() => parseQuery(query))).toBe(message);
  });

  test('a query that is too long or too deep is refused, not followed', () => {
    expect(problem(() => parseQuery('x'.repeat(maxQueryLength + 1)))).toContain('long');
    const parens = '('.repeat(50_000);
    expect(problem(() => parseQuery(`${parens}x`))).toContain('levels deep');
    expect(problem(() => parseQuery(`${'-'.repeat(50_000)}x`))).toContain('levels deep');
    expect(problem(() => parseQuery(`${'x+'.repeat(5_000)}x`))).toContain('levels deep');
    expect(problem(() => parseQuery(`x[${'('.repeat(5_000)}`))).toContain('levels deep');
    expect(parseQuery(`${'x+'.repeat(maxDepth / 2)}x`).kind).toBe('binary');
  });

  test('a hostile regular expression in a matcher does not exhaust the stack', () => {
    expect(problem(() => parseQuery(`{a=~"${'('.repeat(60_000)}"}`))).toBe('');
  });
});

test('a selector alone is what match[] takes', () => {
  expect(parseSelector('up{job=~"a.*"}').map(({ name, op, value }) => [name, op, value])).toEqual([
    ['job', '=~', 'a.*'],
    ['__name__', '=', 'up'],
  ]);
  expect(parseSelector('sum # a name').map(({ value }) => value)).toEqual(['sum']);
  expect(problem(() => parseSelector('{a=""}'))).toContain('non-empty');
});

test.each([
  ['', 'unknown position: parse error: unexpected end of input'],
  ['sum(up)', '1:4: parse error: unexpected "("'],
  ['rate(up[5m])', '1:5: parse error: unexpected "("'],
  ['up[5m]', '1:3: parse error: unexpected "["'],
  ['up offset 5m', '1:4: parse error: unexpected <offset>'],
  ['up{a="b"} x', '1:11: parse error: unexpected identifier "x"'],
  ['(up)', '1:1: parse error: unexpected "("'],
  ['-up', '1:1: parse error: unexpected <op:->'],
  ['inf', '1:1: parse error: unexpected number "inf"'],
  ['"up"', '1:1: parse error: unexpected string "\\"up\\""'],
  ['up{$', "1:4: parse error: unexpected character inside braces: '$'"],
  ['up{', '1:4: parse error: unexpected end of input inside braces'],
  ['up{,}', '1:4: parse error: unexpected "," in label matching, expected identifier or "}"'],
  ['up$', "1:3: parse error: unexpected character: '$'"],
])('as match[], %j is refused as by Prometheus', (text, message) => {
  expect(problem(() => parseSelector(text))).toBe(message);
});
