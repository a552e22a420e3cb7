import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type PoolOptions, QueryPool } from '../../src/query/pool.js';
import type { QueryContext, QueryJob } from '../../src/query/service.js';
import { SharedUse } from '../../src/query/shared-use.js';
import { ManualWorker } from '../support/in-process-worker.js';

const options: PoolOptions = {
  workers: 1,
  maxConcurrency: 0,
  queue: 2,
  timeoutMs: 1000,
  graceMs: 100,
};
const canceled: number[] = [];
let open = new Set<number>();
let workers: ManualWorker[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  canceled.length = 0;
  open = new Set();
  workers = [];
});
afterEach(() => void vi.useRealTimers());

async function startPool(change: Partial<PoolOptions> = {}): Promise<QueryPool> {
  let next = 1;
  const pool = new QueryPool(
    { ...options, ...change },
    {
      use: SharedUse.create(2, 1e9),
      tokens: {
        openCancelToken: () => {
          open.add(next);
          return next++;
        },
        cancel: (token) => void canceled.push(token),
        closeCancelToken: (token) => void open.delete(token),
      },
      startWorker: () => {
        const worker = new ManualWorker();
        workers.push(worker);
        return worker as unknown as Worker;
      },
    },
  );
  const started = pool.start();
  for (const worker of workers) {
    worker.ready();
  }
  await started;
  return pool;
}

const expression = (query: string): QueryJob => ({
  kind: 'instant',
  query,
  timeMs: 0,
  limit: 0,
  format: 'json',
});
const lookUp: QueryJob = { kind: 'labelNames', selectors: [], mint: 0, maxt: 1, limit: 0 };
const from = (client: string, more: Partial<QueryContext> = {}): QueryContext => ({
  client,
  scope: { tenant: 0, matchers: [] },
  ...more,
});

/** The code that a promise rejects with, or `ok`. */
async function outcome(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'ok',
    (error: { code: string }) => error.code,
  );
}

test('an answer of the thread is the answer of the query, and frees the thread', async () => {
  const pool = await startPool();
  const first = outcome(pool.run(expression('1'), from('a')));
  const second = outcome(pool.run(expression('2'), from('a')));
  expect(pool.numbers()).toMatchObject({ running: 1, waiting: 1 });
  workers[0].answer();
  expect(await first).toBe('ok');
  workers[0].fail('execution', 'no');
  expect(await second).toBe('execution');
  expect(pool.numbers()).toMatchObject({ running: 0, waiting: 0 });
  expect(open.size).toBe(0);
});

test('a full queue refuses the newcomer and keeps the others', async () => {
  const pool = await startPool();
  const kept = [1, 2, 3].map((n) => outcome(pool.run(expression(`${n}`), from('a'))));
  expect(await outcome(pool.run(expression('4'), from('b')))).toBe('overloaded');
  for (let i = 0; i < 3; i += 1) {
    workers[0].answer();
  }
  expect(await Promise.all(kept)).toEqual(['ok', 'ok', 'ok']);
});

test('a free thread takes a query even where nothing may wait', async () => {
  const pool = await startPool({ queue: 0 });
  const running = outcome(pool.run(expression('1'), from('a')));
  expect(await outcome(pool.run(expression('2'), from('a')))).toBe('overloaded');
  workers[0].answer();
  expect(await running).toBe('ok');
});

test('clients take turns', async () => {
  const pool = await startPool({ queue: 10 });
  for (const query of ['a1', 'a2', 'a3', 'b1']) {
    void pool.run(expression(query), from(query[0] as string));
  }
  for (let i = 0; i < 4; i += 1) {
    workers[0].answer();
  }
  expect(workers[0].requests.map(({ job }) => job.query)).toEqual(['a1', 'a2', 'b1', 'a3']);
});

test('expressions leave threads free for look-ups', async () => {
  const pool = await startPool({ workers: 2, maxConcurrency: 1 });
  void pool.run(expression('1'), from('a'));
  void pool.run(expression('2'), from('a'));
  void pool.run(lookUp, from('a'));
  expect(pool.numbers()).toMatchObject({ running: 2, waiting: 1 });
  const kinds = workers.flatMap(({ requests }) => requests.map(({ job }) => job.kind));
  expect(kinds).toEqual(['instant', 'labelNames']);
});

test('a query past its time ends at once, and its thread is told to stop', async () => {
  const pool = await startPool();
  const result = outcome(pool.run(expression('1'), from('a', { timeoutMs: 50 })));
  await vi.advanceTimersByTimeAsync(50);
  expect(await result).toBe('timeout');
  expect(canceled).toEqual([1]);
  workers[0].fail('canceled', 'stopped');
  expect(open.size).toBe(0);
  expect(workers[0].terminated).toBe(false);
});

test('a request cannot ask for more time than is configured', async () => {
  const pool = await startPool();
  const result = outcome(pool.run(expression('1'), from('a', { timeoutMs: 1e9 })));
  await vi.advanceTimersByTimeAsync(1000);
  expect(await result).toBe('timeout');
});

test('a query that waits too long never reaches a thread', async () => {
  const pool = await startPool();
  void pool.run(expression('1'), from('a'));
  const waiting = outcome(pool.run(expression('2'), from('a', { timeoutMs: 10 })));
  await vi.advanceTimersByTimeAsync(10);
  expect(await waiting).toBe('timeout');
  workers[0].answer();
  expect(workers[0].requests.length).toBe(1);
});

test('a client that went away cancels its query', async () => {
  const pool = await startPool();
  const gone = new AbortController();
  const result = outcome(pool.run(expression('1'), from('a', { signal: gone.signal })));
  gone.abort();
  expect(await result).toBe('canceled');
  expect(canceled).toEqual([1]);
});

test('a thread that does not stop in its grace period is replaced', async () => {
  const pool = await startPool();
  const result = outcome(pool.run(expression('1'), from('a', { timeoutMs: 10 })));
  const next = outcome(pool.run(expression('2'), from('a')));
  await vi.advanceTimersByTimeAsync(10 + options.graceMs);
  expect(await result).toBe('timeout');
  expect(workers[0].terminated).toBe(true);
  expect(workers.length).toBe(2);
  workers[1].ready();
  workers[1].answer();
  expect(await next).toBe('ok');
  expect(pool.numbers()).toMatchObject({ workers: 1, replacedWorkers: 1 });
});

test('a thread whose heap is full fails its query only', async () => {
  const pool = await startPool();
  const result = outcome(pool.run(expression('1'), from('a')));
  const full = Object.assign(new Error('heap'), { code: 'ERR_WORKER_OUT_OF_MEMORY' });
  workers[0].emit('error', full);
  workers[0].emit('exit', 1);
  expect(await result).toBe('execution');
  expect(workers.length).toBe(2);
  expect(pool.numbers().workers).toBe(1);
});

test('expressions wait while unsent answers hold half of the memory, look-ups do not', async () => {
  const pool = await startPool();
  const sent = pool.holdAnswer(6e8);
  const first = outcome(pool.run(expression('1'), from('a')));
  expect(pool.numbers()).toMatchObject({ running: 0, waiting: 1, heldBytes: 6e8 });
  const second = outcome(pool.run(lookUp, from('a')));
  expect(pool.numbers()).toMatchObject({ running: 1, waiting: 1 });
  workers[0].answer();
  expect(await second).toBe('ok');
  sent();
  sent();
  expect(pool.numbers()).toMatchObject({ running: 1, waiting: 0, heldBytes: 0 });
  workers[0].answer();
  expect(await first).toBe('ok');
});

test('a start fails when a thread cannot start', async () => {
  const pool = new QueryPool(options, {
    use: SharedUse.create(2, 1e9),
    tokens: {
      openCancelToken: () => 1,
      cancel: () => undefined,
      closeCancelToken: () => undefined,
    },
    startWorker: () => {
      const worker = new ManualWorker();
      process.nextTick(() => {
        worker.emit('error', new Error('no add-on'));
        worker.emit('exit', 1);
      });
      return worker as unknown as Worker;
    },
  });
  await expect(pool.start()).rejects.toThrow('no add-on');
});

test('closing ends what runs, what waits and what comes', async () => {
  const pool = await startPool();
  const running = outcome(pool.run(expression('1'), from('a')));
  const waiting = outcome(pool.run(expression('2'), from('a')));
  await pool.close();
  expect([await running, await waiting]).toEqual(['closed', 'closed']);
  expect(await outcome(pool.run(expression('3'), from('a')))).toBe('closed');
  expect(canceled).toEqual([1]);
  expect(workers[0].terminated).toBe(true);
  expect(workers.length).toBe(1);
});
