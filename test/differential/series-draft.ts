/** @file What the data set generator builds series with: a seed, units, and the text form. */
import { datasetStartMs } from '../conformance/recorded/dataset.js';

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;

/** Uniform in [0, 1). */
export type Random = () => number;

/** Mulberry32: 32 bits of state, the same numbers on every machine. */
export function seededRandom(seed: number): Random {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export interface SeriesDraft {
  /** Adds a sample; `t` is in milliseconds after the data set's start and must ascend. */
  add(t: number, value: number | 'stale', late?: boolean): void;
  /** The same with milliseconds since the epoch. */
  addAbsolute(t: number, value: number | 'stale'): void;
  /** The two lines of `dataset.ts`. */
  print(): string;
}

interface DraftSample {
  readonly t: number;
  readonly text: string;
}

function valueText(value: number | 'stale'): string {
  if (value === 'stale') {
    return value;
  }
  if (Number.isNaN(value)) {
    return 'NaN';
  }
  if (!Number.isFinite(value)) {
    return value > 0 ? '+Inf' : '-Inf';
  }
  return Object.is(value, -0) ? '-0' : String(value);
}

/** A series without samples. `lag` is how late its late samples arrive. */
export function newSeries(labels: Record<string, string>, interval: number, lag = 0): SeriesDraft {
  const samples: DraftSample[] = [];
  const add = (t: number, value: number | 'stale', late = false): void => {
    const before = samples.at(-1);
    if (before !== undefined && before.t >= t) {
      throw new Error(`sample at ${t} of ${JSON.stringify(labels)} does not ascend`);
    }
    const gap = before === undefined || t - before.t === interval ? '' : `+${t - before.t}:`;
    samples.push({ t, text: `${late ? '~' : ''}${gap}${valueText(value)}` });
  };
  return {
    add,
    addAbsolute: (t, value) => add(t - datasetStartMs, value),
    print: () => {
      const head = JSON.stringify([labels, samples[0].t, interval, lag]);
      return `${head}\n${joinRuns(samples.map((sample) => sample.text))}`;
    },
  };
}

/** Equal neighbours as `text*count`. A token with a gap repeats its gap, as the reader does. */
function joinRuns(texts: readonly string[]): string {
  const runs: { text: string; count: number }[] = [];
  for (const text of texts) {
    const last = runs.at(-1);
    if (last?.text === text) {
      last.count += 1;
    } else {
      runs.push({ text, count: 1 });
    }
  }
  return runs.map(({ text, count }) => (count > 1 ? `${text}*${count}` : text)).join(' ');
}
