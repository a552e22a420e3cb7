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
import { type Form, parseForm } from './form.js';

/** The earliest and the latest time, in milliseconds: beyond, doubles skip integers. */
export const minTimeMs = -(2 ** 53);
export const maxTimeMs = 2 ** 53;

/** The parameters of a request: of the form in its body, and of its URL. */
export class Params {
  readonly #values = new Map<string, string[]>();
  /**
   * What is wrong with the first field that could not be read. Requests that must not be
   * understood by halves refuse it.
   */
  readonly problem: string | undefined;

  constructor(request: FastifyRequest) {
    const { url = '' } = request.raw;
    const mark = url.indexOf('?');
    const ofUrl = parseForm(mark < 0 ? '' : url.slice(mark + 1));
    // Content types that are no form were dropped by the parser of `app.ts`.
    const ofBody = request.body as Form | undefined;
    const forms = ofBody === undefined ? [ofUrl] : [ofBody, ofUrl];
    for (const form of ofBody?.kind === 'multipart' ? forms.reverse() : forms) {
      this.problem ??= form.problem;
      for (const [name, value] of form.fields) {
        const values = this.#values.get(name);
        if (values === undefined) {
          this.#values.set(name, [value]);
        } else {
          values.push(value);
        }
      }
    }
  }

  /** The first value: of a form's body before the URL's; empty when there is none. */
  get(name: string): string {
    return this.#values.get(name)?.[0] ?? '';
  }

  /** The names of all that were given. */
  names(): string[] {
    return [...this.#values.keys()];
  }

  /** Every value, in the same order. */
  all(name: string): string[] {
    return [...(this.#values.get(name) ?? [])];
  }

  /** Throws `bad_data` if any field could not be read. */
  refuseProblem(): void {
    if (this.problem !== undefined) {
      throw new MetricstorError('bad_data', `error parsing form values: ${this.problem}`);
    }
  }
}

const digits = '\\d(?:_?\\d)*';
const hexDigits = '[\\da-f](?:_?[\\da-f])*';
const decimal = new RegExp(
  `^[+-]?(?:${digits}(?:\\.(?:${digits})?)?|\\.${digits})(?:e[+-]?${digits})?$`,
  'i',
);
const hexadecimal = new RegExp(
  `^([+-]?)0x_?(${hexDigits})?(?:\\.(${hexDigits})?)?p([+-]?${digits})$`,
  'i',
);

/** A number as Go's `strconv.ParseFloat` accepts it, or undefined. */
function parseGoFloat(text: string): number | undefined {
  const plain = text.replaceAll('_', '');
  if (decimal.test(text)) {
    const value = Number(plain);
    return Number.isFinite(value) ? value : undefined;
  }
  if (/^[+-]?inf(?:inity)?$/i.test(text)) {
    return text.startsWith('-') ? -Infinity : Infinity;
  }
  const [, sign, whole = '', fraction = '', exponent] = hexadecimal.test(text)
    ? (hexadecimal.exec(plain) ?? [])
    : [];
  if (exponent === undefined || whole + fraction === '') {
    return undefined;
  }
  const mantissa = Number(BigInt(`0x${whole}${fraction}`));
  const value = mantissa * 2 ** (Number(exponent) - 4 * fraction.length);
  return Number.isFinite(value) ? value * (sign === '-' ? -1 : 1) : undefined;
}

/** The bounds of time as Prometheus writes them: what no RFC 3339 time can say. */
const boundaryTimes: Readonly<Record<string, number>> = {
  '-292273086-05-16T16:47:06Z': minTimeMs,
  '292277025-08-18T07:12:54.999999999Z': maxTimeMs,
};

/** Milliseconds, within ±2^53, of unix seconds or an RFC 3339 time; undefined for other text. */
export function parseTime(text: string): number | undefined {
  const seconds = parseGoFloat(text);
  if (seconds === undefined) {
    return boundaryTimes[text] ?? parseRfc3339(text);
  }
  if (!Number.isFinite(seconds)) {
    return undefined;
  }
  const whole = Math.trunc(seconds);
  // Halves are rounded away from zero.
  const fraction = Math.sign(seconds) * Math.round(Math.abs(seconds - whole) * 1000);
  return Math.min(Math.max(whole * 1000 + fraction, minTimeMs), maxTimeMs);
}

const rfc3339 =
  /^(\d{4}-\d{2}-\d{2})T(\d{1,2}):(\d{2}):(\d{2})(?:[.,](\d+))?(?:Z|([+-])(\d{2}):(\d{2}))$/;

/** With Go's tolerance: an hour may have one digit, an offset may be a whole day. */
function parseRfc3339(text: string): number | undefined {
  const match = rfc3339.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, date, , , , fraction = '', sign] = match;
  const [hour, minute, second] = match.slice(2, 5).map(Number);
  const [offsetHour, offsetMinute] = match.slice(7).map((part) => Number(part ?? 0));
  // Date.parse takes 2023-02-31 for the third of March.
  const midnight = new Date(`${date}T00:00:00Z`);
  const isDate = !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(date);
  if (!isDate || hour > 23 || minute > 59 || second > 59 || offsetHour > 24 || offsetMinute > 60) {
    return undefined;
  }
  const offset = (offsetHour * 60 + offsetMinute) * (sign === '-' ? -60 : 60);
  const seconds = hour * 3600 + minute * 60 + second - offset;
  const ms = midnight.getTime() + seconds * 1000 + Number(fraction.slice(0, 3).padEnd(3, '0'));
  // What is finer than milliseconds is cut off, which before 1970 is upwards.
  return ms < 0 && /[1-9]/.test(fraction.slice(3, 9)) ? ms + 1 : ms;
}

/** Milliseconds, of whole nanoseconds, of seconds or a duration such as `5m`. Throws `bad_data`. */
export function parseDurationText(text: string): number {
  const seconds = parseGoFloat(text);
  if (seconds !== undefined) {
    // Go holds a duration in 64-bit nanoseconds.
    if (Math.abs(seconds) * 1e9 > 2 ** 63) {
      const overflow = 'to a valid duration. It overflows int64';
      throw new MetricstorError('bad_data', `cannot parse ${goQuote(text)} ${overflow}`);
    }
    return Math.trunc(seconds * 1e9) / 1e6;
  }
  const ms = parseDuration(text);
  if (ms === undefined) {
    const message = `cannot parse ${goQuote(text)} to a valid duration`;
    throw new MetricstorError('bad_data', message);
  }
  return ms;
}

/**
 * A whole number as Go's `strconv.Atoi` reads it, or why it is none. What 64 bits hold and a double
 * does not becomes the largest that it does.
 */
export function parseInteger(text: string): number | 'invalid syntax' | 'value out of range' {
  if (!/^[+-]?\d+$/.test(text)) {
    return 'invalid syntax';
  }
  const value = Number(text);
  const exact = text.replace('+', '');
  // Around 2^63 a double cannot tell; far beyond, reading all digits would take its time.
  const beyond = Math.abs(value) > 2 ** 63;
  if (beyond || BigInt.asIntN(64, BigInt(exact)) !== BigInt(exact)) {
    return 'value out of range';
  }
  return Math.min(Math.max(value, Number.MIN_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
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
  const limit = parseInteger(text);
  if (typeof limit === 'string') {
    throw invalidParameter('limit', `strconv.Atoi: parsing ${goQuote(text)}: ${limit}`);
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

/**
 * `lookback_delta` in milliseconds; undefined means the default, as does 0 or less. Less than a
 * millisecond is 0, and finds nothing.
 */
export function lookbackParam(params: Params): number | undefined {
  const text = params.get('lookback_delta');
  if (text === '') {
    return undefined;
  }
  try {
    const ms = parseDurationText(text);
    return ms > 0 ? Math.trunc(ms) : undefined;
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
