/**
 * @file Whether a request may be answered: its connection, then who sends it, then what it needs.
 *
 * Without configured identities whoever may connect may do everything. With them everything but
 * probes needs one: 401 where there is none, 403 where it lacks the role.
 */
import { MetricstorError } from '../errors.js';
import type { Identity } from './identity.js';
import { PasswordCheck } from './password-check.js';
import { AccessPolicy } from './policy.js';
import type { Principal, Principals } from './principals.js';
import type { Needs } from './role.js';

/** What is known of a request before its body is read. */
export interface Asking {
  /** Of its connection. */
  readonly identity: Identity;
  /** Its `Authorization` header. */
  readonly authorization: string | undefined;
  readonly needs: Needs;
  /** Epoch milliseconds. */
  readonly now: number;
}

export class Access {
  readonly #policy: AccessPolicy;
  readonly #passwords = new PasswordCheck();
  #principals: Principals | undefined;

  /** `principals` undefined: none are configured. */
  constructor(allowedNames: readonly string[], principals: Principals | undefined) {
    this.#policy = new AccessPolicy(allowedNames);
    this.#principals = principals;
  }

  /** Certificates that may connect from the next request on, on open connections too. */
  allow(allowedNames: readonly string[]): void {
    this.#policy.update(allowedNames);
  }

  /** The identities from the next request on. */
  renew(principals: Principals): void {
    this.#principals = principals;
  }

  /**
   * Resolves with who asks, or with undefined where no identities are configured. Rejects with
   * `unauthorized`, `forbidden` or `overloaded`.
   */
  async admit(asking: Asking): Promise<Principal | undefined> {
    const { identity, authorization, needs, now } = asking;
    if (needs === 'nothing') {
      return undefined;
    }
    this.#policy.admit(identity, now);
    if (this.#principals === undefined) {
      return undefined;
    }
    const principal =
      authorization === undefined
        ? this.#principals.ofCertificate(identity)
        : await this.#principals.ofHeader(authorization, this.#passwords);
    if (principal === undefined) {
      throw new MetricstorError('unauthorized', stranger(asking));
    }
    if (needs !== 'identity' && !principal.roles.has(needs)) {
      throw new MetricstorError('forbidden', `${principal.name} does not have the role ${needs}`);
    }
    return principal;
  }
}

/** What a client is told; not which part of its credentials was wrong. */
function stranger({ identity, authorization }: Asking): string {
  if (authorization !== undefined) {
    return 'the credentials are not valid';
  }
  return identity.kind === 'verified'
    ? 'no identity has a name of the client certificate'
    : 'credentials are required: an API key, a user with password, or a client certificate';
}
