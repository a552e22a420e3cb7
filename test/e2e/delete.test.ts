import { afterEach, expect, test } from 'vitest';
import { bitsOfSeries, pushAll, series } from '../support/push.js';
import { ask, queryRaw } from '../support/query.js';
import { missingFrom } from '../support/recording.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';

const now = Date.now();
const minuteMs = 60_000;
const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function directory(): string {
  const made = temporaryDirectory('delete');
  cleanups.push(() => made.remove());
  return made.path;
}

async function start(dataDir: string, env: Record<string, string> = {}): Promise<RunningServer> {
  const server = await startServer({ dataDir, env });
  cleanups.push(() => server.kill());
  return server;
}

async function remove(server: RunningServer, form: Record<string, string>): Promise<number> {
  return (await ask(`${server.url}/api/v1/admin/tsdb/delete_series`, { form })).status;
}

/** The host of a series key. */
const hostOf = (key: string) => new Map<string, string>(JSON.parse(key)).get('host');

/** Samples of the last hour by host. */
async function count(server: RunningServer): Promise<Record<string, number>> {
  const found = await queryRaw(server.url, 'e2e_delete[1h]', now + minuteMs);
  const counts = [...found].map(([key, samples]) => [hostOf(key), samples.size]);
  return Object.fromEntries(counts);
}

const samples = Array.from({ length: 20 }, (_, i) => [now - i * minuteMs, i] as const);
const pushed = ['a', 'b'].map((host) => series({ __name__: 'e2e_delete', host }, samples));

test('what is deleted is gone at once, also after kill -9, and can be written again', async () => {
  const dataDir = directory();
  let server = await start(dataDir);
  await pushAll(server.url, pushed);
  expect(await remove(server, { 'match[]': 'e2e_delete{host="a"}' })).toBe(204);
  expect(await count(server)).toEqual({ b: 20 });
  const ends = String((now - 10 * minuteMs) / 1000);
  expect(await remove(server, { 'match[]': '{host="b"}', end: ends })).toBe(204);
  expect(await count(server)).toEqual({ b: 10 });

  await server.kill();
  server = await start(dataDir);
  expect(await count(server)).toEqual({ b: 10 });

  const again = series({ __name__: 'e2e_delete', host: 'a' }, samples.slice(0, 7));
  await pushAll(server.url, [again]);
  expect(await count(server)).toEqual({ a: 7, b: 10 });
  expect(await server.stop()).toBe(0);
  server = await start(dataDir);
  const stored = await queryRaw(server.url, 'e2e_delete[1h]', now + minuteMs);
  expect(missingFrom(stored, bitsOfSeries([again]))).toEqual([]);
  expect(await count(server)).toEqual({ a: 7, b: 10 });
});

test('deletes in blocks stay, and cleaning gives the space back', async () => {
  const dataDir = directory();
  const env = {
    METRICSTOR_STORAGE_FLUSH_MIN_AGE: '0s',
    METRICSTOR_STORAGE_FLUSH_SLACK: '0s',
    METRICSTOR_STORAGE_BLOCK_RANGE: '1m',
  };
  let server = await start(dataDir, env);
  const noise = Array.from({ length: 6000 }, (_, i) => [now - i * 200, Math.sin(i)] as const);
  await pushAll(server.url, [...pushed, series({ __name__: 'e2e_noise', host: 'a' }, noise)]);
  // The newest sample is in a window of its own, so the rest becomes blocks by itself.
  await pushAll(server.url, [series({ __name__: 'e2e_later' }, [[now + 3 * minuteMs, 1]])]);
  await expect
    .poll(() => metric(server, 'metricstor_blocks'), { timeout: 20_000 })
    .toBeGreaterThan(2);
  expect(await remove(server, { 'match[]': '{host="a"}' })).toBe(204);
  expect(await count(server)).toEqual({ b: 20 });
  await server.kill();
  server = await start(dataDir, env);
  expect(await count(server)).toEqual({ b: 20 });
  const before = await metric(server, 'metricstor_blocks_bytes');
  const answer = await ask(`${server.url}/api/v1/admin/tsdb/clean_tombstones`, { form: {} });
  expect(answer.status).toBe(204);
  expect(await metric(server, 'metricstor_tombstones')).toBe(0);
  expect(await metric(server, 'metricstor_blocks_bytes')).toBeLessThan(before / 2);
  expect(await count(server)).toEqual({ b: 20 });
});

test('a rule of retention refuses what is too old for its series', async () => {
  const rules = '[{match: \'{__name__=~"short_.*"}\', days: 1}, {match: long, days: 100}]';
  const server = await start(directory(), { METRICSTOR_RETENTION_RULES: rules });
  const daysAgo = (days: number) => [[now - days * 24 * 60 * minuteMs, 1]] as const;
  await pushAll(server.url, [series({ __name__: 'long' }, daysAgo(0))]);
  const push = (name: string, days: number) =>
    pushAll(server.url, [series({ __name__: name }, daysAgo(days))]);
  await push('short_a', 0.5);
  await push('long', 90);
  await push('other', 14);
  await expect(push('short_a', 2)).rejects.toThrow('too_old');
  await expect(push('long', 101)).rejects.toThrow('too_old');
  await expect(push('other', 16)).rejects.toThrow('too_old');
});

test('a rule that is no selector ends the start with its place', async () => {
  const rules = '[{match: "up{", days: 1}]';
  const failure = await start(directory(), { METRICSTOR_RETENTION_RULES: rules }).catch(String);
  expect(failure).toContain('retention.rules[0].match');
});

async function metric(server: RunningServer, name: string): Promise<number> {
  const { text } = await ask(`${server.url}/metrics`);
  return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
}
