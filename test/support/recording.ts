/**
 * @file Series as tests compare them: label text to timestamps to the bits of a value.
 *
 * Values are `bigint` bits throughout: a NaN that passes through a JavaScript number may change its
 * payload.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { uncompress } from 'snappyjs';

/** The value of Prometheus' stale marker. */
export const staleMarkerBits = 0x7ff0000000000002n;

/** Timestamps in milliseconds to the value's bits. */
export type SampleBits = Map<number, bigint>;

/** Canonical label text to samples. */
export type SeriesBits = Map<string, SampleBits>;

/** The key of a label set: pairs sorted by name, as JSON. */
export function seriesKey(labels: Iterable<readonly [string, string]>): string {
  const pairs = [...labels].filter(([, value]) => value !== '');
  return JSON.stringify(pairs.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}

/** Whether the bits are any NaN. */
export function isNaNBits(bits: bigint): boolean {
  return (bits & 0x7fffffffffffffffn) > 0x7ff0000000000000n;
}

const scratch = new DataView(new ArrayBuffer(8));

/** The bits of a number that is not NaN. */
export function bitsOf(value: number): bigint {
  scratch.setFloat64(0, value);
  return scratch.getBigUint64(0);
}

/** Copies `values[index]` bit by bit. */
export function bitsAt(values: Float64Array, index: number): bigint {
  const { buffer, byteOffset } = values;
  return new DataView(buffer, byteOffset + index * 8, 8).getBigUint64(0, true);
}

interface WireRequest {
  readonly timeseries?: readonly {
    readonly labels?: readonly { readonly name?: string; readonly value?: string }[];
    readonly samples?: readonly { readonly value?: string; readonly timestamp?: string }[];
  }[];
}

/** The schema with a sample's value as `fixed64`: the same bytes on the wire, read as bits. */
const bitSchema = readFileSync(
  new URL('../../proto/remote_write_v1.proto', import.meta.url),
  'utf8',
).replace('double value = 1', 'fixed64 value = 1');
const writeRequest = protobuf
  .parse(bitSchema, { keepCase: true })
  .root.lookupType('metricstor.remote_write.v1.WriteRequest');

/**
 * Adds the samples of a snappy-compressed request to `into`; the last write of a timestamp wins.
 */
export function addRequest(into: SeriesBits, body: Uint8Array): void {
  const message = writeRequest.decode(Uint8Array.from(uncompress(Uint8Array.from(body))));
  const request = writeRequest.toObject(message, { longs: String }) as WireRequest;
  for (const series of request.timeseries ?? []) {
    const labels = (series.labels ?? []).map(
      (label) => [label.name ?? '', label.value ?? ''] as const,
    );
    const samples = samplesOf(into, seriesKey(labels));
    for (const sample of series.samples ?? []) {
      samples.set(Number(sample.timestamp ?? 0), BigInt(sample.value ?? 0));
    }
  }
}

/** The samples under `key`, made when missing. */
export function samplesOf(into: SeriesBits, key: string): SampleBits {
  let samples = into.get(key);
  if (samples === undefined) {
    samples = new Map();
    into.set(key, samples);
  }
  return samples;
}

/** How many samples there are. */
export function countSamples(series: SeriesBits): number {
  let count = 0;
  for (const samples of series.values()) count += samples.size;
  return count;
}

/**
 * What of `want` is not in `got` with the same bits, as sentences, at most `limit`; empty when all
 * is there. `got` may have more.
 */
export function missingFrom(got: SeriesBits, want: SeriesBits, limit = 10): string[] {
  const found: string[] = [];
  for (const [key, samples] of want) {
    const there = got.get(key);
    for (const [timestamp, bits] of samples) {
      const value = there?.get(timestamp);
      if (value === bits) continue;
      found.push(
        `${key} at ${timestamp}: got ${value?.toString(16) ?? 'nothing'}, want ${bits.toString(16)}`,
      );
      if (found.length === limit) return found;
    }
  }
  return found;
}
