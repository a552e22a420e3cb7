import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { histogramCases, histogramData, inOrder } from '../conformance/histograms/cases.js';
import { encodeHistograms } from '../support/histogram-wire.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

const recorded = JSON.parse(
  readFileSync(new URL('../conformance/histograms/recorded/answers.json', import.meta.url), 'utf8'),
) as Readonly<Record<string, unknown>>;

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ RETENTION_DAYS: '36500' });
  const client = new RemoteWriteClient({ url: server.addresses.http });
  const written = await client.writeBody(encodeHistograms(histogramData));
  client.close();
  expect(written).toMatchObject({ status: 204, body: '' });
});
afterAll(() => server.stop());

async function ask(path: string): Promise<unknown> {
  const answer = await fetch(`${server.addresses.http}/api/v1/${path}`);
  return inOrder((await answer.json()) as Parameters<typeof inOrder>[0]);
}

test.for([
  'busy + busy',
  'busy == busy',
  'sum_over_time(busy[5m])',
  'changes(busy[5m])',
  'irate(busy[5m])',
  'busy[5m:1m]',
  'rate(busy[5m:1m])',
  'count_values("x", busy)',
])('%s, which does not know histograms, is an error and no wrong answer', async (query) => {
  const answer = await ask(`query?query=${encodeURIComponent(query)}&time=300`);
  expect(answer).toMatchObject({
    status: 'error',
    errorType: 'execution',
    error: expect.stringContaining('native histograms are not evaluated'),
  });
});

test.for(histogramCases)('$query is answered as Prometheus does', async ({ query, path }) => {
  expect(await ask(path)).toEqual(recorded[query]);
});
