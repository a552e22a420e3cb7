/**
 * @file Which failures of requests are logged: each that is not the client's and that no retry
 * helps, and what the disk refuses, once a minute for as long as it does.
 */
import { type ErrorCode, MetricstorError } from '../errors.js';
import { type Logger, messageOf } from '../telemetry/log.js';

const ofTheDisk: ReadonlySet<ErrorCode> = new Set(['disk_full', 'read_only', 'io']);
const repeatedAfterMs = 60_000;

export class FailureLog {
  readonly #lastMs = new Map<ErrorCode, number>();
  readonly #ofAnswers = new WeakSet<Error>();

  constructor(
    private readonly log: Logger,
    private readonly now: () => number,
  ) {}

  /**
   * What ends an answer that has begun. Unless its head is still to be sent, nobody else hears of
   * it; if so, it comes to `note` as well, and is logged once.
   */
  noteOfAnswer(thrown: Error, route: string): void {
    const error =
      thrown instanceof MetricstorError
        ? thrown
        : new MetricstorError('internal', 'an answer was cut off', { cause: thrown });
    this.note(error, thrown, route);
    this.#ofAnswers.add(thrown);
  }

  /** `thrown` is what `error` was made of. */
  note(error: MetricstorError, thrown: Error, route: string | undefined): void {
    const { status, retryable } = error.kind;
    if (this.#ofAnswers.has(thrown)) {
      return;
    }
    if (status < 500 || (retryable && !this.#isNews(error.code))) {
      return;
    }
    const cause = thrown instanceof MetricstorError ? thrown.cause : thrown;
    const stack = cause instanceof Error ? cause.stack : undefined;
    this.log.error(
      { code: error.code, route, error: messageOf(thrown), stack },
      'a request failed',
    );
  }

  #isNews(code: ErrorCode): boolean {
    const now = this.now();
    if (!ofTheDisk.has(code) || now - (this.#lastMs.get(code) ?? -Infinity) < repeatedAfterMs) {
      return false;
    }
    this.#lastMs.set(code, now);
    return true;
  }
}
