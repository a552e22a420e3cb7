import { existsSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MetricstorError } from '../../src/errors.js';
import { startTestServer, startWriteServer, type TestServer } from '../support/test-server.js';

let server: TestServer;
beforeEach(async () => {
  server = await startTestServer({ INGEST_MAX_REQUEST_BYTES: '65536' });
});
afterEach(() => server.stop());

const now = Math.floor(Date.now() / 1000) * 1000;

function line(name: string, values: readonly unknown[], extra = {}): string {
  const timestamps = values.map((_, index) => now - 1000 * (values.length - index));
  return JSON.stringify({ metric: { __name__: name, l: 'x' }, values, timestamps, ...extra });
}

async function importText(body: string | Uint8Array, headers = {}) {
  const url = `${server.addresses.http}/api/v1/import`;
  const response = await fetch(url, { method: 'POST', body, headers });
  return { status: response.status, text: await response.text() };
}

async function exportText(query: string, init: RequestInit = {}) {
  const response = await fetch(`${server.addresses.http}/api/v1/export${query}`, init);
  return { status: response.status, text: await response.text(), headers: response.headers };
}

test('what is imported is exported, every bit of it', async () => {
  const special = { nan_bits: { '1': '7ff0000000000002' } };
  const lines = [
    line('a', [1.5, null, 'Infinity', '-Infinity', 1e-300], special),
    line('b', [null, 7]),
  ];
  expect(await importText(`${lines.join('\n')}\n`)).toEqual({ status: 204, text: '' });
  const { status, text, headers } = await exportText('?match[]={l="x"}');
  expect(status).toBe(200);
  expect(headers.get('content-type')).toBe('application/stream+json; charset=utf-8');
  const found = text.trimEnd().split('\n');
  expect(found.map((json) => JSON.parse(json))).toEqual(lines.map((json) => JSON.parse(json)));
});

test('a request longer than any line may be is read as a stream', async () => {
  const lines = Array.from({ length: 3000 }, (_, n) => line(`m${n % 10}`, [n, n, n])).join('\n');
  expect(lines.length).toBeGreaterThan(4 * 65536);
  expect(await importText(lines)).toMatchObject({ status: 204 });
  const { text } = await exportText('?match[]={__name__=~"m."}');
  expect(text.split('\n')).toHaveLength(11);
});

test('gzip is unpacked, and answers are compressed for those who want it', async () => {
  const packed = gzipSync(line('a', [1]));
  expect(await importText(packed, { 'content-encoding': 'gzip' })).toMatchObject({ status: 204 });
  const { headers } = await exportText('?match[]=a', { headers: { 'accept-encoding': 'gzip' } });
  expect(headers.get('content-encoding')).toBe('gzip');
  const broken = await importText(packed.subarray(0, 20), { 'content-encoding': 'gzip' });
  expect(broken).toMatchObject({ status: 400, text: expect.stringContaining('gzip') });
  const other = await importText('x', { 'content-encoding': 'br' });
  expect(other.status).toBe(415);
  expect(gunzipSync(packed).length).toBeGreaterThan(0);
});

test('lines that cannot be read are named, and the others stored', async () => {
  const { status, text } = await importText([line('a', [1]), '{', line('b', [2])].join('\n'));
  expect(status).toBe(400);
  expect(text).toContain('1 refused, 2 samples stored');
  expect(text).toContain('line 2: ');
});

test('a line longer than a request may be is refused', async () => {
  const { status, text } = await importText(`${line('a', [1])}\n${'x'.repeat(70_000)}`);
  expect(status).toBe(413);
  expect(text).toContain('line 2 is longer than 65536 bytes');
});

test('several selectors give a series once, within the asked times', async () => {
  await importText([line('a', [1, 2, 3]), line('b', [4])].join('\n'));
  const start = (now - 2000) / 1000;
  const { text } = await exportText(`?match[]=a&match[]={l="x"}&start=${start}`);
  const found = text
    .trimEnd()
    .split('\n')
    .map((json) => JSON.parse(json));
  expect(found.map(({ metric, values }) => [metric.__name__, values])).toEqual([
    ['a', [2, 3]],
    ['b', [4]],
  ]);
});

test('an export of nothing is empty, and a wrong one says why', async () => {
  expect(await exportText('?match[]=nothing')).toMatchObject({ status: 200, text: '' });
  for (const query of ['', '?match[]={', '?match[]=a&start=soon', '?match[]={l=~"("}']) {
    const { status, text } = await exportText(query);
    expect([query, status, JSON.parse(text).errorType]).toEqual([query, 400, 'bad_data']);
  }
});

test('a reader that goes away leaves room for others', async () => {
  await importText(line('a', [1]));
  for (let round = 0; round < 10; round += 1) {
    await new Promise<void>((resolve, reject) => {
      // Not `fetch`: it connects anew after it was aborted, and the server would wait for that.
      const url = `${server.addresses.http}/api/v1/export?match[]=a`;
      const request = get(url, { agent: false }, (response) => {
        response.destroy();
        resolve();
      });
      request.once('error', reject);
    });
  }
  await expect.poll(async () => (await exportText('?match[]=a')).status).toBe(200);
});

test('an export that fails midway is cut off, and the log says why', async () => {
  const failing = await startWriteServer(
    {},
    {
      async *exportJson() {
        yield Buffer.from('{"metric":{}}\n');
        throw new MetricstorError('corruption', 'chunks: at 7: a wrong checksum');
      },
    },
  );
  try {
    const isFine = ({ statusCode, complete }: IncomingMessage) => statusCode === 200 && complete;
    for (const encoding of ['identity', 'gzip']) {
      const url = `${failing.addresses.http}/api/v1/export?match[]=a`;
      // Not `fetch`: it asks again when an answer is cut off before it has anything of it.
      const wholeAnd200 = await new Promise<boolean>((resolve, reject) => {
        const options = { agent: false, headers: { 'accept-encoding': encoding } };
        const request = get(url, options, (response) => {
          response.once('error', () => undefined);
          response.once('close', () => resolve(isFine(response))).resume();
        });
        // The connection may end before the head of the answer was sent.
        request.once('error', (error) => {
          const reset = 'code' in error && error.code === 'ECONNRESET';
          reset ? resolve(false) : reject(error);
        });
      });
      expect([encoding, wholeAnd200]).toEqual([encoding, false]);
    }
    const logged = failing.logs.filter(({ msg }) => msg === 'a request failed');
    const want = { code: 'corruption', route: '/api/v1/export' };
    expect(logged).toMatchObject([want, want]);
    expect(logged[0]?.error).toContain('a wrong checksum');
  } finally {
    await failing.stop();
  }
});

test('what a start cut off the log is logged', async () => {
  const torn = await startWriteServer({}, { tornEnd: () => '7 bytes from offset 64 of x.wal on' });
  try {
    expect(torn.logs).toContainEqual(
      expect.objectContaining({ cut: '7 bytes from offset 64 of x.wal on', level: 40 }),
    );
  } finally {
    await torn.stop();
  }
});

async function snapshot(query: string, method = 'POST') {
  const url = `${server.addresses.http}/api/v1/admin/tsdb/snapshot${query}`;
  const response = await fetch(url, { method });
  const json = response.ok ? await response.json() : undefined;
  const body = json as { status: string; data: { name: string } } | undefined;
  return { status: response.status, body };
}

test('a snapshot is made and named as Prometheus names it', async () => {
  await importText(line('a', [1]));
  for (const [query, method] of [
    ['', 'POST'],
    ['?skip_head=true', 'PUT'],
  ] as const) {
    const { status, body } = await snapshot(query, method);
    expect([status, body?.status]).toEqual([200, 'success']);
    expect(body?.data.name).toMatch(/^\d{8}T\d{6}Z-[0-9a-f]{16}$/);
  }
  expect((await snapshot('?skip_head=perhaps')).status).toBe(400);
  expect((await snapshot('', 'GET')).status).toBe(405);
  expect(existsSync('snapshots')).toBe(false);
});
