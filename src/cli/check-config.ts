/**
 * @file `metricstor check-config`, and the checks that it shares with `serve`.
 */
import { readTlsMaterial, tlsEnabled } from '../auth/tls.js';
import { ConfigError, type ConfigSources, type LoadedConfig, loadConfig } from '../config/load.js';
import { effectiveYaml } from '../config/reference.js';
import { MetricstorError } from '../errors.js';

/** Loads the configuration and tries the TLS files. Throws `ConfigError`. */
export function loadChecked(sources: ConfigSources): LoadedConfig {
  const loaded = loadConfig(sources);
  const { tls } = loaded.config;
  if (tlsEnabled(tls)) {
    try {
      readTlsMaterial(tls);
    } catch (error) {
      if (error instanceof MetricstorError) {
        throw new ConfigError([
          { place: sources.file ?? 'METRICSTOR_TLS_…', message: error.message },
        ]);
      }
      throw error;
    }
  }
  return loaded;
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
