/**
 * @file Which expressions are asked most often, take longest and read most: the last ones that were
 * answered, put together by text and length of the range.
 */
import {
  type ExpressionJob,
  isExpression,
  type QueryAnswer,
  type QueryContext,
  type QueryJob,
  type QueryService,
  type QueryStats,
} from './service.js';

/** Answers that are remembered. */
export const rememberedQueries = 20_000;
/** Longer texts are cut, so that the memory has a bound. */
const longestText = 4096;

/** All answers to one expression over ranges of one length. */
export interface QueryTotals {
  readonly query: string;
  /** 0 for queries at one time. */
  readonly rangeSeconds: number;
  count: number;
  seconds: number;
  samples: number;
  /** The sum of the peaks of memory. */
  bytes: number;
}

interface Answered {
  readonly key: string;
  readonly endedMs: number;
  readonly ms: number;
  readonly samples: number;
  readonly bytes: number;
}

const nothingUsed: QueryStats = { samples: 0, series: 0, peakBytes: 0, peakPoints: 0 };

export class TopQueries implements QueryService {
  /** A ring: `#next` is the oldest once it is full. */
  readonly #answered: Answered[] = [];
  #next = 0;

  constructor(
    private readonly rest: QueryService,
    /** Epoch milliseconds. */
    private readonly now: () => number,
  ) {}

  async run(job: QueryJob, context: QueryContext): Promise<QueryAnswer> {
    if (!isExpression(job)) {
      return await this.rest.run(job, context);
    }
    const startMs = performance.now();
    let used = nothingUsed;
    try {
      const answer = await this.rest.run(job, context);
      used = answer.stats ?? nothingUsed;
      return answer;
    } finally {
      this.#remember(job, performance.now() - startMs, used);
    }
  }

  /** What was answered within the last `lifetimeMs`, by expression, in no order. */
  totals(lifetimeMs: number): QueryTotals[] {
    const since = this.now() - lifetimeMs;
    const totals = new Map<string, QueryTotals>();
    for (const { key, endedMs, ms, samples, bytes } of this.#answered) {
      if (endedMs < since) {
        continue;
      }
      const space = key.indexOf(' ');
      const rangeSeconds = Number(key.slice(0, space));
      const query = key.slice(space + 1);
      const one = totals.get(key) ?? {
        query,
        rangeSeconds,
        count: 0,
        seconds: 0,
        samples: 0,
        bytes: 0,
      };
      one.count += 1;
      one.seconds += ms / 1000;
      one.samples += samples;
      one.bytes += bytes;
      totals.set(key, one);
    }
    return [...totals.values()];
  }

  #remember(job: ExpressionJob, ms: number, { samples, peakBytes: bytes }: QueryStats): void {
    this.#answered[this.#next] = { key: keyOf(job), endedMs: this.now(), ms, samples, bytes };
    this.#next = (this.#next + 1) % rememberedQueries;
  }
}

/** The length of the range in seconds, a space, the text. */
function keyOf(job: ExpressionJob): string {
  const rangeSeconds = job.kind === 'range' ? Math.round((job.endMs - job.startMs) / 1000) : 0;
  return `${rangeSeconds} ${job.query.slice(0, longestText)}`;
}
