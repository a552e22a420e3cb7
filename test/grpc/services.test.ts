import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadServices, type Message } from '../../src/grpc/schema.js';
import { pushAll, series } from '../support/push.js';
import { startTestServer, type TestServer } from '../support/test-server.js';

const services = loadServices();
let server: TestServer;
let client: Client;

beforeAll(async () => {
  server = await startTestServer({ RETENTION_DAYS: '36500', GRPC_ADDR: '127.0.0.1:0' });
  await pushAll(server.addresses.http, [
    series({ __name__: 'up', job: 'a' }, [
      [0, 1],
      [60_000, 2.5],
    ]),
    series({ __name__: 'up', job: 'b' }, [[60_000, 7]]),
  ]);
  client = new Client(server.addresses.grpc ?? '', credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await server.stop();
});

async function call(
  service: keyof typeof services,
  method: string,
  message: Message,
): Promise<Message> {
  const { path, requestSerialize, responseDeserialize } = services[service][method];
  return await new Promise((resolve, reject) =>
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      message,
      (error, answer) => (error === null ? resolve(answer as Message) : reject(error)),
    ),
  );
}

async function failure(
  service: keyof typeof services,
  method: string,
  message: Message,
): Promise<ServiceError> {
  return await call(service, method, message).then(
    () => Promise.reject(new Error('the call succeeded')),
    (error: ServiceError) => error,
  );
}

test('an instant query answers with typed series', async () => {
  expect(await call('query', 'Instant', { query: 'sort(up)', timeMs: 60_000 })).toMatchObject({
    vector: {
      series: [
        {
          labels: [
            { name: '__name__', value: 'up' },
            { name: 'job', value: 'a' },
          ],
          timestampsMs: [60_000],
          values: [2.5],
        },
        { timestampsMs: [60_000], values: [7] },
      ],
    },
    stats: { series: 2 },
  });
});

test('a range query answers with every point', async () => {
  const range = { query: 'up{job="a"}', startMs: 0, endMs: 60_000, stepMs: 30_000 };
  expect(await call('query', 'Range', range)).toMatchObject({
    matrix: { series: [{ timestampsMs: [0, 30_000, 60_000], values: [1, 1, 2.5] }] },
  });
});

test('time zero is a time, and no time is now', async () => {
  const scalar = async (message: Message) =>
    (await call('query', 'Instant', message)).scalar as Message;
  // Zeros are not on the wire.
  expect(await scalar({ query: 'time() + 7', timeMs: 0 })).toEqual({ value: 7 });
  const { value } = await scalar({ query: 'time()' });
  expect(Math.abs(Number(value) * 1000 - Date.now())).toBeLessThan(60_000);
});

test('text, a limit and its warning arrive', async () => {
  expect(await call('query', 'Instant', { query: '"x"', timeMs: 5 })).toMatchObject({
    text: { timestampMs: 5, value: 'x' },
  });
  const limited = { query: 'up', timeMs: 60_000, options: { limit: 1 } };
  const answer = await call('query', 'Instant', limited);
  expect((answer.vector as { series: unknown[] }).series.length).toBe(1);
  expect(answer.warnings).toEqual(['results truncated due to limit']);
});

test.for<[string, Message, number, string]>([
  ['Instant', { query: 'sum(' }, 3, 'bad_data'],
  ['Instant', { query: 'up + on() up', timeMs: 60_000 }, 9, 'execution'],
  ['Range', { query: '1', startMs: 1, endMs: 0, stepMs: 1 }, 3, 'bad_data'],
  ['Range', { query: '1', startMs: 0, endMs: 1, stepMs: 0 }, 3, 'bad_data'],
])('%s of %j fails with status %d', async ([method, message, code, ownCode]) => {
  const error = await failure('query', method, message);
  expect([error.code, error.metadata.get('metricstor-code')]).toEqual([code, [ownCode]]);
});

test('statistics are the engine’s numbers', async () => {
  const { numbers } = await call('admin', 'Statistics', {});
  expect(numbers).toMatchObject({ headSeries: 2 });
});

test('build information names versions', async () => {
  const build = await call('admin', 'BuildInformation', {});
  expect(build).toMatchObject({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    nodeVersion: process.version,
    prometheusVersion: expect.stringMatching(/^3\./),
  });
});

test('health is that of the server and of each service', async () => {
  const serving = 1;
  for (const service of ['', 'metricstor.v1.Query', 'metricstor.v1.Admin']) {
    expect(await call('health', 'Check', { service })).toEqual({ status: serving });
  }
  expect((await failure('health', 'Check', { service: 'unknown' })).code).toBe(5);
});

test('watching health tells of the shutdown', async () => {
  const watched = await startTestServer({ GRPC_ADDR: '127.0.0.1:0' });
  const watcher = new Client(watched.addresses.grpc ?? '', credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = services.health.Watch;
  const stream = watcher.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {});
  const states: unknown[] = [];
  const closed = new Promise<void>((resolve) => stream.once('end', () => resolve()));
  await new Promise<void>((resolve) => {
    stream.on('data', (message: Message) => {
      states.push(message.status);
      resolve();
    });
  });
  await watched.stop();
  await closed;
  watcher.close();
  expect(states).toEqual([1, 2]);
});
