/**
 * @file Liveness and readiness, as Prometheus names them.
 */
import type { FastifyInstance } from 'fastify';
import type { Readiness } from '../../telemetry/readiness.js';
import { addPath } from './route.js';

/** Adds `/-/healthy` and `/-/ready`. Probes are open to clients that may ask nothing else. */
export function healthRoutes(app: FastifyInstance, readiness: Readiness): void {
  const methods = ['GET', 'HEAD'] as const;
  const needs = 'nothing';
  addPath(app, { path: '/-/healthy', methods, needs }, async (_, reply) =>
    reply.type('text/plain; charset=utf-8').send('metricstor is Healthy.\n'),
  );
  addPath(app, { path: '/-/ready', methods, needs }, async (_, reply) => {
    const { state } = readiness;
    const ready = state === 'ready';
    const text = ready ? 'metricstor is Ready.\n' : `Service Unavailable: ${state}\n`;
    return reply
      .code(ready ? 200 : 503)
      .type('text/plain; charset=utf-8')
      .send(text);
  });
}
