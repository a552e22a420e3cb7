/**
 * @file `status/{buildinfo,config,flags,runtimeinfo,tsdb}`.
 *
 * Grafana reads `buildinfo`: `version` decides what it asks (label look-ups with matchers from 2.40
 * on), and a `features` member would make it take the server for Mimir, so there is none.
 */
import { availableParallelism, hostname } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { effectiveValues, effectiveYaml } from '../../config/reference.js';
import type { Config } from '../../config/schema.js';
import { MetricstorError } from '../../errors.js';
import { type BuildInfo, prometheusVersion } from '../../telemetry/version.js';
import { Params, parseInteger } from '../params.js';
import { sendData, sendValue } from '../result-json.js';
import { type QueryRouteParts, runJob } from './query.js';
import { addPath } from './route.js';

/** Entries of each list of `status/tsdb`. */
const defaultEntries = 10;
const maxEntries = 10_000;

export interface StatusRouteParts extends Pick<QueryRouteParts, 'queries' | 'metrics'> {
  readonly build: BuildInfo;
  readonly config: Config;
  engineNumbers(): Readonly<Record<string, number>>;
  engineFailure(): string | undefined;
  readonly startedMs: number;
  /** Epoch milliseconds. */
  now(): number;
}

/** Adds the routes. */
export function statusRoutes(app: FastifyInstance, parts: StatusRouteParts): void {
  const { build, config, startedMs } = parts;
  const add = (name: string, value: () => unknown): void =>
    addPath(
      app,
      { path: `/api/v1/status/${name}`, methods: ['GET'], needs: 'read' },
      (request, reply) => sendValue(request, reply, value()),
    );
  add('buildinfo', () => ({
    version: prometheusVersion,
    revision: '',
    branch: '',
    buildUser: '',
    buildDate: '',
    goVersion: '',
    application: 'metricstor',
    applicationVersion: build.version,
    nodeVersion: build.nodeVersion,
  }));
  add('flags', () => Object.fromEntries(effectiveValues(config)));
  add('config', () => ({ yaml: effectiveYaml(config) }));
  add('runtimeinfo', () => ({
    startTime: new Date(startedMs).toISOString(),
    CWD: process.cwd(),
    hostname: hostname(),
    serverTime: new Date(parts.now()).toISOString(),
    reloadConfigSuccess: true,
    lastConfigTime: new Date(startedMs).toISOString(),
    corruptionCount: parts.engineNumbers().blocksQuarantined ?? 0,
    // What Go's runtime has and this has not.
    goroutineCount: 0,
    GOMAXPROCS: availableParallelism(),
    GOMEMLIMIT: 0,
    GOGC: '',
    GODEBUG: '',
    storageRetention: `${config.retention.days}d`,
    timeSeriesCount: parts.engineNumbers().headSeries ?? 0,
    ...optional('lastFailure', parts.engineFailure()),
  }));
  addPath(
    app,
    { path: '/api/v1/status/tsdb', methods: ['GET'], needs: 'read' },
    async (request, reply) => {
      const job = { kind: 'cardinality', limit: entriesParam(new Params(request)) } as const;
      const { json } = await runJob(parts, { request, reply, job, timeoutMs: undefined });
      return await sendData(request, reply, json, { members: false });
    },
  );
}

/** `limit` of `status/tsdb`, as Prometheus 3.14 checks it (`serveTSDBStatus`). */
function entriesParam(params: Params): number {
  const text = params.get('limit');
  if (text === '') {
    return defaultEntries;
  }
  const limit = parseInteger(text);
  if (typeof limit === 'string' || limit < 1) {
    throw new MetricstorError('bad_data', 'limit must be a positive number');
  }
  if (limit > maxEntries) {
    throw new MetricstorError('bad_data', `limit must not exceed ${maxEntries}`);
  }
  return limit;
}

/** A member that is left out where there is nothing to say. */
function optional(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}
