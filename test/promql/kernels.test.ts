/** @file The native functions against plain loops over each window, on seeded random series. */
import { describe, expect, test } from 'vitest';
import { newRollup } from '../../src/native/selection.js';
import type { Rollup } from '../../src/storage/querier.js';
import { type PlainWindow, plainFunctions } from '../support/plain-rollup.js';

function randomSource(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

type Flavour = 'whole' | 'fractions' | 'special' | 'sparse';

function makeSeries(flavour: Flavour, seed: number): { times: number[]; values: number[] } {
  const random = randomSource(seed);
  const times: number[] = [];
  const values: number[] = [];
  let time = Math.floor(random() * 5000);
  let counter = 0;
  for (let i = 0; i < 300; i++) {
    time += flavour === 'sparse' && random() < 0.1 ? 400_000 : 1 + Math.floor(random() * 20_000);
    counter = random() < 0.05 ? 0 : counter + Math.floor(random() * 10);
    const special = [NaN, Infinity, -Infinity, -0, 1e308, -1e308, 1e-320];
    times.push(time);
    if (flavour === 'special' && random() < 0.3) {
      values.push(special[Math.floor(random() * special.length)]);
    } else {
      values.push(flavour === 'whole' ? counter : counter + random());
    }
  }
  return { times, values };
}

const steps = 60;

function windowsOf(rangeMs: number) {
  return { firstEndMs: 50_000, strideMs: 45_000, rangeMs, steps };
}

function rollupOf(name: string, rangeMs: number): Rollup {
  return newRollup({
    function: name,
    windows: windowsOf(rangeMs),
    parameters: [],
    timeoutMs: 60_000,
  });
}

/** Evaluates a series; undefined where it gives no value. */
function run(
  rollup: Rollup,
  series: { times: number[]; values: number[] },
  rangeMs: number,
): { got: (number | undefined)[]; windows: PlainWindow[] } {
  const windows = windowsOf(rangeMs);
  const cells = new Float64Array(steps);
  const flags = new Uint8Array(steps).fill(9);
  const timestamps = Float64Array.from(series.times);
  const count = rollup.evaluate(timestamps, Float64Array.from(series.values), cells, flags);
  expect(count).toBe(flags.reduce((sum, flag) => sum + flag, 0));
  const got = Array.from(cells, (value, k) => (flags[k] === 1 ? value : undefined));
  const expected = Array.from({ length: steps }, (_, k): PlainWindow => {
    const end = windows.firstEndMs + k * windows.strideMs;
    const inside = series.times.map((t) => t > end - rangeMs && t <= end);
    const pick = (list: number[]): number[] => list.filter((_, i) => inside[i]);
    return { times: pick(series.times), values: pick(series.values), start: end - rangeMs, end };
  });
  return { got, windows: expected };
}

/** Functions whose plain calculation is exact, or rounds as the native one. */
const exact = [
  'sum_over_time',
  'count_over_time',
  'max_over_time',
  'min_over_time',
  'last_over_time',
  'first_over_time',
  'rate',
  'increase',
  'changes',
  'resets',
];

describe.each(exact)('%s', (name) => {
  const plain = plainFunctions[name];
  test.each<[Flavour, number]>([
    ['whole', 60_000],
    ['whole', 1_000],
    ['whole', 600_000],
    ['fractions', 200_000],
    ['special', 120_000],
    ['sparse', 90_000],
  ])('over %s numbers in windows of %d ms', (flavour, rangeMs) => {
    // One for several series: nothing may be left over from the one before.
    const rollup = rollupOf(name, rangeMs);
    for (const seed of [1, 2, 3]) {
      const { got, windows } = run(rollup, makeSeries(flavour, seed), rangeMs);
      const want = windows.map((window) =>
        window.values.length === 0 ? undefined : plain(window, []),
      );
      expect(got).toEqual(want);
    }
  });
});

test('the mean of values whose sum overflows is still their mean', () => {
  const series = { times: [10_000, 20_000, 30_000], values: [1e308, 1.2e308, 1.4e308] };
  const { got } = run(rollupOf('avg_over_time', 60_000), series, 60_000);
  expect(got[0]).toBeCloseTo(1.2e308, -300);
});
