/** @file The words that random expressions are made of. */

export interface Metric {
  readonly name: string;
  readonly labels: readonly string[];
  /** Some values of each label, for matchers. */
  readonly values: Readonly<Record<string, readonly string[]>>;
}

const job = ['api', 'db', 'web'];
const instance = ['a:1', 'b:1', 'c:1'];

function metric(name: string, values: Readonly<Record<string, readonly string[]>>): Metric {
  return { name, labels: Object.keys(values), values };
}

export const floatMetrics: readonly Metric[] = [
  metric('reqs_total', { job, instance, code: ['200', '500'] }),
  metric('reqs_total', { job, instance, code: ['200', '500'] }),
  metric('cpu_seconds_total', { job, instance }),
  metric('level', { job, instance }),
  metric('level', { job, instance }),
  metric('up', { job, instance }),
  metric('odd', { kind: ['nan', 'inf', 'any'], job }),
  metric('left', { id: ['1', '2', '3', '4'], zone: ['x', 'y', ''] }),
  metric('right', { id: ['1', '2', '3', '4'], zone: ['x', 'y', ''], owner: ['ann', 'bob'] }),
  metric('{"http.server.duration"}', {}),
  metric('target_info', { job, instance, version: ['1.0', '2.0'] }),
  metric('lat_bucket', { job, le: ['0.1', '1', '+Inf'] }),
  metric('lat_count', { job }),
  metric('nosuch', { job }),
];

export const histogramMetrics: readonly Metric[] = [
  metric('nh', { job, instance }),
  metric('nhg', { job }),
  metric('nhcb', { job, instance }),
  metric('mixed', { job }),
];

/** Selectors that find several metrics. */
export const wideSelectors: readonly string[] = [
  '{__name__=~"left|right"}',
  '{__name__=~"n.*",job="api"}',
  '{__name__=~"nh|level",instance="a:1"}',
  '{__name__=~"nh|nhcb"}',
  '{__name__=~"nhg|mixed|lat_sum"}',
  '{job="db",__name__!~"lat.*|nh.*"}',
  '{"http.server.duration","service.name"=~".*n.*"}',
];

export const rangeFunctions: readonly string[] = [
  ...['rate', 'rate', 'increase', 'increase', 'irate', 'delta', 'idelta', 'deriv'],
  ...['changes', 'resets', 'last_over_time', 'first_over_time', 'present_over_time'],
  ...['sum_over_time', 'avg_over_time', 'min_over_time', 'max_over_time', 'count_over_time'],
  ...['stddev_over_time', 'stdvar_over_time', 'mad_over_time', 'absent_over_time'],
  ...['ts_of_first_over_time', 'ts_of_last_over_time', 'ts_of_min_over_time'],
  'ts_of_max_over_time',
];

export const vectorFunctions: readonly string[] = [
  ...['abs', 'ceil', 'floor', 'round', 'sqrt', 'exp', 'sgn', 'deg', 'rad', 'ln', 'log2', 'log10'],
  ...['sin', 'cos', 'tan', 'asin', 'acos', 'atan', 'sinh', 'cosh', 'tanh', 'asinh', 'acosh'],
  ...['atanh', 'timestamp', 'absent', 'hour', 'minute', 'month', 'year', 'day_of_week'],
  ...['day_of_month', 'day_of_year', 'days_in_month', 'sort', 'sort_desc', 'start_timestamp'],
];

export const histogramFunctions: readonly string[] = [
  ...['histogram_count', 'histogram_sum', 'histogram_avg', 'histogram_stddev'],
  'histogram_stdvar',
];

export const aggregations: readonly string[] = [
  ...['sum', 'sum', 'avg', 'min', 'max', 'count', 'group', 'stddev', 'stdvar'],
];

export const arithmetic: readonly string[] = ['+', '-', '*', '/', '%', '^', 'atan2'];
export const comparisons: readonly string[] = ['==', '!=', '>', '<', '>=', '<='];
export const setOperators: readonly string[] = ['and', 'or', 'unless'];
export const trims: readonly string[] = ['</', '>/'];

export const ranges: readonly string[] = [
  ...['20s', '45s', '1m', '90s', '2m', '5m', '7m13s', '10m', '20m', '45m'],
];
/** Ranges that are reckoned. */
export const rangeExpressions: readonly string[] = [
  ...['1m + 30s', '2 * 60', 'max_of(step(), 1m)', 'min_of(range(), 10m) + 1m', '(5m - 1m) / 2'],
  ...['step() * 2', '5m % 3m', '600'],
];
export const shifts: readonly string[] = [
  ...['', '', '', '', '', ' offset 1m', ' offset 17m', ' offset -5m', ' offset (1m + 30s)'],
  ...[' offset -step()', ' @ start()', ' @ end()', ' @ 1700003000.5', ' @ 1700001800 offset 3m'],
  ' offset -90 @ end()',
];
export const scalarLiterals: readonly string[] = [
  ...['0', '1', '2.5', '-3', '1e3', 'NaN', 'Inf', '-Inf', '0.1', '60', '0x10', '5m', '1e-3'],
  ...['time()', 'pi()', 'start()', 'end()', 'step()', 'range()'],
];
