/**
 * @file Small expressions answered on the thread that asks, the rest by the query threads.
 *
 * A hop to a query thread and back costs about half a millisecond, which is most of what a small
 * panel takes. Whether an expression is small is found out by trying, under limits that end the
 * try after about three milliseconds: the engine refuses a selection of many series before it
 * looks up a label, and budgets bound samples, points and time. What passed a limit is remembered:
 * the next times it goes to a query thread at once, four times as often after each vain try. What
 * only took too long is tried again sooner: the first evaluations of a process are slow because
 * nothing is compiled, and others because the machine is busy.
 */
import { MetricstorError } from '../errors.js';
import type { QueryLimits } from '../promql/engine.js';
import { stepsOf } from '../promql/time-grid.js';
import { type Executor, execute } from './execute.js';
import {
  isExpression,
  type QueryAnswer,
  type QueryContext,
  type QueryJob,
  type QueryService,
} from './service.js';

/** What is small enough to be tried; see {@link InlineQueries}. */
const small = {
  // Labels cost about a microsecond a series.
  maxSeries: 500,
  // A decoded sample and a held point cost about 20 ns each.
  maxSamples: 50_000,
  // The first batch of samples takes a quarter of it.
  maxBytes: 4 * 1024 ** 2,
  // JSON takes 50 ns a point.
  maxPoints: 10_000,
} as const satisfies QueryLimits;

/** Limits of the engine that tries expressions: what is small, and within `configured`. */
export function inlineLimits(configured: QueryLimits): QueryLimits {
  const { maxSeries = 0, maxSamples, maxBytes, maxPoints } = configured;
  return {
    // Zero is no limit.
    maxSeries: maxSeries === 0 ? small.maxSeries : Math.min(maxSeries, small.maxSeries),
    maxSamples: Math.min(maxSamples, small.maxSamples),
    maxBytes: Math.min(maxBytes, small.maxBytes),
    maxPoints: Math.min(maxPoints, small.maxPoints),
  };
}

const defaultBudgetMs = 3;
/** Expressions remembered as large, and the length of the longest one that is. */
const rememberedMax = 512;
const longestRemembered = 4096;
/** How many times more often than before an expression is not tried, and how often at most. */
const afterLimit = { factor: 4, most: 4096 };
const afterTimeout = { factor: 2, most: 64 };

/** A large expression: how often it is not tried from now on, and how often after the last try. */
interface Large {
  left: number;
  readonly skips: number;
}

export class InlineQueries implements QueryService {
  /** Oldest first. */
  readonly #large = new Map<string, Large>();
  #answered = 0;

  /** `budgetMs` is how long a try may take. */
  constructor(
    private readonly executor: Executor,
    private readonly rest: QueryService,
    private readonly budgetMs: number = defaultBudgetMs,
  ) {}

  /** Expressions answered without a query thread. */
  get answered(): number {
    return this.#answered;
  }

  run(job: QueryJob, context: QueryContext): Promise<QueryAnswer> {
    const key = keyOf(job);
    // What has no time is not tried either.
    const over = context.signal?.aborted === true || (context.timeoutMs ?? Infinity) <= 0;
    if (key === undefined || over || this.#isLarge(key)) {
      return this.rest.run(job, context);
    }
    const timeoutMs = Math.min(context.timeoutMs ?? this.budgetMs, this.budgetMs);
    const deadlineMs = Date.now() + timeoutMs;
    try {
      const answer = execute(this.executor, { job, scope: context.scope, deadlineMs });
      this.#answered += 1;
      this.#large.delete(key);
      return Promise.resolve(answer);
    } catch (error) {
      if (error instanceof MetricstorError && error.code === 'bad_data') {
        return Promise.reject(error);
      }
      // Too large for a try, or a failure that is a query thread's to judge and to report.
      const slow = error instanceof MetricstorError && error.code === 'timeout';
      this.#remember(key, slow ? afterTimeout : afterLimit);
      return this.rest.run(job, context);
    }
  }

  #isLarge(key: string): boolean {
    const large = this.#large.get(key);
    if (large === undefined || large.left === 0) {
      return false;
    }
    large.left -= 1;
    return true;
  }

  #remember(key: string, { factor, most }: typeof afterLimit): void {
    const skips = Math.min((this.#large.get(key)?.skips ?? 1) * factor, most);
    this.#large.delete(key);
    if (this.#large.size >= rememberedMax) {
      const [oldest] = this.#large.keys();
      this.#large.delete(oldest);
    }
    this.#large.set(key, { left: skips, skips });
  }
}

/** What a repeated panel has in common; undefined for what is not tried. */
function keyOf(job: QueryJob): string | undefined {
  if (job.kind === 'format' || job.kind === 'parse') {
    return job.query.length > longestRemembered ? undefined : `${job.kind} ${job.query}`;
  }
  if (isExpression(job) && job.statistics !== undefined) {
    // They read twice, and are asked for by people who look into one query.
    return undefined;
  }
  if (job.kind === 'instant') {
    return job.query.length > longestRemembered ? undefined : job.query;
  }
  if (job.kind !== 'range' || job.query.length > longestRemembered || !(job.stepMs > 0)) {
    return undefined;
  }
  const steps = stepsOf(job);
  // With most of it known, a large expression is a small one.
  const known = job.reuse?.known === undefined ? '' : 'known ';
  return steps > small.maxPoints ? undefined : `${known}${steps} ${job.query}`;
}
