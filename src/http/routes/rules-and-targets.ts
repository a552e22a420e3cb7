/**
 * @file `rules`, `alerts`, `alertmanagers`, `targets` and `scrape_pools`: Grafana and others ask
 * every data source for them. metricstor evaluates no rules and scrapes nothing, so there are none.
 *
 * Shapes are those of Prometheus 3.14, `web/api/v1/api.go`.
 */
import type { FastifyInstance } from 'fastify';
import { goQuote } from '../../promql/position.js';
import { invalidParameter, Params } from '../params.js';
import { sendValue } from '../result-json.js';
import { addPath } from './route.js';

const answers = {
  alerts: { alerts: [] },
  alertmanagers: { activeAlertmanagers: [], droppedAlertmanagers: [] },
  targets: { activeTargets: [], droppedTargets: [], droppedTargetCounts: {} },
  'targets/metadata': [],
  scrape_pools: { scrapePools: [] },
};

/** Adds the routes. */
export function rulesAndTargetsRoutes(app: FastifyInstance): void {
  for (const [name, value] of Object.entries(answers)) {
    const path = { path: `/api/v1/${name}`, methods: ['GET'], needs: 'read' } as const;
    addPath(app, path, (request, reply) => sendValue(request, reply, value));
  }
  const rules = { path: '/api/v1/rules', methods: ['GET'], needs: 'read' } as const;
  addPath(app, rules, async (request, reply) => {
    const params = new Params(request);
    params.refuseProblem();
    const type = params.get('type').toLowerCase();
    if (!['', 'alert', 'record'].includes(type)) {
      throw invalidParameter('type', `not supported value ${goQuote(type)}`);
    }
    return await sendValue(request, reply, { groups: [] });
  });
}
