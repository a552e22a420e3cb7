/**
 * @file Native histograms and questions about them, whose answers by Prometheus are recorded in
 * `recorded/answers.json` (`test/differential/record-histograms.ts`).
 */
import type { HistogramSeries, WireHistogram } from '../../support/histogram-wire.js';

/** A scrape a minute, from 1970 on. */
const minute = 60_000;

/** Counts that grow as a busy service's do, with a reset in the eighth minute. */
function counter(n: number): WireHistogram {
  const age = n < 8 ? n + 1 : n - 7;
  // From the fourth scrape on there is a bucket more.
  const positive = n < 3 ? [3 * age, 5 * age, 2 * age] : [3 * age, 5 * age, 2 * age, age];
  const buckets = positive.reduce((sum, count) => sum + count, 0);
  return {
    timestamp: n * minute,
    integer: true,
    schema: 1,
    zeroThreshold: 0.001,
    zeroCount: age,
    count: buckets + 2 * age + age,
    sum: 12.5 * age,
    positiveSpans: [
      [-2, 2],
      [1, positive.length - 2],
    ],
    positive,
    negativeSpans: [[1, 1]],
    negative: [2 * age],
  };
}

function gauge(n: number): WireHistogram {
  return {
    timestamp: n * minute,
    integer: false,
    schema: 0,
    zeroThreshold: 2.938735877055719e-39,
    zeroCount: 0.25,
    count: 2.75 + n,
    sum: n % 3 === 0 ? -1.5 : 0.1 * n,
    positiveSpans: [[0, 2]],
    positive: [1.5, 1 + n],
    hint: 3,
  };
}

function custom(n: number): WireHistogram {
  return {
    timestamp: n * minute,
    integer: true,
    schema: -53,
    count: 10 * (n + 1),
    sum: 7.25 * (n + 1),
    positiveSpans: [[0, 4]],
    positive: [n + 1, 2 * (n + 1), 3 * (n + 1), 4 * (n + 1)],
    bounds: [0.005, 0.1, 2.5],
  };
}

const scrapes = Array.from({ length: 12 }, (_, n) => n);

/** What is pushed, in one request. */
export const histogramData: readonly HistogramSeries[] = [
  { labels: { __name__: 'busy', host: 'a' }, histograms: scrapes.map(counter) },
  {
    labels: { __name__: 'busy', host: 'b' },
    histograms: scrapes.map((n) => ({ ...counter(n), schema: 3, sum: 3.5 * (n + 1) })),
  },
  { labels: { __name__: 'level' }, histograms: scrapes.map(gauge) },
  { labels: { __name__: 'custom', host: 'a' }, histograms: scrapes.map(custom) },
  {
    labels: { __name__: 'ended' },
    histograms: [
      custom(0),
      counter(1),
      { timestamp: 2 * minute, integer: true, schema: 0, count: 0, sum: 'stale' },
    ],
  },
  {
    labels: { __name__: 'mixed' },
    floats: [
      [0, 1],
      [2 * minute, 2.5],
      [3 * minute, 3],
    ],
    histograms: [counter(1), gauge(4), counter(5)],
  },
  {
    labels: { __name__: 'nan_observed' },
    histograms: [{ ...counter(0), timestamp: minute, count: 20, sum: NaN }],
  },
  {
    labels: { __name__: 'nothing' },
    histograms: [
      { ...gauge(0), timestamp: minute, count: 0, positive: [0, 0], zeroCount: 0, sum: 0 },
    ],
  },
  {
    // A coarser schema and a larger zero bucket from the fifth scrape on.
    labels: { __name__: 'refined' },
    histograms: scrapes.map((n) => ({
      ...counter(Math.min(n, 7)),
      timestamp: n * minute,
      ...(n < 4 ? { schema: 2 } : { schema: 0, zeroThreshold: 0.4 }),
    })),
  },
  {
    // Other bounds from the fifth scrape on.
    labels: { __name__: 'rebounded', host: 'a' },
    histograms: scrapes.map((n) => ({
      ...custom(n),
      ...(n < 5 ? {} : { bounds: [0.005, 0.2, 2.5] }),
    })),
  },
  { labels: { __name__: 'rebounded', host: 'b' }, histograms: scrapes.map(custom) },
  {
    // Sums that are not exact in every order.
    labels: { __name__: 'fine', host: 'a' },
    histograms: scrapes.map((n) => ({ ...gauge(n), sum: 1e16, positive: [0.1, 1e16] })),
  },
  {
    labels: { __name__: 'fine', host: 'b' },
    histograms: scrapes.map((n) => ({ ...gauge(n), sum: 1.7, positive: [0.2, 1.1], schema: 2 })),
  },
  {
    labels: { __name__: 'fine', host: 'c' },
    histograms: scrapes.map((n) => ({ ...gauge(n), sum: -1e16, positive: [0.3, 3], schema: 1 })),
  },
  { labels: { __name__: 'float' }, floats: scrapes.map((n) => [n * minute, n] as const) },
];

const names = ['busy', 'level', 'custom', 'ended', 'mixed', 'nan_observed', 'nothing'];
const quantiles = [-1, 0, 0.1, 0.5, 0.9, 0.99, 1, 2];

/** Questions at one time, in seconds. */
const instant: readonly string[] = [
  ...names,
  ...names.map((name) => `${name}[20m]`),
  ...names.flatMap((name) => ['count', 'sum', 'avg'].map((what) => `histogram_${what}(${name})`)),
  ...names.flatMap((name) => quantiles.map((q) => `histogram_quantile(${q}, ${name})`)),
  ...names.flatMap((name) => [
    `histogram_fraction(0, 1, ${name})`,
    `histogram_fraction(-Inf, 0.3, ${name})`,
    `histogram_fraction(-2, +Inf, ${name})`,
    `histogram_fraction(0.05, 0.07, ${name})`,
  ]),
  '{__name__=~"mixed|float"}',
  'count(busy)',
  'count by (host) ({__name__=~"busy|custom|float"})',
  'group(busy)',
  'max({__name__=~"busy|float"})',
  'stddev(busy)',
  'absent(busy)',
  'scalar(busy)',
  'abs(busy)',
  'timestamp(busy)',
  'count_over_time(mixed[20m])',
  'present_over_time(busy[20m])',
  'absent_over_time(busy[20m])',
  'max_over_time(mixed[20m])',
  'max_over_time(busy[20m])',
  'ts_of_last_over_time(mixed[20m])',
  'last_over_time(mixed[4m])',
  'first_over_time(mixed[4m])',
  'last_over_time(busy[4m])',
  ...['rate', 'increase', 'delta'].flatMap((fn) => [
    ...names.map((name) => `${fn}(${name}[20m])`),
    `${fn}(busy[3m])`,
    `${fn}(busy[90s])`,
    `${fn}(rebounded[20m])`,
    `${fn}(refined[20m])`,
  ]),
  ...['sum', 'avg'].flatMap((op) => [
    `${op}(busy)`,
    `${op} by (host) (busy)`,
    `${op}(rate(busy[5m]))`,
    `${op}({__name__=~"busy|level"})`,
    `${op}({__name__=~"busy|custom"})`,
    `${op}({__name__=~"busy|float"})`,
    `${op}(fine)`,
    `${op}(rebounded)`,
  ]),
  '-busy',
  '2 * level',
  'level * 0.3',
  'level / 3',
  'level / 0',
  '1 / level',
  'level + 1',
  'level > 1',
  'level == bool 2',
  '-mixed',
  '{__name__=~"busy|float"} * 2',
  'busy and level',
  'busy and on() level',
  'busy unless level',
  'busy or float',
  'float or busy',
  'label_replace(busy, "zone", "$1", "host", "(.*)")',
  'label_join(level, "both", "-", "__name__", "host")',
  'topk(2, {__name__=~"busy|float"})',
  'bottomk(1, busy)',
  'quantile(0.5, {__name__=~"busy|float"})',
  'limitk(1, busy)',
  'sort({__name__=~"busy|float"})',
  'sort_by_label(busy, "host")',
  'clamp(busy, 0, 1)',
  'minute(busy)',
  'timestamp(-busy)',
  'sum(-busy)',
  'histogram_quantile(0.9, sum(rate(busy[5m])))',
  'histogram_quantile(0.5, rate(custom[5m]))',
  'histogram_fraction(0, 0.5, rate(busy[5m]))',
  'histogram_count(increase(busy[10m]))',
];

/** Questions over eleven minutes, at every half of one. */
const range: readonly string[] = [
  ...names,
  'histogram_count(busy)',
  'histogram_avg(mixed)',
  'histogram_quantile(0.9, busy)',
  'busy @ 300',
  'rate(busy[2m])',
  '-level * 2',
  'busy or level',
  'mixed > 1',
  'increase(mixed[3m])',
  'sum(rate(busy[3m]))',
  'sum({__name__=~"mixed|float"})',
  'last_over_time(mixed[2m])',
];

/** When each of the data is there: a series that ends early is asked early. */
function timeOf(query: string): number {
  return query.includes('ended') ? 90 : /nan_observed|nothing|mixed/.test(query) ? 290 : 690;
}

export interface HistogramCase {
  readonly query: string;
  /** Below `/api/v1/`. */
  readonly path: string;
}

export const histogramCases: readonly HistogramCase[] = [
  ...instant.map((query) => ({
    query,
    path: `query?query=${encodeURIComponent(query)}&time=${timeOf(query)}`,
  })),
  ...range.map((query) => ({
    query: `${query} over time`,
    path: `query_range?query=${encodeURIComponent(query)}&start=0&end=660&step=30`,
  })),
];

interface Envelope {
  readonly data?: { readonly resultType: string; readonly result: unknown };
  readonly warnings?: readonly string[];
  readonly infos?: readonly string[];
}

/**
 * An answer with its series in the order of their labels, which an instant query leaves open, and
 * its annotations in that of their texts.
 */
export function inOrder(answer: Envelope): Envelope {
  const { data, warnings, infos } = answer;
  const rest = {
    ...answer,
    ...(warnings && { warnings: [...warnings].sort() }),
    ...(infos && { infos: [...infos].sort() }),
  };
  if (data?.resultType !== 'vector') {
    return rest;
  }
  const series = [...(data.result as { metric: object }[])];
  const key = (one: { metric: object }): string => JSON.stringify(one.metric);
  series.sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return { ...rest, data: { ...data, result: series } };
}
