/** @file Reading: dashboard queries over a day of data, and what that day takes on disk. */
import { Agent, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { BenchServer, Contender } from './competitors.js';
import { type DashboardQuery, dashboardQueries } from './dashboard.js';
import { type LoadPlan, samplesPerRequest, startLoad } from './load.js';
import { type MovingResult, measureMoving } from './moving.js';
import { cpuSeconds, settle } from './process.js';

export interface QueryResult {
  readonly contender: string;
  readonly query: string;
  /** Of the first time that it was asked. */
  readonly coldMs: number;
  /** Median over the runs after that. */
  readonly latencyMs: number;
  /** CPU of the server for one run. */
  readonly cpuMs: number;
  /** Series in the answer: contenders that disagree did not do the same work. */
  readonly series: number;
}

export interface StorageResult {
  readonly contender: string;
  readonly samples: number;
  readonly bytesPerSample: number;
  readonly logBytesPerSample: number;
}

const hourMs = 3_600_000;
const intervalMs = 15_000;
const scrapesPerRequest = 100;
/** CPU is counted in ticks of 10 ms: each query runs for at least this long. */
const runMsMin = 1000;
const runsMin = 5;

export interface Asked {
  readonly milliseconds: number;
  readonly series: number;
}

/** Asks once; `more` is added to the form. */
export async function ask(
  server: Pick<BenchServer, 'url'>,
  query: DashboardQuery,
  endMs: number,
  more: BenchServer['queryForm'],
): Promise<Asked> {
  const form: Record<string, string> = { query: query.expression, ...more };
  if (query.hours === 0) {
    form.time = String(endMs / 1000);
  } else {
    form.start = String((endMs - query.hours * hourMs) / 1000);
    form.end = String(endMs / 1000);
    form.step = String(query.stepSeconds);
  }
  const path = query.hours === 0 ? 'query' : 'query_range';
  const start = performance.now();
  const answer = await post(`${server.url}/api/v1/${path}`, new URLSearchParams(form).toString());
  const milliseconds = performance.now() - start;
  const text = answer.body.toString();
  if (answer.status !== 200) {
    throw new Error(`"${query.expression}" answered ${answer.status}: ${text.slice(0, 300)}`);
  }
  const { data } = JSON.parse(text) as { data: { result: unknown[] } };
  return { milliseconds, series: data.result.length };
}

/** A connection that is kept, as Grafana keeps its own. */
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/**
 * Takes a third of a millisecond; `fetch` takes two, which would count for every contender alike
 * and hide what small queries take.
 */
function post(url: string, form: string): Promise<{ status: number; body: Buffer }> {
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'accept-encoding': 'gzip',
  };
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (piece: Buffer) => pieces.push(piece));
      answer.on('error', reject);
      answer.on('end', () => {
        const bytes = Buffer.concat(pieces);
        const body = answer.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes;
        resolve({ status: answer.statusCode ?? 0, body });
      });
    });
    sent.on('error', reject);
    sent.end(form);
  });
}

async function measureQuery(
  server: BenchServer,
  query: DashboardQuery,
  endMs: number,
): Promise<Omit<QueryResult, 'contender'>> {
  const cold = await ask(server, query, endMs, server.queryForm);
  const cpuBefore = cpuSeconds(server.pid);
  const start = performance.now();
  const runs: Asked[] = [];
  while (runs.length < runsMin || performance.now() - start < runMsMin) {
    runs.push(await ask(server, query, endMs, server.queryForm));
  }
  const cpuMs = ((cpuSeconds(server.pid) - cpuBefore) * 1000) / runs.length;
  const latencies = runs.map((run) => run.milliseconds).sort((a, b) => a - b);
  const latencyMs = latencies[latencies.length >> 1];
  const { series } = runs[0];
  return { query: query.name, coldMs: cold.milliseconds, latencyMs, cpuMs, series };
}

/**
 * Loads `series` × `hours` at 15 s into each contender, brings it into its final form on disk,
 * weighs that and asks everything.
 */
export async function measureQueries(
  contenders: readonly Contender[],
  series: number,
  hours: number,
): Promise<{ queries: QueryResult[]; moving: MovingResult[]; storage: StorageResult[] }> {
  const scrapes = Math.ceil((hours * hourMs) / intervalMs / scrapesPerRequest) * scrapesPerRequest;
  const endMs = Math.floor(Date.now() / intervalMs) * intervalMs;
  const plan: LoadPlan = {
    series,
    scrapes,
    scrapesPerRequest,
    startMs: endMs - (scrapes - 1) * intervalMs,
    intervalMs,
    connections: Math.min(2, Math.ceil((series * scrapesPerRequest) / samplesPerRequest)),
  };
  const load = await startLoad(plan);
  const queries: QueryResult[] = [];
  const moving: MovingResult[] = [];
  const storage: StorageResult[] = [];
  try {
    for (const contender of contenders) {
      const server = await contender.start();
      try {
        const { samples } = await load.send({ url: server.url, from: 0, to: scrapes });
        await server.makeVisible();
        const { blocks, log } = await server.storedBytes();
        await settle(server.pid, 60_000);
        for (const query of dashboardQueries) {
          const result = await measureQuery(server, query, endMs);
          queries.push({ contender: contender.name, ...result });
        }
        for (const result of await measureMoving(server, endMs)) {
          moving.push({ contender: contender.name, ...result });
        }
        storage.push({
          contender: contender.name,
          samples,
          bytesPerSample: blocks / samples,
          logBytesPerSample: log / samples,
        });
      } finally {
        await server.stop();
      }
    }
  } finally {
    load.stop();
  }
  return { queries, moving, storage };
}
