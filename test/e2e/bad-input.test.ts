import { createConnection } from 'node:net';
import { compress } from 'snappyjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  encodeWriteMessage,
  encodeWriteRequest,
  RemoteWriteClient,
  type WireSeries,
  type WriteAnswer,
} from '../../src/client/remote-write.js';
import { pushAll, series } from '../support/push.js';
import { ask, queryRaw } from '../support/query.js';
import { countSamples } from '../support/recording.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';

const maxRequestBytes = 64 * 1024;
const data = temporaryDirectory('bad-input');
const now = Date.now();
let server: RunningServer;
let client: RemoteWriteClient;

beforeAll(async () => {
  server = await startServer({
    dataDir: data.path,
    env: { METRICSTOR_INGEST_MAX_REQUEST_BYTES: String(maxRequestBytes) },
  });
  client = new RemoteWriteClient({ url: server.url });
});
afterAll(async () => {
  client.close();
  await server.kill();
  data.remove();
});

function sample(name: string): WireSeries {
  return series({ __name__: name, job: 'bad' }, [[now, 1]]);
}

/** A message of exactly `bytes` bytes: one label value is as long as it takes. */
function messageOf(bytes: number, name: string): Uint8Array {
  const withPadding = (length: number): Uint8Array => {
    const chunks = Array.from({ length: Math.ceil(length / 1000) }, (_, i) =>
      'x'.repeat(Math.min(1000, length - i * 1000)),
    );
    const labels = chunks.map((text, i) => [`pad_${String(i).padStart(3, '0')}`, text] as const);
    return encodeWriteMessage([{ ...sample(name), labels: [['__name__', name], ...labels] }]);
  };
  // Each byte of padding is one of the message, unless a length takes one more byte.
  let length = bytes - 3000;
  for (let tries = 0; tries < 20; tries++) {
    const message = withPadding(length);
    if (message.length === bytes) return message;
    length += bytes - message.length;
  }
  throw new Error(`no padding makes a message of ${bytes} bytes`);
}

function writeMessage(message: Uint8Array): Promise<WriteAnswer> {
  return client.writeBody(compress(message));
}

/** Nobody may be able to stop the server: it still answers, and still stores. */
async function expectAlive(name: string): Promise<void> {
  await pushAll(server.url, [sample(name)]);
  expect(countSamples(await queryRaw(server.url, `${name}[1m]`, now))).toBe(1);
}

const goodBody = encodeWriteRequest([sample('bad_good')]);
const invalidText = (): Uint8Array => {
  const message = encodeWriteMessage([sample('bad_utf8_xyz'), sample('bad_utf8_neighbour')]);
  const at = Buffer.from(message).indexOf('xyz');
  message[at] = 0xff;
  return message;
};

test.for<[string, () => Uint8Array, number]>([
  ['an empty body', () => new Uint8Array(0), 400],
  ['a truncated snappy body', () => goodBody.subarray(0, goodBody.length - 5), 400],
  ['a body that is not snappy', () => Buffer.from('up 1\n'), 400],
  // A header that promises 1 GiB, over a few bytes.
  ['a snappy bomb', () => Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x04, 0x00, 0x61), 413],
  ['a length beyond 32 bits', () => new Uint8Array(10).fill(0xff), 400],
  ['malformed protobuf', () => compress(Uint8Array.of(0x0a, 0xff, 0xff, 0x01)), 400],
  ['one byte over the size limit', () => compress(messageOf(maxRequestBytes + 1, 'bad_big')), 413],
])('%s is refused', async ([, body, status]) => {
  const answer = await client.writeBody(body());
  expect([answer.status, answer.body]).toEqual([status, expect.stringMatching(/\w{3}/)]);
  await expectAlive('bad_alive');
});

test('a request of exactly the size limit is stored', async () => {
  const answer = await writeMessage(messageOf(maxRequestBytes, 'bad_fits'));
  expect(answer).toMatchObject({ status: 204 });
  expect(countSamples(await queryRaw(server.url, 'bad_fits[1m]', now))).toBe(1);
});

test.for<[string, string, () => Uint8Array]>([
  ['invalid UTF-8', 'bad_utf8_neighbour', invalidText],
  [
    'a missing name',
    'bad_nameless_neighbour',
    () =>
      encodeWriteMessage([
        { ...sample(''), labels: [['job', 'bad']] },
        sample('bad_nameless_neighbour'),
      ]),
  ],
  [
    'duplicate labels',
    'bad_duplicate_neighbour',
    () => {
      const labels = [
        ['__name__', 'bad_duplicate'],
        ['a', '1'],
        ['a', '2'],
      ] as const;
      return encodeWriteMessage([{ ...sample(''), labels }, sample('bad_duplicate_neighbour')]);
    },
  ],
  [
    'a sample an hour in the future',
    'bad_future_neighbour',
    () =>
      encodeWriteMessage([
        series({ __name__: 'bad_future' }, [[Date.now() + 3_600_000, 1]]),
        sample('bad_future_neighbour'),
      ]),
  ],
  [
    'a sample older than retention',
    'bad_old_neighbour',
    () =>
      encodeWriteMessage([
        series({ __name__: 'bad_old' }, [[now - 16 * 86_400_000, 1]]),
        sample('bad_old_neighbour'),
      ]),
  ],
])('%s is refused with 400, and the good part of the request is stored', async ([, good, body]) => {
  expect(await writeMessage(body())).toMatchObject({ status: 400 });
  const stored = await queryRaw(server.url, '{__name__=~"bad_.*"}[1m]', now);
  const names = [...stored.keys()].map((key) => new Map(JSON.parse(key)).get('__name__'));
  expect(names).toContain(good);
  expect(names).not.toContain('bad_duplicate');
  expect(names).not.toContain('bad_future');
});

test.for([
  ['text/plain', 'snappy', 415],
  ['application/x-protobuf;proto=io.prometheus.write.v3.Request', 'snappy', 415],
  ['application/x-protobuf', 'br', 415],
] as const)('a write of type %s and encoding %s gets %d', async ([type, encoding, status]) => {
  const headers = { 'content-type': type, 'content-encoding': encoding };
  expect(await client.writeBody(goodBody, headers)).toMatchObject({ status });
});

const query = (expression: string): string => `query?query=${encodeURIComponent(expression)}`;
const range = (expression: string, start: number, end: number, step: string): string =>
  `query_range?query=${encodeURIComponent(expression)}&start=${start}&end=${end}&step=${step}`;

test.for([
  ['a syntax error', query('sum(rate(x[5m])'), 400, 'bad_data'],
  ['a regex that does not parse', query('{a=~"("}'), 400, 'bad_data'],
  ['a type error', query('rate(x)'), 400, 'bad_data'],
  ['nothing', 'query', 400, 'bad_data'],
  ['a step of zero', range('up', 0, 100, '0'), 400, 'bad_data'],
  ['an end before the start', range('up', 100, 0, '1'), 400, 'bad_data'],
  ['more than 11,000 steps', range('up', 0, 11_001, '1'), 400, 'bad_data'],
  ['a hundred thousand parentheses', query('('.repeat(10_000)), 400, 'bad_data'],
] as const)('a query with %s is refused', async ([, path, status, errorType]) => {
  const answer = await ask(`${server.url}/api/v1/${path}`);
  expect(JSON.parse(answer.text)).toMatchObject({ status: 'error', errorType });
  expect(answer.status).toBe(status);
});

test('11,000 steps are answered', async () => {
  const answer = await ask(`${server.url}/api/v1/${range('vector(1)', 0, 11_000, '1')}`);
  expect(answer.status).toBe(200);
  const { data: result } = JSON.parse(answer.text) as {
    data: { result: { values: unknown[] }[] };
  };
  expect(result.result[0].values.length).toBe(11_001);
});

test('a regex that backtracks exponentially elsewhere is answered at once', async () => {
  await pushAll(server.url, [
    series({ __name__: 'bad_regex', text: `${'a'.repeat(2000)}!` }, [[now, 1]]),
  ]);
  const start = performance.now();
  const answer = await ask(
    `${server.url}/api/v1/${query('bad_regex{text=~"(a+)+(a|aa)+$"}')}&time=${now / 1000}`,
  );
  expect(JSON.parse(answer.text)).toMatchObject({ status: 'success', data: { result: [] } });
  expect(performance.now() - start).toBeLessThan(2000);
});

test('bytes that are not HTTP do not disturb the server', async () => {
  const { hostname, port } = new URL(server.url);
  await new Promise<void>((resolve) => {
    const socket = createConnection(Number(port), hostname, () =>
      socket.end('\x16\x03\x01\0garbage'),
    );
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
  });
  await expectAlive('bad_after_garbage');
});
