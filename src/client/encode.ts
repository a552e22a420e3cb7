/**
 * @file Encodes remote_write 1.0 requests: the schema is `proto/remote_write_v1.proto`.
 *
 * Written by hand instead of through a protobuf library because a sample's value must keep its
 * bits: a stale marker that passes through a JavaScript number may become another NaN. A test
 * decodes this encoder's output by the schema.
 */
import { compress } from 'snappyjs';

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

/** Bytes that grow by doubling. */
class ByteWriter {
  private bytes = new Uint8Array(4096);
  private length = 0;

  get size(): number {
    return this.length;
  }

  clear(): void {
    this.length = 0;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** A protobuf varint of an integer within ±2^53; negative ones take ten bytes. */
  varint(value: number): void {
    this.reserve(10);
    if (value < 0) {
      let rest = BigInt.asUintN(64, BigInt(value));
      while (rest >= 0x80n) {
        this.bytes[this.length++] = Number(rest & 0x7fn) | 0x80;
        rest >>= 7n;
      }
      this.bytes[this.length++] = Number(rest);
      return;
    }
    let rest = value;
    while (rest >= 0x80) {
      this.bytes[this.length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.bytes[this.length++] = rest;
  }

  append(bytes: Uint8Array): void {
    this.reserve(bytes.length);
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** What was written; valid until the next write. */
  view(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) {
      return;
    }
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.view());
    this.bytes = grown;
  }
}

const utf8 = new TextEncoder();

function writeText(out: ByteWriter, tag: number, text: string): void {
  const bytes = utf8.encode(text);
  out.byte(tag);
  out.varint(bytes.length);
  out.append(bytes);
}

function writeNested(out: ByteWriter, tag: number, inner: ByteWriter): void {
  out.byte(tag);
  out.varint(inner.size);
  out.append(inner.view());
}

function writeSeries(out: ByteWriter, inner: ByteWriter, series: WireSeries): void {
  for (const [name, value] of series.labels) {
    inner.clear();
    writeText(inner, nameTag, name);
    writeText(inner, valueTag, value);
    writeNested(out, labelsTag, inner);
  }
  const { buffer, byteOffset } = series.values;
  for (let i = 0; i < series.timestamps.length; i++) {
    inner.clear();
    inner.byte(sampleValueTag);
    inner.append(new Uint8Array(buffer, byteOffset + i * 8, 8));
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
