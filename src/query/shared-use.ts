/**
 * @file What all query threads use together, in memory that they share: bytes held, and how far the
 * query of each thread has come.
 *
 * Element 0 is the sum of all bytes. Then each slot has two: its bytes, and the samples that its
 * query has decoded. A slot has one writer at a time, its thread; the main thread empties the slot
 * of a thread that it has ended.
 */

/** A bound on what queries hold together, seen from one thread. */
export class SharedUse {
  readonly #cells: BigInt64Array;
  readonly #maxBytes: bigint;
  readonly #slot: number;

  private constructor(cells: BigInt64Array, maxBytes: bigint, slot: number) {
    this.#cells = cells;
    this.#maxBytes = maxBytes;
    this.#slot = slot;
  }

  /** Memory for `slots` threads that may hold `maxBytes` together. */
  static create(slots: number, maxBytes: number): SharedUseHandle {
    return { memory: new SharedArrayBuffer((1 + 2 * slots) * 8), maxBytes };
  }

  static attach({ memory, maxBytes }: SharedUseHandle, slot: number): SharedUse {
    return new SharedUse(new BigInt64Array(memory), BigInt(maxBytes), slot);
  }

  get maxBytes(): number {
    return Number(this.#maxBytes);
  }

  /** Bytes of all threads. */
  get totalBytes(): number {
    return Number(Atomics.load(this.#cells, 0));
  }

  /** Samples that the query of this slot has decoded. */
  get samples(): number {
    return Number(Atomics.load(this.#cells, this.#slot * 2 + 2));
  }

  setSamples(samples: number): void {
    Atomics.store(this.#cells, this.#slot * 2 + 2, BigInt(samples));
  }

  /** Takes bytes into account; false, and nothing is taken, where that would pass the bound. */
  take(bytes: number): boolean {
    const more = BigInt(bytes);
    if (Atomics.add(this.#cells, 0, more) + more > this.#maxBytes) {
      Atomics.sub(this.#cells, 0, more);
      return false;
    }
    Atomics.add(this.#cells, this.#slot * 2 + 1, more);
    return true;
  }

  /** Takes bytes that are there already, bound or not. */
  add(bytes: number): void {
    Atomics.add(this.#cells, 0, BigInt(bytes));
    Atomics.add(this.#cells, this.#slot * 2 + 1, BigInt(bytes));
  }

  give(bytes: number): void {
    this.add(-bytes);
  }

  /** Gives back whatever the slot holds: its thread is gone. */
  empty(): void {
    const held = Atomics.exchange(this.#cells, this.#slot * 2 + 1, 0n);
    Atomics.sub(this.#cells, 0, held);
    this.setSamples(0);
  }
}

/** What `SharedUse.attach` needs; may be posted to a thread. */
export interface SharedUseHandle {
  readonly memory: SharedArrayBuffer;
  readonly maxBytes: number;
}
