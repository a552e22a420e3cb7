/**
 * @file `admin/tsdb/…`: what changes the store as a whole.
 *
 * Methods and the empty answer as Prometheus' `admin/tsdb` has them (3.14, `web/api/v1/api.go`).
 * There is no switch that turns them on: they need the role `admin` where identities are
 * configured.
 */
import type { FastifyInstance } from 'fastify';
import type { Maintenance } from '../../storage/maintenance.js';
import type { Snapshots } from '../../storage/transfer.js';
import { boolParam, Params } from '../params.js';
import { sendValue } from '../result-json.js';
import { addPath } from './route.js';

export interface AdminRouteParts {
  readonly maintenance: Maintenance;
  readonly snapshots: Snapshots;
}

const methods = ['POST', 'PUT'] as const;

/** Adds the routes. */
export function adminRoutes(app: FastifyInstance, parts: AdminRouteParts): void {
  const { maintenance, snapshots } = parts;
  const add = (name: string, work: () => Promise<void>): void =>
    addPath(
      app,
      { path: `/api/v1/admin/tsdb/${name}`, methods, needs: 'admin' },
      async (_, reply) => {
        await work();
        return reply.code(204).send();
      },
    );
  add('flush', () => maintenance.flush());
  add('compact', () => maintenance.compact());
  addPath(
    app,
    { path: '/api/v1/admin/tsdb/snapshot', methods, needs: 'admin' },
    async (request, reply) => {
      const blocksOnly = boolParam(new Params(request), 'skip_head');
      const name = await snapshots.snapshot({ blocksOnly });
      return await sendValue(request, reply, { name });
    },
  );
}
