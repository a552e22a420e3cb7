/** @file The sign of a histogram's sum that is zero, as Prometheus 3.14 gives it. */
import { expect, test } from 'vitest';
import type { Histogram } from '../../src/model/histogram.js';
import { place } from '../../src/model/histogram.js';
import { HistogramTally } from '../../src/promql/histogram/tally.js';

/** One observation of -2. */
const below: Histogram = Float64Array.of(0, 0, 0, 0, 1, -2, 0, 1, 0, 1, 1, 1);

function timesZero(): HistogramTally {
  const tally = new HistogramTally(below);
  tally.scale(0);
  return tally;
}

const sum = (tally: HistogramTally): number => tally.pack()[place.sum];

test('a negative sum times zero is negative zero', () => {
  expect(sum(timesZero())).toBe(-0);
});

test('two negative zeros are one, unless their sum is compensated', () => {
  const packed = timesZero().pack();
  const plain = new HistogramTally(packed);
  plain.add(packed, 1);
  expect(sum(plain)).toBe(-0);
  const compensated = new HistogramTally(packed);
  compensated.add(packed, 1, true);
  expect(sum(compensated)).toBe(0);
});

test('zero turned over is negative zero', () => {
  const tally = new HistogramTally(timesZero().pack());
  tally.scale(-1);
  expect(sum(tally)).toBe(0);
  tally.scale(-1);
  expect(sum(tally)).toBe(-0);
});
