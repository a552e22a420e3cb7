/**
 * @file `POST /api/v1/write`: Prometheus remote_write 1.0.
 *
 * Headers are checked before the body is read; the body goes to the engine as it came, in one call.
 * A request of which a part was refused is a 400 that lists the refusals; the rest is stored.
 * Source: the remote_write specifications 1.0 and 2.0, and Prometheus'
 * `storage/remote/write_handler.go` (3.14) for what is taken for granted when a header is missing.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { MetricstorError } from '../../errors.js';
import type { Appender, BodyEncoding, WriteOutcome } from '../../storage/appender.js';
import type { Scope } from '../../storage/querier.js';
import { addPath } from './route.js';

const everything: Scope = Object.freeze({ tenant: 0, matchers: [] });

/** Length of the text that lists refusals: it finds the cause, and fits a sender's log line. */
const maxRefusalText = 4096;

export interface WriteRouteParts {
  readonly appender: Appender;
  readonly config: { readonly ingest: { readonly maxRequestBytes: number } };
}

/** Adds the route. `app` is a scope of its own, because it reads every body as bytes. */
export function writeRoutes(app: FastifyInstance, { appender, config }: WriteRouteParts): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, body, done) => done(null, body));
  const options = {
    bodyLimit: largestBody(config.ingest.maxRequestBytes),
    config: { errors: 'text' as const },
    onRequest: checkHeaders,
  };
  addPath(app, { path: '/api/v1/write', methods: ['POST'], options }, async (request, reply) => {
    const { body } = request;
    if (!(body instanceof Uint8Array) || body.length === 0) {
      throw new MetricstorError('bad_data', 'the body is empty');
    }
    const outcome = await appender.write(body, {
      format: 'remote-write-1',
      encoding: encodingOf(request),
      scope: everything,
    });
    if (outcome.rejections.length > 0) {
      throw new MetricstorError('bad_data', refusalText(outcome));
    }
    return reply.code(204).send();
  });
}

/** A body that does not compress is longer in snappy's format, by this much at most. */
function largestBody(decodedBytes: number): number {
  return decodedBytes + Math.ceil(decodedBytes / 6) + 32;
}

function checkHeaders(request: FastifyRequest, _: unknown, done: (error?: Error) => void): void {
  done(objection(request));
}

function objection(request: FastifyRequest): MetricstorError | undefined {
  const { headers } = request;
  const unsupported = (text: string) => new MetricstorError('unsupported_media_type', text);
  const type = messageType(headers['content-type'] ?? '');
  if (type !== 'prometheus.WriteRequest') {
    return unsupported(
      type === 'io.prometheus.write.v2.Request'
        ? 'remote_write 2.0 is not supported; send proto=prometheus.WriteRequest'
        : `want content type application/x-protobuf, got ${headers['content-type']}`,
    );
  }
  const encoding = headers['content-encoding'] ?? 'snappy';
  if (!isBodyEncoding(encoding)) {
    return unsupported(`want content encoding snappy or zstd, got ${encoding}`);
  }
  const version = headers['x-prometheus-remote-write-version'];
  if (version !== undefined && !/^[012](\.\d+){0,2}$/.test(String(version))) {
    const text = `want X-Prometheus-Remote-Write-Version 0.1.0, got ${version}`;
    return new MetricstorError('bad_data', text);
  }
  return undefined;
}

/** The protobuf message that a content type names, or undefined; missing means 1.0's. */
function messageType(contentType: string): string | undefined {
  if (contentType === '') {
    return 'prometheus.WriteRequest';
  }
  const [type, ...parameters] = contentType.split(';').map((part) => part.trim());
  if (type?.toLowerCase() !== 'application/x-protobuf') {
    return undefined;
  }
  const proto = parameters.find((parameter) => parameter.startsWith('proto='));
  return proto?.slice('proto='.length) ?? 'prometheus.WriteRequest';
}

function isBodyEncoding(text: string): text is BodyEncoding {
  return text === 'snappy' || text === 'zstd';
}

function encodingOf(request: FastifyRequest): BodyEncoding {
  return request.headers['content-encoding'] === 'zstd' ? 'zstd' : 'snappy';
}

/** What was refused, a line a reason with examples, at most {@link maxRefusalText} bytes. */
export function refusalText({
  samples,
  rejections,
}: Pick<WriteOutcome, 'samples' | 'rejections'>): string {
  const refused = rejections.reduce((sum, { count }) => sum + count, 0);
  const lines = [`${refused} refused, ${samples} samples stored`];
  for (const { code, count, examples } of rejections) {
    lines.push(`${code}: ${count}`, ...examples.map((example) => `  ${example}`));
  }
  const text = lines.join('\n');
  return text.length <= maxRefusalText ? text : `${text.slice(0, maxRefusalText)} …`;
}
