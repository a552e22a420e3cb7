/**
 * @file Which series `limit_ratio` keeps: a hash of the labels decides, the same as in Prometheus.
 *
 * Prometheus takes XXH64 (seed 0) of its `stringlabels` encoding: names and values, each behind
 * its length (`model/labels/labels_stringlabels.go`, 3.14). XXH64: specification of xxHash,
 * section "XXH64".
 */
import type { LabelTable } from '../../model/labels.js';
import type { QuerySession } from '../../storage/querier.js';

const mask = (1n << 64n) - 1n;
const prime1 = 0x9e3779b185ebca87n;
const prime2 = 0xc2b2ae3d27d4eb4fn;
const prime3 = 0x165667b19e3779f9n;
const prime4 = 0x85ebca77c2b2ae63n;
const prime5 = 0x27d4eb2f165667c5n;

function rotate(value: bigint, bits: bigint): bigint {
  return ((value << bits) | (value >> (64n - bits))) & mask;
}

function round(lane: bigint, input: bigint): bigint {
  return (rotate((lane + input * prime2) & mask, 31n) * prime1) & mask;
}

/** XXH64 with seed 0. */
export function xxh64(data: Buffer): bigint {
  let at = 0;
  let hash: bigint;
  if (data.length >= 32) {
    const lanes = [(prime1 + prime2) & mask, prime2, 0n, -prime1 & mask];
    for (; at + 32 <= data.length; at += 32) {
      for (let i = 0; i < 4; i++) {
        lanes[i] = round(lanes[i], data.readBigUInt64LE(at + 8 * i));
      }
    }
    const [a, b, c, d] = lanes;
    hash = (rotate(a, 1n) + rotate(b, 7n) + rotate(c, 12n) + rotate(d, 18n)) & mask;
    for (const lane of lanes) {
      hash = ((hash ^ round(0n, lane)) * prime1 + prime4) & mask;
    }
  } else {
    hash = prime5;
  }
  hash = (hash + BigInt(data.length)) & mask;
  for (; at + 8 <= data.length; at += 8) {
    hash = (rotate(hash ^ round(0n, data.readBigUInt64LE(at)), 27n) * prime1 + prime4) & mask;
  }
  if (at + 4 <= data.length) {
    const input = (BigInt(data.readUInt32LE(at)) * prime1) & mask;
    hash = (rotate(hash ^ input, 23n) * prime2 + prime3) & mask;
    at += 4;
  }
  for (; at < data.length; at++) {
    hash = (rotate(hash ^ ((BigInt(data[at]) * prime5) & mask), 11n) * prime1) & mask;
  }
  hash = ((hash ^ (hash >> 33n)) * prime2) & mask;
  hash = ((hash ^ (hash >> 29n)) * prime3) & mask;
  return hash ^ (hash >> 32n);
}

/** Length prefix: one byte below 255, else 255 and three bytes, lowest first. */
function sized(text: string): Buffer {
  const bytes = Buffer.from(text);
  const { length } = bytes;
  const size =
    length < 255
      ? Buffer.of(length)
      : Buffer.of(255, length & 0xff, (length >> 8) & 0xff, (length >> 16) & 0xff);
  return Buffer.concat([size, bytes]);
}

/** Hashes each series once. */
export class RatioSampler {
  private readonly shares = new Map<number, number>();

  constructor(
    private readonly session: QuerySession,
    private readonly labels: LabelTable,
  ) {}

  /** Whether a series is in the sample of a ratio within [-1, 1]; `r` and `r - 1` complement. */
  isIn(series: number, ratio: number): boolean {
    const share = this.share(series);
    return ratio >= 0 ? share < ratio : share >= 1 + ratio;
  }

  /** The series' hash as a share of all hashes, in [0, 1]. */
  private share(series: number): number {
    const known = this.shares.get(series);
    if (known !== undefined) {
      return known;
    }
    const parts: Buffer[] = [];
    for (let i = this.labels.offsets[series]; i < this.labels.offsets[series + 1]; i++) {
      parts.push(sized(this.session.text(this.labels.ids[i])));
    }
    const share = Number(xxh64(Buffer.concat(parts))) / Number(mask);
    this.shares.set(series, share);
    return share;
  }
}
