/**
 * @file What one query may use: samples in memory, bytes of typed arrays, time.
 */
import { MetricstorError } from '../../errors.js';

/** Bounds of one query. */
export interface QueryLimits {
  /** Samples and points held at one time. */
  readonly maxSamples: number;
  /** Bytes of typed arrays held at one time; they lie outside V8's heap limit. */
  readonly maxBytes: number;
  /** Points of the answer. */
  readonly maxPoints: number;
}

/** Cells of work between two looks at the clock: about a millisecond. */
const workBetweenChecks = 1 << 18;

/** Counts what a query uses and stops it at a bound. */
export class Budget {
  /** Samples decoded. */
  samples = 0;
  /** Series selected. */
  series = 0;
  peakBytes = 0;
  private bytes = 0;
  private points = 0;
  private work = 0;

  constructor(
    private readonly limits: QueryLimits,
    private readonly deadlineMs: number,
    private readonly canceled: () => boolean,
  ) {}

  /** Takes typed arrays into account. Throws `execution` past the bound. */
  hold(bytes: number, points: number): void {
    this.bytes += bytes;
    this.points += points;
    this.peakBytes = Math.max(this.peakBytes, this.bytes);
    if (this.points > this.limits.maxSamples) {
      throw tooManySamples();
    }
    if (this.bytes > this.limits.maxBytes) {
      throw new MetricstorError(
        'execution',
        `query needs more than ${this.limits.maxBytes} bytes of memory in query execution`,
        { detail: { limit: this.limits.maxBytes } },
      );
    }
  }

  release(bytes: number, points: number): void {
    this.bytes -= bytes;
    this.points -= points;
  }

  /** Checks the size of the answer. */
  answer(points: number): void {
    if (points > this.limits.maxPoints) {
      throw new MetricstorError(
        'execution',
        `query result has ${points} points, at most ${this.limits.maxPoints} are allowed`,
        { detail: { limit: this.limits.maxPoints } },
      );
    }
  }

  /** Milliseconds to the deadline. */
  get leftMs(): number {
    return Math.max(0, this.deadlineMs - Date.now());
  }

  /** Runs a native call; one that was ended by the deadline is a timeout. */
  native<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      if (error instanceof MetricstorError && error.code === 'canceled') {
        this.check();
      }
      throw error;
    }
  }

  /** Counts cells of work and looks at the clock now and then. */
  spend(cells: number): void {
    this.work += cells;
    if (this.work >= workBetweenChecks) {
      this.check();
    }
  }

  /** Throws `timeout` or `canceled` when the query is to end. */
  check(): void {
    this.work = 0;
    if (Date.now() >= this.deadlineMs) {
      throw new MetricstorError('timeout', 'query timed out in expression evaluation');
    }
    if (this.canceled()) {
      throw new MetricstorError('canceled', 'query was canceled in expression evaluation');
    }
  }
}

/** The error of a query over its sample limit, in Prometheus' words. */
export function tooManySamples(): MetricstorError {
  return new MetricstorError(
    'execution',
    'query processing would load too many samples into memory in query execution',
  );
}
