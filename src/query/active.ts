/**
 * @file The expressions that query threads evaluate or that wait for one: listed, and ended on
 * demand. Those that are answered at once, on the thread that asks, can be seen by nobody.
 */
import { MetricstorError } from '../errors.js';
import {
  type ExplainJob,
  type ExpressionJob,
  isHeavy,
  type QueryAnswer,
  type QueryContext,
  type QueryJob,
  type QueryProgress,
  type QueryService,
} from './service.js';

/** One expression under way. */
export interface ActiveQuery {
  /** Unique within the process. */
  readonly id: number;
  readonly job: ExpressionJob | ExplainJob;
  readonly client: string;
  /** Epoch milliseconds. */
  readonly startedMs: number;
  /** Milliseconds. */
  readonly durationMs: number;
  /** Whether it still waits for a thread. */
  readonly waiting: boolean;
  /** Decoded so far. */
  readonly samples: number;
}

interface Entry {
  readonly job: ExpressionJob | ExplainJob;
  readonly client: string;
  readonly startedMs: number;
  readonly kill: AbortController;
  progress: QueryProgress | undefined;
}

export class ActiveQueries implements QueryService {
  readonly #entries = new Map<number, Entry>();
  #lastId = 0;

  constructor(
    private readonly rest: QueryService,
    /** Epoch milliseconds. */
    private readonly now: () => number,
  ) {}

  async run(job: QueryJob, context: QueryContext): Promise<QueryAnswer> {
    if (!isHeavy(job)) {
      return await this.rest.run(job, context);
    }
    const kill = new AbortController();
    const { signal } = context;
    const onAbort = (): void => kill.abort();
    signal?.addEventListener('abort', onAbort);
    const startedMs = this.now();
    const entry: Entry = { job, client: context.client, startedMs, kill, progress: undefined };
    this.#lastId += 1;
    const id = this.#lastId;
    this.#entries.set(id, entry);
    try {
      return await this.rest.run(job, {
        ...context,
        signal: kill.signal,
        onStart: (progress) => {
          entry.progress = progress;
        },
      });
    } catch (error) {
      const killed = kill.signal.aborted && signal?.aborted !== true;
      throw killed ? new MetricstorError('canceled', `query ${idText(id)} was killed`) : error;
    } finally {
      this.#entries.delete(id);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** The oldest first. */
  list(): ActiveQuery[] {
    const now = this.now();
    return [...this.#entries].map(([id, { job, client, startedMs, progress }]) => ({
      id,
      job,
      client,
      startedMs,
      durationMs: now - startedMs,
      waiting: progress === undefined,
      samples: progress?.samples() ?? 0,
    }));
  }

  /** Ends a query for its client; its thread follows. False when there is none of this id. */
  kill(id: number): boolean {
    const entry = this.#entries.get(id);
    entry?.kill.abort();
    return entry !== undefined;
  }
}

/** An id as the API shows it. */
export function idText(id: number): string {
  return id.toString(16).toUpperCase().padStart(16, '0');
}

/** The id that a text shows, or undefined. */
export function parseId(text: string): number | undefined {
  return /^[0-9a-f]{1,16}$/i.test(text) ? Number.parseInt(text, 16) : undefined;
}
