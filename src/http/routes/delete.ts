/**
 * @file `admin/tsdb/{delete_series,clean_tombstones}`.
 *
 * Methods, parameters and the empty answer as Prometheus has them (3.14, `web/api/v1/api.go`,
 * `deleteSeries`, `cleanTombstones`). `dry_run=true` is ours: it answers what would go, as JSON.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { MetricstorError } from '../../errors.js';
import { parseSelector } from '../../promql/parse.js';
import type { DeleteRequest, Deleter } from '../../storage/deleter.js';
import type { Scope } from '../../storage/querier.js';
import { invalidParameter, maxTimeMs, minTimeMs, Params, timeParam } from '../params.js';
import { sendValue } from '../result-json.js';
import { addPath } from './route.js';

const parameters = ['match[]', 'start', 'end', 'dry_run'];

const everything: Scope = Object.freeze({ tenant: 0, matchers: [] });

export interface DeleteRouteParts {
  readonly deleter: Deleter;
}

/** Adds both routes. */
export function deleteRoutes(app: FastifyInstance, { deleter }: DeleteRouteParts): void {
  const methods = ['POST', 'PUT'] as const;
  const base = '/api/v1/admin/tsdb';
  addPath(
    app,
    { path: `${base}/delete_series`, methods, needs: 'admin' },
    async (request, reply) => {
      const params = readParams(request);
      if (params.dryRun) {
        return await sendValue(request, reply, await deleter.countSeries(params.request));
      }
      await deleter.deleteSeries(params.request);
      return reply.code(204).send();
    },
  );
  addPath(app, { path: `${base}/clean_tombstones`, methods, needs: 'admin' }, async (_, reply) => {
    await deleter.cleanTombstones();
    return reply.code(204).send();
  });
}

function readParams(request: FastifyRequest): { request: DeleteRequest; dryRun: boolean } {
  const params = new Params(request);
  params.refuseProblem();
  // A misspelt parameter would delete what it was to spare.
  const unknown = params.names().find((name) => !parameters.includes(name));
  if (unknown !== undefined) {
    throw invalidParameter(unknown, `unknown here: want one of ${parameters.join(', ')}`);
  }
  const texts = params.all('match[]');
  if (texts.length === 0) {
    throw new MetricstorError('bad_data', 'no match[] parameter provided');
  }
  const mint = timeParam(params, 'start', minTimeMs);
  const maxt = timeParam(params, 'end', maxTimeMs);
  if (maxt < mint) {
    throw invalidParameter('end', 'end timestamp must not be before start time');
  }
  const dryRun = params.get('dry_run');
  if (!['', 'true', 'false'].includes(dryRun)) {
    throw invalidParameter('dry_run', 'want true or false');
  }
  // The engine judges the regular expressions.
  const selectors = texts.map(parseSelector);
  return { request: { scope: everything, selectors, mint, maxt }, dryRun: dryRun === 'true' };
}
