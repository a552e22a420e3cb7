/**
 * @file A hostile dashboard: fifty heavy queries at once, some of whose clients never read the
 * answer. The real binary stays within its memory and goes on taking writes.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushAll, series } from '../support/push.js';
import { type RunningServer, startServer, temporaryDirectory } from '../support/server.js';

const mebibyte = 1024 ** 2;
const maxTotalBytes = 36 * mebibyte;
/**
 * What a process needs beside the memory of its queries: three JavaScript heaps that grow before
 * they are collected, typed arrays that are free but not collected yet, and what the allocator
 * keeps.
 */
const besideBytes = 320 * mebibyte;

const data = temporaryDirectory('hostile');
let server: RunningServer;
const startMs = Date.now() - 3_600_000;

beforeAll(async () => {
  server = await startServer({
    dataDir: data.path,
    env: {
      METRICSTOR_QUERY_WORKERS: '2',
      METRICSTOR_QUERY_MAX_BYTES: '32MiB',
      METRICSTOR_QUERY_MAX_TOTAL_BYTES: `${maxTotalBytes / mebibyte}MiB`,
      METRICSTOR_QUERY_TIMEOUT: '2m',
    },
  });
  for (let first = 0; first < 300; first += 100) {
    await pushAll(
      server.url,
      Array.from({ length: 100 }, (_, i) =>
        series(
          { __name__: 'panel', i: String(first + i), g: String(i % 10) },
          Array.from({ length: 240 }, (_, k) => [startMs + k * 15_000, Math.sin(first + i + k)]),
        ),
      ),
    );
  }
});
afterAll(async () => {
  await server.kill();
  data.remove();
});

/** Resident bytes of the server. */
function residentBytes(): number {
  const status = readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
}

const heavy = [
  'panel',
  'panel * 2',
  'rate(panel[5m])',
  'panel * on (i) panel offset 1m',
  'quantile by (g) (0.9, panel)',
  'quantile_over_time(0.5, panel[30m])',
  'max_over_time(rate(panel[5m])[30m:10s])',
  'topk(500, panel)',
  'count_values("v", panel)',
  'label_replace(panel, "x", "$1", "i", "(.*)")',
];

function pathOf(expression: string, n: number): string {
  const range = `start=${startMs / 1000 + n}&end=${startMs / 1000 + 3600}&step=${8 + (n % 3)}`;
  return `/api/v1/query_range?query=${encodeURIComponent(expression)}&${range}`;
}

/**
 * Asks and never reads. Four such answers are more than half of the memory of queries, so that no
 * query is answered until they are cut off.
 */
function askDeaf(path: string): Socket {
  const { port } = new URL(server.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.on('error', () => undefined);
  socket.pause();
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
  return socket;
}

async function ask(path: string): Promise<number> {
  const answer = await fetch(`${server.url}${path}`);
  await answer.arrayBuffer();
  return answer.status;
}

test('fifty heavy queries stay within the memory of queries', { timeout: 300_000 }, async () => {
  const idle = residentBytes();
  const deaf = Array.from({ length: 4 }, (_, n) => askDeaf(pathOf('panel', n)));
  const asked = Promise.all(
    Array.from({ length: 46 }, (_, n) => ask(pathOf(heavy[n % heavy.length], n))),
  );
  let done = false;
  const statuses = asked.finally(() => {
    done = true;
  });
  let peak = 0;
  let writes = 0;
  while (!done) {
    await pushAll(server.url, [series({ __name__: 'beside' }, [[Date.now(), writes]])]);
    writes += 1;
    peak = Math.max(peak, residentBytes());
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const counts = new Map<number, number>();
  for (const status of await statuses) {
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  for (const socket of deaf) {
    socket.destroy();
  }
  expect(peak - idle).toBeLessThan(maxTotalBytes + besideBytes);
  // An answer, or an error that says which limit; never a server that is gone.
  expect([...counts.keys()].filter((status) => ![200, 422, 503].includes(status))).toEqual([]);
  expect(counts.get(200) ?? 0).toBeGreaterThan(0);
  expect(writes).toBeGreaterThan(0);
  expect(await ask('/api/v1/query?query=count(panel)')).toBe(200);
});
