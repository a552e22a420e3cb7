/**
 * @file Random queries against a running Prometheus and the evaluator over the same data in memory.
 *
 * Skipped unless `PROMETHEUS_BIN` names a binary. `DIFFERENTIAL_SEED` repeats a run,
 * `DIFFERENTIAL_QUERIES` makes it longer.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { arrivalRequests, datasetStartMs, readDataset } from '../conformance/recorded/dataset.js';
import {
  type InstantCase,
  type RangeCase,
  requestPath,
} from '../conformance/recorded/expressions.js';
import { type ApiEnvelope, compareAnswers } from '../support/compare-results.js';
import { toEnvelope } from '../support/envelope.js';
import { MemoryQuerier } from '../support/memory-querier.js';
import { type RunningPrometheus, recordingSetup, startPrometheus } from './prometheus.js';
import { QueryWriter } from './random-queries.js';
import { hour, minute, seededRandom } from './series-draft.js';

const binary = process.env.PROMETHEUS_BIN;
const seed = Number(process.env.DIFFERENTIAL_SEED ?? Date.now() % 1_000_000);
const queries = Number(process.env.DIFFERENTIAL_QUERIES ?? 300);

/** Without the count that `deviations.ts` explains. */
function withoutRepairCount(answer: ApiEnvelope): ApiEnvelope {
  const infos = answer.infos?.map((info) => info.replace(/over \d+ samples/, 'over some samples'));
  return infos === undefined ? answer : { ...answer, infos };
}

function hasSeries({ data }: ApiEnvelope): boolean {
  const { result } = (data ?? {}) as { result?: unknown };
  return Array.isArray(result) && result.length > 0;
}

describe.skipIf(binary === undefined)(`random queries, seed ${seed}`, () => {
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
    prometheus = await startPrometheus(binary ?? '', recordingSetup);
    const client = new RemoteWriteClient({ url: prometheus.url });
    for (const request of arrivalRequests(dataset)) {
      expect(await client.write(request)).toMatchObject({ status: 204 });
    }
    client.close();
  });

  afterAll(() => prometheus?.stop());

  function evaluate(one: InstantCase | RangeCase): ApiEnvelope {
    const session = querier.openSession();
    const deadlineMs = Date.now() + minute;
    return toEnvelope(session, () =>
      one.kind === 'instant'
        ? engine.instant(session, { ...one, deadlineMs })
        : engine.range(session, { ...one, deadlineMs }),
    );
  }

  test(`${queries} queries agree`, { timeout: 10 * minute }, async () => {
    const random = seededRandom(seed);
    const writer = new QueryWriter(random);
    const said: string[] = [];
    let answered = 0;
    for (let i = 0; i < queries; i++) {
      const query = writer.expression();
      const timeMs = datasetStartMs + Math.floor(random() * 6.2 * 360) * 10_000;
      const base = { id: query, theme: 'random', query };
      const one: InstantCase | RangeCase =
        random() < 0.5
          ? { ...base, kind: 'instant', timeMs, ordered: false }
          : {
              ...base,
              kind: 'range',
              startMs: timeMs - Math.floor(random() * 3 * hour),
              endMs: timeMs,
              stepMs: (1 + Math.floor(random() * 20)) * 37_000,
            };
      const response = await fetch(prometheus.url + requestPath(one));
      const want = (await response.json()) as ApiEnvelope;
      answered += hasSeries(want) ? 1 : 0;
      const differences = compareAnswers(
        withoutRepairCount(want),
        withoutRepairCount(evaluate(one)),
      );
      for (const { aspect, message } of differences) {
        if (aspect !== 'error') {
          said.push(`${requestPath(one)}\n  ${query}\n  ${aspect}: ${message}`);
        }
      }
    }
    expect(said, said.join('\n')).toEqual([]);
    // Most must find something, or the agreement means little.
    expect(answered).toBeGreaterThan(queries * 0.4);
  });
});
