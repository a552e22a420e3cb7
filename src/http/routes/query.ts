/**
 * @file `query`, `query_range`, `explain`, `format_query` and `parse_query`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MetricstorError } from '../../errors.js';
import type { StatisticsLevel } from '../../promql/engine.js';
import type { ExplainJob, QueryAnswer, QueryJob, QueryService } from '../../query/service.js';
import type { Metrics } from '../../telemetry/metrics.js';
import {
  boolParam,
  invalidParameter,
  limitParam,
  lookbackParam,
  Params,
  rangeParams,
  timeoutParam,
  timeParam,
} from '../params.js';
import { statsJson, statsWarning } from '../query-stats.js';
import { sendData } from '../result-json.js';
import { addPath } from './route.js';

/** Counts answers that are not sent yet. */
export interface AnswerMemory {
  /** Takes an answer into account until the returned function is called. */
  holdAnswer(bytes: number): () => void;
}

export interface QueryRouteParts {
  readonly queries: QueryService;
  readonly answerMemory: AnswerMemory;
  readonly metrics: Metrics;
  readonly config: { readonly query: { readonly maxSteps: number } };
  /** Epoch milliseconds. */
  now(): number;
}

const everything = Object.freeze({ tenant: 0, matchers: [] });

/** Adds the routes. */
export function queryRoutes(app: FastifyInstance, parts: QueryRouteParts): void {
  const methods = ['GET', 'POST'] as const;
  addPath(app, { path: '/api/v1/query', methods, needs: 'read' }, async (request, reply) => {
    const params = new Params(request);
    const limit = limitParam(params);
    const timeMs = timeParam(params, 'time', parts.now());
    const common = evaluationParams(params);
    const job = { kind: 'instant', timeMs, limit, format: 'json', ...common.job } as const;
    return await answerExpression(parts, { request, reply, job, ...common.asked });
  });
  addPath(app, { path: '/api/v1/query_range', methods, needs: 'read' }, async (request, reply) => {
    const params = new Params(request);
    const limit = limitParam(params);
    const range = rangeParams(params, parts.config.query.maxSteps);
    const common = evaluationParams(params);
    const asked = { ...range, limit, noCache: boolParam(params, 'nocache'), ...common.job };
    const job = { kind: 'range', format: 'json', ...asked } as const;
    return await answerExpression(parts, { request, reply, job, ...common.asked });
  });
  addPath(app, { path: '/api/v1/explain', methods, needs: 'read' }, async (request, reply) => {
    const params = new Params(request);
    const at = explainTimes(params, parts);
    const analyze = boolParam(params, 'analyze');
    const { timeoutMs, job: expression } = expressionParams(params);
    const job: QueryJob = { kind: 'explain', at, analyze, ...expression };
    const answer = await runJobOf('query', parts, { request, reply, job, timeoutMs });
    return await sendData(request, reply, answer.json, { members: false, annotations: answer });
  });
  for (const kind of ['format', 'parse'] as const) {
    addPath(
      app,
      { path: `/api/v1/${kind}_query`, methods, needs: 'read' },
      async (request, reply) => {
        const query = new Params(request).get('query');
        const job: QueryJob = { kind, query };
        const answer = await runJobOf('query', parts, {
          request,
          reply,
          job,
          timeoutMs: undefined,
        });
        return await sendData(request, reply, answer.json, { members: false, annotations: answer });
      },
    );
  }
  // Browsers ask before a POST from another page; without CORS headers they then refuse it.
  app.options('/api/v1/*', { config: { needs: 'identity' } }, async (_, reply) =>
    reply.code(204).send(),
  );
}

function expressionParams(params: Params): {
  timeoutMs: number | undefined;
  job: { query: string; lookbackMs?: number };
} {
  const timeoutMs = timeoutParam(params);
  const lookbackMs = lookbackParam(params);
  const query = params.get('query');
  return { timeoutMs, job: lookbackMs === undefined ? { query } : { query, lookbackMs } };
}

/** What evaluating takes beside what describing takes. */
function evaluationParams(params: Params): {
  job: ReturnType<typeof expressionParams>['job'] & { statistics?: StatisticsLevel };
  asked: { timeoutMs: number | undefined; stats: string };
} {
  const { timeoutMs, job } = expressionParams(params);
  const stats = params.get('stats');
  const level = { statistics: stats === 'all' ? 'steps' : 'totals' } as const;
  return { job: stats === '' ? job : { ...job, ...level }, asked: { timeoutMs, stats } };
}

/** A range where one is asked for, else one time. */
function explainTimes(params: Params, { now, config }: QueryRouteParts): ExplainJob['at'] {
  const asksForRange = ['start', 'end', 'step'].some((name) => params.get(name) !== '');
  return asksForRange
    ? rangeParams(params, config.query.maxSteps)
    : { timeMs: timeParam(params, 'time', now()) };
}

interface Asked {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly job: QueryJob;
  readonly timeoutMs: number | undefined;
}

async function answerExpression(
  parts: QueryRouteParts,
  asked: Asked & { readonly stats: string },
): Promise<FastifyReply> {
  const { request, reply, stats } = asked;
  const answer = await runJobOf('query', parts, asked);
  reply.raw.once('close', parts.answerMemory.holdAnswer(answer.json.byteLength));
  const deprecated = statsWarning(stats);
  const warnings = deprecated === undefined ? answer.warnings : [deprecated, ...answer.warnings];
  const { statistics } = answer;
  const more = statistics === undefined ? '' : `,"stats":${statsJson(answer, statistics)}`;
  const annotations = { warnings, infos: answer.infos };
  return await sendData(request, reply, answer.json, { members: true, annotations, more });
}

/** Runs a job; if it makes no sense, the error names the parameter that does not. */
export async function runJobOf(
  parameter: string,
  parts: Pick<QueryRouteParts, 'queries' | 'metrics'>,
  asked: Asked,
): Promise<QueryAnswer> {
  try {
    return await runJob(parts, asked);
  } catch (error) {
    if (error instanceof MetricstorError && error.code === 'bad_data') {
      throw invalidParameter(parameter, error.message);
    }
    throw error;
  }
}

/** Runs a job until it is done, its time is up or the client goes away. */
export async function runJob(
  { queries, metrics }: Pick<QueryRouteParts, 'queries' | 'metrics'>,
  { request, reply, job, timeoutMs }: Asked,
): Promise<QueryAnswer> {
  const gone = new AbortController();
  const onClose = (): void => {
    if (!reply.raw.writableEnded) {
      gone.abort();
    }
  };
  reply.raw.once('close', onClose);
  try {
    const answer = await queries.run(job, {
      client: request.socket.remoteAddress ?? '',
      scope: everything,
      signal: gone.signal,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
    metrics.query(job.kind, 'ok');
    return answer;
  } catch (error) {
    metrics.query(job.kind, error instanceof MetricstorError ? error.code : 'internal');
    throw error;
  } finally {
    reply.raw.removeListener('close', onClose);
  }
}
