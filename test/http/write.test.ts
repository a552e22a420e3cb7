import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type ErrorCode, MetricstorError } from '../../src/errors.js';
import { nothingRefused, startWriteServer, type WriteServer } from '../support/test-server.js';

let server: WriteServer;
const maxRequestBytes = 2048;

beforeAll(async () => {
  const settings = { INGEST_MAX_REQUEST_BYTES: `${maxRequestBytes}` };
  server = await startWriteServer(settings);
});
afterAll(() => server.stop());
beforeEach(() => {
  server.writes.length = 0;
  server.onWrite(async () => nothingRefused);
});

const body = Uint8Array.of(1, 2, 3, 0xff);
const version2 = 'application/x-protobuf;proto=io.prometheus.write.v2.Request';

/** What the headers say of samples, histograms and exemplars. */
function written(answer: Response): (string | null)[] {
  return ['samples', 'histograms', 'exemplars'].map((what) =>
    answer.headers.get(`x-prometheus-remote-write-${what}-written`),
  );
}

async function write(
  headers: Readonly<Record<string, string>>,
  sent: Uint8Array<ArrayBuffer> = body,
): Promise<{ status: number; text: string; retryAfter: string | null }> {
  const answer = await fetch(`${server.addresses.http}/api/v1/write`, {
    method: 'POST',
    headers,
    body: sent,
  });
  const retryAfter = answer.headers.get('retry-after');
  return { status: answer.status, text: await answer.text(), retryAfter };
}

test.for<[Record<string, string>, string]>([
  [{ 'content-type': 'application/x-protobuf', 'content-encoding': 'snappy' }, 'snappy'],
  [{ 'content-type': 'application/x-protobuf', 'content-encoding': 'zstd' }, 'zstd'],
  [{ 'content-type': 'application/x-protobuf' }, 'snappy'],
  [{ 'content-type': 'application/x-protobuf; proto=prometheus.WriteRequest' }, 'snappy'],
  [{}, 'snappy'],
  [{ 'x-prometheus-remote-write-version': '0.1.0' }, 'snappy'],
])('with %j the body reaches the engine as it came', async ([headers, encoding]) => {
  expect(await write(headers)).toMatchObject({ status: 204, text: '' });
  const scope = { tenant: 0, matchers: [] };
  const request = { format: 'remote-write-1', encoding, scope };
  expect(server.writes).toEqual([{ body, request }]);
});

test.for<[Record<string, string>, number]>([
  [{ 'content-type': 'text/plain' }, 415],
  [{ 'content-type': 'application/json' }, 415],
  [{ 'content-type': 'application/x-protobuf;proto=io.prometheus.write.v3.Request' }, 415],
  [{ 'content-type': `${version2}`, 'content-encoding': 'gzip' }, 415],
  [{ 'content-type': 'text/plain;proto=io.prometheus.write.v2.Request' }, 415],
  [{ 'content-encoding': 'gzip' }, 415],
  [{ 'x-prometheus-remote-write-version': 'latest' }, 400],
])('with %j the answer is %d, and the engine is not asked', async ([headers, status]) => {
  expect((await write(headers)).status).toBe(status);
  expect(server.writes).toEqual([]);
});

test.for<[string, number, readonly (string | null)[]]>([
  ['samples of each kind are counted', 204, ['3', '2', '1']],
  ['a request refused in part', 400, ['3', '2', '1']],
  ['a request that fails', 503, ['0', '0', '0']],
  ['a malformed request', 400, ['0', '0', '0']],
])('remote_write 2.0 says what was stored: %s', async ([what, status, expected]) => {
  server.onWrite(async () => {
    if (status === 503) throw new MetricstorError('overloaded', what);
    if (what === 'a malformed request') throw new MetricstorError('bad_data', what);
    const rejections = status === 400 ? [{ code: 'too_old', count: 1, examples: [] }] : [];
    return { ...nothingRefused, samples: 3, histograms: 2, exemplars: 1, rejections };
  });
  const headers = { 'content-type': version2, 'content-encoding': 'snappy' };
  const answer = await fetch(`${server.addresses.http}/api/v1/write`, {
    method: 'POST',
    headers,
    body,
  });
  expect([answer.status, written(answer)]).toEqual([status, expected]);
  expect(server.writes[0]?.request.format).toBe('remote-write-2');
});

test('remote_write 2.0 says that nothing was stored where the body is not read', async () => {
  for (const more of [{ 'content-encoding': 'gzip' }, {}]) {
    const answer = await fetch(`${server.addresses.http}/api/v1/write`, {
      method: 'POST',
      headers: { 'content-type': version2, ...more },
      body: new Uint8Array(0),
    });
    expect([answer.ok, written(answer)]).toEqual([false, ['0', '0', '0']]);
  }
});

test('remote_write 1.0 has no such headers', async () => {
  const answer = await fetch(`${server.addresses.http}/api/v1/write`, { method: 'POST', body });
  expect([answer.status, written(answer)]).toEqual([204, [null, null, null]]);
});

test('a body that cannot fit is refused before it is unpacked', async () => {
  const fitting = new Uint8Array(maxRequestBytes + 32);
  expect((await write({}, fitting)).status).toBe(204);
  const large = new Uint8Array(maxRequestBytes * 2);
  expect((await write({}, large)).status).toBe(413);
  expect(server.writes.length).toBe(1);
});

test('an empty body is 400', async () => {
  expect((await write({}, new Uint8Array(0))).status).toBe(400);
  expect(server.writes).toEqual([]);
});

test('a request refused in part is 400 and lists what was refused', async () => {
  server.onWrite(async () => ({
    ...nothingRefused,
    samples: 7,
    rejections: [{ code: 'too_old', count: 3, examples: ['up{job="a"} at 1970'] }],
  }));
  const { status, text } = await write({});
  expect(status).toBe(400);
  expect(text).toBe('3 refused, 7 samples stored\ntoo_old: 3\n  up{job="a"} at 1970\n');
});

test('the list of refusals is bounded', async () => {
  const examples = ['x'.repeat(100_000)];
  const rejections = [{ code: 'bad_data', count: 1, examples }];
  server.onWrite(async () => ({ ...nothingRefused, rejections }));
  expect((await write({})).text.length).toBeLessThan(5000);
});

test.for<[ErrorCode, number, string | null]>([
  ['bad_data', 400, null],
  ['too_large', 413, null],
  ['overloaded', 503, '5'],
  ['disk_full', 503, '5'],
  ['read_only', 503, '5'],
  ['io', 503, '5'],
  ['closed', 503, '5'],
  ['corruption', 500, null],
])('a write that fails with %s is %d', async ([code, status, retryAfter]) => {
  server.onWrite(async () => {
    throw new MetricstorError(code, `failed with ${code}`);
  });
  expect(await write({})).toEqual({ status, text: `failed with ${code}\n`, retryAfter });
});

test('a defect is 500, and its text stays in the log', async () => {
  server.onWrite(async () => {
    throw new TypeError('secret detail');
  });
  const { status, text } = await write({});
  expect([status, text]).toEqual([500, 'an internal error; the log says more\n']);
  expect(server.logs.at(-1)).toMatchObject({ route: '/api/v1/write', error: 'secret detail' });
});

test('other methods are 405', async () => {
  const answer = await fetch(`${server.addresses.http}/api/v1/write`);
  expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST']);
});
