/**
 * @file `status/{buildinfo,config,flags,runtimeinfo}`.
 *
 * Grafana reads `buildinfo`: `version` decides what it asks (label look-ups with matchers from 2.40
 * on), and a `features` member would make it take the server for Mimir, so there is none.
 */
import type { FastifyInstance } from 'fastify';
import { effectiveValues, effectiveYaml } from '../../config/reference.js';
import type { Config } from '../../config/schema.js';
import { type BuildInfo, prometheusVersion } from '../../telemetry/version.js';
import { sendValue } from '../result-json.js';
import { addPath } from './route.js';

export interface StatusRouteParts {
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
    addPath(app, { path: `/api/v1/status/${name}`, methods: ['GET'] }, (request, reply) =>
      sendValue(request, reply, value()),
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
    serverTime: new Date(parts.now()).toISOString(),
    storageRetention: `${config.retention.days}d`,
    timeSeriesCount: parts.engineNumbers().headSeries ?? 0,
    corruptionCount: parts.engineNumbers().blocksQuarantined ?? 0,
    ...optional('lastFailure', parts.engineFailure()),
  }));
}

/** A member that is left out where there is nothing to say. */
function optional(name: string, value: string | undefined): Record<string, string> {
  return value === undefined ? {} : { [name]: value };
}
