/**
 * @file From arguments to an exit code: 0 fine, 1 failed while running, 2 wrong usage or
 * configuration.
 */
import { type Environment, mainUsage, parseArguments, UsageError } from './cli/arguments.js';
import { ConfigError } from './config/load.js';
import { configReference } from './config/reference.js';
import { messageOf } from './telemetry/log.js';
import { prometheusVersion, readBuildInfo } from './telemetry/version.js';

/** Runs a command line and resolves with its exit code. */
export async function main(
  parameters: readonly string[],
  environment: Environment,
): Promise<number> {
  try {
    return await runCommand(parameters, environment);
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`metricstor: ${error.message}\n\n${error.usage}`);
      return 2;
    }
    if (error instanceof ConfigError) {
      process.stderr.write(`metricstor: the configuration is not valid:\n${error.message}\n`);
      return 2;
    }
    process.stderr.write(`metricstor: ${messageOf(error)}\n`);
    return 1;
  }
}

async function runCommand(
  parameters: readonly string[],
  environment: Environment,
): Promise<number> {
  const [first, ...rest] = parameters;
  if (first === 'tsdb') {
    const { tsdb } = await import('./cli/tsdb.js');
    return await tsdb(rest, environment);
  }
  if (first === 'auth') {
    const { auth } = await import('./cli/auth.js');
    return await auth(rest);
  }
  const { command, configFile } = parseArguments(parameters, environment);
  const sources = { file: configFile, environment };
  switch (command) {
    // Loaded only where needed: the server's modules take most of the time of a short command.
    case 'serve': {
      const { serve } = await import('./cli/serve.js');
      return await serve(sources);
    }
    case 'check-config': {
      const { checkConfig } = await import('./cli/check-config.js');
      return checkConfig(sources);
    }
    case 'config-reference':
      process.stdout.write(configReference());
      return 0;
    case 'version': {
      const { version, nodeVersion, platform } = readBuildInfo();
      const api = `Prometheus ${prometheusVersion} API`;
      process.stdout.write(`metricstor ${version} (${platform}, Node.js ${nodeVersion}, ${api})\n`);
      return 0;
    }
    case 'help':
      process.stdout.write(mainUsage);
      return 0;
  }
}
