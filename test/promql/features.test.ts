import { describe, expect, test } from 'vitest';
import { MetricstorError } from '../../src/errors.js';
import { type PromqlFeature, promqlFeatures } from '../../src/model/promql-features.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { MemoryQuerier } from '../support/memory-querier.js';

const querier = new MemoryQuerier();
querier.addColumns({ __name__: 'x' }, Float64Array.of(1000), Float64Array.of(1));

function engineWith(features: readonly PromqlFeature[]): PromqlEngine {
  return new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: { maxSamples: 1e6, maxBytes: 1e9, maxPoints: 1e6 },
    features,
  });
}

function problem(query: string, features: readonly PromqlFeature[]): string {
  const engine = engineWith(features);
  try {
    engine.instant(querier.openSession(), { query, timeMs: 2000, deadlineMs: Date.now() + 60_000 });
  } catch (error) {
    if (error instanceof MetricstorError && error.code === 'bad_data') {
      return error.message;
    }
    throw error;
  }
  return '';
}

describe('a part of the language that is off is refused, and only that', () => {
  test.each([
    ['promql-experimental-functions', 'sum(info(x))', '1:5: parse error: function "info" is not'],
    ['promql-experimental-functions', 'limitk(1, x)', '1:1: parse error: limitk() is experimental'],
    ['promql-binop-fill-modifiers', 'x + fill(1) x', '1:1: parse error: binop fill modifiers are'],
    ['promql-extended-range-selectors', 'x smoothed', '1:1: parse error: smoothed modifier is'],
    ['promql-extended-range-selectors', 'rate(x[1m] anchored)', '1:6: parse error: anchored'],
  ] as const)('%s: %s', (feature, query, text) => {
    const others = promqlFeatures.filter((one) => one !== feature);
    expect(problem(query, others)).toContain(text);
    expect(problem(query, [feature])).toBe('');
  });

  test('start timestamps have no effect unless they are in use', () => {
    const started = new MemoryQuerier().addSeries({
      labels: { __name__: 'x_total' },
      timestamps: Float64Array.of(1000, 2000, 3000),
      values: Float64Array.of(1, 5, 9),
      starts: Float64Array.of(500, 1500, 2500),
    });
    const answer = (query: string, features: readonly PromqlFeature[]): number[] => {
      const times = { timeMs: 3000, deadlineMs: Date.now() + 60_000 };
      const { result } = engineWith(features).instant(started.openSession(), { query, ...times });
      return 'values' in result ? [...result.values] : [];
    };
    expect(answer('resets(x_total[5s])', promqlFeatures)).toEqual([2]);
    expect(answer('start_timestamp(x_total)', promqlFeatures)).toEqual([2.5]);
    const others = promqlFeatures.filter((one) => one !== 'use-start-timestamps');
    expect(answer('resets(x_total[5s])', others)).toEqual([0]);
    expect(answer('start_timestamp(x_total)', others)).toEqual([]);
  });

  test('what has no flag is always there', () => {
    expect(problem('rate(x[5m] offset -1m) + -x', [])).toBe('');
  });
});
