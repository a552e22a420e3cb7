import { expect, test } from 'vitest';
import { MetricstorError } from '../../src/errors.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { InlineQueries, inlineLimits } from '../../src/query/inline.js';
import type { QueryAnswer, QueryJob, QueryService } from '../../src/query/service.js';
import type { SessionLimits } from '../../src/storage/querier.js';
import { MemoryQuerier } from '../support/memory-querier.js';

const unlimited = { maxSeries: 0, maxSamples: 1e9, maxBytes: 1e9, maxPoints: 1e9 };

const context = { client: 'test', scope: { tenant: 0, matchers: [] } };

function instant(query: string): QueryJob {
  return { kind: 'instant', query, timeMs: 60_000, limit: 0, format: 'columns' };
}

/** Takes what is not answered inline, and says so. */
class Threads implements QueryService {
  readonly asked: QueryJob[] = [];

  async run(job: QueryJob): Promise<QueryAnswer> {
    this.asked.push(job);
    return { json: new Uint8Array(0), warnings: ['from a thread'], infos: [] };
  }
}

function setUp({ budgetMs = 60_000 } = {}) {
  const querier = new MemoryQuerier();
  for (let i = 0; i < 3; i++) {
    querier.add({ __name__: 'up', instance: `${i}` }, [60_000], [i]);
  }
  let sessions = 0;
  const counting = {
    openSession: (scope: typeof context.scope, limits: SessionLimits) => {
      sessions += 1;
      expect(limits.maxSeries).toBeGreaterThan(0);
      return querier.openSession(scope, limits);
    },
  };
  const engine = new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: inlineLimits(unlimited),
  });
  const threads = new Threads();
  const queries = new InlineQueries({ querier: counting, engine }, threads, budgetMs);
  return { queries, threads, sessions: () => sessions };
}

test('what is tried keeps to the configured limits', () => {
  const narrow = { maxSeries: 5, maxSamples: 100, maxBytes: 2 ** 20, maxPoints: 10 };
  expect(inlineLimits(narrow)).toEqual(narrow);
  expect(inlineLimits(unlimited).maxSeries).toBe(500);
  expect(inlineLimits({ ...unlimited, maxSeries: 1e6 }).maxSeries).toBe(500);
});

test('a small expression is answered without a query thread', async () => {
  const { queries, threads } = setUp();
  const answer = await queries.run(instant('sum(up)'), context);
  expect(answer.columns).toMatchObject({ type: 'vector', values: Float64Array.of(3) });
  expect(threads.asked).toEqual([]);
  expect(queries.answered).toBe(1);
});

test('an expression over a limit goes to a thread, the next times without a try', async () => {
  const { queries, threads, sessions } = setUp();
  const large = instant('sum_over_time(vector(1)[100000s:1s])');
  const answer = await queries.run(large, context);
  expect(answer.warnings).toEqual(['from a thread']);
  await queries.run(large, context);
  expect(threads.asked).toEqual([large, large]);
  expect(sessions()).toBe(1);
  for (let i = 0; i < 100; i++) {
    await queries.run(large, context);
  }
  expect(sessions(), 'after 4, 16 and 64 times it was tried again').toBe(4);
  expect(queries.answered).toBe(0);
});

test('an expression that only took too long is tried again sooner', async () => {
  const { queries, threads, sessions } = setUp({ budgetMs: -1 });
  for (let i = 0; i < 1 + 2 + 1 + 4 + 1 + 8 + 1; i++) {
    await queries.run(instant('up'), context);
  }
  expect(threads.asked).toHaveLength(18);
  expect(sessions()).toBe(4);
});

test('a query that is wrong is refused at once', async () => {
  const { queries, threads } = setUp();
  const wrong = queries.run(instant('sum(up'), context);
  await expect(wrong).rejects.toMatchObject({ code: 'bad_data' });
  await expect(wrong).rejects.toBeInstanceOf(MetricstorError);
  expect(threads.asked).toEqual([]);
});

test('an execution error is reported by a thread', async () => {
  const { queries, threads } = setUp();
  await queries.run(instant('label_replace(up, "instance", "", "", "")'), context);
  expect(threads.asked).toHaveLength(1);
});

test('look-ups and the queries of clients that left are not tried', async () => {
  const { queries, threads, sessions } = setUp();
  const names = { kind: 'labelNames', selectors: [], mint: 0, maxt: 1, limit: 0 } as const;
  await queries.run(names, context);
  await queries.run(instant('up'), { ...context, signal: AbortSignal.abort() });
  expect(threads.asked).toHaveLength(2);
  expect(sessions()).toBe(0);
});
