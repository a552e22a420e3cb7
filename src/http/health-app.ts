/**
 * @file The plain listener for probes: health and readiness, nothing else.
 */
import { type FastifyInstance, fastify } from 'fastify';
import type { Readiness } from '../telemetry/readiness.js';
import { healthRoutes } from './routes/health.js';

/** Probes send no bodies; this only bounds what a stranger may send. */
const bodyLimit = 1024;

/** Builds the application; the caller listens and closes. */
export function buildHealthApp(readiness: Readiness): FastifyInstance {
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    bodyLimit,
    requestTimeout: 10_000,
  });
  app.setNotFoundHandler((_, reply) =>
    reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n'),
  );
  healthRoutes(app, readiness);
  return app;
}
