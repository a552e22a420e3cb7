/**
 * @file A query thread that is none: it answers on the thread of the test.
 */
import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { defaultFeatures, type PromqlFeature } from '../../src/model/promql-features.js';
import { PromqlEngine } from '../../src/promql/engine.js';
import { serveQueries } from '../../src/query/worker.js';
import type { Querier } from '../../src/storage/querier.js';

/** Looks like a `Worker` to the pool. */
export function inProcessWorker(
  querier: Querier,
  features: readonly PromqlFeature[] = defaultFeatures,
): Worker {
  const port = new EventEmitter();
  const worker = Object.assign(new EventEmitter(), {
    postMessage: (message: unknown) => setImmediate(() => port.emit('message', message)),
    terminate: async () => {
      port.removeAllListeners();
      worker.emit('exit', 1);
      return 1;
    },
  });
  const threadPort = Object.assign(port, {
    postMessage: (message: unknown) => setImmediate(() => worker.emit('message', message)),
  });
  const engine = new PromqlEngine({
    lookbackMs: 300_000,
    subqueryStepMs: 60_000,
    limits: { maxSamples: 1e6, maxBytes: 1e9, maxPoints: 1e6 },
    features,
  });
  serveQueries(threadPort as unknown as Parameters<typeof serveQueries>[0], { querier, engine });
  return worker as unknown as Worker;
}

/** A thread whose answers the test gives by hand. */
export class ManualWorker extends EventEmitter {
  readonly requests: { id: number; cancelToken: number; job: { kind: string; query?: string } }[] =
    [];
  terminated = false;

  postMessage(message: ManualWorker['requests'][number]): void {
    this.requests.push(message);
  }

  async terminate(): Promise<number> {
    this.terminated = true;
    this.emit('exit', 1);
    return 1;
  }

  ready(): void {
    this.emit('message', { type: 'ready' });
  }

  /** Answers the last request. */
  answer(): void {
    const answer = { json: new Uint8Array(0), warnings: [], infos: [] };
    this.emit('message', { type: 'answer', id: this.requests.at(-1)?.id, answer });
  }

  fail(code: string, message: string): void {
    this.emit('message', { type: 'failure', id: this.requests.at(-1)?.id, code, message });
  }
}
