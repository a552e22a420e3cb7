/**
 * @file `metricstor check-config`, and the checks that it shares with `serve`.
 */
import { readPrincipals } from '../auth/principals-file.js';
import { readTlsMaterial, tlsEnabled } from '../auth/tls.js';
import { ConfigError, type ConfigSources, type LoadedConfig, loadConfig } from '../config/load.js';
import { effectiveYaml } from '../config/reference.js';
import type { Config } from '../config/schema.js';
import { parseAddress } from '../config/values.js';
import { retentionRules } from '../engine-options.js';
import { MetricstorError } from '../errors.js';

/** Loads the configuration, tries its files and selectors. Throws `ConfigError`. */
export function loadChecked(sources: ConfigSources): LoadedConfig {
  const loaded = loadConfig(sources);
  const { config } = loaded;
  const place = (variable: string): string => sources.file ?? variable;
  if (tlsEnabled(config.tls)) {
    attempt(place('METRICSTOR_TLS_…'), () => readTlsMaterial(config.tls));
  }
  if (config.auth.file !== '') {
    readPrincipals(config.auth.file);
  }
  attempt(place('METRICSTOR_RETENTION_RULES'), () => retentionRules(config));
  return { config, warnings: [...loaded.warnings, ...clearTextWarnings(config)] };
}

/** Credentials that anyone on the way can read. */
function clearTextWarnings({ auth, tls, http, grpc }: Config): readonly string[] {
  const open = [http.addr, grpc.addr].filter((addr) => addr !== '' && !isLoopback(addr));
  return auth.file === '' || tlsEnabled(tls) || open.length === 0
    ? []
    : [`auth.file without tls.cert: keys and passwords go in clear text to ${open.join(', ')}`];
}

function isLoopback(address: string): boolean {
  const host = parseAddress(address)?.host ?? '';
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function attempt(place: string, check: () => unknown): void {
  try {
    check();
  } catch (error) {
    if (error instanceof MetricstorError) {
      throw new ConfigError([{ place, message: error.message }]);
    }
    throw error;
  }
}

/** Prints the configuration in effect. Throws `ConfigError`. */
export function checkConfig(sources: ConfigSources): number {
  const { config, warnings } = loadChecked(sources);
  for (const warning of warnings) {
    process.stderr.write(`metricstor: warning: ${warning}\n`);
  }
  process.stdout.write(effectiveYaml(config));
  return 0;
}
