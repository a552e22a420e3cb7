/**
 * @file Reads scripts in Prometheus' test language for PromQL: `load`, `clear`, `eval`, `expect`.
 *
 * The language is described in Prometheus' `promql/promqltest/README.md` (3.14). Not read:
 * `load_with_nhcb` and what is deprecated (`eval_fail` and its kin). Added: a comment
 * `# features: promql-delayed-name-removal` names optional parts of PromQL that the script needs.
 */
import { parseDuration } from '../../../src/model/duration.js';
import { type PromqlFeature, promqlFeatures } from '../../../src/model/promql-features.js';
import { parseSelector } from '../../../src/promql/parse.js';
import { scriptNumber } from './histogram.js';
import { type Point, parsePoints, parseStarts, splitSeries } from './points.js';

export interface Script {
  /** Beyond those that are on anyway. */
  readonly features: readonly PromqlFeature[];
  readonly commands: readonly Command[];
}

export type Command = Load | Clear | Evaluation;

export interface Load {
  readonly kind: 'load';
  readonly stepMs: number;
  readonly series: readonly ScriptSeries[];
}

export interface Clear {
  readonly kind: 'clear';
}

export interface ScriptSeries {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly Point[];
  /** Start timestamps of the points, in milliseconds from their times. */
  readonly starts?: readonly (number | undefined)[] | undefined;
}

/** Times of a range query, or the points of a range vector. */
export interface Times {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

export interface Evaluation {
  readonly kind: 'eval';
  /** Of the line of `eval`, counted from one. */
  readonly line: number;
  /** How many lines follow that belong to it. */
  readonly bodyLines: number;
  readonly query: string;
  /** Undefined means an instant query at `timeMs`. */
  readonly range: Times | undefined;
  readonly timeMs: number;
  readonly expected: Expected;
}

export interface Expected {
  readonly series: readonly ScriptSeries[];
  readonly texts: readonly ExpectedText[];
  readonly ordered: boolean;
  /** Of the points of `series`, where an instant query gives a range vector. */
  readonly rangeVector: Times | undefined;
  readonly scalar: number | undefined;
  readonly string: string | undefined;
}

export interface ExpectedText {
  readonly type: 'fail' | 'warn' | 'info' | 'no_warn' | 'no_info';
  /** Undefined means any text. */
  readonly match: { readonly how: 'msg' | 'regex'; readonly text: string } | undefined;
}

/** Reads a script; throws for a line that is not in the language. */
export function parseScript(text: string): Script {
  const lines = text.split('\n').map((line) => line.trim());
  const commands: Command[] = [];
  const features: PromqlFeature[] = [];
  for (let i = 0; i < lines.length; ) {
    const head = lines[i];
    const named = /^# features: (.+)$/.exec(head);
    if (named !== null) {
      features.push(...named[1].split(',').map(featureOf));
    }
    if (head === '' || head.startsWith('#')) {
      i++;
      continue;
    }
    let end = i + 1;
    while (end < lines.length && lines[end] !== '' && !/^(?:eval|load|clear)\b/.test(lines[end])) {
      end++;
    }
    const body = lines.slice(i + 1, end);
    try {
      commands.push(parseCommand(head, i + 1, body));
    } catch (cause) {
      throw new Error(`line ${i + 1}: ${head}: ${String(cause)}`, { cause });
    }
    i = end;
  }
  return { features, commands };
}

function featureOf(name: string): PromqlFeature {
  const feature = promqlFeatures.find((known) => known === name.trim());
  if (feature === undefined) {
    throw new RangeError(`no feature is called ${name}`);
  }
  return feature;
}

/** `5m`, `1h30m`, `-1m` or a number of seconds, as milliseconds. */
export function parseTime(text: string): number {
  const negative = text.startsWith('-');
  const body = negative ? text.slice(1) : text;
  const ms = parseDuration(body) ?? scriptNumber(body) * 1000;
  return negative ? -ms : ms;
}

/** Labels as they are written before points. */
function parseLabels(text: string): Record<string, string> {
  if (text === '' || text === '{}') {
    return {};
  }
  // Empty values are allowed here, so the check of selectors is passed by a label of our own.
  const open = text.includes('{') ? text.replace(/,?\s*\}$/, '') : `${text}{`;
  const matchers = parseSelector(`${open}${open.endsWith('{') ? '' : ','}_="x"}`);
  return Object.fromEntries(
    matchers.filter(({ name }) => name !== '_').map(({ name, value }) => [name, value]),
  );
}

function parseSeries(line: string): ScriptSeries {
  const [labels, points] = splitSeries(line);
  return { labels: parseLabels(labels), points: parsePoints(points) };
}

/** The lines of a `load`; one of start timestamps goes before that of its series. */
function parseLoaded(lines: readonly string[]): ScriptSeries[] {
  const series: ScriptSeries[] = [];
  let starts: ScriptSeries['starts'];
  for (const line of lines) {
    const said = /^(\S+)@st\s+(.*)$/.exec(line);
    if (said !== null) {
      starts = parseStarts(said[2]);
      continue;
    }
    const one = parseSeries(line);
    if (starts !== undefined && starts.length !== one.points.length) {
      const got = `${starts.length} start timestamps`;
      throw new RangeError(`${got} for ${one.points.length} points: ${line}`);
    }
    series.push({ ...one, starts });
    starts = undefined;
  }
  return series;
}

function parseCommand(head: string, line: number, body: readonly string[]): Command {
  const lines = body.filter((one) => !one.startsWith('#'));
  if (head === 'clear') {
    return { kind: 'clear' };
  }
  const load = /^load\s+(\S+)$/.exec(head);
  if (load !== null) {
    return { kind: 'load', stepMs: parseTime(load[1]), series: parseLoaded(lines) };
  }
  const base = {
    kind: 'eval',
    line,
    bodyLines: body.length,
    expected: parseExpected(lines),
  } as const;
  const instant = /^eval\s+instant\s+at\s+(\S+)\s+(.*)$/.exec(head);
  if (instant !== null) {
    return { ...base, query: instant[2], range: undefined, timeMs: parseTime(instant[1]) };
  }
  const range = /^eval\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+(.*)$/.exec(head);
  if (range === null) {
    throw new RangeError('not a command');
  }
  return { ...base, query: range[4], range: timesOf(range), timeMs: parseTime(range[1]) };
}

function timesOf([, from, to, step]: readonly string[]): Times {
  return { startMs: parseTime(from), endMs: parseTime(to), stepMs: parseTime(step) };
}

const textPattern = /^expect\s+(fail|warn|info|no_warn|no_info)(?:\s+(msg|regex):\s*(.*))?$/;

function parseExpected(lines: readonly string[]): Expected {
  const series: ScriptSeries[] = [];
  const texts: ExpectedText[] = [];
  let ordered = false;
  let rangeVector: Times | undefined;
  let scalar: number | undefined;
  let string: string | undefined;
  for (const line of lines) {
    const text = textPattern.exec(line);
    const range = /^expect\s+range\s+vector\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)$/.exec(line);
    if (text !== null) {
      const [, type, how, detail = ''] = text;
      const match = how === undefined ? undefined : { how, text: detail.replace(/^"(.*)"$/, '$1') };
      texts.push({ type, match } as ExpectedText);
    } else if (range !== null) {
      rangeVector = timesOf(range);
    } else if (/^expect\s+ordered$/.test(line)) {
      ordered = true;
    } else if (/^expect\s+string\s/.test(line)) {
      string = parseString(line.replace(/^expect\s+string\s+/, ''));
    } else if (line.startsWith('expect')) {
      throw new RangeError(`not an expectation: ${line}`);
    } else if (/^[+-]?(?:[0-9.]+(?:e[+-]?\d+)?|inf|nan)$/i.test(line)) {
      scalar = scriptNumber(line);
    } else {
      series.push(parseSeries(line));
    }
  }
  return { series, texts, ordered, rangeVector, scalar, string };
}

function parseString(text: string): string {
  return text.startsWith('`') ? text.slice(1, -1) : (JSON.parse(text) as string);
}
