/**
 * @file Bodies that a real Prometheus sent (`recorded/README.md`): what they carry is stored and
 * asked for.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { remoteWrite2Headers, remoteWriteHeaders } from '../../src/client/remote-write.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

let server: TestServer;

beforeAll(async () => {
  // Whatever the clock says, the samples are neither too old nor too far ahead.
  server = await startTestServer({ RETENTION_DAYS: '36500', INGEST_MAX_FUTURE: '36500d' });
});
afterAll(() => server.stop());

async function push(
  file: string,
  headers: Readonly<Record<string, string>>,
): Promise<readonly [number, ...(string | null)[]]> {
  const body = readFileSync(new URL(`./recorded/${file}`, import.meta.url));
  const url = `${server.addresses.http}/api/v1/write`;
  const answer = await fetch(url, { method: 'POST', headers, body });
  const written = ['samples', 'histograms', 'exemplars'].map((what) =>
    answer.headers.get(`x-prometheus-remote-write-${what}-written`),
  );
  return [answer.status, ...written];
}

async function ask<T>(path: string, parameters: Readonly<Record<string, string>>): Promise<T> {
  const query = new URLSearchParams(parameters);
  const answer = await fetch(`${server.addresses.http}/api/v1/${path}?${query}`);
  return ((await answer.json()) as { data: T }).data;
}

interface Exemplars {
  readonly seriesLabels: Readonly<Record<string, string>>;
  readonly exemplars: readonly { readonly labels: object; readonly value: string }[];
}

test('a request of 2.0 with samples, native histograms and exemplars', async () => {
  expect(await push('remote-write-2.snappy', remoteWrite2Headers)).toEqual([204, '17', '8', '3']);
  const time = '1795248171';
  const { result } = await ask<{ result: object[] }>('query', { query: 'shop_orders_total', time });
  const labels = { instance: '127.0.0.1:19201', job: 'shop', shop: 'b"1' };
  const metric = { __name__: 'shop_orders_total', ...labels };
  expect(result).toEqual([{ metric, value: [1795248171, '177'] }]);
  const found = await ask<Exemplars[]>('query_exemplars', { query: '{job="shop"}' });
  expect(found.map(({ seriesLabels }) => seriesLabels.__name__)).toEqual([
    'pay_seconds_bucket',
    'pay_seconds_bucket',
    'shop_orders_total',
  ]);
  expect(found[2]?.exemplars).toMatchObject([
    { labels: { span_id: 's', trace_id: 't177' }, value: '1' },
  ]);
});

test('a request of 1.0 with samples and exemplars, and one with metadata', async () => {
  expect(await push('remote-write-1.snappy', remoteWriteHeaders)).toEqual([204, null, null, null]);
  const found = await ask<Exemplars[]>('query_exemplars', { query: 'shop_orders_total' });
  expect(found[0]?.exemplars.at(-1)).toMatchObject({
    labels: { span_id: 's', trace_id: 't260' },
    value: '1',
  });
  const answer = await push('remote-write-1-metadata.snappy', remoteWriteHeaders);
  expect(answer).toEqual([204, null, null, null]);
  expect(await ask('metadata', {})).toEqual({
    pay_seconds: [{ type: 'histogram', unit: 'seconds', help: 'How long a payment takes.' }],
    shop_orders: [{ type: 'counter', unit: '', help: 'Orders placed.' }],
  });
});
