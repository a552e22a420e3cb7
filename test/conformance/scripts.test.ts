/** @file Own scripts in Prometheus' test language against the evaluator. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { type Expr, partsOf } from '../../src/promql/ast.js';
import { functionNames } from '../../src/promql/functions/signatures.js';
import { parseQuery } from '../../src/promql/parse.js';
import { startMemoryTarget } from './script/memory-target.js';
import { parseScript } from './script/parse.js';
import { runScript } from './script/run.js';

const folder = new URL('./scripts/', import.meta.url);
const files = readdirSync(folder);

function textOf(file: string): string {
  return readFileSync(new URL(file, folder), 'utf8');
}

describe('scripts', () => {
  test.each(files)('%s gives what it says', async (file) => {
    expect(await runScript(parseScript(textOf(file)), startMemoryTarget)).toEqual([]);
  });
});

test('a script that does not agree is reported with its line', async () => {
  const script = parseScript('load 1m\n  a 1 2\n\neval instant at 1m a\n  a 3\n');
  expect(await runScript(script, startMemoryTarget)).toEqual([
    { line: 4, query: 'a', problems: ['[["__name__","a"]] point 0: want 3, got "2"'] },
  ]);
});

test.each([
  ['a float where a histogram is expected', 'a {{schema:0 count:1 sum:1 buckets:[1]}}'],
  ['a missing series', 'a 2\n  b 2'],
  ['a series that is not expected', ''],
  ['a missing warning', 'expect warn\n  a 2'],
  ['an error', 'expect fail'],
])('%s is a difference', async (_, expected) => {
  const script = parseScript(`load 1m\n  a 1 2\n\neval instant at 1m a\n  ${expected}\n`);
  expect(await runScript(script, startMemoryTarget)).toHaveLength(1);
});

/** What of the language an expression uses: functions, aggregations, operators, modifiers. */
function constructsOf(expr: Expr, into: Set<string>): void {
  switch (expr.kind) {
    case 'call':
      into.add(`${expr.name}()`);
      break;
    case 'aggregate':
      into.add(expr.op);
      into.add(expr.without ? 'without' : expr.grouping.length > 0 ? 'by' : 'no grouping');
      break;
    case 'binary':
      into.add(expr.op);
      break;
    case 'selector':
    case 'matrix':
    case 'subquery': {
      const { at, offset, edges } = expr.shift;
      into.add(expr.kind);
      if (at !== undefined) into.add(at.kind === 'time' ? '@' : `@ ${at.kind}()`);
      if (offset !== undefined) into.add(offset.kind === 'negate' ? 'offset -' : 'offset');
      if (edges !== undefined) into.add(edges);
      break;
    }
    default:
      into.add(expr.kind);
  }
  for (const part of partsOf(expr)) {
    constructsOf(part, into);
  }
}

/** Words of binary operators' matching, which scripts are searched for as text. */
const matchingWords = [
  ...['on', 'ignoring', 'group_left', 'group_right', 'bool', 'fill', 'fill_left', 'fill_right'],
];

describe('scripts have an example of', () => {
  const used = new Set<string>();
  const queries: string[] = [];
  for (const file of files) {
    for (const command of parseScript(textOf(file)).commands) {
      const fails =
        command.kind === 'eval' && command.expected.texts.some(({ type }) => type === 'fail');
      if (command.kind === 'eval' && !fails) {
        constructsOf(parseQuery(command.query), used);
        queries.push(command.query);
      }
    }
  }
  const operators = ['+', '-', '*', '/', '%', '^', 'atan2', '==', '!=', '>', '<', '>=', '<='];
  const aggregations = [
    ...['sum', 'avg', 'count', 'min', 'max', 'group', 'stddev', 'stdvar', 'topk', 'bottomk'],
    ...['count_values', 'quantile', 'limitk', 'limit_ratio', 'by', 'without', 'no grouping'],
  ];
  const modifiers = ['@', '@ start()', '@ end()', 'offset', 'offset -', 'anchored', 'smoothed'];
  test.each([
    ...functionNames.map((name) => `${name}()`),
    ...[...operators, '</', '>/', 'and', 'or', 'unless'],
    ...[...aggregations, ...modifiers, 'selector', 'matrix', 'subquery', 'number', 'string'],
  ])('%s', (construct) => {
    expect(used).toContain(construct);
  });

  test.each(matchingWords)('%s', (word) => {
    expect(
      queries.some((query) => new RegExp(`\\b${word}\\b\\s*\\(|\\b${word} `).test(query)),
    ).toBe(true);
  });
});
