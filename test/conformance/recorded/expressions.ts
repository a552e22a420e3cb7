/**
 * @file Reads `expressions.txt`: what was asked of Prometheus, by theme.
 *
 *     # theme: rate
 *     at 3h rate(up[5m])                     an instant query
 *     ordered at 3h sort(up)                 the same; the order of the answer counts
 *     from 0 to 6h step 7m rate(up[5m])      a range query
 *     get /api/v1/labels?start={0}&end={6h}  any other request; `{time}` becomes Unix seconds
 *
 * Times count from the data set's start (`1h30m`, `20s7ms`, `-5m`) or, written `1970+30s`, from the
 * epoch. An indented line continues the expression before it after a line break. Lines that start
 * with `#` are comments, empty lines separate.
 */
import { readFileSync } from 'node:fs';
import { datasetStartMs } from './dataset.js';

interface CaseBase {
  /** The lines of the file: unique, the key of the recorded answer. */
  readonly id: string;
  readonly theme: string;
}

export interface InstantCase extends CaseBase {
  readonly kind: 'instant';
  readonly query: string;
  readonly timeMs: number;
  readonly ordered: boolean;
}

export interface RangeCase extends CaseBase {
  readonly kind: 'range';
  readonly query: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

export interface GetCase extends CaseBase {
  readonly kind: 'get';
  readonly path: string;
}

export type RecordedCase = InstantCase | RangeCase | GetCase;

const unitMs: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
};

function parseDuration(text: string): number {
  const sign = text.startsWith('-') ? -1 : 1;
  const digits = text.replace(/^[+-]/, '');
  if (digits === '0') {
    return 0;
  }
  if (!/^(\d+(ms|[hms]))+$/.test(digits)) {
    throw new Error(`"${text}" is not a time of expressions.txt`);
  }
  let sum = 0;
  for (const [, count, unit] of digits.matchAll(/(\d+)(ms|[hms])/g)) {
    sum += Number(count) * unitMs[unit];
  }
  return sign * sum;
}

function parseTime(text: string): number {
  return text.startsWith('1970')
    ? parseDuration(text.slice('1970'.length) || '0')
    : datasetStartMs + parseDuration(text);
}

const instantPattern = /^(ordered )?at (\S+) (.*)$/s;
const rangePattern = /^from (\S+) to (\S+) step (\S+) (.*)$/s;
const getPattern = /^get (\S+)$/;

function parseCase(id: string, theme: string): RecordedCase {
  const instant = instantPattern.exec(id);
  if (instant !== null) {
    const [, ordered, time, query] = instant;
    const timeMs = parseTime(time);
    return { id, theme, kind: 'instant', query, timeMs, ordered: ordered !== undefined };
  }
  const range = rangePattern.exec(id);
  if (range !== null) {
    const [, start, end, step, query] = range;
    return {
      id,
      theme,
      kind: 'range',
      query,
      startMs: parseTime(start),
      endMs: parseTime(end),
      stepMs: parseDuration(step),
    };
  }
  const get = getPattern.exec(id);
  if (get !== null) {
    const path = get[1].replaceAll(/\{(0|-?(?:\d+(?:ms|[hms]))+)\}/g, (_, time: string) =>
      String(parseTime(time) / 1000),
    );
    return { id, theme, kind: 'get', path };
  }
  throw new Error(`cannot read the case "${id}"`);
}

/** Reads the text of an expressions file; ids are unique. */
export function parseCases(text: string): RecordedCase[] {
  const entries: { id: string; theme: string }[] = [];
  let theme = '';
  for (const line of text.split('\n')) {
    const themed = /^# theme: (.+)$/.exec(line);
    if (themed !== null) {
      theme = themed[1];
    } else if (line.startsWith(' ')) {
      entries[entries.length - 1].id += `\n${line}`;
    } else if (line !== '' && !line.startsWith('#')) {
      entries.push({ id: line, theme });
    }
  }
  const seen = new Set<string>();
  for (const { id } of entries) {
    if (seen.has(id)) {
      throw new Error(`the case "${id}" is written twice`);
    }
    seen.add(id);
  }
  return entries.map((entry) => parseCase(entry.id, entry.theme));
}

/** The committed cases. */
export function readCases(): RecordedCase[] {
  return parseCases(readFileSync(new URL('./expressions.txt', import.meta.url), 'utf8'));
}

/** Path and query string that put a case to a server's HTTP API. */
export function requestPath(one: RecordedCase): string {
  if (one.kind === 'get') {
    return one.path;
  }
  const seconds = (ms: number): string => String(ms / 1000);
  if (one.kind === 'instant') {
    const form = new URLSearchParams({ query: one.query, time: seconds(one.timeMs) });
    return `/api/v1/query?${form}`;
  }
  const form = new URLSearchParams({
    query: one.query,
    start: seconds(one.startMs),
    end: seconds(one.endMs),
    step: seconds(one.stepMs),
  });
  return `/api/v1/query_range?${form}`;
}
