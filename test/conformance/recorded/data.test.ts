import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { generateDataset } from '../../differential/generate-data.js';
import { readAnswers, readRecording } from './answers.js';
import { arrivalRequests, datasetStartMs, readDataset } from './dataset.js';
import { readCases } from './expressions.js';

const hourMs = 3_600_000;

test('the committed data set is what the generator writes', () => {
  const committed = readFileSync(new URL('./data.txt', import.meta.url), 'utf8');
  expect(generateDataset() === committed).toBe(true);
});

test('requests bring every sample once, and some later than newer ones', () => {
  const dataset = readDataset();
  const requests = arrivalRequests(dataset);
  const count = (lists: readonly { timestamps: Float64Array }[]): number =>
    lists.reduce((sum, series) => sum + series.timestamps.length, 0);
  expect(count(requests.flat())).toBe(count(dataset));
  let newest = Number.NEGATIVE_INFINITY;
  let late = 0;
  for (const series of requests.flat()) {
    late += series.timestamps.filter((time) => time < newest - hourMs / 2).length;
    newest = Math.max(newest, ...series.timestamps);
  }
  expect(late).toBeGreaterThan(500);
});

test('the data set holds every kind of special value', () => {
  const bits = new Set<bigint>();
  for (const { values } of readDataset()) {
    for (const value of new BigUint64Array(values.buffer)) {
      bits.add(value);
    }
  }
  const special = new BigUint64Array(Float64Array.of(-0, Infinity, -Infinity, 5e-324, NaN).buffer);
  for (const value of [...special, 0x7ff0000000000002n]) {
    expect(bits.has(value)).toBe(true);
  }
});

test('a third of the questions are range queries, most of them across several blocks', () => {
  const cases = readCases();
  const ranges = cases.filter((one) => one.kind === 'range');
  const crossing = ranges.filter(
    (one) =>
      one.kind === 'range' &&
      one.startMs < datasetStartMs + 2 * hourMs &&
      one.endMs > one.startMs + 4 * hourMs,
  );
  expect(ranges.length * 3).toBeGreaterThanOrEqual(cases.length);
  expect(crossing.length * 4).toBeGreaterThanOrEqual(cases.length);
});

test('every question has an answer, and every answer its question', () => {
  const cases = readCases();
  const themes = new Set(cases.map((one) => one.theme));
  const answered = [...themes].flatMap((theme) => [...readAnswers(theme).keys()]);
  expect(new Set(answered)).toEqual(new Set(cases.map((one) => one.id)));
  expect(readRecording().version).toMatch(/^3\./);
});
