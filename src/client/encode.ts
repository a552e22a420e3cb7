/**
 * @file Encodes remote_write 1.0 requests: the schema is `proto/remote_write_v1.proto`.
 *
 * Written by hand instead of through a protobuf library because a sample's value must keep its
 * bits: a stale marker that passes through a JavaScript number may become another NaN. A test
 * decodes this encoder's output by the schema.
 */
import { compress } from 'snappyjs';
import { ByteWriter, writeNested, writeText } from './byte-writer.js';

/** One series of a request. `timestamps` (milliseconds, ascending) and `values` have one length. */
export interface WireSeries {
  /** Name and value pairs in the order in which they go out; a server wants them sorted by name. */
  readonly labels: readonly (readonly [string, string])[];
  readonly timestamps: Float64Array;
  /** Copied by bits. */
  readonly values: Float64Array;
}
const timeseriesTag = 0x0a;
const labelsTag = 0x0a;
const samplesTag = 0x12;
const nameTag = 0x0a;
const valueTag = 0x12;
const sampleValueTag = 0x09;
const sampleTimestampTag = 0x10;

function writeSeries(out: ByteWriter, inner: ByteWriter, series: WireSeries): void {
  for (const [name, value] of series.labels) {
    inner.clear();
    writeText(inner, nameTag, name);
    writeText(inner, valueTag, value);
    writeNested(out, labelsTag, inner);
  }
  for (let i = 0; i < series.timestamps.length; i++) {
    inner.clear();
    inner.byte(sampleValueTag);
    inner.double(series.values, i);
    inner.byte(sampleTimestampTag);
    inner.varint(series.timestamps[i]);
    writeNested(out, samplesTag, inner);
  }
}

/** The protobuf message of a request, not yet compressed. */
export function encodeWriteMessage(series: readonly WireSeries[]): Uint8Array {
  const out = new ByteWriter();
  const middle = new ByteWriter();
  const inner = new ByteWriter();
  for (const one of series) {
    middle.clear();
    writeSeries(middle, inner, one);
    writeNested(out, timeseriesTag, middle);
  }
  return out.view().slice();
}

/** The body of a request: protobuf in snappy's block format. */
export function encodeWriteRequest(series: readonly WireSeries[]): Uint8Array {
  return compress(encodeWriteMessage(series));
}
