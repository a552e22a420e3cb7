/**
 * @file Runs the queries of the published compliance suite (prometheus/compliance,
 * `promql/promql-test-queries.yml`) against a Prometheus and metricstor's binary.
 *
 *     PROMETHEUS_BIN=… node dist-bench/test/differential/compliance.js promql-test-queries.yml
 *
 * The suite wants a demo service that was scraped for hours; its metrics are made here instead, the
 * same for both, with the names, labels and shapes that the queries ask for. The values of the
 * suite's variables are those of its `testcases/expand.go`.
 */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
import { RemoteWriteClient } from '../../src/client/remote-write.js';
import type { ApiEnvelope } from '../support/compare-results.js';
import { encodeHistograms, type HistogramSeries } from '../support/histogram-wire.js';
import { startServer, temporaryDirectory } from '../support/server.js';
import { unexplained } from './fuzz/judge.js';
import { recordingSetup, startPrometheus } from './prometheus.js';
import { seededRandom } from './series-draft.js';

/** What stands for each variable of a query. */
const variables: Readonly<Record<string, readonly string[]>> = {
  range: ['1s', '15s', '1m', '5m', '15m', '1h'],
  offset: ['1m', '5m', '10m'],
  simpleAggrOp: ['sum', 'avg', 'max', 'min', 'count', 'stddev', 'stdvar'],
  simpleTimeAggrOp: ['sum', 'avg', 'max', 'min', 'count', 'stddev', 'stdvar', 'absent', 'last'],
  topBottomOp: ['topk', 'bottomk'],
  quantile: ['-0.5', '0.1', '0.5', '0.75', '0.95', '0.90', '0.99', '1', '1.5'],
  arithBinOp: ['+', '-', '*', '/', '%', '^'],
  compBinOp: ['==', '!=', '<', '>', '<=', '>='],
  binOp: ['+', '-', '*', '/', '%', '^', '==', '!=', '<', '>', '<=', '>='],
  simpleMathFunc: ['abs', 'ceil', 'floor', 'exp', 'sqrt', 'ln', 'log2', 'log10', 'round'],
  extrapolatedRateFunc: ['delta', 'rate', 'increase'],
  clampFunc: ['clamp_min', 'clamp_max'],
  instantRateFunc: ['idelta', 'irate'],
  dateFunc: ['day_of_month', 'day_of_week', 'days_in_month', 'hour', 'minute', 'month', 'year'],
  smoothingFactor: ['0.1', '0.5', '0.8'],
  trendFactor: ['0.1', '0.5', '0.8'],
};

interface SuiteCase {
  readonly query: string;
  readonly variant_args?: readonly string[];
  readonly should_fail?: boolean;
}

/** A query with every choice of its variables. */
function variants({ query, variant_args: names = [] }: SuiteCase): string[] {
  let queries = [query];
  for (const name of names) {
    const values = variables[name];
    if (values === undefined) {
      throw new Error(`the variable ${name} is not known`);
    }
    queries = queries.flatMap((one) =>
      values.map((value) => one.replaceAll(`{{.${name}}}`, value)),
    );
  }
  return queries;
}

const intervalMs = 5000;
const samples = 1500;
const startMs = 1_700_000_000_000;

type Labels = Readonly<Record<string, string>>;

/** The metrics of three instances of the demo service. */
function demoSeries(): HistogramSeries[] {
  const random = seededRandom(7);
  const all: HistogramSeries[] = [];
  const add = (labels: Labels, valueAt: (n: number) => number | undefined): void => {
    const floats: [number, number][] = [];
    for (let n = 0; n < samples; n++) {
      const value = valueAt(n);
      if (value !== undefined) {
        floats.push([startMs + n * intervalMs + Math.floor(random() * 3), value]);
      }
    }
    all.push({ labels, floats });
  };
  const counter = (speed: number): (() => number) => {
    let total = 0;
    return () => {
      total = random() < 0.0005 ? 0 : total + random() * speed;
      return total;
    };
  };
  for (const port of [10000, 10001, 10002]) {
    const target = { job: 'demo', instance: `demo.promlabs.com:${port}` };
    const named = (name: string, more: Labels = {}): Labels => ({
      __name__: `demo_${name}`,
      ...target,
      ...more,
    });
    add(named('num_cpus'), () => 4);
    for (const type of ['buffers', 'cached', 'free', 'used']) {
      const base = 1e8 + random() * 5e9;
      add(named('memory_usage_bytes', { type }), (n) => base + 1e8 * Math.sin(n / 40 + base));
    }
    for (const mode of ['idle', 'system', 'user']) {
      add(named('cpu_usage_seconds_total', { mode }), counter(4));
    }
    let disk = 1e10;
    add(named('disk_usage_bytes'), () => {
      disk += random() * 1e6;
      return disk;
    });
    add(named('disk_total_bytes'), () => 1e12);
    add(named('batch_last_success_timestamp_seconds'), (n) => {
      const runs = Math.floor(n / 60);
      return startMs / 1000 + runs * 300 + 0.25;
    });
    add(named('intermittent_metric'), (n) => (Math.floor(n / 90) % 2 === 0 ? 1 : undefined));
    for (const path of ['/api/foo', '/api/bar']) {
      const bounds = ['0.0001', '0.001', '0.01', '0.1', '1', '+Inf'];
      // Buckets that grow in step: each has all observations of the one below.
      const grow = counter(6);
      const total = Array.from({ length: samples }, grow);
      const labels = { method: 'GET', path, status: '200' };
      bounds.forEach((le, i) => {
        add(named('api_request_duration_seconds_bucket', { ...labels, le }), (n) =>
          Math.floor(((i + 1) * Math.floor(total[n])) / 6),
        );
      });
      add(named('api_request_duration_seconds_count', labels), counter(18));
      add(named('api_request_duration_seconds_sum', labels), counter(2));
    }
  }
  return all;
}

async function write(url: string, series: readonly HistogramSeries[]): Promise<void> {
  const client = new RemoteWriteClient({ url, timeoutMs: 120_000 });
  for (let i = 0; i < series.length; i += 10) {
    const answer = await client.writeBody(encodeHistograms(series.slice(i, i + 10)));
    if (answer.status !== 204) {
      throw new Error(`the write was answered ${answer.status}: ${answer.body}`);
    }
  }
  client.close();
}

/** As the suite's tester asks: ten minutes by ten seconds, away from both ends of the data. */
async function ask(url: string, query: string): Promise<ApiEnvelope> {
  const end = startMs / 1000 + (samples * intervalMs) / 1000 - 720;
  const form = new URLSearchParams({ query, start: `${end - 600}`, end: `${end}`, step: '10' });
  const response = await fetch(`${url}/api/v1/query_range?${form}`);
  return (await response.json()) as ApiEnvelope;
}

const [file] = process.argv.slice(2);
const suite = parse(await readFile(file, 'utf8')) as { readonly test_cases: readonly SuiteCase[] };
const directory = temporaryDirectory('compliance');
const prometheus = await startPrometheus(
  process.env.PROMETHEUS_BIN ?? 'prometheus',
  recordingSetup,
);
const server = await startServer({
  packageDir: process.cwd(),
  dataDir: directory.path,
  env: { METRICSTOR_RETENTION_DAYS: '36500' },
});
try {
  const series = demoSeries();
  await write(prometheus.url, series);
  await write(server.url, series);
  let passed = 0;
  let empty = 0;
  let failed = 0;
  for (const one of suite.test_cases) {
    for (const query of variants(one)) {
      const [want, got] = await Promise.all([ask(prometheus.url, query), ask(server.url, query)]);
      const differences = unexplained(query, want, got);
      if (differences.length > 0) {
        failed++;
        const said = differences.map(({ aspect, message }) => `  ${aspect}: ${message}`);
        console.log([query, ...said].join('\n'));
        continue;
      }
      passed++;
      if (one.should_fail === true && want.status !== 'error') {
        // Names of any characters are valid since Prometheus 3.
        console.log(`${query}\n  both answer, though the suite wants a failure`);
      }
      const { result } = (want.data ?? { result: [] }) as { result: unknown };
      empty += Array.isArray(result) && result.length === 0 ? 1 : 0;
    }
  }
  console.log(`${passed} passed (${empty} of them without a series), ${failed} failed`);
  process.exitCode = failed > 0 ? 1 : 0;
} finally {
  await Promise.all([prometheus.stop(), server.stop()]);
  directory.remove();
}
