/**
 * @file Native histograms in scripts: `{{schema:1 count:22 sum:3 buckets:[5 10 7]}}`.
 *
 * The properties are those of Prometheus' `promql/parser/generated_parser.y` (3.14), rule
 * `histogram_desc_item`.
 */
import { customSchema, type Histogram, resetHint } from '../../../src/model/histogram.js';
import type { WireHistogram } from '../../support/histogram-wire.js';

/** A histogram with one span a side, as scripts write them. */
export interface ScriptHistogram {
  readonly schema: number;
  readonly count: number;
  readonly sum: number;
  readonly zeroCount: number;
  readonly zeroThreshold: number;
  /** Index of the first bucket above zero; then a count for each. */
  readonly offset: number;
  readonly buckets: readonly number[];
  readonly negativeOffset: number;
  readonly negativeBuckets: readonly number[];
  /** Bounds, where the schema is that of custom buckets. */
  readonly bounds: readonly number[];
  /** One of `resetHint`; undefined where the script does not say. */
  readonly hint: number | undefined;
}

const hints: Readonly<Record<string, number>> = {
  unknown: resetHint.unknown,
  reset: resetHint.reset,
  not_reset: resetHint.noReset,
  gauge: resetHint.gauge,
};

/** `1.5`, `-1e3`, `Inf`, `+inf`, `NaN`. Throws on anything else. */
export function scriptNumber(text: string): number {
  const special = /^([+-]?)(inf|nan)$/i.exec(text);
  if (special !== null) {
    const value = special[2].toLowerCase() === 'nan' ? NaN : Infinity;
    return special[1] === '-' ? -value : value;
  }
  const value = Number(text);
  if (text === '' || Number.isNaN(value)) {
    throw new RangeError(`not a number: ${text}`);
  }
  return value;
}

/** Reads what is between `{{` and `}}`. */
export function parseHistogram(body: string): ScriptHistogram {
  const texts = new Map<string, string>();
  for (const [, name, list, plain] of body.matchAll(/(\w+):(?:\[([^\]]*)\]|(\S+))/g)) {
    texts.set(name, list ?? plain);
  }
  const take = (name: string): string | undefined => {
    const text = texts.get(name);
    texts.delete(name);
    return text;
  };
  const number = (name: string): number => scriptNumber(take(name) ?? '0');
  const list = (name: string): number[] =>
    (take(name) ?? '').split(/\s+/).filter(Boolean).map(scriptNumber);
  const hint = take('counter_reset_hint');
  const histogram: ScriptHistogram = {
    schema: number('schema'),
    count: number('count'),
    sum: number('sum'),
    zeroCount: number('z_bucket'),
    zeroThreshold: number('z_bucket_w'),
    offset: number('offset'),
    buckets: list('buckets'),
    negativeOffset: number('n_offset'),
    negativeBuckets: list('n_buckets'),
    bounds: list('custom_values'),
    hint: hint === undefined ? undefined : hints[hint],
  };
  if (texts.size > 0) {
    throw new RangeError(`unknown properties of a histogram: ${[...texts.keys()].join(', ')}`);
  }
  return histogram;
}

/** One plus or minus another of the same layout: what `{{…}}+{{…}}x3` adds each time. */
export function addHistograms(
  one: ScriptHistogram,
  other: ScriptHistogram,
  sign: 1 | -1,
): ScriptHistogram {
  const fits =
    one.schema === other.schema &&
    (other.buckets.length === 0 || one.offset === other.offset) &&
    (other.negativeBuckets.length === 0 || one.negativeOffset === other.negativeOffset);
  if (!fits) {
    throw new RangeError('only histograms of one layout can be added in a script');
  }
  const sums = (a: readonly number[], b: readonly number[]): number[] =>
    Array.from(
      { length: Math.max(a.length, b.length) },
      (_, i) => (a[i] ?? 0) + sign * (b[i] ?? 0),
    );
  return {
    ...one,
    count: one.count + sign * other.count,
    sum: one.sum + sign * other.sum,
    zeroCount: one.zeroCount + sign * other.zeroCount,
    buckets: sums(one.buckets, other.buckets),
    negativeBuckets: sums(one.negativeBuckets, other.negativeBuckets),
  };
}

/** The form that the evaluator reckons with. */
export function packHistogram(histogram: ScriptHistogram): Histogram {
  const { buckets, negativeBuckets, bounds } = histogram;
  const spans = (offset: number, length: number): number[] => (length > 0 ? [offset, length] : []);
  const positive = spans(histogram.offset, buckets.length);
  const negative = spans(histogram.negativeOffset, negativeBuckets.length);
  return Float64Array.of(
    histogram.schema,
    histogram.hint ?? resetHint.unknown,
    histogram.zeroThreshold,
    histogram.zeroCount,
    histogram.count,
    histogram.sum,
    positive.length / 2,
    negative.length / 2,
    bounds.length,
    ...positive,
    ...negative,
    ...bounds,
    ...buckets,
    ...negativeBuckets,
  );
}

/** The form that travels by remote_write. */
export function wireHistogram(histogram: ScriptHistogram, timestamp: number): WireHistogram {
  const { buckets, negativeBuckets, bounds, schema } = histogram;
  const counts = [histogram.count, histogram.zeroCount, ...buckets, ...negativeBuckets];
  return {
    timestamp,
    integer: counts.every(Number.isInteger),
    schema,
    count: histogram.count,
    sum: histogram.sum,
    zeroThreshold: histogram.zeroThreshold,
    zeroCount: histogram.zeroCount,
    positiveSpans: buckets.length > 0 ? [[histogram.offset, buckets.length]] : [],
    negativeSpans:
      negativeBuckets.length > 0 ? [[histogram.negativeOffset, negativeBuckets.length]] : [],
    positive: buckets,
    negative: negativeBuckets,
    ...(schema === customSchema && { bounds }),
    hint: histogram.hint ?? resetHint.unknown,
  };
}
