/**
 * @file Holds the answer to an `eval`, as the HTTP API gives it, against what the script expects.
 *
 * Stricter than Prometheus' runner in one thing: a warning or info that no line expects is a
 * difference.
 */
import type { ApiEnvelope } from '../../support/compare-results.js';
import { samePoint, sameValue } from '../../support/compare-results.js';
import { type HistogramJson, histogramJson } from '../../support/histogram-json.js';
import { valueText } from '../../support/value-text.js';
import { packHistogram } from './histogram.js';
import type { Evaluation, ExpectedText, ScriptSeries } from './parse.js';
import type { Point } from './points.js';

/** Relative; scripts have the digits that Prometheus printed. */
const tolerance = 1e-9;

type Sample = readonly [number, string | HistogramJson];

/** A series of an answer with its points by time in milliseconds. */
export interface AnsweredSeries {
  readonly metric: Readonly<Record<string, string>>;
  readonly points: ReadonlyMap<number, string | HistogramJson>;
}

interface SeriesJson {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
  readonly histogram?: readonly [number, HistogramJson];
  readonly histograms?: readonly (readonly [number, HistogramJson])[];
}

export interface QueryData {
  readonly resultType: 'scalar' | 'string' | 'vector' | 'matrix';
  readonly result: unknown;
}

/** The series of a vector or matrix, in its order; points in the order of time. */
export function answeredSeries(data: QueryData): AnsweredSeries[] {
  return (data.result as SeriesJson[]).map((series) => {
    const { metric, value, values = [], histogram, histograms = [] } = series;
    const samples: Sample[] = [...values, ...histograms];
    if (value !== undefined) samples.push(value);
    if (histogram !== undefined) samples.push(histogram);
    samples.sort(([a], [b]) => a - b);
    return { metric, points: new Map(samples.map(([t, v]) => [Math.round(t * 1000), v])) };
  });
}

/** The text of an error without what the HTTP API puts before it. */
export function errorText(answer: ApiEnvelope): string {
  return (answer.error ?? '').replace(/^invalid parameter "query": /, '').trim();
}

/** What differs, in words; empty when the answer is the expected one. */
export function compareWithScript(evaluation: Evaluation, answer: ApiEnvelope): string[] {
  const { expected } = evaluation;
  const fails = expected.texts.filter(({ type }) => type === 'fail');
  if (answer.status === 'error') {
    const text = errorText(answer);
    const wanted = fails.length > 0 && fails.every((one) => matches(one, text));
    return wanted ? [] : [`${answer.errorType}: ${text}`];
  }
  if (fails.length > 0) {
    return ['should have failed'];
  }
  return [
    ...compareTexts(expected.texts, 'warn', answer.warnings ?? []),
    ...compareTexts(expected.texts, 'info', answer.infos ?? []),
    ...compareData(evaluation, answer.data as QueryData),
  ];
}

function matches({ match }: ExpectedText, text: string): boolean {
  if (match === undefined) {
    return true;
  }
  return match.how === 'msg' ? text === match.text : new RegExp(match.text).test(text);
}

function compareTexts(
  expected: readonly ExpectedText[],
  type: 'warn' | 'info',
  texts: readonly string[],
): string[] {
  const wanted = expected.filter((one) => one.type === type);
  const missing = wanted.filter((one) => !texts.some((text) => matches(one, text)));
  const extra = texts.filter((text) => !wanted.some((one) => matches(one, text)));
  return [
    ...missing.map(({ match }) => `no ${type} ${match?.text ?? ''}, got ${texts.join('; ')}`),
    ...extra.map((text) => `unexpected ${type}: ${text}`),
  ];
}

function compareData({ expected, range, timeMs }: Evaluation, data: QueryData): string[] {
  if (data.resultType === 'string') {
    const [, text] = data.result as [number, string];
    return text === expected.string ? [] : [`want the string ${expected.string}, got ${text}`];
  }
  if (data.resultType === 'scalar') {
    const [, text] = data.result as [number, string];
    const same = expected.scalar !== undefined && isPoint(expected.scalar, text);
    return same ? [] : [`want the scalar ${expected.scalar}, got ${text}`];
  }
  const got = answeredSeries(data);
  const wanted = expected.series.filter(({ points }) => points.some((one) => one !== undefined));
  const problems: string[] = [];
  if (got.length !== wanted.length) {
    const names = got.map(({ metric }) => keyOf(metric)).join(' ');
    problems.push(`want ${wanted.length} series, got ${got.length}: ${names}`);
  }
  const times = range ?? expected.rangeVector ?? { startMs: timeMs, endMs: timeMs, stepMs: 1 };
  wanted.forEach((series, position) => {
    const key = keyOf(series.labels);
    const at = expected.ordered ? position : got.findIndex(({ metric }) => keyOf(metric) === key);
    const answered = got[at];
    if (answered === undefined || keyOf(answered.metric) !== key) {
      problems.push(`missing at ${position}: ${key}`);
    } else {
      problems.push(...comparePoints(series, answered, times));
    }
  });
  return problems;
}

/** Labels in one order, without empty ones. */
export function keyOf(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).filter(([, value]) => value !== '');
  return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function comparePoints(
  { labels, points }: ScriptSeries,
  answered: AnsweredSeries,
  { startMs, stepMs }: { readonly startMs: number; readonly stepMs: number },
): string[] {
  const key = keyOf(labels);
  const problems: string[] = [];
  points.forEach((point, k) => {
    const value = answered.points.get(startMs + k * stepMs);
    if (!isPoint(point, value)) {
      problems.push(`${key} point ${k}: want ${shown(point)}, got ${JSON.stringify(value)}`);
    }
  });
  const count = points.filter((point) => point !== undefined).length;
  if (answered.points.size !== count) {
    problems.push(`${key}: want ${count} points, got ${answered.points.size}`);
  }
  return problems;
}

function shown(point: Point): string {
  return JSON.stringify(typeof point === 'object' ? histogramJson(packHistogram(point)) : point);
}

function isPoint(want: Point, got: string | HistogramJson | undefined): boolean {
  if (typeof want === 'number') {
    // The sign of zero is not told apart, as in Prometheus' runner.
    const texts = [valueText(want === 0 ? 0 : want), got === '-0' ? '0' : got];
    return typeof texts[1] === 'string' && sameValue(texts[0] as string, texts[1], tolerance);
  }
  if (typeof want === 'object') {
    return typeof got === 'object' && samePoint(histogramJson(packHistogram(want)), got, tolerance);
  }
  return want === got;
}
