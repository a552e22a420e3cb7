/**
 * @file What one query may use: samples in memory, bytes of typed arrays, time.
 */
import { MetricstorError } from '../../errors.js';

/** Bounds of one query, named by the settings `query.…`. */
export interface QueryLimits {
  /** Series that one selector may find; 0 and undefined mean no limit. */
  readonly maxSeries?: number;
  /** Samples and points held at one time. */
  readonly maxSamples: number;
  /** Bytes of typed arrays held at one time; they lie outside V8's heap limit. */
  readonly maxBytes: number;
  /** Points of the answer. */
  readonly maxPoints: number;
}

/** What the queries of all threads hold together; see `query/shared-use.ts`. */
export interface SharedBudget {
  readonly maxBytes: number;
  /** False, and nothing is taken, where all queries together would hold more than they may. */
  take(bytes: number): boolean;
  give(bytes: number): void;
  /** Gives back all that this thread has taken. */
  empty(): void;
  /** Tells how many samples the query of this thread has decoded. */
  setSamples(samples: number): void;
}

/** Bytes that a query takes from the shared budget at a time: it changes hands by atomics. */
const shareBytes = 1024 ** 2;

/** Cells of work between two looks at the clock: about a millisecond. */
const workBetweenChecks = 1 << 18;

/** Counts what a query uses and stops it at a bound. */
export class Budget {
  /** Samples decoded. */
  samples = 0;
  /** Series selected. */
  series = 0;
  peakBytes = 0;
  peakPoints = 0;
  private bytes = 0;
  private points = 0;
  private work = 0;
  /** Taken from the shared budget. */
  private shared = 0;

  constructor(
    private readonly limits: QueryLimits,
    private readonly deadlineMs: number,
    private readonly canceled: () => boolean,
    private readonly all?: SharedBudget,
  ) {}

  /** Takes typed arrays into account. Throws `execution` past a bound of the query's own. */
  hold(bytes: number, points: number): void {
    this.bytes += bytes;
    this.points += points;
    this.peakBytes = Math.max(this.peakBytes, this.bytes);
    this.peakPoints = Math.max(this.peakPoints, this.points);
    const { maxSamples, maxBytes } = this.limits;
    if (this.points > maxSamples) {
      throw this.tooManySamples();
    }
    if (this.bytes > maxBytes) {
      throw new MetricstorError(
        'execution',
        `query needs more than ${maxBytes} bytes of memory in query execution, the limit ` +
          'query.maxBytes',
        { detail: { limit: maxBytes } },
      );
    }
    if (this.bytes > this.shared) {
      this.share();
    }
  }

  release(bytes: number, points: number): void {
    this.bytes -= bytes;
    this.points -= points;
    const spare = this.shared - this.bytes - shareBytes;
    if (spare > 4 * shareBytes) {
      this.all?.give(spare);
      this.shared -= spare;
    }
  }

  /** Counts decoded samples. */
  decoded(samples: number): void {
    this.samples += samples;
    this.all?.setSamples(this.samples);
  }

  /** The error of a query over its sample limit, in Prometheus' words. */
  tooManySamples(): MetricstorError {
    const { maxSamples } = this.limits;
    const text = 'query processing would load too many samples into memory in query execution';
    return new MetricstorError(
      'execution',
      `${text}: more than ${maxSamples}, the limit query.maxSamples`,
      { detail: { limit: maxSamples } },
    );
  }

  /** The error of a selector that finds more series than it may. */
  tooManySeries(selector: string): MetricstorError {
    const { maxSeries = 0 } = this.limits;
    return new MetricstorError(
      'execution',
      `the selector {${selector}} finds more than ${maxSeries} series, the limit query.maxSeries`,
      { detail: { limit: maxSeries } },
    );
  }

  private share(): void {
    const { all } = this;
    if (all === undefined) {
      return;
    }
    const more = Math.max(shareBytes, this.bytes - this.shared);
    if (!all.take(more)) {
      throw new MetricstorError(
        'overloaded',
        `all queries together would need more than ${all.maxBytes} bytes of memory, the limit ` +
          'query.maxTotalBytes',
        { detail: { limit: all.maxBytes } },
      );
    }
    this.shared += more;
  }

  /** Checks the size of the answer. */
  answer(points: number): void {
    if (points > this.limits.maxPoints) {
      throw new MetricstorError(
        'execution',
        `query result has ${points} points, at most ${this.limits.maxPoints} are allowed, the ` +
          'limit query.maxPoints',
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
