/**
 * @file Who may connect: judges certificates by `tls.allowedNames`, on every request.
 */
import { MetricstorError } from '../errors.js';
import type { Identity } from './identity.js';
import { NameSet } from './names.js';

export class AccessPolicy {
  #allowed: NameSet;

  /** `allowedNames` as in the configuration: empty means every verified identity. */
  constructor(allowedNames: readonly string[]) {
    this.#allowed = new NameSet(allowedNames);
  }

  /** Applies to the next request, on open connections too. */
  update(allowedNames: readonly string[]): void {
    this.#allowed = new NameSet(allowedNames);
  }

  /** Throws `forbidden` when `identity` may not ask. `now` is epoch milliseconds. */
  admit(identity: Identity, now: number): void {
    const reason = this.#objection(identity, now);
    if (reason !== undefined) {
      throw new MetricstorError('forbidden', reason);
    }
  }

  #objection(identity: Identity, now: number): string | undefined {
    switch (identity.kind) {
      case 'none':
        return undefined;
      case 'anonymous':
        return this.#allowed.isEmpty ? undefined : 'a client certificate is required';
      case 'invalid':
        return `the client certificate is not valid: ${identity.reason}`;
      case 'verified':
        if (identity.validTo < now) {
          return 'the client certificate has expired';
        }
        return this.#allowed.isEmpty || this.#allowed.hasOneOf(identity.names)
          ? undefined
          : 'no name of the client certificate is in tls.allowedNames';
    }
  }
}
