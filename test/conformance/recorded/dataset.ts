/**
 * @file The data set of the recorded answers: its text form, and the order in which it arrives.
 *
 * A series is two lines. The first is a JSON array `[labels, start, interval, lag]`: an object of
 * labels and three times in milliseconds; `start` counts from `datasetStartMs`. The second line has
 * its samples, separated by spaces, ascending in time:
 *
 *     [~][+gap:]value[*count]
 *
 * A sample lies `interval` after the one before it, or `gap` milliseconds where a gap is written
 * (`+90000:`); the first lies at `start`. `value` is a number, `NaN`, `+Inf`, `-Inf` or `stale`;
 * `*count` repeats the token. A `~` marks a sample that arrives `lag` late; every other sample
 * arrives at its own time. Lines that start with `#` are comments.
 */
import { readFileSync } from 'node:fs';
import type { WireSeries } from '../../../src/client/encode.js';

/** 2026-01-01T00:00:00Z. Times in data and expressions count from here. */
export const datasetStartMs = 1767225600000;

export interface RecordedSeries extends WireSeries {
  /** When each sample reaches the server, milliseconds. */
  readonly arrivals: Float64Array;
}

const staleBits = 0x7ff0000000000002n;
const tokenPattern = /^(~?)(?:\+(\d+):)?([^*]+?)(?:\*(\d+))?$/;

function writeValue(values: Float64Array, bits: BigUint64Array, at: number, text: string): void {
  if (text === 'stale') {
    bits[at] = staleBits;
    return;
  }
  const value = text.endsWith('Inf') ? Number(`${text}inity`) : Number(text);
  if (Number.isNaN(value) && text !== 'NaN') {
    throw new Error(`sample value "${text}" is not a number`);
  }
  values[at] = value;
}

function parseSeries(head: string, body: string): RecordedSeries {
  const [labels, start, interval, lag] = JSON.parse(head) as [
    Record<string, string>,
    number,
    number,
    number,
  ];
  const tokens = body.split(' ').map((token) => {
    const match = tokenPattern.exec(token);
    if (match === null) {
      throw new Error(`cannot read sample token "${token}" of ${head}`);
    }
    const [, late, gap, value, count] = match;
    return { late: late !== '', gap, value, count: Number(count ?? 1) };
  });
  const length = tokens.reduce((sum, token) => sum + token.count, 0);
  const timestamps = new Float64Array(length);
  const arrivals = new Float64Array(length);
  const values = new Float64Array(length);
  const bits = new BigUint64Array(values.buffer);
  let at = 0;
  let time = datasetStartMs + start;
  for (const { late, gap, value, count } of tokens) {
    for (let i = 0; i < count; i++, at++) {
      time += at === 0 ? 0 : gap === undefined ? interval : Number(gap);
      timestamps[at] = time;
      arrivals[at] = late ? time + lag : time;
      writeValue(values, bits, at, value);
    }
  }
  return { labels: sortedLabels(labels), timestamps, arrivals, values };
}

function sortedLabels(labels: Record<string, string>): [string, string][] {
  return Object.entries(labels).sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

/** Reads the text form. */
export function parseDataset(text: string): RecordedSeries[] {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const series: RecordedSeries[] = [];
  for (let i = 0; i < lines.length; i += 2) {
    series.push(parseSeries(lines[i], lines[i + 1]));
  }
  return series;
}

/** The committed data set. */
export function readDataset(): RecordedSeries[] {
  return parseDataset(readFileSync(new URL('./data.txt', import.meta.url), 'utf8'));
}

/**
 * The data set as the requests in which it arrives: everything of `windowMs` of arrival time is
 * one request, in which each series' samples ascend in time.
 */
export function arrivalRequests(
  series: readonly RecordedSeries[],
  windowMs = 5 * 60_000,
): WireSeries[][] {
  const windows = new Map<number, WireSeries[]>();
  for (const one of series) {
    for (const [window, samples] of splitByWindow(one, windowMs)) {
      const request = windows.get(window) ?? [];
      request.push(samples);
      windows.set(window, request);
    }
  }
  return [...windows].sort(([a], [b]) => a - b).map(([, request]) => request);
}

function splitByWindow(series: RecordedSeries, windowMs: number): Map<number, WireSeries> {
  const indexes = new Map<number, number[]>();
  series.arrivals.forEach((arrival, index) => {
    const window = Math.floor(arrival / windowMs);
    const list = indexes.get(window) ?? [];
    list.push(index);
    indexes.set(window, list);
  });
  const parts = new Map<number, WireSeries>();
  const bits = new BigUint64Array(series.values.buffer);
  for (const [window, list] of indexes) {
    const partBits = BigUint64Array.from(list, (index) => bits[index]);
    parts.set(window, {
      labels: series.labels,
      timestamps: Float64Array.from(list, (index) => series.timestamps[index]),
      values: new Float64Array(partBits.buffer),
    });
  }
  return parts;
}
