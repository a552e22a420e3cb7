/**
 * @file 3,000 random queries, whose answers by Prometheus are recorded, against a server over the
 * real engine.
 */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import { unexplained } from '../differential/fuzz/judge.js';
import { pathOf } from '../differential/fuzz/questions.js';
import { makeWorld } from '../differential/fuzz/world.js';
import type { ApiEnvelope } from '../support/compare-results.js';
import { encodeHistograms } from '../support/histogram-wire.js';
import { startTestServer, type TestServer } from '../support/test-server.js';
import { fingerprint, randomAnswersFile, unpackAnswers } from './random/answers.js';

const { seed, world: wanted, answers } = unpackAnswers(readFileSync(randomAnswersFile));
const world = makeWorld(seed);
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ RETENTION_DAYS: '36500' });
  const client = new RemoteWriteClient({ url: server.addresses.http });
  for (const request of world) {
    expect(await client.writeBody(encodeHistograms(request))).toMatchObject({ status: 204 });
  }
  client.close();
});

afterAll(() => server?.stop());

test('the samples are those that Prometheus was asked about', () => {
  expect(fingerprint(world)).toBe(wanted);
});

test(`${answers.length} queries are answered as by Prometheus`, { timeout: 240_000 }, async () => {
  const said: string[] = [];
  for (const [question, want] of answers) {
    const response = await fetch(server.addresses.http + pathOf(question));
    const got = (await response.json()) as ApiEnvelope;
    for (const { aspect, message } of unexplained(question.query, want, got)) {
      said.push(`${pathOf(question)}\n  ${question.query}\n  ${aspect}: ${message}`);
    }
  }
  expect(said, said.join('\n')).toEqual([]);
});

test('most of the queries found something', () => {
  const found = answers.filter(([, { data }]) => {
    const { result } = (data ?? {}) as { result?: unknown };
    return Array.isArray(result) && result.length > 0;
  });
  expect(found.length).toBeGreaterThan(answers.length / 2);
});
