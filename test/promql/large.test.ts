/** @file Things of which there are more than a call may have arguments. */
import { expect, test } from 'vitest';
import type { Histogram } from '../../src/model/histogram.js';
import { place } from '../../src/model/histogram.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { histogramRate } from '../../src/promql/functions/histogram-rate.js';
import { parseQuery } from '../../src/promql/parse.js';
import { MemoryQuerier } from '../support/memory-querier.js';

const many = 200_000;

test('a long string with an escape', () => {
  const text = `\t${'a'.repeat(many)}`;
  expect(parseQuery(`"\\t${text.slice(1)}"`)).toMatchObject({ kind: 'string', value: text });
});

test('a long window of histograms', () => {
  const observed: Histogram = Float64Array.of(0, 0, 0, 0, 1, 2, 0, 1, 0, 1, 1, 1);
  const times = Array.from({ length: many }, (_, k) => k * 1000);
  const histograms = new Array<Histogram>(many).fill(observed);
  const span = { low: 0, high: many, endMs: many * 1000, rangeMs: many * 1000 };
  const labels = { count: 1, ids: new Uint32Array(0), offsets: new Uint32Array(2) };
  const window = { times, histograms, starts: undefined, ...span, labels, series: 0 };
  const increase = histogramRate({ counter: true, perSecond: false }, window, () => undefined);
  expect(increase?.[place.count]).toBe(0);
});

test('a choice of many series', { timeout: 120_000 }, () => {
  const querier = new MemoryQuerier();
  for (let i = 0; i < many; i++) {
    querier.addColumns({ __name__: 'x', i: `${i}` }, Float64Array.of(0), Float64Array.of(i));
  }
  const limits = { maxSamples: 1e7, maxBytes: 2 ** 30, maxPoints: 1e7 };
  const engine = new PromqlEngine({ lookbackMs: 60_000, subqueryStepMs: 60_000, limits });
  const asked = { query: `limitk(${many}, x)`, timeMs: 0, deadlineMs: Date.now() + 60_000 };
  const { result } = engine.instant(querier.openSession(), asked);
  expect(result.type === 'vector' && result.labels.count).toBe(many);
});
