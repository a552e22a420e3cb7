import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { queryRaw } from '../support/query.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

const now = Date.now();
const minuteMs = 60_000;
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function admin(path: string, method = 'POST', body?: URLSearchParams): Promise<Answer> {
  const url = `${server.addresses.http}/api/v1/admin/tsdb/${path}`;
  const answer = await fetch(url, { method, ...(body === undefined ? {} : { body }) });
  return { status: answer.status, text: await answer.text() };
}

/** Ten samples, a minute apart, of `name` on two hosts. */
async function push(name: string): Promise<void> {
  const samples = Array.from({ length: 10 }, (_, i) => [now - i * minuteMs, i] as const);
  await pushAll(
    server.addresses.http,
    ['a', 'b'].map((host) => series({ __name__: name, host }, samples)),
  );
}

/** The host of a series key. */
const hostOf = (key: string) => new Map<string, string>(JSON.parse(key)).get('host');

/** Number of samples by host. */
async function count(name: string): Promise<Record<string, number>> {
  const found = await queryRaw(server.addresses.http, `${name}[1h]`, now + 1);
  const counts = [...found].map(([key, samples]) => [hostOf(key), samples.size]);
  return Object.fromEntries(counts);
}

const encode = encodeURIComponent;

test.for(['POST', 'PUT'])(
  '%s deletes a range of what one of the selectors finds',
  async (method) => {
    const name = `deleted_${method.toLowerCase()}`;
    await push(name);
    const start = (now - 3 * minuteMs) / 1000;
    const path = `delete_series?match[]=${encode(`${name}{host="a"}`)}&match[]=nothing&start=${start}`;
    expect(await admin(path, method)).toEqual({ status: 204, text: '' });
    expect(await count(name)).toEqual({ a: 6, b: 10 });
  },
);

test('a form in the body does as well, and without a range everything goes', async () => {
  await push('deleted_form');
  const form = new URLSearchParams([['match[]', 'deleted_form']]);
  expect(await admin('delete_series', 'POST', form)).toEqual({ status: 204, text: '' });
  expect(await count('deleted_form')).toEqual({});
  const url = `${server.addresses.http}/api/v1/series?match[]=deleted_form`;
  expect(await (await fetch(url)).json()).toEqual({ status: 'success', data: [] });
  await push('deleted_form');
  expect(await count('deleted_form')).toEqual({ a: 10, b: 10 });
});

test('a dry run counts each sample once and deletes nothing', async () => {
  await push('counted');
  const end = (now - 5 * minuteMs) / 1000;
  const query = `match[]=counted&match[]=${encode('{host="a",__name__="counted"}')}&end=${end}`;
  const answer = await admin(`delete_series?${query}&dry_run=true`);
  expect(answer.status).toBe(200);
  expect(JSON.parse(answer.text)).toEqual({
    status: 'success',
    data: { series: 2, samples: 10 },
  });
  expect(await count('counted')).toEqual({ a: 10, b: 10 });
});

test('cleaning answers when nothing is left to do', async () => {
  await push('cleaned');
  await admin('delete_series?match[]=cleaned');
  expect(await admin('clean_tombstones', 'PUT')).toEqual({ status: 204, text: '' });
  expect(await count('cleaned')).toEqual({});
});

test.for([
  ['delete_series', 'no match[] parameter provided'],
  ['delete_series?match[]=up{', 'unexpected'],
  [`delete_series?match[]=${encode('{job=~".*"}')}`, 'at least one non-empty matcher'],
  ['delete_series?match[]=up&start=soon', 'start'],
  ['delete_series?match[]=up&dry_run=maybe', 'dry_run'],
  ['delete_series?match[]=up&dryRun=true', 'dryRun'],
  ['delete_series?match[]=up&start=10&end=5', 'end timestamp must not be before start'],
])('%s is refused', async ([path, reason]) => {
  const answer = await admin(path);
  expect(answer.status).toBe(400);
  expect(JSON.parse(answer.text)).toMatchObject({ status: 'error', errorType: 'bad_data' });
  expect(answer.text).toContain(reason);
});

test.for(['GET', 'DELETE'])('%s is not a method of these paths', async (method) => {
  expect((await admin('delete_series?match[]=up', method)).status).toBe(405);
  expect((await admin('clean_tombstones', method)).status).toBe(405);
});
