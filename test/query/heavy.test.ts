import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';

const data = temporaryDirectory('heavy');
let server: RunningServer;

beforeAll(async () => {
  server = await startServer({ dataDir: data.path, env: { METRICSTOR_QUERY_WORKERS: '1' } });
});
afterAll(async () => {
  await server.kill();
  data.remove();
});

/** A million windows of a million values each, sorted: nothing but time ends it. */
const endless =
  'sum_over_time(quantile_over_time(0.5, vector(time() % 997)[1000s:1ms])[1000s:1ms])';

interface Answer {
  readonly code: number;
  readonly errorType?: string;
  readonly data?: { readonly result: unknown };
}

async function query(expression: string, more = '', signal?: AbortSignal): Promise<Answer> {
  const url = `${server.url}/api/v1/query?query=${encodeURIComponent(expression)}${more}`;
  const answer = await fetch(url, signal === undefined ? {} : { signal });
  return { code: answer.status, ...((await answer.json()) as object) };
}

async function running(): Promise<number> {
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  return Number(/^metricstor_queries_running (\d+)$/m.exec(metrics)?.[1]);
}

async function until(count: number): Promise<void> {
  while ((await running()) !== count) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('a query past its timeout is 503, and its thread serves the next', async () => {
  const start = performance.now();
  const heavy = await query(endless, '&timeout=300ms');
  expect(heavy).toMatchObject({ code: 503, errorType: 'timeout' });
  expect(performance.now() - start).toBeLessThan(5000);
  const next = await query('6*7', '&time=0');
  expect(next).toMatchObject({ code: 200, data: { result: [0, '42'] } });
});

test('a client that goes away frees the thread', async () => {
  const gone = new AbortController();
  const asked = query(endless, '', gone.signal).catch(() => 'gone');
  await until(1);
  gone.abort();
  expect(await asked).toBe('gone');
  await until(0);
});

test('writes and health checks go on beside a heavy query', async () => {
  const gone = new AbortController();
  const asked = query(endless, '', gone.signal).catch(() => 'gone');
  await until(1);
  await pushAll(server.url, [series({ __name__: 'beside' }, [[Date.now(), 1]])]);
  expect((await fetch(`${server.url}/-/healthy`)).status).toBe(200);
  expect(await running()).toBe(1);
  gone.abort();
  await asked;
});
