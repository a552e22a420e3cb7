/**
 * @file Label sets as ids: building, projecting and finding equal ones without any text.
 *
 * See `model/labels.ts` for the shape. Names ascend bytewise by their text, so only inserting a
 * label asks the session for text.
 */
import type { LabelTable } from '../../model/labels.js';
import type { QuerySession } from '../../storage/querier.js';
import { goQuote } from '../position.js';
import { printLabel } from '../print.js';

/** The table of one empty label set. */
export const emptyLabels: LabelTable = {
  count: 1,
  ids: new Uint32Array(0),
  offsets: Uint32Array.of(0, 0),
};

/** Bytes of a table's arrays. */
export function labelBytes(labels: LabelTable): number {
  return labels.ids.byteLength + labels.offsets.byteLength;
}

/** The value id of a label, or 0 (the empty text) when the series does not have it. */
export function labelValue(labels: LabelTable, series: number, name: number): number {
  const end = labels.offsets[series + 1];
  for (let i = labels.offsets[series]; i < end; i += 2) {
    if (labels.ids[i] === name) {
      return labels.ids[i + 1];
    }
  }
  return 0;
}

/** A label set as `{a="b", …}`, the metric name among the labels, as Go prints one in an error. */
export function printLabels(session: QuerySession, labels: LabelTable, series: number): string {
  const pairs: string[] = [];
  const end = labels.offsets[series + 1];
  for (let i = labels.offsets[series]; i < end; i += 2) {
    const label = session.text(labels.ids[i]);
    const value = session.text(labels.ids[i + 1]);
    pairs.push(`${printLabel(label)}=${goQuote(value)}`);
  }
  return `{${pairs.join(', ')}}`;
}

/** A table of the given series of another. */
export function selectSeries(labels: LabelTable, series: ArrayLike<number>): LabelTable {
  const count = series.length;
  const offsets = new Uint32Array(count + 1);
  let total = 0;
  for (let i = 0; i < count; i++) {
    const from = series[i];
    total += labels.offsets[from + 1] - labels.offsets[from];
    offsets[i + 1] = total;
  }
  const ids = new Uint32Array(total);
  for (let i = 0; i < count; i++) {
    const from = series[i];
    ids.set(labels.ids.subarray(labels.offsets[from], labels.offsets[from + 1]), offsets[i]);
  }
  return { count, ids, offsets };
}

/** Tables one after another. */
export function concatLabels(first: LabelTable, second: LabelTable): LabelTable {
  const split = first.offsets[first.count];
  const total = split + second.offsets[second.count];
  const ids = new Uint32Array(total);
  ids.set(first.ids.subarray(0, split));
  ids.set(second.ids.subarray(0, total - split), split);
  const count = first.count + second.count;
  const offsets = new Uint32Array(count + 1);
  offsets.set(first.offsets.subarray(0, first.count + 1));
  for (let i = 0; i <= second.count; i++) {
    offsets[first.count + i] = split + second.offsets[i];
  }
  return { count, ids, offsets };
}

/** One label set while it is put together: (name, value) pairs in `ids[0 .. length)`. */
export class LabelScratch {
  ids: Uint32Array = new Uint32Array(64);
  length = 0;

  /** Takes over a series' labels. */
  load(labels: LabelTable, series: number): void {
    const from = labels.offsets[series];
    const to = labels.offsets[series + 1];
    this.reserve(to - from + 2);
    this.ids.set(labels.ids.subarray(from, to));
    this.length = to - from;
  }

  /** Takes over the labels whose name is in `names` (`keep`), or all others. */
  project(labels: LabelTable, series: number, names: ReadonlySet<number>, keep: boolean): void {
    const from = labels.offsets[series];
    const to = labels.offsets[series + 1];
    this.reserve(to - from + 2);
    const { ids } = this;
    let length = 0;
    for (let i = from; i < to; i += 2) {
      const name = labels.ids[i];
      if (names.has(name) === keep) {
        ids[length] = name;
        ids[length + 1] = labels.ids[i + 1];
        length += 2;
      }
    }
    this.length = length;
  }

  /** Sets a label, in its place; the empty value (0) removes it. */
  set(session: QuerySession, name: number, value: number): void {
    const { ids } = this;
    let at = 0;
    while (at < this.length && ids[at] !== name) {
      at += 2;
    }
    if (at < this.length) {
      if (value === 0) {
        ids.copyWithin(at, at + 2, this.length);
        this.length -= 2;
      } else {
        ids[at + 1] = value;
      }
      return;
    }
    if (value !== 0) {
      this.insert(session, name, value);
    }
  }

  private insert(session: QuerySession, name: number, value: number): void {
    this.reserve(this.length + 2);
    const { ids } = this;
    const text = Buffer.from(session.text(name));
    let at = 0;
    while (at < this.length && Buffer.from(session.text(ids[at])).compare(text) < 0) {
      at += 2;
    }
    ids.copyWithin(at + 2, at, this.length);
    ids[at] = name;
    ids[at + 1] = value;
    this.length += 2;
  }

  private reserve(length: number): void {
    if (this.ids.length < length) {
      const larger = new Uint32Array(length * 2);
      larger.set(this.ids);
      this.ids = larger;
    }
  }
}

/**
 * A growing set of label sets: equal ones have one index, in order of first appearance.
 * Open addressing over a hash of the ids.
 */
export class LabelIndex {
  count = 0;
  private ids = new Uint32Array(256);
  private offsets = new Uint32Array(33);
  private hashes = new Uint32Array(32);
  /** Index + 1, or 0 for free. */
  private slots = new Int32Array(64);

  /** The index of a scratch label set, added if it is new. */
  add(scratch: LabelScratch): number {
    return this.find(scratch.ids, 0, scratch.length, true);
  }

  /** The index of a series' label set, added if it is new. */
  addSeries(labels: LabelTable, series: number): number {
    const from = labels.offsets[series];
    const to = labels.offsets[series + 1];
    return this.find(labels.ids, from, to, true);
  }

  /** The index of a scratch label set, or -1. */
  get(scratch: LabelScratch): number {
    return this.find(scratch.ids, 0, scratch.length, false);
  }

  /** The label sets so far. */
  table(): LabelTable {
    return {
      count: this.count,
      ids: this.ids.slice(0, this.offsets[this.count]),
      offsets: this.offsets.slice(0, this.count + 1),
    };
  }

  private find(ids: Uint32Array, from: number, to: number, insert: boolean): number {
    let hash = 0x811c9dc5;
    for (let i = from; i < to; i++) {
      hash = Math.imul(hash ^ ids[i], 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    hash >>>= 0;
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const found = this.slots[slot] - 1;
      if (found < 0) {
        return insert ? this.insert(ids, from, to, hash, slot) : -1;
      }
      if (this.hashes[found] === hash && this.equals(found, ids, from, to)) {
        return found;
      }
      slot = (slot + 1) & mask;
    }
  }

  private equals(index: number, ids: Uint32Array, from: number, to: number): boolean {
    const start = this.offsets[index];
    if (this.offsets[index + 1] - start !== to - from) {
      return false;
    }
    for (let i = from, j = start; i < to; i++, j++) {
      if (this.ids[j] !== ids[i]) {
        return false;
      }
    }
    return true;
  }

  private insert(ids: Uint32Array, from: number, to: number, hash: number, slot: number): number {
    const index = this.count++;
    const start = this.offsets[index];
    const end = start + to - from;
    if (end > this.ids.length) {
      this.ids = grown(this.ids, end * 2);
    }
    if (index + 2 > this.offsets.length) {
      this.offsets = grown(this.offsets, (index + 2) * 2);
      this.hashes = grown(this.hashes, (index + 2) * 2);
    }
    this.ids.set(ids.subarray(from, to), start);
    this.offsets[index + 1] = end;
    this.hashes[index] = hash;
    this.slots[slot] = index + 1;
    if (this.count * 2 > this.slots.length) {
      this.rehash();
    }
    return index;
  }

  private rehash(): void {
    const slots = new Int32Array(this.slots.length * 2);
    const mask = slots.length - 1;
    for (let index = 0; index < this.count; index++) {
      let slot = this.hashes[index] & mask;
      while (slots[slot] !== 0) {
        slot = (slot + 1) & mask;
      }
      slots[slot] = index + 1;
    }
    this.slots = slots;
  }
}

function grown(array: Uint32Array, length: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(length);
  larger.set(array);
  return larger;
}
