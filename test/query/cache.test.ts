import { afterEach, expect, test } from 'vitest';
import { encodeWriteRequest, type WireSeries } from '../../src/client/remote-write.js';
import { loadConfig } from '../../src/config/load.js';
import { engineOptions } from '../../src/engine-options.js';
import { NativeEngine } from '../../src/native/engine.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { QueryCache } from '../../src/query/cache.js';
import { execute } from '../../src/query/execute.js';
import type { QueryAnswer, QueryService, RangeJob } from '../../src/query/service.js';
import { series } from '../support/push.js';
import { Random } from '../support/random.js';
import { temporaryDirectory } from '../support/server.js';

const everything = { tenant: 0, matchers: [] };
const context = { client: 'test', scope: everything };
const scrapeMs = 15_000;
const closers: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) {
    await close();
  }
});

interface Store {
  readonly engine: NativeEngine;
  readonly cache: QueryCache;
  /** Evaluates everything, and remembers the last job. */
  readonly plain: QueryService & { last?: RangeJob };
  write(labels: Readonly<Record<string, string>>, ...samples: [number, number][]): Promise<void>;
  writeAll(all: readonly WireSeries[]): Promise<void>;
}

async function open(cacheBytes = 64 * 1024 ** 2): Promise<Store> {
  const data = temporaryDirectory('cache');
  const environment = { METRICSTOR_DATA_DIR: data.path, METRICSTOR_WAL_SYNC: 'off' };
  const engine = await NativeEngine.open(engineOptions(loadConfig({ environment }).config));
  closers.push(async () => {
    await engine.close();
    data.remove();
  });
  const promql = new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: { maxSamples: 1e7, maxBytes: 1e9, maxPoints: 1e6 },
  });
  const plain: Store['plain'] = {
    run: async (job, { scope }) => {
      plain.last = job as RangeJob;
      return execute({ querier: engine, engine: promql }, { job, scope, deadlineMs: Infinity });
    },
  };
  const writeAll: Store['writeAll'] = async (all) => {
    const request = { format: 'remote-write-1', encoding: 'snappy', scope: everything } as const;
    await engine.write(encodeWriteRequest(all), request);
  };
  const write: Store['write'] = (labels, ...samples) => writeAll([series(labels, samples)]);
  return { engine, cache: new QueryCache(plain, engine, cacheBytes), plain, write, writeAll };
}

/** Now, on a scrape. */
const now = (): number => Math.floor(Date.now() / scrapeMs) * scrapeMs;

function range(query: string, endMs: number, steps = 20, stepMs = scrapeMs): RangeJob {
  const startMs = endMs - (steps - 1) * stepMs;
  return { kind: 'range', query, startMs, endMs, stepMs, limit: 0, format: 'json' };
}

const textOf = ({ json, warnings, infos }: QueryAnswer): string =>
  JSON.stringify([Buffer.from(json).toString(), warnings, infos]);

/** Asks with and without the cache; both must say the same. Returns the answer's text. */
async function ask({ cache, plain }: Store, job: RangeJob): Promise<string> {
  const cached = textOf(await cache.run(job, context).catch(failure));
  const fresh = textOf(await plain.run(job, context).catch(failure));
  expect(cached).toBe(fresh);
  return cached;
}

const failure = (error: unknown): QueryAnswer => ({
  json: new Uint8Array(0),
  warnings: [String(error)],
  infos: [],
});

test('a range that moves on has only its new steps evaluated', async () => {
  const store = await open();
  const end = now();
  for (let k = 60; k >= 0; k--) {
    await store.write({ __name__: 'up' }, [end - k * scrapeMs, k]);
  }
  const later = end + scrapeMs;
  await ask(store, range('up', end));
  await store.write({ __name__: 'up' }, [later, 7]);
  await store.cache.run(range('up', later), context);
  const reused = store.plain.last?.reuse?.known;
  // All but the step that is new; the one before goes with it, so that it is not alone.
  expect(reused).toMatchObject({ from: 0, to: 19 });
  expect(store.cache.numbers).toMatchObject({ hits: 0, partialHits: 1, misses: 1 });
  await ask(store, range('up', later));
  expect(store.cache.numbers).toMatchObject({ hits: 1, partialHits: 1, misses: 1 });
});

test('a late sample, a replaced one and a delete are seen at once', async () => {
  const store = await open();
  const end = now();
  for (let k = 60; k >= 0; k--) {
    await store.write({ __name__: 'up' }, [end - k * scrapeMs, k]);
  }
  const job = range('avg_over_time(up[1m])', end);
  const answers = [await ask(store, job)];
  await store.write({ __name__: 'up' }, [end - 10 * scrapeMs + 1, 1000]);
  answers.push(await ask(store, job));
  await store.write({ __name__: 'up' }, [end - 10 * scrapeMs + 1, 2000]);
  answers.push(await ask(store, job));
  const matchers = [{ name: '__name__', op: '=', value: 'up' }] as const;
  const [mint, maxt] = [end - 15 * scrapeMs, end - 14 * scrapeMs];
  await store.engine.deleteSeries({ scope: everything, selectors: [matchers], mint, maxt });
  answers.push(await ask(store, job));
  expect(new Set(answers).size).toBe(4);
});

test('a sample that is sent again changes nothing', async () => {
  const store = await open();
  const end = now();
  await store.write({ __name__: 'up' }, [end, 1]);
  await ask(store, range('up', end));
  await store.write({ __name__: 'up' }, [end, 1]);
  await ask(store, range('up', end));
  expect(store.cache.numbers).toMatchObject({ hits: 1, misses: 1 });
});

test('an answer with an annotation is evaluated each time', async () => {
  const store = await open();
  const end = now();
  await store.write({ __name__: 'gauge' }, [end - scrapeMs, 1], [end, 2]);
  const job = range('rate(gauge[1m])', end);
  expect(await ask(store, job)).toContain('metric might not be a counter');
  await ask(store, job);
  expect(store.cache.numbers).toMatchObject({ entries: 0, misses: 2 });
});

test('the cache stays within its bytes, and the least recently used go first', async () => {
  const store = await open(16 * 1024);
  const end = now();
  await store.write({ __name__: 'up' }, [end - 30 * scrapeMs, 1], [end, 1]);
  for (let i = 0; i < 40; i++) {
    await ask(store, range(`up + ${i}`, end));
    await ask(store, range('up', end));
    expect(store.cache.numbers.bytes).toBeLessThanOrEqual(16 * 1024);
  }
  expect(store.cache.numbers.entries).toBeGreaterThan(3);
  expect(store.cache.numbers).toMatchObject({ hits: 39, misses: 41 });
});

test.each([
  ['noCache', { noCache: true }],
  ['a limit', { limit: 1 }],
  ['statistics', { statistics: 'totals' }],
  ['few steps', { endMs: 0, startMs: -60_000, stepMs: 60_000 }],
] as const)('%s passes the cache by', async (_, change) => {
  const store = await open();
  await store.cache.run({ ...range('vector(1)', now()), ...change }, context);
  expect(store.plain.last?.reuse).toBeUndefined();
  expect(store.cache.numbers).toMatchObject({ hits: 0, misses: 0 });
});

test('readers of different scopes share nothing', async () => {
  const store = await open();
  const end = now();
  await store.write({ __name__: 'up', team: 'a' }, [end, 1]);
  await ask(store, range('up', end));
  const matchers = [{ name: 'team', op: '=', value: 'b' }] as const;
  const other = { client: 'test', scope: { tenant: 0, matchers } };
  const answer = await store.cache.run(range('up', end), other);
  expect(Buffer.from(answer.json).toString()).toContain('"result":[]');
});

test('retention takes the oldest steps', async () => {
  const store = await open();
  const end = now();
  await store.write({ __name__: 'up' }, [end - 30 * scrapeMs, 1], [end, 1]);
  let expiredTo = -Infinity;
  const cache = new QueryCache(
    store.plain,
    { changedSince: () => ({ version: 1, writtenFrom: Infinity, expiredTo }) },
    1024 ** 2,
  );
  const job = range('sum_over_time(up[30s])', end);
  await cache.run(job, context);
  expiredTo = job.startMs;
  await cache.run(job, context);
  // A step at t has read what is newer than t - 30 s.
  expect(store.plain.last?.reuse?.known).toMatchObject({ from: 2, to: 20 });
});

/** Panels as dashboards have them, and expressions that name their range or depend on an order. */
const panels = [
  'm_total',
  'sum(rate(m_total[1m]))',
  'sum by (job) (rate(m_total[2m]))',
  'avg without (instance) (m_total)',
  'sum by (job) (rate(m_total[1m])) / sum by (job) (rate(n_total[3m]))',
  'max by (job) (max_over_time(n_total[2m]))',
  'stddev(m_total)',
  'quantile(0.9, n_total)',
  'topk(2, m_total)',
  'limitk(2, m_total)',
  'topk(2, sum by (job) (m_total))',
  'sum(sum by (job, instance) (n_total))',
  'count(m_total) or vector(0)',
  'count_values("value", m_total > 3)',
  'sum({__name__=~".+_total"})',
  'sum(rate({__name__=~".+_total"}[1m]))',
  'rate({__name__=~"[pq]_total"}[1m])',
  'sum(-{__name__=~"[pq]_total"})',
  'm_total offset 2m',
  'm_total offset -1m',
  'avg_over_time(sum(rate(m_total[1m]))[3m:20s])',
  'max_over_time(m_total[2m:] offset 1m)',
  'm_total @ end()',
  'm_total - m_total @ start()',
  'sum_over_time(m_total[range() / 4])',
  'avg_over_time(m_total[2 * step()])',
  'end() - time() + 0 * m_total',
  'absent(m_total{job="a"})',
  'absent_over_time(n_total[30s])',
  'label_replace(m_total, "x", "$1", "job", "(.).*")',
  'sum(label_replace(m_total, "job", "all", "instance", "[0-3]"))',
  'm_total and on (job) n_total > 5',
  'm_total / on (job, instance) group_left n_total',
  'm_total * on (job) n_total',
  'histogram_quantile(0.9, sum by (le) (rate(b_bucket[1m])))',
  'increase(m_total[1m] smoothed)',
  'rate(m_total[1m] anchored)',
  'deriv(n_total[2m])',
  'predict_linear(n_total[2m], 60)',
  'time()',
  'timestamp(m_total)',
  'changes(m_total[2m])',
  '-m_total',
  'scalar(count(m_total))',
  'sort(m_total)',
  'rate(gauge[1m])',
];

test.each([1, 2])(
  'answers are those of an evaluation, random run %i',
  async (seed) => {
    const random = new Random(seed);
    const store = await open();
    let t = now() - 500 * scrapeMs;
    const alive = new Set<string>();
    const all = ['a', 'b', 'c'].flatMap((job) => [0, 1, 2, 3].map((i) => `${job}${i}`));
    const renamedMs = t + 30 * scrapeMs;
    const scrape = async (at: number): Promise<void> => {
      const written: WireSeries[] = [];
      for (const one of alive) {
        const labels = { job: one[0], instance: one[1] };
        // A metric that changed its name.
        const renamed = at < renamedMs ? 'p_total' : 'q_total';
        for (const name of ['m_total', 'n_total', 'gauge', renamed]) {
          written.push(series({ __name__: name, ...labels }, [[at, random.next() * 10]]));
        }
        const le = ['0.1', '1', '+Inf'][Number(one[1]) % 3];
        const bucket = { __name__: 'b_bucket', le, ...labels };
        written.push(series(bucket, [[at, random.integer(0, 50)]]));
      }
      await store.writeAll(written);
    };
    for (let round = 0; round < 60; round++) {
      for (const one of all) {
        if (random.chance(0.05)) {
          alive.has(one) ? alive.delete(one) : alive.add(one);
        }
      }
      t += scrapeMs;
      await scrape(t);
      if (random.chance(0.1)) {
        await scrape(t - random.integer(0, 40) * scrapeMs - 1);
      }
      if (random.chance(0.05)) {
        const matchers = [{ name: 'job', op: '=', value: random.pick(['a', 'b']) }] as const;
        const maxt = t - random.integer(0, 40) * scrapeMs;
        const asked = { selectors: [matchers], mint: maxt - 60_000, maxt };
        await store.engine.deleteSeries({ scope: everything, ...asked });
      }
      if (random.chance(0.08)) {
        await store.engine.flush();
      }
      if (random.chance(0.04)) {
        await (random.chance(0.5) ? store.engine.compact() : store.engine.cleanTombstones());
      }
      for (let asked = 0; asked < 12; asked++) {
        const index = random.integer(0, panels.length - 1);
        const job = range(panels[index], t, 24, index % 3 === 0 ? 2 * scrapeMs : scrapeMs);
        // A dashboard whose refresh is not aligned, and somebody who looks back.
        const ms = random.chance(0.1) ? -job.stepMs * random.integer(0, 5) : 0;
        await ask(store, {
          ...job,
          startMs: job.startMs + ms,
          endMs: job.endMs + ms + (index % 2),
        });
      }
    }
    const { hits, partialHits, invalidations } = store.cache.numbers;
    expect(hits + partialHits).toBeGreaterThan(60);
    expect(invalidations).toBeGreaterThan(0);
  },
  60_000,
);
