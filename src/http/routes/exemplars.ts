/**
 * @file `query_exemplars`: the exemplars of the series that an expression selects.
 *
 * Follows Prometheus 3.14, `web/api/v1/api.go` (`queryExemplars`): the order of checks, their
 * texts, and the answer of nothing to an expression without a selector.
 */
import type { FastifyInstance } from 'fastify';
import { MetricstorError } from '../../errors.js';
import { maxTimeMs, minTimeMs, Params, timeParam } from '../params.js';
import { sendData } from '../result-json.js';
import { type QueryRouteParts, runJob } from './query.js';
import { addPath } from './route.js';

/** Adds the route. */
export function exemplarRoutes(
  app: FastifyInstance,
  parts: Pick<QueryRouteParts, 'queries' | 'metrics'>,
): void {
  const path = {
    path: '/api/v1/query_exemplars',
    methods: ['GET', 'POST'],
    needs: 'read',
  } as const;
  addPath(app, path, async (request, reply) => {
    const params = new Params(request);
    const mint = timeParam(params, 'start', minTimeMs);
    const maxt = timeParam(params, 'end', maxTimeMs);
    if (maxt < mint) {
      throw new MetricstorError('bad_data', 'end timestamp must not be before start timestamp');
    }
    const job = { kind: 'exemplars', query: params.get('query'), mint, maxt } as const;
    const { json } = await runJob(parts, { request, reply, job, timeoutMs: undefined });
    return json.length === 0
      ? reply.code(204).send()
      : await sendData(request, reply, json, { members: false });
  });
}
