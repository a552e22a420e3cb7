/** @file Type and unit of remote_write 2.0 as labels, where `type-and-unit-labels` is on. */
import { afterEach, expect, test } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

let server: TestServer | undefined;
afterEach(() => server?.stop());

const described = [
  { name: 'jobs_total', own: [], metadata: { type: 'counter', unit: '' } },
  { name: 'room', own: [['__type__', 'mine']], metadata: { type: 'gauge', unit: 'celsius' } },
  { name: 'silent', own: [['__type__', 'mine']], metadata: { type: 'unknown', unit: '' } },
] as const;

/** The series that are there after these were pushed. */
async function seriesOf(features: string): Promise<unknown> {
  server = await startTestServer({ PROMQL_FEATURES: features });
  const client = new RemoteWriteClient({ url: server.addresses.http });
  const answer = await client.writeDescribed(
    described.map(({ name, own, metadata }) => ({
      labels: [['__name__', name], ...own],
      timestamps: Float64Array.of(Date.now()),
      values: Float64Array.of(1),
      metadata,
    })),
  );
  client.close();
  expect(answer.status).toBe(204);
  const found = await fetch(`${server.addresses.http}/api/v1/series?match[]={__name__!=""}`);
  return ((await found.json()) as { data: unknown }).data;
}

test('they take the place of such labels of a series, unless they say nothing', async () => {
  expect(await seriesOf('type-and-unit-labels')).toEqual([
    { __name__: 'jobs_total', __type__: 'counter' },
    { __name__: 'room', __type__: 'gauge', __unit__: 'celsius' },
    { __name__: 'silent', __type__: 'mine' },
  ]);
});

test('labels stay as they were sent without the feature', async () => {
  expect(await seriesOf('')).toEqual([
    { __name__: 'jobs_total' },
    { __name__: 'room', __type__: 'mine' },
    { __name__: 'silent', __type__: 'mine' },
  ]);
});
