/** @file Own scripts in Prometheus' test language against the evaluator. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runScript } from './script.js';

const folder = new URL('./scripts/', import.meta.url);

test.each(readdirSync(folder))('%s gives what it says', (file) => {
  const text = readFileSync(new URL(file, folder), 'utf8');
  expect(runScript(text)).toEqual([]);
});

test('a script that does not agree is reported with its line', () => {
  const script = 'load 1m\n  a 1 2\n\neval instant at 1m a\n  a 3\n';
  expect(runScript(script)).toEqual([
    { line: 4, query: 'a', problems: ['[["__name__","a"]] point 0: want 3, got 2'] },
  ]);
});

test('names that are dropped late can be brought back', () => {
  const script = `
load 1m
  a_total{x="1"} 0 60 120
  b_total{x="1"} 0 120 240

eval instant at 2m label_replace(rate({x="1"}[2m]), "name", "$1", "__name__", "(.*)")
  {x="1",name="a_total"} 1
  {x="1",name="b_total"} 2

eval instant at 2m sum by (__name__) (rate({x="1"}[2m]))
  expect fail msg: vector cannot contain metrics with the same labelset
`;
  expect(runScript(script, { delayedNames: true })).toEqual([]);
});
