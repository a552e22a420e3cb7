import { expect, test } from 'vitest';
import { type ApiEnvelope, compareAnswers } from '../support/compare-results.js';

const vector = (result: unknown[]): ApiEnvelope => ({
  status: 'success',
  data: { resultType: 'vector', result },
});
const sample = (job: string, value: string, time = 1): unknown => ({
  metric: { job },
  value: [time, value],
});
const aspects = (want: ApiEnvelope, got: ApiEnvelope, ordered = false): string[] =>
  compareAnswers(want, got, { ordered }).map((difference) => difference.aspect);

test('equal answers and values within the tolerance agree', () => {
  const want = vector([sample('a', '1'), sample('b', '1.7e+308')]);
  expect(
    aspects(want, vector([sample('b', '1.7e+308'), sample('a', '1.0000000000000002')])),
  ).toEqual([]);
});

test.each([
  ['a value', '1', [sample('a', '1.00000001')], 'value'],
  ['the sign of zero', '0', [sample('a', '-0')], 'value'],
  ['NaN', '1', [sample('a', 'NaN')], 'value'],
  ['a time', '1', [sample('a', '1', 2)], 'value'],
  ['a label', '1', [sample('b', '1')], 'series'],
  ['a repeated series', '1', [sample('a', '1'), sample('a', '1')], 'series'],
])('%s that differs is a difference', (_, want, got, aspect) => {
  expect(aspects(vector([sample('a', want)]), vector(got))).toContain(aspect);
});

test('order counts where asked for, and in a matrix', () => {
  const one = vector([sample('a', '1'), sample('b', '2')]);
  const other = vector([sample('b', '2'), sample('a', '1')]);
  expect(aspects(one, other)).toEqual([]);
  expect(aspects(one, other, true)).toEqual(['order']);
});

test('error types must agree, their wording is a difference of its own', () => {
  const error = (errorType: string, text: string): ApiEnvelope => ({
    status: 'error',
    errorType,
    error: text,
  });
  expect(aspects(error('bad_data', 'x'), error('execution', 'x'))).toEqual(['status']);
  expect(aspects(error('bad_data', 'x'), error('bad_data', 'y'))).toEqual(['error']);
  expect(aspects(error('bad_data', 'x'), vector([]))).toEqual(['status']);
});

test('annotations are compared by text, warnings apart from infos', () => {
  const plain = vector([]);
  expect(aspects({ ...plain, warnings: ['w'] }, { ...plain, infos: ['w'] })).toEqual([
    'annotations',
    'annotations',
  ]);
});
