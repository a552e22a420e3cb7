/**
 * @file Short forms that the end-to-end tests share: series literals, and a write that must
 * succeed.
 */
import { RemoteWriteClient, type WireSeries } from '../../src/client/remote-write.js';
import { bitsAt, type SeriesBits, samplesOf, seriesKey } from './recording.js';

/** A series from its labels, and its samples as `[timestampMs, value]`. */
export function series(
  labels: Readonly<Record<string, string>>,
  samples: readonly (readonly [number, number])[],
): WireSeries {
  return {
    labels: Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)),
    timestamps: Float64Array.from(samples, ([timestamp]) => timestamp),
    values: Float64Array.from(samples, ([, value]) => value),
  };
}

/** Doubles from their bits: the only way to write down a NaN with a payload. */
export function valuesFromBits(...bits: readonly bigint[]): Float64Array {
  return new Float64Array(BigUint64Array.from(bits).buffer);
}

/** The samples of series as bits; a later one at the same timestamp wins. */
export function bitsOfSeries(all: readonly WireSeries[]): SeriesBits {
  const bits: SeriesBits = new Map();
  for (const { labels, timestamps, values } of all) {
    const samples = samplesOf(bits, seriesKey(labels));
    for (const [index, timestamp] of timestamps.entries())
      samples.set(timestamp, bitsAt(values, index));
  }
  return bits;
}

/** Writes and throws unless everything was stored. */
export async function pushAll(url: string, all: readonly WireSeries[]): Promise<void> {
  const client = new RemoteWriteClient({ url });
  try {
    const answer = await client.write(all);
    if (answer.status !== 204) {
      throw new Error(`the write was answered ${answer.status}, want 204: ${answer.body}`);
    }
  } finally {
    client.close();
  }
}
