/**
 * @file What is asked of the server: active queries, ending one, and top queries.
 *
 * Paths, parameters and members of the lists are VictoriaMetrics'; `start`, `end` and `step` are
 * milliseconds there. `samples`, `state` and `topBySumSamples` are added.
 */
import type { FastifyInstance } from 'fastify';
import { MetricstorError } from '../../errors.js';
import { formatDuration } from '../../model/duration.js';
import { type ActiveQueries, type ActiveQuery, idText, parseId } from '../../query/active.js';
import { timesOf } from '../../query/service.js';
import { type QueryTotals, rememberedQueries, type TopQueries } from '../../query/top-queries.js';
import { invalidParameter, Params, parseDurationText } from '../params.js';
import { addPath } from './route.js';

export interface QueryWatchParts {
  readonly activeQueries: Pick<ActiveQueries, 'list' | 'kill'>;
  readonly topQueries: Pick<TopQueries, 'totals'>;
}

/** Entries of each list of top queries, unless `topN` says otherwise. */
const defaultTop = 20;
const maxTop = 1000;
/** How old an answer may be to count, unless `maxLifetime` says otherwise. */
const defaultLifetimeMs = 600_000;

/** Adds the routes. */
export function queryWatchRoutes(app: FastifyInstance, parts: QueryWatchParts): void {
  const base = '/api/v1/status';
  addPath(
    app,
    { path: `${base}/active_queries`, methods: ['GET'], needs: 'read' },
    async (_, reply) =>
      reply.send({ status: 'ok', data: parts.activeQueries.list().map(describeActive) }),
  );
  const kill = { path: `${base}/active_queries/kill`, methods: ['POST'], needs: 'admin' } as const;
  addPath(app, kill, async (request, reply) => {
    const text = new Params(request).get('id');
    const id = parseId(text);
    if (id === undefined) {
      throw invalidParameter('id', 'it is not the id of a query, as active_queries shows it');
    }
    if (!parts.activeQueries.kill(id)) {
      throw new MetricstorError('not_found', `no query of id ${idText(id)} is active`);
    }
    return await reply.code(204).send();
  });
  addPath(
    app,
    { path: `${base}/top_queries`, methods: ['GET'], needs: 'read' },
    async (request, reply) => {
      const params = new Params(request);
      const top = topParam(params);
      const lifetimeMs = lifetimeParam(params);
      return await reply.send(describeTop(parts.topQueries.totals(lifetimeMs), top, lifetimeMs));
    },
  );
}

function topParam(params: Params): number {
  const text = params.get('topN');
  if (text === '') {
    return defaultTop;
  }
  const top = /^\d+$/.test(text) ? Number(text) : 0;
  if (top < 1 || top > maxTop) {
    throw invalidParameter('topN', `it must be a number from 1 to ${maxTop}`);
  }
  return top;
}

function lifetimeParam(params: Params): number {
  const text = params.get('maxLifetime');
  const ms = text === '' ? defaultLifetimeMs : parseDurationText(text);
  if (!(ms > 0)) {
    throw invalidParameter('maxLifetime', 'it must be greater than 0');
  }
  return ms;
}

function describeActive(query: ActiveQuery): Record<string, unknown> {
  const { id, job, client, durationMs, waiting, samples } = query;
  const { startMs, endMs, stepMs } = timesOf(job);
  return {
    duration: `${(durationMs / 1000).toFixed(3)}s`,
    id: idText(id),
    remote_addr: client,
    query: job.query,
    start: startMs,
    end: endMs,
    step: stepMs,
    state: waiting ? 'waiting' : 'running',
    samples,
  };
}

/** What a list is ordered by, and what it shows. */
interface TopList {
  readonly value: (totals: QueryTotals) => number;
  readonly member?: string;
}

const topLists: Readonly<Record<string, TopList>> = {
  topByCount: { value: ({ count }) => count },
  topByAvgDuration: {
    value: ({ seconds, count }) => seconds / count,
    member: 'avgDurationSeconds',
  },
  topBySumDuration: { value: ({ seconds }) => seconds, member: 'sumDurationSeconds' },
  topByAvgMemoryUsage: { value: ({ bytes, count }) => bytes / count, member: 'avgMemoryBytes' },
  topBySumSamples: { value: ({ samples }) => samples, member: 'sumSamples' },
};

function describeTop(
  totals: readonly QueryTotals[],
  top: number,
  lifetimeMs: number,
): Record<string, unknown> {
  const lists = Object.entries(topLists).map(([name, { value, member }]) => {
    const first = [...totals].sort((a, b) => value(b) - value(a)).slice(0, top);
    const entries = first.map((one) => ({
      query: one.query,
      timeRangeSeconds: one.rangeSeconds,
      ...(member === undefined ? {} : { [member]: value(one) }),
      count: one.count,
    }));
    return [name, entries] as const;
  });
  return {
    topN: String(top),
    maxLifetime: formatDuration(Math.round(lifetimeMs)),
    'search.queryStats.lastQueriesCount': rememberedQueries,
    ...Object.fromEntries(lists),
  };
}
