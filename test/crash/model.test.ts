import { expect, test } from 'vitest';
import { bitsOf, type SeriesBits } from '../support/recording.js';
import { AcknowledgedSamples, type WrittenSample } from './model.js';

const written = (value: number): WrittenSample[] => [
  { series: 'a', timestamp: 1, bits: bitsOf(value) },
];
const stored = (value: number | undefined): SeriesBits =>
  new Map(value === undefined ? [] : [['a', new Map([[1, bitsOf(value)]])]]);

function modelOf(steps: (model: AcknowledgedSamples) => void): AcknowledgedSamples {
  const model = new AcknowledgedSamples();
  steps(model);
  return model;
}

test('an acknowledged sample must be there, unaltered', () => {
  const model = modelOf((m) => {
    m.sending(written(1));
    m.acknowledge(written(1));
  });
  expect(model.violations(stored(1))).toEqual([]);
  expect(model.violations(stored(undefined))).toEqual(['a at 1: acknowledged, and not there']);
  expect(model.violations(stored(2))).toHaveLength(1);
});

test('an unanswered sample may be there or not, but not as something else', () => {
  const model = modelOf((m) => m.sending(written(1)));
  expect(model.violations(stored(1))).toEqual([]);
  expect(model.violations(stored(undefined))).toEqual([]);
  expect(model.violations(stored(2))).toHaveLength(1);
});

test('an unanswered rewrite leaves the old value or the new one', () => {
  const model = modelOf((m) => {
    m.sending(written(1));
    m.acknowledge(written(1));
    m.sending(written(2));
  });
  expect(model.violations(stored(1))).toEqual([]);
  expect(model.violations(stored(2))).toEqual([]);
  expect(model.violations(stored(undefined))).toHaveLength(1);
});

test('an acknowledged rewrite leaves the new value alone', () => {
  const model = modelOf((m) => {
    m.sending(written(1));
    m.sending(written(2));
    m.acknowledge(written(2));
  });
  expect(model.violations(stored(2))).toEqual([]);
  expect(model.violations(stored(1))).toHaveLength(1);
});

test('what nobody wrote must not be there', () => {
  expect(new AcknowledgedSamples().violations(stored(1))).toEqual([
    'a at 1: there, and was never written, or is deleted',
  ]);
});

test('what an acknowledged delete took must not be there, and what lies beside it must', () => {
  const model = modelOf((m) => {
    m.sending(written(1));
    m.acknowledge(written(1));
    m.deleting('a', 2, 9);
    m.acknowledgeDelete('a', 2, 9);
  });
  expect(model.violations(stored(1))).toEqual([]);
  expect(model.violations(stored(undefined))).toHaveLength(1);
  model.deleting('a', 0, 1);
  model.acknowledgeDelete('a', 0, 1);
  expect(model.deleted).toBe(1);
  expect(model.violations(stored(undefined))).toEqual([]);
  expect(model.violations(stored(1))).toHaveLength(1);
});

test('an unanswered delete may have happened, until the next acknowledged write', () => {
  const model = modelOf((m) => {
    m.sending(written(1));
    m.acknowledge(written(1));
    m.deleting('a', 0, 9);
  });
  expect(model.violations(stored(1))).toEqual([]);
  expect(model.violations(stored(undefined))).toEqual([]);
  expect(model.violations(stored(2))).toHaveLength(1);
  model.sending(written(2));
  model.acknowledge(written(2));
  expect(model.violations(stored(undefined))).toHaveLength(1);
});
