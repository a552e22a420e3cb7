/**
 * @file Puts into the log, once each, the blocks that were found damaged and set aside: at the
 * start, by a merge or by a query. The engine keeps a sentence about each until it is asked.
 */
import type { Logger } from './log.js';

/** An operator may wait this long for a line; a call that finds nothing costs a microsecond. */
const pollMs = 1000;

export class DamageLog {
  readonly #timer: NodeJS.Timeout;

  /** Logs what there is, and from now on what comes. */
  constructor(
    private readonly log: Logger,
    private readonly takeSentences: () => readonly string[],
  ) {
    this.#look();
    this.#timer = setInterval(() => this.#look(), pollMs).unref();
  }

  /** Logs what came last. To be called before the engine is closed. */
  stop(): void {
    clearInterval(this.#timer);
    this.#look();
  }

  #look(): void {
    for (const damage of this.takeSentences()) {
      this.log.error({ damage }, 'a damaged block was set aside');
    }
  }
}
