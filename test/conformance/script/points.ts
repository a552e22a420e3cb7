/**
 * @file The points of a series in a script: `1 2+3x4 _x2 stale {{schema:0 count:2 buckets:[2]}}x3`,
 * and their start timestamps: `-1mx4 -30s-1mx2`.
 */
import { parseDuration } from '../../../src/model/duration.js';
import { addHistograms, parseHistogram, type ScriptHistogram, scriptNumber } from './histogram.js';

/** A point; undefined where there is none. */
export type Point = number | ScriptHistogram | 'stale' | undefined;

const number = '[+-]?(?:[0-9.]+(?:e[+-]?\\d+)?|inf|nan)';
const floatPattern = new RegExp(`^(${number})(?:([+-])(${number})x(\\d+)|x(\\d+))?$`, 'i');
const histogramPattern = /^\{\{(.*?)\}\}(?:([+-])\{\{(.*?)\}\}x(\d+)|x(\d+))?$/;
/** A token: histograms have spaces inside. */
const tokenPattern = /\{\{.*?\}\}(?:[+-]\{\{.*?\}\})?(?:x\d+)?|\S+/g;

/** Reads the points of one line. */
export function parsePoints(text: string): Point[] {
  return (text.match(tokenPattern) ?? []).flatMap((token) => {
    const blank = /^_(?:x(\d+))?$/.exec(token);
    if (blank !== null) {
      return new Array<Point>(Number(blank[1] ?? 1)).fill(undefined);
    }
    if (token === 'stale') {
      return [token];
    }
    return token.startsWith('{{') ? histogramRun(token) : floatRun(token);
  });
}

function floatRun(token: string): number[] {
  const [, first, sign, delta, steps, repeats] = floatPattern.exec(token) ?? [];
  if (first === undefined) {
    throw new RangeError(`not a point: ${token}`);
  }
  const difference = delta === undefined ? 0 : scriptNumber(delta) * (sign === '-' ? -1 : 1);
  const points = [scriptNumber(first)];
  for (let i = Number(steps ?? repeats ?? 0); i > 0; i--) {
    points.push(points[points.length - 1] + difference);
  }
  return points;
}

function histogramRun(token: string): ScriptHistogram[] {
  const [, first, sign, delta, steps, repeats] = histogramPattern.exec(token) ?? [];
  if (first === undefined) {
    throw new RangeError(`not a point: ${token}`);
  }
  const points = [parseHistogram(first)];
  for (let i = Number(steps ?? repeats ?? 0); i > 0; i--) {
    const last = points[points.length - 1];
    const next =
      delta === undefined
        ? last
        : addHistograms(last, parseHistogram(delta), sign === '-' ? -1 : 1);
    points.push(next);
  }
  return points;
}

const durationText = '[+-]?(?:\\d+(?:ms|[smhdwy]))+|[+-]?0';
const startPattern = new RegExp(`^(${durationText})(?:([+-])(${durationText})x(\\d+)|x(\\d+))?$`);

/** Reads start timestamps: milliseconds from the sample's time, undefined where none is said. */
export function parseStarts(text: string): (number | undefined)[] {
  return (text.match(/\S+/g) ?? []).flatMap((token) => {
    const blank = /^_(?:x(\d+))?$/.exec(token);
    if (blank !== null) {
      return new Array<undefined>(Number(blank[1] ?? 1)).fill(undefined);
    }
    const [, first, sign, delta = '0', steps, repeats] = startPattern.exec(token) ?? [];
    if (first === undefined) {
      throw new RangeError(`not a start timestamp: ${token}`);
    }
    const by = signedDuration(delta) * (sign === '-' ? -1 : 1);
    const count = Number(steps ?? repeats ?? 0) + 1;
    return Array.from({ length: count }, (_, i) => signedDuration(first) + i * by);
  });
}

function signedDuration(text: string): number {
  const ms = parseDuration(text.replace(/^[+-]/, '')) ?? 0;
  return text.startsWith('-') ? -ms : ms;
}

/** A line of a series: its labels as they are written, then its points. */
export function splitSeries(line: string): [labels: string, points: string] {
  const name = /^[^\s{]*/.exec(line)?.[0] ?? '';
  if (line[name.length] !== '{') {
    return [name, line.slice(name.length)];
  }
  let quote = '';
  for (let i = name.length; i < line.length; i++) {
    const char = line[i];
    if (quote !== '') {
      if (char === '\\' && quote !== '`') {
        i++;
      } else if (char === quote) {
        quote = '';
      }
    } else if (char === '"' || char === "'" || char === '`') {
      quote = char;
    } else if (char === '}') {
      return [line.slice(0, i + 1), line.slice(i + 1)];
    }
  }
  throw new RangeError(`labels without an end: ${line}`);
}
