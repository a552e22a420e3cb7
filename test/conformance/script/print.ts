/**
 * @file Writes an answer as the lines of a script that expect it, and a script with new answers.
 */
import { customSchema } from '../../../src/model/histogram.js';
import { exponentialBound } from '../../../src/promql/histogram/exponential-bounds.js';
import type { ApiEnvelope } from '../../support/compare-results.js';
import type { BucketJson, HistogramJson } from '../../support/histogram-json.js';
import { type AnsweredSeries, answeredSeries, errorText, type QueryData } from './compare.js';
import { scriptNumber } from './histogram.js';
import type { Evaluation, Times } from './parse.js';

type Value = string | HistogramJson;

/** The text of a script with other expectations below its `eval` lines; comments stay. */
export function withAnswers(
  text: string,
  answers: readonly (readonly [Evaluation, ApiEnvelope])[],
): string {
  const lines = text.split('\n');
  for (const [evaluation, answer] of [...answers].reverse()) {
    const body = lines.splice(evaluation.line, evaluation.bodyLines);
    const comments = body.filter((line) => line.trim().startsWith('#'));
    const expected = printExpected(evaluation, answer).map((line) => `  ${line}`);
    lines.splice(evaluation.line, 0, ...comments, ...expected);
  }
  return lines.join('\n');
}

/** The lines that expect an answer. */
function printExpected(evaluation: Evaluation, answer: ApiEnvelope): string[] {
  if (answer.status === 'error') {
    // Where a script wants no more than a failure, the words are not its own to test.
    if (
      evaluation.expected.texts.some(({ type, match }) => type === 'fail' && match === undefined)
    ) {
      return ['expect fail'];
    }
    return [`expect fail msg: ${errorText(answer)}`];
  }
  const lines = [
    ...[...(answer.warnings ?? [])].sort().map((text) => `expect warn msg: ${text}`),
    ...[...(answer.infos ?? [])].sort().map((text) => `expect info msg: ${text}`),
  ];
  const data = answer.data as QueryData;
  if (data.resultType === 'string') {
    return [...lines, `expect string ${JSON.stringify((data.result as [number, string])[1])}`];
  }
  if (data.resultType === 'scalar') {
    return [...lines, (data.result as [number, string])[1]];
  }
  const series = answeredSeries(data);
  const { expected, range, timeMs } = evaluation;
  let times = range ?? { startMs: timeMs, endMs: timeMs, stepMs: 1 };
  if (expected.ordered) {
    lines.push('expect ordered');
  } else {
    series.sort((a, b) => (labelsText(a.metric) < labelsText(b.metric) ? -1 : 1));
  }
  if (data.resultType === 'matrix' && range === undefined && series.length > 0) {
    times = timesOfSamples(series);
    const [from, to, step] = [times.startMs, times.endMs, times.stepMs].map(timeText);
    lines.push(`expect range vector from ${from} to ${to} step ${step}`);
  }
  return [...lines, ...series.map((one) => `${labelsText(one.metric)} ${pointsText(one, times)}`)];
}

/** The grid on which all samples of a range vector lie. */
function timesOfSamples(series: readonly AnsweredSeries[]): Times {
  const times = series.flatMap(({ points }) => [...points.keys()]);
  const startMs = Math.min(...times);
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  const stepMs = times.reduce((sum, time) => divisor(sum, time - startMs), 0) || 1;
  return { startMs, endMs: Math.max(...times), stepMs };
}

function timeText(ms: number): string {
  for (const [unit, size] of [
    ['m', 60_000],
    ['s', 1000],
  ] as const) {
    if (ms % size === 0) return `${ms / size}${unit}`;
  }
  return `${ms}ms`;
}

function labelsText(metric: Readonly<Record<string, string>>): string {
  const { __name__: name = '', ...labels } = metric;
  const plain = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
  const quoted = (text: string): string => JSON.stringify(text);
  const pairs = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${plain.test(label) ? label : quoted(label)}=${quoted(value)}`);
  if (name !== '' && !plain.test(name)) {
    return `{${[quoted(name), ...pairs].join(', ')}}`;
  }
  return pairs.length === 0 ? name || '{}' : `${name}{${pairs.join(', ')}}`;
}

/** Runs of one point are written once: `5x3` is four of them. */
function pointsText({ points }: AnsweredSeries, { startMs, endMs, stepMs }: Times): string {
  const texts: string[] = [];
  for (let time = startMs; time <= endMs; time += stepMs) {
    const value = points.get(time);
    texts.push(value === undefined ? '_' : valueToken(value));
  }
  const runs: { text: string; count: number }[] = [];
  for (const text of texts) {
    const last = runs[runs.length - 1];
    if (last?.text === text) {
      last.count++;
    } else {
      runs.push({ text, count: 1 });
    }
  }
  return runs
    .flatMap(({ text, count }) => {
      if (count < 3) {
        return new Array<string>(count).fill(text);
      }
      return [`${text}x${text === '_' ? count : count - 1}`];
    })
    .join(' ');
}

function valueToken(value: Value): string {
  return typeof value === 'string' ? value : `{{${histogramProperties(value)}}}`;
}

/** A side of a histogram: the index of its first bucket, and counts without gaps. */
interface Side {
  readonly offset: number;
  readonly counts: readonly string[];
}

function histogramProperties({ count, sum, buckets = [] }: HistogramJson): string {
  const custom = buckets.some(([, lower, upper]) => {
    return lower === '-Inf' || (Number(lower) < 0 && Number(upper) > 0 && lower !== `-${upper}`);
  });
  const zero = buckets.find(([code, lower]) => code === 3 && lower !== '-Inf');
  const positive = buckets.filter(([code]) => code === 0);
  const negative = buckets.filter(([code]) => code === 1);
  const schema = custom ? undefined : schemaOf(positive, negative);
  const parts: string[] = [];
  if (schema === undefined) {
    parts.push(`schema:${customSchema} count:${count} sum:${sum}`, ...customParts(buckets));
    return parts.join(' ');
  }
  parts.push(`schema:${schema} count:${count} sum:${sum}`);
  if (zero !== undefined) {
    parts.push(`z_bucket:${zero[3]} z_bucket_w:${zero[2]}`);
  }
  const sides = [
    ['', sideOf(schema, positive, 2)],
    ['n_', sideOf(schema, negative, 1)],
  ] as const;
  for (const [prefix, { offset, counts }] of sides) {
    if (counts.length > 0) {
      const from = offset === 0 ? '' : ` ${prefix}offset:${offset}`;
      parts.push(`${prefix}buckets:[${counts.join(' ')}]${from}`);
    }
  }
  return parts.join(' ');
}

/** The coarsest exponential schema that has all of these bounds; undefined where none has. */
function schemaOf(
  positive: readonly BucketJson[],
  negative: readonly BucketJson[],
): number | undefined {
  const pairs = [
    ...positive.map(([, lower, upper]) => [Number(lower), Number(upper)]),
    ...negative.map(([, lower, upper]) => [-Number(upper), -Number(lower)]),
  ];
  for (let schema = -4; schema <= 8; schema++) {
    const fits = pairs.every(([lower, upper]) => {
      const index = indexOf(schema, upper);
      const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-12 * Math.abs(b);
      return (
        near(exponentialBound(schema, index), upper) &&
        near(exponentialBound(schema, index - 1), lower)
      );
    });
    if (fits) return schema;
  }
  return undefined;
}

function indexOf(schema: number, upper: number): number {
  return Math.round(Math.log2(upper) * 2 ** schema);
}

/** `bound` is the place in a bucket of the bound away from zero. */
function sideOf(schema: number, buckets: readonly BucketJson[], bound: 1 | 2): Side {
  const counts = new Map(
    buckets.map((bucket) => [indexOf(schema, Math.abs(Number(bucket[bound]))), bucket[3]]),
  );
  const indexes = [...counts.keys()];
  const [first, last] = [Math.min(...indexes), Math.max(...indexes)];
  const length = indexes.length === 0 ? 0 : last - first + 1;
  return {
    offset: first,
    counts: Array.from({ length }, (_, i) => counts.get(first + i) ?? '0'),
  };
}

/** Bounds that answers do not show are left out; what lies between is one empty bucket. */
function customParts(buckets: readonly BucketJson[]): string[] {
  const bounds = new Set(buckets.flatMap(([, lower, upper]) => [lower, upper]).map(scriptNumber));
  const finite = [...bounds].filter(Number.isFinite).sort((a, b) => a - b);
  const uppers = [...finite, Infinity];
  const counts = uppers.map(
    (upper) => buckets.find(([, , to]) => scriptNumber(to) === upper)?.[3] ?? '0',
  );
  return [`custom_values:[${finite.join(' ')}] buckets:[${counts.join(' ')}]`];
}
