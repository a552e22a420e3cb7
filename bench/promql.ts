/**
 * @file What PromQL costs, without storage: microseconds to parse an expression, nanoseconds per
 * sample that a query reads and per point of its rows (series times steps).
 *
 *     npx tsc -p bench --outDir dist-bench && node dist-bench/bench/promql.js
 */
import { Bench } from 'tinybench';
import { PromqlEngine } from '../src/promql/engine.js';
import { parseQuery } from '../src/promql/parse.js';
import { MemoryQuerier } from '../test/support/memory-querier.js';

const hourMs = 3_600_000;
const intervalMs = 15_000;
const hours = 24;
const seriesCount = 400;

/** Counters and gauges of `seriesCount` targets, a sample every 15 s, seeded. */
function fill(): MemoryQuerier {
  const querier = new MemoryQuerier();
  const samples = (hours * hourMs) / intervalMs;
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
    return seed / 0x7fffffff;
  };
  for (let i = 0; i < seriesCount; i++) {
    const timestamps = new Float64Array(samples);
    const counter = new Float64Array(samples);
    const gauge = new Float64Array(samples);
    const jitter = Math.floor(random() * intervalMs);
    let total = 0;
    for (let k = 0; k < samples; k++) {
      timestamps[k] = k * intervalMs + jitter;
      total = random() < 0.0005 ? 0 : total + Math.floor(random() * 100);
      counter[k] = total;
      gauge[k] = random() * 100;
    }
    const labels = { job: `job-${i % 8}`, instance: `host-${i}:9100`, region: `r-${i % 3}` };
    querier.addColumns({ ...labels, __name__: 'requests_total' }, timestamps, counter);
    querier.addColumns({ ...labels, __name__: 'temperature' }, timestamps, gauge);
  }
  return querier;
}

const queries = [
  'temperature',
  'rate(requests_total[5m])',
  'sum by (job) (rate(requests_total[5m]))',
  'sum by (job) (rate(requests_total[1h]))',
  'avg_over_time(temperature[5m])',
  'avg_over_time(requests_total[5m])',
  'max_over_time(temperature[1h])',
  'quantile_over_time(0.9, temperature[5m])',
  'requests_total / on (job, instance) temperature',
  'topk(5, temperature)',
  'histogram_quantile(0.9, requests_total)',
  'max_over_time(rate(requests_total[5m])[30m:1m])',
];

/** Expressions of 54 and of 227 characters, as dashboards have them. */
const expressions = [
  'sum by (job) (rate(http_requests_total{co="500"}[5m]))',
  'histogram_quantile(0.999, sum by (le, job) ' +
    '(rate(http_request_duration_seconds_bucket{job="api", code=~"5.."}[5m]))) ' +
    '/ on (job) group_left sum without (le) (rate(requests_total{job="api"}[5m] offset 1h)) ' +
    '> bool 0.5 or vector(0)',
];

const parsing = new Bench({ time: 1000, warmupTime: 500 });
for (const expression of expressions) {
  parsing.add(`${expression.length} characters`, () => {
    parseQuery(expression);
  });
}
await parsing.run();
console.table(
  parsing.tasks.map(({ name, result }) => {
    const [median, fastest] =
      'latency' in result ? [result.latency.p50, result.latency.min] : [NaN, NaN];
    const us = (ms: number): string => (ms * 1000).toFixed(1);
    return { parse: name, 'us (median)': us(median), 'us (fastest)': us(fastest) };
  }),
);

const querier = fill();
const engine = new PromqlEngine({
  lookbackMs: 300_000,
  subqueryStepMs: 60_000,
  limits: { maxSamples: 50_000_000, maxBytes: 2 ** 31, maxPoints: 50_000_000 },
});

/** Steps a minute apart over most of a day, and a single time. */
const range = { startMs: 2 * hourMs, endMs: 24 * hourMs - 60_000, stepMs: 60_000 };
const steps = (range.endMs - range.startMs) / range.stepMs + 1;

function run(query: string, instant: boolean): { samples: number; series: number } {
  const session = querier.openSession();
  const deadlineMs = Date.now() + 60_000;
  const outcome = instant
    ? engine.instant(session, { query, timeMs: 12 * hourMs, deadlineMs })
    : engine.range(session, { query, ...range, deadlineMs });
  return outcome.stats;
}

const bench = new Bench({ time: 400, warmupTime: 200 });
for (const query of queries) {
  bench.add(`range ${query}`, () => {
    run(query, false);
  });
}
for (const query of queries.slice(0, 3)) {
  bench.add(`instant ${query}`, () => {
    run(query, true);
  });
}
await bench.run();

const rows = bench.tasks.map(({ name, result }) => {
  const instant = name.startsWith('instant ');
  const query = name.slice(name.indexOf(' ') + 1);
  const { samples, series } = run(query, instant);
  // The fastest run is the one that others on the machine disturbed least.
  const ms = 'latency' in result ? result.latency.min : NaN;
  const points = series * (instant ? 1 : steps);
  return {
    query: name,
    'ms (fastest)': ms.toFixed(2),
    'ns/sample': ((ms * 1e6) / samples).toFixed(1),
    'ns/point': ((ms * 1e6) / points).toFixed(1),
  };
});
console.table(rows);
