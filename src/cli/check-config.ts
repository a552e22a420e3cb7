/**
 * @file `metricstor check-config`.
 */
import { readTlsMaterial, tlsEnabled } from '../auth/tls.js';
import { type ConfigSources, loadConfig } from '../config/load.js';
import { effectiveYaml } from '../config/reference.js';

/** Prints the configuration in effect; throws `ConfigError`, or what is wrong with the TLS files. */
export function checkConfig(sources: ConfigSources): number {
  const { config, warnings } = loadConfig(sources);
  if (tlsEnabled(config.tls)) {
    readTlsMaterial(config.tls);
  }
  for (const warning of warnings) {
    process.stderr.write(`metricstor: warning: ${warning}\n`);
  }
  process.stdout.write(effectiveYaml(config));
  return 0;
}
