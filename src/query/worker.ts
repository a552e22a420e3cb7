/**
 * @file The loop of a query thread: one job at a time, answered over the thread's port.
 */
import type { MessagePort } from 'node:worker_threads';
import { MetricstorError } from '../errors.js';
import { type Executor, execute } from './execute.js';
import type { QueryAnswer, WorkerReply, WorkerRequest } from './service.js';

/** Answers every job that arrives on `port`, in order. */
export function serveQueries(port: MessagePort, executor: Executor): void {
  const reply = (message: WorkerReply, transfer: readonly ArrayBuffer[] = []): void =>
    port.postMessage(message, [...transfer]);
  port.on('message', (request: WorkerRequest) => {
    const { id } = request;
    try {
      const answer = execute(executor, request);
      reply({ type: 'answer', id, answer }, movable(answer));
    } catch (error) {
      const code = error instanceof MetricstorError ? error.code : 'internal';
      const message = error instanceof Error ? error.message : String(error);
      reply({ type: 'failure', id, code, message });
    } finally {
      executor.engine.release();
    }
  });
  reply({ type: 'ready' });
}

/**
 * The memory of an answer that moves to the other thread instead of being copied. A view of a part
 * is copied: the rest of its buffer belongs to somebody.
 */
function movable({ json, columns }: QueryAnswer): ArrayBuffer[] {
  const arrays: ArrayBufferView[] = [json];
  if (columns !== undefined && columns.type !== 'string') {
    arrays.push(columns.values);
    if (columns.type !== 'scalar') {
      arrays.push(columns.labelIds, columns.labelOffsets, columns.offsets, columns.timestamps);
    }
  }
  const buffers = new Set<ArrayBuffer>();
  for (const { buffer, byteLength } of arrays) {
    if (buffer instanceof ArrayBuffer && byteLength === buffer.byteLength) {
      buffers.add(buffer);
    }
  }
  return [...buffers];
}
