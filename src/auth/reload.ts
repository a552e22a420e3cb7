/**
 * @file Applies changed TLS settings and files to a running server.
 */
import type { TlsSettings } from '../config/schema.js';
import { type Logger, messageOf } from '../telemetry/log.js';
import type { AccessPolicy } from './policy.js';
import type { TlsContext } from './tls.js';
import { FileWatch } from './watch.js';

export interface ReloadParts {
  readonly tls: TlsContext;
  readonly policy: AccessPolicy;
  readonly log: Logger;
  /** The settings in use at the start. */
  readonly settings: TlsSettings;
  /** The configuration file, when there is one. */
  readonly configFile: string | undefined;
  /** Reads the configuration again; throws when it is not valid. */
  load(): TlsSettings;
}

export class TlsReload {
  readonly #parts: ReloadParts;
  readonly #watch: FileWatch;
  #settings: TlsSettings;

  constructor(parts: ReloadParts) {
    this.#parts = parts;
    this.#settings = parts.settings;
    this.#watch = new FileWatch(
      () => {
        const { cert, key, clientCa } = this.#settings;
        return [parts.configFile ?? '', cert, key, clientCa];
      },
      () => this.reload(),
    );
  }

  /** Reloads whenever a file changes, until {@link stop}. */
  start(): void {
    this.#watch.start();
  }

  stop(): void {
    this.#watch.stop();
  }

  /** Looks at the files now. */
  look(): void {
    this.#watch.look();
  }

  /** Reads everything again. A failure is logged, and what it concerns stays as it was. */
  reload(): void {
    const { tls, policy, log, load } = this.#parts;
    try {
      this.#settings = load();
      // First, and whatever the certificates are like: a name taken off the list is out.
      policy.update(this.#settings.allowedNames);
      const certificates = tls.renew(this.#settings);
      log.info({ certificates }, 'tls reloaded');
    } catch (error) {
      log.error({ error: messageOf(error) }, 'tls cannot be reloaded');
    }
  }
}
