/**
 * @file Compares an answer of the HTTP API with the one that Prometheus gave.
 *
 * Both are the parsed JSON envelope, so that the evaluator in memory, the server over HTTP and a
 * live Prometheus are held to one rule: the same series, the same timestamps, values within 1e-9
 * relative (by sign at zero, by name at NaN and the infinities), histograms bucket by bucket, the
 * same error type.
 */
import { isDeepStrictEqual } from 'node:util';
import type { HistogramJson } from './histogram-json.js';

/** The JSON envelope of Prometheus' HTTP API. */
export interface ApiEnvelope {
  readonly status: 'success' | 'error';
  readonly data?: unknown;
  readonly errorType?: string;
  readonly error?: string;
  readonly warnings?: readonly string[];
  readonly infos?: readonly string[];
}

/** Which part of two answers differs; `error` is the wording of an error of the right type. */
export type Aspect = 'status' | 'error' | 'shape' | 'series' | 'order' | 'value' | 'annotations';

export interface Difference {
  readonly aspect: Aspect;
  /** What was wanted and what was got. */
  readonly message: string;
}

export interface CompareOptions {
  /** Whether the order of an instant vector counts; a matrix is always sorted by labels. */
  readonly ordered?: boolean;
  /** Relative; default 1e-9. */
  readonly tolerance?: number;
}

type Point = readonly [number, string | HistogramJson];

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: Point;
  readonly values?: readonly Point[];
  readonly histogram?: Point;
  readonly histograms?: readonly Point[];
}

interface QueryData {
  readonly resultType: string;
  readonly result: unknown;
}

const defaultTolerance = 1e-9;
/** Differences listed per answer before the rest is only counted. */
const differencesMax = 5;

/** Every difference, the first few in words; an empty list means that the answers agree. */
export function compareAnswers(
  want: ApiEnvelope,
  got: ApiEnvelope,
  options: CompareOptions = {},
): Difference[] {
  if (want.status !== got.status || want.errorType !== got.errorType) {
    const message = `want ${describe(want)}, got ${describe(got)}`;
    return [{ aspect: 'status', message }];
  }
  if (want.status === 'error') {
    return want.error === got.error
      ? []
      : [{ aspect: 'error', message: `want "${want.error}", got "${got.error}"` }];
  }
  const differences = compareData(want.data, got.data, options);
  for (const kind of ['warnings', 'infos'] as const) {
    const wanted = [...(want[kind] ?? [])].sort();
    const given = [...(got[kind] ?? [])].sort();
    if (!isDeepStrictEqual(wanted, given)) {
      const message = `${kind}: want ${JSON.stringify(wanted)}, got ${JSON.stringify(given)}`;
      differences.push({ aspect: 'annotations', message });
    }
  }
  return capped(differences);
}

function describe(answer: ApiEnvelope): string {
  return answer.status === 'success' ? 'success' : `${answer.errorType}: ${answer.error}`;
}

function capped(differences: Difference[]): Difference[] {
  const more = differences.length - differencesMax;
  if (more <= 0) {
    return differences;
  }
  const last = differences[differencesMax - 1];
  const message = `${last.message}; and ${more} more`;
  return [...differences.slice(0, differencesMax - 1), { aspect: last.aspect, message }];
}

function isQueryData(data: unknown): data is QueryData {
  return typeof data === 'object' && data !== null && 'resultType' in data;
}

function compareData(want: unknown, got: unknown, options: CompareOptions): Difference[] {
  if (!isQueryData(want) || !isQueryData(got)) {
    return isDeepStrictEqual(want, got)
      ? []
      : [{ aspect: 'shape', message: `want ${shorten(want)}, got ${shorten(got)}` }];
  }
  if (want.resultType !== got.resultType) {
    const message = `want a ${want.resultType}, got a ${got.resultType}`;
    return [{ aspect: 'shape', message }];
  }
  const tolerance = options.tolerance ?? defaultTolerance;
  if (want.resultType === 'scalar' || want.resultType === 'string') {
    return comparePoints('', [want.result as Point], [got.result as Point], tolerance);
  }
  const inOrder = want.resultType === 'matrix' || options.ordered === true;
  return compareSeries(want.result as Series[], got.result as Series[], inOrder, tolerance);
}

function compareSeries(
  want: readonly Series[],
  got: readonly Series[],
  inOrder: boolean,
  tolerance: number,
): Difference[] {
  const wanted = bySeriesKey(want);
  const given = bySeriesKey(got);
  const differences: Difference[] = [];
  for (const key of wanted.keys()) {
    if (!given.has(key)) {
      differences.push({ aspect: 'series', message: `missing ${key}` });
    }
  }
  for (const key of given.keys()) {
    if (!wanted.has(key)) {
      differences.push({ aspect: 'series', message: `unexpected ${key}` });
    }
  }
  if (wanted.size !== want.length || given.size !== got.length) {
    differences.push({ aspect: 'series', message: 'a label set occurs twice' });
  }
  const keys = [...wanted.keys()];
  if (inOrder && differences.length === 0 && !isDeepStrictEqual(keys, [...given.keys()])) {
    const message = `want ${shorten(keys)}, got ${shorten([...given.keys()])}`;
    differences.push({ aspect: 'order', message });
  }
  for (const [key, series] of wanted) {
    const other = given.get(key);
    if (other !== undefined) {
      differences.push(...comparePoints(key, pointsOf(series), pointsOf(other), tolerance));
    }
  }
  return differences;
}

function bySeriesKey(list: readonly Series[]): Map<string, Series> {
  return new Map(list.map((series) => [seriesKey(series.metric), series]));
}

function seriesKey(metric: Readonly<Record<string, string>>): string {
  const names = Object.keys(metric).sort();
  return `{${names.map((name) => `${name}=${JSON.stringify(metric[name])}`).join(', ')}}`;
}

/** Floats, then histograms: an answer has them apart. */
function pointsOf({ value, values = [], histogram, histograms = [] }: Series): readonly Point[] {
  const single = [value, histogram].filter((point) => point !== undefined);
  return [...single, ...values, ...histograms];
}

/** At most one difference a series: times first, then the first value. */
function comparePoints(
  key: string,
  want: readonly Point[],
  got: readonly Point[],
  tolerance: number,
): Difference[] {
  const wantTimes = want.map(([time]) => time);
  const gotTimes = got.map(([time]) => time);
  if (!isDeepStrictEqual(wantTimes, gotTimes)) {
    const extra = gotTimes.filter((time) => !wantTimes.includes(time));
    const missing = wantTimes.filter((time) => !gotTimes.includes(time));
    const message = `${key}: times missing ${shorten(missing)}, unexpected ${shorten(extra)}`;
    return [{ aspect: 'value', message }];
  }
  const at = want.findIndex(([, one], i) => !samePoint(one, got[i][1], tolerance));
  if (at < 0) {
    return [];
  }
  const [wanted, given] = [want[at][1], got[at][1]].map((one) =>
    typeof one === 'string' ? one : JSON.stringify(one),
  );
  const message = `${key} at ${want[at][0]}: want ${wanted}, got ${given}`;
  return [{ aspect: 'value', message }];
}

/** Whether two floats or histograms of an answer are one within the tolerance. */
export function samePoint(
  want: string | HistogramJson,
  got: string | HistogramJson,
  tolerance: number,
): boolean {
  if (typeof want === 'string' || typeof got === 'string') {
    return typeof want === 'string' && typeof got === 'string' && sameValue(want, got, tolerance);
  }
  const numbers = ({ count, sum, buckets = [] }: HistogramJson): string[] => [
    count,
    sum,
    ...buckets.flatMap(([code, ...rest]) => [String(code), ...rest]),
  ];
  const [wanted, given] = [numbers(want), numbers(got)];
  return (
    wanted.length === given.length &&
    wanted.every((text, i) => sameValue(text, given[i], tolerance))
  );
}

/** Whether two printed values are one within the tolerance; anything not finite must be equal. */
export function sameValue(want: string, got: string, tolerance: number): boolean {
  if (want === got) {
    return true;
  }
  const wanted = Number(want);
  const given = Number(got);
  if (!Number.isFinite(wanted) || !Number.isFinite(given) || wanted === 0 || given === 0) {
    return false;
  }
  // Differences of values near the largest double would overflow: halve both.
  const distance = Math.abs(wanted / 2 - given / 2) * 2;
  return distance <= tolerance * Math.max(Math.abs(wanted), Math.abs(given));
}

function shorten(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= 300 ? text : `${text.slice(0, 300)}…`;
}
