import { afterAll, beforeAll, expect, test } from 'vitest';
import type { WireSeries } from '../../src/client/remote-write.js';
import { bitsOfSeries, pushAll, series, valuesFromBits } from '../support/push.js';
import { ask, queryRaw, someNaN } from '../support/query.js';
import {
  countSamples,
  isNaNBits,
  missingFrom,
  type SeriesBits,
  staleMarkerBits,
} from '../support/recording.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';
import { readStored } from '../support/stored.js';

const data = temporaryDirectory('push');
const now = Date.now();
const hourMs = 3_600_000;
let server: RunningServer;

/** Values that a careless path changes: signs, payloads, denormals, the ends of the range. */
const delicateBits = [
  0n,
  0x8000000000000000n,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  1n,
  0x8000000000000001n,
  0x7fefffffffffffffn,
  0x3fb999999999999an,
  0x4340000000000001n,
  0x7ff8000000000001n,
  0x7ff80000deadbeefn,
  0xfff8000000000123n,
  0x7ff0000000000001n,
  staleMarkerBits,
];

const pushed: WireSeries[] = [
  {
    labels: [
      ['__name__', 'e2e_delicate'],
      ['job', 'e2e'],
    ],
    timestamps: Float64Array.from(delicateBits, (_, i) => now - 60_000 + i * 1000),
    values: valuesFromBits(...delicateBits),
  },
  series(
    { __name__: 'e2e_counter', job: 'e2e', instance: 'a:1' },
    Array.from({ length: 500 }, (_, i) => [now - hourMs + i * 7000, i * 3]),
  ),
  series(
    { __name__: 'e2e_gauge', job: 'e2e', room: 'küche "süd"\n\\' },
    Array.from({ length: 500 }, (_, i) => [now - hourMs + i * 7001, Math.sin(i) * 1e-9]),
  ),
  series(
    { __name__: 'e2e_backfilled', job: 'e2e' },
    Array.from({ length: 200 }, (_, i) => [now - 10 * 24 * hourMs + i * hourMs, 1 / (i + 1)]),
  ),
];
/** Written after the others: out of order, and one timestamp once more with another value. */
const later: WireSeries[] = [
  series({ __name__: 'e2e_counter', job: 'e2e', instance: 'a:1' }, [
    [now - hourMs - 500, 1],
    [now - hourMs + 7000, 4242],
  ]),
];

function everything(): SeriesBits {
  const want = bitsOfSeries(pushed);
  for (const [key, samples] of bitsOfSeries(later)) {
    for (const [timestamp, bits] of samples) want.get(key)?.set(timestamp, bits);
  }
  return want;
}

/** What HTTP can show of it: no stale markers, and of NaN only that it is one. */
function visible(all: SeriesBits): SeriesBits {
  const shown: SeriesBits = new Map();
  for (const [key, samples] of all) {
    const kept = [...samples].filter(([, bits]) => bits !== staleMarkerBits);
    shown.set(key, new Map(kept.map(([t, bits]) => [t, isNaNBits(bits) ? someNaN : bits])));
  }
  return shown;
}

async function expectEverythingVisible(): Promise<void> {
  const stored = await queryRaw(server.url, '{job="e2e"}[11d]', now);
  expect(stored).toEqual(visible(everything()));
}

beforeAll(async () => {
  server = await startServer({ dataDir: data.path });
});
afterAll(async () => {
  await server.kill();
  data.remove();
});

test('what the client pushed is what a query reads, at once', async () => {
  await pushAll(server.url, pushed);
  await pushAll(server.url, later);
  await expectEverythingVisible();
});

test('PromQL over the pushed data answers as computed by hand', async () => {
  const at = (now - hourMs + 499 * 7000) / 1000;
  const query = 'count_over_time(e2e_counter{instance="a:1"}[100s])';
  const answer = await ask(
    `${server.url}/api/v1/query?time=${at}&query=${encodeURIComponent(query)}`,
  );
  expect(JSON.parse(answer.text)).toMatchObject({
    status: 'success',
    // 100 s hold the samples at 0, 7, … 98 s before the end.
    data: { resultType: 'vector', result: [{ value: [at, '15'] }] },
  });
});

test('the labels API names what was pushed', async () => {
  const answer = await ask(`${server.url}/api/v1/label/__name__/values?match[]={job="e2e"}`);
  expect(JSON.parse(answer.text)).toMatchObject({
    data: ['e2e_backfilled', 'e2e_counter', 'e2e_delicate', 'e2e_gauge'],
  });
});

test('a restart after SIGTERM changes nothing', async () => {
  expect(await server.stop()).toBe(0);
  server = await startServer({ dataDir: data.path });
  await expectEverythingVisible();
});

test('a restart after SIGKILL changes nothing', async () => {
  await server.kill();
  server = await startServer({ dataDir: data.path });
  await expectEverythingVisible();
});

test('stale markers and NaN payloads are on disk bit for bit', async () => {
  expect(await server.stop()).toBe(0);
  const stored = await readStored(data.path);
  const want = everything();
  expect(missingFrom(stored, want)).toEqual([]);
  expect(countSamples(stored)).toBe(countSamples(want));
  server = await startServer({ dataDir: data.path });
});
