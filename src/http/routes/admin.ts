/**
 * @file `admin/tsdb/…`: what changes the store as a whole.
 */
import type { FastifyInstance } from 'fastify';
import type { Snapshots } from '../../storage/transfer.js';
import { boolParam, Params } from '../params.js';
import { sendValue } from '../result-json.js';
import { addPath } from './route.js';

export interface AdminRouteParts {
  readonly snapshots: Snapshots;
}

/** Adds the routes. */
export function adminRoutes(app: FastifyInstance, { snapshots }: AdminRouteParts): void {
  const methods = ['POST', 'PUT'] as const;
  addPath(app, { path: '/api/v1/admin/tsdb/snapshot', methods }, async (request, reply) => {
    const blocksOnly = boolParam(new Params(request), 'skip_head');
    const name = await snapshots.snapshot({ blocksOnly });
    return await sendValue(request, reply, { name });
  });
}
