/**
 * @file Query threads behind a bounded, fair queue.
 *
 * A thread works on one job at a time. A job ends for its caller at its deadline or when the client
 * goes away; the thread is then told through the engine's cancel token, and has a grace period to
 * answer before it is terminated and replaced. Expressions may be held below the number of threads
 * so that look-ups always find one.
 */
import type { Worker } from 'node:worker_threads';
import { type ErrorCode, MetricstorError } from '../errors.js';
import { FairQueue } from './fair-queue.js';
import {
  isHeavy,
  type QueryAnswer,
  type QueryContext,
  type QueryJob,
  type QueryService,
  type WorkerReply,
  type WorkerRequest,
} from './service.js';
import { SharedUse, type SharedUseHandle } from './shared-use.js';

/** Cancel flags in the engine's memory, which native loops look at. */
export interface CancelTokens {
  openCancelToken(): number;
  cancel(token: number): void;
  closeCancelToken(token: number): void;
}

export interface PoolOptions {
  readonly workers: number;
  /** Expressions evaluated at once; 0 means as many as there are workers. */
  readonly maxConcurrency: number;
  /** Jobs that wait. */
  readonly queue: number;
  readonly timeoutMs: number;
  /** How long a canceled job may go on before its thread is terminated. */
  readonly graceMs: number;
}

export interface PoolParts {
  readonly tokens: CancelTokens;
  /** What the threads use together: a slot for each, and the last one for the main thread. */
  readonly use: SharedUseHandle;
  /** Starts a thread that runs `serveQueries` and counts what it uses in `slot`. */
  startWorker(slot: number): Worker;
}

/** Pause before another try when a thread dies before it served. */
const restartPauseMs = 1000;

interface Ticket {
  readonly job: QueryJob;
  readonly context: QueryContext;
  readonly deadlineMs: number;
  readonly enqueuedMs: number;
  /** How long it waited; set when a thread begins. */
  queueMs: number;
  /** Set until the caller has its answer. */
  settle: ((outcome: { answer: QueryAnswer } | { error: MetricstorError }) => void) | undefined;
}

interface Thread {
  readonly worker: Worker;
  readonly slot: number;
  readonly use: SharedUse;
  ready: boolean;
  ticket: Ticket | undefined;
  cancelToken: number;
  grace: NodeJS.Timeout | undefined;
}

export class QueryPool implements QueryService {
  /** The main thread's slot of what queries use together: for answers that are not sent yet. */
  readonly #use: SharedUse;
  #answerBytes = 0;
  readonly #options: PoolOptions;
  readonly #parts: PoolParts;
  readonly #threads = new Set<Thread>();
  readonly #waiting = new FairQueue<Ticket>();
  readonly #starts = new Set<NodeJS.Timeout>();
  #nextId = 1;
  #replaced = 0;
  #closed = false;
  /** The first `start` waits for these. */
  #whenReady: { resolve(): void; reject(error: Error): void } | undefined;

  constructor(options: PoolOptions, parts: PoolParts) {
    this.#options = options;
    this.#parts = parts;
    this.#use = SharedUse.attach(parts.use, options.workers);
  }

  /** Starts the threads and waits until all of them serve. */
  async start(): Promise<void> {
    const ready = new Promise<void>((resolve, reject) => {
      this.#whenReady = { resolve, reject };
    });
    for (let slot = 0; slot < this.#options.workers; slot += 1) {
      this.#startThread(slot);
    }
    await ready;
  }

  /**
   * Takes the memory of an answer into account until the returned function is called. While answers
   * hold half of what queries may, further ones wait.
   */
  holdAnswer(bytes: number): () => void {
    this.#use.add(bytes);
    this.#answerBytes += bytes;
    let held = true;
    return () => {
      if (held) {
        held = false;
        this.#use.give(bytes);
        this.#answerBytes -= bytes;
        this.#dispatch();
      }
    };
  }

  numbers(): {
    workers: number;
    running: number;
    waiting: number;
    replacedWorkers: number;
    heldBytes: number;
  } {
    return {
      heldBytes: this.#use.totalBytes,
      workers: this.#threads.size,
      running: this.#running(() => true),
      waiting: this.#waiting.size,
      replacedWorkers: this.#replaced,
    };
  }

  run(job: QueryJob, context: QueryContext): Promise<QueryAnswer> {
    if (this.#closed) {
      return Promise.reject(new MetricstorError('closed', 'the server is shutting down'));
    }
    if (context.signal?.aborted === true) {
      return Promise.reject(new MetricstorError('canceled', 'the query was canceled'));
    }
    const timeoutMs = Math.min(context.timeoutMs ?? Infinity, this.#options.timeoutMs);
    const asked = timeoutMs < this.#options.timeoutMs;
    const limit = asked ? 'timeout of the request' : 'query.timeout';
    const timeout = `query timed out: it may take ${timeoutMs} ms, waiting included, the limit ${limit}`;
    if (timeoutMs <= 0) {
      return Promise.reject(new MetricstorError('timeout', timeout));
    }
    return new Promise((resolve, reject) => {
      const end = (code: ErrorCode, text: string) => () =>
        this.#end(ticket, new MetricstorError(code, text));
      const timer = setTimeout(end('timeout', timeout), timeoutMs);
      const onAbort = end('canceled', 'the query was canceled');
      const ticket: Ticket = {
        job,
        context,
        deadlineMs: Date.now() + timeoutMs,
        enqueuedMs: performance.now(),
        queueMs: 0,
        settle: (outcome) => {
          ticket.settle = undefined;
          clearTimeout(timer);
          context.signal?.removeEventListener('abort', onAbort);
          if ('answer' in outcome) {
            resolve(outcome.answer);
          } else {
            // The thread may see the end of the time first, and does not know whose limit it is.
            const { error } = outcome;
            reject(error.code === 'timeout' ? new MetricstorError('timeout', timeout) : error);
          }
        },
      };
      context.signal?.addEventListener('abort', onAbort);
      this.#enqueue(ticket);
    });
  }

  /** Ends every job and every thread. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const timer of this.#starts) {
      clearTimeout(timer);
    }
    const error = new MetricstorError('closed', 'the server is shutting down');
    for (const ticket of this.#waiting.drain()) {
      ticket.settle?.({ error });
    }
    const threads = [...this.#threads];
    this.#threads.clear();
    await Promise.all(
      threads.map(async (thread) => {
        thread.ticket?.settle?.({ error });
        if (thread.cancelToken !== 0) {
          this.#parts.tokens.cancel(thread.cancelToken);
        }
        await thread.worker.terminate();
        this.#release(thread);
      }),
    );
  }

  #enqueue(ticket: Ticket): void {
    this.#waiting.push(ticket.context.client, ticket);
    this.#dispatch();
    if (this.#waiting.size > this.#options.queue && ticket.settle !== undefined) {
      // Only the newcomer can be the one too many.
      if (this.#waiting.remove(ticket.context.client, ticket)) {
        const text = `too many queries: ${this.#options.queue} wait already, the limit query.queue`;
        ticket.settle({ error: new MetricstorError('overloaded', text) });
      }
    }
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      if (this.#waiting.size === 0) {
        return;
      }
      if (thread.ready && thread.ticket === undefined) {
        const limit = this.#options.maxConcurrency || this.#options.workers;
        const room = this.#answerBytes <= this.#use.maxBytes / 2;
        const mayEvaluate = room && this.#running(isHeavy) < limit;
        const ticket = this.#waiting.take(({ job }) => mayEvaluate || !isHeavy(job));
        if (ticket !== undefined) {
          this.#send(thread, ticket);
        }
      }
    }
  }

  #running(counts: (job: QueryJob) => boolean): number {
    let running = 0;
    for (const { ticket } of this.#threads) {
      running += ticket !== undefined && counts(ticket.job) ? 1 : 0;
    }
    return running;
  }

  #send(thread: Thread, ticket: Ticket): void {
    thread.ticket = ticket;
    thread.cancelToken = this.#parts.tokens.openCancelToken();
    const request: WorkerRequest = {
      id: this.#nextId++,
      job: ticket.job,
      scope: ticket.context.scope,
      cancelToken: thread.cancelToken,
      deadlineMs: ticket.deadlineMs,
    };
    ticket.queueMs = performance.now() - ticket.enqueuedMs;
    thread.use.setSamples(0);
    ticket.context.onStart?.({ samples: () => thread.use.samples });
    thread.worker.postMessage(request);
  }

  /** Ends a job for its caller, before its thread did. */
  #end(ticket: Ticket, error: MetricstorError): void {
    ticket.settle?.({ error });
    if (this.#waiting.remove(ticket.context.client, ticket)) {
      return;
    }
    for (const thread of this.#threads) {
      if (thread.ticket === ticket) {
        this.#parts.tokens.cancel(thread.cancelToken);
        thread.grace ??= setTimeout(() => void thread.worker.terminate(), this.#options.graceMs);
      }
    }
  }

  #startThread(slot: number): void {
    const thread: Thread = {
      worker: this.#parts.startWorker(slot),
      slot,
      use: SharedUse.attach(this.#parts.use, slot),
      ready: false,
      ticket: undefined,
      cancelToken: 0,
      grace: undefined,
    };
    this.#threads.add(thread);
    let failure: Error | undefined;
    thread.worker.on('message', (reply: WorkerReply) => this.#receive(thread, reply));
    thread.worker.on('error', (error: Error) => {
      failure = error;
    });
    thread.worker.on('exit', () => this.#lost(thread, failure));
  }

  #receive(thread: Thread, reply: WorkerReply): void {
    if (reply.type === 'ready') {
      thread.ready = true;
      if ([...this.#threads].every(({ ready }) => ready)) {
        this.#whenReady?.resolve();
        this.#whenReady = undefined;
      }
    } else {
      const { ticket } = thread;
      this.#release(thread);
      ticket?.settle?.(
        reply.type === 'answer'
          ? { answer: { ...reply.answer, queueMs: ticket.queueMs } }
          : { error: new MetricstorError(reply.code, reply.message) },
      );
    }
    this.#dispatch();
  }

  /** Makes a thread free for the next job. */
  #release(thread: Thread): void {
    clearTimeout(thread.grace);
    thread.grace = undefined;
    thread.ticket = undefined;
    if (thread.cancelToken !== 0) {
      this.#parts.tokens.closeCancelToken(thread.cancelToken);
      thread.cancelToken = 0;
    }
  }

  /** A thread ended: by `terminate`, by an uncaught error, or because its heap was full. */
  #lost(thread: Thread, failure: Error | undefined): void {
    if (!this.#threads.delete(thread)) {
      return;
    }
    const { ticket } = thread;
    this.#release(thread);
    thread.use.empty();
    ticket?.settle?.({ error: errorOfLost(failure) });
    if (this.#whenReady !== undefined) {
      this.#whenReady.reject(failure ?? new Error('a query thread ended while it started'));
      this.#whenReady = undefined;
      return;
    }
    this.#replaced += 1;
    if (thread.ready) {
      this.#startThread(thread.slot);
      return;
    }
    const timer = setTimeout(() => {
      this.#starts.delete(timer);
      this.#startThread(thread.slot);
    }, restartPauseMs);
    this.#starts.add(timer);
  }
}

function errorOfLost(failure: Error | undefined): MetricstorError {
  const outOfMemory = failure !== undefined && 'code' in failure && failure.code === outOfHeap;
  return outOfMemory
    ? new MetricstorError('execution', 'the query needs more memory than a query thread has')
    : new MetricstorError('internal', 'the query thread ended unexpectedly', { cause: failure });
}

const outOfHeap = 'ERR_WORKER_OUT_OF_MEMORY';
