/**
 * @file The HTTP server: what every request passes through, and the only place that catches errors.
 *
 * In order: who asks is judged by what the route needs (`onRequest`), a route's own checks of
 * headers run (its `onRequest`), the body is read, the handler answers, the answer is counted
 * (`onResponse`). There is no log line per request at the default level.
 */
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
} from 'fastify';
import type { Access } from '../auth/access.js';
import { Identities, noIdentity } from '../auth/identity.js';
import type { Needs } from '../auth/role.js';
import type { TlsContext } from '../auth/tls.js';
import type { Config } from '../config/schema.js';
import { MetricstorError } from '../errors.js';
import type { QueryService } from '../query/service.js';
import type { Appender } from '../storage/appender.js';
import type { Deleter } from '../storage/deleter.js';
import type { Maintenance } from '../storage/maintenance.js';
import type { Exporter, Snapshots } from '../storage/transfer.js';
import type { Logger } from '../telemetry/log.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Readiness } from '../telemetry/readiness.js';
import type { BuildInfo } from '../telemetry/version.js';
import { FailureLog } from './failure-log.js';
import { parseForm, parseMultipart } from './form.js';
import { refuseMalformed } from './malformed.js';
import { errorEnvelope } from './result-json.js';
import { adminRoutes } from './routes/admin.js';
import { deleteRoutes } from './routes/delete.js';
import { exemplarRoutes } from './routes/exemplars.js';
import { exportRoutes } from './routes/export.js';
import { healthRoutes } from './routes/health.js';
import { importRoutes } from './routes/import.js';
import { labelRoutes } from './routes/labels.js';
import { metadataRoutes } from './routes/metadata.js';
import { metricsRoutes } from './routes/metrics.js';
import { type AnswerMemory, queryRoutes } from './routes/query.js';
import { type QueryWatchParts, queryWatchRoutes } from './routes/query-watch.js';
import { rulesAndTargetsRoutes } from './routes/rules-and-targets.js';
import { statusRoutes } from './routes/status.js';
import { writeRoutes } from './routes/write.js';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** How errors of the route look; the JSON envelope unless set. */
    readonly errors?: 'text';
    /** What it needs of who asks. Every route says so. */
    readonly needs?: Needs;
  }
}

/** Everything that the routes use. */
export interface HttpParts extends QueryWatchParts {
  readonly config: Config;
  readonly build: BuildInfo;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly appender: Appender;
  readonly deleter: Deleter;
  readonly maintenance: Maintenance;
  readonly exporter: Exporter;
  readonly snapshots: Snapshots;
  readonly queries: QueryService;
  readonly answerMemory: AnswerMemory;
  readonly readiness: Readiness;
  readonly access: Access;
  /** Undefined means plain HTTP. */
  readonly tls: TlsContext | undefined;
  /** The engine's numbers, for the status routes. */
  engineNumbers(): Readonly<Record<string, number>>;
  /** The last failure of the engine's background work. */
  engineFailure(): string | undefined;
  /** Epoch milliseconds. */
  now(): number;
  readonly startedMs: number;
}

/** Longer label names in a path are not found: it is the longest that `limits` allows. */
const maxPathParameter = 1 << 20;

/** The longest that reading a request may take: a client that trickles holds a connection. */
const requestTimeoutMs = 300_000;

/**
 * URL and headers of a request: dashboards put long patterns into URLs. Each open connection may
 * hold as much; Node's own bound is 16 KiB, Go's 1 MiB.
 */
const maxHeaderSize = 256 * 1024;

/**
 * How long an unused connection stays open: longer than the usual intervals of scrapes and
 * dashboards, which are up to a minute, so that they need no new handshake.
 */
const keepAliveMs = 75_000;

/** Senders wait this long before they try again what failed for a passing reason. */
const retryAfterSeconds = '5';

/** Builds the application; the caller listens and closes. */
export function buildHttpApp(parts: HttpParts): FastifyInstance {
  const verifiedBy: VerifiedBy = new WeakMap();
  const failures = new FailureLog(parts.log, () => Date.now());
  const app = fastify({
    logger: false,
    exposeHeadRoutes: false,
    forceCloseConnections: 'idle',
    requestTimeout: requestTimeoutMs,
    routerOptions: {
      maxParamLength: maxPathParameter,
      // Parameters are read by `params.ts`, which knows repeated ones and forms.
      querystringParser: () => ({}),
    },
    // A path that is no URL finds no route, and so no error handler.
    frameworkErrors: (error, request, reply) => void sendError(failures, error, request, reply),
    clientErrorHandler: refuseMalformed,
    serverFactory: (handler) => createServer(parts, verifiedBy, handler),
  });
  addFormParsers(app);
  addAccess(app, verifiedBy, parts);
  app.addHook('onResponse', async (request, reply) => {
    parts.metrics.request({
      route: request.routeOptions.url ?? 'unknown',
      method: request.method,
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    });
  });
  app.setErrorHandler((error: FastifyError, request, reply) =>
    sendError(failures, error, request, reply),
  );
  app.setNotFoundHandler((_, reply) =>
    reply.code(404).type('text/plain; charset=utf-8').send('404 page not found\n'),
  );
  healthRoutes(app, parts.readiness);
  metricsRoutes(app, parts.metrics);
  queryRoutes(app, parts);
  queryWatchRoutes(app, parts);
  labelRoutes(app, parts);
  exemplarRoutes(app, parts);
  metadataRoutes(app, parts);
  statusRoutes(app, parts);
  rulesAndTargetsRoutes(app);
  deleteRoutes(app, parts);
  adminRoutes(app, parts);
  exportRoutes(app, { ...parts, failures });
  app.register(async (scope) => writeRoutes(scope, parts));
  app.register(async (scope) => importRoutes(scope, parts));
  return app;
}

/** Forms are read for `params.ts`; bodies of other types are read and ignored. */
function addFormParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const urlencoded = 'application/x-www-form-urlencoded';
  app.addContentTypeParser(urlencoded, { parseAs: 'string' }, (_, body, done) =>
    done(null, parseForm(String(body))),
  );
  app.addContentTypeParser(
    'multipart/form-data',
    { parseAs: 'buffer' },
    async (request: FastifyRequest, body: Buffer) =>
      await parseMultipart(request.headers['content-type'] ?? '', body),
  );
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_, __, done) => done(null, undefined));
}

/** The CA bundle (its digest) by which the client of an open connection was verified. */
type VerifiedBy = WeakMap<Socket, string>;

function createServer(parts: HttpParts, verifiedBy: VerifiedBy, handler: RequestListener): Server {
  const { tls, config } = parts;
  const options = {
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    maxHeaderSize,
  };
  const { maxConnections } = config.http;
  if (tls === undefined) {
    return bounded(createHttpServer(options, handler), maxConnections);
  }
  const server = createHttpsServer({ ...tls.serverOptions(), ...options }, handler);
  tls.adopt(server);
  server.on('close', () => tls.forget(server));
  server.on('secureConnection', (socket) => verifiedBy.set(socket, tls.clientCaDigest));
  return bounded(server, maxConnections);
}

function bounded<T extends Server>(server: T, maxConnections: number): T {
  if (maxConnections > 0) {
    server.maxConnections = maxConnections;
  }
  return server;
}

function addAccess(app: FastifyInstance, verifiedBy: VerifiedBy, parts: HttpParts): void {
  const { tls, access, log, now } = parts;
  const identities = new Identities();
  app.addHook('onRoute', ({ url, config }) => {
    if (config?.needs === undefined) {
      throw new Error(`the route ${url} does not say what it needs of who asks`);
    }
  });
  app.addHook('onRequest', async (request, reply) => {
    const { socket } = request.raw;
    if (tls !== undefined && verifiedBy.get(socket) !== tls.clientCaDigest) {
      // Other clients are trusted since this connection was made: it is to be made again.
      reply.header('connection', 'close');
    }
    const { url, config } = request.routeOptions;
    // A path that is not there has none.
    const needs = config.needs ?? 'identity';
    const principal = await access.admit({
      identity: tls === undefined ? noIdentity : identities.of(socket, tls.asksForCertificates),
      authorization: request.headers.authorization,
      needs,
      now: now(),
    });
    if (principal !== undefined && needs === 'admin') {
      log.info({ identity: principal.name, route: url, method: request.method }, 'asked by');
    }
  });
}

/** Errors of fastify itself that have a code of ours. */
const fastifyCodes: Readonly<Record<string, 'too_large' | 'unsupported_media_type'>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
};

function toMetricstorError(error: FastifyError): MetricstorError {
  if (error instanceof MetricstorError) {
    return error;
  }
  const code = fastifyCodes[error.code];
  if (code !== undefined) {
    return new MetricstorError(code, error.message, { cause: error });
  }
  const ofClient = error.statusCode !== undefined && error.statusCode < 500;
  return ofClient
    ? new MetricstorError('bad_data', error.message, { cause: error })
    : new MetricstorError('internal', 'an internal error; the log says more', { cause: error });
}

function sendError(
  failures: FailureLog,
  thrown: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const error = toMetricstorError(thrown);
  const { status, retryable } = error.kind;
  failures.note(error, thrown, request.routeOptions.url);
  if (retryable && error.code !== 'timeout' && error.code !== 'canceled') {
    reply.header('retry-after', retryAfterSeconds);
  }
  if (error.code === 'unauthorized') {
    reply.header('www-authenticate', 'Basic realm="metricstor", charset="UTF-8", Bearer');
  }
  reply.code(status);
  return request.routeOptions.config.errors === 'text'
    ? reply.type('text/plain; charset=utf-8').send(`${error.message}\n`)
    : reply.header('content-type', 'application/json').send(Buffer.from(errorEnvelope(error)));
}
