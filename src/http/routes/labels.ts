/**
 * @file `series`, `labels` and `label/<name>/values`.
 */
import type { FastifyInstance } from 'fastify';
import { MetricstorError } from '../../errors.js';
import { goQuote } from '../../promql/position.js';
import type { QueryJob } from '../../query/service.js';
import { lookUpParams, Params, unescapeLabelName } from '../params.js';
import { sendData } from '../result-json.js';
import { type QueryRouteParts, runJob, runJobOf } from './query.js';
import { addPath, type Handler } from './route.js';

type LabelRouteParts = Pick<QueryRouteParts, 'queries' | 'metrics'>;

/** Adds the three routes. */
export function labelRoutes(app: FastifyInstance, parts: LabelRouteParts): void {
  const answer =
    (jobOf: (params: Params, path: Readonly<Record<string, string>>) => QueryJob): Handler =>
    async (request, reply) => {
      const path = request.params as Readonly<Record<string, string>>;
      const job = jobOf(new Params(request), path);
      const asked = { request, reply, job, timeoutMs: undefined };
      // Only `series` says which parameter is wrong, as in Prometheus.
      const found =
        job.kind === 'series'
          ? await runJobOf('match[]', parts, asked)
          : await runJob(parts, asked);
      return await sendData(request, reply, found.json, { members: false, annotations: found });
    };
  addPath(
    app,
    { path: '/api/v1/series', methods: ['GET', 'POST'], needs: 'read' },
    answer((params) => {
      params.refuseProblem();
      if (params.all('match[]').length === 0) {
        throw new MetricstorError('bad_data', 'no match[] parameter provided');
      }
      return { kind: 'series', ...lookUpParams(params) };
    }),
  );
  addPath(
    app,
    { path: '/api/v1/labels', methods: ['GET', 'POST'], needs: 'read' },
    answer((params) => ({ kind: 'labelNames', ...lookUpParams(params) })),
  );
  addPath(
    app,
    { path: '/api/v1/label/:name/values', methods: ['GET'], needs: 'read' },
    answer((params, path) => {
      const name = unescapeLabelName(path.name ?? '');
      if (name === '') {
        throw new MetricstorError('bad_data', `invalid label name: ${goQuote(name)}`);
      }
      return { kind: 'labelValues', name, ...lookUpParams(params) };
    }),
  );
}
