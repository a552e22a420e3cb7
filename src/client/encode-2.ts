/**
 * @file Encodes remote_write 2.0 requests, which carry exemplars and metadata with their series:
 * the schema is `proto/remote_write_v2.proto`. By hand for the reason given in `encode.ts`.
 */
import { compress } from 'snappyjs';
import { ByteWriter, writeNested, writeText } from './byte-writer.js';
import type { WireSeries } from './encode.js';

/** Points at what led to an observation, a trace mostly. */
export interface WireExemplar {
  /** As those of a series; at most 128 characters in all. */
  readonly labels: readonly (readonly [string, string])[];
  readonly timestampMs: number;
  readonly value: number;
}

const metricTypes = [
  'unknown',
  'counter',
  'gauge',
  'histogram',
  'gaugehistogram',
  'summary',
  'info',
  'stateset',
] as const;

export type MetricType = (typeof metricTypes)[number];

export interface WireMetadata {
  readonly type: MetricType;
  readonly help?: string;
  readonly unit?: string;
}

/** A series with what remote_write 2.0 says beside its samples, of which it needs at least one. */
export interface DescribedSeries extends WireSeries {
  /** Ascending by time. */
  readonly exemplars?: readonly WireExemplar[];
  readonly metadata?: WireMetadata;
}

const symbolTag = 0x22;
const timeseriesTag = 0x2a;
const labelsTag = 0x0a;
const samplesTag = 0x12;
const exemplarsTag = 0x22;
const metadataTag = 0x2a;
const sampleValueTag = 0x09;
const sampleTimestampTag = 0x10;
const exemplarValueTag = 0x11;
const exemplarTimestampTag = 0x18;
const metadataTypeTag = 0x08;
const metadataHelpTag = 0x18;
const metadataUnitTag = 0x20;

/** Texts of a request, each once; the empty one is 0. */
class Symbols {
  readonly #numbers = new Map<string, number>([['', 0]]);

  of(text: string): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) {
      return known;
    }
    const number = this.#numbers.size;
    this.#numbers.set(text, number);
    return number;
  }

  write(out: ByteWriter): void {
    for (const text of this.#numbers.keys()) {
      writeText(out, symbolTag, text);
    }
  }
}

class RequestWriter {
  readonly #symbols = new Symbols();
  readonly #series = new ByteWriter();
  readonly #one = new ByteWriter();
  readonly #inner = new ByteWriter();
  readonly #packed = new ByteWriter();

  add(series: DescribedSeries): void {
    const [one, inner] = [this.#one, this.#inner];
    one.clear();
    this.#labels(one, series.labels);
    for (let i = 0; i < series.timestamps.length; i++) {
      inner.clear();
      inner.byte(sampleValueTag);
      inner.double(series.values, i);
      inner.byte(sampleTimestampTag);
      inner.varint(series.timestamps[i]);
      writeNested(one, samplesTag, inner);
    }
    for (const { labels, timestampMs, value } of series.exemplars ?? []) {
      inner.clear();
      this.#labels(inner, labels);
      inner.byte(exemplarValueTag);
      inner.double(Float64Array.of(value), 0);
      inner.byte(exemplarTimestampTag);
      inner.varint(timestampMs);
      writeNested(one, exemplarsTag, inner);
    }
    if (series.metadata !== undefined) {
      const { type, help = '', unit = '' } = series.metadata;
      inner.clear();
      inner.byte(metadataTypeTag);
      inner.varint(metricTypes.indexOf(type));
      inner.byte(metadataHelpTag);
      inner.varint(this.#symbols.of(help));
      inner.byte(metadataUnitTag);
      inner.varint(this.#symbols.of(unit));
      writeNested(one, metadataTag, inner);
    }
    writeNested(this.#series, timeseriesTag, one);
  }

  finish(): Uint8Array {
    const out = new ByteWriter();
    this.#symbols.write(out);
    out.append(this.#series.view());
    return out.view().slice();
  }

  #labels(out: ByteWriter, labels: readonly (readonly [string, string])[]): void {
    this.#packed.clear();
    for (const text of labels.flat()) {
      this.#packed.varint(this.#symbols.of(text));
    }
    writeNested(out, labelsTag, this.#packed);
  }
}

/** The body of a 2.0 request: protobuf in snappy's block format. */
export function encodeWriteRequest2(all: readonly DescribedSeries[]): Uint8Array {
  const request = new RequestWriter();
  for (const series of all) {
    request.add(series);
  }
  return compress(request.finish());
}
