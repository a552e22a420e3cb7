/**
 * @file What comes beside samples: exemplars and metadata go in with remote_write and come out of
 * the API, in Prometheus' JSON.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DescribedSeries, RemoteWriteClient } from '../../src/client/remote-write.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

let server: TestServer;
let client: RemoteWriteClient;

const exemplar = (trace: string, timestampMs: number, value: number) =>
  ({ labels: [['trace_id', trace]], timestampMs, value }) as const;

const bucket = (le: string, ...exemplars: ReturnType<typeof exemplar>[]): DescribedSeries => ({
  labels: [
    ['__name__', 'rpc_seconds_bucket'],
    ['le', le],
  ],
  timestamps: Float64Array.of(60_000),
  values: Float64Array.of(1),
  exemplars,
  metadata: { type: 'histogram', help: 'How long a "call" takes.', unit: 'seconds' },
});

beforeAll(async () => {
  server = await startTestServer({ RETENTION_DAYS: '36500' });
  client = new RemoteWriteClient({ url: server.addresses.http });
  const up: DescribedSeries = {
    labels: [['__name__', 'up']],
    timestamps: Float64Array.of(60_000, 120_000),
    values: Float64Array.of(1, 1),
    metadata: { type: 'gauge' },
  };
  const answer = await client.writeDescribed([
    bucket('1', exemplar('a1', 1_500, 0.5), exemplar('a2', 61_000, 1)),
    bucket('2', exemplar('b1', 60_000, 1.5)),
    up,
  ]);
  expect(answer).toMatchObject({ status: 204, body: '' });
});
afterAll(async () => {
  client.close();
  await server.stop();
});

async function ask(path: string, init: RequestInit = {}): Promise<[number, unknown]> {
  const answer = await fetch(`${server.addresses.http}/api/v1/${path}`, init);
  return [answer.status, await answer.json()];
}

const found = (le: string, ...exemplars: [string, string, number][]) => ({
  seriesLabels: { __name__: 'rpc_seconds_bucket', le },
  exemplars: exemplars.map(([trace, value, timestamp]) => ({
    labels: { trace_id: trace },
    value,
    timestamp,
  })),
});

test.for<[string, unknown[]]>([
  [
    'query=rpc_seconds_bucket',
    [found('1', ['a1', '0.5', 1.5], ['a2', '1', 61]), found('2', ['b1', '1.5', 60])],
  ],
  [
    'query=histogram_quantile(0.9, sum by (le) (rate(rpc_seconds_bucket{le="1"}[5m]))) %2B nothing',
    [found('1', ['a1', '0.5', 1.5], ['a2', '1', 61])],
  ],
  ['query=rpc_seconds_bucket&start=60.5', [found('1', ['a2', '1', 61])]],
  ['query=rpc_seconds_bucket&start=2&end=60', [found('2', ['b1', '1.5', 60])]],
  ['query=up', []],
])('query_exemplars?%s', async ([parameters, data]) => {
  expect(await ask(`query_exemplars?${parameters}`)).toEqual([200, { status: 'success', data }]);
});

test('exemplars are asked by POST too', async () => {
  const body = new URLSearchParams({ query: 'rpc_seconds_bucket{le="2"}' });
  const [status, answer] = await ask('query_exemplars', { method: 'POST', body });
  expect([status, answer]).toEqual([
    200,
    { status: 'success', data: [found('2', ['b1', '1.5', 60])] },
  ]);
});

test.for<[string, string]>([
  ['query=up&start=x', 'invalid parameter "start": invalid time value for \'start\''],
  ['query=up&start=2&end=1', 'end timestamp must not be before start timestamp'],
  ['query=', 'parse error: no expression found in input'],
  ['query=sum(', '1:5: parse error'],
])('query_exemplars?%s is refused', async ([parameters, text]) => {
  const [status, answer] = await ask(`query_exemplars?${parameters}`);
  expect([status, answer]).toMatchObject([400, { status: 'error', errorType: 'bad_data' }]);
  expect((answer as { error: string }).error).toContain(text);
});

const histogram = { type: 'histogram', unit: 'seconds', help: 'How long a "call" takes.' };
const gauge = { type: 'gauge', unit: '', help: '' };

test.for<[string, unknown]>([
  ['metadata', { rpc_seconds: [histogram], up: [gauge] }],
  ['metadata?metric=up', { up: [gauge] }],
  ['metadata?metric=down', {}],
  ['metadata?limit=1', { rpc_seconds: [histogram] }],
  ['metadata?limit=0', {}],
  ['metadata?limit=-1&limit_per_metric=1', { rpc_seconds: [histogram], up: [gauge] }],
])('%s', async ([path, data]) => {
  expect(await ask(path)).toEqual([200, { status: 'success', data }]);
});

test.for(['limit', 'limit_per_metric'])('%s of metadata is a number', async (name) => {
  const error = `${name} must be a number`;
  const expected = { status: 'error', errorType: 'bad_data', error };
  expect(await ask(`metadata?${name}=x`)).toEqual([400, expected]);
});

test('status/tsdb says what is large', async () => {
  const [status, answer] = await ask('status/tsdb');
  expect([status, answer]).toEqual([
    200,
    {
      status: 'success',
      data: {
        headStats: {
          numSeries: 3,
          numLabelPairs: 4,
          chunkCount: 3,
          minTime: 60_000,
          maxTime: 120_000,
        },
        seriesCountByMetricName: [
          { name: 'rpc_seconds_bucket', value: 2 },
          { name: 'up', value: 1 },
        ],
        labelValueCountByLabelName: [
          { name: '__name__', value: 2 },
          { name: 'le', value: 2 },
        ],
        memoryInBytesByLabelName: [
          { name: '__name__', value: 68 },
          { name: 'le', value: 10 },
        ],
        seriesCountByLabelValuePair: [
          { name: '__name__=rpc_seconds_bucket', value: 2 },
          { name: '__name__=up', value: 1 },
          { name: 'le=1', value: 1 },
          { name: 'le=2', value: 1 },
        ],
      },
    },
  ]);
  const [, limited] = await ask('status/tsdb?limit=1');
  expect(limited).toMatchObject({
    data: { seriesCountByMetricName: [{ name: 'rpc_seconds_bucket', value: 2 }] },
  });
  for (const [limit, error] of [
    ['0', 'limit must be a positive number'],
    ['x', 'limit must be a positive number'],
    ['10001', 'limit must not exceed 10000'],
  ]) {
    const expected = { status: 'error', errorType: 'bad_data', error };
    expect(await ask(`status/tsdb?limit=${limit}`)).toEqual([400, expected]);
  }
});

test('status/runtimeinfo has the members of Prometheus', async () => {
  const [status, answer] = await ask('status/runtimeinfo');
  const { data } = answer as { data: Record<string, unknown> };
  expect(status).toBe(200);
  expect(Object.keys(data).slice(0, 13)).toEqual([
    'startTime',
    'CWD',
    'hostname',
    'serverTime',
    'reloadConfigSuccess',
    'lastConfigTime',
    'corruptionCount',
    'goroutineCount',
    'GOMAXPROCS',
    'GOMEMLIMIT',
    'GOGC',
    'GODEBUG',
    'storageRetention',
  ]);
});

test('a late exemplar is told to the sender, and the rest is stored', async () => {
  const late = { ...bucket('1', exemplar('a0', 1_000, 0.5)), timestamps: Float64Array.of(61_000) };
  const { status, body } = await client.writeDescribed([late]);
  expect(status).toBe(400);
  expect(body).toContain('1 refused, 1 samples stored');
  expect(body).toContain('exemplar at 1000 comes after a newer one, at 61000');
});
