/**
 * @file What a remote_write 2.0 request carries, as tests compare it.
 */
import { readFileSync } from 'node:fs';
import protobuf from 'protobufjs';
import { uncompress } from 'snappyjs';
import { seriesKey, staleMarkerBits } from './recording.js';

/** Our schema has no histograms; these are the published field numbers that tests look at. */
const histograms = `
message Span { sint32 offset = 1; uint32 length = 2; }
message Histogram {
  uint64 count = 1; fixed64 sum = 3; sint32 schema = 4;
  repeated Span positive_spans = 11; repeated sint64 positive_deltas = 12;
  int64 timestamp = 15; int64 start_timestamp = 17;
}`;
const schema = readFileSync(new URL('../../proto/remote_write_v2.proto', import.meta.url), 'utf8')
  .replace('double value = 1', 'fixed64 value = 1')
  .replace('repeated Exemplar', 'repeated Histogram histograms = 3;\n  repeated Exemplar');
const requestType = protobuf
  .parse(schema + histograms, { keepCase: true })
  .root.lookupType('metricstor.remote_write.v2.Request');

interface Request2 {
  readonly symbols?: readonly string[];
  readonly timeseries?: readonly {
    readonly labels_refs?: readonly number[];
    readonly samples?: readonly {
      readonly value?: string;
      readonly timestamp?: string;
      readonly start_timestamp?: string;
    }[];
    readonly histograms?: readonly {
      readonly count?: string;
      readonly sum?: string;
      readonly positive_deltas?: readonly string[];
      readonly timestamp?: string;
      readonly start_timestamp?: string;
    }[];
    readonly exemplars?: readonly unknown[];
    readonly metadata?: { readonly type?: number };
  }[];
}

/** A sample: a float, `null` for a NaN, or count, sum and positive buckets of a histogram. */
export type Shown = number | null | 'stale' | readonly [number, number | null, readonly number[]];

export interface Recorded2 {
  /** By {@link seriesKey}, a space and the time. */
  readonly samples: Map<string, Shown>;
  /** Start timestamps that are said, by the same keys. */
  readonly starts: Map<string, number>;
  /** Names of the series that are described. */
  readonly families: ReadonlySet<string>;
  readonly counts: {
    readonly samples: number;
    readonly histograms: number;
    readonly exemplars: number;
  };
}

function doubleOf(bits: bigint): number | null {
  const value = new DataView(new BigUint64Array([bits]).buffer).getFloat64(0, true);
  return Number.isNaN(value) ? null : value;
}

/** Decodes a snappy-compressed request. */
export function decodeRequest2(body: Uint8Array): Recorded2 {
  const message = requestType.decode(Uint8Array.from(uncompress(Uint8Array.from(body))));
  const request = requestType.toObject(message, { longs: String }) as Request2;
  const families = new Set<string>();
  const [all, starts] = [new Map<string, Shown>(), new Map<string, number>()];
  const counts = { samples: 0, histograms: 0, exemplars: 0 };
  const symbol = (ref: number | undefined): string => request.symbols?.[ref ?? 0] ?? '';
  for (const series of request.timeseries ?? []) {
    const refs = series.labels_refs ?? [];
    const pairs = Array.from(
      { length: refs.length / 2 },
      (_, i) => [symbol(refs[2 * i]), symbol(refs[2 * i + 1])] as const,
    );
    const key = seriesKey(pairs);
    if (series.metadata?.type !== undefined) {
      families.add(pairs.find(([name]) => name === '__name__')?.[1] ?? '');
    }
    const keep = (at: { timestamp?: string; start_timestamp?: string }, shown: Shown): void => {
      const place = `${key} ${Number(at.timestamp ?? 0)}`;
      all.set(place, shown);
      const start = Number(at.start_timestamp ?? 0);
      if (start !== 0) starts.set(place, start);
    };
    for (const sample of series.samples ?? []) {
      const bits = BigInt(sample.value ?? 0);
      keep(sample, bits === staleMarkerBits ? 'stale' : doubleOf(bits));
      counts.samples += 1;
    }
    for (const histogram of series.histograms ?? []) {
      const bits = BigInt(histogram.sum ?? 0);
      let bucket = 0;
      const buckets = (histogram.positive_deltas ?? []).map((delta) => {
        bucket += Number(delta);
        return bucket;
      });
      const shown = [Number(histogram.count ?? 0), doubleOf(bits), buckets] as const;
      keep(histogram, bits === staleMarkerBits ? 'stale' : shown);
      counts.histograms += 1;
    }
    counts.exemplars += series.exemplars?.length ?? 0;
  }
  return { samples: all, starts, families, counts };
}
