/**
 * @file Encodes native histograms as remote_write carries them, for tests of the wire: field
 * numbers of `Histogram` and `BucketSpan` in Prometheus' `prompb/types.proto` (3.14), which are
 * those of 2.0 too, and `TimeSeries` of `prompb/io/prometheus/write/v2/types.proto` with start
 * timestamps.
 */
import { compress } from 'snappyjs';

/** A histogram sample; counts are integers where `integer` says so. */
export interface WireHistogram {
  readonly timestamp: number;
  readonly integer: boolean;
  readonly schema: number;
  readonly zeroThreshold?: number;
  readonly zeroCount?: number;
  readonly count: number;
  readonly sum: number | 'stale';
  /** Offset and length of each. */
  readonly positiveSpans?: readonly (readonly [number, number])[];
  readonly negativeSpans?: readonly (readonly [number, number])[];
  /** Absolute counts of the buckets. */
  readonly positive?: readonly number[];
  readonly negative?: readonly number[];
  readonly bounds?: readonly number[];
  /** 0 unknown, 1 reset, 2 no reset, 3 gauge. */
  readonly hint?: number;
  /** Its start timestamp, in milliseconds; 2.0 only. */
  readonly start?: number | undefined;
}

export interface HistogramSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** Time in milliseconds, and value; for 2.0 also a start timestamp. */
  readonly floats?: readonly (readonly [number, number | 'stale', start?: number | undefined])[];
  readonly histograms?: readonly WireHistogram[];
}

function varint(value: number): number[] {
  const out: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 0x80n) {
    out.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...out, Number(rest)];
}

function zigzag(value: number): number[] {
  return varint(value < 0 ? -2 * value - 1 : 2 * value);
}

function double(value: number | 'stale'): number[] {
  return value === 'stale'
    ? [2, 0, 0, 0, 0, 0, 0xf0, 0x7f]
    : [...new Uint8Array(Float64Array.of(value).buffer)];
}

const tag = (field: number, type: number): number[] => varint((field << 3) | type);
const number = (field: number, encoded: number[]): number[] => [...tag(field, 0), ...encoded];
const fixed = (field: number, value: number | 'stale'): number[] => [
  ...tag(field, 1),
  ...double(value),
];
const nested = (field: number, content: number[]): number[] => [
  ...tag(field, 2),
  ...varint(content.length),
  ...content,
];

function spans(field: number, all: WireHistogram['positiveSpans'] = []): number[] {
  return all.flatMap(([offset, length]) =>
    nested(field, [...number(1, zigzag(offset)), ...number(2, varint(length))]),
  );
}

function deltas(field: number, counts: readonly number[] = []): number[] {
  return nested(
    field,
    counts.flatMap((count, i) => zigzag(count - (i === 0 ? 0 : counts[i - 1]))),
  );
}

function doubles(field: number, values: readonly number[] = []): number[] {
  return nested(field, values.flatMap(double));
}

function message(histogram: WireHistogram): number[] {
  const { integer, positive, negative, zeroCount = 0 } = histogram;
  return [
    ...(integer ? number(1, varint(histogram.count)) : fixed(2, histogram.count)),
    ...fixed(3, histogram.sum),
    ...number(4, zigzag(histogram.schema)),
    ...fixed(5, histogram.zeroThreshold ?? 0),
    ...(integer ? number(6, varint(zeroCount)) : fixed(7, zeroCount)),
    ...spans(8, histogram.negativeSpans),
    ...(integer ? deltas(9, negative) : doubles(10, negative)),
    ...spans(11, histogram.positiveSpans),
    ...(integer ? deltas(12, positive) : doubles(13, positive)),
    ...number(14, varint(histogram.hint ?? 0)),
    ...number(15, varint(histogram.timestamp)),
    ...doubles(16, histogram.bounds),
    ...number(17, varint(histogram.start ?? 0)),
  ];
}

const text = (value: string): number[] => [...new TextEncoder().encode(value)];

/** The body of a remote_write 1.0 request: protobuf in snappy's block format. */
export function encodeHistograms(all: readonly HistogramSeries[]): Uint8Array {
  const body = all.flatMap(({ labels, floats = [], histograms = [] }) => {
    const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    return nested(1, [
      ...pairs.flatMap(([name, value]) =>
        nested(1, [...nested(1, text(name)), ...nested(2, text(value))]),
      ),
      ...floats.flatMap(([timestamp, value]) =>
        nested(2, [...fixed(1, value), ...number(2, varint(timestamp))]),
      ),
      ...histograms.flatMap((histogram) => nested(4, message(histogram))),
    ]);
  });
  return compress(Uint8Array.from(body));
}

/** What says that a body is one of remote_write 2.0. */
export const remoteWrite2 = {
  'content-type': 'application/x-protobuf;proto=io.prometheus.write.v2.Request',
  'x-prometheus-remote-write-version': '2.0.0',
};

/** The body of a remote_write 2.0 request, start timestamps included. */
export function encodeStarted(all: readonly HistogramSeries[]): Uint8Array {
  const symbols = [''];
  const symbol = (value: string): number => {
    const known = symbols.indexOf(value);
    return known >= 0 ? known : symbols.push(value) - 1;
  };
  const series = all.flatMap(({ labels, floats = [], histograms = [] }) => {
    const pairs = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
    const refs = pairs.flat().flatMap((word) => varint(symbol(word)));
    return nested(5, [
      ...nested(1, refs),
      ...floats.flatMap(([timestamp, value, start = 0]) =>
        nested(2, [
          ...fixed(1, value),
          ...number(2, varint(timestamp)),
          ...number(3, varint(start)),
        ]),
      ),
      ...histograms.flatMap((histogram) => nested(3, message(histogram))),
    ]);
  });
  const words = symbols.flatMap((word) => nested(4, text(word)));
  return compress(Uint8Array.from([...words, ...series]));
}
