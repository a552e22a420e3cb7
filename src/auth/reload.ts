/**
 * @file Applies changed TLS settings, identities and their files to a running server.
 */
import type { Config } from '../config/schema.js';
import { MetricstorError } from '../errors.js';
import { type Logger, messageOf } from '../telemetry/log.js';
import type { Access } from './access.js';
import { readPrincipals } from './principals-file.js';
import type { TlsContext } from './tls.js';
import { FileWatch } from './watch.js';

/** The sections of the configuration that say who gets in. */
export type AccessSettings = Pick<Config, 'tls' | 'auth'>;

export interface ReloadParts {
  /** Undefined means plain HTTP. */
  readonly tls: TlsContext | undefined;
  readonly access: Access;
  readonly log: Logger;
  /** The settings in use at the start. */
  readonly settings: AccessSettings;
  /** The configuration file, when there is one. */
  readonly configFile: string | undefined;
  /** Reads the configuration again; throws when it is not valid. */
  load(): AccessSettings;
}

export class AccessReload {
  readonly #parts: ReloadParts;
  readonly #watch: FileWatch;
  readonly #hasIdentities: boolean;
  #settings: AccessSettings;

  constructor(parts: ReloadParts) {
    this.#parts = parts;
    this.#settings = parts.settings;
    this.#hasIdentities = parts.settings.auth.file !== '';
    this.#watch = new FileWatch(
      () => {
        const { tls, auth } = this.#settings;
        return [parts.configFile ?? '', auth.file, tls.cert, tls.key, tls.clientCa];
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
    const { tls, access, log, load } = this.#parts;
    try {
      this.#settings = load();
    } catch (error) {
      log.error({ error: messageOf(error) }, 'the configuration cannot be reloaded');
      return;
    }
    // First, and whatever the files are like: a name taken off the list is out.
    access.allow(this.#settings.tls.allowedNames);
    if (this.#hasIdentities || this.#settings.auth.file !== '') {
      this.#attempt('identities', () => this.#renewIdentities());
    }
    if (tls !== undefined) {
      this.#attempt('tls', () => ({ certificates: tls.renew(this.#settings.tls) }));
    }
  }

  #renewIdentities(): { identities: number } {
    const { file } = this.#settings.auth;
    // A section that was lost must not open the server to everybody.
    if (!this.#hasIdentities || file === '') {
      const text = 'auth: turning identities on or off needs a restart';
      throw new MetricstorError('bad_data', text);
    }
    const principals = readPrincipals(file);
    this.#parts.access.renew(principals);
    return { identities: principals.count };
  }

  #attempt(what: string, work: () => Record<string, unknown>): void {
    const { log } = this.#parts;
    try {
      log.info(work(), `${what} reloaded`);
    } catch (error) {
      log.error({ error: messageOf(error) }, `${what} cannot be reloaded`);
    }
  }
}
