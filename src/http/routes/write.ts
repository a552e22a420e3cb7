/**
 * @file `POST /api/v1/write`: Prometheus remote_write 1.0 and 2.0.
 *
 * Headers are checked before the body is read; the body goes to the engine as it came, in one call.
 * A request of which a part was refused is a 400 that lists the refusals; the rest is stored. Every
 * answer to a 2.0 request says in headers what was stored, because its sender takes their absence
 * for a loss of data.
 * Source: the remote_write specifications 1.0 and 2.0, and Prometheus'
 * `storage/remote/write_handler.go` (3.14) for what is taken for granted when a header is missing.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { MetricstorError } from '../../errors.js';
import type { Appender, BodyEncoding, WireFormat, WriteOutcome } from '../../storage/appender.js';
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
  const path = { path: '/api/v1/write', methods: ['POST'], needs: 'write', options } as const;
  addPath(app, path, async (request, reply) => {
    const format = formatOf(request);
    const { body } = request;
    if (!(body instanceof Uint8Array) || body.length === 0) {
      throw new MetricstorError('bad_data', 'the body is empty');
    }
    const encoding = encodingOf(request);
    const outcome = await appender.write(body, { format, encoding, scope: everything });
    if (format === 'remote-write-2') {
      sayWritten(reply, outcome);
    }
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

type Written = Pick<WriteOutcome, 'samples' | 'histograms' | 'exemplars'>;

const nothing: Written = { samples: 0, histograms: 0, exemplars: 0 };

function sayWritten(reply: FastifyReply, { samples, histograms, exemplars }: Written): void {
  const name = (what: string): string => `X-Prometheus-Remote-Write-${what}-Written`;
  reply.header(name('Samples'), samples);
  reply.header(name('Histograms'), histograms);
  reply.header(name('Exemplars'), exemplars);
}

function checkHeaders(
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  if (formatOf(request) === 'remote-write-2') {
    // Stays on an answer that says why nothing was stored.
    sayWritten(reply, nothing);
  }
  done(objection(request));
}

const formats: ReadonlyMap<string, WireFormat> = new Map([
  ['prometheus.WriteRequest', 'remote-write-1'],
  ['io.prometheus.write.v2.Request', 'remote-write-2'],
]);

/** The format that a content type names; one that names none does not get as far as the body. */
function formatOf(request: FastifyRequest): WireFormat {
  const type = messageType(request.headers['content-type'] ?? '');
  return (type === undefined ? undefined : formats.get(type)) ?? 'remote-write-1';
}

function objection(request: FastifyRequest): MetricstorError | undefined {
  const { headers } = request;
  const unsupported = (text: string) => new MetricstorError('unsupported_media_type', text);
  const type = messageType(headers['content-type'] ?? '');
  if (type === undefined) {
    return unsupported(`want content type application/x-protobuf, got ${headers['content-type']}`);
  }
  if (!formats.has(type)) {
    return unsupported(`want proto=${[...formats.keys()].join(' or proto=')}, got proto=${type}`);
  }
  const encoding = headers['content-encoding'] ?? 'snappy';
  if (!isBodyEncoding(encoding)) {
    return unsupported(`want content encoding snappy or zstd, got ${encoding}`);
  }
  const version = headers['x-prometheus-remote-write-version'];
  if (version !== undefined && !/^[012](\.\d+){0,2}$/.test(String(version))) {
    const text = `want X-Prometheus-Remote-Write-Version 0.1.0 or 2.0.0, got ${version}`;
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
  histograms,
  rejections,
}: Pick<WriteOutcome, 'samples' | 'histograms' | 'rejections'>): string {
  const refused = rejections.reduce((sum, { count }) => sum + count, 0);
  const lines = [`${refused} refused, ${samples + histograms} samples stored`];
  for (const { code, count, examples } of rejections) {
    lines.push(`${code}: ${count}`, ...examples.map((example) => `  ${example}`));
  }
  const text = lines.join('\n');
  return text.length <= maxRefusalText ? text : `${text.slice(0, maxRefusalText)} …`;
}
