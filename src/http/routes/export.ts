/**
 * @file `/api/v1/export`: series as JSON lines, in VictoriaMetrics' shape, as long as the reader
 * takes them.
 *
 * Whatever is wrong before the first line is an ordinary error. After that an answer that is cut
 * off is all that says so to the client: HTTP has no status for it any more. The log says why.
 */
import { pipeline, Readable } from 'node:stream';
import { constants, createGzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';
import { MetricstorError } from '../../errors.js';
import { parseSelector } from '../../promql/parse.js';
import type { Exporter } from '../../storage/transfer.js';
import type { FailureLog } from '../failure-log.js';
import { maxTimeMs, minTimeMs, Params, timeParam } from '../params.js';
import { wantedEncoding } from '../result-json.js';
import { addPath } from './route.js';

/** Exports at once: each holds blocks and the labels of all its series. */
const maxExports = 4;

const path = '/api/v1/export';

export interface ExportRouteParts {
  readonly exporter: Exporter;
  readonly failures: FailureLog;
}

/** Adds the route. */
export function exportRoutes(app: FastifyInstance, { exporter, failures }: ExportRouteParts): void {
  let running = 0;
  const methods = ['GET', 'POST'] as const;
  addPath(app, { path, methods, needs: 'read' }, async (request, reply) => {
    const params = new Params(request);
    params.refuseProblem();
    const mint = timeParam(params, 'start', minTimeMs);
    const maxt = timeParam(params, 'end', maxTimeMs);
    const selectors = params.all('match[]').map(parseSelector);
    if (selectors.length === 0) {
      throw new MetricstorError('bad_data', 'no match[] parameter provided');
    }
    if (running >= maxExports) {
      throw new MetricstorError('overloaded', `${maxExports} exports are running already`);
    }
    running += 1;
    const pieces = exporter.exportJson({ selectors, mint, maxt });
    const ended = (): void => {
      running -= 1;
    };
    const cutOff = (thrown: unknown): void => {
      failures.noteOfAnswer(thrown instanceof Error ? thrown : new Error(String(thrown)), path);
    };
    let first: IteratorResult<Uint8Array>;
    try {
      first = await pieces.next();
    } catch (error) {
      ended();
      throw error;
    }
    const body = Readable.from(withFirst(first, pieces, cutOff), { objectMode: false });
    body.once('close', ended);
    // Also when the client went away before the first piece was there.
    reply.raw.once('close', () => body.destroy());
    if (reply.raw.closed) {
      body.destroy();
    }
    reply.type('application/stream+json; charset=utf-8').header('vary', 'Accept-Encoding');
    if (wantedEncoding(request.headers['accept-encoding']) !== 'gzip') {
      return reply.send(body);
    }
    const gzip = createGzip({ level: constants.Z_BEST_SPEED });
    // An error of either ends both; fastify sees it on the one that it sends.
    pipeline(body, gzip, () => undefined);
    return reply.header('content-encoding', 'gzip').send(gzip);
  });
}

async function* withFirst(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterableIterator<Uint8Array>,
  cutOff: (thrown: unknown) => void,
): AsyncGenerator<Uint8Array> {
  try {
    let piece = first;
    while (piece.done !== true) {
      yield piece.value;
      // Not an error that the reader throws in here when it goes away.
      piece = await rest.next().catch((thrown: unknown) => {
        cutOff(thrown);
        throw thrown;
      });
    }
  } finally {
    // Also when the reader went away before it took the first piece.
    await rest.return?.();
  }
}
