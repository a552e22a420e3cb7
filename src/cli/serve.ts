/**
 * @file `metricstor serve`: the server, the signals, the end.
 *
 * SIGTERM and SIGINT stop it within `shutdownTimeout`, and a second one ends it at once; SIGHUP
 * reads certificates, identities, and the settings `tls` and `auth` again.
 */
import { type ConfigSources, loadConfig } from '../config/load.js';
import { NativeEngine } from '../native/engine.js';
import { Server, startQueryThread } from '../server.js';
import { createLogger, type Logger, messageOf } from '../telemetry/log.js';
import { readBuildInfo } from '../telemetry/version.js';
import { loadChecked } from './check-config.js';

/** Beyond `shutdownTimeout`: closing the engine must not be cut short, nor hang forever. */
const closeGraceMs = 30_000;

/** Runs until a signal, and resolves with the exit code, with nothing left running. */
export async function serve(sources: ConfigSources): Promise<number> {
  const { config, warnings } = loadChecked(sources);
  const log = createLogger(config.log.level);
  for (const warning of warnings) {
    log.warn(warning);
  }
  endOnDefect(log);
  const stop = stopSignal(log);
  try {
    log.info({ version: readBuildInfo().version, dataDir: config.dataDir }, 'starting');
    const { server, addresses } = await Server.start(config, {
      log,
      openEngine: (options) => NativeEngine.open(options),
      startWorker: startQueryThread,
      configFile: sources.file,
      loadAccess: () => loadConfig(sources).config,
    });
    process.on('SIGHUP', () => server.reloadAccess());
    log.info(addresses, 'listening');
    const signal = await stop;
    log.info({ signal }, 'stopping');
    const timer = setTimeout(() => {
      log.fatal('the engine did not close in time');
      process.exit(1);
    }, config.shutdownTimeout + closeGraceMs);
    await server.stop();
    clearTimeout(timer);
    log.info('stopped');
  } catch (error) {
    log.fatal({ dataDir: config.dataDir, error: messageOf(error) }, 'failed');
    return 1;
  }
  return 0;
}

/** Resolves at the first signal to stop; the second ends the process. */
function stopSignal(log: Logger): Promise<string> {
  return new Promise((resolve) => {
    let stopping = false;
    const onSignal = (signal: string): void => {
      if (stopping) {
        log.warn({ signal }, 'ended by a second signal');
        process.exit(1);
      }
      stopping = true;
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    // A process that the launcher started ends with it.
    process.on('disconnect', () => onSignal('disconnect'));
  });
}

/** After an error that nothing caught the process cannot be trusted: the log brings all back. */
function endOnDefect(log: Logger): void {
  const onDefect = (error: unknown): void => {
    const stack = error instanceof Error ? error.stack : undefined;
    log.fatal({ error: messageOf(error), stack }, 'an error was not caught');
    process.exit(1);
  };
  process.on('uncaughtException', onDefect);
  process.on('unhandledRejection', onDefect);
}
