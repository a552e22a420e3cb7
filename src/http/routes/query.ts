/**
 * @file `query`, `query_range`, `format_query` and `parse_query`.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MetricstorError } from '../../errors.js';
import type { QueryAnswer, QueryJob, QueryService } from '../../query/service.js';
import type { Metrics } from '../../telemetry/metrics.js';
import {
  invalidParameter,
  limitParam,
  lookbackParam,
  Params,
  rangeParams,
  timeoutParam,
  timeParam,
} from '../params.js';
import { sendData } from '../result-json.js';
import { addPath } from './route.js';

export interface QueryRouteParts {
  readonly queries: QueryService;
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
    const common = expressionParams(params);
    const job = { kind: 'instant', timeMs, limit, format: 'json', ...common.job } as const;
    return await answerExpression(parts, { request, reply, job, timeoutMs: common.timeoutMs });
  });
  addPath(app, { path: '/api/v1/query_range', methods, needs: 'read' }, async (request, reply) => {
    const params = new Params(request);
    const limit = limitParam(params);
    const range = rangeParams(params, parts.config.query.maxSteps);
    const common = expressionParams(params);
    const job = { kind: 'range', ...range, limit, format: 'json', ...common.job } as const;
    return await answerExpression(parts, { request, reply, job, timeoutMs: common.timeoutMs });
  });
  for (const kind of ['format', 'parse'] as const) {
    addPath(
      app,
      { path: `/api/v1/${kind}_query`, methods, needs: 'read' },
      async (request, reply) => {
        const query = new Params(request).get('query');
        const job: QueryJob = { kind, query };
        return await answerExpression(parts, { request, reply, job, timeoutMs: undefined });
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

interface Asked {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly job: QueryJob;
  readonly timeoutMs: number | undefined;
}

async function answerExpression(parts: QueryRouteParts, asked: Asked): Promise<FastifyReply> {
  const { request, reply } = asked;
  const answer = await runJobOf('query', parts, asked);
  const members = asked.job.kind === 'instant' || asked.job.kind === 'range';
  return await sendData(request, reply, answer.json, { members, annotations: answer });
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
