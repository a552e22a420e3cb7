import { describe, expect, test } from 'vitest';
import { MetricstorError } from '../../src/errors.js';
import { type EngineOptions, PromqlEngine, type QueryOutcome } from '../../src/promql/engine.js';
import { SharedUse } from '../../src/query/shared-use.js';
import { MemoryQuerier, type MemorySession, staleMarker } from '../support/memory-querier.js';

const minute = 60_000;
const roomy = { maxSamples: 1e7, maxBytes: 2 ** 30, maxPoints: 1e7 };

function makeEngine(limits: Partial<EngineOptions['limits']> = {}): PromqlEngine {
  const limit = { ...roomy, ...limits };
  return new PromqlEngine({ lookbackMs: 5 * minute, subqueryStepMs: minute, limits: limit });
}

/** `count` series with a sample every 15 s for `hours`. */
function fleet(count: number, hours = 1): MemoryQuerier {
  const querier = new MemoryQuerier();
  const samples = hours * 240;
  for (let i = 0; i < count; i++) {
    const timestamps = Float64Array.from({ length: samples }, (_, k) => k * 15_000);
    const values = Float64Array.from({ length: samples }, (_, k) => k * (i + 1));
    const labels = { __name__: 'requests_total', job: `j${i % 2}`, instance: String(i) };
    querier.addColumns(labels, timestamps, values);
  }
  return querier;
}

function ask(engine: PromqlEngine, session: MemorySession, query: string, hours = 1): QueryOutcome {
  const deadlineMs = Date.now() + 20_000;
  const endMs = hours * 60 * minute - 1;
  return engine.range(session, { query, startMs: 0, endMs, stepMs: minute, deadlineMs });
}

function codeOf(run: () => unknown): [string, string] {
  try {
    run();
  } catch (error) {
    if (error instanceof MetricstorError) {
      return [error.code, error.message];
    }
    throw error;
  }
  return ['', ''];
}

describe('limits', () => {
  test('a vector of more points than samples are allowed is an execution error', () => {
    const engine = makeEngine({ maxSamples: 1000 });
    const session = fleet(20).openSession();
    expect(codeOf(() => ask(engine, session, 'requests_total'))).toEqual([
      'execution',
      'query processing would load too many samples into memory in query execution: more than ' +
        '1000, the limit query.maxSamples',
    ]);
    // Summed as they come, the same series need no more than the sum.
    expect(codeOf(() => ask(engine, session, 'sum(rate(requests_total[5m]))'))).toEqual(['', '']);
  });

  test('raw samples count', () => {
    const engine = makeEngine({ maxSamples: 1000 });
    const session = fleet(10).openSession();
    const ask = { query: 'requests_total[1h]', timeMs: 3_600_000, deadlineMs: Date.now() + 9000 };
    expect(codeOf(() => engine.instant(session, ask))[0]).toBe('execution');
  });

  test('memory and the size of the answer are bounded', () => {
    const session = fleet(50).openSession();
    const memory = codeOf(() => ask(makeEngine({ maxBytes: 20_000 }), session, 'requests_total'));
    expect(memory[0]).toBe('execution');
    expect(memory[1]).toContain('20000 bytes');
    const points = codeOf(() => ask(makeEngine({ maxPoints: 100 }), session, 'requests_total'));
    expect(points[0]).toBe('execution');
    expect(points[1]).toContain('at most 100');
  });

  test('an error of a limit names the setting and its value', () => {
    const session = fleet(50).openSession();
    const errorOf = (limits: Partial<EngineOptions['limits']>): string =>
      codeOf(() => ask(makeEngine(limits), session, 'requests_total'))[1];
    expect(errorOf({ maxSamples: 1001 })).toMatch(/1001.*query\.maxSamples$/);
    expect(errorOf({ maxBytes: 20_001 })).toMatch(/20001.*query\.maxBytes$/);
    expect(errorOf({ maxPoints: 101 })).toMatch(/101.*query\.maxPoints$/);
  });

  test('queries of several threads share a bound, and give back what they took', () => {
    const handle = SharedUse.create(2, 3 * 2 ** 20);
    const own = SharedUse.attach(handle, 0);
    const other = SharedUse.attach(handle, 1);
    const options = { lookbackMs: 5 * minute, subqueryStepMs: minute, limits: roomy };
    const engine = new PromqlEngine(options, own);
    const session = fleet(200).openSession();
    // A query takes a mebibyte at a time.
    const ofOther = 2 * 2 ** 20 + 1;
    other.add(ofOther);
    expect(codeOf(() => ask(engine, session, 'requests_total'))).toEqual([
      'overloaded',
      'all queries together would need more than 3145728 bytes of memory, the limit ' +
        'query.maxTotalBytes',
    ]);
    engine.release();
    expect(own.totalBytes).toBe(ofOther);
    // What a thread held that is gone.
    other.empty();
    expect(own.totalBytes).toBe(0);
    expect(codeOf(() => ask(engine, session, 'count(requests_total)'))).toEqual(['', '']);
    expect(own.samples).toBe(200 * 237);
  });

  test('a subquery of more steps than samples are allowed is refused at once', () => {
    const session = fleet(1).openSession();
    const query = 'sum_over_time(vector(1)[1000w:1ms])';
    expect(codeOf(() => ask(makeEngine(), session, query))[0]).toBe('execution');
  });

  test('a query stops at its deadline and when it is canceled', () => {
    const engine = makeEngine();
    const session = fleet(10).openSession();
    const late = { query: 'requests_total', timeMs: 0, deadlineMs: Date.now() - 1 };
    expect(codeOf(() => engine.instant(session, late))).toEqual([
      'timeout',
      'query timed out in expression evaluation',
    ]);
    session.isCanceled = true;
    expect(codeOf(() => ask(engine, session, 'requests_total'))).toEqual([
      'canceled',
      'query was canceled in expression evaluation',
    ]);
  });
});

describe('reading', () => {
  test('series that need several batches, and one larger than a batch, are all read', () => {
    const engine = makeEngine();
    const querier = fleet(30, 24);
    const long = Float64Array.from({ length: 200_000 }, (_, k) => k * 400);
    querier.addColumns({ __name__: 'long' }, long, long);
    const session = querier.openSession();
    const sum = ask(engine, session, 'sum(count_over_time(requests_total[1d]))', 24);
    expect(sum.stats).toMatchObject({ samples: 30 * 5757, series: 30 });
    const { values } = sum.result as { values: Float64Array };
    // At 0 one sample each; at the last step all that were read.
    expect([values[0], values[values.length - 1]]).toEqual([30, 30 * 5757]);
    const count = ask(engine, session, 'count_over_time(long[1d])', 24);
    expect(count.result).toMatchObject({ type: 'matrix' });
    expect((count.result as { values: Float64Array }).values.at(-1)).toBe(200_000);
  });

  test('an aggregation of a rate holds the sum, not the series', () => {
    const engine = makeEngine();
    const session = fleet(1000).openSession();
    ask(engine, session, 'sum(rate(requests_total[5m]))');
    const { peakBytes } = ask(engine, session, 'sum by (job) (rate(requests_total[5m]))').stats;
    const all = ask(engine, session, 'rate(requests_total[5m])').stats.peakBytes;
    expect(all - peakBytes).toBeGreaterThan(900 * 60 * 8);
  });

  test('what occurs twice is read once, what only looks alike is not', () => {
    const engine = makeEngine();
    const querier = fleet(4);
    const once = ask(
      engine,
      querier.openSession(),
      'requests_total / on (instance) requests_total',
    );
    expect([querier.selects, once.stats.samples]).toEqual([1, 4 * 237]);
    querier.selects = 0;
    ask(engine, querier.openSession(), 'requests_total - requests_total offset 5m');
    expect(querier.selects).toBe(2);
  });

  test('a part that does not change with time is evaluated at one time', () => {
    const engine = makeEngine();
    const querier = fleet(1, 24);
    const session = querier.openSession();
    const { stats, result } = ask(engine, session, 'requests_total @ 3600 + 1', 24);
    expect(stats.samples).toBeLessThanOrEqual(21);
    expect((result as { values: Float64Array }).values).toHaveLength(1440);
  });

  test('a part that occurs twice annotates at its last place', () => {
    const querier = new MemoryQuerier().add({ __name__: 'gauge' }, [0, 30_000], [1, 2]);
    const query = 'rate(gauge[1m]) / rate(gauge[1m])';
    const ask = { query, timeMs: 30_000, deadlineMs: Date.now() + 9000 };
    const { annotations } = makeEngine().instant(querier.openSession(), ask);
    expect(annotations.infos).toHaveLength(1);
    expect(annotations.infos[0]).toMatch(/\(1:24\)$/);
  });
});

describe('bits', () => {
  const payload = new Float64Array(Uint32Array.of(0xdeadbeef, 0x7ff80123).buffer);

  test('raw samples keep NaN payloads and lose stale markers only', () => {
    const values = new Float64Array(5);
    values.set(payload, 0);
    values.set(staleMarker, 1);
    values[2] = -0;
    values.set(staleMarker, 3);
    values.set(payload, 4);
    const timestamps = Float64Array.of(1, 2, 3, 4, 5);
    const querier = new MemoryQuerier().addColumns({ __name__: 'x' }, timestamps, values);
    const ask = { query: 'x[1m]', timeMs: 1000, deadlineMs: Date.now() + 9000 };
    const { result } = makeEngine().instant(querier.openSession(), ask);
    if (result.type !== 'matrix') {
      throw new TypeError(`got a ${result.type}`);
    }
    expect([...result.timestamps]).toEqual([1, 3, 5]);
    const bits = new Uint32Array(result.values.buffer);
    expect([...bits]).toEqual([0xdeadbeef, 0x7ff80123, 0, 0x80000000, 0xdeadbeef, 0x7ff80123]);
  });
});

test('an engine answers the same query twice the same', () => {
  const engine = makeEngine();
  const querier = fleet(5);
  const first = ask(engine, querier.openSession(), 'topk(2, rate(requests_total[5m]))');
  const second = ask(engine, querier.openSession(), 'topk(2, rate(requests_total[5m]))');
  expect(second.result).toEqual(first.result);
});

test('limit_ratio hashes labels as Prometheus does', async () => {
  const { xxh64 } = await import('../../src/promql/exec/ratio-sampler.js');
  // Test vectors of the xxHash specification and of its reference implementation.
  expect(xxh64(Buffer.from(''))).toBe(0xef46db3751d8e999n);
  expect(xxh64(Buffer.from('a'))).toBe(0xd24ec4f1a98c6e5bn);
  expect(xxh64(Buffer.from('abc'))).toBe(0x44bc2cf5ad770999n);
  expect(xxh64(Buffer.from('Nobody inspects the spammish repetition'))).toBe(0xfbcea83c8a378bf1n);
});
