/**
 * @file What `promql.ts` asks: every family of functions and operators of PromQL.
 *
 * Beside most queries stands what they are made of, so that the cost of the operator itself is the
 * difference of the two.
 */

export interface Case {
  readonly family: string;
  readonly query: string;
  /** A query that does all of this one but the operator that is meant. */
  readonly input?: string;
  /** Asked at one time instead of many: what has no meaning, or little, over a range. */
  readonly instant?: boolean;
}

const gauge = 'temperature';
const counter = 'requests_total';
const buckets = 'latency_seconds_bucket';
const native = 'latency_seconds';
const rate = `rate(${counter}[5m])`;
const bucketRate = `rate(${buckets}[5m])`;
const nativeRate = `rate(${native}[5m])`;

function family(name: string, input: string | undefined, queries: readonly string[]): Case[] {
  return queries.map((query) => ({ family: name, query, ...(input && { input }) }));
}

function windows(name: string, calls: readonly string[]): Case[] {
  return calls.map((query) => ({ family: name, query }));
}

/** All of them; an input is a case before the cases that name it. */
export const cases: readonly Case[] = [
  ...family('selector', undefined, [
    gauge,
    counter,
    `${gauge} offset 1h`,
    `${gauge} @ 43200`,
    `${gauge}{job=~"job-[0-3]"}`,
    `timestamp(${gauge})`,
    buckets,
    native,
  ]),
  ...windows('rate', [
    rate,
    `rate(${counter}[1h])`,
    `increase(${counter}[5m])`,
    `delta(${gauge}[5m])`,
    `irate(${counter}[5m])`,
    `idelta(${gauge}[5m])`,
    `changes(${gauge}[5m])`,
    `resets(${counter}[5m])`,
    `deriv(${gauge}[5m])`,
    `predict_linear(${gauge}[5m], 3600)`,
    `rate(${counter}[5m] smoothed)`,
    `rate(${counter}[5m] anchored)`,
    `${counter} smoothed`,
    bucketRate,
    nativeRate,
  ]),
  ...windows('over time', [
    ...['avg', 'sum', 'count', 'min', 'max', 'last', 'first', 'present', 'stddev', 'mad'].map(
      (name) => `${name}_over_time(${gauge}[5m])`,
    ),
    `avg_over_time(${counter}[5m])`,
    `max_over_time(${gauge}[1h])`,
    `ts_of_max_over_time(${gauge}[5m])`,
    `quantile_over_time(0.9, ${gauge}[5m])`,
    `double_exponential_smoothing(${gauge}[5m], 0.5, 0.5)`,
    `sum_over_time(${native}[5m])`,
  ]),
  ...family('aggregation', gauge, [
    ...['sum', 'avg', 'count', 'group', 'min', 'max', 'stddev'].map(
      (op) => `${op} by (job) (${gauge})`,
    ),
    `sum(${gauge})`,
    `sum without (instance) (${gauge})`,
    `quantile by (job) (0.9, ${gauge})`,
    `count_values by (job) ("value", round(${gauge}, 10))`,
    `topk(5, ${gauge})`,
    `topk by (job) (5, ${gauge})`,
    `bottomk(5, ${gauge})`,
    `limitk(5, ${gauge})`,
    `limit_ratio(0.5, ${gauge})`,
  ]),
  ...family('aggregation', rate, [`sum by (job) (${rate})`]),
  ...family('aggregation', native, [`sum by (job) (${native})`]),
  ...family('binary', gauge, [
    `-${gauge}`,
    `${gauge} * 2`,
    `${gauge} ^ 2`,
    `${gauge} % 7`,
    `${gauge} > 50`,
    `${gauge} > bool 50`,
    `${gauge} + ${gauge}`,
  ]),
  ...family('binary', `${counter} or ${gauge}`, [
    `${counter} + on (job, instance) ${gauge}`,
    `${counter} > ignoring (host) ${gauge}`,
    `${counter} * on (instance) group_left (version) target_info`,
    `${counter} + on (instance) fill_right(0) target_info`,
  ]),
  ...family('set', gauge, [
    `${gauge} and ${gauge}`,
    `${counter} or ${gauge}`,
    `${counter} and on (instance) ${gauge}`,
    `${counter} unless on (instance) target_info`,
  ]),
  ...family('histogram', bucketRate, [
    `histogram_quantile(0.9, ${bucketRate})`,
    `histogram_fraction(0, 0.1, ${bucketRate})`,
    `histogram_quantiles(${bucketRate}, "q", 0.5, 0.9, 0.99)`,
    `sum by (le, job) (${bucketRate})`,
    `histogram_quantile(0.9, sum by (le, job) (${bucketRate}))`,
  ]),
  ...family('histogram', nativeRate, [
    `histogram_quantile(0.9, ${nativeRate})`,
    `histogram_fraction(0, 0.1, ${nativeRate})`,
    `histogram_avg(${nativeRate})`,
    `histogram_stddev(${nativeRate})`,
    `${nativeRate} * 2`,
    `sum by (job) (${nativeRate})`,
    `histogram_quantile(0.9, sum by (job) (${nativeRate}))`,
  ]),
  ...family('subquery', rate, [
    `max_over_time(${rate}[30m:1m])`,
    `avg_over_time(${gauge}[1h:5m])`,
    `quantile_over_time(0.9, ${rate}[30m:])`,
    `max_over_time(sum by (job) (${rate})[30m:1m])`,
  ]),
  ...family('label', gauge, [
    `label_replace(${gauge}, "port", "$1", "instance", ".*:(.*)")`,
    `label_join(${gauge}, "both", "-", "job", "instance")`,
    `info(${gauge})`,
  ]),
  ...family('math', gauge, [
    ...['abs', 'ceil', 'sgn', 'sqrt', 'exp', 'ln', 'log2', 'sin', 'tanh', 'deg'].map(
      (name) => `${name}(${gauge})`,
    ),
    `round(${gauge})`,
    `round(${gauge}, 0.1)`,
    `clamp(${gauge}, 20, 80)`,
    `clamp_max(${gauge}, 80)`,
    `hour(${gauge})`,
    `month(${gauge})`,
    `day_of_week(${gauge})`,
  ]),
  ...family('absent and scalar', gauge, [
    `absent(${gauge})`,
    `absent(${gauge} > 1000)`,
    `absent_over_time(${gauge}[5m])`,
    `vector(scalar(sum(${gauge})))`,
    `${gauge} * scalar(sum(${gauge}))`,
    `${gauge} * time()`,
  ]),
  ...[
    `sort(${gauge})`,
    `sort_desc(${gauge})`,
    `sort_by_label(${gauge}, "instance")`,
    gauge,
    rate,
    `sum by (job) (${rate})`,
    `topk(5, ${gauge})`,
    `histogram_quantile(0.9, sum by (le) (${bucketRate}))`,
    `count(${gauge})`,
  ].map((query) => ({ family: 'at one time', query, instant: true })),
];
