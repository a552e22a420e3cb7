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

test.for(histogramCases)('$query is answered as Prometheus does', async ({ query, path }) => {
  expect(await ask(path)).toEqual(recorded[query]);
});

// What Prometheus 3.14 counted.
test.for<[string, number]>([
  ['query?query=info(served_total)&time=660', 5],
  ['query_range?query=info(served_total)&start=540&end=660&step=40', 22],
  ['query?query=info(served_total,{version=~".*"} )&time=660', 5],
  ['query?query=info(vector(1))&time=660', 0],
])('statistics of %s have the samples of info series', async ([path, count]) => {
  const answer = (await ask(`${path}&stats=true`)) as { data: { stats: unknown } };
  expect(answer.data.stats).toMatchObject({
    samples: { totalQueryableSamples: count, samplesRead: count },
  });
});
