import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';

const data = temporaryDirectory('watch');
let server: RunningServer;

beforeAll(async () => {
  server = await startServer({
    dataDir: data.path,
    env: { METRICSTOR_QUERY_WORKERS: '1', METRICSTOR_RETENTION_DAYS: '36500' },
  });
  const up = ['a', 'b'].map((job) =>
    series(
      { __name__: 'up', job },
      Array.from({ length: 41 }, (_, k) => [k * 15_000, k]),
    ),
  );
  await pushAll(server.url, up);
});
afterAll(async () => {
  await server.kill();
  data.remove();
});

type Body = Record<string, unknown>;

async function ask(path: string, init: RequestInit = {}): Promise<{ status: number; body: Body }> {
  const answer = await fetch(`${server.url}/api/v1/${path}`, init);
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Body) };
}

/** A million windows of a million values each, sorted: nothing but time ends it. */
const endless =
  'sum_over_time(quantile_over_time(0.5, vector(time() % 997)[1000s:1ms])[1000s:1ms])';

interface Active {
  readonly id: string;
  readonly query: string;
  readonly state: string;
  readonly duration: string;
  readonly remote_addr: string;
}

async function active(): Promise<Active[]> {
  return (await ask('status/active_queries')).body.data as Active[];
}

async function activeOf(query: string, state: string): Promise<Active> {
  for (;;) {
    const found = (await active()).find((one) => one.query === query && one.state === state);
    if (found !== undefined) {
      return found;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const kill = (id: string) => ask(`status/active_queries/kill?id=${id}`, { method: 'POST' });

test('an active query is listed, and killing it ends it for its client', async () => {
  const asked = ask(`query?query=${encodeURIComponent(endless)}&time=60`);
  const found = await activeOf(endless, 'running');
  expect(found).toMatchObject({ remote_addr: '127.0.0.1', start: 60_000, end: 60_000, step: 0 });
  expect(found.duration).toMatch(/^\d+\.\d{3}s$/);
  // Behind it, one waits.
  const behind = ask(`query?query=${encodeURIComponent(`${endless}+1`)}`);
  const waiting = await activeOf(`${endless}+1`, 'waiting');
  expect((await kill(waiting.id)).status).toBe(204);
  expect((await behind).status).toBe(503);
  expect((await kill(found.id)).status).toBe(204);
  expect(await asked).toMatchObject({
    status: 503,
    body: { errorType: 'canceled', error: `query ${found.id} was killed` },
  });
  expect(await active()).toEqual([]);
  expect((await kill(found.id)).status).toBe(404);
  expect((await kill('nobody')).status).toBe(400);
  const byGet = await fetch(`${server.url}/api/v1/status/active_queries/kill?id=${found.id}`);
  expect(byGet.status).toBe(405);
});

test('top queries are counted by expression and length of the range', async () => {
  for (let i = 0; i < 3; i++) {
    await ask('query?query=up%2b1&time=60');
  }
  await ask('query_range?query=up%2b1&start=0&end=60&step=15');
  const { status, body } = await ask('status/top_queries?topN=5&maxLifetime=1h');
  expect(status).toBe(200);
  expect(body).toMatchObject({ topN: '5', maxLifetime: '1h' });
  const byCount = (body.topByCount as Body[]).filter(({ query }) => query === 'up+1');
  expect(byCount).toEqual([
    { query: 'up+1', timeRangeSeconds: 0, count: 3 },
    { query: 'up+1', timeRangeSeconds: 60, count: 1 },
  ]);
  const bySamples = (body.topBySumSamples as Body[]).filter(({ query }) => query === 'up+1');
  // Of each query both series; the lookback reaches all samples up to 60 s.
  expect(bySamples).toEqual([
    { query: 'up+1', timeRangeSeconds: 0, sumSamples: 3 * 2 * 5, count: 3 },
    { query: 'up+1', timeRangeSeconds: 60, sumSamples: 2 * 5, count: 1 },
  ]);
  expect((await ask('status/top_queries?topN=0')).status).toBe(400);
});

interface Stats {
  readonly timings: Record<string, number>;
  readonly samples: {
    readonly totalQueryableSamples: number;
    readonly samplesRead: number;
    readonly peakSamples: number;
    readonly totalQueryableSamplesPerStep?: readonly [number, number][];
    readonly samplesReadPerStep?: readonly [number, number][];
  };
}

async function statsOf(path: string): Promise<Stats> {
  const { data: answered } = (await ask(path)).body as { data: { stats: Stats } };
  return answered.stats;
}

test('statistics have the members and counts of Prometheus', async () => {
  const range = 'query_range?query=rate(up[1m])&start=60&end=120&step=30';
  const { timings, samples } = await statsOf(`${range}&stats=all`);
  expect(Object.keys(timings)).toEqual([
    'evalTotalTime',
    'resultSortTime',
    'queryPreparationTime',
    'innerEvalTime',
    'execQueueTime',
    'execTotalTime',
  ]);
  // A window of a minute, open to the left, has four samples; two are new at each step.
  expect(samples).toMatchObject({
    totalQueryableSamplesPerStep: [
      [60, 8],
      [90, 8],
      [120, 8],
    ],
    totalQueryableSamples: 24,
    samplesReadPerStep: [
      [60, 8],
      [90, 4],
      [120, 4],
    ],
    samplesRead: 16,
  });
  const totals = await statsOf(`${range}&stats=true`);
  expect(totals.samples).toEqual({
    totalQueryableSamples: 24,
    samplesRead: 16,
    peakSamples: samples.peakSamples,
  });
  expect((await ask(range)).body.data).not.toHaveProperty('stats');
});

test('an unknown value of stats warns as Prometheus does', async () => {
  const { body } = await ask('query?query=up&time=60&stats=some');
  expect(body.warnings).toEqual([
    'value "some" for parameter "stats" is deprecated and will be rejected in the next major ' +
      'release, use "true" or "all"',
  ]);
  expect(body.data).toHaveProperty('stats.samples.totalQueryableSamples', 2);
});

test('a plan is explained, and analyzed where that is asked for', async () => {
  const query = encodeURIComponent('sum(rate(up{job="a"}[1m] offset 30s)) + 2 * up @ 60');
  const path = `explain?query=${query}&start=60&end=120&step=30`;
  const plain = (await ask(path)).body as { data: { plan: Body } };
  expect(plain.data.plan).toMatchObject({
    node: 'binary',
    steps: 3,
    inputs: [
      {
        node: 'aggregate',
        inputs: [
          {
            node: 'call',
            inputs: [
              {
                node: 'matrix',
                matchers: ['job="a"', '__name__="up"'],
                reads: [-29.999, 90],
                windowSeconds: 60,
              },
            ],
          },
        ],
      },
      { node: 'repeat', rewrites: ['once'] },
    ],
  });
  expect(JSON.stringify(plain)).not.toContain('analyze');
  const analyzed = (await ask(`${path}&analyze=true`)).body as { data: Body };
  expect(analyzed.data).toMatchObject({
    analyze: { selectedSeries: 3 },
    plan: { analyze: { evaluations: 1 } },
  });
  // Which node reads is the evaluator's business; all of them together read everything.
  const read = [...JSON.stringify(analyzed.data.plan).matchAll(/"selectedSeries":(\d+)/g)];
  expect(read.reduce((sum, [, series]) => sum + Number(series), 0)).toBe(3);
  expect((await ask('explain?query=sum(')).status).toBe(400);
  const instant = await ask('explain?query=up&time=60');
  expect(instant.body).toMatchObject({ data: { plan: { steps: 1, matchers: ['__name__="up"'] } } });
});
