/**
 * @file Random queries over native histograms against a running Prometheus and a server of ours.
 *
 * Skipped unless `PROMETHEUS_BIN` names a binary. `DIFFERENTIAL_SEED` repeats a run,
 * `DIFFERENTIAL_QUERIES` makes it longer.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { histogramData, inOrder } from '../conformance/histograms/cases.js';
import { encodeHistograms } from '../support/histogram-wire.js';
import { startTestServer, type TestServer } from '../support/test-server.js';
import { type RunningPrometheus, recordingSetup, startPrometheus } from './prometheus.js';
import { HistogramQueryWriter } from './random-histograms.js';
import { minute, type Random, seededRandom } from './series-draft.js';

const binary = process.env.PROMETHEUS_BIN;
const seed = Number(process.env.DIFFERENTIAL_SEED ?? Date.now() % 1_000_000);
const queries = Number(process.env.DIFFERENTIAL_QUERIES ?? 300);

/** Prometheus has no buckets in these, and so other annotations of what is inside. */
const withoutBuckets = /histogram_(count|sum|avg)\(/;

/** Whether two answers agree, numbers but for their last digits. */
function agree(a: unknown, b: unknown): boolean {
  if (a === b) {
    return true;
  }
  if (typeof a === 'string' && typeof b === 'string') {
    const [x, y] = [Number(a), Number(b)];
    return a !== '' && Math.abs(x - y) <= 1e-9 * Math.max(Math.abs(x), Math.abs(y));
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return false;
  }
  const members = Object.entries(a);
  return (
    members.length === Object.keys(b).length &&
    members.every(([key, value]) => agree(value, (b as Readonly<Record<string, unknown>>)[key]))
  );
}

function pathOf(query: string, random: Random): string {
  const time = Math.floor(random() * 90) * 10;
  const text = encodeURIComponent(query);
  return random() < 0.6
    ? `query?query=${text}&time=${time}`
    : `query_range?query=${text}&start=0&end=${time}&step=${7 + Math.floor(random() * 60)}`;
}

describe.skipIf(binary === undefined)(`random histogram queries, seed ${seed}`, () => {
  let prometheus: RunningPrometheus;
  let server: TestServer;

  beforeAll(async () => {
    prometheus = await startPrometheus(binary ?? '', recordingSetup);
    server = await startTestServer({ RETENTION_DAYS: '36500' });
    for (const url of [prometheus.url, server.addresses.http]) {
      const client = new RemoteWriteClient({ url });
      const written = await client.writeBody(encodeHistograms(histogramData));
      expect(written).toMatchObject({ status: 204 });
      client.close();
    }
  });

  afterAll(async () => {
    await server?.stop();
    await prometheus?.stop();
  });

  async function ask(url: string, path: string): Promise<ReturnType<typeof inOrder>> {
    const response = await fetch(`${url}/api/v1/${path}`);
    const answer = inOrder((await response.json()) as Parameters<typeof inOrder>[0]);
    const plain = withoutBuckets.test(decodeURIComponent(path));
    return { ...answer, error: '', ...(plain && { warnings: [], infos: [] }) } as typeof answer;
  }

  test(`${queries} queries agree`, { timeout: 10 * minute }, async () => {
    const random = seededRandom(seed);
    const writer = new HistogramQueryWriter(random);
    const said: string[] = [];
    let answered = 0;
    for (let i = 0; i < queries; i++) {
      const path = pathOf(writer.expression(), random);
      const want = await ask(prometheus.url, path);
      const got = await ask(server.addresses.http, path);
      const { result } = want.data ?? {};
      answered += Array.isArray(result) && result.length > 0 ? 1 : 0;
      if (!agree(want, got)) {
        said.push(
          `${decodeURIComponent(path)}\n  ${JSON.stringify(want)}\n  ${JSON.stringify(got)}`,
        );
      }
    }
    expect(said, said.join('\n')).toEqual([]);
    // Most must find something, or the agreement means little.
    expect(answered).toBeGreaterThan(queries * 0.4);
  });
});
