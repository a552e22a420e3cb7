/**
 * @file What a query thread runs: attaches to the engine that the main thread opened, and serves.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { NativeEngine } from '../native/engine.js';
import { type EngineOptions, PromqlEngine } from '../promql/engine.js';
import { SharedUse, type SharedUseHandle } from './shared-use.js';
import { serveQueries } from './worker.js';

/** What the pool hands to a thread that it starts. */
export interface ThreadData {
  /** `NativeEngine.handle`. */
  readonly engineHandle: number;
  readonly promql: EngineOptions;
  /** What the threads use together, and which slot of it is this thread's. */
  readonly use: SharedUseHandle;
  readonly slot: number;
}

if (parentPort === null) {
  throw new Error('query/thread.js runs as a worker thread only');
}
const { engineHandle, promql, use, slot } = workerData as ThreadData;
serveQueries(parentPort, {
  querier: NativeEngine.attach(engineHandle),
  engine: new PromqlEngine(promql, SharedUse.attach(use, slot)),
});
