/**
 * @file What this build is: its own version, and the Prometheus version whose API it speaks.
 */
import { readFileSync } from 'node:fs';

/**
 * The Prometheus release whose PromQL and HTTP API metricstor follows. Clients such as Grafana
 * decide by it what they may ask: from 2.40 on the label APIs take matchers.
 */
export const prometheusVersion = '3.14.0';

export interface BuildInfo {
  readonly version: string;
  readonly nodeVersion: string;
  readonly platform: string;
}

/** Reads the version from the package's `package.json`, which is beside `dist/` and `src/`. */
export function readBuildInfo(): BuildInfo {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  return {
    version,
    nodeVersion: process.version,
    platform: `${process.platform}-${process.arch}`,
  };
}
