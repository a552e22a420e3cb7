/**
 * @file `admin/tsdb/{flush,compact}`: what the engine does by itself, now and waited for.
 *
 * Methods and the empty answer as Prometheus' `admin/tsdb` has them (3.14, `web/api/v1/api.go`).
 * There is no switch that turns them on: they delete nothing, and `auth/policy.ts` has judged the
 * client before.
 */
import type { FastifyInstance } from 'fastify';
import type { Maintenance } from '../../storage/maintenance.js';
import { addPath } from './route.js';

export interface AdminRouteParts {
  readonly maintenance: Maintenance;
}

/** Adds the routes. */
export function adminRoutes(app: FastifyInstance, { maintenance }: AdminRouteParts): void {
  const methods = ['POST', 'PUT'] as const;
  const add = (name: string, work: () => Promise<void>): void =>
    addPath(app, { path: `/api/v1/admin/tsdb/${name}`, methods }, async (_, reply) => {
      await work();
      return reply.code(204).send();
    });
  add('flush', () => maintenance.flush());
  add('compact', () => maintenance.compact());
}
