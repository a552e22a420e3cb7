/**
 * @file Runs scripts in Prometheus' test language for PromQL: `load`, `clear`, `eval`, `expect`.
 *
 * The language is described in Prometheus' `promql/promqltest/README.md` (3.14). Floats only:
 * native histograms are skipped until metricstor has them.
 */
import { MetricstorError } from '../../src/errors.js';
import { parseDuration } from '../../src/model/duration.js';
import { defaultFeatures, promqlFeatures } from '../../src/model/promql-features.js';
import type { QueryResult } from '../../src/model/result.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { parseSelector } from '../../src/promql/parse.js';
import { MemoryQuerier, type MemorySession, staleMarker } from '../support/memory-querier.js';

export interface ScriptOptions {
  readonly delayedNames?: boolean;
}

/** One `eval` of a script that did not give what it should. */
export interface ScriptFailure {
  readonly line: number;
  readonly query: string;
  readonly problems: readonly string[];
}

type Point = number | undefined | 'stale';

interface Expected {
  readonly labels: string;
  readonly points: readonly Point[];
}

interface Expectation {
  readonly type: string;
  readonly match: 'any' | 'msg' | 'regex';
  readonly text: string;
}

interface Evaluation {
  readonly line: number;
  readonly query: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
  readonly instant: boolean;
  readonly series: Expected[];
  readonly expectations: Expectation[];
  scalar: number | undefined;
  /** Set when the evaluation uses what is not supported here. */
  skip: boolean;
}

/** Runs a script and returns the evaluations that failed. */
export function runScript(text: string, options: ScriptOptions = {}): ScriptFailure[] {
  return new ScriptRunner(options).run(text);
}

/** `5m`, `1h30m`, `-1m` or a number of seconds. */
function timeOf(text: string): number {
  const negative = text.startsWith('-');
  const body = negative ? text.slice(1) : text;
  const ms = parseDuration(body) ?? Number(body) * 1000;
  if (Number.isNaN(ms)) {
    throw new RangeError(`not a time: ${text}`);
  }
  return negative ? -ms : ms;
}

function labelsOf(text: string): Record<string, string> {
  if (text === '' || text === '{}') {
    return {};
  }
  // Empty values are allowed here, so the check of selectors is passed by a label of our own.
  const withBrace = text.includes('{') ? text.replace(/,?\s*\}$/, '') : `${text}{`;
  const comma = withBrace.endsWith('{') ? '' : ',';
  const matchers = parseSelector(`${withBrace}${comma}_="x"}`);
  const pairs = matchers.filter(({ name }) => name !== '_');
  return Object.fromEntries(pairs.map(({ name, value }) => [name, value]));
}

function labelKey(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).filter(([, value]) => value !== '');
  return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function numberOf(text: string): number {
  const special = /^([+-]?)(inf|nan)$/i.exec(text);
  if (special === null) {
    const value = Number(text);
    if (Number.isNaN(value)) {
      throw new RangeError(`not a number: ${text}`);
    }
    return value;
  }
  const value = special[2].toLowerCase() === 'nan' ? NaN : Infinity;
  return special[1] === '-' ? -value : value;
}

const numberText = '(?:[0-9.]+(?:e[+-]?\\d+)?|inf|nan)';
const pointPattern = new RegExp(`^([+-]?${numberText})(?:([+-]${numberText})?x(\\d+))?$`, 'i');

/** `1 2+3x4 _x2 stale`: undefined for no point. */
function pointsOf(text: string): Point[] {
  const points: Point[] = [];
  for (const token of text.trim().split(/\s+/)) {
    if (token === '') {
      continue;
    }
    if (token === 'stale') {
      points.push('stale');
      continue;
    }
    const blank = /^_(?:x(\d+))?$/.exec(token);
    if (blank !== null) {
      points.push(...new Array<undefined>(Number(blank[1] ?? 1)).fill(undefined));
      continue;
    }
    const series = pointPattern.exec(token);
    if (series === null) {
      throw new RangeError(`not a point: ${token}`);
    }
    let value = numberOf(series[1]);
    points.push(value);
    for (let i = 0; i < Number(series[3] ?? 0); i++) {
      value += series[2] === undefined ? 0 : numberOf(series[2]);
      points.push(value);
    }
  }
  return points;
}

/** A series line: selector, then points. */
function splitSeries(line: string): [string, string] {
  const match = /^([^\s{]*(?:\{(?:[^"'}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*\})?)\s*(.*)$/.exec(
    line,
  );
  return [match?.[1] ?? '', match?.[2] ?? ''];
}

class ScriptRunner {
  private querier = new MemoryQuerier();
  private columns = new Map<string, { times: number[]; values: Point[] }>();
  private readonly engine: PromqlEngine;
  private readonly failures: ScriptFailure[] = [];

  constructor(options: ScriptOptions) {
    this.engine = new PromqlEngine({
      lookbackMs: 300_000,
      subqueryStepMs: 60_000,
      limits: { maxSamples: 10_000_000, maxBytes: 2 ** 30, maxPoints: 10_000_000 },
      features: options.delayedNames ? promqlFeatures : defaultFeatures,
    });
  }

  run(text: string): ScriptFailure[] {
    const lines = text.split('\n');
    for (let i = 0; i < lines.length; ) {
      const line = lines[i].trim();
      const head = i + 1;
      i++;
      if (line === '' || line.startsWith('#')) {
        continue;
      }
      const body: string[] = [];
      while (i < lines.length && lines[i].trim() !== '') {
        if (/^(?:eval|load|clear)\b/.test(lines[i].trim())) {
          break;
        }
        if (!lines[i].trim().startsWith('#')) {
          body.push(lines[i].trim());
        }
        i++;
      }
      this.command(line, body, head);
    }
    return this.failures;
  }

  private command(line: string, body: readonly string[], head: number): void {
    if (line === 'clear') {
      this.columns.clear();
    } else if (line.startsWith('load')) {
      this.load(timeOf(line.split(/\s+/)[1]), body);
    } else if (line.startsWith('eval')) {
      const evaluation = parseEvaluation(line, body, head);
      if (!evaluation.skip) {
        this.evaluate(evaluation);
      }
    } else {
      throw new RangeError(`line ${head}: unknown command ${line}`);
    }
  }

  private load(stepMs: number, body: readonly string[]): void {
    for (const line of body) {
      if (line.includes('{{')) {
        continue;
      }
      const [selector, points] = splitSeries(line);
      const key = labelKey(labelsOf(selector));
      const column = this.columns.get(key) ?? { times: [], values: [] };
      this.columns.set(key, column);
      pointsOf(points).forEach((point, k) => {
        if (point !== undefined) {
          column.times.push(k * stepMs);
          column.values.push(point);
        }
      });
    }
    this.querier = new MemoryQuerier();
    for (const [key, { times, values }] of this.columns) {
      const column = Float64Array.from(values, (value) => (typeof value === 'number' ? value : 0));
      values.forEach((value, k) => {
        if (value === 'stale') {
          column.set(staleMarker, k);
        }
      });
      const labels = Object.fromEntries(JSON.parse(key) as [string, string][]);
      this.querier.addColumns(labels, Float64Array.from(times), column);
    }
  }

  private evaluate(evaluation: Evaluation): void {
    const { query, startMs, endMs, stepMs } = evaluation;
    if (this.columns.size === 0) {
      this.querier = new MemoryQuerier();
    }
    const session = this.querier.openSession();
    const deadlineMs = Date.now() + 20_000;
    const problems: string[] = [];
    try {
      const outcome = evaluation.instant
        ? this.engine.instant(session, { query, timeMs: startMs, deadlineMs })
        : this.engine.range(session, { query, startMs, endMs, stepMs, deadlineMs });
      if (evaluation.expectations.some(({ type }) => type === 'fail')) {
        problems.push('should have failed');
      } else {
        problems.push(...compareResult(evaluation, session, outcome.result));
      }
      problems.push(...compareTexts(evaluation, 'warn', outcome.annotations.warnings));
      problems.push(...compareTexts(evaluation, 'info', outcome.annotations.infos));
    } catch (error) {
      if (!(error instanceof MetricstorError)) {
        throw error;
      }
      const fails = evaluation.expectations.filter(({ type }) => type === 'fail');
      if (fails.length === 0 || !fails.every((one) => matchesText(one, error.message))) {
        problems.push(`${error.code}: ${error.message}`);
      }
    }
    if (problems.length > 0) {
      this.failures.push({ line: evaluation.line, query, problems });
    }
  }
}

function parseEvaluation(line: string, body: readonly string[], head: number): Evaluation {
  const legacy = /^eval(?:_(fail|warn|ordered|info))?\s/.exec(line)?.[1];
  const rest = line.replace(/^eval(_\w+)?\s+/, '');
  const instant = /^instant\s+(?:at\s+(\S+)\s+)?(.*)$/.exec(rest);
  const range = /^range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.*)$/.exec(rest);
  const expectations: Expectation[] = [];
  if (legacy !== undefined) {
    expectations.push({ type: legacy, match: 'any', text: '' });
  }
  const base = { line: head, series: [], expectations, scalar: undefined, skip: false };
  let evaluation: Evaluation;
  if (instant !== null) {
    const timeMs = timeOf(instant[1] ?? '0');
    const times = { startMs: timeMs, endMs: timeMs, stepMs: 1, instant: true };
    evaluation = { ...base, query: instant[2], ...times };
  } else if (range !== null) {
    const [startMs, endMs, stepMs] = range.slice(1, 4).map(timeOf);
    evaluation = { ...base, query: range[4], startMs, endMs, stepMs, instant: false };
  } else {
    throw new RangeError(`line ${head}: ${line}`);
  }
  for (const text of body) {
    parseExpected(evaluation, text);
  }
  return evaluation;
}

function parseExpected(evaluation: Evaluation, line: string): void {
  const expect =
    /^expect\s+(fail|info|warn|no_info|no_warn|ordered|string|range vector)\b\s*(.*)$/.exec(line);
  const legacy = /^expected_fail_(message|regexp)\s+(.*)$/.exec(line);
  if (expect !== null) {
    const [, type, rest] = expect;
    const detail = /^(msg|regex):\s*(.*)$/.exec(rest);
    evaluation.skip ||= type === 'range vector';
    const match = (detail?.[1] ?? 'any') as Expectation['match'];
    const text = (detail?.[2] ?? rest).replace(/^"(.*)"$/, '$1');
    evaluation.expectations.push({ type, match, text });
  } else if (legacy !== null) {
    const match = legacy[1] === 'message' ? 'msg' : 'regex';
    evaluation.expectations.push({ type: 'fail', match, text: legacy[2] });
  } else if (line.includes('{{')) {
    evaluation.skip = true;
  } else if (/^[+-]?(?:[0-9.]+(?:e[+-]?\d+)?|inf|nan)$/i.test(line)) {
    evaluation.scalar = numberOf(line);
  } else {
    const [selector, points] = splitSeries(line);
    evaluation.series.push({ labels: labelKey(labelsOf(selector)), points: pointsOf(points) });
  }
}

function matchesText(expectation: Expectation, text: string): boolean {
  switch (expectation.match) {
    case 'any':
      return true;
    case 'msg':
      return text.includes(expectation.text);
    case 'regex':
      return new RegExp(expectation.text).test(text);
  }
}

function compareTexts(
  evaluation: Evaluation,
  type: 'warn' | 'info',
  texts: readonly string[],
): string[] {
  const wanted = evaluation.expectations.filter((one) => one.type === type);
  if (evaluation.expectations.some((one) => one.type === `no_${type}`) && texts.length > 0) {
    return [`unexpected ${type}: ${texts.join('; ')}`];
  }
  const missing = wanted.filter((one) => !texts.some((text) => matchesText(one, text)));
  const extra = texts.filter((text) => !wanted.some((one) => matchesText(one, text)));
  const problems = missing.map((one) => `no ${type} like ${one.text}, got ${texts.join('; ')}`);
  if (wanted.length > 0) {
    problems.push(...extra.map((text) => `unexpected ${type}: ${text}`));
  }
  return problems;
}

/** Within 1e-6 relative, as Prometheus' own runner; signs of zero do not count. */
function almostEqual(a: number, b: number): boolean {
  if (a === b || (Number.isNaN(a) && Number.isNaN(b))) {
    return true;
  }
  return Math.abs(a - b) / (Math.abs(a) + Math.abs(b)) < 1e-6;
}

function compareResult(
  evaluation: Evaluation,
  session: MemorySession,
  result: QueryResult,
): string[] {
  if (result.type === 'string') {
    const wanted = evaluation.expectations.find(({ type }) => type === 'string');
    const text = wanted?.text.replace(/^[`"](.*)[`"]$/s, '$1');
    return text === result.value ? [] : [`got the string ${JSON.stringify(result.value)}`];
  }
  if (result.type === 'scalar') {
    const [value] = result.values;
    const wanted = evaluation.scalar ?? NaN;
    return almostEqual(wanted, value) ? [] : [`want ${wanted}, got ${value}`];
  }
  const got: { labels: string; points: Map<number, number> }[] = [];
  for (let i = 0; i < result.labels.count; i++) {
    const labels = labelKey(Object.fromEntries(session.pairs(result.labels, i)));
    const points = new Map<number, number>();
    const [from, to] =
      result.type === 'vector' ? [i, i + 1] : [result.offsets[i], result.offsets[i + 1]];
    for (let at = from; at < to; at++) {
      points.set(result.timestamps[at], result.values[at]);
    }
    got.push({ labels, points });
  }
  const problems: string[] = [];
  const ordered = evaluation.expectations.some(({ type }) => type === 'ordered');
  const wanted = evaluation.series.filter(({ points }) => points.some((p) => p !== undefined));
  if (got.length !== wanted.length) {
    problems.push(`want ${wanted.length} series, got ${got.map((s) => s.labels).join(' ')}`);
  }
  wanted.forEach(({ labels, points }, position) => {
    const at = ordered ? position : got.findIndex((series) => series.labels === labels);
    const series = got[at];
    if (series?.labels !== labels) {
      problems.push(`missing at ${position}: ${labels}`);
      return;
    }
    points.forEach((point, k) => {
      const value = series.points.get(evaluation.startMs + k * evaluation.stepMs);
      const same =
        typeof point === 'number' && value !== undefined
          ? almostEqual(point, value)
          : point === value;
      if (!same) {
        problems.push(`${labels} point ${k}: want ${point}, got ${value}`);
      }
    });
    const count = points.filter((point) => point !== undefined).length;
    if (series.points.size !== count) {
      problems.push(`${labels}: want ${count} points, got ${series.points.size}`);
    }
  });
  return problems;
}
