/**
 * @file `metadata`: type, unit and help of metric families.
 *
 * Follows Prometheus 3.14, `web/api/v1/api.go` (`metricMetadata`). There is one entry a family, the
 * newest that was sent, so `limit_per_metric` is checked and otherwise without effect.
 */
import type { FastifyInstance } from 'fastify';
import { MetricstorError } from '../../errors.js';
import { Params, parseInteger } from '../params.js';
import { sendData } from '../result-json.js';
import { type QueryRouteParts, runJob } from './query.js';
import { addPath } from './route.js';

/** Adds the route. */
export function metadataRoutes(
  app: FastifyInstance,
  parts: Pick<QueryRouteParts, 'queries' | 'metrics'>,
): void {
  addPath(
    app,
    { path: '/api/v1/metadata', methods: ['GET'], needs: 'read' },
    async (request, reply) => {
      const params = new Params(request);
      const limit = numberParam(params, 'limit');
      numberParam(params, 'limit_per_metric');
      const job = { kind: 'metadata', metric: params.get('metric'), limit } as const;
      const { json } = await runJob(parts, { request, reply, job, timeoutMs: undefined });
      return await sendData(request, reply, json, { members: false });
    },
  );
}

/** A whole number; undefined when it is missing or below 0, which both mean no limit. */
function numberParam(params: Params, name: string): number | undefined {
  const text = params.get(name);
  if (text === '') {
    return undefined;
  }
  const number = parseInteger(text);
  if (typeof number === 'string') {
    throw new MetricstorError('bad_data', `${name} must be a number`);
  }
  return number < 0 ? undefined : number;
}
