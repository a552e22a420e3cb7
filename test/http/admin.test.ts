import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { ask } from '../support/query.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ COMPACTION_CPU_SHARE: '0' });
});
afterAll(() => server.stop());

const admin = (name: string, method = 'POST'): Promise<Response> =>
  fetch(`${server.addresses.http}/api/v1/admin/tsdb/${name}`, { method });

/** One of the server's own metrics. */
async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${server.addresses.http}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${name} `));
  return Number(line?.slice(name.length + 1));
}

test('flush makes a block of what is in memory, and compact one of many', async () => {
  const now = Date.now();
  for (const [n, method] of ['POST', 'PUT', 'POST'].entries()) {
    const labels = { __name__: 'merged', n: String(n) };
    await pushAll(server.addresses.http, [series(labels, [[now, n]])]);
    const answer = await admin('flush', method);
    expect([answer.status, await answer.text()]).toEqual([204, '']);
    expect(await metric('metricstor_blocks')).toBe(n + 1);
  }
  const answer = await admin('compact', 'PUT');
  expect([answer.status, await answer.text()]).toEqual([204, '']);
  expect(await metric('metricstor_blocks')).toBe(1);
  expect(await metric('metricstor_compactions_total')).toBe(1);
  expect(await metric('metricstor_blocks_by_level{level="2"}')).toBe(1);
  expect(await metric('metricstor_blocks_quarantined')).toBe(0);
  expect(await metric('metricstor_compaction_temporary_bytes')).toBe(0);
  expect(await metric('metricstor_compaction_written_bytes_total')).toBeGreaterThan(0);
  const parameters = new URLSearchParams({ query: 'sum(merged)', time: String(now / 1000) });
  const found = await ask(`${server.addresses.http}/api/v1/query?${parameters}`);
  expect(JSON.parse(found.text)).toMatchObject({
    data: { result: [{ value: [now / 1000, '3'] }] },
  });
});

test.for(['flush', 'compact'])('with nothing to do %s is done', async (name) => {
  expect((await admin(name)).status).toBe(204);
  expect((await admin(name)).status).toBe(204);
});

test.for(['GET', 'DELETE'])('%s is not a method of it', async (method) => {
  const answer = await admin('compact', method);
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST, PUT']);
});
