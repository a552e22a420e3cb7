/**
 * @file Data directories of a real Prometheus, in both directions: what it answers from its own is
 * what metricstor answers after an import, and what it answers from what metricstor exported.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startPrometheus } from '../support/agent.js';
import { encodeHistograms, type WireHistogram } from '../support/histogram-wire.js';
import { pushAll, series } from '../support/push.js';
import { repositoryRoot, startServer, temporaryDirectory } from '../support/server.js';
import { requireTool } from '../support/tools.js';

const available = requireTool('prometheus', 'promtool');

let dir: { path: string; remove(): void };
const cleanups: (() => unknown)[] = [];
beforeEach(() => {
  dir = temporaryDirectory('prometheus-data');
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  dir.remove();
});

function run(command: string, ...parameters: string[]): string {
  const done = spawnSync(command, parameters, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (done.status !== 0) {
    throw new Error(`${command} ${parameters.join(' ')}: ${done.stderr}${done.stdout}`);
  }
  return done.stdout;
}

function tsdb(...parameters: string[]): string {
  return run(process.execPath, join(repositoryRoot, 'dist', 'bin.js'), 'tsdb', ...parameters);
}

interface Matrix {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [number, string])[];
}

/** Every sample of the last day before `timeMs`, as the query API prints it, by series. */
async function everySample(url: string, timeMs: number): Promise<Map<string, Matrix['values']>> {
  const parameters = new URLSearchParams({
    query: '{__name__=~".+"}[1d]',
    time: `${timeMs / 1000}`,
  });
  const response = await fetch(`${url}/api/v1/query?${parameters}`);
  const { data } = (await response.json()) as { data: { result: Matrix[] } };
  const key = (metric: Matrix['metric']): string => JSON.stringify(Object.entries(metric).sort());
  return new Map(data.result.map(({ metric, values }) => [key(metric), values]));
}

function countOf(samples: ReadonlyMap<string, Matrix['values']>): number {
  return [...samples.values()].reduce((sum, values) => sum + values.length, 0);
}

async function answersOf(dataDir: string, timeMs: number) {
  const server = await startServer({ dataDir });
  try {
    return await everySample(server.url, timeMs);
  } finally {
    await server.stop();
  }
}

const minuteMs = 60_000;

/** Counters that grow, lose a bucket, start anew and end, and a gauge: of both kinds. */
function histogramsUntil(now: number, integer: boolean, hint: number): WireHistogram[] {
  return Array.from({ length: 300 }, (_, i) => {
    const timestamp = now - (300 - i) * 15_000;
    if (i === 250) {
      return { timestamp, integer, schema: 0, count: 0, sum: 'stale' };
    }
    const n = i < 100 ? i + 1 : i - 99;
    const spans: [number, number][] =
      i < 200
        ? [[-2, 2]]
        : [
            [-2, 1],
            [3, 1],
          ];
    return {
      timestamp,
      integer,
      schema: 2,
      zeroThreshold: 0.001,
      zeroCount: n,
      count: 4 * n,
      sum: n / 8,
      positiveSpans: spans,
      positive: [n, 2 * n],
      hint,
    };
  });
}

describe.skipIf(!available)('with a real Prometheus', () => {
  test('its blocks and log are imported, and what is exported it serves', async () => {
    const now = Math.floor(Date.now() / minuteMs) * minuteMs;
    const source = join(dir.path, 'source');
    const prometheus = await startPrometheus(dir.path, source);
    cleanups.push(() => prometheus.stop());
    const labels = (n: number) => ({ __name__: `m${n % 3}`, n: `${n}`, text: 'ü "\\' });
    const special = [1.5, Number.NaN, Number.POSITIVE_INFINITY, -0, 1e-300, 1e300];
    const valueAt = (i: number): number => special[i] ?? Math.round(i / 7);
    // Six hours, so that some of it is in blocks and some in the log.
    for (let hour = 6; hour > 0; hour -= 1) {
      const timestamps = Array.from(
        { length: 60 },
        (_, i) => now - hour * 60 * minuteMs + i * minuteMs,
      );
      const all = Array.from({ length: 20 }, (_, n) =>
        series(
          labels(n),
          timestamps.map((t, i) => [t + n, valueAt(i)] as const),
        ),
      );
      await pushAll(prometheus.url, all);
    }
    const late = Array.from({ length: 30 }, (_, i) => [now - 300 * minuteMs + i * 500, i] as const);
    await pushAll(prometheus.url, [series(labels(4), late)]);
    const deletion = `${prometheus.url}/api/v1/admin/tsdb/delete_series?match[]=m2{n="5"}`;
    expect((await fetch(deletion, { method: 'POST' })).status).toBe(204);
    const want = await everySample(prometheus.url, now);
    expect(countOf(want)).toBe(19 * 360 + 30);
    await prometheus.stop();

    const data = join(dir.path, 'data');
    const report = JSON.parse(tsdb('import', data, '--prometheus', source, '--json-report'));
    expect(report).toMatchObject({ tooOld: 0, refused: 0, unnamed: 0, deleted: 360 });
    expect(report.stored).toBe(report.read);
    expect(await answersOf(data, now)).toEqual(want);

    const exported = join(dir.path, 'exported');
    const written = JSON.parse(tsdb('export', data, '--prometheus', exported, '--json-report'));
    expect(written).toMatchObject({ samples: countOf(want) });
    for (const block of readdirSync(exported)) {
      expect(run('promtool', 'tsdb', 'analyze', exported, block)).toContain(`Block ID: ${block}`);
    }
    const again = await startPrometheus(dir.path, exported);
    cleanups.push(() => again.stop());
    expect(await everySample(again.url, now)).toEqual(want);
  });

  test('histograms that are exported it serves', async () => {
    const now = Math.floor(Date.now() / minuteMs) * minuteMs;
    const data = join(dir.path, 'data');
    const server = await startServer({ dataDir: data });
    cleanups.push(() => server.kill());
    const one = (kind: string, integer: boolean, hint: number) => ({
      labels: { __name__: 'h', kind },
      floats: [[now - 310 * 15_000, 0.5]] as const,
      histograms: histogramsUntil(now, integer, hint),
    });
    const all = [one('a', true, 0), one('b', false, 0), one('c', true, 3), one('d', false, 3)];
    const body = encodeHistograms(all);
    expect((await fetch(`${server.url}/api/v1/write`, { method: 'POST', body })).status).toBe(204);
    const answer = async (url: string, timestamp: number): Promise<unknown> => {
      const parameters = new URLSearchParams({ query: 'h', time: `${timestamp / 1000}` });
      const response = await fetch(`${url}/api/v1/query?${parameters}`);
      const { data } = (await response.json()) as { data: { result: { metric: object }[] } };
      const byLabels = (a: { metric: object }, b: { metric: object }) =>
        JSON.stringify(a.metric) < JSON.stringify(b.metric) ? -1 : 1;
      return data.result.sort(byLabels);
    };
    // Sample by sample: what functions make of them differs between versions, and Prometheus 2.42
    // answers `h[1d]` with points of gauge histograms that share the buckets of the last one read.
    const timestamps = Array.from({ length: 311 }, (_, i) => now - i * 15_000);
    const answers = (url: string): Promise<unknown[]> =>
      Promise.all(timestamps.map((timestamp) => answer(url, timestamp)));
    const want = await answers(server.url);
    expect(await server.stop()).toBe(0);

    const exported = join(dir.path, 'exported');
    const written = JSON.parse(tsdb('export', data, '--prometheus', exported, '--json-report'));
    expect(written).toMatchObject({ samples: 4 * 301, histograms: 4 * 300 });
    for (const block of readdirSync(exported)) {
      expect(run('promtool', 'tsdb', 'analyze', exported, block)).toContain(`Block ID: ${block}`);
    }
    const prometheus = await startPrometheus(dir.path, exported);
    cleanups.push(() => prometheus.stop());
    expect(await answers(prometheus.url)).toEqual(want);
    const back = join(dir.path, 'back');
    const report = JSON.parse(tsdb('import', back, '--prometheus', exported, '--json-report'));
    expect(report).toMatchObject({ read: 4 * 301, stored: 4 * 301, histograms: 4 * 300 });
  });

  test('blocks that promtool made are imported', async () => {
    const now = Math.floor(Date.now() / minuteMs) * minuteMs;
    const lines = ['# TYPE om gauge'];
    for (let n = 0; n < 10; n += 1) {
      for (let i = 300; i > 0; i -= 1) {
        lines.push(`om{n="${n}"} ${i % 11 === 0 ? 'NaN' : i / 8} ${now / 1000 - i * 30}`);
      }
    }
    const [text, source] = [join(dir.path, 'om.txt'), join(dir.path, 'source')];
    writeFileSync(text, `${lines.join('\n')}\n# EOF\n`);
    mkdirSync(source);
    run('promtool', 'tsdb', 'create-blocks-from', 'openmetrics', text, source);
    const data = join(dir.path, 'data');
    const report = JSON.parse(tsdb('import', data, '--prometheus', source, '--json-report'));
    expect(report).toMatchObject({ read: 3000, stored: 3000 });
    const prometheus = await startPrometheus(dir.path, source);
    cleanups.push(() => prometheus.stop());
    const want = await everySample(prometheus.url, now);
    expect(countOf(want)).toBe(3000);
    expect(await answersOf(data, now)).toEqual(want);
  });
});
