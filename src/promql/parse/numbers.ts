/**
 * @file Number and duration literals: where one ends, and what it means.
 *
 * Follows `scanNumber` and `acceptRemainingDuration` of Prometheus' `promql/parser/lex.go`,
 * `number` of `parse.go` (3.14), and `ParseDuration` of prometheus/common, `model/time.go`.
 */
import { parseDuration } from '../../model/duration.js';
import { goQuote } from '../position.js';

export interface NumberScan {
  /** Offset behind the literal, or behind what was read until it turned out to be none. */
  readonly end: number;
  /** Undefined if it is neither. */
  readonly type: 'number' | 'duration' | undefined;
}

/** Reads the literal that begins at `start`, where a digit or a dot and a digit stand. */
export function scanNumber(query: string, start: number): NumberScan {
  const number = numberEnd(query, start);
  if (number.complete) {
    return { end: number.end, type: 'number' };
  }
  const duration = matchAt(/[smhdwy]s?(?:[0-9]+[smhdw]s?)*/y, query, number.end);
  const end = number.end + duration;
  // One character too many belongs to what an error shows; so does a number without a unit.
  const more = duration === 0 ? 0 : matchAt(/[0-9]+|[A-Za-z_]/y, query, end);
  const type = duration > 0 && more === 0 ? 'duration' : undefined;
  return { end: end + more, type };
}

/** How far a number reaches; an incomplete one ends behind the first character that is wrong. */
function numberEnd(query: string, start: number): { end: number; complete: boolean } {
  const hex = matchAt(/0[xX]_?/y, query, start);
  const digits = hex > 0 ? /[0-9a-fA-F]+/y : /[0-9]+/y;
  // A dot in first place counts as none, and a hexadecimal `e` behind the first digit as exponent.
  // So does one behind a leading zero, which is read in search of an `x`.
  let at = start + (hex > 0 ? hex : matchAt(/0/y, query, start));
  at += matchAt(/\./y, query, at);
  at += Math.min(1, matchAt(digits, query, at));
  let dots = 0;
  let exponents = 0;
  for (;;) {
    const char = query.charAt(at);
    if (char === '.') {
      at++;
      const wrong = dots++ > 0 ? 0 : matchAt(/[._]/y, query, at);
      if (dots > 1 || wrong > 0 || hex > 0) {
        return { end: at + wrong, complete: false };
      }
    } else if (char === 'e' || char === 'E' || char === '_') {
      at++;
      const exponent = char !== '_';
      if (exponent && exponents++ > 0) {
        return { end: at, complete: false };
      }
      at += exponent ? matchAt(/[+-]/y, query, at) : 0;
      const wrong = matchAt(/[._eE]/y, query, at);
      if (wrong > 0 || at >= query.length) {
        return { end: at + wrong, complete: false };
      }
    } else {
      const run = matchAt(digits, query, at);
      if (run === 0) {
        return { end: at, complete: !/[A-Za-z0-9_]/.test(char) };
      }
      at += run;
    }
  }
}

/** Length of the match of a sticky pattern at an offset. */
function matchAt(pattern: RegExp, query: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(query)?.[0].length ?? 0;
}

/** Why a literal has no value, in Prometheus' words. */
export interface NumberProblem {
  readonly problem: string;
}

/** Whether a literal that `scanNumber` accepts is a duration: it ends in a unit. */
export function isDurationLiteral(text: string): boolean {
  return /[smhwy]$/.test(text) || (text.endsWith('d') && !/^0[xX]/.test(text));
}

/** The value of a number, or the seconds of a duration. */
export function numberValue(text: string): number | NumberProblem {
  if (isDurationLiteral(text)) {
    const ms = parseDuration(text);
    return ms === undefined ? { problem: durationProblem(text) } : ms / 1000;
  }
  const digits = text.toLowerCase().replaceAll('_', '');
  if (digits === 'inf' || digits === 'nan') {
    return digits === 'inf' ? Infinity : NaN;
  }
  if (/_$|_[^0-9a-f]|\._/i.test(text)) {
    return parseProblem(text, 'invalid syntax');
  }
  // Go tries a 64-bit integer first, which may be octal or hexadecimal, then a decimal float.
  const isHex = digits.startsWith('0x');
  const integer = isHex || /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, isHex ? 16 : 8) : NaN;
  if (integer < 2 ** 63) {
    return Number.isNaN(Number(digits)) ? parseProblem(text, 'invalid syntax') : integer;
  }
  const value = isHex ? NaN : Number(digits);
  if (Number.isNaN(value)) {
    return parseProblem(text, 'invalid syntax');
  }
  return Number.isFinite(value) ? value : parseProblem(text, 'value out of range');
}

function parseProblem(text: string, why: string): NumberProblem {
  return { problem: `error parsing number: strconv.ParseFloat: parsing ${goQuote(text)}: ${why}` };
}

const units: readonly string[] = ['y', 'w', 'd', 'h', 'm', 's', 'ms'];

function durationProblem(text: string): string {
  if (text.startsWith('.')) {
    return `not a valid duration string: ${goQuote(text)}`;
  }
  let last = -1;
  for (const [, count = '', unit = ''] of text.matchAll(/([0-9]+)([^0-9]*)/g)) {
    const order = units.indexOf(unit);
    const fits = Number(count) < 2 ** 64;
    if (fits && order < 0) {
      return `unknown unit ${goQuote(unit)} in duration ${goQuote(text)}`;
    }
    if (!fits || order <= last) {
      return `not a valid duration string: ${goQuote(text)}`;
    }
    last = order;
  }
  return 'duration out of range';
}
