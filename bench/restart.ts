/**
 * @file Starting again after SIGKILL: how long until a query is answered, and which share of the
 * samples that were acknowledged it finds.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BenchServer, Contender } from './competitors.js';
import { type LoadPlan, samplesPerRequest, startLoad } from './load.js';

export interface RestartResult {
  readonly contender: string;
  readonly series: number;
  readonly samples: number;
  /** From the start of the process to the first answer to a query. */
  readonly readySeconds: number;
  /** Of the acknowledged samples, those that are there. */
  readonly share: number;
}

export interface RestartLoad {
  readonly series: number;
  readonly scrapes: number;
}

const intervalMs = 15_000;
const maxReadyMs = 120_000;

/** Kills each contender after the same writes, one after the other, and starts it again. */
export async function measureRestart(
  contenders: readonly Contender[],
  { series, scrapes }: RestartLoad,
): Promise<RestartResult[]> {
  const scrapesPerRequest = Math.min(10, scrapes);
  const nowMs = Math.floor(Date.now() / intervalMs) * intervalMs;
  const plan: LoadPlan = {
    series,
    scrapes,
    scrapesPerRequest,
    startMs: nowMs - scrapes * intervalMs,
    intervalMs,
    connections: Math.min(4, Math.ceil((series * scrapesPerRequest) / samplesPerRequest)),
  };
  const load = await startLoad(plan);
  try {
    const results: RestartResult[] = [];
    for (const contender of contenders) {
      let server = await contender.start();
      try {
        const { samples } = await load.send({ url: server.url, from: 0, to: scrapes });
        await server.kill();
        const begun = performance.now();
        server = await contender.start(server);
        await firstAnswer(server);
        const readySeconds = (performance.now() - begun) / 1000;
        const found = await countSamples(server, nowMs);
        const share = found / samples;
        results.push({ contender: contender.name, series, samples, readySeconds, share });
      } finally {
        await server.stop();
      }
    }
    return results;
  } finally {
    load.stop();
  }
}

async function instant(server: BenchServer, expression: string, atMs: number): Promise<unknown> {
  const form = { ...server.queryForm, query: expression, time: String(atMs / 1000) };
  const answer = await fetch(`${server.url}/api/v1/query?${new URLSearchParams(form)}`);
  if (!answer.ok) {
    throw new Error(`${answer.status}: ${(await answer.text()).slice(0, 300)}`);
  }
  return answer.json();
}

async function firstAnswer(server: BenchServer): Promise<void> {
  const deadline = performance.now() + maxReadyMs;
  for (;;) {
    try {
      await instant(server, 'vector(1)', Date.now());
      return;
    } catch (error) {
      if (performance.now() > deadline) {
        throw error;
      }
      await delay(10);
    }
  }
}

/** Metric by metric, so that no server refuses the question as too large. */
async function countSamples(server: BenchServer, nowMs: number): Promise<number> {
  await server.makeVisible();
  const names = await fetch(`${server.url}/api/v1/label/__name__/values`);
  const { data } = (await names.json()) as { data: readonly string[] };
  let found = 0;
  for (const name of data) {
    const expression = `sum(count_over_time({__name__="${name}"}[1d]))`;
    const { data: answer } = (await instant(server, expression, nowMs)) as {
      data: { result: readonly { value: readonly [number, string] }[] };
    };
    found += Number(answer.result[0]?.value[1] ?? 0);
  }
  return found;
}
