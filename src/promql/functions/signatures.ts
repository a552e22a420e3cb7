/**
 * @file The functions of PromQL by name, with their types: what the checker needs to know.
 *
 * Follows Prometheus' `promql/parser/functions.go` (3.14), experimental functions included.
 */
import type { ValueType } from '../ast.js';

export interface Signature {
  readonly args: readonly ValueType[];
  /** How often the last argument may be left out or repeated: 0 never, -1 without bound. */
  readonly variadic: number;
  readonly returns: ValueType;
}

function fn(args: readonly ValueType[], returns: ValueType = 'vector', variadic = 0): Signature {
  return { args, variadic, returns };
}

const vector = fn(['vector']);
const matrix = fn(['matrix']);
const date = fn(['vector'], 'vector', 1);
const constant = fn([], 'scalar');

const table = {
  abs: vector,
  absent: vector,
  absent_over_time: matrix,
  acos: vector,
  acosh: vector,
  asin: vector,
  asinh: vector,
  atan: vector,
  atanh: vector,
  avg_over_time: matrix,
  ceil: vector,
  changes: matrix,
  clamp: fn(['vector', 'scalar', 'scalar']),
  clamp_max: fn(['vector', 'scalar']),
  clamp_min: fn(['vector', 'scalar']),
  cos: vector,
  cosh: vector,
  count_over_time: matrix,
  day_of_month: date,
  day_of_week: date,
  day_of_year: date,
  days_in_month: date,
  deg: vector,
  delta: matrix,
  deriv: matrix,
  double_exponential_smoothing: fn(['matrix', 'scalar', 'scalar']),
  end: constant,
  exp: vector,
  first_over_time: matrix,
  floor: vector,
  histogram_avg: vector,
  histogram_count: vector,
  histogram_fraction: fn(['scalar', 'scalar', 'vector']),
  histogram_quantile: fn(['scalar', 'vector']),
  histogram_sum: vector,
  hour: date,
  idelta: matrix,
  increase: matrix,
  irate: matrix,
  label_join: fn(['vector', 'string', 'string', 'string'], 'vector', -1),
  label_replace: fn(['vector', 'string', 'string', 'string', 'string']),
  last_over_time: matrix,
  ln: vector,
  log10: vector,
  log2: vector,
  mad_over_time: matrix,
  max_of: fn(['scalar', 'scalar'], 'scalar'),
  max_over_time: matrix,
  min_of: fn(['scalar', 'scalar'], 'scalar'),
  min_over_time: matrix,
  minute: date,
  month: date,
  pi: constant,
  predict_linear: fn(['matrix', 'scalar']),
  present_over_time: matrix,
  quantile_over_time: fn(['scalar', 'matrix']),
  rad: vector,
  range: constant,
  rate: matrix,
  resets: matrix,
  round: fn(['vector', 'scalar'], 'vector', 1),
  scalar: fn(['vector'], 'scalar'),
  sgn: vector,
  sin: vector,
  sinh: vector,
  sort: vector,
  sort_by_label: fn(['vector', 'string'], 'vector', -1),
  sort_by_label_desc: fn(['vector', 'string'], 'vector', -1),
  sort_desc: vector,
  sqrt: vector,
  start: constant,
  stddev_over_time: matrix,
  stdvar_over_time: matrix,
  step: constant,
  sum_over_time: matrix,
  tan: vector,
  tanh: vector,
  time: constant,
  timestamp: vector,
  ts_of_first_over_time: matrix,
  ts_of_last_over_time: matrix,
  ts_of_max_over_time: matrix,
  ts_of_min_over_time: matrix,
  vector: fn(['scalar']),
  year: date,
} as const satisfies Record<string, Signature>;

export type FunctionName = keyof typeof table;

const byName: Readonly<Record<string, Signature>> = table;

/** Functions of Prometheus that metricstor does not have yet, so that the error can say so. */
export const unsupportedFunctions: ReadonlySet<string> = new Set([
  'histogram_quantiles',
  'histogram_stddev',
  'histogram_stdvar',
  'info',
  'start_timestamp',
]);

/** All functions that there are. */
export const functionNames: readonly string[] = Object.keys(table);

export function isFunction(name: string): name is FunctionName {
  return Object.hasOwn(table, name);
}

export function signatureOf(name: string): Signature {
  const signature = byName[name];
  if (signature === undefined) {
    throw new RangeError(`no signature for function ${name}`);
  }
  return signature;
}
