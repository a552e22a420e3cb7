import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { queryRaw } from '../support/query.js';
import { Random } from '../support/random.js';
import {
  launchServer,
  type RunningServer,
  startServer,
  temporaryDirectory,
} from '../support/server.js';
import { CrashWriter, type DataClock } from './load.js';
import { AcknowledgedSamples } from './model.js';

const rounds = Number(process.env.METRICSTOR_CRASH_ROUNDS ?? 3);
const seed = Number(process.env.METRICSTOR_CRASH_SEED ?? Date.now() % 2 ** 31);
const writers = 4;
const dayMs = 24 * 3_600_000;

/**
 * Windows of a minute of data, so that each round crosses several flushes and log cuts, and blocks
 * are merged all the time.
 */
const env = {
  METRICSTOR_STORAGE_BLOCK_RANGE: '1m',
  METRICSTOR_STORAGE_FLUSH_SLACK: '5s',
  METRICSTOR_STORAGE_FLUSH_MIN_SAMPLES: '500',
  METRICSTOR_STORAGE_FLUSH_MIN_AGE: '100ms',
  METRICSTOR_STORAGE_WAL_SEGMENT_BYTES: '65536',
  METRICSTOR_COMPACTION_CPU_SHARE: '1',
};

const data = temporaryDirectory('crash');
afterAll(() => data.remove());

test(
  `${rounds} kills lose and alter no acknowledged sample`,
  async () => {
    console.log(`crash test: seed ${seed}, ${rounds} rounds`);
    const random = new Random(seed);
    const clock: DataClock = { nowMs: Date.now() - 2 * dayMs };
    const startMs = clock.nowMs;
    const model = new AcknowledgedSamples();
    const load = Array.from(
      { length: writers },
      (_, i) => new CrashWriter(`w${i}`, new Random(random.integer(0, 2 ** 31)), clock, model),
    );
    const verify = async (server: RunningServer): Promise<void> => {
      const range = clock.nowMs - startMs + dayMs;
      const selector = `{__name__=~"crash_.+"}[${range}ms]`;
      const stored = await queryRaw(server.url, selector, clock.nowMs);
      expect(model.violations(stored)).toEqual([]);
    };

    let killedInPublication = 0;
    let merges = 0;
    let server = await startServer({ dataDir: data.path, env });
    for (let round = 0; round < rounds; round++) {
      let stopping = false;
      const { url } = server;
      const writing = Promise.all(load.map((writer) => writer.run(url, () => stopping)));
      const merging = mergeUntil(url, () => stopping);
      await delay(random.integer(100, 2500));
      stopping = random.chance(0.3);
      await server.kill();
      stopping = true;
      await writing;
      merges += await merging;
      if (hasUnpublished(data.path)) killedInPublication++;
      // Some kills fall into recovery itself, some of them twice.
      while (random.chance(0.4)) {
        const starting = launchServer({ dataDir: data.path, env });
        await delay(random.integer(50, 600));
        await starting.kill();
      }
      server = await startServer({ dataDir: data.path, env });
      await verify(server);
    }
    expect(await server.stop()).toBe(0);
    // A running server merges and removes blocks while they are listed.
    const blocks = countBlocks(data.path);
    const requests = load.reduce((sum, writer) => sum + writer.acknowledgedRequests, 0);
    console.log(
      `crash test: ${model.acknowledged} samples of ${model.seriesCount} series acknowledged in ` +
        `${requests} requests, ${model.rewritten} rewritten, ${blocks} blocks, ` +
        `${merges} merges asked for, ${killedInPublication} kills while a file or block was being published`,
    );
    expect(model.acknowledged).toBeGreaterThan(rounds * 100);
    expect(model.rewritten).toBeGreaterThan(0);
    expect(blocks).toBeGreaterThan(1);
    expect(merges).toBeGreaterThan(0);
    expect(existsSync(join(data.path, 'quarantine'))).toBe(false);

    server = await startServer({ dataDir: data.path, env });
    await verify(server);
    expect(await server.stop()).toBe(0);
  },
  60_000 + rounds * 30_000,
);

/** Has blocks merged again and again until the server is gone; returns how often that was done. */
async function mergeUntil(url: string, stopped: () => boolean): Promise<number> {
  for (let done = 0; ; done++) {
    if (stopped()) return done;
    const answer = await post(`${url}/api/v1/admin/tsdb/compact`);
    if (answer === undefined) return done;
    expect(answer).toBe(204);
    await delay(50);
  }
}

/** The status of the answer; undefined when the server is gone. */
async function post(url: string): Promise<number | undefined> {
  try {
    return (await fetch(url, { method: 'POST' })).status;
  } catch {
    return undefined;
  }
}

/** Directories named by a ULID, wherever under the data directory blocks lie. */
function countBlocks(dir: string): number {
  const entries = readdirSync(dir, { recursive: true, withFileTypes: true });
  return entries.filter(
    (entry) => entry.isDirectory() && /^[0-9A-HJKMNP-TV-Z]{26}$/.test(entry.name),
  ).length;
}

/** Whether the killed process left something behind that it had not published yet. */
function hasUnpublished(dir: string): boolean {
  return readdirSync(dir, { recursive: true }).some((name) => String(name).includes('.tmp'));
}
