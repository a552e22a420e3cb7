import { expect, test } from 'vitest';
import { parseQuery } from '../../src/promql/parse.js';
import { reachOf } from '../../src/promql/reuse.js';

const minute = 60_000;
const reach = (query: string) =>
  reachOf(parseQuery(query), { lookbackMs: 5 * minute, stepMs: minute });

test.each([
  ['up', 5, 0],
  ['rate(up[1h])', 60, 0],
  ['up offset 10m', 15, -10],
  ['up offset -10m', -5, 10],
  ['rate(up[2m]) / rate(up[1h] offset 1m)', 61, 0],
  ['max_over_time(rate(up[10m] offset 1m)[1h:5m] offset 2m)', 73, -3],
  ['avg_over_time(up[3 * step()])', 3, 0],
  ['increase(up[10m] anchored)', 15, 0],
  ['increase(up[10m] smoothed)', 15, 5],
  ['time() + scalar(up)', 5, 0],
  ['vector(1)', -Infinity, -Infinity],
])('a step of %s reads from %i minutes before it', (query, before, after) => {
  expect(reach(query)).toEqual({ beforeMs: before * minute, afterMs: after * minute });
});

test.each([
  'sum by (job) (rate(up[5m]))',
  'sum(rate(up[5m])) / sum(rate(other[5m]))',
  'histogram_quantile(0.9, sum by (le) (rate(up_bucket[5m])))',
  'topk(3, up)',
  'sum({__name__=~"a|b"})',
  'avg(up * 2 > 3)',
  'count(sum by (job) (up))',
  'sum(sum(up))',
  'sum(up and other)',
  'label_replace(up, "a", "b", "c", "d")',
])('steps of %s may be used again', (query) => {
  expect(reach(query)).toBeDefined();
});

test.each([
  'up @ end()',
  'up - up @ 100',
  'rate(up[range()])',
  'up offset (range() / 2)',
  'end() - time()',
  'info(up)',
  'topk(3, sum by (job) (up))',
  'sum(sum by (job) (up))',
  'sum(up / other)',
  'sum(a or b)',
  'sum(rate({__name__=~"a|b"}[5m]))',
  'rate({job="a"}[5m])',
  'sum(-{job="a"})',
  'sum(abs({job="a"}))',
  'max_over_time((a or b)[5m:])',
  'sum(label_replace(up, "a", "b", "c", "d"))',
])('steps of %s depend on their range', (query) => {
  expect(reach(query)).toBeUndefined();
});
