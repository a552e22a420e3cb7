/**
 * @file Builds everything once, by constructor; starts in one order and stops in the reverse.
 *
 * Start: the listener for probes, the engine (which may replay its log for seconds), the query
 * threads, HTTP, gRPC, then readiness. A start that fails stops what it started.
 */
import { type AddressInfo, isIPv6 } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { FastifyInstance } from 'fastify';
import { Access } from './auth/access.js';
import { readPrincipals } from './auth/principals-file.js';
import { AccessReload, type AccessSettings } from './auth/reload.js';
import { TlsContext, tlsEnabled } from './auth/tls.js';
import type { Config } from './config/schema.js';
import { parseAddress } from './config/values.js';
import { engineOptions } from './engine-options.js';
import { GrpcListener } from './grpc/listener.js';
import { buildHttpApp } from './http/app.js';
import { buildHealthApp } from './http/health-app.js';
import type { NativeEngineOptions } from './native/engine.js';
import { type EngineOptions, PromqlEngine } from './promql/engine.js';
import { ActiveQueries } from './query/active.js';
import { type ChangeSource, QueryCache } from './query/cache.js';
import { InlineQueries, inlineLimits } from './query/inline.js';
import { type CancelTokens, QueryPool } from './query/pool.js';
import type { QueryService } from './query/service.js';
import { SharedUse } from './query/shared-use.js';
import type { ThreadData } from './query/thread.js';
import { TopQueries } from './query/top-queries.js';
import type { Appender } from './storage/appender.js';
import type { Deleter } from './storage/deleter.js';
import type { Maintenance } from './storage/maintenance.js';
import type { Querier } from './storage/querier.js';
import type { Exporter, Snapshots } from './storage/transfer.js';
import { DamageLog } from './telemetry/damage-log.js';
import type { Logger } from './telemetry/log.js';
import { Metrics } from './telemetry/metrics.js';
import { Readiness } from './telemetry/readiness.js';
import { type BuildInfo, readBuildInfo } from './telemetry/version.js';

/** What the server needs of an engine: `NativeEngine` is one. */
export interface Engine
  extends Appender,
    CancelTokens,
    ChangeSource,
    Deleter,
    Exporter,
    Maintenance,
    Querier,
    Snapshots {
  /** A query thread attaches with it. */
  readonly handle: number;
  stats(): Readonly<Record<string, number>>;
  close(): Promise<void>;
}

export interface ServerParts {
  readonly log: Logger;
  openEngine(options: NativeEngineOptions): Promise<Engine>;
  /** Starts a thread that runs `serveQueries`. */
  startWorker(data: ThreadData): Worker;
  /** The configuration file, when there is one; watched for changes of `tls` and `auth`. */
  readonly configFile?: string | undefined;
  /** Reads these sections again. Throws when the configuration is not valid. */
  loadAccess(): AccessSettings;
}

/** Where a server listens, as bound: URLs, and `host:port` for gRPC. */
export interface Addresses {
  readonly http: string;
  readonly grpc?: string;
  readonly health?: string;
}

/** How long a canceled query may go on before its thread is terminated. */
const queryGraceMs = 2000;

/** How often a closing server looks for connections that became idle. */
const closeIdleMs = 50;

/** JavaScript heap of a query thread; columns lie outside and have `query.maxBytes`. */
const queryHeapMiB = 1024;

/** Starts `query/thread.js`. */
export function startQueryThread(workerData: ThreadData): Worker {
  return new Worker(new URL('./query/thread.js', import.meta.url), {
    workerData,
    resourceLimits: { maxOldGenerationSizeMb: queryHeapMiB },
  });
}

/** The PromQL engine's options of a configuration. */
function promqlOptions({ query, promql }: Config): EngineOptions {
  const { maxSeries, maxSamples, maxBytes, maxPoints } = query;
  return {
    lookbackMs: query.lookbackDelta,
    subqueryStepMs: query.subqueryStep,
    limits: { maxSeries, maxSamples, maxBytes, maxPoints },
    features: promql.features,
  };
}

/** Answers small expressions on this thread, before `rest` is asked. */
function inlineQueries(config: Config, engine: Engine, rest: QueryService): InlineQueries {
  const options = { ...promqlOptions(config), limits: inlineLimits(config.query) };
  return new InlineQueries({ querier: engine, engine: new PromqlEngine(options) }, rest);
}

/** The query threads of an engine, started. */
export async function startQueries(
  config: Config,
  engine: Engine,
  startWorker: ServerParts['startWorker'],
): Promise<QueryPool> {
  const { query } = config;
  const use = SharedUse.create(query.workers + 1, query.maxTotalBytes);
  const data = { engineHandle: engine.handle, promql: promqlOptions(config), use };
  const options = {
    workers: query.workers,
    maxConcurrency: query.maxConcurrency,
    queue: query.queue,
    timeoutMs: query.timeout,
    graceMs: queryGraceMs,
  };
  const pool = new QueryPool(options, {
    tokens: engine,
    use,
    startWorker: (slot) => startWorker({ ...data, slot }),
  });
  await pool.start();
  return pool;
}

export class Server {
  readonly #config: Config;
  readonly #parts: ServerParts;
  readonly #build: BuildInfo = readBuildInfo();
  readonly #readiness = new Readiness();
  readonly #access: Access;
  readonly #tls: TlsContext | undefined;
  #reload: AccessReload | undefined;
  /** What to do at the end, last first. */
  readonly #closers: ((timeoutMs: number) => Promise<void>)[] = [];

  private constructor(config: Config, parts: ServerParts) {
    this.#config = config;
    this.#parts = parts;
    const { file } = config.auth;
    const principals = file === '' ? undefined : readPrincipals(file);
    this.#access = new Access(config.tls.allowedNames, principals);
    this.#tls = tlsEnabled(config.tls) ? new TlsContext(config.tls) : undefined;
  }

  /** Starts a server; rejects, with nothing left running, when any part cannot start. */
  static async start(
    config: Config,
    parts: ServerParts,
  ): Promise<{ server: Server; addresses: Addresses }> {
    const server = new Server(config, parts);
    try {
      return { server, addresses: await server.#start() };
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** Stops accepting, finishes what was accepted within `shutdownTimeout`, closes the engine. */
  async stop(): Promise<void> {
    this.#readiness.change('stopping');
    const deadline = Date.now() + this.#config.shutdownTimeout;
    for (const close of this.#closers.splice(0).reverse()) {
      await close(Math.max(deadline - Date.now(), 0));
    }
  }

  /** Reads the `tls` and `auth` settings and their files again. */
  reloadAccess(): void {
    this.#reload?.reload();
  }

  async #start(): Promise<Addresses> {
    const { http, grpc } = this.#config;
    const health =
      http.healthAddr === ''
        ? undefined
        : await this.#listen(buildHealthApp(this.#readiness), http.healthAddr);
    const engine = await this.#parts.openEngine(engineOptions(this.#config));
    this.#closers.push(() => engine.close());
    const cut = engine.tornEnd();
    if (cut !== undefined) {
      this.#parts.log.warn({ cut }, 'the torn end of the log was cut off');
    }
    const damageLog = new DamageLog(this.#parts.log, () => engine.newlyQuarantined());
    this.#closers.push(async () => damageLog.stop());
    const pool = await startQueries(this.#config, engine, this.#parts.startWorker);
    this.#closers.push(() => pool.close());
    const now = (): number => Date.now();
    const activeQueries = new ActiveQueries(pool, now);
    const inline = inlineQueries(this.#config, engine, activeQueries);
    const cache = new QueryCache(inline, engine, this.#config.query.cacheBytes);
    const queries = new TopQueries(cache, now);
    const metrics = new Metrics({
      build: this.#build,
      engineNumbers: () => engine.stats(),
      queryNumbers: () => ({ ...pool.numbers(), inline: inline.answered, cache: cache.numbers }),
    });
    const shared = {
      queries,
      metrics,
      build: this.#build,
      log: this.#parts.log,
      access: this.#access,
      readiness: this.#readiness,
      engineNumbers: () => engine.stats(),
      engineFailure: () => engine.lastFailure(),
      now,
    };
    const app = buildHttpApp({
      ...shared,
      config: this.#config,
      activeQueries,
      topQueries: queries,
      answerMemory: pool,
      appender: engine,
      deleter: engine,
      maintenance: engine,
      exporter: engine,
      snapshots: engine,
      tls: this.#tls,
      startedMs: Date.now(),
    });
    const httpAddress = await this.#listen(app, http.addr);
    const grpcAddress = grpc.addr === '' ? undefined : await this.#listenGrpc(shared);
    this.#watchAccess();
    this.#readiness.change('ready');
    const scheme = this.#tls === undefined ? 'http' : 'https';
    return {
      http: `${scheme}://${httpAddress}`,
      ...(grpcAddress === undefined ? {} : { grpc: grpcAddress }),
      ...(health === undefined ? {} : { health: `http://${health}` }),
    };
  }

  async #listen(app: FastifyInstance, address: string): Promise<string> {
    this.#closers.push((timeoutMs) => closeApp(app, timeoutMs));
    const { host, port } = hostPort(address);
    await app.listen({ host, port });
    return textOf(app.server.address());
  }

  async #listenGrpc(
    shared: Omit<Parameters<typeof GrpcListener.listen>[1], 'asksForCertificates' | 'maxSteps'>,
  ): Promise<string> {
    const parts = {
      ...shared,
      asksForCertificates: this.#tls?.asksForCertificates ?? false,
      maxSteps: this.#config.query.maxSteps,
    };
    const address = hostPort(this.#config.grpc.addr);
    const listener = await GrpcListener.listen(address, parts, this.#tls);
    this.#closers.push((timeoutMs) => listener.close(timeoutMs));
    return textOf(listener.address);
  }

  #watchAccess(): void {
    if (this.#tls === undefined && this.#config.auth.file === '') {
      return;
    }
    const reload = new AccessReload({
      tls: this.#tls,
      access: this.#access,
      log: this.#parts.log,
      settings: this.#config,
      configFile: this.#parts.configFile,
      load: () => this.#parts.loadAccess(),
    });
    reload.start();
    this.#closers.push(async () => reload.stop());
    this.#reload = reload;
  }
}

/** Waits for requests in flight, at most `timeoutMs`; then their connections are cut. */
async function closeApp(app: FastifyInstance, timeoutMs: number): Promise<void> {
  const { server } = app;
  const timer = setTimeout(() => server.closeAllConnections(), timeoutMs);
  // A connection that becomes idle after the server began to close would stay open otherwise.
  const idle = setInterval(() => server.closeIdleConnections(), closeIdleMs);
  await app.close();
  clearInterval(idle);
  clearTimeout(timer);
}

function hostPort(address: string): { host: string; port: number } {
  const parsed = parseAddress(address);
  if (parsed === undefined) {
    throw new Error(`${address} is not host:port`);
  }
  // An empty host means every interface, as `:9101` does elsewhere.
  return { host: parsed.host === '' ? '::' : parsed.host, port: parsed.port };
}

function textOf(address: AddressInfo | string | null): string {
  if (address === null || typeof address === 'string') {
    throw new Error('the listener has no address');
  }
  const host = isIPv6(address.address) ? `[${address.address}]` : address.address;
  return `${host}:${address.port}`;
}
