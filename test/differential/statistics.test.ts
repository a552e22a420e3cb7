/**
 * @file How many samples the recorded queries look at, against what a running Prometheus counts.
 * Skipped unless `PROMETHEUS_BIN` names a binary.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { PromqlEngine, type QueryStatistics, sumOf } from '../../src/promql/engine.js';
import { arrivalRequests, readDataset } from '../conformance/recorded/dataset.js';
import { readCases, requestPath } from '../conformance/recorded/expressions.js';
import { MemoryQuerier } from '../support/memory-querier.js';
import { type RunningPrometheus, recordingSetup, startPrometheus } from './prometheus.js';

const binary = process.env.PROMETHEUS_BIN;
const minute = 60_000;

interface Samples {
  readonly totalQueryableSamples: number;
  readonly samplesRead: number;
  readonly totalQueryableSamplesPerStep?: readonly [number, number][];
}

describe.skipIf(binary === undefined)('statistics', () => {
  let prometheus: RunningPrometheus;
  const dataset = readDataset();
  const querier = new MemoryQuerier();
  const engine = new PromqlEngine({
    lookbackMs: 5 * minute,
    subqueryStepMs: minute,
    limits: { maxSamples: 50_000_000, maxBytes: 2 ** 30, maxPoints: 10_000_000 },
  });

  beforeAll(async () => {
    for (const { labels, timestamps, values } of dataset) {
      querier.addColumns(Object.fromEntries(labels), timestamps, values);
    }
    const [first, features, ...rest] = recordingSetup.arguments;
    const flags = [first, `${features},promql-per-step-stats`, ...rest];
    prometheus = await startPrometheus(binary ?? '', { ...recordingSetup, arguments: flags });
    const client = new RemoteWriteClient({ url: prometheus.url });
    for (const request of arrivalRequests(dataset)) {
      expect(await client.write(request)).toMatchObject({ status: 204 });
    }
    client.close();
  });

  afterAll(() => prometheus?.stop());

  function count(path: string, run: () => QueryStatistics | undefined): string | Samples {
    try {
      const found = run();
      if (found === undefined) {
        return `${path}: no statistics`;
      }
      const { counts, steps } = found;
      return {
        totalQueryableSamples: sumOf(counts.total),
        samplesRead: sumOf(counts.read),
        totalQueryableSamplesPerStep: Array.from(counts.total, (one, k) => [
          ((steps?.startMs ?? 0) + k * (steps?.stepMs ?? 0)) / 1000,
          one,
        ]),
      };
    } catch (error) {
      return String(error);
    }
  }

  test('every recorded query counts the same samples', { timeout: 10 * minute }, async () => {
    const said: string[] = [];
    let compared = 0;
    for (const one of readCases()) {
      if (one.kind === 'get') {
        continue;
      }
      const response = await fetch(`${prometheus.url}${requestPath(one)}&stats=all`);
      const { data } = (await response.json()) as { data?: { stats?: { samples: Samples } } };
      const want = data?.stats?.samples;
      if (want === undefined) {
        continue;
      }
      const session = querier.openSession();
      const more = { deadlineMs: Date.now() + minute, statistics: 'steps' } as const;
      const got = count(one.query, () =>
        one.kind === 'instant'
          ? engine.instant(session, { ...one, ...more }).statistics
          : engine.range(session, { ...one, ...more }).statistics,
      );
      compared += 1;
      const same =
        typeof got !== 'string' &&
        got.totalQueryableSamples === want.totalQueryableSamples &&
        got.samplesRead === want.samplesRead &&
        JSON.stringify(got.totalQueryableSamplesPerStep) ===
          JSON.stringify(want.totalQueryableSamplesPerStep);
      if (!same) {
        said.push(
          `${requestPath(one)}\n  ${one.query}\n  want ${JSON.stringify(want)}\n  got  ${JSON.stringify(got)}`,
        );
      }
    }
    expect(said, said.join('\n')).toEqual([]);
    expect(compared).toBeGreaterThan(500);
  });
});
