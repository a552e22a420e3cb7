/**
 * @file Range queries as a dashboard that refreshes asks them: the same again and again, each time
 * over a range that has moved on by a step. Apart from the other queries, for which caches of
 * results are off.
 */
import type { BenchServer } from './competitors.js';
import { type DashboardQuery, dashboardQueries } from './dashboard.js';
import { cpuSeconds } from './process.js';
import { ask } from './query.js';

export interface MovingResult {
  readonly contender: string;
  readonly query: string;
  /** CPU of the server for one refresh, with its cache of results. */
  readonly cachedCpuMs: number;
  /** The same without. */
  readonly plainCpuMs: number;
}

/** CPU is counted in ticks of 10 ms. */
const refreshes = 60;

async function refreshCpuMs(
  server: BenchServer,
  query: DashboardQuery,
  endMs: number,
  form: BenchServer['queryForm'],
): Promise<number> {
  const stepMs = query.stepSeconds * 1000;
  const lastMs = Math.floor(endMs / stepMs) * stepMs;
  const askAt = (refresh: number) =>
    ask(server, query, lastMs - (refreshes - refresh) * stepMs, form);
  // What the first time costs is measured elsewhere.
  await askAt(0);
  const before = cpuSeconds(server.pid);
  for (let refresh = 1; refresh <= refreshes; refresh++) {
    await askAt(refresh);
  }
  return ((cpuSeconds(server.pid) - before) * 1000) / refreshes;
}

/** Asks every range query both ways; a server without a cache has two figures alike. */
export async function measureMoving(
  server: BenchServer,
  endMs: number,
): Promise<Omit<MovingResult, 'contender'>[]> {
  const results: Omit<MovingResult, 'contender'>[] = [];
  for (const query of dashboardQueries.filter(({ hours }) => hours > 0)) {
    const plainCpuMs = await refreshCpuMs(server, query, endMs, { nocache: '1' });
    const cachedCpuMs = await refreshCpuMs(server, query, endMs, {});
    results.push({ query: query.name, cachedCpuMs, plainCpuMs });
  }
  return results;
}
