/**
 * @file `metricstor check-config`, and the checks that it shares with `serve`.
 */
import { readTlsMaterial, tlsEnabled } from '../auth/tls.js';
import { ConfigError, type ConfigSources, type LoadedConfig, loadConfig } from '../config/load.js';
import { effectiveYaml } from '../config/reference.js';
import { retentionRules } from '../engine-options.js';
import { MetricstorError } from '../errors.js';

/** Loads the configuration, tries TLS files and selectors. Throws `ConfigError`. */
export function loadChecked(sources: ConfigSources): LoadedConfig {
  const loaded = loadConfig(sources);
  const { config } = loaded;
  const place = (variable: string): string => sources.file ?? variable;
  if (tlsEnabled(config.tls)) {
    attempt(place('METRICSTOR_TLS_…'), () => readTlsMaterial(config.tls));
  }
  attempt(place('METRICSTOR_RETENTION_RULES'), () => retentionRules(config));
  return loaded;
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
