/**
 * @file A real Prometheus 3 as a sender of remote_write 2.0: whatever it sends beside floats is
 * stored and answered.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { startAgent, startPrometheus } from '../support/agent.js';
import { type Family, familyTypes, protoTime, serveFamilies } from '../support/exposition.js';
import { startRecordingProxy } from '../support/proxy.js';
import { seriesKey } from '../support/recording.js';
import { decodeRequest2 } from '../support/recording-2.js';
import { repositoryRoot, startServer, temporaryDirectory } from '../support/server.js';
import { findTool } from '../support/tools.js';

/** `PROMETHEUS_BIN`, or what is on PATH, if its version sends 2.0 with all it may carry. */
function findSender(): string | undefined {
  const binary = process.env.PROMETHEUS_BIN ?? findTool('prometheus');
  const text = binary && execFileSync(binary, ['--version'], { encoding: 'utf8' });
  const [, major, minor] = text?.match(/version (\d+)\.(\d+)\./)?.map(Number) ?? [];
  if (major !== undefined && (major > 3 || (major === 3 && (minor ?? 0) >= 14))) return binary;
  console.log(`skipped, want Prometheus 3.14 or newer, got ${text?.split('\n')[0] ?? 'none'}`);
  return undefined;
}

const sender = findSender();
const started = 1_750_000_000_250;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** The scrape of number `n`: a counter, a gauge and a native histogram. */
function families(n: number): readonly Family[] {
  const exemplar = (value: number) => ({
    label: [{ name: 'trace_id', value: `t${n}` }],
    value,
    timestamp: protoTime(Date.now()),
  });
  return [
    {
      name: 'jobs_total',
      help: 'Jobs done.',
      type: familyTypes.counter,
      metric: [
        { counter: { value: n, created_timestamp: protoTime(started), exemplar: exemplar(n) } },
      ],
    },
    {
      name: 'depth',
      help: 'Jobs that wait.',
      type: familyTypes.gauge,
      metric: [{ gauge: { value: n % 2 === 0 ? -0 : Number.NaN } }],
    },
    {
      name: 'took_seconds',
      help: 'How long jobs took.',
      type: familyTypes.histogram,
      unit: 'seconds',
      metric: [
        {
          histogram: {
            sample_count: 3 * n + 1,
            sample_sum: n / 8,
            schema: 3,
            zero_threshold: 2 ** -128,
            zero_count: 1,
            positive_span: [{ offset: -2, length: 2 }],
            positive_delta: [n, n],
            created_timestamp: protoTime(started + 1),
            exemplars: [exemplar(0.5)],
          },
        },
      ],
    },
  ];
}

interface Line {
  readonly metric: Readonly<Record<string, string>>;
  readonly timestamps: readonly number[];
  readonly values?: readonly (number | string | null)[];
  readonly histograms?: readonly Readonly<Record<string, unknown>>[];
  readonly start_timestamps?: readonly number[];
}

/**
 * Everything that is stored: by series and time a value, or what a histogram counts and sums; and
 * the start timestamps.
 */
async function everySample(url: string) {
  const response = await fetch(`${url}/api/v1/export?match[]={__name__!=""}`);
  const all = new Map<string, unknown>();
  const starts = new Map<string, number>();
  for (const text of (await response.text()).split('\n').filter((line) => line !== '')) {
    const line = JSON.parse(text) as Line;
    const key = seriesKey(Object.entries(line.metric));
    for (const [i, t] of line.timestamps.entries()) {
      const h = line.histograms?.[i];
      const shown = h && [h.count, h.sum, h.positive_buckets ?? []];
      all.set(`${key} ${t}`, shown ?? line.values?.[i]);
      const start = line.start_timestamps?.[i] ?? 0;
      if (start !== 0) starts.set(`${key} ${t}`, start);
    }
  }
  return { all, starts };
}

async function data<T>(url: string): Promise<T> {
  return ((await (await fetch(url)).json()) as { data: T }).data;
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await delay(50);
  }
}

describe.skipIf(sender === undefined)('a Prometheus that sends remote_write 2.0', () => {
  test('has everything that it sends stored', { timeout: 180_000 }, async () => {
    const work = temporaryDirectory('sender-2');
    cleanups.push(() => work.remove());
    const server = await startServer({ dataDir: `${work.path}/data` });
    cleanups.push(() => server.kill());
    const sent = new Map<string, unknown>();
    const sentStarts = new Map<string, number>();
    const described = new Set<string>();
    let histograms = 0;
    const odd: unknown[] = [];
    const proxy = await startRecordingProxy({
      target: server.url,
      onWrite: ({ body, status, headers, answer }) => {
        const type = headers['content-type'];
        const { samples, starts, families, counts } = decodeRequest2(body);
        for (const [place, start] of starts) sentStarts.set(place, start);
        for (const family of families) described.add(family);
        for (const [place, shown] of samples) sent.set(place, shown);
        histograms += counts.histograms;
        const written = (what: string) =>
          Number(answer[`x-prometheus-remote-write-${what}-written`]);
        const said = {
          samples: written('samples'),
          histograms: written('histograms'),
          exemplars: written('exemplars'),
        };
        if (
          status !== 204 ||
          type !== 'application/x-protobuf;proto=io.prometheus.write.v2.Request' ||
          JSON.stringify(said) !== JSON.stringify(counts)
        ) {
          odd.push({ status, type, said, counts });
        }
      },
    });
    cleanups.push(() => proxy.close());
    let scrapes = 0;
    const target = await serveFamilies(() => {
      scrapes += 1;
      return families(scrapes);
    });
    cleanups.push(() => target.close());
    const agent = await startAgent(
      work.path,
      `global: {scrape_interval: 500ms, scrape_timeout: 400ms, scrape_native_histograms: true}
scrape_configs:
  - job_name: jobs
    static_configs: [{targets: ['${target.address}']}]
remote_write:
  - url: ${proxy.url}/api/v1/write
    protobuf_message: io.prometheus.write.v2.Request
    send_exemplars: true
    send_native_histograms: true
    queue_config: {batch_send_deadline: 200ms, min_backoff: 50ms}
`,
      {
        binary: sender,
        features: ['exemplar-storage', 'metadata-wal-records', 'st-storage'],
      },
    );
    cleanups.push(() => agent.stop());
    await until('8 histograms', () => histograms >= 8);
    await target.close();
    await until('stale markers', () => [...sent.values()].includes('stale'));
    await agent.stop();
    await proxy.close();
    expect(odd).toEqual([]);

    const { all: stored, starts } = await everySample(server.url);
    // JSON lines have no word for the stale marker; its bits are beside the values.
    const shown = new Map([...sent].map(([place, v]) => [place, v === 'stale' ? null : v]));
    const visible = (samples: Map<string, unknown>) =>
      new Map([...samples].map(([place, v]) => [place, staleHistogram(v) ? null : v]));
    expect(visible(stored)).toEqual(visible(shown));
    expect(starts).toEqual(sentStarts);
    expect(new Set(starts.values())).toEqual(new Set([started, started + 1]));

    const hour = 3_600;
    const now = Date.now() / 1000;
    const exemplars = await data<{ exemplars: { labels: { trace_id: string } }[] }[]>(
      `${server.url}/api/v1/query_exemplars?query={__name__!=""}&start=${now - hour}&end=${now}`,
    );
    const traces = exemplars.map((series) => series.exemplars.map((e) => e.labels.trace_id));
    expect(traces).toHaveLength(2);
    for (const ids of traces) expect(ids).toEqual(ids.map((_, i) => `t${i + 1}`));
    // 3.14 sends none of what it scrapes: its flag no longer reaches its log.
    const known = await data<object>(`${server.url}/api/v1/metadata`);
    expect(Object.keys(known).sort()).toEqual([...described].sort());
    console.log(
      `${sent.size} samples sent, ${histograms} histograms among them, ${starts.size} with start timestamps, all stored`,
    );
    expect(await server.stop()).toBe(0);
  });
});

describe.skipIf(sender === undefined)('a Prometheus that stores start timestamps', () => {
  test('is imported with those of its block and of its log', { timeout: 180_000 }, async () => {
    const work = temporaryDirectory('starts');
    cleanups.push(() => work.remove());
    const source = `${work.path}/source`;
    let scrapes = 0;
    const target = await serveFamilies(() => {
      scrapes += 1;
      return families(scrapes);
    });
    cleanups.push(() => target.close());
    const prometheus = await startPrometheus(work.path, source, {
      binary: sender,
      features: ['st-storage', 'xor2-encoding', 'histograms-st-encoding'],
      scrape: `global: {scrape_interval: 300ms, scrape_timeout: 250ms, scrape_native_histograms: true}
scrape_configs:
  - job_name: jobs
    static_configs: [{targets: ['${target.address}']}]
`,
    });
    cleanups.push(() => prometheus.stop());
    await until('8 scrapes', () => scrapes >= 8);
    // A snapshot is a block of what the head holds.
    const snapshot = `${prometheus.url}/api/v1/admin/tsdb/snapshot`;
    const answer = await (await fetch(snapshot, { method: 'POST' })).json();
    const { name } = (answer as { data: { name: string } }).data;
    await prometheus.stop();
    for (const dir of [source, `${source}/snapshots/${name}`]) {
      const dataDir = `${work.path}/${dir === source ? 'log' : 'block'}`;
      const bin = `${repositoryRoot}/dist/bin.js`;
      execFileSync(process.execPath, [bin, 'tsdb', 'import', dataDir, '--prometheus', dir]);
      const server = await startServer({ dataDir });
      cleanups.push(() => server.kill());
      const { all, starts } = await everySample(server.url);
      // The counter and the histogram of every scrape; the stale markers of a stop say none.
      const said = [...all].filter(
        ([place, value]) => /jobs_total|took_seconds/.test(place) && value !== null,
      );
      const expected = said
        .filter(([, value]) => !staleHistogram(value))
        .map(([place]) => [place, place.includes('jobs_total') ? started : started + 1] as const);
      expect(expected.length).toBeGreaterThanOrEqual(12);
      expect(starts).toEqual(new Map(expected));
      expect(await server.stop()).toBe(0);
    }
  });
});

function staleHistogram(shown: unknown): boolean {
  return Array.isArray(shown) && shown[1] === 'nan:7ff0000000000002';
}
