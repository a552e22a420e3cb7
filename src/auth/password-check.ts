/**
 * @file Checks passwords without letting that become work for everybody else.
 *
 * A hash is slow on purpose and a client sends its password with every request, so answers are
 * remembered, by a digest under a key that only this process has. What is not remembered is
 * computed one at a time, however many ask: guessing takes one thread, never the whole pool on
 * which writes are decoded.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { MetricstorError } from '../errors.js';
import { type PasswordHash, passwordMatches } from './secret.js';

/** Different passwords that may wait for their turn. */
const waitingMax = 64;

/** Wrong passwords that are remembered: an agent that was misconfigured comes again and again. */
const wrongMax = 1024;

export class PasswordCheck {
  readonly #key = randomBytes(32);
  /** Digest of the right password, by the hash that it was checked against. */
  readonly #right = new WeakMap<PasswordHash, string>();
  readonly #wrong = new Set<string>();
  /** Checks that are running or waiting, by their digest. */
  readonly #pending = new Map<string, Promise<boolean>>();
  #last: Promise<unknown> = Promise.resolve();

  /** Whether it is the password. Rejects with `overloaded` when too many are being checked. */
  async matches(password: string, stored: PasswordHash): Promise<boolean> {
    const digest = createHmac('sha256', this.#key)
      .update(stored.salt)
      .update(stored.hash)
      .update(password)
      .digest('hex');
    if (this.#right.get(stored) === digest) {
      return true;
    }
    if (this.#wrong.has(digest)) {
      return false;
    }
    const pending = this.#pending.get(digest);
    if (pending !== undefined) {
      return await pending;
    }
    if (this.#pending.size >= waitingMax) {
      throw new MetricstorError('overloaded', 'too many passwords are being checked');
    }
    const check = this.#last.then(() => passwordMatches(password, stored));
    this.#last = check.catch(() => undefined);
    this.#pending.set(digest, check);
    try {
      const right = await check;
      this.#remember(digest, stored, right);
      return right;
    } finally {
      this.#pending.delete(digest);
    }
  }

  #remember(digest: string, stored: PasswordHash, right: boolean): void {
    if (right) {
      this.#right.set(stored, digest);
      return;
    }
    const [oldest] = this.#wrong;
    if (this.#wrong.size >= wrongMax && oldest !== undefined) {
      this.#wrong.delete(oldest);
    }
    this.#wrong.add(digest);
  }
}
