/**
 * @file A path with its methods: those that it does not have are 405, not 404.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify';
import type { Needs } from '../../auth/role.js';
import { MetricstorError } from '../../errors.js';

export type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

const allMethods: readonly Method[] = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'];

export interface Path {
  readonly path: string;
  readonly methods: readonly Method[];
  /** Of who asks, where identities are configured. */
  readonly needs: Needs;
  readonly options?: RouteShorthandOptions;
}

/** Adds `handler` under each method of the path, and the refusal under the others. */
export function addPath(app: FastifyInstance, path: Path, handler: Handler): void {
  const { path: url, methods, needs, options = {} } = path;
  const config = { ...options.config, needs };
  app.route({ ...options, config, url, method: [...methods], handler });
  app.route({
    url,
    method: allMethods.filter((method) => !methods.includes(method)),
    config: { errors: 'text', needs },
    // Before the body is read.
    onRequest: (_, reply, done) => {
      reply.header('allow', methods.join(', '));
      done(new MetricstorError('method_not_allowed', 'Method Not Allowed'));
    },
    handler: () => undefined,
  });
}
