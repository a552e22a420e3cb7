/**
 * @file `POST /api/v1/import`: JSON lines, in VictoriaMetrics' shape.
 *
 * The body is read as a stream and written in pieces, so a request may be of any length; a line may
 * be as long as `ingest.maxRequestBytes`. Refused lines and samples make it a 400 that names them;
 * the rest is stored.
 */

import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { MetricstorError } from '../../errors.js';
import type { Appender } from '../../storage/appender.js';
import { importLines } from '../../storage/import-lines.js';
import type { Scope } from '../../storage/querier.js';
import { addPath } from './route.js';
import { refusalText } from './write.js';

const everything: Scope = Object.freeze({ tenant: 0, matchers: [] });

export interface ImportRouteParts {
  readonly appender: Appender;
  readonly config: { readonly ingest: { readonly maxRequestBytes: number } };
}

/** Adds the route. `app` is a scope of its own, because it leaves every body a stream. */
export function importRoutes(app: FastifyInstance, { appender, config }: ImportRouteParts): void {
  const maxLineBytes = config.ingest.maxRequestBytes;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_, payload, done) => done(null, payload));
  const options = { config: { errors: 'text' as const }, onRequest: checkEncoding };
  const path = { path: '/api/v1/import', methods: ['POST'], needs: 'write', options } as const;
  addPath(app, path, async (request, reply) => {
    const source = linesOf(request);
    const outcome = await importLines(source, appender, { scope: everything, maxLineBytes });
    if (outcome.rejections.length > 0) {
      throw new MetricstorError('bad_data', refusalText(outcome));
    }
    return reply.code(204).send();
  });
}

function checkEncoding(request: FastifyRequest, _: unknown, done: (error?: Error) => void): void {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity' || encoding === 'gzip') {
    done();
  } else {
    const message = `want content encoding gzip or none, got ${encoding}`;
    done(new MetricstorError('unsupported_media_type', message));
  }
}

/** The body as it was before it was compressed. */
async function* linesOf(request: FastifyRequest): AsyncGenerator<Uint8Array> {
  const { body } = request;
  if (!(body instanceof Readable)) {
    throw new MetricstorError('bad_data', 'the body is empty');
  }
  if (request.headers['content-encoding'] !== 'gzip') {
    yield* body;
    return;
  }
  const unpacked = createGunzip();
  body.once('error', (error) => unpacked.destroy(error));
  try {
    yield* body.pipe(unpacked);
  } catch (error) {
    const message = `the body is not valid gzip: ${error instanceof Error ? error.message : error}`;
    throw new MetricstorError('bad_data', message, { cause: error });
  }
}
