import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { ask, queryRaw } from '../support/query.js';
import { Random } from '../support/random.js';
import { seriesKey } from '../support/recording.js';
import {
  launchServer,
  type RunningServer,
  startServer,
  temporaryDirectory,
} from '../support/server.js';
import { CrashWriter, type DataClock, type SentExemplar } from './load.js';
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
  // A hundred rounds send more than the ring holds by default.
  METRICSTOR_EXEMPLARS_MAX: '10000000',
};

const data = temporaryDirectory('crash');
let running: RunningServer | undefined;
afterAll(async () => {
  // A test that failed leaves it running.
  await running?.kill();
  data.remove();
});

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
      const exemplars = await storedExemplars(server.url, startMs - dayMs, clock.nowMs + dayMs);
      const sent = load.flatMap((writer) => writer.exemplars);
      expect(sent.filter((one) => !exemplars.has(exemplarKey(one))).slice(0, 10)).toEqual([]);
    };

    let killedInPublication = 0;
    let merges = 0;
    const start = async (): Promise<RunningServer> => {
      running = await startServer({ dataDir: data.path, env });
      return running;
    };
    let server = await start();
    for (let round = 0; round < rounds; round++) {
      let stopping = false;
      const { url } = server;
      const writing = Promise.all(load.map((writer) => writer.run(url, () => stopping)));
      const merging = mergeUntil(url, random, () => stopping);
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
      server = await start();
      await verify(server);
    }
    expect(await server.stop()).toBe(0);
    // A running server merges and removes blocks while they are listed.
    const blocks = countBlocks(data.path);
    const sum = (of: (writer: CrashWriter) => number): number =>
      load.reduce((total, writer) => total + of(writer), 0);
    const requests = sum((writer) => writer.acknowledgedRequests);
    const deletes = sum((writer) => writer.acknowledgedDeletes);
    const histograms = sum((writer) => writer.acknowledgedHistograms);
    const exemplars = sum((writer) => writer.exemplars.length);
    console.log(
      `crash test: ${model.acknowledged} samples of ${model.seriesCount} series acknowledged in ` +
        `${requests} requests, ${model.rewritten} rewritten, ${model.deleted} deleted by ` +
        `${deletes} deletes, ${histograms} histograms, ${exemplars} exemplars, ${blocks} blocks, ` +
        `${merges} merges asked for, ${killedInPublication} kills while a file or block was being published`,
    );
    expect(model.acknowledged).toBeGreaterThan(rounds * 100);
    expect(model.rewritten).toBeGreaterThan(0);
    // Some rounds on a busy machine may be too short for what comes seldom.
    if (rounds >= 50) {
      expect(Math.min(model.deleted, deletes, histograms, exemplars)).toBeGreaterThan(0);
    }
    expect(blocks).toBeGreaterThan(1);
    expect(merges).toBeGreaterThan(0);
    expect(existsSync(join(data.path, 'quarantine'))).toBe(false);

    server = await start();
    await verify(server);
    expect(await server.stop()).toBe(0);
  },
  60_000 + rounds * 30_000,
);

/**
 * Has blocks merged, and now and then the head flushed or blocks cleaned, again and again until the
 * server is gone; returns how often that was done.
 */
async function mergeUntil(url: string, random: Random, stopped: () => boolean): Promise<number> {
  for (let done = 0; ; done++) {
    if (stopped()) return done;
    const seldom = random.chance(0.5) ? 'flush' : 'clean_tombstones';
    const what = random.chance(0.7) ? 'compact' : seldom;
    const answer = await post(`${url}/api/v1/admin/tsdb/${what}`);
    if (answer === undefined) return done;
    expect(answer).toBe(204);
    await delay(50);
  }
}

function exemplarKey({ series, timestamp, trace }: SentExemplar): string {
  return `${series} ${timestamp} ${trace}`;
}

/** The exemplars that the server has, each by its key. */
async function storedExemplars(url: string, from: number, to: number): Promise<Set<string>> {
  const form = {
    query: '{__name__=~"crash_.+"}',
    start: String(Math.floor(from / 1000)),
    end: String(Math.ceil(to / 1000)),
  };
  const answer = await ask(`${url}/api/v1/query_exemplars`, { form });
  expect(answer.status).toBe(200);
  const { data } = JSON.parse(answer.text) as {
    data: readonly {
      readonly seriesLabels: Readonly<Record<string, string>>;
      readonly exemplars: readonly {
        readonly labels: { readonly trace_id: string };
        readonly timestamp: number;
      }[];
    }[];
  };
  const found = data.flatMap(({ seriesLabels, exemplars }) => {
    const series = seriesKey(Object.entries(seriesLabels));
    return exemplars.map(({ labels, timestamp }) =>
      exemplarKey({ series, timestamp: Math.round(timestamp * 1000), trace: labels.trace_id }),
    );
  });
  return new Set(found);
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
