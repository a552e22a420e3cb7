/**
 * @file metricstor's own metrics.
 */
import type { FastifyInstance } from 'fastify';
import type { Metrics } from '../../telemetry/metrics.js';
import { addPath } from './route.js';

/** Adds `/metrics`. */
export function metricsRoutes(app: FastifyInstance, metrics: Metrics): void {
  addPath(app, { path: '/metrics', methods: ['GET'], needs: 'read' }, async (_, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  );
}
