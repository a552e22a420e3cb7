/**
 * @file What is evaluated and added up in the engine, against the same without: random series with
 * gaps, NaN, stale markers, counter resets and native histograms among them, in head and blocks.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.js';
import { engineOptions } from '../../src/engine-options.js';
import { NativeEngine } from '../../src/native/engine.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { allRewrites, type RewriteName, rewriteNames } from '../../src/promql/plan/rewrites.js';
import { nativeAggregateOps, type QuerySession } from '../../src/storage/querier.js';
import { type ApiEnvelope, compareAnswers } from '../support/compare-results.js';
import { errorEnvelope } from '../support/envelope.js';
import { encodeHistograms, type HistogramSeries } from '../support/histogram-wire.js';
import { plainFunctions } from '../support/plain-rollup.js';
import { Random } from '../support/random.js';
import { overriding, readOnlySession, type Windows } from '../support/read-only-session.js';
import { temporaryDirectory } from '../support/server.js';

const seed = Number(process.env.METRICSTOR_NATIVE_SEED ?? 20261121);
const everything = { tenant: 0, matchers: [] };
const startMs = 1_700_000_000_000;
const samples = 240;
const scrapeMs = 15_000;
const endMs = startMs + samples * scrapeMs;

type Flavour = 'counter' | 'gauge' | 'rough';
type Sample = readonly [number, number | 'stale'];

/** Floats with gaps and stale markers; `rough` ones are also NaN and infinite. */
function floats(random: Random, flavour: Flavour): Sample[] {
  const all: Sample[] = [];
  const jitterMs = random.integer(0, 1) * 700;
  const special = [NaN, Infinity, -Infinity, -0, 1e-320];
  let value = random.integer(0, 50);
  let gap = 0;
  for (let i = 0; i < samples; i++) {
    const time = startMs + i * scrapeMs + random.integer(0, jitterMs);
    const grown = random.chance(0.03) ? 0 : value + random.integer(0, 9);
    value = flavour === 'counter' ? grown : random.integer(-40, 40) / 8;
    gap = gap > 0 ? gap - 1 : Number(random.chance(0.02)) * random.integer(1, 40);
    if (gap > 0) {
      continue;
    }
    if (random.chance(0.02)) {
      all.push([time, 'stale']);
    } else if (flavour === 'rough' && random.chance(0.1)) {
      all.push([time, random.pick(special)]);
    } else {
      all.push([time, value]);
    }
  }
  return all;
}

/** A series that is floats at first, histograms in the middle, floats again at the end. */
function turning(random: Random, labels: Readonly<Record<string, string>>): HistogramSeries {
  const all = floats(random, 'counter');
  const middle = all.slice(80, 140).filter(([, value]) => value !== 'stale');
  const histograms = middle.map(([timestamp], i) => ({
    timestamp,
    integer: true,
    schema: 0,
    count: 3 * (i + 1),
    sum: 5.5 * (i + 1),
    positiveSpans: [[0, 2]] as const,
    positive: [2 * (i + 1), i + 1],
  }));
  return { labels, floats: [...all.slice(0, 80), ...all.slice(140)], histograms };
}

/** Three metrics of twelve series each; `mixed` has histograms in its middle. */
function makeWorld(random: Random): HistogramSeries[] {
  const flavours = { requests_total: 'counter', level: 'gauge', rough: 'rough' } as const;
  const world: HistogramSeries[] = [];
  for (let i = 0; i < 12; i++) {
    const labels = { job: `job-${i % 3}`, instance: `host-${String(i).padStart(2, '0')}` };
    for (const [name, flavour] of Object.entries(flavours)) {
      world.push({ labels: { __name__: name, ...labels }, floats: floats(random, flavour) });
    }
    const mixed = { __name__: 'mixed', ...labels };
    const turns = i === 5 || i === 9;
    world.push(turns ? turning(random, mixed) : { labels: mixed, floats: floats(random, 'gauge') });
  }
  return world;
}

/** The samples of some times. */
function part(world: readonly HistogramSeries[], fromMs: number, toMs: number): HistogramSeries[] {
  const inside = (time: number): boolean => time >= fromMs && time < toMs;
  return world.map(({ labels, floats: values = [], histograms = [] }) => ({
    labels,
    floats: values.filter(([time]) => inside(time)),
    histograms: histograms.filter(({ timestamp }) => inside(timestamp)),
  }));
}

let engine: NativeEngine;
const data = temporaryDirectory('native');

beforeAll(async () => {
  const environment = {
    METRICSTOR_DATA_DIR: data.path,
    METRICSTOR_WAL_SYNC: 'off',
    METRICSTOR_RETENTION_DAYS: '36500',
  };
  engine = await NativeEngine.open(engineOptions(loadConfig({ environment }).config));
  const world = makeWorld(new Random(seed));
  const request = { format: 'remote-write-1', encoding: 'snappy', scope: everything } as const;
  const middleMs = startMs + (samples / 2) * scrapeMs;
  await engine.write(encodeHistograms(part(world, 0, middleMs)), request);
  await engine.flush();
  // The two halves overlap: a block and the head have the same samples.
  const written = part(world, middleMs - 20 * scrapeMs, Infinity);
  const outcome = await engine.write(encodeHistograms(written), request);
  expect(outcome.rejections).toEqual([]);
  expect(engine.stats().blocks).toBeGreaterThan(0);
});

afterAll(async () => {
  await engine?.close();
  data.remove();
});

function engineWith(rewrites: ReadonlySet<RewriteName>): PromqlEngine {
  return new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: { maxSamples: 1e8, maxBytes: 1e9, maxPoints: 1e7 },
    rewrites,
  });
}

const whole = engineWith(allRewrites);
const apart = engineWith(new Set(rewriteNames.filter((name) => name !== 'together')));

/** How a session gets at values. */
type View = (session: QuerySession) => QuerySession;

function ask(query: string, steps: number, view: View, promql = whole): ApiEnvelope {
  const session = engine.openSession(everything, {});
  const deadlineMs = Date.now() + 60_000;
  try {
    const seen = view(session);
    const { result, annotations } =
      steps === 1
        ? promql.instant(seen, { query, timeMs: endMs, deadlineMs })
        : promql.range(seen, {
            query,
            startMs: startMs - 120_000,
            endMs: endMs + 120_000,
            stepMs: Math.floor((endMs - startMs + 240_000) / (steps - 1)),
            deadlineMs,
          });
    const text = Buffer.from(session.encodeResult(result)).toString();
    return { status: 'success', data: JSON.parse(`{${text}}`), ...annotations };
  } catch (error) {
    return errorEnvelope(error);
  } finally {
    session.close();
  }
}

/**
 * The answers are those of the evaluator alone, to the last bit; and nearly those of plain loops
 * over each window, where `windows` says so. Returns how many answers had a series.
 */
function expectSame(queries: readonly string[], windows: Windows = 'plain'): number {
  const said: string[] = [];
  let found = 0;
  for (const query of queries) {
    for (const steps of [1, 29]) {
      const got = ask(query, steps, (session) => session);
      const read = ask(query, steps, (session) => readOnlySession(session, 'engine'));
      const differences = compareAnswers(read, got, { tolerance: 0 });
      if (windows === 'plain') {
        const plain = ask(query, steps, (session) => readOnlySession(session, 'plain'));
        differences.push(...compareAnswers(plain, got, { tolerance: 1e-8 }));
      }
      said.push(...differences.map(({ message }) => `${query} (${steps}): ${message}`));
      found += Number(JSON.stringify(got.data ?? '').includes('"metric"'));
    }
  }
  expect(said, `seed ${seed}\n${said.join('\n')}`).toEqual([]);
  return found;
}

const metrics = ['requests_total', 'level', 'rough', 'mixed'];

/** A call of a window function with the arguments that it takes. */
function call(name: string, range: string): string {
  switch (name) {
    case 'quantile_over_time':
      return `${name}(0.7, ${range})`;
    case 'predict_linear':
      return `${name}(${range}, 600)`;
    case 'double_exponential_smoothing':
      return `${name}(${range}, 0.3, 0.6)`;
    default:
      return `${name}(${range})`;
  }
}

describe.each(Object.keys(plainFunctions))('%s', (name) => {
  const calls = metrics.map((metric) => call(name, `${metric}[4m]`));

  test('of every series', () => {
    const one = call(name, 'requests_total{instance="host-03"}[90s] offset 10m');
    expect(expectSame([...calls, one])).toBeGreaterThan(0);
  });

  test('in every aggregation', () => {
    const queries = nativeAggregateOps.flatMap((op, i) => [
      `${op} by (job) (${calls[3]})`,
      `${op} without (instance) (${calls[i % 3]})`,
    ]);
    expect(expectSame(queries, 'engine')).toBeGreaterThan(0);
  });
});

describe.each(nativeAggregateOps)('%s', (op) => {
  test('of values', () => {
    const queries = metrics.flatMap((metric) => [
      `${op}(${metric})`,
      `${op} without (instance) (${metric} offset 7m)`,
      `${op} by (job) (${metric} @ end())`,
      `${op} by (job, __name__) ({__name__=~"${metric}|level"})`,
    ]);
    expect(expectSame(queries, 'engine')).toBeGreaterThan(queries.length);
  });
});

test('what is not added up natively is the same as well', () => {
  const queries = metrics.flatMap((metric) => [
    metric,
    `timestamp(${metric})`,
    `topk(3, ${metric})`,
    `quantile by (job) (0.3, rate(${metric}[5m]))`,
    `count_values("v", changes(${metric}[5m]))`,
    `absent(${metric}{instance="host-05"})`,
    `absent_over_time(${metric}{instance=~"host-0[59]"}[1m])`,
    `max_over_time(sum(${metric})[10m:1m])`,
  ]);
  expect(expectSame(queries)).toBeGreaterThan(queries.length);
});

describe('aggregations of one selector that go together', () => {
  const ratios = metrics.flatMap((metric) => [
    `sum(rate(${metric}[2m])) / sum(rate(${metric}[20m]))`,
    `sum by (job) (increase(${metric}[2m])) - on (job) avg by (job) (delta(${metric}[9m] offset 1m))`,
    `max(${metric}) - min(min_over_time(${metric}[1h]))`,
    `count(${metric}) / count(count_over_time(${metric}[30m])) / sum(rate(${metric}[10m]))`,
    `sum(rate(${metric}[2m])) / sum(rate(${metric}[20m])) + sum(rate(${metric}[2m]))`,
    `topk(2, sum by (instance) (${metric})) / on () group_left stddev(idelta(${metric}[5m]))`,
    `sum(${metric}) - sum(${metric} offset 20m)`,
    `max by (job) (rate(${metric}[5m])) - min by (job) (rate(${metric}[5m]))`,
    `(sum(${metric}) / count(${metric})) or ${metric}`,
    `sum_over_time((sum(${metric}) / sum(max_over_time(${metric}[3m])))[10m:1m])`,
    `sum(rate({__name__=~"${metric}|level"}[2m])) / sum(rate({__name__=~"${metric}|level"}[20m]))`,
  ]);

  test.each(ratios)('%s', (query) => {
    for (const steps of [1, 29]) {
      const got = ask(query, steps, (session) => session);
      const want = ask(query, steps, (session) => session, apart);
      expect(compareAnswers(want, got, { tolerance: 0 })).toEqual([]);
    }
    expectSame([query], 'engine');
  });

  const samplesOf = (query: string, promql: PromqlEngine): number => {
    const session = engine.openSession(everything, {});
    const deadlineMs = Date.now() + 60_000;
    const { stats } = promql.instant(session, { query, timeMs: endMs, deadlineMs });
    session.close();
    return stats.samples;
  };

  test('samples are decoded once, for the longest windows', () => {
    const long = samplesOf('sum(rate(level[20m]))', whole);
    const both = 'sum(rate(level[2m])) / sum(rate(level[20m]))';
    expect(samplesOf(both, whole)).toBe(long);
    expect(samplesOf(both, apart)).toBeGreaterThan(long);
    expect(samplesOf('avg(level) / sum(rate(level[20m])) > max(level)', whole)).toBe(long);
  });

  test('what several of them take is not kept', () => {
    const pointsOf = (promql: PromqlEngine): number => {
      const session = engine.openSession(everything, {});
      const range = { startMs, endMs, stepMs: 5_000, deadlineMs: Date.now() + 60_000 };
      const query = 'max(rate(level[2m])) - min(rate(level[2m]))';
      const { stats } = promql.range(session, { query, ...range });
      session.close();
      return stats.peakPoints;
    };
    expect(pointsOf(whole)).toBeLessThan(pointsOf(apart) / 2);
    const session = engine.openSession(everything, {});
    const query = 'rate(level[2m]) / on () group_left sum(rate(level[2m])) > max(rate(level[2m]))';
    const at = { query, timeMs: endMs, deadlineMs: Date.now() + 60_000 };
    const { plan } = whole.explain(session, at, { analyze: false });
    session.close();
    expect(plan.inputs?.[0].inputs?.[0].rewrites).toEqual(['share']);
  });

  test('what lies outside of the longest is read by itself', () => {
    const query = 'sum(rate(level[20m])) - sum(rate(level[5m] offset 30m))';
    expect(samplesOf(query, whole)).toBe(samplesOf(query, apart));
  });

  test('the plan says so', () => {
    const session = engine.openSession(everything, {});
    const query = 'sum(rate(level[2m])) / sum(rate(level[20m])) / sum(rate(rough[2m]))';
    const at = { query, timeMs: endMs, deadlineMs: Date.now() + 60_000 };
    const { plan } = whole.explain(session, at, { analyze: true });
    session.close();
    expect(plan.inputs?.[0].inputs?.map(({ rewrites }) => rewrites)).toEqual([
      ['together'],
      ['together'],
    ]);
    expect(plan.inputs?.[1].rewrites).toBeUndefined();
  });
});

test('histograms end the native evaluation, and nothing else does', () => {
  const natively = (query: string): boolean => {
    let ended = false;
    let begun = false;
    ask(query, 29, (session) =>
      overriding(session, {
        aggregation: (...request) => {
          const inner = session.aggregation?.(...request);
          if (inner === undefined) {
            throw new Error('the engine adds up nothing');
          }
          begun = true;
          return overriding(inner, {
            evaluate: (...part) => {
              const evaluated = inner.evaluate(...part);
              ended ||= evaluated.histogram;
              return evaluated;
            },
          });
        },
      }),
    );
    return begun && !ended;
  };
  for (const op of nativeAggregateOps) {
    for (const name of Object.keys(plainFunctions)) {
      const query = (metric: string): string => `${op}(${call(name, `${metric}[4m]`)})`;
      expect([query('rough'), natively(query('rough'))]).toEqual([query('rough'), true]);
      expect([query('mixed'), natively(query('mixed'))]).toEqual([query('mixed'), false]);
    }
  }
});
