/**
 * @file Who may ask: judges an identity by the current configuration, on every request.
 */
import { MetricstorError } from '../errors.js';
import type { Identity, PeerName } from './identity.js';

export class AccessPolicy {
  #allowed: ReadonlySet<string>;

  /** `allowedNames` as in the configuration: empty means every verified identity. */
  constructor(allowedNames: readonly string[]) {
    this.#allowed = new Set(allowedNames.map(fold));
  }

  /** Applies to the next request, on open connections too. */
  update(allowedNames: readonly string[]): void {
    this.#allowed = new Set(allowedNames.map(fold));
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
        return this.#allowed.size === 0 ? undefined : 'a client certificate is required';
      case 'invalid':
        return `the client certificate is not valid: ${identity.reason}`;
      case 'verified':
        if (identity.validTo < now) {
          return 'the client certificate has expired';
        }
        return this.#allowed.size === 0 || identity.names.some((name) => this.#allows(name))
          ? undefined
          : 'no name of the client certificate is in tls.allowedNames';
    }
  }

  #allows({ kind, text }: PeerName): boolean {
    // A URI answers to an entry with a scheme, other names to one without: neither can pose as
    // the other.
    return (kind === 'uri') === isUri(text) && this.#allowed.has(fold(text));
  }
}

function isUri(text: string): boolean {
  return text.includes('://');
}

/** DNS names ignore case. URIs do too, in scheme and authority, which nobody writes in capitals. */
function fold(text: string): string {
  return isUri(text) ? text : text.toLowerCase();
}
