/**
 * @file Protobuf by hand: bytes, varints, text and nested messages.
 */

/** Bytes that grow by doubling. */
export class ByteWriter {
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

  /** Element `index` of `values` by its bits. */
  double(values: Float64Array, index: number): void {
    this.append(new Uint8Array(values.buffer, values.byteOffset + index * 8, 8));
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

/** A field of text. */
export function writeText(out: ByteWriter, tag: number, text: string): void {
  const bytes = utf8.encode(text);
  out.byte(tag);
  out.varint(bytes.length);
  out.append(bytes);
}

/** A field that is a message. */
export function writeNested(out: ByteWriter, tag: number, inner: ByteWriter): void {
  out.byte(tag);
  out.varint(inner.size);
  out.append(inner.view());
}
