/**
 * @file Parameters of the query API: where they stand, how they are written, and what is wrong.
 *
 * Follows Prometheus 3.14, `web/api/v1/api.go` (`parseTimeParam`, `parseDuration`,
 * `parseLimitParam`, `queryRange`): the order of checks and the texts of errors are part of the
 * API. This and `result-json.ts` are the only places where seconds exist.
 */
import type { FastifyRequest } from 'fastify';
import { MetricstorError } from '../errors.js';
import { parseDuration } from '../model/duration.js';
import { goQuote } from '../promql/position.js';

/** The earliest and the latest time, in milliseconds: beyond, doubles skip integers. */
export const minTimeMs = -(2 ** 53);
export const maxTimeMs = 2 ** 53;

/** The parameters of a request: of the form in its body first, then of its URL. */
export class Params {
  readonly #form: URLSearchParams | undefined;
  readonly #url: URLSearchParams;

  constructor(request: FastifyRequest) {
    const { url = '' } = request.raw;
    const mark = url.indexOf('?');
    this.#url = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
    this.#form = typeof request.body === 'string' ? new URLSearchParams(request.body) : undefined;
  }

  /** The first value, the body's before the URL's; empty when there is none. */
  get(name: string): string {
    return this.#form?.get(name) ?? this.#url.get(name) ?? '';
  }

  /** The names of all that were given. */
  names(): string[] {
    return [...(this.#form?.keys() ?? []), ...this.#url.keys()];
  }

  /** Every value, the body's first. */
  all(name: string): string[] {
    return [...(this.#form?.getAll(name) ?? []), ...this.#url.getAll(name)];
  }
}

/** A number as Go's `strconv.ParseFloat` accepts it, or undefined. */
function parseGoFloat(text: string): number | undefined {
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    return Number(text);
  }
  return undefined;
}

const rfc3339 = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:[.,](\d+))?(Z|[+-]\d{2}:\d{2})$/;

/** Milliseconds, within ±2^53, of unix seconds or an RFC 3339 time; undefined for other text. */
export function parseTime(text: string): number | undefined {
  const seconds = parseGoFloat(text);
  if (seconds !== undefined) {
    const whole = Math.trunc(seconds);
    const ms = whole * 1000 + Math.round((seconds - whole) * 1000);
    return Math.min(Math.max(ms, minTimeMs), maxTimeMs);
  }
  const match = rfc3339.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, date, time, fraction = '', zone] = match;
  // Date.parse takes 2023-02-31 for the third of March.
  const atMidnight = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(atMidnight.getTime()) || !atMidnight.toISOString().startsWith(date as string)) {
    return undefined;
  }
  const ms = Date.parse(`${date}T${time}.${`${fraction}000`.slice(0, 3)}${zone}`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Milliseconds of seconds or a duration such as `5m`. Throws `bad_data`. */
export function parseDurationText(text: string): number {
  const seconds = parseGoFloat(text);
  if (seconds !== undefined) {
    // Go holds a duration in 64-bit nanoseconds.
    if (Math.abs(seconds) * 1e9 > 2 ** 63) {
      const overflow = 'to a valid duration. It overflows int64';
      throw new MetricstorError('bad_data', `cannot parse ${goQuote(text)} ${overflow}`);
    }
    return seconds * 1000;
  }
  const ms = parseDuration(text);
  if (ms === undefined) {
    const message = `cannot parse ${goQuote(text)} to a valid duration`;
    throw new MetricstorError('bad_data', message);
  }
  return ms;
}

/** Says which parameter is wrong, as Prometheus' `invalidParamError`. */
export function invalidParameter(name: string, message: string): MetricstorError {
  return new MetricstorError('bad_data', `invalid parameter "${name}": ${message}`);
}

function withName<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw error instanceof MetricstorError ? invalidParameter(name, error.message) : error;
  }
}

/** `limit`: 0 means none. */
export function limitParam(params: Params): number {
  const text = params.get('limit');
  if (text === '') {
    return 0;
  }
  if (!/^[+-]?\d+$/.test(text)) {
    const message = `strconv.Atoi: parsing ${goQuote(text)}: invalid syntax`;
    throw invalidParameter('limit', message);
  }
  const limit = Number(text);
  if (!Number.isSafeInteger(limit)) {
    const message = `strconv.Atoi: parsing ${goQuote(text)}: value out of range`;
    throw invalidParameter('limit', message);
  }
  if (limit < 0) {
    throw invalidParameter('limit', 'limit must be non-negative');
  }
  return limit;
}

/** An optional time. */
export function timeParam(params: Params, name: string, fallbackMs: number): number {
  const text = params.get(name);
  if (text === '') {
    return fallbackMs;
  }
  const ms = parseTime(text);
  if (ms === undefined) {
    const message = `invalid time value for '${name}': cannot parse ${goQuote(text)} to a valid timestamp`;
    throw invalidParameter(name, message);
  }
  return ms;
}

function requiredTime(params: Params, name: string): number {
  const text = params.get(name);
  const ms = parseTime(text);
  if (ms === undefined) {
    throw invalidParameter(name, `cannot parse ${goQuote(text)} to a valid timestamp`);
  }
  return ms;
}

/** `timeout` in milliseconds, or undefined. */
export function timeoutParam(params: Params): number | undefined {
  const text = params.get('timeout');
  return text === '' ? undefined : withName('timeout', () => parseDurationText(text));
}

/** `lookback_delta` in milliseconds; undefined means the default, as does 0 or less. */
export function lookbackParam(params: Params): number | undefined {
  const text = params.get('lookback_delta');
  if (text === '') {
    return undefined;
  }
  try {
    const ms = Math.trunc(parseDurationText(text));
    return ms > 0 ? ms : undefined;
  } catch (error) {
    if (error instanceof MetricstorError) {
      const message = `error parsing lookback delta duration: ${error.message}`;
      throw new MetricstorError('bad_data', message);
    }
    throw error;
  }
}

export interface RangeParams {
  readonly startMs: number;
  readonly endMs: number;
  readonly stepMs: number;
}

/** `start`, `end` and `step` of a range query with at most `maxSteps` steps. */
export function rangeParams(params: Params, maxSteps: number): RangeParams {
  const startMs = requiredTime(params, 'start');
  const endMs = requiredTime(params, 'end');
  if (endMs < startMs) {
    throw invalidParameter('end', 'end timestamp must not be before start time');
  }
  // Steps count in whole milliseconds, and less than one is none.
  const stepMs = Math.trunc(withName('step', () => parseDurationText(params.get('step'))));
  if (stepMs <= 0) {
    const message =
      'zero or negative query resolution step widths are not accepted. Try a positive integer';
    throw invalidParameter('step', message);
  }
  if (Math.floor((endMs - startMs) / stepMs) > maxSteps) {
    const message =
      `exceeded maximum resolution of ${maxSteps.toLocaleString('en-US')} points per timeseries. ` +
      'Try decreasing the query resolution (?step=XX), or increasing query.maxSteps';
    throw new MetricstorError('bad_data', message);
  }
  return { startMs, endMs, stepMs };
}

/** A truth value as Go's `strconv.ParseBool` reads it; `false` when it is not given. */
export function boolParam(params: Params, name: string): boolean {
  const text = params.get(name);
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(text)) {
    return true;
  }
  if (['', '0', 'f', 'F', 'FALSE', 'false', 'False'].includes(text)) {
    return false;
  }
  throw invalidParameter(name, `unable to parse boolean ${goQuote(text)}`);
}

/** What label look-ups have in common. */
export function lookUpParams(params: Params): {
  selectors: string[];
  mint: number;
  maxt: number;
  limit: number;
} {
  const limit = limitParam(params);
  const mint = timeParam(params, 'start', minTimeMs);
  const maxt = timeParam(params, 'end', maxTimeMs);
  return { selectors: params.all('match[]'), mint, maxt, limit };
}

/**
 * A label name in a path: names that URLs cannot carry are escaped as `U__…` (prometheus/common,
 * `model/metric.go`, `UnescapeName`: `__` is an underscore, `_xx_` the code point in hexadecimal).
 * A name that is not such an escape is taken as it is.
 */
export function unescapeLabelName(name: string): string {
  if (!name.startsWith('U__')) {
    return name;
  }
  const escaped = name.slice(3);
  if (!/^(?:[A-Za-z0-9:]|__|_[0-9A-Fa-f]{1,6}_)*$/.test(escaped)) {
    return name;
  }
  let valid = true;
  const text = escaped.replace(/__|_([0-9A-Fa-f]{1,6})_/g, (_, hex?: string) => {
    const code = hex === undefined ? 0x5f : Number.parseInt(hex, 16);
    valid &&= code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
    return valid ? String.fromCodePoint(code) : '';
  });
  return valid ? text : name;
}
